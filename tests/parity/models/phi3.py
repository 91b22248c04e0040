"""phi3: what files hold as one and the decoder apart, LongRoPE on both sides of its limit, and PEFT's adapters on the fused layers."""
import json

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from transformers import Phi3ForCausalLM

from . import tiny
from .common import named_gradients, starting
from .decoders import answers, export, model_table, one_changed, reference, rows_of, through_cache
from .lora import peft_table

HALF = {"rope_type": "default", "rope_theta": 500.0, "partial_rotary_factor": 0.5}
LIMIT = 32
LONG = {"rope_type": "longrope", "rope_theta": 1000.0, "short_factor": [1.0, 1.1, 1.3, 1.6, 2.0, 2.5], "long_factor": [1.0, 1.7, 3.0, 8.0, 20.0, 60.0]}
OF_LONG = dict(rope_parameters=LONG, original_max_position_embeddings=LIMIT)
CASES = {
    "grouped queries": {},
    "all heads, tied embeddings": dict(num_key_value_heads=4, tie_word_embeddings=True),
    "half of each head turned, window": dict(rope_parameters=HALF, sliding_window=6, num_key_value_heads=1),
    "longrope": OF_LONG,
    "longrope of a part, window, tied": dict(rope_parameters={**LONG, "partial_rotary_factor": 0.5, "short_factor": LONG["short_factor"][:3], "long_factor": LONG["long_factor"][:3]}, original_max_position_embeddings=LIMIT,
                                             sliding_window=20, tie_word_embeddings=True),
    "longrope with its own factors": dict(rope_parameters={**LONG, "attention_factor": 1.3, "factor": 4.0}, original_max_position_embeddings=LIMIT),
    "longrope, factor 1": dict(rope_parameters={**LONG, "factor": 1.0}, original_max_position_embeddings=LIMIT, num_key_value_heads=4),
}
STACKS = {"qkv_proj": ["q_proj", "k_proj", "v_proj"], "gate_up_proj": ["gate_proj", "up_proj"]}


