"""Bottleneck adapters against their definition in torch: y + up(act(down(norm(y)))) after attention and after the MLP
(Houlsby et al. 2019), or after the MLP alone (Pfeiffer et al. 2020)."""
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from transformers import LlamaForCausalLM

from . import tiny
from .common import starting
from .decoders import model_table, reference, rows_of
from .ptuning import input_leaves

WIDTH, HIDDEN = 5, 48
ACTIVATIONS = {"swish": F.silu, "relu": F.relu, "gelu": F.gelu}
CASES = {
    "houlsby": ('style = "houlsby"', ["o_proj", "down_proj"], "swish", "pre"),
    "pfeiffer, norm behind": ('style = "pfeiffer"\nnorm = "post"\nactivation = "gelu"', ["down_proj"], "gelu", "post"),
    "no norm": ('norm = "none"\nactivation = "relu"', ["o_proj", "down_proj"], "relu", "none"),
    "sites by name": ('targets = ["model.layers.1.self_attn.v_proj", "up_proj"]', ["model.layers.1.self_attn.v_proj", "up_proj"], "swish", "pre"),
}


class Adapter(torch.nn.Module):
    def __init__(self, layer, activation, norm):
        super().__init__()
        out = layer.out_features
        self.layer = [layer]  # no parameter of this module
        self.activation, self.norm = ACTIVATIONS[activation], norm
        self.adapter_down, self.adapter_up = torch.nn.Linear(out, WIDTH, bias=False), torch.nn.Linear(WIDTH, out, bias=False)
        if norm != "none":
            self.adapter_norm = torch.nn.LayerNorm(out)

    def forward(self, x):
        y = self.layer[0](x)
        change = self.adapter_up(self.activation(self.adapter_down(self.adapter_norm(y) if self.norm == "pre" else y)))
        return y + (self.adapter_norm(change) if self.norm == "post" else change)


def put(model, targets, activation, norm, zero=False):
    """In place of the layers of these names; the adapters by name."""
    generator, found = torch.Generator().manual_seed(31), {}
    for name, module in list(model.named_modules()):
        if not any(name == target or name.endswith("." + target) for target in targets):
            continue
        parent, _, last = name.rpartition(".")
        adapter = Adapter(module, activation, norm)
        with torch.no_grad():
            for key, p in adapter.named_parameters():
                p.copy_(0.2 * torch.randn(p.shape, generator=generator) + ("norm.weight" in key))
            if zero:
                adapter.adapter_up.weight.zero_()
        setattr(model.get_submodule(parent), last, adapter)
        found[name] = adapter
    return found


def adapted(folder, *how):
    """The model with adapters in place of the layers, and these by name."""
    model = LlamaForCausalLM.from_pretrained(folder).eval().requires_grad_(False)
    return model, put(model, *how)


def named(found):
    return {f"{name}.{key}": p for name, adapter in found.items() for key, p in adapter.named_parameters()}


def one(bench, name, folder, options, targets, activation, norm):
    rows = rows_of([13, 6, 21])
    model, found = adapted(folder, targets, activation, norm)
    values = bench.new_folder() / "values.safetensors"
    save_file({f"llm.peft.0/{key}": p.detach().contiguous() for key, p in named(found).items()}, values)
    table = model_table(folder, trainable=False) + f'[[llm.peft]]\nplugin = "adapters"\nbottleneck = {WIDTH}\n{options}\n'
    theirs = reference(model, rows)
    theirs["loss"].backward()
    gradients = {key: p.grad for key, p in named(found).items()}
    written = bench.new_folder()
    _, out = bench.ask("model", model=table, ids=rows, values=values, save_adapter=written)
    bench.compare(f"adapters {name}: forward", {key: out[key] for key in theirs}, theirs)
    bench.compare(f"adapters {name}: gradients", starting(out, "grad:llm.peft.0:"), gradients, gradients=gradients)
    leaves = input_leaves(model, rows)
    _, of_input = bench.ask("model", model=table, ids=rows, values=values, grad_x=True)
    bench.compare(f"adapters {name}: gradient of the input", {"x": of_input["grad_x"]}, {"x": leaves}, gradients=["x"])
    again = table.replace('plugin = "adapters"', f'plugin = "adapters"\nweights = "{written}"')
    _, read = bench.ask("model", model=again, ids=rows)
    bench.check(f"adapters {name}: written and read", torch.equal(read["logits"], out["logits"]))
    hidden = torch.cat([model.model(input_ids=torch.tensor([row])).last_hidden_state[0] for row in rows])
    _, cached = bench.ask("cached", model=again, ids=rows, steps=[[12, 5, 20]] + [[1, 1, 1]])
    bench.compare(f"adapters {name}: by the KV cache", cached, {"hidden": hidden})


def run(bench):
    folder = bench.new_folder()
    tiny.llama(folder, attention_bias=True, mlp_bias=True)
    for name, (options, targets, activation, norm) in CASES.items():
        one(bench, name, folder, options, targets, activation, norm)
    rows = rows_of([9, 4])
    plain = reference(LlamaForCausalLM.from_pretrained(folder), rows)
    table = model_table(folder, trainable=False) + f'[[llm.peft]]\nplugin = "adapters"\nbottleneck = {WIDTH}\n'
    for norm in ("pre", "post", "none"):
        _, out = bench.ask("model", model=table + f'norm = "{norm}"\n', ids=rows)
        bench.compare(f"adapters begin as the identity, norm {norm}", {"logits": out["logits"]}, {"logits": plain["logits"]})
    bench.refused("adapters refuse targets that match no site", "no site matches the target mpl", "model", model=model_table(folder, False) + '[[llm.peft]]\nplugin = "adapters"\ntargets = ["mpl"]\n', ids=rows)
    bench.refused("adapters cannot be merged", "cannot become part of the weights", "model", model=table, ids=rows, merge=True)
