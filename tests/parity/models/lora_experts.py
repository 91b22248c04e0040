"""LoRA on experts against peft, which has it on the tensors of all experts of a layer (target_parameters): forward, gradients, some steps of
training, files in both directions, merging; in every family with experts."""
import json

import torch
from peft import PeftModel
from safetensors.torch import load_file

from . import tiny
from .common import starting
from .decoders import by_expert, model_table, reference, rows_of
from .lora import with_random_lora
from .lora_forms import ALPHA, RANK, STEPS, TRAIN, adamw, trained, written_by

GATE_UP, DOWN = "experts.gate_up_proj", "experts.down_proj"
# What peft is given, what ours is (of mixtral with its names), and whether training is peft's, too: of gate and up each has an A of its own here.
CASES = {
    "experts and attention": (dict(target_modules=["q_proj"], target_parameters=[GATE_UP, DOWN]), r".*q_proj|.*\.experts\.\d+\..*", "", False),
    "what goes in, rslora": (dict(target_modules=[], target_parameters=[GATE_UP], use_rslora=True), r".*\.experts\.\d+\.(gate|up)_proj", "rslora = true", False),
    "what comes out": (dict(target_modules=["v_proj"], target_parameters=[DOWN]), r".*v_proj|.*\.experts\.\d+\.down_proj", "", True),
    "what comes out of one layer": (dict(target_modules=[], target_parameters=["layers.1.mlp." + DOWN]), r".*\.1\..*\.experts\.\d+\.down_proj", "", True),
}
OF_MIXTRAL = {"(gate|up)_proj": "(w1|w3)", "down_proj": "w2"}


def named(name):
    return name.replace("base_model.model.", "", 1).replace(".default", "")


def together(gradients, settings, plugin):
    """Ours as peft has them: A of gate and up, which begin as one, gets the sum of what both get."""
    gate, up, down = ("w1", "w3", "w2") if plugin == "mixtral" else ("gate_proj", "up_proj", "down_proj")
    found, experts = {}, {}
    for name, gradient in gradients.items():
        module, _, rest = name.partition(".experts.")
        if not rest:
            found[name] = gradient
            continue
        expert, projection, factor, _ = rest.split(".")
        experts.setdefault(module.replace("block_sparse_moe", "mlp") + ".experts", {})[int(expert), projection, factor] = gradient
    both = len(settings["target_parameters"]) == 2
    for module, own in experts.items():
        count = 1 + max(expert for expert, _, _ in own)
        one = lambda e, parts: (sum(own[e, part, "lora_A"] for part in parts), torch.cat([own[e, part, "lora_B"] for part in parts]))
        for parts in ([gate, up], [down]):
            if (0, parts[0], "lora_A") not in own:
                continue
            a, b = zip(*(one(e, parts) for e in range(count)))
            key = module + (".base_layer" if both and len(parts) == 2 else "")
            found[f"{key}.lora_A.weight"], found[f"{key}.lora_B.weight"] = torch.cat(a), torch.stack(b, dim=2).flatten(1)
    return found


