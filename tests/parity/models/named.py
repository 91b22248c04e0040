"""Several adapters with names on one model, against peft's: one, several, none of them in use; a second one trained over the first;
merged; prefixes."""
from peft import PeftModel
from transformers import LlamaForCausalLM

from . import tiny
from .decoders import model_table, reference, rows_of
from .lora_forms import STEPS, TRAIN, adamw, in_peft, written_by

ADAPTERS = {"a": (dict(r=4, lora_alpha=12, target_modules=["q_proj", "v_proj"]), 'rank = 4\nalpha = 12\ntargets = ["q_proj", "v_proj"]'),
            "b": (dict(r=3, lora_alpha=5, target_modules=["v_proj", "down_proj"]), 'rank = 3\nalpha = 5\ntargets = ["v_proj", "down_proj"]'),
            "c": (dict(r=2, lora_alpha=4, target_modules=["q_proj", "v_proj"], use_dora=True), 'rank = 2\nalpha = 4\ntargets = ["q_proj", "v_proj"]\ndora = true')}


def slot(name, options, weights, more=""):
    weights = f'weights = "{weights}"\n' if weights else ""
    return f'[[llm.peft]]\nplugin = "lora"\nname = "{name}"\n{options}\n{weights}{more}'


def run(bench):
    folder, rows = bench.new_folder(), rows_of([13, 6, 21])
    tiny.llama(folder)
    folders = {name: written_by(bench, in_peft(folder, 60 + i, **settings)) for i, (name, (settings, _)) in enumerate(ADAPTERS.items())}
    base = LlamaForCausalLM.from_pretrained(folder)
    plain = {"logits": reference(base, rows)["logits"]}
    model = PeftModel.from_pretrained(base, folders["a"], adapter_name="a").eval()
    model.load_adapter(folders["b"], "b")
    model.load_adapter(folders["c"], "c")
    mine = model_table(folder, False) + "".join(slot(name, options, folders[name]) for name, (_, options) in ADAPTERS.items())
    logits = lambda: {"logits": reference(model.get_base_model(), rows)["logits"]}
    for names in (["a"], ["b"], ["c"], ["a", "b"]):
        model.base_model.set_adapter(names)
        for how in ({}, {"merge": True}):
            _, out = bench.ask("model", model=mine, ids=rows, adapters=names, **how)
            bench.compare(f"named, {' and '.join(names)} in use{', merged' if how else ''}", {"logits": out["logits"]}, logits())
    model.add_weighted_adapter(["a", "b"], [1.0, 1.0], "both", combination_type="cat")
    model.set_adapter("both")
    _, out = bench.ask("model", model=mine, ids=rows, adapters=["b", "a"])
    bench.compare("named, a and b in use: peft's adapter of both (cat)", {"logits": out["logits"]}, logits())
    _, out = bench.ask("model", model=mine, ids=rows, adapters=[])
    bench.compare("named, none in use", {"logits": out["logits"]}, plain)
    weighed(bench, folder, rows)
    over_another(bench, folder, folders["a"], rows)
    for name, table, words in [("a name that none has", mine, "no method of fine-tuning has the name 'd'"), ("one name twice", mine.replace('name = "b"', 'name = "a"'), "two methods"),
                               ("a name that means something else", mine.replace('name = "b"', 'name = "none"'), "cannot name"), ("a frozen one without weights", model_table(folder, False) + slot("a", ADAPTERS["a"][1], "", "frozen = true\n"), "no weights to keep"),
                               ("a name for parameters of the part", model_table(folder, False) + slot("a", ADAPTERS["a"][1] + '\nmodules_to_save = ["norm"]', ""), "neither switched off")]:
        bench.refused(f"named refuses {name}", words, "model", model=table, ids=[[1, 2]], adapters=["d"])


