"""InternVL: towers, tiles, frames and whole models, in the form of transformers and in that of the remote code, against
transformers. Of the remote code's form the reference is transformers' model whose tensors were renamed and joined, as
OpenGVLab/InternVL names them."""
import json
import random
import re

import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import InternVLConfig, InternVLForConditionalGeneration, InternVLProcessor, InternVLVisionConfig, InternVLVisionModel, LlamaConfig, PreTrainedTokenizerFast, Qwen2Config, Qwen3Config
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil, get_optimal_tiled_canvas
from transformers.models.internvl.video_processing_internvl import InternVLVideoProcessor
from transformers.video_utils import VideoMetadata

from . import tiny
from .common import starting
from .conversations import TEMPLATE as STRINGS
from .conversations import image, named, text, turns, video
from .encoders import compare as compare_tower
from .processors import picture
from .whole import family
from .whole_checks import adapted, ask, export, greedy, in_pieces, layout, read_again
from .whole_grids import write_video
from .whole_models import EXACT, NEAR, Pictures, TEMPLATE
from .whole_sizes import counted

TOWER = dict(hidden_size=48, intermediate_size=80, num_hidden_layers=3, num_attention_heads=4, image_size=28, patch_size=7)
SIX_B = dict(norm_type="rms_norm", use_qk_norm=True)
# In this order, as a name that was changed is not changed again.
REMOTE = {"model.vision_tower.": "vision_model.", "embeddings.cls_token": "embeddings.class_embedding", "position_embeddings": "position_embedding", "patch_embeddings.projection": "patch_embedding",
          "encoder.layer.": "encoder.layers.", "layernorm_before": "norm1", "layernorm_after": "norm2", "attention.projection_layer": "attn.proj", "attention.": "attn.", "lambda_": "ls",
          "model.multi_modal_projector.layer_norm": "mlp1.0", "model.multi_modal_projector.linear_1": "mlp1.1", "model.multi_modal_projector.linear_2": "mlp1.3",
          "model.language_model.": "language_model.model.", "lm_head.": "language_model.lm_head."}
MERGED = re.compile(r"(vision_model\..*attn\.)([qkv])_proj(\..*)")


def remote_tensors(tensors):
    """By the remote code's names, queries, keys and values joined."""
    out, apart = {}, {}
    for name, tensor in tensors.items():
        inside = name.startswith("model.vision_tower.")
        for ours, theirs in REMOTE.items():
            if inside or ours.startswith(("model.", "lm_head.")):
                name = name.replace(ours, theirs)
        merged = MERGED.fullmatch(name)
        if merged:
            apart.setdefault(merged[1] + "qkv" + merged[3], {})[merged[2]] = tensor
        else:
            out[name] = tensor
    return out | {name: torch.cat([parts[one] for one in "qkv"]) for name, parts in apart.items()}


