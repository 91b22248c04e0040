"""What lora can besides plain factors, against peft: patterns of ranks and scales, choices of sites, whole modules and biases
beside them, DoRA, PiSSA and the other starts, LoRA+: forward, gradients, some steps of training, files in both directions, merging."""
import json

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.optimizers import create_loraplus_optimizer
from safetensors.torch import load_file
from transformers import LlamaForCausalLM

from . import tiny
from .common import starting
from .decoders import model_table, reference, rows_of

RANK, ALPHA, STEPS, LR, EPS = 4, 12, 3, 2e-3, 1e-4
TRAIN = f'[optimizer]\nname = "adamw"\nlr = {LR}\neps = {EPS}\n'
CASES = {
    "ranks and scales by pattern": (dict(target_modules=["q_proj", "v_proj"], rank_pattern={r"layers\.1\..*q_proj": 7, "v_proj": 3}, alpha_pattern={"v_proj": 5.5}),
                                    r"""targets = ["q_proj", "v_proj"]
rank_pattern = { 'layers\.1\..*q_proj' = 7, v_proj = 3 }
alpha_pattern = { v_proj = 5.5 }"""),
    "patterns, rslora": (dict(target_modules=["k_proj"], rank_pattern={r"layers\.0\..*": 2}, use_rslora=True), r"""targets = ["k_proj"]
rank_pattern = { 'layers\.0\..*' = 2 }
rslora = true"""),
    "a regular expression": (dict(target_modules=r".*\.(q|v)_proj"), r"targets = '.*\.(q|v)_proj'"),
    "all-linear as a text, some left out": (dict(target_modules="all-linear", exclude_modules=["layers.1.mlp.up_proj", "k_proj"]), 'targets = "all-linear"\nexclude_modules = ["layers.1.mlp.up_proj", "k_proj"]'),
    "left out by a regular expression": (dict(target_modules=["q_proj", "o_proj"], exclude_modules=r"model\.layers\.[02]\..*o_proj"), r"""targets = ["q_proj", "o_proj"]
exclude_modules = 'model\.layers\.[02]\..*o_proj'"""),
    "some layers": (dict(target_modules=["v_proj", "down_proj"], layers_to_transform=[0, 2]), 'targets = ["v_proj", "down_proj"]\nlayers_to_transform = [0, 2]'),
    "a layer behind a name": (dict(target_modules=["v_proj"], layers_to_transform=[1], layers_pattern="layers"), 'targets = ["v_proj"]\nlayers_to_transform = [1]\nlayers_pattern = ["layers"]'),
    "the head and norms beside it": (dict(target_modules=["q_proj"], modules_to_save=["lm_head", "norm"]), 'targets = ["q_proj"]\nmodules_to_save = ["lm_head", "norm"]'),
    "embeddings and a whole layer beside it": (dict(target_modules=["q_proj", "up_proj"], modules_to_save=["embed_tokens", "layers.1.mlp.up_proj"]), 'targets = ["q_proj", "up_proj"]\nmodules_to_save = ["embed_tokens", "layers.1.mlp.up_proj"]'),
    "all biases": (dict(target_modules=["q_proj", "down_proj"], bias="all"), 'targets = ["q_proj", "down_proj"]\nbias = "all"'),
    "biases of the targets": (dict(target_modules=["q_proj", "down_proj"], bias="lora_only"), 'targets = ["q_proj", "down_proj"]\nbias = "lora_only"'),
    "dora": (dict(target_modules=["q_proj", "v_proj", "down_proj"], use_dora=True), 'targets = ["q_proj", "v_proj", "down_proj"]\ndora = true'),
    "dora, patterns, rslora, biases": (dict(target_modules=["o_proj", "up_proj"], use_dora=True, use_rslora=True, rank_pattern={"up_proj": 2}, bias="lora_only"),
                                       'targets = ["o_proj", "up_proj"]\ndora = true\nrslora = true\nbias = "lora_only"\nrank_pattern = { up_proj = 2 }'),
}


def table(folder, options, weights="", rank=RANK, alpha=ALPHA):
    weights = f'weights = "{weights}"\n' if weights else ""
    return model_table(folder, trainable=False) + f'[[llm.peft]]\nplugin = "lora"\nrank = {rank}\nalpha = {alpha}\n{weights}{options}\n'


