"""Every method of fine-tuning on every encoder and on connectors, against peft, or its definition in torch if peft has not the method: what they
compute, and every gradient."""
import json

import torch
from peft import IA3Config, LoraConfig, VeraConfig, get_peft_model
from safetensors.torch import load_file, save_file

from . import adapters, method_parts, parallel_adapters, selective
from .common import relative, starting
from .lora_forms import named

RANK, ALPHA = 4, 6
OF_PEFT = {
    "lora": (LoraConfig, dict(r=RANK, lora_alpha=ALPHA), f'plugin = "lora"\nrank = {RANK}\nalpha = {ALPHA}'),
    "lora, rslora": (LoraConfig, dict(r=RANK, lora_alpha=ALPHA, use_rslora=True), f'plugin = "lora"\nrank = {RANK}\nalpha = {ALPHA}\nrslora = true'),
    "dora": (LoraConfig, dict(r=RANK, lora_alpha=ALPHA, use_dora=True), f'plugin = "lora"\nrank = {RANK}\nalpha = {ALPHA}\ndora = true'),
    "pissa": (LoraConfig, dict(r=RANK, lora_alpha=ALPHA, init_lora_weights="pissa"), f'plugin = "lora"\nrank = {RANK}\nalpha = {ALPHA}\ninit = "pissa"'),
    "vera": (VeraConfig, dict(r=6, projection_prng_key=5), 'plugin = "vera"\nrank = 6\nprojection_seed = 5'),
    "ia3": (IA3Config, {}, 'plugin = "ia3"'),
}
METHODS = [*OF_PEFT, "adapters", "parallel_adapters", "selective"]
AT_THE_BASE = ("pissa", "selective")  # these begin with what the module computes without them


def moved(model):
    """Off its start, everything that is trained."""
    generator = torch.Generator().manual_seed(71)
    with torch.no_grad():
        for name, p in model.named_parameters():
            noise = torch.randn(p.shape, generator=generator)
            if p.requires_grad and ("magnitude" in name or "ia3_" in name):
                p.mul_(1 + 0.3 * noise)
            elif p.requires_grad:
                p.copy_(0.3 * (1 + noise) if "vera_" in name else 0.1 * noise)


def of_peft(name, module, part, folder):
    config, settings, options = OF_PEFT[name]
    options += f"\ntargets = {json.dumps(part.own_targets)}"
    if name == "ia3":
        settings = dict(feedforward_modules=part.targets[-1:])
        options += f"\nfeedforward = {json.dumps(part.own_targets[-1:])}"
    model = get_peft_model(module, config(target_modules=part.targets, **settings)).eval()
    if name != "pissa":  # whose files in peft are of what it left of the weights
        moved(model)
        model.save_pretrained(folder)
        options += f'\nweights = "{folder}"'
        if part.plugin == "dinov2":  # peft has the names in memory
            file = folder / "adapter_model.safetensors"
            save_file({part.rename(key): value for key, value in load_file(file).items()}, file)
    return {part.rename(named(key)): p for key, p in model.named_parameters() if p.requires_grad}, options


def written(folder, config, found, part):
    """Of a method that is ours alone."""
    parameters = {part.rename(f"{path}.{key}"): p for path, adapter in found.items() for key, p in adapter.named_parameters()}
    save_file({f"base_model.model.{key}": p.detach().clone() for key, p in parameters.items()}, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return parameters


def bottlenecks(module, part, folder):
    module.requires_grad_(False)
    found = adapters.put(module, part.last, "swish", "pre")
    parameters = written(folder, {"peft_type": "BOTTLENECK", "bottleneck": adapters.WIDTH, "activation": "swish", "norm": "pre"}, found, part)
    targets = "" if part.known else f"\ntargets = {json.dumps(part.own_last)}"
    return parameters, f'plugin = "adapters"\nbottleneck = {adapters.WIDTH}{targets}\nweights = "{folder}"'


def beside(module, part, folder):
    module.requires_grad_(False)
    found = parallel_adapters.beside_layers(module, part.ends, "gelu", 0.5)
    parameters = written(folder, {"peft_type": "PARALLEL_ADAPTERS", "bottleneck": parallel_adapters.WIDTH, "scale": 0.5, "activation": "gelu"}, found, part)
    ends = 'sublayers = "both"' if part.known else "\n".join(f"{key} = {json.dumps([pair[i] for pair in part.ends])}" for i, key in enumerate(["inputs", "outputs"]))
    return parameters, f'plugin = "parallel_adapters"\nbottleneck = {parallel_adapters.WIDTH}\nscale = 0.5\nactivation = "gelu"\n{ends}\nweights = "{folder}"'


def own(module, part, folder):
    names = selective.chosen(module, part.chosen, [])
    return {part.rename(key): module.get_parameter(key) for key in names}, f'plugin = "selective"\ntargets = {json.dumps(part.chosen)}'


def put(name, module, part, folder):
    """Changes the module; what is trained now, by our names, and the table."""
    way = {"adapters": bottlenecks, "parallel_adapters": beside, "selective": own}.get(name)
    parameters, options = way(module, part, folder) if way else of_peft(name, module, part, folder)
    return parameters, f"[[peft]]\n{options}\n"


def one_method(bench, kind, case, part, method):
    folder, generator = bench.new_folder(), torch.Generator().manual_seed(72)
    module = part.build(folder)
    x = torch.randn(part.x, generator=generator).requires_grad_(True)
    base = part.forward(module, x).detach()
    trained, table = put(method, module, part, bench.new_folder())
    y = part.forward(module, x)
    assert method in AT_THE_BASE or relative(y, base) > 1e-2, "the method changes nothing"
    y.backward(grad := torch.randn(y.shape, generator=generator))
    weights = folder / "connector.safetensors" if kind == "connector" else folder
    _, out = bench.ask(kind, {"x": x, "grad": grad}, plugin=part.plugin, weights=weights, options=part.options, peft=table, **part.request)
    gradients = {"x": x.grad, **{name: p.grad for name, p in trained.items() if p.grad is not None}}  # none of a norm behind what is taken
    ours = {name.removeprefix("peft.0:"): value for name, value in starting(out, "grad:").items()}
    ours = {name: value for name, value in ours.items() if name in gradients or value.any()}
    bench.compare(f"{method} on {case}: what it computes, with gradients and without", {"y": out["y"], "frozen": out["y_frozen"]}, {"y": y, "frozen": y})
    bench.compare(f"{method} on {case}: gradients", {"x": out["grad_x"], **ours}, gradients, gradients=gradients)


def untouched(bench):
    """A connector without linear layers: what changes these is refused, by name."""
    part, folder = method_parts.connectors()["average_pool"], bench.new_folder()
    part.build(folder)
    for method, options in {"lora": 'targets = "all-linear"', "vera": 'targets = ["projection"]', "adapters": 'targets = ["projection"]'}.items():
        bench.refused(f"{method} on a connector without linear layers", method, "connector", inputs={"x": torch.zeros(part.x)}, plugin=part.plugin, weights=folder / "connector.safetensors", options=part.options,
                      peft=f'[[peft]]\nplugin = "{method}"\n{options}\n', **part.request)


def fits(method, part):
    return method == "selective" or part.targets and (part.ends or method != "parallel_adapters")


def run(bench):
    parts = [("encoder", name, part) for name, part in method_parts.ENCODERS.items()]
    parts += [("connector", f"the connector {name}", part) for name, part in method_parts.connectors().items()]
    for kind, case, part in parts:
        for method in METHODS:
            if fits(method, part):
                one_method(bench, kind, case, part, method)
    untouched(bench)