def towers(bench):
    """Layer norms and RMS norms, with and without biases and norms of queries and keys, in both forms."""
    generator = torch.Generator().manual_seed(17)
    for number, (case, changes) in enumerate({"300M": dict(attention_bias=True), "6B": SIX_B, "biases, norms of queries and keys, a final norm": dict(SIX_B, norm_type="layer_norm", attention_bias=True, use_mean_pooling=False), "RMS norms, no biases": dict(norm_type="rms_norm", use_mask_token=True)}.items()):
        folder, old = bench.new_folder(), bench.new_folder()
        model = tiny.randomise(InternVLVisionModel(InternVLVisionConfig(**TOWER, **changes)), 30 + number)
        model.save_pretrained(folder)
        forward = lambda x, layer: (lambda out: out.last_hidden_state if layer == -1 else out.hidden_states[layer])(model(x, output_hidden_states=True))
        for layer, size, keep in [(-1, (28, 28), False), (-2, (28, 28), True), (0, (28, 28), False), (3, (28, 28), False), (-1, (35, 21), False)]:
            x = torch.randn(2, 3, *size, generator=generator)
            compare_tower(bench, f"internvit, {case}, layer {layer}, {size[0]} x {size[1]}{', class token' if keep else ''}", "internvit", model, folder, x, f"layer = {layer}\nclass_token = {str(keep).lower()}",
                          lambda x: forward(x, layer) if keep else forward(x, layer)[:, 1:])
        # The same from a file of the remote code: one layer for queries, keys and values.
        tensors = {name.removeprefix("vision_model."): tensor for name, tensor in remote_tensors({"model.vision_tower." + name: tensor for name, tensor in model.state_dict().items() if "mask_token" not in name}).items()}
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, old / "model.safetensors")
        (old / "config.json").write_text(json.dumps(remote_tower(json.loads((folder / "config.json").read_text()))))
        x, more = torch.randn(2, 3, 28, 28, generator=generator), "final_norm = true\n" if changes.get("use_mean_pooling") is False else ""
        model.zero_grad()
        leaf = x.clone().requires_grad_(True)
        y = forward(leaf, -1)[:, 1:]
        grad = torch.randn(y.shape, generator=generator)
        y.backward(grad)
        _, out = bench.ask("encoder", {"x": x, "grad": grad}, plugin="internvit", weights=old, options=more)
        gradients = {name.removeprefix("vision_model."): tensor for name, tensor in remote_tensors({"model.vision_tower." + name: p.grad for name, p in model.named_parameters() if p.grad is not None}).items()}
        bench.compare(f"internvit, {case}, a file of the remote code", {"y": out["y"], "x": out["grad_x"], **starting(out, "grad:")}, {"y": y, "x": leaf.grad, **gradients}, gradients=gradients.keys() | {"x"})


def remote_tower(config):
    """As configuration_intern_vit.py writes it."""
    keys = {"hidden_size": "hidden_size", "intermediate_size": "intermediate_size", "num_hidden_layers": "num_hidden_layers", "num_attention_heads": "num_attention_heads", "norm_type": "norm_type",
            "layer_norm_eps": "layer_norm_eps", "hidden_act": "hidden_act", "attention_bias": "qkv_bias", "use_qk_norm": "qk_normalization", "num_channels": "num_channels"}
    return {"model_type": "intern_vit_6b", "architectures": ["InternVisionModel"], "use_flash_attn": True, "initializer_factor": 1.0, "drop_path_rate": 0.0, "dropout": 0.0, "image_size": config["image_size"][0], "patch_size": config["patch_size"][0],
            **{theirs: config[ours] for ours, theirs in keys.items()}}


