"""The graph multimodal_lm, tiny dinov2 + whisper + llama with LoRA, against the same written with transformers, peft
and torch: ids and their places, hidden states, loss, the gradient of everything that is trained, greedy answers."""
import wave

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import save_file
from transformers import BitImageProcessorPil, WhisperFeatureExtractor

from . import bf16, tiny
from .common import named_gradients, starting
from .connectors import layers, mlp, pooled, stacked
from .conversations import SAMPLES, expand, make_tokenizer, named, tokenise, write_media
from .lora import plain, with_adapter

FACTOR, POOL, WINDOW = 6, 3, 100  # tokens of a 2 s window: 17; of a 4 x 4 grid: 4
TARGETS = ["q_proj", "v_proj", "down_proj"]


class Composition:
    """The reference. Every sample goes through alone."""

    def __init__(self, bench, everything):
        self.folder, self.everything, self.dtype = bench.new_folder(), everything, torch.float32
        for name in ("llm", "image", "audio"):
            (self.folder / name).mkdir()
        write_media(self.folder)
        self.tokenizer = make_tokenizer(self.folder / "llm")
        self.media_id = self.tokenizer.convert_tokens_to_ids("<media>")
        tiny.llama(self.folder / "llm", vocab_size=len(self.tokenizer) + 7, max_position_embeddings=512)
        self.llm = with_adapter(self.folder / "llm", dict(target_modules=TARGETS))
        self.llm.save_pretrained(self.folder / "adapter")
        self.dinov2 = tiny.dinov2(self.folder / "image")
        self.whisper = tiny.whisper(self.folder / "audio", max_source_positions=WINDOW)
        self.images = BitImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 28, "width": 28}, resample=3, image_mean=[0.5] * 3, image_std=[0.25] * 3)
        self.images.save_pretrained(self.folder / "image")
        self.sounds = WhisperFeatureExtractor(chunk_length=WINDOW // 50)
        generator = torch.Generator().manual_seed(51)
        self.connectors = {"image": layers([48, 40, 48], "layers.", generator), "audio": layers([48 * FACTOR, 48, 48], "", generator)}
        for name, parameters in self.connectors.items():
            save_file(parameters, self.folder / f"{name}.safetensors")
            for parameter in parameters.values():
                parameter.requires_grad_(True)
        if everything:
            for parameter in self.llm.parameters():
                parameter.requires_grad_(True)

    def table(self):
        on, f = str(self.everything).lower(), self.folder
        return f"""
[llm]
plugin = "llama"
weights = "{f}/llm"
trainable = {on}
peft = [{{ plugin = "lora", weights = "{f}/adapter", rank = 5, alpha = 12, targets = {TARGETS} }}]
[streams.image]
encoder = {{ plugin = "dinov2", weights = "{f}/image", layer = -2, trainable = {on} }}
connector = {{ plugin = "mlp", weights = "{f}/image.safetensors", hidden_size = 40, pool = {POOL} }}
[streams.audio]
encoder = {{ plugin = "whisper", weights = "{f}/audio", trainable = {on} }}
connector = {{ plugin = "frame_stack", weights = "{f}/audio.safetensors", factor = {FACTOR} }}
"""

    def to_bf16(self):
        """Computes in bf16; adapters and connectors stay float32, as ours are."""
        self.dtype = torch.bfloat16
        for module in (self.llm, self.dinov2, self.whisper):
            for name, parameter in module.named_parameters():
                if "lora_" not in name:
                    parameter.data = parameter.data.bfloat16()

    def features(self, pixels):
        return self.dinov2(pixels, output_hidden_states=True).hidden_states[-2][:, 1:]

    def connector(self, name):
        return {key: parameter.to(self.dtype) for key, parameter in self.connectors[name].items()}

    def embed_media(self, part):
        if part["type"] == "image":
            pixels = torch.tensor(self.images(Image.open(self.folder / part["image"]), return_tensors="np")["pixel_values"]).to(self.dtype)
            return mlp(pooled(self.features(pixels), 4, 4, POOL), self.connector("image"), "layers.", 2, "gelu")[0]
        with wave.open(str(self.folder / part["audio"])) as file:
            samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 32768
        length = WINDOW * 320
        windows = [self.sounds(samples[i:i + length], sampling_rate=16000, return_tensors="pt")["input_features"].to(self.dtype) for i in range(0, len(samples), length)]
        return torch.cat([mlp(stacked(self.whisper(mel).last_hidden_state, FACTOR), self.connector("audio"), "", 2, "gelu")[0] for mel in windows])

    def prepare(self, sample, answer=False):
        """(ids, supervised, spans of media, embeddings)"""
        ids, mask, media = tokenise(self.tokenizer, sample, answer)
        items = [self.embed_media(part) for part in media]
        ids, supervised, spans = expand(ids, mask, [len(item) for item in items], self.media_id)
        pieces, done = [], 0
        for (begin, count), item in zip(spans, items):
            pieces += [self.llm.get_base_model().model.embed_tokens(ids[done:begin]), item]
            done = begin + count
        x = torch.cat(pieces + [self.llm.get_base_model().model.embed_tokens(ids[done:])])
        streams = [part["type"] for part in media]
        return ids, supervised, [[stream, *span] for stream, span in zip(streams, spans)], x

    def run(self, samples):
        base = self.llm.get_base_model()
        parts = {name: [] for name in ("ids", "positions", "supervised", "labels", "hidden", "logits", "token_loss")}
        media, lengths = [], []
        for sample in samples:
            ids, supervised, spans, x = self.prepare(sample)
            hidden = base.model(inputs_embeds=x[None]).last_hidden_state[0]
            rows = supervised[1:].nonzero()[:, 0]
            media += [[stream, sum(lengths) + begin, count] for stream, begin, count in spans]
            logits = base.lm_head(hidden)
            for name, value in dict(ids=ids, positions=torch.arange(len(ids))[None], supervised=rows + sum(lengths), labels=ids[rows + 1], hidden=hidden, logits=logits,
                                    token_loss=F.cross_entropy(logits[rows].float(), ids[rows + 1], reduction="none")).items():
                parts[name].append(value)
            lengths.append(len(ids))
        theirs = {name: torch.cat(values, -1) if name == "positions" else torch.cat(values) for name, values in parts.items()}
        return {**theirs, "loss": theirs["token_loss"].mean()}, media, lengths

    def gradients(self):
        lora = {plain(name): p.grad for name, p in self.llm.named_parameters() if "lora_" in name and p.grad is not None}
        out = {f"llm.peft.0:{name}": grad for name, grad in lora.items()}
        for stream, parameters in self.connectors.items():
            out |= {f"streams.{stream}.connector:{name}": p.grad for name, p in parameters.items() if p.grad is not None}
        if self.everything:
            base = {plain(name).replace(".base_layer", ""): p.grad for name, p in self.llm.named_parameters() if "lora_" not in name}
            out |= {f"llm:{name}": grad for name, grad in base.items()}
            out |= {f"streams.image.encoder:{name}": grad for name, grad in named_gradients(self.dinov2, tiny.dinov2_old_name).items()}
            out |= {f"streams.audio.encoder:model.encoder.{name}": grad for name, grad in named_gradients(self.whisper).items()}
        return out

    def zero_grad(self):
        for module in (self.llm, self.dinov2, self.whisper):
            module.zero_grad()
        for parameters in self.connectors.values():
            for parameter in parameters.values():
                parameter.grad = None


class Joined(Composition):
    """One stream of two encoders whose features are joined: the second one has other weights and its own layer."""

    def __init__(self, bench):
        super().__init__(bench, everything=False)
        (self.folder / "second").mkdir()
        self.second = tiny.dinov2(self.folder / "second", seed=9, hidden_size=32)
        self.images.save_pretrained(self.folder / "second")
        self.connectors = {"image": layers([80, 48], "layers.", torch.Generator().manual_seed(52))}
        save_file(self.connectors["image"], self.folder / "image.safetensors")
        for parameter in self.connectors["image"].values():
            parameter.requires_grad_(True)

    def table(self):
        f = self.folder
        return super().table().split("[streams.image]")[0] + f"""
[streams.image]
encoder = [{{ plugin = "dinov2", weights = "{f}/image", layer = -2 }}, {{ plugin = "dinov2", weights = "{f}/second" }}]
connector = {{ plugin = "mlp", weights = "{f}/image.safetensors", depth = 1 }}
"""

    def embed_media(self, part):
        pixels = torch.tensor(self.images(Image.open(self.folder / part["image"]), return_tensors="np")["pixel_values"])
        features = [self.dinov2(pixels, output_hidden_states=True).hidden_states[-2], self.second(pixels).last_hidden_state]
        return mlp(torch.cat(features, -1)[:, 1:], self.connectors["image"], "layers.", 1, "gelu")[0]


EXACT = ["ids", "positions", "supervised", "labels"]
NEAR = ["hidden", "logits", "token_loss", "loss"]


def ask(bench, reference, samples, **more):
    return bench.ask("model", model=reference.table(), samples=named(samples), folder=reference.folder, **more)


def compare(bench, case, reference, samples):
    reference.zero_grad()
    theirs, media, lengths = reference.run(samples)
    theirs["loss"].backward()
    answer, out = ask(bench, reference, samples)
    bench.check(f"{case}: ids, places and labels", all(torch.equal(out[name], theirs[name]) for name in EXACT) and answer["media"] == sorted(media, key=lambda m: m[1]) and answer["lengths"] == lengths,
                f"{len(theirs['ids'])} tokens, {len(media)} media")
    bench.compare(f"{case}: hidden, logits, loss", {name: out[name] for name in NEAR}, {name: theirs[name] for name in NEAR})
    gradients = reference.gradients()
    ours = {name: grad for name, grad in starting(out, "grad:").items() if name in gradients or grad.abs().max() > 0}  # no media of a kind: no gradient
    scales = {name: name[:-4] + "weight" for name in gradients if name.endswith("attention.key.bias")}
    bench.compare(f"{case}: gradients", ours, gradients, scales=scales, gradients=gradients)
    return out


def one_by_one(bench, case, reference, samples, batch):
    alone = [ask(bench, reference, [sample])[1] for sample in samples]
    weights = [len(out["labels"]) / len(batch["labels"]) for out in alone]
    ours = {name: torch.cat([out[name] for out in alone]) for name in ("hidden", "token_loss")}
    for name in batch:
        if name.startswith("grad:"):
            ours[name] = sum(w * out[name] for w, out in zip(weights, alone))
    scales = {name: name[:-4] + "weight" for name in ours if name.endswith("attention.key.bias")}
    bench.compare(case, ours, {name: batch[name] for name in ours}, scales=scales, gradients=[name for name in ours if name.startswith("grad:")])


def in_bf16(bench, reference, samples):
    """See bf16.py."""
    outputs = []
    for half in (False, True):
        if half:
            reference.to_bf16()
        reference.zero_grad()
        theirs = reference.run(samples)[0]
        theirs["loss"].backward()
        outputs.append((theirs, {name: grad.float() for name, grad in reference.gradients().items() if not name.endswith("attention.key.bias")}))
    (exact, exact_gradients), (theirs, gradients) = outputs
    _, out = ask(bench, reference, samples, dtype="bf16")
    what = "everything" if reference.everything else "LoRA and connectors"
    for name in ("hidden", "token_loss"):
        bf16.compare(bench, f"composed, {what} trained: {name}", out, theirs, {name: exact[name]})
    bf16.compare(bench, f"composed, {what} trained: gradients", starting(out, "grad:"), gradients, exact_gradients)


def answers(bench, reference):
    expected = []
    with torch.no_grad():
        for sample in SAMPLES:
            x = reference.prepare(sample, answer=True)[3][None]
            out = reference.llm.generate(inputs_embeds=x, attention_mask=torch.ones(x.shape[:2]), max_new_tokens=32, do_sample=False, eos_token_id=None, pad_token_id=0)
            expected.append(out[0].tolist())
    got, _ = bench.ask("generate", model=reference.table(), samples=named(SAMPLES), folder=reference.folder, max_tokens=32)
    bench.check("composed: 32 greedy tokens for each conversation", got["tokens"] == expected)


def run(bench):
    adapters = Composition(bench, everything=False)
    batch = compare(bench, "composed, LoRA and connectors trained", adapters, SAMPLES)
    one_by_one(bench, "composed: one by one equals the batch", adapters, SAMPLES, batch)
    compare(bench, "composed, no media", adapters, [SAMPLES[1]])
    compare(bench, "composed, 1 medium", adapters, [SAMPLES[3]])
    compare(bench, "composed, 3 media", adapters, [SAMPLES[2]])
    answers(bench, adapters)
    in_bf16(bench, adapters, SAMPLES)
    compare(bench, "composed, two encoders in a stream", Joined(bench), [SAMPLES[4], SAMPLES[1]])
    everything = Composition(bench, everything=True)
    batch = compare(bench, "composed, everything trained", everything, SAMPLES)
    one_by_one(bench, "composed, everything trained: one by one equals the batch", everything, SAMPLES, batch)
    in_bf16(bench, everything, SAMPLES)
