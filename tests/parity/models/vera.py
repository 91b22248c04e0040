"""vera against peft: the same random matrices, forward, gradients, some steps, files in both directions, merging, beside lora."""
import torch
from peft import PeftModel, VeraConfig, get_peft_model
from safetensors.torch import load_file
from transformers import LlamaForCausalLM

from . import tiny
from .common import starting
from .decoders import model_table, reference, rows_of
from .lora_forms import STEPS, TRAIN, adamw, gradients_of, in_peft, logits_in_peft, ours, trained, written_by

RANK = 6
CASES = {
    "two targets": (dict(target_modules=["q_proj", "v_proj"]), 'targets = ["q_proj", "v_proj"]'),
    "layers of several shapes": (dict(target_modules=["k_proj", "up_proj", "down_proj"], projection_prng_key=5, d_initial=0.3), 'targets = ["k_proj", "up_proj", "down_proj"]\nprojection_seed = 5\nd_initial = 0.3'),
    "all-linear": (dict(target_modules="all-linear"), 'targets = "all-linear"'),
    "some layers": (dict(target_modules=["o_proj", "gate_proj"], layers_to_transform=[0, 2]), 'targets = ["o_proj", "gate_proj"]\nlayers_to_transform = [0, 2]'),
    "a regular expression": (dict(target_modules=r".*\.1\..*(q|up)_proj"), r"targets = '.*\.1\..*(q|up)_proj'"),
}


def table(folder, options, weights=""):
    weights = f'weights = "{weights}"\n' if weights else ""
    return model_table(folder, trainable=False) + f'[[llm.peft]]\nplugin = "vera"\nrank = {RANK}\n{weights}{options}\n'


def in_vera(folder, architecture=LlamaForCausalLM, moved=True, **settings):
    model = get_peft_model(architecture.from_pretrained(folder), VeraConfig(r=RANK, vera_dropout=0.0, **settings)).eval()
    generator = torch.Generator().manual_seed(43)
    with torch.no_grad():
        for parameter in model.parameters():
            if moved and parameter.requires_grad:
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return model


def one(bench, name, settings, options, folder):
    rows = rows_of([13, 6, 21])
    fresh = written_by(bench, in_vera(folder, moved=False, **settings))
    start = bench.new_folder()
    bench.ask("model", model=table(folder, options), ids=rows, save_adapter=start)
    bench.compare(f"vera, {name}: the start, A and B included", load_file(start / "adapter_model.safetensors"), load_file(fresh / "adapter_model.safetensors"))
    model = in_vera(folder, **settings)
    adapter, written = written_by(bench, model), bench.new_folder()
    theirs = reference(model.get_base_model(), rows)
    theirs["loss"].backward()
    gradients = gradients_of(model)
    _, out = bench.ask("model", model=table(folder, options, adapter), ids=rows)
    bench.compare(f"vera, {name}: peft's adapter in ours", {key: out[key] for key in theirs}, theirs)
    bench.compare(f"vera, {name}: gradients", ours(out), gradients, gradients=gradients)
    _, out = bench.ask("model", model=table(folder, options, adapter), ids=rows, steps=STEPS, train=TRAIN, save_adapter=written)
    model.zero_grad()
    trained(model, rows, adamw(model))
    theirs = {"logits": reference(model.get_base_model(), rows)["logits"]}
    bench.compare(f"vera, {name}: {STEPS} steps", {"logits": out["logits"]}, theirs)
    bench.compare(f"vera, {name}: the file after {STEPS} steps", load_file(written / "adapter_model.safetensors"), load_file(written_by(bench, model) / "adapter_model.safetensors"))
    bench.compare(f"vera, {name}: our adapter in peft", logits_in_peft(folder, written, rows), theirs)
    _, merged = bench.ask("model", model=table(folder, options, written), ids=rows, merge=True)
    bench.compare(f"vera, {name}: merged weights", starting(merged, "weight:"), dict(model.merge_and_unload().state_dict()))
    bench.compare(f"vera, {name}: merged model", {"logits": merged["logits"]}, theirs)


def on_lora(bench, folder):
    rows, targets = rows_of([13, 6]), ["v_proj"]
    changed = in_peft(folder, target_modules=targets)
    lora, merged = written_by(bench, changed), bench.new_folder()
    changed.merge_and_unload().save_pretrained(merged)
    model = in_vera(merged, target_modules=targets)
    mine = model_table(folder, False) + f'[[llm.peft]]\nplugin = "lora"\nrank = 4\nalpha = 12\ntargets = {targets}\nweights = "{lora}"\n' + f'[[llm.peft]]\nplugin = "vera"\nrank = {RANK}\ntargets = {targets}\nweights = "{written_by(bench, model)}"\n'
    for how in ({}, {"merge": True}):
        _, out = bench.ask("model", model=mine, ids=rows, **how)
        bench.compare(f"vera on a site with lora{', merged' if how else ''}", {"logits": out["logits"]}, {"logits": reference(model.get_base_model(), rows)["logits"]})


def run(bench):
    folder = bench.new_folder()
    tiny.llama(folder, attention_bias=True)
    for name, (settings, options) in CASES.items():
        one(bench, name, settings, options, folder)
    on_lora(bench, folder)
    without = written_by(bench, in_vera(folder, target_modules=["q_proj"], save_projection=False))
    bench.refused("vera refuses a file without A and B", "save_projection", "model", model=table(folder, 'targets = ["q_proj"]', without), ids=[[1, 2]])
    bench.refused("vera refuses a target that matches no site", "did you mean 'q_proj'", "model", model=table(folder, 'targets = ["q_porj"]'), ids=[[1, 2]])
