"""Parallel adapters against their definition in torch: y = F(x) + scale * up(act(down(x))) beside an MLP or attention (He et al. 2022)."""
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from transformers import LlamaForCausalLM, NemotronForCausalLM

from . import tiny
from .common import starting
from .decoders import model_table, reference, rows_of
from .lora_forms import STEPS, TRAIN, LR, EPS

WIDTH, HIDDEN = 5, 48
ACTIVATIONS = {"relu": F.relu, "swish": F.silu, "gelu": F.gelu}
CASES = {
    "the MLP": ("", ["mlp"], "relu", 4.0, "llama"),
    "attention": ('sublayers = "attention"\nscale = 1.5\nactivation = "swish"', ["self_attn"], "swish", 1.5, "llama"),
    "both": ('sublayers = "both"\nactivation = "gelu"\nscale = 0.5', ["mlp", "self_attn"], "gelu", 0.5, "llama"),
    "an MLP without a gate": ("", ["mlp"], "relu", 4.0, "nemotron"),
}
LAST = {"mlp": "mlp.down_proj", "self_attn": "self_attn.o_proj"}


class Branch(torch.nn.Module):
    """What stands beside a sublayer: scale * up(act(down(x)))."""

    def __init__(self, activation, scale, wide=HIDDEN, out=HIDDEN):
        super().__init__()
        self.activation, self.scale = ACTIVATIONS[activation], scale
        self.parallel_down, self.parallel_up = torch.nn.Linear(wide, WIDTH), torch.nn.Linear(WIDTH, out)

    def change(self, x):
        return self.scale * self.parallel_up(self.activation(self.parallel_down(x)))

    def randomise(self, generator):
        with torch.no_grad():
            for p in self.parameters():
                p.copy_(0.2 * torch.randn(p.shape, generator=generator))
        return self


class Beside(Branch):
    def __init__(self, layer, activation, scale):
        super().__init__(activation, scale)
        self.layer = [layer]  # no parameter of this module

    def forward(self, *args, **kwargs):
        y = self.layer[0](*args, **kwargs)
        change = self.change(args[0] if args else kwargs["hidden_states"])
        return (y[0] + change, *y[1:]) if isinstance(y, tuple) else y + change


def beside_layers(model, ends, activation, scale):
    """Of sublayers from one linear layer to another, by the ends of their names: what stands beside each, by the name of the last."""
    generator, found = torch.Generator().manual_seed(33), {}
    for name, last in list(model.named_modules()):
        for begin, end in ends:
            if name != end and not name.endswith("." + end):
                continue
            first, given = model.get_submodule(name[: len(name) - len(end)] + begin), []
            found[name] = Branch(activation, scale, first.in_features, last.out_features).randomise(generator)
            first.register_forward_pre_hook(lambda layer, args, given=given: given.append(args[0]))
            last.register_forward_hook(lambda layer, args, y, given=given, branch=found[name]: y + branch.change(given.pop()))
    return found


def adapted(cls, folder, sublayers, activation, scale):
    model = cls.from_pretrained(folder).eval().requires_grad_(False)
    generator, found = torch.Generator().manual_seed(33), {}
    for i, layer in enumerate(model.model.layers):
        for sublayer in sublayers:
            adapter = Beside(getattr(layer, sublayer), activation, scale).randomise(generator)
            setattr(layer, sublayer, adapter)
            found[f"model.layers.{i}.{LAST[sublayer]}"] = adapter
    return model, found


def table(folder, options, plugin="llama", weights=""):
    weights = f'weights = "{weights}"\n' if weights else ""
    return model_table(folder, trainable=False, plugin=plugin) + f'[[llm.peft]]\nplugin = "parallel_adapters"\nbottleneck = {WIDTH}\n{weights}{options}\n'


def one(bench, name, options, sublayers, activation, scale, plugin):
    rows, folder = rows_of([13, 6, 21]), bench.new_folder()
    getattr(tiny, plugin)(folder)
    cls = {"llama": LlamaForCausalLM, "nemotron": NemotronForCausalLM}[plugin]
    model, found = adapted(cls, folder, sublayers, activation, scale)
    named = {f"{path}.{key}": p for path, adapter in found.items() for key, p in adapter.named_parameters()}
    values = bench.new_folder() / "values.safetensors"
    save_file({f"llm.peft.0/{key}": p.detach().clone() for key, p in named.items()}, values)
    theirs = reference(model, rows)
    theirs["loss"].backward()
    gradients = {key: p.grad.clone() for key, p in named.items()}
    written = bench.new_folder()
    mine = table(folder, options, plugin)
    _, out = bench.ask("model", model=mine, ids=rows, values=values, save_adapter=written)
    bench.compare(f"parallel_adapters, {name}: hidden, logits, loss", {key: out[key] for key in theirs}, theirs)
    bench.compare(f"parallel_adapters, {name}: gradients", starting(out, "grad:llm.peft.0:"), gradients, gradients=gradients)
    _, out = bench.ask("model", model=table(folder, options, plugin, written), ids=rows)
    bench.compare(f"parallel_adapters, {name}: our file in ours", {"logits": out["logits"]}, {"logits": theirs["logits"]})
    _, out = bench.ask("model", model=mine, ids=rows)
    bench.compare(f"parallel_adapters, {name}: it starts at the base", {"logits": out["logits"]}, {"logits": reference(cls.from_pretrained(folder).eval(), rows)["logits"]})
    _, out = bench.ask("model", model=mine, ids=rows, values=values, steps=STEPS, train=TRAIN)
    optimizer = torch.optim.AdamW(named.values(), lr=LR, eps=EPS, weight_decay=0)
    for _ in range(STEPS):
        optimizer.zero_grad()
        reference(model, rows)["loss"].backward()
        optimizer.step()
    theirs = reference(model, rows)
    bench.compare(f"parallel_adapters, {name}: {STEPS} steps", {"logits": out["logits"]}, {"logits": theirs["logits"]})
    _, out = bench.ask("cached", model=table(folder, options, plugin, written), ids=rows, steps=[[7, 0, 20], [6, 3, 0]] + [[0, 1, 0]] * 3 + [[0, 0, 1]])
    plain = adapted(cls, folder, sublayers, activation, scale)[0]
    bench.compare(f"parallel_adapters, {name}: cache in pieces", out, {"hidden": reference(plain, rows)["hidden"]})


def run(bench):
    for name, case in CASES.items():
        one(bench, name, *case)
    folder = bench.new_folder()
    tiny.llama(folder)
    for name, options, word in [("one end", 'inputs = ["up_proj"]', "without the other"), ("two layers that begin", 'inputs = ["gate_proj", "up_proj"]\noutputs = ["down_proj"]', "both begin"),
                                ("an end before its beginning", 'inputs = ["down_proj"]\noutputs = ["up_proj"]', "has not begun"), ("an end that is not there", 'inputs = ["up_proj"]\noutputs = ["down_porj"]', "did you mean 'down_proj'")]:
        bench.refused(f"parallel_adapters refuses {name}", word, "model", model=table(folder, options), ids=[[1, 2]])
    bench.refused("parallel_adapters cannot be merged", "cannot become part of the weights", "model", model=table(folder, ""), ids=[[1, 2]], merge=True)
