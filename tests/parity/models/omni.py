"""Qwen2.5-Omni's thinker, alone and out of the whole model's directory, against transformers: pictures, videos and sounds in one
conversation."""
import json
import random
import wave

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from transformers import Qwen2_5OmniThinkerConfig, Qwen2_5OmniThinkerForConditionalGeneration, WhisperFeatureExtractor

from .conversations import audio, expand, image, named, text, turns, video
from .processors import speech, write_wav
from .whole_checks import adapted, ask, compare, export, greedy, in_pieces, one_changed, read_again
from .whole_grids import Qwen25Vl
from .whole_models import TEMPLATE

EARS = dict(d_model=48, encoder_layers=2, encoder_attention_heads=4, encoder_ffn_dim=96, num_mel_bins=80, n_window=10, output_dim=48)
SAMPLES = [
    turns(("user", [image("a.png"), text("What is this?")]), ("assistant", "A fire engine."), ("user", [text("And this: "), audio("a.wav")]), ("assistant", "Le camion rouge.")),
    turns(("user", "No media here, and <|IMAGE|> or <|AUDIO|> is only a word."), ("assistant", "Yes, it is text.")),
    turns(("system", "Answer in one word."), ("user", [audio("short.wav"), text(" match "), image("b.png"), audio("long.wav"), text("?")]), ("assistant", "Both.")),
    turns(("user", [audio("a.wav")]), ("assistant", "une voix")),
    turns(("user", [video("v.mov"), text("What is this?")]), ("assistant", "A fire engine.")),
    turns(("user", [text("First "), image("a.png"), text(" then "), video("w.mov"), audio("short.wav"), text(" and "), video("v.mov"), image("b.png")]), ("assistant", "Both."), ("user", "Are you sure?"), ("assistant", "Yes!"))]