def weighed(bench, folder, rows):
    """Adapters with weights: add_weighted_adapter of equal ranks in both forms, of others by cat; on layers that some of them have."""
    settings = {"a": dict(r=4, lora_alpha=12, target_modules=["q_proj", "v_proj"]), "b": dict(r=4, lora_alpha=6, target_modules=["v_proj", "down_proj"]), "c": dict(r=3, lora_alpha=6, target_modules=["q_proj"])}
    option = lambda s: f'rank = {s["r"]}\nalpha = {s["lora_alpha"]}\ntargets = {s["target_modules"]}'.replace("'", '"')
    folders = {name: written_by(bench, in_peft(folder, 90 + i, **values)) for i, (name, values) in enumerate(settings.items())}
    model = PeftModel.from_pretrained(LlamaForCausalLM.from_pretrained(folder), folders["a"], adapter_name="a").eval()
    for name in "bc":
        model.load_adapter(folders[name], name)
    mine = model_table(folder, False) + "".join(slot(name, option(values), folders[name]) for name, values in settings.items())
    for i, (how, weights) in enumerate([("cat", {"a": 0.7, "b": -0.4}), ("cat", {"a": 1.5, "b": 0.2, "c": 0.5}), ("linear", {"a": 0.7, "b": 0.3}), ("linear", {"a": 0.7, "b": -0.4}), ("linear", {"b": 2.0})]):
        model.add_weighted_adapter(list(weights), list(weights.values()), f"made{i}", combination_type=how)
        model.set_adapter(f"made{i}")
        expected = {"logits": reference(model.get_base_model(), rows)["logits"]}
        for merge in ({}, {"merge": True}):
            _, out = bench.ask("model", model=mine, ids=rows, adapter_weights=weights, combine=how, **merge)
            bench.compare(f"named, {how} of {weights}{', merged' if merge else ''}", {"logits": out["logits"]}, expected)
    dora = model_table(folder, False) + slot("c", ADAPTERS["c"][1], "")
    for name, table, weights, words in [("a linear combination of two ranks", mine, {"a": 1, "c": 1}, "rank 4 and 'c' rank 3"), ("a weight of a name that none has", mine, {"d": 1}, "no method of fine-tuning has the name 'd'"),
                                        ("a weight of dora", dora, {"c": 0.5}, "is not LoRA alone")]:
        bench.refused(f"named refuses {name}", words, "model", model=table, ids=[[1, 2]], adapter_weights=weights, combine="linear")


def over_another(bench, folder, first, rows):
    """A second one is trained over the first, which stays."""
    model = PeftModel.from_pretrained(LlamaForCausalLM.from_pretrained(folder), first, adapter_name="a").eval()
    settings, options = ADAPTERS["b"]
    begin = written_by(bench, in_peft(folder, 71, **settings))
    model.load_adapter(begin, "b", is_trainable=True)
    model.base_model.set_adapter(["a", "b"])
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(".b." in name and "lora_" in name)
    table, written = model_table(folder, False) + slot("a", ADAPTERS["a"][1], first, "frozen = true\n") + slot("b", options, begin), bench.new_folder()
    theirs = reference(model.get_base_model(), rows)
    theirs["loss"].backward()
    name_of = lambda name: name.replace("base_model.model.", "", 1).replace(".b.", ".")
    gradients = {name_of(name): p.grad for name, p in model.named_parameters() if p.requires_grad}
    _, out = bench.ask("model", model=table, ids=rows)
    bench.compare("named, b over a: logits, loss", {key: out[key] for key in ("logits", "loss")}, {key: theirs[key] for key in ("logits", "loss")})
    got = {name[len("grad:llm.peft.1:"):]: value for name, value in out.items() if name.startswith("grad:llm.peft.1:")}
    bench.compare("named, b over a: gradients", got, gradients, gradients=gradients)
    bench.check("named, b over a: none of a", not any(name.startswith("grad:llm.peft.0:") for name in out))
    optimizer = adamw(model)
    for _ in range(STEPS):
        optimizer.zero_grad()
        reference(model.get_base_model(), rows)["loss"].backward()
        optimizer.step()
    _, out = bench.ask("model", model=table, ids=rows, steps=STEPS, train=TRAIN)
    bench.compare(f"named, b over a: {STEPS} steps", {"logits": out["logits"]}, {"logits": reference(model.get_base_model(), rows)["logits"]})