def in_peft(folder, seed=41, base=None, **settings):
    """Moved off its start, everything that is trained."""
    model = get_peft_model(base or LlamaForCausalLM.from_pretrained(folder), LoraConfig(**{**dict(r=RANK, lora_alpha=ALPHA, lora_dropout=0.0), **settings})).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                noise = 0.1 * torch.randn(parameter.shape, generator=generator)
                if "magnitude" in name:
                    parameter.mul_(1 + noise)
                elif "lora_" in name:
                    parameter.copy_(noise)
                else:
                    parameter.add_(noise)
    return model


def named(name):
    """As ours calls it."""
    for part, other in {"base_model.model.": "", ".modules_to_save.default": "", ".base_layer": "", "lora_magnitude_vector.default.weight": "lora_magnitude_vector", ".default": ""}.items():
        name = name.replace(part, other, 1)
    return name


def gradients_of(model):
    return {named(name): p.grad for name, p in model.named_parameters() if p.requires_grad and p.grad is not None}


def ours(out):
    return {**starting(out, "grad:llm:"), **starting(out, "grad:llm.peft.0:")}


def trained(model, rows, optimizer):
    for _ in range(STEPS):
        optimizer.zero_grad()
        reference(model.get_base_model(), rows)["loss"].backward()
        optimizer.step()
    model.zero_grad()
    return model


def adamw(model):
    return torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=LR, eps=EPS, weight_decay=0)


def written_by(bench, model):
    folder = bench.new_folder()
    model.save_pretrained(folder)
    return folder


def logits_in_peft(folder, adapter, rows):
    again = PeftModel.from_pretrained(LlamaForCausalLM.from_pretrained(folder), adapter).eval()
    return {"logits": reference(again.get_base_model(), rows)["logits"]}


def one(bench, name, settings, options, folder):
    rows = rows_of([13, 6, 21])
    model = in_peft(folder, **settings)
    adapter = written_by(bench, model)
    theirs = reference(model.get_base_model(), rows)
    theirs["loss"].backward()
    gradients = gradients_of(model)
    _, out = bench.ask("model", model=table(folder, options, adapter), ids=rows)
    bench.compare(f"lora, {name}: peft's adapter in ours", {key: out[key] for key in theirs}, theirs)
    bench.compare(f"lora, {name}: gradients", ours(out), gradients, gradients=gradients)
    written = bench.new_folder()
    _, out = bench.ask("model", model=table(folder, options, adapter), ids=rows, steps=STEPS, train=TRAIN, save_adapter=written)
    model.zero_grad()
    trained(model, rows, adamw(model))
    theirs = reference(model.get_base_model(), rows)
    bench.compare(f"lora, {name}: {STEPS} steps", {"logits": out["logits"]}, {"logits": theirs["logits"]})
    bench.compare(f"lora, {name}: the file after {STEPS} steps", load_file(written / "adapter_model.safetensors"), load_file(written_by(bench, model) / "adapter_model.safetensors"))
    bench.compare(f"lora, {name}: our adapter in peft", logits_in_peft(folder, written, rows), {"logits": theirs["logits"]})
    _, merged = bench.ask("model", model=table(folder, options, written), ids=rows, merge=True)
    if "modules_to_save" in settings:
        kept = json.loads((written / "adapter_config.json").read_text())
        bench.check(f"lora, {name}: what else is trained is in the configuration", kept["modules_to_save"] == settings["modules_to_save"])
    bench.compare(f"lora, {name}: merged model", {"logits": merged["logits"]}, {"logits": theirs["logits"]})
    if "modules_to_save" not in settings:
        bench.compare(f"lora, {name}: merged weights", starting(merged, "weight:"), dict(model.merge_and_unload().state_dict()))