class Omni(Qwen25Vl):
    """The rate of its videos is not two in all, and then 25 positions a second are counted by the real one."""
    name, architecture, config = "qwen2_5_omni_thinker", Qwen2_5OmniThinkerForConditionalGeneration, Qwen2_5OmniThinkerConfig
    samples, rule, sites = SAMPLES, "", ["q", "gate_proj"]
    token, specials = "<|IMAGE|>", ["<|vision_bos|>", "<|IMAGE|>", "<|vision_eos|>", "<|VIDEO|>", "<|audio_bos|>", "<|AUDIO|>", "<|audio_eos|>"]
    names = {"model.language_model.": "model.", "model.visual.": "visual.", "model.audio_tower.": "audio_tower."}
    template = (TEMPLATE.replace("<image>{{ '\\n' }}", "<|vision_bos|><|IMAGE|><|vision_eos|>").replace("Audio: <|audio_bos|><|AUDIO|><|audio_eos|>{{ '\\n' }}", "<|audio_bos|><|AUDIO|><|audio_eos|>")
                .replace("{% elif part.type == 'audio' %}", "{% elif part.type == 'video' %}<|vision_bos|><|VIDEO|><|vision_eos|>{% elif part.type == 'audio' %}"))
    tower = {name: value for name, value in Qwen25Vl.tower.items() if name != "tokens_per_second"}
    ears, per_second, seconds, form = EARS, 25, 2, "one file"

    def __init__(self, bench):
        super().__init__(bench)
        write_wav(self.folder / "short.wav", speech(0.731, 8))
        number = self.tokenizer.convert_tokens_to_ids
        self.video_id, self.audio_id = number("<|VIDEO|>"), number("<|AUDIO|>")
        self.extractor = WhisperFeatureExtractor(feature_size=self.ears["num_mel_bins"], chunk_length=5)
        path = self.folder / "preprocessor_config.json"
        pictures, sounds = json.loads(path.read_text()), json.loads(self.extractor.to_json_string())
        sounds.pop("processor_class", None)
        if self.form == "one file":  # as it was published
            path.write_text(json.dumps({**sounds, **pictures}))
        else:
            path.unlink()
            (self.folder / "processor_config.json").write_text(json.dumps({"image_processor": pictures, "feature_extractor": sounds, "processor_class": "Qwen2_5OmniProcessor"}))

    def make_model(self, changes):
        number = lambda word: self.tokenizer.convert_tokens_to_ids(f"<|{word}|>")
        marks = dict(audio_token_index=number("AUDIO"), image_token_index=number("IMAGE"), video_token_index=number("VIDEO"), audio_start_token_id=number("audio_bos"), audio_end_token_id=number("audio_eos"),
                     vision_start_token_id=number("vision_bos"), vision_end_token_id=number("vision_eos"))
        return self.architecture(self.config(text_config=dict(changes, rope_parameters=self.sections), vision_config=self.tower, audio_config=self.ears, position_id_per_seconds=self.per_second, seconds_per_chunk=self.seconds, **marks))

    def encode_media(self, media):
        inputs, seen = super().encode_media([part for part in media if part["type"] != "audio"])
        sounds = []
        for part in media:
            if part["type"] == "audio":
                with wave.open(str(self.folder / part["audio"])) as file:
                    sounds.append(np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 32768)
        lengths = iter([])
        if sounds:
            out = self.extractor(sounds, sampling_rate=16000, padding="max_length", return_attention_mask=True, return_tensors="pt")
            inputs.update(input_features=out["input_features"], feature_attention_mask=out["attention_mask"])
            lengths = iter(out["attention_mask"].sum(-1).tolist())
        seen = iter(seen)
        return inputs, [((next(lengths) - 1) // 2 + 1 - 2) // 2 + 1 if part["type"] == "audio" else next(seen) for part in media]

    def timed(self, out):
        return {"video_second_per_grid": torch.tensor([2 / metadata.sampled_fps for metadata in out["video_metadata"]])}

    def prepare(self, sample, answer=False):
        messages, media = self.guarded(sample, answer)
        inputs, counts = self.encode_media(media)
        inputs.pop("mm_token_type_ids", None)
        ids, mask = self.encode(messages, answer)
        marks = [token for token in ids if token in (self.media_id, self.video_id, self.audio_id)]
        ids, supervised, spans = expand(ids, mask, counts, self.media_id, self.video_id, self.audio_id)
        whole = ids.clone()
        for mark, (begin, count) in zip(marks, spans, strict=True):
            whole[begin:begin + count] = mark
        streams = ["audio" if part["type"] == "audio" else "image" for part in media]
        return ids, supervised, [[stream, *span] for stream, span in zip(streams, spans)], {"input_ids": whole[None], "attention_mask": torch.ones_like(whole)[None], **inputs}

    def positions(self, inputs):
        sounds = inputs["feature_attention_mask"].sum(-1) if "feature_attention_mask" in inputs else None
        return self.model.get_rope_index(inputs["input_ids"], inputs.get("image_grid_thw"), inputs.get("video_grid_thw"), inputs["attention_mask"], False, sounds, inputs.get("video_second_per_grid"))[0][:, 0]

    def table(self, trainable=True, more=""):
        return super().table(trainable, f"streams.audio.encoder.trainable = {str(trainable).lower()}\n{more}")


class OmniTied(Omni):
    """Tied embeddings, one head of keys, pairs of vectors across chunks, other positions a second, processors in one nested file."""
    name, per_second, form = "qwen2_5_omni_thinker, tied", 10, "nested"
    tower = {**Omni.tower, "window_size": 24, "fullatt_block_indexes": [0, 2], "num_heads": 4}
    ears = dict(EARS, n_window=7, encoder_attention_heads=2, num_mel_bins=128)

    def make_model(self, changes):
        self.config = lambda **more: Qwen2_5OmniThinkerConfig(**more, tie_word_embeddings=True)
        return super().make_model(dict(changes, num_key_value_heads=1))


def whole_directory(bench, reference, batch):
    """The thinker beside a talker: the same, and what is exported is a thinker."""
    config = json.loads((reference.folder / "config.json").read_text())
    tensors = load_file(reference.folder / "model.safetensors")
    (reference.folder / "model.safetensors").unlink()
    own = {f"thinker.{name}": tensor for name, tensor in tensors.items()}
    save_file({**own, "talker.model.norm.weight": torch.ones(8), "token2wav.x.weight": torch.ones(3, 3), "token2wav.y.weight": torch.ones(3)}, reference.folder / "model.safetensors", metadata={"format": "pt"})
    (reference.folder / "config.json").write_text(json.dumps({"model_type": "qwen2_5_omni", "architectures": ["Qwen2_5OmniForConditionalGeneration"], "enable_audio_output": True, "thinker_config": config,
                                                              "talker_config": {"model_type": "qwen2_5_omni_talker"}, "token2wav_config": {"model_type": "qwen2_5_omni_token2wav"}, "torch_dtype": "float32"}))
    _, out = ask(bench, reference, reference.samples)
    bench.compare("qwen2_5_omni: the thinker of the whole directory", {"hidden": out["hidden"], "logits": out["logits"]}, {"hidden": batch["hidden"], "logits": batch["logits"]})
    target = bench.new_folder()
    bench.ask("model", model=reference.table(trainable=False), samples=named(reference.samples[3:4]), folder=reference.folder, merge=False, export=target)
    written = load_file(target / "model.safetensors")
    bench.check("qwen2_5_omni export: the thinker and nothing else", set(written) == set(own) and all(torch.equal(written[name], own[name]) for name in own), sorted(set(written) ^ set(own))[:4])
    model, info = reference.architecture.from_pretrained(target, output_loading_info=True)
    bench.check("qwen2_5_omni export: no key missing or left", not any(info.values()), {name: keys for name, keys in info.items() if keys})


def features(bench):
    """Spectrograms at their true length, and their counts, at the edges of frames and chunks; what is longer than the extractor takes is more parts."""
    from transformers.models.qwen2_5_omni.processing_qwen2_5_omni import _get_feat_extract_output_lengths
    folder = bench.new_folder()
    reference = Ears(folder)
    lengths = sorted({1, 160, 320, 321, 480, 481, 16000, 32000, 79999, 80000, *[frames * 160 + more for frames in (3, 4, 19, 20, 21, 39, 40, 41, 99, 100, 101, 498, 499, 500) for more in (-1, 0, 1)]} - {80001})
    generator = random.Random(5)
    lengths += [generator.randrange(481, 80000) for _ in range(40)]
    files = []
    for i, length in enumerate(lengths):
        files.append(str(folder / f"{i}.wav"))
        write_wav(files[-1], speech(5.2, i)[:length])
    answer, out = bench.ask("process", plugin="qwen2_5_omni_audio", weights=folder, media=files)
    expected = {}
    for i, length in enumerate(lengths):
        mel = reference(np.asarray(speech(5.2, i)[:length]).astype(np.float32) / 32768, sampling_rate=16000, padding="max_length", return_attention_mask=True, return_tensors="pt")
        expected[f"{i}.0"] = mel["input_features"][0][:, :max(3, int(mel["attention_mask"].sum()))]
    bench.compare(f"qwen2_5_omni_audio: spectrograms of {len(lengths)} lengths", out, expected)
    counts = [grids[0][0] * grids[0][1] for grids in answer["grids"]]
    wanted = [max(1, int(_get_feat_extract_output_lengths(-(-length // 160)))) for length in lengths]
    bench.check("qwen2_5_omni_audio: counts; up to 20 ms one vector, where transformers has none", counts == wanted and all(len(grids) == 1 for grids in answer["grids"]))
    many = sorted({frames * 160 + more for frames in range(3, 500) for more in (-1, 0, 1)})  # all edges of chunks of 20 frames among them
    many += [generator.randrange(1, 80000) for _ in range(2000 - len(many))]
    got = bench.ask("part_counts", plugin="qwen2_5_omni_audio", weights=folder, shapes=[[n] for n in many])[0]["counts"]
    wanted = [[1, max(1, int(n))] for n in _get_feat_extract_output_lengths(torch.tensor([-(-n // 160) for n in many]))]
    bench.check(f"qwen2_5_omni_audio: vectors of sounds of {len(many)} lengths", got == wanted, [case for case in zip(many, got, wanted) if case[1] != case[2]][:3] or "")
    samples = speech(11.3, 3)
    write_wav(folder / "long.wav", samples)
    answer, out = bench.ask("process", plugin="qwen2_5_omni_audio", weights=folder, media=[str(folder / "long.wav")])
    pieces = {f"0.{i}": reference(samples[i * 80000:(i + 1) * 80000].astype(np.float32) / 32768, sampling_rate=16000, padding="max_length", return_attention_mask=True, return_tensors="pt") for i in range(3)}
    bench.compare("qwen2_5_omni_audio: a longer sound is cut into parts", out, {name: mel["input_features"][0][:, :int(mel["attention_mask"].sum())] for name, mel in pieces.items()})
    for key, value in (("hop_length", 80), ("n_fft", 512), ("sampling_rate", 8000), ("feature_size", 128), ("chunk_length", 0), ("dither", 0.1)):
        (folder / "preprocessor_config.json").write_text(json.dumps({**json.loads(reference.to_json_string()), key: value}))
        bench.refused(f"qwen2_5_omni_audio refuses {key} = {value}", key, "process", plugin="qwen2_5_omni_audio", weights=folder, media=[])


def Ears(folder):
    (folder / "config.json").write_text(json.dumps({**EARS, "model_type": "qwen2_5_omni_audio_encoder"}))
    extractor = WhisperFeatureExtractor(feature_size=80, chunk_length=5)
    extractor.save_pretrained(folder)
    return extractor


def positions(bench):
    """1,000 samples of text, pictures, videos and sounds in any order equal get_rope_index."""
    small = dict(vocab_size=96, hidden_size=24, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1, rope_parameters={"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 2, 2]})
    options = "\n".join(f"{key} = {value}" for key, value in dict(vocab_size=96, hidden_size=24, intermediate_size=8, num_layers=1, num_heads=2, num_kv_heads=1, mrope_section=[2, 2, 2]).items())
    tower = dict(depth=1, num_heads=1, hidden_size=8, spatial_merge_size=2)
    marks = dict(audio_token_index=3, image_token_index=4, video_token_index=5, audio_start_token_id=6, audio_end_token_id=7, vision_start_token_id=8, vision_end_token_id=9)
    with torch.device("meta"):
        model = Qwen2_5OmniThinkerForConditionalGeneration(Qwen2_5OmniThinkerConfig(text_config=small, vision_config=tower, audio_config=dict(EARS, encoder_layers=1), **marks))
    generator = random.Random(9)
    layouts, expected = [], []
    for _ in range(1000):
        ids, media, pictures, clips, seconds, sounds = [1] * generator.randint(1, 4), [], [], [], [], []
        for kind in generator.choices(["image", "video", "audio"], k=generator.randint(0, 5)):
            rows, columns, parts = generator.randint(1, 5), generator.randint(1, 5), generator.randint(1, 6)
            if kind == "audio":
                frames = generator.randint(3, 130)
                tokens = ((frames - 1) // 2 + 1 - 2) // 2 + 1
                sounds.append(frames)
                ids += [6] + [3] * tokens + [7]
                media.append({"begin": len(ids) - 1 - tokens, "parts": [[1, tokens]], "step": 0.0})
            else:
                time = generator.choice([0.4, 0.5, 1.0, 1.25, 2.0, 0.7]) if kind == "video" else 0.04
                parts = parts if kind == "video" else 1
                (clips if kind == "video" else pictures).append([parts, 2 * rows, 2 * columns])
                if kind == "video":
                    seconds.append(time)
                tokens = parts * rows * columns
                ids += [8] + [5 if kind == "video" else 4] * tokens + [9]
                media.append({"begin": len(ids) - 1 - tokens, "parts": [[rows, columns]] * parts, "step": time, "rate": 25})
            ids += [1] * generator.randint(0, 6)
        layouts.append({"tokens": len(ids), "media": media})
        row = torch.tensor([ids])
        theirs = model.get_rope_index(row, torch.tensor(pictures) if pictures else None, torch.tensor(clips) if clips else None, torch.ones_like(row), False, torch.tensor(sounds) if sounds else None, torch.tensor(seconds) if seconds else None)
        expected.append(theirs[0][:, 0])
    got = bench.ask("positions", plugin="qwen2_vl_text", options=options + "\n", layouts=layouts)[1]
    wrong = [i for i, one in enumerate(expected) if not torch.equal(got[str(i)], one)]
    bench.check("qwen2_vl_text positions, Qwen2.5-Omni: 1000 samples equal get_rope_index", not wrong, f"{len(wrong)} differ, {wrong[:3]}")


def sizes(bench):
    text_7b = dict(rope_parameters={"rope_type": "default", "rope_theta": 1e6, "mrope_section": [16, 24, 24]})
    config = Qwen2_5OmniThinkerConfig(text_config=text_7b, vision_config=dict(hidden_size=1280), audio_config={})
    with torch.device("meta"):
        count = sum(p.numel() for name, p in Qwen2_5OmniThinkerForConditionalGeneration(config).named_parameters() if "audio_bos_eos_token" not in name)  # which the model never reads
    folder = bench.new_folder()
    config.save_pretrained(folder)
    answer, _ = bench.ask("parameters", model=f'from = "{folder}"\n')
    bench.check(f"qwen2_5_omni_thinker, Qwen2.5-Omni-7B: {count} parameters", answer["parameters"] == count, answer)


def run(bench):
    features(bench)
    positions(bench)
    sizes(bench)
    for kind in (Omni, OmniTied):
        reference = kind(bench)
        samples = reference.samples
        batch = compare(bench, f"{reference.name}, mixed batch", reference, samples)
        for what, index in (("0 media", 1), ("1 sound", 3), ("3 media", 2), ("a video", 4), ("all kinds", 5)):
            compare(bench, f"{reference.name}, {what}", reference, [samples[index]])
        alone = [ask(bench, reference, [sample])[1] for sample in samples]
        bench.compare(f"{reference.name}: one by one equals the batch", {"hidden": torch.cat([out["hidden"] for out in alone])}, {"hidden": batch["hidden"]})
        one_changed(bench, reference, batch, [len(out["ids"]) for out in alone])
        greedy(bench, reference, samples)
        export(bench, reference)
        read_again(bench, reference)
        in_pieces(bench, reference)
        if kind is Omni:
            whole_directory(bench, Omni(bench), batch)
            adapted(bench, reference)