def tiles(bench):
    """How many there are of pictures of 5,000 sizes, and to the bit what they are."""
    generator = random.Random(3)
    sizes = [[1, 1], [1, 200], [201, 1], [448, 448], [447, 449], [448, 896], [449, 896], [560, 448], [1000, 1250], [1344, 448]]
    sizes += [[int(10 ** generator.uniform(0, 3.5)), int(10 ** generator.uniform(0, 3.5))] for _ in range(5000 - len(sizes))]
    for least, most, edge in [(1, 12, 448), (1, 6, 448), (9, 12, 448), (3, 5, 28)]:
        got = bench.ask("tile_grids", sizes=sizes, least=least, most=most, edge=edge)[0]["grids"]
        expected = [list(reversed(get_optimal_tiled_canvas(tuple(size), (edge, edge), least, most))) for size in sizes]
        bench.check(f"internvit, grids of {len(sizes)} pictures, {least} to {most} tiles of {edge}", got == expected, [case for case in zip(sizes, got, expected) if case[1] != case[2]][:3] or "")
    small = [[h, w] for h in (1, 2, 27, 28, 29, 56, 57) for w in (1, 28, 55, 56, 84)]
    small += [[int(10 ** generator.uniform(0, 2.4)), int(10 ** generator.uniform(0, 2.4))] for _ in range(5000 - len(small))]
    for least, most in [(1, 12), (3, 5)]:
        processor = GotOcr2ImageProcessorPil(size={"height": 28, "width": 28}, min_patches=least, max_patches=most, crop_to_patches=True)
        expected = [[count, 4 * count] for count in (processor.get_number_of_image_patches(*size, {}) for size in small)]
        options = f"hidden_size = 16\nintermediate_size = 24\nnum_layers = 1\nnum_heads = 2\npatch_size = 7\nimage_size = 28\ninput_size = 28\nmin_tiles = {least}\nmax_tiles = {most}\n"
        got = bench.ask("part_counts", plugin="internvit", options=options, shapes=small, connector="pixel_shuffle", connector_options="factor = 2\n")[0]["counts"]
        wrong = [case for case in zip(small, got, expected) if case[1] != case[2]]
        bench.check(f"internvit, tiles and embeddings of {len(small)} pictures, {least} to {most} tiles", not wrong, wrong[:3] or "")
    folder = bench.new_folder()
    InternVLVisionModel(InternVLVisionConfig(**TOWER)).save_pretrained(folder)
    for settings in [dict(max_patches=6), dict(min_patches=2, max_patches=4, image_mean=[0.5] * 3, image_std=[0.5] * 3, resample=2), dict(max_patches=1)]:
        processor = GotOcr2ImageProcessorPil(size={"height": 28, "width": 28}, **settings)
        processor.save_pretrained(folder)
        files, expected = [], {}
        for i, size in enumerate([(97, 61), (28, 28), (40, 300), (300, 41), (20, 22), (56, 56), (33, 100), (57, 113), (1, 1)]):
            files.append(str(folder / f"{i}.png"))
            Image.fromarray(picture(*size, seed=i)).save(files[-1])
            for part, pixels in enumerate(processor(Image.open(files[-1]), crop_to_patches=True, return_tensors="np")["pixel_values"]):
                expected[f"{i}.{part}"] = torch.tensor(pixels)
        _, out = bench.ask("process", plugin="internvit", weights=folder, media=files)
        bench.check(f"internvit, tiles to the bit, {settings}", sorted(out) == sorted(expected) and all(torch.equal(out[name], expected[name]) for name in expected), f"{len(expected)} tiles")
    bench.refused("internvit refuses min_tiles above max_tiles", "min_tiles = 3", "process", plugin="internvit", weights=folder, media=[], options="max_tiles = 2\nmin_tiles = 3")
    bench.refused("internvit refuses tiles of a cropped picture", 'fit = "crop"', "process", plugin="internvit", weights=folder, media=[], options='max_tiles = 2\nfit = "crop"')