def principal(bench, folder, name, settings, options):
    """A start that changes the base weight in peft, and keeps what it takes in ours."""
    rows = rows_of([13, 6, 21])
    model = get_peft_model(LlamaForCausalLM.from_pretrained(folder), LoraConfig(r=RANK, lora_alpha=ALPHA, init_lora_weights="pissa", **settings)).eval()
    start = bench.new_folder()
    model.peft_config["default"].init_lora_weights = True
    model.save_pretrained(start)
    model.peft_config["default"].init_lora_weights = "pissa"
    theirs = reference(model.get_base_model(), rows)
    theirs["loss"].backward()
    gradients = gradients_of(model)
    mine = table(folder, options + '\ninit = "pissa"')
    written = bench.new_folder()
    _, out = bench.ask("model", model=mine, ids=rows)
    bench.compare(f"lora, pissa{name}: start", {key: out[key] for key in theirs}, theirs)
    bench.compare(f"lora, pissa{name}: gradients", ours(out), gradients, gradients=gradients)
    _, out = bench.ask("model", model=mine, ids=rows, steps=STEPS, train=TRAIN, save_adapter=written)
    model.zero_grad()
    trained(model, rows, adamw(model))
    theirs = {"logits": reference(model.get_base_model(), rows)["logits"]}
    bench.compare(f"lora, pissa{name}: {STEPS} steps", {"logits": out["logits"]}, theirs)
    bench.compare(f"lora, pissa{name}: our adapter in peft, over the model as it was", logits_in_peft(folder, written, rows), theirs)
    double = settings.get("use_rslora") and 2 ** 0.5 or 2
    twice = lambda weights: table(folder, options, weights, rank=2 * RANK, alpha=double * ALPHA)
    _, out = bench.ask("model", model=twice(written), ids=rows)
    bench.compare(f"lora, pissa{name}: our adapter in ours, as an ordinary one", {"logits": out["logits"]}, theirs)
    bench.refused(f"lora, pissa{name}: peft's own form", "path_initial_model_for_weight_conversion", "model", model=table(folder, options, written_by(bench, model)), ids=rows)
    if not settings.get("use_dora"):
        converted = bench.new_folder()
        model.save_pretrained(converted, path_initial_model_for_weight_conversion=str(start))
        _, out = bench.ask("model", model=twice(converted), ids=rows)
        bench.compare(f"lora, pissa{name}: peft's converted adapter in ours", {"logits": out["logits"]}, theirs)


def starts(bench, folder):
    """Random starts, by what makes them: the numbers are drawn otherwise than torch's modules draw them."""
    rows = rows_of([13, 6])
    plain = {"logits": reference(LlamaForCausalLM.from_pretrained(folder), rows)["logits"]}
    written = bench.new_folder()
    bench.ask("model", model=table(folder, 'targets = ["q_proj"]\ninit = "xavier"', rank=8), ids=rows, save_adapter=written)
    drawn = [value for name, value in load_file(written / "adapter_model.safetensors").items() if "lora_A" in name]
    wide = torch.cat([value.flatten() for value in drawn]).std().item()
    bench.check("lora, xavier: A is spread as Glorot says", abs(wide - (2 / (8 + drawn[0].shape[1])) ** 0.5) < 0.1 * wide, f"{wide:.4f}")
    for init, rank in [("kaiming", 8), ("gaussian", 8), ("orthogonal", 8)]:
        written = bench.new_folder()
        _, out = bench.ask("model", model=table(folder, f'targets = "all-linear"\ninit = "{init}"', rank=rank), ids=rows, save_adapter=written)
        bench.compare(f"lora, {init}: it starts at the base", {"logits": out["logits"]}, plain)
        theirs = get_peft_model(LlamaForCausalLM.from_pretrained(folder), LoraConfig(r=rank, target_modules="all-linear", init_lora_weights=True if init == "kaiming" else init))
        theirs = {named(name): p.detach() for name, p in theirs.named_parameters() if p.requires_grad}
        mine = {name.replace("base_model.model.", ""): value for name, value in load_file(written / "adapter_model.safetensors").items()}
        for factor in "AB":
            a, b = (torch.cat([value.flatten() for name, value in each.items() if f"lora_{factor}" in name]) for each in (mine, theirs))
            near = abs(a.std() - b.std()) <= 0.06 * b.std() and abs(a.mean() - b.mean()) <= 0.06 * b.std()
            bench.check(f"lora, {init}: {factor} is spread as in peft", near and len(set(a.tolist())) > 1 or b.std() == a.std() == 0, f"{a.std():.4f} {b.std():.4f}")
            ranks = lambda each: [torch.linalg.matrix_rank(value, rtol=1e-4).item() for name, value in each.items() if f"lora_{factor}" in name]
            bench.check(f"lora, {init}: rank of {factor} as in peft", ranks(mine) == ranks(theirs), ranks(mine)[:3])
        again = bench.new_folder()
        bench.ask("model", model=table(folder, f'targets = "all-linear"\ninit = "{init}"', rank=rank), ids=rows, save_adapter=again)
        bench.check(f"lora, {init}: the same seed, the same start", all(torch.equal(a, b) for a, b in zip(load_file(written / "adapter_model.safetensors").values(), load_file(again / "adapter_model.safetensors").values())))


