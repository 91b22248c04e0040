"""selective against torch with some parameters trained, and its files against peft's LN_TUNING: gradients, some steps, files in
both directions, beside lora."""
import fnmatch

import torch
from peft import LNTuningConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from transformers import LlamaForCausalLM

from . import tiny
from .common import starting
from .decoders import model_table, reference, rows_of
from .lora_forms import LR, STEPS, TRAIN, EPS, in_peft, logits_in_peft, ours, written_by

CASES = {
    "norms": ('targets = ["norm", "input_layernorm", "post_attention_layernorm"]', ["*norm.weight"], []),
    "biases": ('targets = ["*.bias"]', ["*.bias"], []),
    "the head and a layer, without its MLP": ('targets = ["lm_head", "model.layers.1.*"]\nexclude = ["*.mlp.*"]', ["lm_head.weight", "model.layers.1.*"], ["*.mlp.*"]),
    "embeddings and one matrix": ('targets = ["embed_tokens.weight", "layers.0.self_attn.q_proj.weight"]', ["model.embed_tokens.weight", "model.layers.0.self_attn.q_proj.weight"], []),
}


def table(folder, options, weights=""):
    weights = f'weights = "{weights}"\n' if weights else ""
    return model_table(folder, trainable=False) + f'[[llm.peft]]\nplugin = "selective"\n{weights}{options}\n'


def chosen(model, patterns, without):
    any_of = lambda name, all: any(fnmatch.fnmatchcase(name, pattern) for pattern in all)
    found = []
    for name, p in model.named_parameters():
        p.requires_grad_(any_of(name, patterns) and not any_of(name, without))
        found += [name] if p.requires_grad else []
    return found


def steps(model, rows, groups=None):
    optimizer = torch.optim.AdamW(groups or [p for p in model.parameters() if p.requires_grad], lr=LR, eps=EPS, weight_decay=0)
    for _ in range(STEPS):
        optimizer.zero_grad()
        reference(model, rows)["loss"].backward()
        optimizer.step()


def one(bench, name, options, patterns, without, folder):
    rows = rows_of([13, 6, 21])
    model = LlamaForCausalLM.from_pretrained(folder).eval()
    names = chosen(model, patterns, without)
    theirs = reference(model, rows)
    theirs["loss"].backward()
    gradients = {key: p.grad for key, p in model.named_parameters() if p.requires_grad}
    written = bench.new_folder()
    _, out = bench.ask("model", model=table(folder, options), ids=rows)
    bench.compare(f"selective, {name}: start", {key: out[key] for key in theirs}, theirs)
    bench.compare(f"selective, {name}: gradients of {len(names)} parameters, and of no other", ours(out), gradients, gradients=gradients)
    _, out = bench.ask("model", model=table(folder, options), ids=rows, steps=STEPS, train=TRAIN, save_adapter=written)
    model.zero_grad()
    steps(model, rows)
    theirs = {"logits": reference(model, rows)["logits"]}
    bench.compare(f"selective, {name}: {STEPS} steps", {"logits": out["logits"]}, theirs)
    values = dict(model.named_parameters())
    bench.compare(f"selective, {name}: the file after {STEPS} steps", {key.replace("base_model.model.", "").replace("ln_tuning_layers.", ""): value for key, value in load_file(written / "adapter_model.safetensors").items()}, {key: values[key] for key in names})
    bench.compare(f"selective, {name}: our file in peft", logits_in_peft(folder, written, rows), theirs)
    _, out = bench.ask("model", model=table(folder, options, written), ids=rows)
    bench.compare(f"selective, {name}: our file in ours", {"logits": out["logits"]}, theirs)
    _, merged = bench.ask("model", model=table(folder, options, written), ids=rows, merge=True)
    bench.compare(f"selective, {name}: the model's weights", starting(merged, "weight:"), dict(model.state_dict()))


def of_peft(bench, folder):
    rows = rows_of([13, 6, 21])
    model = get_peft_model(LlamaForCausalLM.from_pretrained(folder), LNTuningConfig(target_modules=["norm", "input_layernorm"])).eval()
    with torch.no_grad():
        for p in model.parameters():
            if p.requires_grad:
                p.add_(0.3 * torch.randn(p.shape, generator=torch.Generator().manual_seed(3)))
    _, out = bench.ask("model", model=table(folder, 'targets = ["norm", "input_layernorm"]', written_by(bench, model)), ids=rows)
    bench.compare("selective: peft's LN_TUNING in ours", {"logits": out["logits"]}, {"logits": reference(model.get_base_model(), rows)["logits"]})


def with_lora(bench, folder):
    """Beside lora on the same layers, with a rate of its own."""
    rows = rows_of([13, 6, 21])
    model = in_peft(folder, target_modules=["q_proj"])
    adapter = written_by(bench, model)
    norms = [p for name, p in model.named_parameters() if "norm" in name]
    for p in norms:
        p.requires_grad_(True)
    groups = [{"params": [p for name, p in model.named_parameters() if "lora_" in name]}, {"params": norms, "lr": 5 * LR}]
    mine = model_table(folder, False) + f'[[llm.peft]]\nplugin = "lora"\nrank = 4\nalpha = 12\ntargets = ["q_proj"]\nweights = "{adapter}"\n[[llm.peft]]\nplugin = "selective"\ntargets = ["*norm.weight"]\n'
    _, out = bench.ask("model", model=mine, ids=rows, steps=STEPS, train=TRAIN + f'[[groups]]\nmatch = "llm/*norm.weight"\nlr = {5 * LR}\n')
    optimizer = torch.optim.AdamW(groups, lr=LR, eps=EPS, weight_decay=0)
    for _ in range(STEPS):
        optimizer.zero_grad()
        reference(model.get_base_model(), rows)["loss"].backward()
        optimizer.step()
    bench.compare(f"selective beside lora, a rate of its own: {STEPS} steps", {"logits": out["logits"]}, {"logits": reference(model.get_base_model(), rows)["logits"]})


def run(bench):
    folder = bench.new_folder()
    tiny.llama(folder, attention_bias=True, tie_word_embeddings=False)
    for name, (options, patterns, without) in CASES.items():
        one(bench, name, options, patterns, without, folder)
    of_peft(bench, folder)
    with_lora(bench, folder)
    bench.refused("selective refuses a target that matches nothing", "did you mean 'lm_head'", "model", model=table(folder, 'targets = ["lm_haed"]'), ids=[[1, 2]])
    bench.refused("selective refuses to leave out what is not there", "matches none", "model", model=table(folder, 'targets = ["norm"]\nexclude = ["nrom"]'), ids=[[1, 2]])
    bench.refused("selective refuses to train nothing", "no parameter is left", "model", model=table(folder, 'targets = ["norm"]\nexclude = ["norm"]'), ids=[[1, 2]])