def one(bench, plugin, name, settings, targets, options, exact):
    title = f"lora on experts of {plugin}, {name}"
    folder, rows = bench.new_folder(), rows_of([13, 6, 21])
    for theirs, ours in OF_MIXTRAL.items() if plugin == "mixtral" else ():
        targets = targets.replace(theirs, ours)
    base = getattr(tiny, plugin)(folder)
    plain = {"logits": reference(base, rows)["logits"]}
    model = with_random_lora(base, settings, RANK, ALPHA, seed=43)
    adapter, written = written_by(bench, model), bench.new_folder()
    theirs = reference(model.get_base_model(), rows)
    bench.check(f"{title}: it changes something", (theirs["logits"] - plain["logits"]).abs().max() > 5e-4 * plain["logits"].abs().max())
    theirs["loss"].backward()
    gradients = {named(key): p.grad for key, p in model.named_parameters() if p.requires_grad}
    slot = lambda weights: model_table(folder, False, plugin) + f"[[llm.peft]]\nplugin = \"lora\"\nrank = {RANK}\nalpha = {ALPHA}\nweights = \"{weights}\"\ntargets = '{targets}'\n{options}\n"
    _, out = bench.ask("model", model=slot(adapter), ids=rows, save_adapter=written)
    bench.compare(f"{title}: peft's adapter in ours", {key: out[key] for key in theirs}, theirs)
    bench.compare(f"{title}: gradients", together(starting(out, "grad:llm.peft.0:"), settings, plugin), gradients, gradients=gradients)
    _, out = bench.ask("model", model=model_table(folder, False, plugin) + f'[[llm.peft]]\nplugin = "lora"\nweights = "{adapter}"\n', ids=rows)
    bench.compare(f"{title}: as the folder says it was made", {"logits": out["logits"]}, {"logits": theirs["logits"]})
    expected = {"logits": theirs["logits"]}
    if exact:
        _, out = bench.ask("model", model=slot(adapter), ids=rows, steps=STEPS, train=TRAIN, save_adapter=written)
        model.zero_grad()
        trained(model, rows, adamw(model))
        expected = {"logits": reference(model.get_base_model(), rows)["logits"]}
        bench.compare(f"{title}: {STEPS} steps", {"logits": out["logits"]}, expected)
        bench.compare(f"{title}: the file after {STEPS} steps", load_file(written / "adapter_model.safetensors"), load_file(written_by(bench, model) / "adapter_model.safetensors"))
    config = json.loads((written / "adapter_config.json").read_text())
    named_all = {next((wanted for wanted in settings["target_modules"] if f".{name}".endswith(f".{wanted}")), name) for name in config["target_modules"]}
    bench.check(f"{title}: the configuration names the tensors", len(config["target_parameters"]) == len(settings["target_parameters"]) and sorted(named_all) == settings["target_modules"], str(config))
    again = PeftModel.from_pretrained(type(base).from_pretrained(folder), written).eval()
    bench.compare(f"{title}: our adapter in peft", {"logits": reference(again.get_base_model(), rows)["logits"]}, expected)
    _, merged = bench.ask("model", model=slot(written), ids=rows, merge=True)
    bench.compare(f"{title}: our adapter in ours, merged", {"logits": merged["logits"]}, expected)
    of_experts = lambda weights: {key: value for key, value in weights.items() if ".experts." in key}
    bench.compare(f"{title}: merged experts", of_experts(starting(merged, "weight:")), of_experts(by_expert(dict(model.merge_and_unload().state_dict()), plugin)))


def refusals(bench):
    folder, rows = bench.new_folder(), [[1, 2, 3]]
    adapter = written_by(bench, with_random_lora(tiny.qwen3_moe(folder), dict(target_modules=[], target_parameters=[GATE_UP]), RANK, ALPHA, seed=43))
    slot = lambda options: model_table(folder, False, "qwen3_moe") + f'[[llm.peft]]\nplugin = "lora"\nrank = {RANK}\nalpha = {ALPHA}\nweights = "{adapter}"\n{options}\n'
    bench.refused("lora refuses experts of which gate alone has an adapter", "by more than the rank 0", "model", model=slot(r"targets = '.*\.experts\.\d+\.gate_proj'"), ids=rows)
    config = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(json.dumps({**config, "lora_alpha": ALPHA, "alpha_pattern": {"gate_up_proj": 2 * ALPHA}}))
    bench.refused("lora refuses experts that are multiplied by another number", "is multiplied by", "model", model=slot(r"targets = '.*\.experts\.\d+\.(gate|up)_proj'"), ids=rows)


def run(bench):
    for plugin in ("qwen2_moe", "qwen3_moe", "mixtral"):
        for name, case in CASES.items():
            one(bench, plugin, name, *case)
    beside = dict(target_modules=["down_proj"], target_parameters=[DOWN])
    one(bench, "qwen2_moe", "what comes out of them and of the one for all", beside, ".*down_proj", "", True)
    refusals(bench)
