"""qwen2_vl_text and qwen3_vl_text, whose heads turn by part, row and column: hidden states, logits, every gradient, the KV cache in pieces and
greedy answers from given positions; and the positions that it gives to samples, against get_rope_index."""
import json
import random

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLModel, Qwen2_5_VLTextConfig, Qwen2VLConfig, Qwen2VLModel, Qwen2VLTextConfig, Qwen3VLConfig, Qwen3VLModel, Qwen3VLTextConfig, Qwen3VLTextModel
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VLTextModel
from transformers.models.qwen2_vl.modeling_qwen2_vl import Qwen2VLTextModel

from . import tiny
from .common import likeliest, named_gradients, starting
from .decoders import BACK, STEPS, WINDOW, model_table, one_changed, rows_of, through_cache

ROPE = {"rope_type": "default", "rope_theta": 1e4}
TURNS = {**ROPE, "mrope_interleaved": True}
VARIANTS = {
    "Qwen2-VL, grouped queries": (Qwen2VLTextConfig, Qwen2VLTextModel, dict(rope_parameters={**ROPE, "mrope_section": [1, 2, 3]})),
    "Qwen2.5-VL, all heads, tied embeddings": (Qwen2_5_VLTextConfig, Qwen2_5_VLTextModel, dict(rope_parameters={**ROPE, "mrope_section": [3, 1, 2]}, num_key_value_heads=4, tie_word_embeddings=True)),
    "four sections, one key head": (Qwen2_5_VLTextConfig, Qwen2_5_VLTextModel, dict(rope_parameters={**ROPE, "mrope_section": [1, 2, 1, 2]}, num_key_value_heads=1)),
    "window in the upper layers": (Qwen2VLTextConfig, Qwen2VLTextModel, {**WINDOW, "rope_parameters": {**ROPE, "mrope_section": [2, 2, 2]}}),
    "Qwen3-VL, grouped queries": (Qwen3VLTextConfig, Qwen3VLTextModel, dict(head_dim=16, rope_parameters={**TURNS, "mrope_section": [4, 2, 2]})),
    "Qwen3-VL, tied, all heads, even sections": (Qwen3VLTextConfig, Qwen3VLTextModel, dict(head_dim=12, num_key_value_heads=4, tie_word_embeddings=True, rope_parameters={**TURNS, "mrope_section": [2, 2, 2]})),
    "Qwen3-VL, biases, one key head, short sections": (Qwen3VLTextConfig, Qwen3VLTextModel, dict(head_dim=16, num_key_value_heads=1, attention_bias=True, rope_parameters={**TURNS, "mrope_section": [6, 1, 1]})),
    "Qwen2.5-VL, rope yarn": (Qwen2_5_VLTextConfig, Qwen2_5_VLTextModel, dict(rope_parameters={"rope_type": "yarn", "factor": 4.0, "rope_theta": 1e3, "original_max_position_embeddings": 48, "mrope_section": [1, 2, 3]})),
    "Qwen3-VL, rope yarn": (Qwen3VLTextConfig, Qwen3VLTextModel, dict(head_dim=16, rope_parameters={**TURNS, "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64, "beta_fast": 8.0, "mrope_section": [4, 2, 2]})),
    "rope linear": (Qwen2VLTextConfig, Qwen2VLTextModel, dict(rope_parameters={"rope_type": "linear", "factor": 2.5, "rope_theta": 1e3, "mrope_section": [1, 2, 3]})),
}


class Text(torch.nn.Module):
    """The text model of transformers with a head, and a directory of the two."""

    def __init__(self, folder, config_class, model_class, changes):
        super().__init__()
        tied = changes.get("tie_word_embeddings", False)
        self.config = config_class(**{**tiny.DECODER, **changes})
        self.model = model_class(self.config)
        self.lm_head = torch.nn.Linear(self.config.hidden_size, self.config.vocab_size, bias=False)
        tiny.randomise(self, 18)
        if tied:
            self.lm_head.weight = self.model.embed_tokens.weight
        tensors = {name: tensor.detach() for name, tensor in self.named_parameters()}
        save_file(tensors, folder / "model.safetensors", {"format": "pt"})
        (folder / "config.json").write_text(json.dumps({**self.config.to_dict(), "tie_word_embeddings": tied}))

    def hidden(self, ids, positions):
        return self.model(input_ids=torch.tensor([ids]), position_ids=torch.tensor(positions)[:, None]).last_hidden_state[0]

    def greedy(self, ids, positions, answer):
        """What is likeliest at each place of the answer, which goes on after the largest position."""
        following = max(map(max, positions)) + 1
        places = [axis + list(range(following, following + len(answer) - 1)) for axis in positions]
        return likeliest(self.lm_head(self.hidden(ids + answer[:-1], places)), len(ids))


def positions_of(length, seed):
    """Text, a picture of some size, text, a video, text, as many as there is room for."""
    generator = random.Random(seed)
    axes, after = [[], [], []], 0
    while len(axes[0]) < length:
        if generator.random() < 0.6:
            parts, rows, columns = 1, 1, 1
        else:
            parts, rows, columns = generator.choice([(1, 2, 3), (1, 4, 1), (3, 1, 2)])
        for part in range(parts):
            for row in range(rows):
                for column in range(columns):
                    for axis, value in zip(axes, (2 * part, row, column)):
                        axis.append(after + value)
        after += max(2 * parts - 1, rows, columns)
    return [axis[:length] for axis in axes]


def variant(bench, name, config_class, model_class, changes):
    folder = bench.new_folder()
    model = Text(folder, config_class, model_class, changes)
    plugin = "qwen3_vl_text" if config_class is Qwen3VLTextConfig else "qwen2_vl_text"
    table, case = model_table(folder, plugin=plugin), f"{plugin} {name}"
    rows = rows_of([19, 1, 40, 40, 7])
    places = [positions_of(len(row), i) for i, row in enumerate(rows)]
    hidden = [model.hidden(row, place) for row, place in zip(rows, places)]
    logits = [model.lm_head(one) for one in hidden]
    token_loss = torch.cat([F.cross_entropy(one[:-1].float(), torch.tensor(row[1:], dtype=torch.long), reduction="none") for one, row in zip(logits, rows)])
    theirs = {"hidden": torch.cat(hidden), "logits": torch.cat(logits), "loss": token_loss.mean(), "token_loss": token_loss}
    theirs["loss"].backward()
    gradients = named_gradients(model)
    for spelling in ("new", "old"):
        if spelling == "old":
            old_spelling(folder)
        _, out = bench.ask("model", model=table, ids=rows, positions=places)
        spelled = case + (" (config of transformers 4)" if spelling == "old" else "")
        bench.compare(f"{spelled}: packed", {key: out[key] for key in theirs}, theirs)
        bench.compare(f"{spelled}: gradients", starting(out, "grad:llm:"), gradients, gradients=gradients)
    alone = [bench.ask("model", model=table, ids=[row], positions=[place])[1]["hidden"] for row, place in zip(rows, places)]
    bench.compare(f"{case}: one by one equals the batch", {"hidden": torch.cat(alone)}, {"hidden": out["hidden"]})
    one_changed(bench, case, out, rows, model=table, positions=places)
    through_cache(bench, case, theirs["hidden"], STEPS, BACK, model=table, ids=rows, positions=places)
    prompts = rows_of([9, 1, 23, 12], seed=12)
    places = [positions_of(len(prompt), 7 + i) for i, prompt in enumerate(prompts)]
    got = bench.ask("generate", model=table, ids=prompts, positions=places, max_tokens=32)[0]["tokens"]
    with torch.no_grad():
        expected = [model.greedy(*one) for one in zip(prompts, places, got)]
    bench.check(f"{case}: 32 greedy tokens, 4 prompts together", got == expected and {len(answer) for answer in got} == {32}, f"next positions {[max(map(max, p)) + 1 for p in places]}")


def old_spelling(folder):
    """config.json as transformers 4 wrote it."""
    config = json.loads((folder / "config.json").read_text())
    rope = config.pop("rope_parameters")
    config["rope_theta"] = rope.pop("rope_theta")
    kind = rope.pop("rope_type")
    config["rope_scaling"] = {"rope_type": kind, **rope} if "mrope_interleaved" in rope else {"type": "mrope" if kind == "default" else kind, **rope}
    (folder / "config.json").write_text(json.dumps(config))


def layout_of(generator, videos):
    """Text and media in any order: (ours, token types, picture grids, video grids, seconds of a temporal patch)."""
    media, kinds, pictures, clips, seconds = [], [0] * generator.randrange(4), [], [], []
    for _ in range(generator.randrange(7)):
        rows, columns = generator.randrange(1, 9), generator.randrange(1, 9)
        if videos and generator.random() < 0.5:
            kind, frames, every = 2, generator.randrange(1, 12), generator.choice([0.5, 1.0, 2.0, 2 / 3, 0.08341])
            clips.append([frames, 2 * rows, 2 * columns])
            seconds.append(every)
            if videos == "pieces":  # each of which is a medium of its own, with its time before it
                for _ in range(frames):
                    kinds += [0] * generator.choice([1, 7])
                    media.append({"begin": len(kinds), "parts": [[rows, columns]]})
                    kinds += [kind] * (rows * columns)
                kinds += [0] * generator.choice([1, 2, 17])
                continue
            media.append({"begin": len(kinds), "parts": [[rows, columns]] * frames, "step": 4 * every if videos == "timed" else 1.0})
        else:
            kind, frames = 1, 1
            pictures.append([1, 2 * rows, 2 * columns])
            media.append({"begin": len(kinds), "parts": [[rows, columns]]})
        kinds += [kind] * (frames * rows * columns) + [0] * generator.choice([1, 2, 17])
    kinds += [0] * (not kinds)
    return {"tokens": len(kinds), "media": media}, kinds, pictures, clips, seconds


def after_largest(layout):
    """The definition: a medium begins after the largest position before it."""
    axes, after, at = [[], [], []], 0, 0
    for media in [*layout["media"], None]:
        end = media["begin"] if media else layout["tokens"]
        for axis in axes:
            axis += range(after, after + end - at)
        after, at = after + end - at, end
        if media:
            begin = after
            for part, (rows, columns) in enumerate(media["parts"]):
                time = int(torch.tensor(part) * torch.tensor(media.get("step", 1.0)))
                for row in range(rows):
                    for column in range(columns):
                        for axis, value in zip(axes, (time, row, column)):
                            axis.append(begin + value)
                            after = max(after, begin + value + 1)
                at += rows * columns
    return torch.tensor(axes)


def positions(bench):
    """1,000 samples of pictures and videos in any order, by both rules."""
    small = dict(vocab_size=96, hidden_size=24, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1)
    text = "\n".join(f"{key} = {value}" for key, value in dict(vocab_size=96, hidden_size=24, intermediate_size=8, num_layers=1, num_heads=2, num_kv_heads=1, mrope_section=[2, 2, 2]).items())
    for name, config, model_class, videos in [("Qwen3-VL", Qwen3VLConfig, Qwen3VLModel, "pieces"), ("Qwen2-VL", Qwen2VLConfig, Qwen2VLModel, "plain"), ("Qwen2.5-VL", Qwen2_5_VLConfig, Qwen2_5_VLModel, "timed"), ("pictures", Qwen2_5_VLConfig, Qwen2_5_VLModel, "")]:
        newer = config is Qwen3VLConfig
        plugin = "qwen3_vl_text" if newer else "qwen2_vl_text"
        tower = dict(depth=1, num_heads=1, hidden_size=8, **(dict(deepstack_visual_indexes=[]) if newer else {}))
        rope = {"rope_parameters": {**(TURNS if newer else ROPE), "mrope_section": [2, 2, 2]}}
        with torch.device("meta"):
            model = model_class(config(text_config={**small, **rope, **(dict(head_dim=12) if newer else {})}, vision_config=tower))
        generator = random.Random(name)
        layouts = [layout_of(generator, videos) for _ in range(1000)]
        expected = []
        for layout, kinds, pictures, clips, seconds in layouts:
            timed = dict(second_per_grid_ts=seconds) if videos == "timed" else {}
            grids = dict(image_grid_thw=torch.tensor(pictures) if pictures else None, video_grid_thw=torch.tensor(clips) if clips else None)
            expected.append(model.get_rope_index(torch.zeros(1, len(kinds), dtype=torch.long), torch.tensor([kinds]), **grids, **timed)[0][:, 0])
        one_rule = videos in ("", "pieces")  # what follows is the same by both, as no medium lasts longer than it is wide
        rules = {"": ""} if newer else {rule: f'after_medium = "{rule}"' for rule in ("grid", "largest")}
        options = text + ("\nhead_size = 12\n" if newer else "\n")
        ask = lambda rule: bench.ask("positions", plugin=plugin, options=options + rules[rule], layouts=[one[0] for one in layouts])[1]
        defined = [after_largest(one[0]) for one in layouts]
        for rule in rules:
            got = ask(rule)
            for what, wanted in [("get_rope_index", expected)] * (rule == "grid" or one_rule) + [("the definition", defined)] * (rule != "grid" or one_rule):
                wrong = [i for i, one in enumerate(wanted) if not torch.equal(got[str(i)], one)]
                bench.check(f"{plugin} positions, {name}{', after_medium = ' * bool(rule)}{rule}: 1000 samples equal {what}", not wrong, f"{len(wrong)} differ, {wrong[:3]}")
        if not one_rule:
            bench.check(f"{plugin} positions, {name}: the two rules differ", any(not torch.equal(one, other) for one, other in zip(expected, defined)))


def refusals(bench):
    for key, value, word in [("mrope_section", [1, 2], "mrope_section has 2 sections"), ("mrope_section", [2, 2, 3], "7 frequencies in all"), ("mrope_section", [0, 3, 3], "mrope_section"), ("rope_type", "dynamic", "dynamic")]:
        folder = bench.new_folder()
        config_class, model_class, changes = VARIANTS["Qwen2-VL, grouped queries"]
        Text(folder, config_class, model_class, changes)
        config = json.loads((folder / "config.json").read_text())
        config["rope_parameters"][key] = value
        (folder / "config.json").write_text(json.dumps(config))
        bench.refused(f"qwen2_vl_text refuses {key} {value}", word, "model", model=model_table(folder, plugin="qwen2_vl_text"), ids=[[1, 2, 3]])
    for key, value, word in [("mrope_section", [4, 4], "mrope_section has 2 sections"), ("mrope_section", [4, 2, 3], "9 frequencies in all"), ("mrope_interleaved", False, "mrope_interleaved"), ("rope_type", "dynamic", "dynamic")]:
        folder = bench.new_folder()
        Text(folder, *VARIANTS["Qwen3-VL, grouped queries"])
        config = json.loads((folder / "config.json").read_text())
        config["rope_parameters"][key] = value
        (folder / "config.json").write_text(json.dumps(config))
        bench.refused(f"qwen3_vl_text refuses {key} {value}", word, "model", model=model_table(folder, plugin="qwen3_vl_text"), ids=[[1, 2, 3]])


def run(bench):
    refusals(bench)
    positions(bench)
    for name, (config_class, model_class, changes) in VARIANTS.items():
        variant(bench, name, config_class, model_class, changes)
