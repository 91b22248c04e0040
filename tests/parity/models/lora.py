"""lora against peft: forward, gradients, files in both directions, merging."""
import json

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import LlamaForCausalLM

from . import tiny
from .common import relative, starting
from .decoders import READ_BY, model_table, reference, rows_of

CASES = {
    "suffixes": (dict(target_modules=["q_proj", "v_proj"]), 'targets = ["q_proj", "v_proj"]'),
    "a whole name": (dict(target_modules=["model.layers.1.self_attn.o_proj"]), 'targets = ["model.layers.1.self_attn.o_proj"]'),
    "globs": (dict(target_modules=r"model\.layers\.(.\.mlp\.up|1\..*\.down)_proj"), 'targets = ["model.layers.?.mlp.up_proj", "model.layers.1.*.down_proj"]'),
    "all-linear": (dict(target_modules="all-linear"), 'targets = ["all-linear"]'),
    "rslora": (dict(target_modules=["k_proj", "gate_proj"], use_rslora=True), 'targets = ["k_proj", "gate_proj"]\nrslora = true'),
}


def peft_table(options, weights="", rank=5, alpha=12):
    weights = f'weights = "{weights}"\n' if weights else ""
    return f'[[llm.peft]]\nplugin = "lora"\nrank = {rank}\nalpha = {alpha}\n{weights}{options}\n'


def with_adapter(folder, settings, rank=5, alpha=12, seed=21):
    return with_random_lora(LlamaForCausalLM.from_pretrained(folder), settings, rank, alpha, seed)


def with_random_lora(base, settings, rank=5, alpha=12, seed=21):
    model = get_peft_model(base, LoraConfig(r=rank, lora_alpha=alpha, lora_dropout=0.0, **settings)).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.copy_(0.1 * torch.randn(parameter.shape, generator=generator))  # an update smaller than the base: well conditioned
    return model


def plain(name):
    return name.replace("base_model.model.", "", 1).replace(".default", "")


def one(bench, name, settings, options, folder):
    rows = rows_of([13, 6, 21])
    model = with_adapter(folder, settings)
    adapter = bench.new_folder()
    model.save_pretrained(adapter)
    theirs = reference(model.get_base_model(), rows)
    theirs["loss"].backward()
    gradients = {plain(key): p.grad for key, p in model.named_parameters() if p.requires_grad}
    written = bench.new_folder()
    table = model_table(folder, trainable=False) + peft_table(options, adapter)
    _, out = bench.ask("model", model=table, ids=rows, save_adapter=written)
    bench.compare(f"lora {name}: peft's adapter in ours", {key: out[key] for key in theirs}, theirs)
    bench.compare(f"lora {name}: gradients of A and B", starting(out, "grad:llm.peft.0:"), gradients, gradients=gradients)
    input_gradient(bench, name, model, table, rows)
    again = PeftModel.from_pretrained(LlamaForCausalLM.from_pretrained(folder), written).eval()
    bench.compare(f"lora {name}: our adapter in peft", {"logits": out["logits"]}, {"logits": reference(again.get_base_model(), rows)["logits"]})
    _, merged = bench.ask("model", model=table, ids=rows, merge=True)
    bench.compare(f"lora {name}: merged weights", starting(merged, "weight:"), dict(model.merge_and_unload().state_dict()))
    bench.compare(f"lora {name}: merged model", {"logits": merged["logits"]}, {"logits": theirs["logits"]})


def input_gradient(bench, name, model, table, rows):
    base = model.get_base_model()
    leaves = [base.model.embed_tokens(torch.tensor([row])).detach().requires_grad_(True) for row in rows]
    losses = []
    for leaf, row in zip(leaves, rows):
        logits = base(inputs_embeds=leaf).logits[0]
        losses.append(torch.nn.functional.cross_entropy(logits[:-1], torch.tensor(row[1:]), reduction="none"))
    torch.cat(losses).mean().backward()
    _, out = bench.ask("model", model=table, ids=rows, grad_x=True)
    bench.compare(f"lora {name}: gradient of the input", {"x": out["grad_x"]}, {"x": torch.cat([leaf.grad[0] for leaf in leaves])}, gradients=["x"])


# Where the layers of the families lie; of those with experts what is beside these.
ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]
LAYERS = {"qwen2": ATTENTION + ["gate_proj", "up_proj", "down_proj"], "nemotron": ATTENTION + ["up_proj", "down_proj"], "qwen2_moe": ATTENTION, "qwen3_moe": ATTENTION, "mixtral": ATTENTION}


def family(bench, plugin):
    """The other decoders: what they compute, gradients, and what transformers reads of them with the adapter folded in."""
    folder, adapter, saved = bench.new_folder(), bench.new_folder(), bench.new_folder()
    base, rows, targets = getattr(tiny, plugin)(folder), rows_of([13, 6, 21]), LAYERS.get(plugin, LAYERS["qwen2"])
    plain_logits = reference(base, rows)["logits"]
    model = with_random_lora(base, dict(target_modules=targets))
    model.save_pretrained(adapter)
    theirs = reference(base, rows)
    assert relative(theirs["logits"], plain_logits) > 1e-2
    theirs["loss"].backward()
    gradients = {plain(key): p.grad for key, p in model.named_parameters() if p.requires_grad}
    table, name = model_table(folder, False, plugin) + peft_table(f"targets = {targets}", adapter), READ_BY.get(plugin, plugin) + (f" as {plugin}" if plugin in READ_BY else "")
    _, out = bench.ask("model", model=table, ids=rows)
    bench.compare(f"lora on {name}: hidden, logits, loss", {key: out[key] for key in theirs}, theirs)
    bench.compare(f"lora on {name}: gradients of A and B", starting(out, "grad:llm.peft.0:"), gradients, gradients=gradients)
    _, merged = bench.ask("model", model=table, ids=rows, merge=True, save=saved)
    read = type(base).from_pretrained(saved, attn_implementation=base.config._attn_implementation).eval()
    with torch.no_grad():
        bench.compare(f"lora on {name}: merged, and read by transformers", {"ours": merged["logits"], "read": reference(read, rows)["logits"]}, {"ours": theirs["logits"], "read": theirs["logits"]})


def refusals(bench, folder):
    """An adapter that was trained otherwise is refused, not bent."""
    adapter = bench.new_folder()
    with_adapter(folder, dict(target_modules=["q_proj"])).save_pretrained(adapter)
    targets = 'targets = ["q_proj"]'
    for name, table, word in [("another alpha", peft_table(targets, adapter, alpha=13), "lora_alpha"), ("another rank", peft_table(targets, adapter, rank=4), "r is"),
                              ("other targets", peft_table('targets = ["v_proj"]', adapter), "missing"), ("rslora", peft_table(targets + "\nrslora = true", adapter), "use_rslora"),
                              ("no such site", peft_table('targets = ["q_porj"]'), "q_proj")]:
        bench.refused(f"lora refuses {name}", word, "model", model=model_table(folder, False) + table, ids=[[1, 2, 3]])


def run(bench):
    folder = bench.new_folder()
    tiny.llama(folder, attention_bias=True)
    for name, (settings, options) in CASES.items():
        one(bench, name, settings, options, folder)
    refusals(bench, folder)
    for plugin in ("qwen2", "qwen3", "nemotron", "mistral", "ministral3", "granite", "gemma2", "gemma3", "qwen2_moe", "qwen3_moe", "mixtral"):
        family(bench, plugin)