def rates(bench, folder):
    """LoRA+: a rate of its own for B, and for vectors."""
    rows, settings = rows_of([13, 6, 21]), dict(target_modules=["q_proj", "down_proj"], bias="lora_only", use_dora=True)
    model = in_peft(folder, **settings)
    adapter, written, slow = written_by(bench, model), bench.new_folder(), LR / 4
    groups = "".join(f'[[groups]]\nmatch = "{match}"\nlr = {16 * slow}\n' for match in ("*.lora_B.weight", "*.lora_magnitude_vector", "*.bias"))
    options = 'targets = ["q_proj", "down_proj"]\nbias = "lora_only"\ndora = true'
    _, out = bench.ask("model", model=table(folder, options, adapter), ids=rows, steps=STEPS, train=TRAIN.replace(f"lr = {LR}", f"lr = {slow}") + groups, save_adapter=written)
    trained(model, rows, create_loraplus_optimizer(model, torch.optim.AdamW, lr=slow, loraplus_lr_ratio=16, eps=EPS))
    bench.compare(f"lora, rates of LoRA+: {STEPS} steps", {"logits": out["logits"]}, {"logits": reference(model.get_base_model(), rows)["logits"]})
    bench.compare(f"lora, rates of LoRA+: the file after {STEPS} steps", load_file(written / "adapter_model.safetensors"), load_file(written_by(bench, model) / "adapter_model.safetensors"))


def stacked(bench, folder):
    """Two on the same sites: the second changes what the first made of them, whether that is folded in or not."""
    rows, targets = rows_of([13, 6]), ["v_proj", "down_proj"]
    for name, first, second in [("dora on lora", {}, dict(use_dora=True)), ("lora on dora", dict(use_dora=True), {}), ("dora on dora", dict(use_dora=True), dict(use_dora=True))]:
        one = in_peft(folder, 51, target_modules=targets, **first)
        below, merged = written_by(bench, one), bench.new_folder()
        one.merge_and_unload().save_pretrained(merged)
        model = in_peft(merged, 52, target_modules=targets, **second)
        theirs = {"logits": reference(model.get_base_model(), rows)["logits"]}
        lora = lambda settings, weights: f'[[llm.peft]]\nplugin = "lora"\nrank = {RANK}\nalpha = {ALPHA}\ntargets = {targets}\ndora = {str("use_dora" in settings).lower()}\nweights = "{weights}"\n'
        mine = model_table(folder, False) + lora(first, below) + lora(second, written_by(bench, model))
        for how in ({}, {"merge": True}):
            _, out = bench.ask("model", model=mine, ids=rows, **how)
            bench.compare(f"lora, {name}{', merged' if how else ''}", {"logits": out["logits"]}, theirs)


def quantized(bench):
    """DoRA over a language model in 8 and 4 bits: lengths are those of what the bits stand for."""
    rows, targets = rows_of([13, 6, 21]), ["q_proj", "v_proj", "down_proj"]
    for format in ("int8", "int4"):
        folder = bench.new_folder()
        tiny.llama(folder, hidden_size=64, intermediate_size=96, attention_bias=True)
        adapter = written_by(bench, in_peft(folder, target_modules=targets, use_dora=True))
        _, out = bench.ask("model", model=table(folder, f"targets = {targets}\ndora = true", adapter), ids=rows, quantize=format)
        base = LlamaForCausalLM.from_pretrained(folder)
        base.load_state_dict({**base.state_dict(), **starting(out, "weight:")})
        base.save_pretrained(rounded := bench.new_folder())
        model = PeftModel.from_pretrained(LlamaForCausalLM.from_pretrained(rounded), adapter, is_trainable=True).eval()
        theirs = reference(model.get_base_model(), rows)
        theirs["loss"].backward()
        gradients = gradients_of(model)
        bench.compare(f"lora, dora over {format}: hidden, logits, loss", {key: out[key] for key in theirs}, theirs)
        bench.compare(f"lora, dora over {format}: gradients", ours(out), gradients, gradients=gradients)