def frames(bench):
    """Which of 500 videos, by number and by time; a file of its own, and what it may not say."""
    folder, generator = bench.new_folder(), random.Random(5)
    InternVLVisionModel(InternVLVisionConfig(**TOWER)).save_pretrained(folder)
    GotOcr2ImageProcessorPil(size={"height": 28, "width": 28}).save_pretrained(folder)
    processor = InternVLVideoProcessor(size={"height": 28, "width": 28}, num_frames=5)
    processor.save_pretrained(folder)
    videos = [[int(10 ** generator.uniform(0.8, 3.5)), generator.choice([1, 2, 12.5, 23.976, 25, 30000 / 1001, 60]), 40, 56] for _ in range(500)]
    for wish, named_so in [({}, {"num_frames": 5}), ({"frames": 6}, {"num_frames": 6}), ({"frames_per_second": 0.7}, {"fps": 0.7})]:
        got = bench.ask("frames", plugin="internvit", weights=folder, videos=videos, **wish)[0]["choices"]
        wrong, compared = [], 0
        processor.num_frames = 5 if not wish else None
        for one, choice in zip(videos, got):
            if wish.get("frames_per_second") and one[0] / one[1] * 0.7 < 1:  # no frame, of which we take one
                continue
            theirs = processor.sample_frames(VideoMetadata(total_num_frames=one[0], fps=one[1]), **named_so).tolist()
            compared += 1
            if choice["numbers"] != theirs or (choice["height"], choice["width"], choice["step"]) != (28, 28, 1):
                wrong.append((one, choice, theirs))
        bench.check(f"internvit, frames of {compared} videos, {wish or 'by default'}", not wrong and compared > 350, wrong[:2] or "")
    short = bench.ask("frames", plugin="internvit", weights=folder, videos=[[3, 25, 40, 56], [0, 25, 40, 56]])[0]["choices"]
    bench.check("internvit, a video with fewer frames than are asked for gives all; one without is refused", short[0]["numbers"] == [0, 1, 2] and short[1] is None, short)
    written = json.loads((folder / "video_preprocessor_config.json").read_text())
    for key, value in [("image_mean", [0.1, 0.2, 0.3]), ("resample", 2), ("video_processor_type", "Qwen3VLVideoProcessor"), ("do_resize", False), ("initial_shift", False), ("rescale_factor", 1.0), ("fps", 2), ("size", {"height": 28, "width": 56})]:
        (folder / "video_preprocessor_config.json").write_text(json.dumps({**written, key: value}))
        bench.refused(f"internvit refuses {key} = {value} of videos", "width" if key == "size" else key, "frames", plugin="internvit", weights=folder, videos=[])


class InternVl(Pictures):
    """Qwen2; four vectors a tile, up to four tiles."""
    name, architecture, token = "internvl", InternVLForConditionalGeneration, "<IMG_CONTEXT>"
    specials, sites = ["<img>", "<IMG_CONTEXT>", "</img>", "<video>"], ["q_proj", "projection_layer", "fc1"]
    template = TEMPLATE.replace("<image>", "<IMG_CONTEXT>").replace("{% elif part.type == 'audio' %}", "{% elif part.type == 'video' %}<video>{{ '\\n' }}{% elif part.type == 'audio' %}")
    samples = Pictures.samples + [
        turns(("user", [video("v.mov"), text("What is this?")]), ("assistant", "A fire engine.")),
        turns(("user", [text("First "), image("a.png"), text(" then "), video("v.mov"), image("b.png")]), ("assistant", "Both."), ("user", "Are you sure?"), ("assistant", "Yes!"))]
    tower, layer, tied, most, vectors = dict(TOWER, attention_bias=True), -1, False, 4, 4
    more = {}

    def __init__(self, bench):
        self.clip = torch.stack([torch.from_numpy(picture(28, 28, seed=i)) for i in range(9)]).numpy()  # of a size that needs no resizing, which rounds otherwise there
        like = self.image_processor()
        self.video_processor = InternVLVideoProcessor(size=dict(height=like.size["height"], width=like.size["width"]), image_mean=like.image_mean, image_std=like.image_std, do_sample_frames=False)
        super().__init__(bench)
        write_video(self.folder / "v.mov", self.clip, 3)
        self.video_processor.save_pretrained(self.folder)
        marked = "<img><IMG_CONTEXT></img>"
        self.tokenizer.chat_template = self.template.replace("<IMG_CONTEXT>", marked).replace("<video>", marked)

    def image_processor(self):
        return GotOcr2ImageProcessorPil(size={"height": 28, "width": 28}, max_patches=self.most)

    def make_processor(self):
        return self.image_processor()

    def make_model(self, changes):
        text = self.text({**changes, "tie_word_embeddings": self.tied, **self.more})
        return self.architecture(InternVLConfig(vision_config=InternVLVisionConfig(**self.tower), text_config=text, image_token_id=self.media_id, image_seq_length=self.vectors, vision_feature_layer=self.layer, tie_word_embeddings=self.tied))

    def text(self, changes):
        return Qwen2Config(**changes)

    def chosen(self):
        return self.clip[self.video_processor.sample_frames(VideoMetadata(total_num_frames=len(self.clip), fps=3), num_frames=8).numpy()]

    def encode_media(self, media):
        """The tiles of pictures and the frames of videos in their order, and the vectors of each mark."""
        pixels, counts = [], []
        for part in media:
            if part["type"] == "image":
                pixels.append(self.processor(images=[Image.open(self.folder / part["image"])], crop_to_patches=True, return_tensors="pt")["pixel_values"])
                counts.append(self.vectors * len(pixels[-1]))
            else:
                pixels.append(self.video_processor(videos=[self.chosen()], return_tensors="pt")["pixel_values_videos"][0])
                counts += [self.vectors] * len(pixels[-1])
        return ({"pixel_values": torch.cat(pixels)} if pixels else {}), counts

    def guarded(self, sample, answer):
        """Each frame of a video is one, after its number."""
        messages, media = super().guarded(sample, answer)
        timed = lambda part: [one for i in range(8) for one in (text(f"Frame{i + 1}: "), part)] if part["type"] == "video" else [part]
        return [{**message, "content": [one for part in message["content"] for one in timed(part)]} for message in messages], media

    def processed(self, sample):
        """Ids as InternVLProcessor makes them of what the directory's template writes, with 0 for media."""
        marks = {"start_image_token": "<img>", "end_image_token": "</img>", "context_image_token": "<IMG_CONTEXT>", "video_token": "<video>"}
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=self.tokenizer.backend_tokenizer, extra_special_tokens=marks, chat_template=self.template)
        media = [part for message in sample["messages"] if isinstance(message["content"], list) for part in message["content"] if part["type"] != "text"]
        messages = [{**message, "content": message["content"] if isinstance(message["content"], list) else [text(message["content"])]} for message in sample["messages"]]
        written = tokenizer.apply_chat_template(messages, tokenize=False)
        processor = InternVLProcessor(self.image_processor(), tokenizer, self.video_processor, image_seq_length=self.vectors)
        pictures, clips = [Image.open(self.folder / part["image"]) for part in media if part["type"] == "image"], [self.chosen() for part in media if part["type"] == "video"]
        ids = torch.as_tensor(processor(images=pictures or None, videos=clips or None, text=[written])["input_ids"]).flatten()
        return torch.where(ids == self.media_id, 0, ids)