def rows_of_parts(config):
    heads = [count * (config.hidden_size // config.num_attention_heads) for count in (config.num_attention_heads, config.num_key_value_heads, config.num_key_value_heads)]
    return {"qkv_proj": heads, "gate_up_proj": [config.intermediate_size] * 2}


def by_part(tensors, config):
    """Matrices by the names that they have here."""
    named = {}
    for name, tensor in tensors.items():
        layer = next((layer for layer in STACKS if f".{layer}." in name), None)
        if not layer:
            named[name] = tensor
            continue
        for part, rows in zip(STACKS[layer], tensor.split(rows_of_parts(config)[layer])):
            named[name.replace(layer, part)] = rows
    return named


def old_spelling(folder):
    """config.json as of Phi-3's first release."""
    config = json.loads((folder / "config.json").read_text())
    rope = config.pop("rope_parameters")
    config["rope_theta"] = rope["rope_theta"]
    config["partial_rotary_factor"] = rope.get("partial_rotary_factor", 1.0)
    config["rope_scaling"] = None if rope["rope_type"] == "default" else {"type": "su", "short_factor": rope["short_factor"], "long_factor": rope["long_factor"]}
    (folder / "config.json").write_text(json.dumps(config))


def generated(model, prompt, answer):
    """Token by token: LongRoPE's factors are those of the length that a text has by then."""
    ids = torch.tensor([prompt])
    return model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=len(answer), do_sample=False, eos_token_id=None, pad_token_id=0)[0, len(prompt):].tolist()


def variant(bench, name, changes):
    title, folder = f"phi3 {name}", bench.new_folder()
    model = tiny.phi3(folder, **changes)
    table, rows = model_table(folder, plugin="phi3"), rows_of([19, 1, 40, LIMIT, LIMIT + 1, 7])
    theirs = reference(model, rows)
    theirs["loss"].backward()
    gradients = by_part(named_gradients(model), model.config)
    for spelling in ["new", "old"] if name in ("grouped queries", "longrope", "longrope of a part, window, tied") else ["new"]:
        if spelling == "old":
            old_spelling(folder)
        _, out = bench.ask("model", model=table, ids=rows)
        case = title + (" (the first release's config)" if spelling == "old" else "")
        bench.compare(f"{case}: packed", {key: out[key] for key in theirs}, theirs)
        bench.compare(f"{case}: gradients", starting(out, "grad:llm:"), gradients, gradients=gradients)
    config = (folder / "config.json").read_text()  # transformers 5.24 does not load "su" itself: it looks for the limit in the table
    (folder / "config.json").write_text(config.replace('"type": "su"', '"type": "longrope"'))
    # A row of the cache stays on its side of the limit: the first piece of a long one is long.
    steps = [[7, 0, 33, 20, 33, 0], [10, 1, 1, 11, 0, 3], [1, 0, 6, 1, 0, 1], [1, 0, 0, 0, 0, 3]]
    back = [{"others": [3, 1, 35, 20, 33, 7], "where": "row"}, steps[0], {"others": [12, 1, 7, 12, 0, 7], "where": "copy"}, steps[1], {"others": [2, 0, 6, 1, 0, 4], "where": "original"}, steps[2],
            {"others": [1, 0, 0, 0, 0, 3], "where": "row"}, steps[3]]
    one_changed(bench, title, out, rows, model=table)
    through_cache(bench, title, theirs["hidden"], steps, back, model=table, ids=rows)
    answers(bench, title, model, table, generated)
    export(bench, title, model, table, rows)
    same_file(bench, title, folder, table, rows)


def same_file(bench, title, folder, table, rows):
    """What was taken apart and joined again is the file that it came from, byte for byte."""
    target = bench.new_folder()
    bench.ask("model", model=table, ids=rows[:1], save=target)
    before, after = (load_file(one / "model.safetensors") for one in (folder, target))
    wrong = sorted(set(before) ^ set(after)) or [key for key in before if not torch.equal(before[key], after[key])]
    bench.check(f"{title}: the file that is written is the file that was read", not wrong, wrong or "")


def adapted(folder, seed=5, **settings):
    model = get_peft_model(Phi3ForCausalLM.from_pretrained(folder), LoraConfig(**{**dict(r=3, lora_alpha=7, lora_dropout=0.0), **settings})).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return model


ALL = 'targets = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]'
FROM_PEFT = {
    "fused layers": (dict(target_modules=["qkv_proj", "o_proj", "gate_up_proj", "down_proj"]), ALL),
    "all-linear": (dict(target_modules="all-linear"), ALL),
    "rslora, one layer": (dict(target_modules=["model.layers.1.self_attn.qkv_proj"], use_rslora=True), 'targets = ["model.layers.1.self_attn.q_proj", "model.layers.1.self_attn.k_proj", "model.layers.1.self_attn.v_proj"]\nrslora = true'),
    "dora": (dict(target_modules=["qkv_proj"], use_dora=True), 'targets = ["q_proj", "k_proj", "v_proj"]\ndora = true'),
}
FROM_OURS = {
    "all layers": ALL,
    "queries and values": 'targets = ["q_proj", "v_proj"]',
    "gates, rslora": 'targets = ["gate_proj", "down_proj"]\nrslora = true',
    "some layers": 'targets = ["model.layers.0.self_attn.q_proj", "model.layers.1.self_attn.?_proj"]',
    "dora": 'targets = ["gate_proj", "up_proj"]\ndora = true',
}


def adapters(bench, folder):
    rows = rows_of([13, 6, LIMIT + 5])
    for name, (settings, options) in FROM_PEFT.items():
        model, adapter, written = adapted(folder, **settings), bench.new_folder(), bench.new_folder()
        model.save_pretrained(adapter)
        with torch.no_grad():
            theirs = {"logits": reference(model.get_base_model(), rows)["logits"]}
        table = model_table(folder, False, "phi3") + peft_table(options, adapter, rank=3, alpha=7)
        _, out = bench.ask("model", model=table, ids=rows, save_adapter=written)
        bench.compare(f"phi3 lora {name}: peft's adapter in ours", {"logits": out["logits"]}, theirs)
        in_peft(bench, f"phi3 lora {name}: written again, in peft", folder, written, rows, theirs)
        merged = bench.new_folder()
        _, out = bench.ask("model", model=table, ids=rows, merge=True, save=merged)
        with torch.no_grad():
            read = reference(Phi3ForCausalLM.from_pretrained(merged).eval(), rows)["logits"]
        bench.compare(f"phi3 lora {name}: merged, and read by transformers", {"ours": out["logits"], "read": read}, {"ours": theirs["logits"], "read": theirs["logits"]})
    for name, options in FROM_OURS.items():
        written, again = bench.new_folder(), bench.new_folder()
        table = model_table(folder, False, "phi3") + peft_table(options, rank=3, alpha=7)
        _, out = bench.ask("model", model=table, ids=rows, values=random_factors(bench, table, rows), save_adapter=written)
        in_peft(bench, f"phi3 lora {name}: our adapter in peft", folder, written, rows, {"logits": out["logits"]})
        _, read = bench.ask("model", model=model_table(folder, False, "phi3") + peft_table(options, written, rank=3, alpha=7), ids=rows, save_adapter=again)
        bench.compare(f"phi3 lora {name}: read again", {"logits": read["logits"]}, {"logits": out["logits"]})
        before, after = (load_file(one / "adapter_model.safetensors") for one in (written, again))
        bench.check(f"phi3 lora {name}: written again, the same", before.keys() == after.keys() and all(torch.equal(before[key], after[key]) for key in before))


def in_peft(bench, case, folder, written, rows, expected):
    model = PeftModel.from_pretrained(Phi3ForCausalLM.from_pretrained(folder), written).eval()
    with torch.no_grad():
        bench.compare(case, expected, {"logits": reference(model.get_base_model(), rows)["logits"]})


def random_factors(bench, table, rows):
    """Values for what is trained, so that no factor is zero."""
    from safetensors.torch import save_file

    _, out = bench.ask("model", model=table, ids=rows)
    generator = torch.Generator().manual_seed(9)
    values = {}
    for name, gradient in starting(out, "grad:").items():
        part, _, parameter = name.partition(":")
        values[f"{part}/{parameter}"] = 0.1 * torch.randn(gradient.shape, generator=generator) + (1 if "magnitude" in name else 0)
    file = bench.new_folder() / "values.safetensors"
    save_file(values, file)
    return str(file)


def refusals(bench, folder):
    adapter = bench.new_folder()
    adapted(folder, target_modules=["qkv_proj"]).save_pretrained(adapter)
    for name, options, rank, word in [("a part without an adapter", 'targets = ["q_proj", "v_proj"]', 3, "reaches"), ("another rank", 'targets = ["q_proj", "k_proj", "v_proj"]', 4, "is multiplied by"), ("no part", 'targets = ["o_proj"]', 3, "neither")]:
        bench.refused(f"phi3 refuses an adapter of a fused layer with {name}", word, "model", model=model_table(folder, False, "phi3") + peft_table(options, adapter, rank=rank, alpha=7), ids=[[1, 2, 3]])
    for key, value, word in [("rope_type", "yarn3", "longrope"), ("short_factor", LONG["short_factor"][:4], "there are 6 frequencies"), ("long_factor", [1.0] * 5 + [0.0], "numbers above 0"), ("long_factor", None, "long_factor")]:
        other = bench.new_folder()
        tiny.phi3(other, **OF_LONG)
        config = json.loads((other / "config.json").read_text())
        config["rope_parameters"][key] = value
        (other / "config.json").write_text(json.dumps(config))
        bench.refused(f"phi3 refuses {key} {value}", word, "model", model=model_table(other, plugin="phi3"), ids=[[1, 2, 3]])
    half = bench.new_folder()
    tiny.phi3(half)
    tensors = load_file(half / "model.safetensors")
    from safetensors.torch import save_file

    save_file({**tensors, "model.layers.0.self_attn.qkv_proj.weight": tensors["model.layers.0.self_attn.qkv_proj.weight"][:-1].contiguous()}, half / "model.safetensors", {"format": "pt"})
    bench.refused("phi3 refuses a stack of other rows", "rows together", "model", model=model_table(half, plugin="phi3"), ids=[[1, 2, 3]])


def run(bench):
    for name, changes in CASES.items():
        variant(bench, name, changes)
    folder = bench.new_folder()
    tiny.phi3(folder, **OF_LONG)
    adapters(bench, folder)
    refusals(bench, folder)
