"""ia3 against peft: forward, gradients, files in both directions, merging, biases included."""
import torch
from peft import IA3Config, PeftModel, get_peft_model
from transformers import LlamaForCausalLM

from . import tiny
from .common import starting
from .decoders import model_table, reference, rows_of
from .lora import plain

CASES = {
    "keys, values and the MLP": (dict(target_modules=["k_proj", "v_proj", "down_proj"], feedforward_modules=["down_proj"]), 'targets = ["k_proj", "v_proj", "down_proj"]\nfeedforward = ["down_proj"]'),
    "outputs alone": (dict(target_modules=["q_proj", "o_proj", "up_proj"], feedforward_modules=[]), 'targets = ["q_proj", "o_proj", "up_proj"]\nfeedforward = []'),
    "inputs alone": (dict(target_modules=["v_proj", "gate_proj"], feedforward_modules=["v_proj", "gate_proj"]), 'targets = ["v_proj", "gate_proj"]\nfeedforward = ["v_proj", "gate_proj"]'),
}


def table(options, weights=""):
    return f'[[llm.peft]]\nplugin = "ia3"\n' + (f'weights = "{weights}"\n' if weights else "") + options + "\n"


def with_scales(folder, settings):
    model = get_peft_model(LlamaForCausalLM.from_pretrained(folder), IA3Config(task_type="CAUSAL_LM", **settings)).eval()
    generator = torch.Generator().manual_seed(23)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "ia3_" in name:
                parameter.copy_(1 + 0.3 * torch.randn(parameter.shape, generator=generator))
    return model


def one(bench, name, settings, options, folder):
    rows = rows_of([13, 6, 21])
    model = with_scales(folder, settings)
    adapter, written = bench.new_folder(), bench.new_folder()
    model.save_pretrained(adapter)
    theirs = reference(model.get_base_model(), rows)
    theirs["loss"].backward()
    gradients = {plain(key): p.grad for key, p in model.named_parameters() if p.requires_grad}
    mine = model_table(folder, trainable=False) + table(options, adapter)
    _, out = bench.ask("model", model=mine, ids=rows, save_adapter=written)
    bench.compare(f"ia3 {name}: peft's adapter in ours", {key: out[key] for key in theirs}, theirs)
    bench.compare(f"ia3 {name}: gradients", starting(out, "grad:llm.peft.0:"), gradients, gradients=gradients)
    again = PeftModel.from_pretrained(LlamaForCausalLM.from_pretrained(folder), written).eval()
    bench.compare(f"ia3 {name}: our adapter in peft", {"logits": out["logits"]}, {"logits": reference(again.get_base_model(), rows)["logits"]})
    _, merged = bench.ask("model", model=mine, ids=rows, merge=True)
    bench.compare(f"ia3 {name}: merged weights", starting(merged, "weight:"), dict(model.merge_and_unload().state_dict()))
    bench.compare(f"ia3 {name}: merged model", {"logits": merged["logits"]}, {"logits": theirs["logits"]})


def with_lora(bench, folder):
    """Two methods on one site: ia3 scales what the layer with its LoRA gives, as the one after the other would."""
    from peft import LoraConfig

    from .lora import peft_table, with_adapter

    rows = rows_of([13, 6])
    lora, scales = bench.new_folder(), bench.new_folder()
    settings = dict(target_modules=["v_proj"], feedforward_modules=[])
    with_adapter(folder, dict(target_modules=["v_proj"])).save_pretrained(lora)
    with_scales(folder, settings).save_pretrained(scales)
    base = PeftModel.from_pretrained(LlamaForCausalLM.from_pretrained(folder), lora).merge_and_unload()
    theirs = reference(PeftModel.from_pretrained(base, scales).eval().get_base_model(), rows)
    mine = model_table(folder, trainable=False) + peft_table('targets = ["v_proj"]', lora) + table('targets = ["v_proj"]\nfeedforward = []', scales)
    for how in ({}, {"merge": True}):
        _, out = bench.ask("model", model=mine, ids=rows, **how)
        bench.compare(f"ia3 on a site with LoRA{', merged' if how else ''}", {"logits": out["logits"]}, {"logits": theirs["logits"]})


def run(bench):
    folder = bench.new_folder()
    tiny.llama(folder, attention_bias=True)
    for name, (settings, options) in CASES.items():
        one(bench, name, settings, options, folder)
    with_lora(bench, folder)
    adapter = bench.new_folder()
    with_scales(folder, CASES["outputs alone"][0]).save_pretrained(adapter)
    bench.refused("ia3 refuses an adapter for other sites", "missing", "model", model=model_table(folder, False) + table('targets = ["k_proj"]\nfeedforward = []', adapter), ids=[[1, 2, 3]])
    for key in ("targets", "feedforward"):
        bench.refused(f"ia3 refuses {key} that match no site", "did you mean 'k_proj'", "model", model=model_table(folder, False) + table(f'{key} = ["k_porj"]'), ids=[[1, 2, 3]])
    bench.refused("ia3 refuses a LoRA adapter", "peft_type", "model", model=model_table(folder, False) + table('targets = ["k_proj"]\nfeedforward = []', lora_folder(bench, folder)), ids=[[1, 2, 3]])


def lora_folder(bench, folder):
    from .lora import with_adapter

    out = bench.new_folder()
    with_adapter(folder, dict(target_modules=["k_proj"])).save_pretrained(out)
    return out