class InternVlQwen3(InternVl):
    """As the 38B: RMS norms, also of queries and keys, the layer before the last; tied, four groups of keys."""
    name, tower, layer, tied, most = "internvl, 6B tower, Qwen3", dict(TOWER, **SIX_B), -2, True, 2
    more, read_blocks = dict(head_dim=16, num_key_value_heads=4), "01"

    def text(self, changes):
        return Qwen3Config(**changes)


class InternVlLlama(InternVl):
    """Llama, one head of keys, a final norm, nine vectors of each tile."""
    name, most, vectors = "internvl, Llama", 3, 9
    tower = dict(TOWER, image_size=42, use_mean_pooling=False, attention_bias=True)
    more = dict(num_key_value_heads=1)

    def __init__(self, bench):
        super().__init__(bench)
        self.samples = self.samples[:4]  # frames are of another size

    def image_processor(self):
        return GotOcr2ImageProcessorPil(size={"height": 42, "width": 42}, max_patches=self.most, image_mean=[0.5] * 3, image_std=[0.25] * 3)

    def text(self, changes):
        return LlamaConfig(**changes)


def as_remote(reference, most):
    """Its directory as the remote code writes one."""
    folder, config = reference.folder, json.loads((reference.folder / "config.json").read_text())
    tensors = remote_tensors({name: tensor for name, tensor in reference.model.state_dict().items() if not (reference.tied and name == "lm_head.weight")})
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps({
        "model_type": "internvl_chat", "architectures": ["InternVLChatModel"], "auto_map": {"AutoConfig": "configuration_internvl_chat.InternVLChatConfig"}, "ps_version": "v2", "downsample_ratio": 0.5,
        "select_layer": reference.layer, "force_image_size": 28, "dynamic_image_size": True, "use_thumbnail": True, "min_dynamic_patch": 1, "max_dynamic_patch": most, "template": "internvl2_5", "pad2square": False, "use_backbone_lora": 0, "use_llm_lora": 0,
        "llm_config": config["text_config"], "vision_config": remote_tower(config["vision_config"]), "torch_dtype": "float32", "tie_word_embeddings": reference.tied}))
    (folder / "configuration_internvl_chat.py").write_text("raise SystemExit('this is not run')\n")
    mean, std = reference.image_processor().image_mean, reference.image_processor().image_std
    (folder / "preprocessor_config.json").write_text(json.dumps({"crop_size": 28, "do_center_crop": True, "do_normalize": True, "do_resize": True, "feature_extractor_type": "CLIPFeatureExtractor", "image_mean": list(mean), "image_std": list(std), "resample": 3, "size": 28}))
    for name in ("processor_config.json", "video_preprocessor_config.json", "chat_template.jinja"):
        (folder / name).unlink(missing_ok=True)
    tokenizer = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**tokenizer, "chat_template": STRINGS}))