def refusals(bench, folder, tied):
    adapter = written_by(bench, in_peft(folder, target_modules=["q_proj"], use_dora=True, alpha_pattern={"q_proj": 3}))
    q = 'targets = ["q_proj"]'
    for name, options, weights, word in [
            ("dora, where none was trained", q + "\ndora = false", adapter, "use_dora"), ("another scale", q + "\nalpha_pattern = {}", adapter, "alpha_pattern"),
            ("a regular expression for a part of names", "targets = 'q_proj'", "", "from beginning to end"), ("a malformed one", "targets = '(q_proj'", "", "regular expression"),
            ("a number for targets", "targets = 3", "", "list of names"), ("biases that were trained", 'targets = ["q_proj"]\nbias = "none"', written_by(bench, in_peft(folder, target_modules=["q_proj"], bias="lora_only")), "bias"),
            ("a head that was trained", 'targets = ["q_proj"]\nmodules_to_save = []', written_by(bench, in_peft(folder, target_modules=["q_proj"], modules_to_save=["lm_head"])), "modules_to_save"),
            ("another module than was trained", 'targets = ["q_proj"]\nmodules_to_save = ["embed_tokens"]', written_by(bench, in_peft(folder, target_modules=["q_proj"], modules_to_save=["lm_head"])), "has other values than the model"),
            ("nothing to leave out", q + '\nexclude_modules = ["q_porj"]', "", "did you mean"),
            ("nothing left", q + '\nexclude_modules = ["q_proj"]', "", "no site is left"), ("a layer that is not there", q + "\nlayers_to_transform = [1, 7]", "", "layer 7"),
            ("layers beside an expression", "targets = '.*q_proj'\nlayers_to_transform = [1]", "", "beside a regular expression"), ("layers_pattern alone", q + '\nlayers_pattern = ["layers"]', "", "without layers_to_transform"),
            ("a pattern without a site", q + "\nrank_pattern = { v_proj = 3 }", "", "'v_proj' matches none"), ("two patterns for one site", q + "\nrank_pattern = { q_proj = 3, '.*proj' = 2 }", "", "both match"),
            ("half a rank", q + "\nrank_pattern = { q_proj = 2.5 }", "", "no number that fits"), ("a module that is not there", q + '\nmodules_to_save = ["lm_haed"]', "", "lm_haed"),
            ("dropout behind dora", q + '\ndora = true\ndropout_position = "post"', "", "dropout_position"), ("an odd orthogonal rank", q + '\ninit = "orthogonal"\nrank_pattern = { q_proj = 3 }', "", "even rank"), ("more ranks than singular values", q + '\ninit = "pissa"\nrank_pattern = { q_proj = 100 }', "", "fewer singular values"),
            ("dora behind what makes no matrix", q + "\ndora = true", "", "makes none")]:
        mine = table(folder, options, weights)
        if "behind" in name:
            mine = mine.replace("[[llm.peft]]", '[[llm.peft]]\nplugin = "adapters"\ntargets = ["q_proj"]\n[[llm.peft]]', 1)
        bench.refused(f"lora refuses {name}", word, "model", model=mine, ids=[[1, 2, 3]])
    bench.refused("lora refuses a head that is the embedding", "has none", "model", model=table(tied, q + '\nmodules_to_save = ["lm_head"]'), ids=[[1, 2, 3]])
    bench.refused("lora refuses an embedding that is the head among modules_to_save", "selective", "model", model=table(tied, q + '\nmodules_to_save = ["embed_tokens"]'), ids=[[1, 2, 3]])
    bench.refused("lora refuses biases of layers without", "have no biases", "model", model=table(tied, q + '\nbias = "all"'), ids=[[1, 2, 3]])


def run(bench):
    folder, tied = bench.new_folder(), bench.new_folder()
    tiny.llama(folder, attention_bias=True, mlp_bias=True, tie_word_embeddings=False)
    tiny.llama(tied, tie_word_embeddings=True)
    for name, (settings, options) in CASES.items():
        one(bench, name, settings, options, folder)
    for name, settings, more in [("", {}, ""), (", rslora", dict(use_rslora=True), "\nrslora = true"), (", dora", dict(use_dora=True), "\ndora = true")]:
        principal(bench, folder, name, dict(target_modules=["q_proj", "down_proj"], **settings), 'targets = ["q_proj", "down_proj"]' + more)
    starts(bench, folder)
    rates(bench, folder)
    stacked(bench, folder)
    quantized(bench)
    refusals(bench, folder, tied)
