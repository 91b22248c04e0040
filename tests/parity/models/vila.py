"""VILA and NVILA directories against their definition, written out on SiglipVisionModel, Qwen2ForCausalLM and
LlamaForCausalLM of transformers, which has no class for them (NVlabs/VILA: llava/mm_utils.py, llava/model/llava_arch.py,
multimodal_projector/base_projector.py, encoders/image/basic.py)."""
import json
import random

import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM, SiglipImageProcessorPil, SiglipVisionConfig, SiglipVisionModel
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import get_optimal_tiled_canvas

from . import tiny
from .common import likeliest, starting
from .conversations import image, make_tokenizer, named, tokenise, write_media
from .whole_checks import adapted, exports, greedy, in_pieces, one_changed, read_again
from .whole_models import EXACT, NEAR, TEXT, samples_of

EDGE, PATCH, WIDTH = 28, 7, tiny.VIT["hidden_size"]


def cut(picture, columns, rows):
    """The picture stretched over a grid of squares, row by row."""
    canvas = picture.resize((columns * EDGE, rows * EDGE))
    return [canvas.crop((x * EDGE, y * EDGE, (x + 1) * EDGE, (y + 1) * EDGE)) for y in range(rows) for x in range(columns)]


def joined(x, factor):
    """[n, rows, columns, width] -> the same of squares of vectors, each one after the other; what is missing is zero."""
    rows, columns = (-(-size // factor) for size in x.shape[1:3])
    x = F.pad(x, (0, 0, 0, columns * factor - x.shape[2], 0, rows * factor - x.shape[1]))
    return torch.stack([torch.stack([x[:, r * factor:(r + 1) * factor, c * factor:(c + 1) * factor].flatten(1) for c in range(columns)], 1) for r in range(rows)], 1)


class Definition(torch.nn.Module):
    def __init__(self, llm, factor, scales):
        super().__init__()
        self.llm, self.factor, self.scales, self.layer = llm, factor, scales, -2
        self.vision_tower = SiglipVisionModel(SiglipVisionConfig(**tiny.VIT))
        wide, out = WIDTH * max(1, len(scales)) * factor ** 2, llm.config.hidden_size
        middle = {2: [], 3: [torch.nn.Linear(wide, wide // 3), torch.nn.GELU(), torch.nn.LayerNorm(wide // 3)]}[factor]
        self.mm_projector = torch.nn.ModuleDict({"layers": torch.nn.Sequential(torch.nn.Identity(), torch.nn.LayerNorm(wide), *middle, torch.nn.Linear(wide // (3 if middle else 1), out), torch.nn.GELU(), torch.nn.Linear(out, out))})

    @property
    def lm_head(self):
        return self.llm.lm_head

    def seen(self, tiles):
        x = self.vision_tower(tiles, output_hidden_states=True).hidden_states[self.layer]
        side = EDGE // PATCH
        return x.view(len(tiles), side, side, -1)

    def projected(self, x):
        return self.mm_projector["layers"](joined(x, self.factor)).flatten(1, 2)

    def at_scales(self, tiles, grid):
        """merge_features_for_dynamic_s2, and the projector in each square of the last scale."""
        x, each, begin = self.seen(tiles), [], 0
        for rows, columns in [(scale // self.scales[0],) * 2 for scale in self.scales[:-1]] + [grid]:
            square = x[begin:begin + rows * columns]
            each.append(torch.cat([torch.cat([square[r * columns + c] for c in range(columns)], 1) for r in range(rows)], 0).permute(2, 0, 1)[None])
            begin += rows * columns
        size = each[-1].shape[2:]
        whole = torch.cat([F.interpolate(scale, size=size, mode="area") for scale in each], 1)
        side = EDGE // PATCH
        blocks = [whole[:, :, r * side:(r + 1) * side, c * side:(c + 1) * side].permute(0, 2, 3, 1) for r in range(grid[0]) for c in range(grid[1])]
        small = side // self.factor
        done = [self.mm_projector["layers"](joined(block, self.factor))[0] for block in blocks]
        assert done[0].shape[:2] == (small, small)
        return torch.cat([torch.cat([done[r * grid[1] + c] for c in range(grid[1])], 1) for r in range(grid[0])], 0).flatten(0, 1)

    def embed(self, input_ids, pictures):
        """Embeddings of text, in whose places of 0 the pictures' stand."""
        x = self.llm.model.embed_tokens(input_ids).clone()
        if pictures:
            rows = [self.at_scales(*picture) if self.scales else self.projected(self.seen(picture)).flatten(0, 1) for picture in pictures]
            x[input_ids == 0] = torch.cat(rows)
        return x

    def model(self, input_ids, pictures):
        return self.llm.model(inputs_embeds=self.embed(input_ids, pictures))


class Vila:
    """Pictures as a whole."""
    name, stream, samples = "vila, as a whole, squares of 3", "image", samples_of(image("a.png"), image("b.png"))
    aspect, type, factor, scales, most = "resize", "mlp_downsample_3x3_fix", 3, [], 1
    more, sites, read_blocks, tower_prefix, whole_parts = {}, ["q_proj", "fc1"], "01", "", False

    def __init__(self, bench):
        self.new_folder = bench.new_folder
        self.folder = bench.new_folder()
        write_media(self.folder)
        llm = self.folder / "llm"
        llm.mkdir()
        self.tokenizer = make_tokenizer(llm)
        self.mark, self.end = self.tokenizer.convert_tokens_to_ids("<media>"), self.tokenizer("\n")["input_ids"]
        self.processor = SiglipImageProcessorPil(size={"height": EDGE, "width": EDGE})
        self.model = tiny.randomise(Definition(self.text(dict(TEXT, vocab_size=len(self.tokenizer) + 7)), self.factor, self.scales), 71)
        self.save()

    def text(self, changes):
        return Qwen2ForCausalLM(Qwen2Config(**changes))

    def save(self):
        self.model.llm.save_pretrained(self.folder / "llm")
        self.model.vision_tower.save_pretrained(self.folder / "vision_tower")
        self.processor.save_pretrained(self.folder / "vision_tower")
        projector = self.folder / "mm_projector"
        projector.mkdir()
        save_file(self.model.mm_projector.state_dict(), projector / "model.safetensors")
        (projector / "config.json").write_text(json.dumps({"model_type": "v2l_projector", "mm_projector_type": self.type}))
        (self.folder / "config.json").write_text(json.dumps({
            "model_type": "llava_llama", "architectures": ["LlavaLlamaModel"], "image_aspect_ratio": self.aspect, "min_tiles": 1, "max_tiles": self.most, "mm_vision_select_layer": -2, "mm_vision_select_feature": "cls_patch", "mm_use_im_start_end": False,
            "mm_use_im_patch_token": False, "s2": False, "dynamic_s2": bool(self.scales), "s2_scales": ",".join(map(str, self.scales)) or None, "s2_resize_output_to_scale_idx": -1, "vision_resolution": -1, "model_dtype": "torch.bfloat16",
            "video_encoder": json.dumps({"_target_": "llava.model.encoders.BasicVideoEncoder"}), **self.more, **{f"{name}_cfg": json.loads((self.folder / name / "config.json").read_text()) for name in ("llm", "vision_tower", "mm_projector")}}))

    def pixels(self, squares):
        return self.processor(images=squares, return_tensors="pt")["pixel_values"]

    def picture(self, name):
        """What the definition takes of it, the vectors of each mark, and the text beside the marks."""
        return self.pixels([Image.open(self.folder / name)]), [4], ["<media>"]

    def prepare(self, sample, answer=False):
        pictures, counts, firsts, messages = [], [], [], []
        for message in sample["messages"]:
            content = message["content"]
            if not isinstance(content, str):
                written = []
                for part in content:
                    if part["type"] == "text":
                        written.append(part["text"])
                        continue
                    picture, own, marks = self.picture(part["image"])
                    pictures.append(picture)
                    firsts += [True] + [False] * (len(own) - 1)
                    counts += own
                    written += marks
                content = "".join(written)
            messages.append({**message, "content": content})
        ids, mask, _ = tokenise(self.tokenizer, {"messages": messages}, answer)
        out, supervised, spans, rest = [], [], [], list(zip(counts, firsts))
        for token, on in zip(ids, mask or [0] * len(ids)):
            new = [token]
            if token == self.mark:
                count, first = rest.pop(0)
                new = [0] * count + self.end
                if first:
                    spans.append([self.stream, len(out), 0])
                spans[-1][2] = len(out) + len(new) - spans[-1][1]
            out += new
            supervised += [on] * len(new)
        assert 0 not in [token for token in ids]
        return torch.tensor(out), torch.tensor(supervised).bool(), spans, {"input_ids": torch.tensor(out)[None], "pictures": pictures}

    def run(self, samples):
        parts, media, lengths = {name: [] for name in EXACT + NEAR[:-1]}, [], []
        for sample in samples:
            ids, supervised, spans, inputs = self.prepare(sample)
            hidden = self.model.model(**inputs).last_hidden_state[0]
            rows = supervised[1:].nonzero()[:, 0]
            media += [[stream, sum(lengths) + begin, count] for stream, begin, count in spans]
            logits = self.model.lm_head(hidden)
            for name, value in dict(ids=ids, positions=torch.arange(len(ids))[None], supervised=rows + sum(lengths), labels=ids[rows + 1], hidden=hidden, logits=logits, token_loss=F.cross_entropy(logits[rows], ids[rows + 1], reduction="none")).items():
                parts[name].append(value)
            lengths.append(len(ids))
        theirs = {name: torch.cat(values, -1 if name == "positions" else 0) for name, values in parts.items()}
        return {**theirs, "loss": theirs["token_loss"].mean()}, media, lengths

    def greedy(self, samples, answers):
        """What is likeliest at each place of these answers."""
        out = []
        with torch.no_grad():
            for sample, answer in zip(samples, answers, strict=True):
                x = self.model.embed(**self.prepare(sample, answer=True)[3])
                written = self.model.llm.get_input_embeddings()(torch.tensor([answer[:-1]]))
                out.append(likeliest(self.model.llm(inputs_embeds=torch.cat([x, written], 1)).logits[0], x.shape[1]))
        return out

    def parts(self, model):
        return model.llm.model, model.vision_tower

    def rename(self, adapter):
        pass

    def table(self, trainable=True, more=""):
        on = str(trainable).lower()
        return f'from = "{self.folder}"\nllm.trainable = {on}\nstreams.image.encoder.trainable = {on}\n{more}'


class Tiles(Vila):
    """NVILA-Lite: up to four tiles and the whole, each with a line break of its own and one of the text."""
    name, aspect, type, factor, most = "nvila, tiles", "dynamic", "mlp_downsample", 2, 4

    def picture(self, name):
        picture = Image.open(self.folder / name)
        columns, rows = get_optimal_tiled_canvas((picture.height, picture.width), (EDGE, EDGE), 1, self.most)
        squares = cut(picture, columns, rows) + ([picture.resize((EDGE, EDGE))] if rows * columns > 1 else [])
        return self.pixels(squares), [4] * len(squares), ["<media>\n"] * len(squares)


class TilesLlama(Tiles):
    """Llama, squares of 3, nothing after the embeddings but the text's line breaks."""
    name, type, factor, most = "nvila, tiles, Llama", "mlp_downsample_3x3_fix", 3, 2
    more = {"image_encoder": {"_target_": "llava.model.encoders.BasicImageEncoder", "end_tokens": None}}

    def __init__(self, bench):
        super().__init__(bench)
        self.end = []

    def text(self, changes):
        return LlamaForCausalLM(LlamaConfig(**{**changes, "num_key_value_heads": 1}))


class Scales(Vila):
    """NVILA: three scales, whose features are joined."""
    name, aspect, type, factor, scales, most = "nvila, scales", "dynamic_s2", "mlp_downsample", 2, [28, 56, 84], 12

    def picture(self, name):
        picture = Image.open(self.folder / name)
        columns, rows = get_optimal_tiled_canvas((picture.height, picture.width), (EDGE, EDGE), 9, self.most)
        squares = cut(picture, 1, 1) + cut(picture, 2, 2) + cut(picture, columns, rows)
        return (self.pixels(squares), (rows, columns)), [4 * rows * columns], ["<media>"]


def closest(height, width, least, most):
    """Rows and columns: find_closest_aspect_ratio of mm_utils.py, smaller grids first."""
    best, difference = None, float("inf")
    for columns, rows in sorted(((i, j) for i in range(1, most + 1) for j in range(1, most + 1) if least <= i * j <= most), key=lambda grid: grid[0] * grid[1]):
        apart = abs(width / height - columns / rows)
        if apart < difference or apart == difference and width * height > 0.5 * EDGE * EDGE * columns * rows:
            best, difference = (rows, columns), apart
    return best


def counts(bench, weights):
    """How many tiles and embeddings pictures of 5,000 sizes have."""
    generator = random.Random(3)
    sizes = [[1, 1], [1, 200], [201, 1], [28, 28], [27, 29], [28, 56], [29, 56], [35, 28], [84, 28], [28, 336], [39, 40], [40, 40]]
    sizes += [[int(10 ** generator.uniform(0, 2.6)), int(10 ** generator.uniform(0, 2.6))] for _ in range(5000 - len(sizes))]
    for case, options, least, most in [("tiles, up to 12", "max_tiles = 12", 1, 12), ("tiles, 3 to 5", "min_tiles = 3\nmax_tiles = 5", 3, 5), ("scales, up to 12", "max_tiles = 12\ns2_scales = [28, 56, 84]", 9, 12), ("scales, up to 9", "max_tiles = 9\ns2_scales = [28, 84]", 9, 9)]:
        got = bench.ask("part_counts", plugin="siglip", weights=weights, shapes=sizes, options=f'fit = "stretch"\nlayer = -2\n{options}\n', connector="downsample_mlp", connector_options="factor = 2\n")[0]["counts"]
        expected = []
        for size in sizes:
            rows, columns = closest(*size, least, most)
            tiles = 1 if "scales" in case else rows * columns + (rows * columns > 1)
            expected.append([tiles, 4 * rows * columns if "scales" in case else 4 * tiles])
        wrong = [case for case in zip(sizes, got, expected) if case[1] != case[2]]
        bench.check(f"nvila, {case}: {len(sizes)} pictures", not wrong, wrong[:3] or "")


def compare(bench, reference):
    reference.model.zero_grad()
    theirs, media, lengths = reference.run(reference.samples)
    theirs["loss"].backward()
    answer, out = bench.ask("model", model=reference.table(), samples=named(reference.samples), folder=reference.folder)
    bench.check(f"{reference.name}: ids, places and labels", all(torch.equal(out[name], theirs[name]) for name in EXACT) and answer["media"] == media and answer["lengths"] == lengths, f"{len(theirs['ids'])} tokens, {len(media)} media")
    bench.compare(f"{reference.name}: hidden, logits, loss", {name: out[name] for name in NEAR}, {name: theirs[name] for name in NEAR})
    slots = {"llm": "llm", "vision_tower": "streams.image.encoder", "mm_projector": "streams.image.connector"}
    gradients = {f"{slots[name.split('.')[0]]}:{name.split('.', 1)[1]}": p.grad for name, p in reference.model.named_parameters() if p.grad is not None and p.grad.abs().max() > 0}
    ours = {name: grad for name, grad in starting(out, "grad:").items() if name in gradients or grad.abs().max() > 0}
    scales = {name: name[:-4] + "weight" for name in gradients if name.endswith("k_proj.bias")}
    bench.compare(f"{reference.name}: gradients", ours, gradients, scales=scales, gradients=gradients)
    alone = [bench.ask("model", model=reference.table(), samples=named([sample]), folder=reference.folder)[1] for sample in reference.samples]
    bench.compare(f"{reference.name}: one by one equals the batch", {"hidden": torch.cat([one["hidden"] for one in alone])}, {"hidden": out["hidden"]})
    one_changed(bench, reference, out, lengths)
    greedy(bench, reference, reference.samples)


def export(bench, reference):
    """Each folder is loaded with no key missing or left, and they compute the same together; adapters are folded in."""
    sample = reference.samples[2]
    forward = lambda model: model.lm_head(model.model(**reference.prepare(sample)[3]).last_hidden_state)[0]
    for case, more, expected in exports(reference, forward):
        target = bench.new_folder()
        _, out = bench.ask("model", model=reference.table(trainable=False, more=more), samples=named([sample]), folder=reference.folder, merge=bool(more), export=target)
        read = Definition(type(reference.model.llm)(reference.model.llm.config), reference.factor, reference.scales)
        wrong = {}
        for part, kind in {"llm": type(reference.model.llm), "vision_tower": SiglipVisionModel}.items():
            model, info = kind.from_pretrained(target / part, output_loading_info=True)
            wrong |= {f"{part}: {name}": keys for name, keys in info.items() if keys}
            setattr(read, part, model)
        read.mm_projector.load_state_dict(load_file(target / "mm_projector" / "model.safetensors"))
        names = {path.relative_to(reference.folder) for path in reference.folder.rglob("*") if path.is_file() and path.suffix in (".json", ".safetensors", ".jinja")}
        wrong |= {"files": sorted(map(str, names ^ {path.relative_to(target) for path in target.rglob("*") if path.is_file()}))} if not names <= {path.relative_to(target) for path in target.rglob("*")} else {}
        config = [json.loads((folder / "config.json").read_text()) for folder in (reference.folder, target)]
        wrong |= {"config": key for key in config[0] if key not in ("llm_cfg", "vision_tower_cfg") and config[0][key] != config[1].get(key)}
        with torch.no_grad():
            logits = forward(read.eval())
        bench.check(f"{reference.name} export{case}: no key missing or left", not wrong, wrong or "")
        bench.compare(f"{reference.name} export{case}: logits", {"ours": out["logits"], "read again": logits}, {"ours": expected, "read again": expected})


def refusals(bench, reference):
    path = reference.folder / "config.json"
    written = json.loads(path.read_text())
    for key, value, word in [("image_aspect_ratio", "pad", "image_aspect_ratio"), ("s2", True, "s2 is true"), ("ps3", True, "ps3"), ("mm_vision_select_feature", None, "mm_vision_select_feature"), ("dynamic_s2", False, "dynamic_s2"), ("dynamic_s2", None, "dynamic_s2"), ("image_aspect_ratio", "resize", "dynamic_s2"), ("mm_vision_select_feature", "patch", "mm_vision_select_feature"), ("mm_projector_cfg", {"mm_projector_type": "mlp2x_gelu"}, "mm_projector_type"),
                             ("mm_projector_cfg", None, "mm_projector_cfg"), ("image_encoder", json.dumps({"_target_": "other"}), "_target_"), ("image_encoder", "{", "image_encoder"), ("vision_tower_cfg", {"model_type": "radio"}, "siglip_vision_model"), ("s2_scales", "28;56", "s2_scales"), ("s2_scales", "28", "s2_scales"),
                             ("s2_resize_output_to_scale_idx", 0, "the last scale"), ("mm_projector_cfg", {"mm_projector_type": "mlp_downsample_3x3_fix"}, "not a multiple of 3"), ("max_tiles", 8, "max_tiles")]:
        path.write_text(json.dumps({**written, key: value}))
        bench.refused(f"llava_llama refuses {key} = {str(value)[:40]}", word, "parameters", model=f'from = "{reference.folder}"\n')
    path.write_text(json.dumps(written))
    answer, _ = bench.ask("parameters", model=f'from = "{reference.folder}"\n')
    used = sum(p.numel() for name, p in reference.model.named_parameters() if p.grad is not None)
    bench.check("llava_llama: parameters", answer["parameters"] == used, (answer, used))


def run(bench):
    for kind in (Vila, Tiles, TilesLlama, Scales):
        reference = kind(bench)
        compare(bench, reference)
        read_again(bench, reference, (0,))
        in_pieces(bench, reference)
        export(bench, reference)
        if kind is Scales:
            counts(bench, reference.folder / "vision_tower")
            refusals(bench, reference)
        adapted(bench, reference)