class Remote(InternVl):
    """The remote code's directory of the same model; its template knows text only."""
    name, sites = "internvl_chat", ["fc1", "fc2"]  # queries, keys and values are one layer there

    def __init__(self, bench):
        super().__init__(bench)
        as_remote(self, self.most)
        self.architecture = self

    def rename(self, adapter):
        save_file({name.replace("encoder.layer.", "encoder.layers."): tensor.clone() for name, tensor in load_file(adapter).items()}, adapter.with_name("renamed"), metadata={"format": "pt"})
        adapter.with_name("renamed").rename(adapter)

    def from_pretrained(self, folder, output_loading_info):
        """transformers' model with the tensors of such a directory."""
        stored, expected = load_file(folder / "model.safetensors"), load_file(self.folder / "model.safetensors")
        wrong = {"names": sorted(set(stored) ^ set(expected)), "type": [] if json.loads((folder / "config.json").read_text())["model_type"] == "internvl_chat" else ["model_type"],
                 "code": [] if (folder / "configuration_internvl_chat.py").read_bytes() == (self.folder / "configuration_internvl_chat.py").read_bytes() else ["configuration_internvl_chat.py"]}
        model = InternVLForConditionalGeneration(self.model.config)
        model.load_state_dict(self.apart(stored, model.state_dict()))
        return model, wrong

    def apart(self, stored, like):
        """By transformers' names."""
        out = {}
        for name, tensor in like.items():
            (remote, _), = remote_tensors({name: tensor}).items() if not re.search(r"vision_tower.*attention\.[qkv]_proj", name) else [(None, None)]
            if remote:
                out[name] = stored[remote] if remote in stored else stored["language_model.model.embed_tokens.weight"]
                continue
            kind = re.search(r"attention\.([qkv])_proj", name)[1]
            joined = next(iter(remote_tensors({name.replace(f"{kind}_proj", f"{one}_proj"): tensor for one in "qkv"})))
            out[name] = stored[joined].chunk(3)["qkv".index(kind)]
        return out


class RemoteQwen3(Remote, InternVlQwen3):
    name = "internvl_chat, 6B tower, Qwen3"


def compare_remote(bench, reference):
    """Ids, places, hidden states, logits, loss, and every gradient by the remote code's names."""
    reference.model.zero_grad()
    theirs, media, lengths = reference.run(reference.samples)
    theirs["loss"].backward()
    answer, out = ask(bench, reference, reference.samples)
    bench.check(f"{reference.name}: ids, places and labels", all(torch.equal(out[name], theirs[name]) for name in EXACT) and answer["media"] == media and answer["lengths"] == lengths, f"{len(theirs['ids'])} tokens, {len(media)} media")
    bench.compare(f"{reference.name}: hidden, logits, loss", {name: out[name] for name in NEAR}, {name: theirs[name] for name in NEAR})
    gradients = remote_tensors({name: p.grad for name, p in reference.model.named_parameters() if p.grad is not None})
    ours = {name.split(":", 1)[1]: grad for name, grad in starting(out, "grad:").items()}
    ours = {name: grad for name, grad in ours.items() if name in gradients or grad.abs().max() > 0}
    scales = {name: name[:-4] + "weight" for name in gradients if name.endswith("k_proj.bias")}
    bench.compare(f"{reference.name}: gradients", ours, gradients, scales=scales, gradients=gradients)
    greedy(bench, reference, reference.samples)


def refusals(bench, remote):
    """What a directory of the remote code may say that is not computed here."""
    path = remote.folder / "config.json"
    written = json.loads(path.read_text())
    for key, value, word in [("ps_version", "v1", "column by column"), ("ps_version", None, "column by column"), ("use_thumbnail", False, "use_thumbnail"), ("pad2square", True, "pad2square"), ("use_llm_lora", 16, "use_llm_lora"),
                             ("llm_config", {**written["llm_config"], "model_type": "gpt_oss"}, "'gpt_oss', which no language_model plugin reads"), ("downsample_ratio", 0.4, "one over a whole number"), ("select_layer", [-1, -2], "one layer"), ("llm_config", {**written["llm_config"], "model_type": "internlm2"}, "'internlm2', which no language_model plugin reads")]:
        path.write_text(json.dumps({**written, key: value}))
        bench.refused(f"internvl_chat refuses {key} = {str(value)[:20]}", word, "parameters", model=f'from = "{remote.folder}"\n')
    path.write_text(json.dumps({**written, "dynamic_image_size": False}))
    answer, _ = bench.ask("model", model=remote.table(trainable=False), samples=named([remote.samples[3]]), folder=remote.folder)
    bench.check("internvl_chat without dynamic_image_size: the picture alone", answer["media"][0][2] == 4, answer["media"])
    path.write_text(json.dumps(written))


def sizes(bench):
    """At the sizes of published models."""
    tower = dict(hidden_size=1024, intermediate_size=4096, num_hidden_layers=24, num_attention_heads=16, attention_bias=True)
    large = dict(hidden_size=3200, intermediate_size=12800, num_hidden_layers=45, num_attention_heads=25, norm_type="rms_norm", use_qk_norm=True)
    qwen = dict(vocab_size=151674, num_key_value_heads=2)
    for name, vision, language in [("InternVL3-2B", tower, Qwen2Config(**qwen, hidden_size=1536, intermediate_size=8960, num_hidden_layers=28, num_attention_heads=12)),
                                   ("InternVL3.5-8B", tower, Qwen3Config(vocab_size=151936, hidden_size=4096, intermediate_size=12288, num_hidden_layers=36, num_attention_heads=32, num_key_value_heads=8)),
                                   ("InternVL3-38B", large, Qwen2Config(vocab_size=151674, hidden_size=5120, intermediate_size=27648, num_hidden_layers=64, num_attention_heads=40, num_key_value_heads=8))]:
        counted(bench, f"internvl, {name}", InternVLConfig(vision_config=InternVLVisionConfig(**vision), text_config=language, tie_word_embeddings=False), InternVLForConditionalGeneration,
                2_088_957_440 if name == "InternVL3-2B" else None)


def run(bench):
    towers(bench)
    tiles(bench)
    frames(bench)
    sizes(bench)
    for kind in (InternVl, InternVlQwen3, InternVlLlama):
        reference = family(bench, kind)
        layout(bench, reference)
        adapted(bench, reference)
    for kind in (Remote, RemoteQwen3):
        reference = kind(bench)
        compare_remote(bench, reference)
        read_again(bench, reference)
        in_pieces(bench, reference)
        export(bench, reference)
        if kind is Remote:
            refusals(bench, reference)
