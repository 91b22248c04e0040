"""Optimizers against torch.optim, transformers or their definition, over the same gradients."""
from unittest import mock

import torch
from transformers import LlamaForCausalLM
from transformers.optimization import Adafactor

from . import tiny
from .common import starting
from .decoders import model_table, reference, rows_of

STEPS = 50
SHAPES = {"square": (12, 12), "tall": (20, 8), "wide": (6, 18), "vector": (10,), "column": (9, 1), "table": (15, 6), "kernel": (4, 3, 2)}
ROLES = {"square": "matrix", "tall": "matrix", "wide": "matrix", "vector": "vector", "column": "vector", "table": "embedding", "kernel": "filter"}


def data(seed=81):
    generator = torch.Generator().manual_seed(seed)
    start = {name: torch.randn(shape, generator=generator) for name, shape in SHAPES.items()}
    return {**start, **{f"{name}.grad.{step}": torch.randn(shape, generator=generator) for name, shape in SHAPES.items() for step in range(STEPS)}}


def trained(inputs, make, shaped=lambda name, value: value):
    """`make`: parameters by name -> the optimizers. `shaped`: a value as they are to have it."""
    parameters = {name: shaped(name, inputs[name]).clone().requires_grad_(True) for name in SHAPES}
    optimizers = make(parameters)
    for step in range(STEPS):
        for name, parameter in parameters.items():
            parameter.grad = shaped(name, inputs[f"{name}.grad.{step}"]).clone()
        for optimizer in optimizers:
            optimizer.step()
    return {name: parameter.detach().view(SHAPES[name]) for name, parameter in parameters.items()}


def muon(inputs, lr, decay, relative, **options):
    def make(parameters):
        matrices = [p for name, p in parameters.items() if ROLES[name] == "matrix"]
        others = [p for name, p in parameters.items() if ROLES[name] != "matrix"]
        return [torch.optim.Muon(matrices, lr=lr, weight_decay=decay, **options), torch.optim.AdamW(others, lr=lr * relative, weight_decay=decay)]

    # The iteration is torch's own, in float32 as ours and not in bfloat16.
    with mock.patch.object(torch.Tensor, "bfloat16", torch.Tensor.clone):
        return trained(inputs, make)


class ByDefinition(torch.optim.Optimizer):
    """`change(state, parameter, gradient, step)` is what is taken off, in units of the rate; weight decay is decoupled."""

    def __init__(self, parameters, lr, decay, change):
        super().__init__(list(parameters), {})
        self.lr, self.decay, self.change = lr, decay, change

    @torch.no_grad()
    def step(self):
        for parameter in self.param_groups[0]["params"]:
            state = self.state[parameter]
            state["step"] = state.get("step", 0) + 1
            change = self.change(state, parameter, parameter.grad, state["step"])
            parameter.mul_(1 - self.lr * self.decay).sub_(self.lr * change)


def lion(beta1, beta2):
    """Algorithm 2 of the paper."""
    def change(state, parameter, gradient, _):
        momentum = state.get("m", torch.zeros_like(parameter))
        state["m"] = beta2 * momentum + (1 - beta2) * gradient
        return torch.sign(beta1 * momentum + (1 - beta1) * gradient)

    return change


def levels(signed):
    """Of a dynamic 8-bit number: in the decade 10^-e below 1 the middles of 2^(6-e) equal parts of [0.1, 1]; without a sign of twice as many."""
    values = [0.0, 1.0]
    for exponent in range(7):
        edges = torch.linspace(0.1, 1, 2 ** (6 - exponent + (not signed)) + 1, dtype=torch.float64)
        middles = ((edges[:-1] + edges[1:]) / 2 * 10.0**-exponent).tolist()
        values += middles + ([-value for value in middles] if signed else [])
    return torch.tensor(sorted(values), dtype=torch.float64).float()


def rounded(x, signed, block):
    """Each value as the nearest level times the largest magnitude of its block."""
    table, out = levels(signed), []
    for part in x.flatten().split(block):
        scale = part.abs().max()
        nearest = (part[:, None] / scale - table[None, :]).abs().argmin(1)
        out.append(table[nearest] * scale)
    return torch.cat(out).view(x.shape)


def adamw_8bit(beta1, beta2, eps, block, min_size):
    def change(state, parameter, gradient, step):
        keep = (lambda x, signed: rounded(x, signed, block)) if parameter.numel() >= min_size else (lambda x, signed: x)
        m = state.get("m", torch.zeros_like(parameter)) * beta1 + gradient * (1 - beta1)
        v = state.get("v", torch.zeros_like(parameter)) * beta2 + gradient**2 * (1 - beta2)
        state["m"], state["v"] = keep(m, True), keep(v, False)
        return m / (1 - beta1**step) / ((v / (1 - beta2**step)).sqrt() + eps)

    return change


def flat_vectors(name, value):
    """transformers goes by shapes: a vector must have one dimension, that it is not taken for a matrix."""
    return value.flatten() if ROLES[name] == "vector" else value


def loss_scale(bench, inputs):
    """GradScaler over the same gradients in fp16, which overflow at the first scales and whenever it has grown again."""
    options = dict(init_scale=2.0**20, growth_factor=2.0, backoff_factor=0.5, growth_interval=3)
    parameters = {name: inputs[name].clone().requires_grad_(True) for name in SHAPES}
    optimizer = torch.optim.AdamW(parameters.values(), lr=0.02, weight_decay=0.1, eps=1e-8)
    scaler, scales = torch.amp.GradScaler("cpu", **options), []
    for step in range(STEPS):
        scaler.scale(torch.zeros(()))  # makes the scale
        for name, parameter in parameters.items():
            parameter.grad = (inputs[f"{name}.grad.{step}"] * scaler.get_scale()).half().float()
        scaler.unscale_(optimizer)
        torch.nn.utils.clip_grad_norm_(parameters.values(), 5.0)
        scaler.step(optimizer)
        scaler.update()
        scales.append(scaler.get_scale())
    table = "[loss_scale]\ninitial = 1048576\ngrowth = 2.0\nbackoff = 0.5\ninterval = 3"
    train = 'clip_norm = 5.0\n[optimizer]\nname = "adamw"\nlr = 0.02\nweight_decay = 0.1\neps = 1e-8'
    _, out = bench.ask("scaled", inputs, names=list(SHAPES), steps=STEPS, precision=table, train=train)
    changes = [after / before for before, after in zip(scales, scales[1:])]
    bench.check("loss scale: it falls and grows", changes.count(0.5) > 5 and changes.count(2.0) > 3, f"{changes.count(0.5)} times down, {changes.count(2.0)} up")
    bench.check("loss scale: that of GradScaler after each step", out["scales"].tolist() == scales, f"{STEPS} steps")
    bench.compare("loss scale: parameters", {name: out[name] for name in SHAPES}, {name: parameter.detach() for name, parameter in parameters.items()})


def kind_of(name):
    return "norm" if "norm" in name else "layer 1" if ".1." in name else "vector" if name.endswith("bias") else "other"


def groups(bench):
    """Rates and decays of their own: the first that matches a parameter counts; vectors that no group has do not decay."""
    folder, rows, lr, decay = bench.new_folder(), rows_of([13, 6, 21]), 2e-3, 0.5
    tiny.llama(folder, attention_bias=True, tie_word_embeddings=False)
    model = LlamaForCausalLM.from_pretrained(folder).eval()
    settings = {"norm": dict(lr=3 * lr, weight_decay=0.2), "layer 1": dict(lr=lr / 2, weight_decay=0.1), "vector": dict(lr=lr, weight_decay=0.0), "other": dict(lr=lr, weight_decay=decay)}
    of_kind = {kind: [p for name, p in model.named_parameters() if kind_of(name) == kind] for kind in settings}
    optimizer = torch.optim.AdamW([{"params": of_kind[kind], **options} for kind, options in settings.items()], eps=1e-4)
    for _ in range(4):
        optimizer.zero_grad()
        reference(model, rows)["loss"].backward()
        optimizer.step()
    own = "".join(f'[[groups]]\nmatch = "{match}"\nlr = {settings[kind]["lr"]}\nweight_decay = {settings[kind]["weight_decay"]}\n' for match, kind in (("*norm*", "norm"), ("llm/*.1.*", "layer 1")))
    train = f'[optimizer]\nname = "adamw"\nlr = {lr}\neps = 1e-4\nweight_decay = {decay}\n{own}'
    _, out = bench.ask("model", model=model_table(folder, trainable=True), ids=rows, steps=4, train=train, merge=True)
    bench.check("groups: parameters of every kind", all(of_kind.values()), {kind: len(found) for kind, found in of_kind.items()})
    bench.compare("groups of rates and weight decays: every parameter after 4 steps", starting(out, "weight:"), dict(model.state_dict()))


def run(bench):
    inputs = data()
    groups(bench)
    loss_scale(bench, inputs)
    ask = lambda plugin, lr, decay, options="": bench.ask("optimizer", inputs, plugin=plugin, lr=lr, weight_decay=decay, steps=STEPS, roles=ROLES, options=options)[1]
    define = lambda lr, decay, change: trained(inputs, lambda parameters: [ByDefinition(parameters.values(), lr, decay, change)])
    for decay in (0.0, 0.1):
        theirs = trained(inputs, lambda parameters: [torch.optim.AdamW(parameters.values(), lr=0.02, weight_decay=decay, betas=(0.8, 0.95))])
        bench.compare(f"adamw, weight decay {decay}", ask("adamw", 0.02, decay, "beta1 = 0.8\nbeta2 = 0.95"), theirs)
        bench.compare(f"muon, weight decay {decay}", ask("muon", 0.02, decay, "others_lr = 0.5"), muon(inputs, 0.02, decay, 0.5))
        bench.compare(f"lion, weight decay {decay}", ask("lion", 0.003, decay, "beta1 = 0.8\nbeta2 = 0.95"), define(0.003, decay, lion(0.8, 0.95)))
        bench.compare(f"adamw_8bit, weight decay {decay}", ask("adamw_8bit", 0.02, decay, "beta1 = 0.8\nbeta2 = 0.95\nblock_size = 32\nmin_size = 20"),
                      define(0.02, decay, adamw_8bit(0.8, 0.95, 1e-8, 32, 20)))
    bench.compare("muon as AdamW's size, no nesterov", ask("muon", 0.01, 0.1, 'scale = "match_rms_adamw"\nnesterov = false\nmomentum = 0.9\niterations = 6\nothers_lr = 1.0'),
                  muon(inputs, 0.01, 0.1, 1.0, adjust_lr_fn="match_rms_adamw", nesterov=False, momentum=0.9, ns_steps=6))
    sgd(bench, inputs, ask)
    adafactor(bench, inputs, ask)


def sgd(bench, inputs, ask):
    for momentum, nesterov in ((0.0, False), (0.9, False), (0.8, True)):
        theirs = trained(inputs, lambda parameters: [torch.optim.SGD(parameters.values(), lr=0.01, momentum=momentum, nesterov=nesterov)])
        bench.compare(f"sgd, momentum {momentum}, nesterov {nesterov}", ask("sgd", 0.01, 0.0, f"momentum = {momentum}\nnesterov = {str(nesterov).lower()}"), theirs)

    def shrinking(parameters):
        """torch's own decay is a part of the gradient; decoupled it comes before each step."""
        optimizer = torch.optim.SGD(parameters.values(), lr=0.01, momentum=0.9)
        shrink = lambda *_: [parameter.data.mul_(1 - 0.01 * 0.1) for parameter in parameters.values()]
        optimizer.register_step_pre_hook(lambda *_: shrink() and None)
        return [optimizer]

    bench.compare("sgd, weight decay 0.1", ask("sgd", 0.01, 0.1), trained(inputs, shrinking))
    bench.refused("sgd, nesterov without momentum", "needs a momentum", "optimizer", plugin="sgd", lr=0.1, weight_decay=0, steps=0, roles={}, options="momentum = 0\nnesterov = true")


def adafactor(bench, inputs, ask):
    # Theirs of a given rate; ours multiplies relative steps with the rate, which is then 1.
    given, relative = {"lr": 0.02, "relative_step": False}, {"lr": None, "relative_step": True}
    cases = [("", {**given, "scale_parameter": False}), ("scaled", {**given, "scale_parameter": True, "weight_decay": 0.1}),
             ("decay", {**given, "scale_parameter": False, "weight_decay": 0.1}),
             ("first moment", {**given, "scale_parameter": False, "beta1": 0.9, "clip_threshold": 0.5, "decay_rate": -0.7}),
             ("relative step", {**relative, "scale_parameter": True}), ("relative step, unscaled, decay", {**relative, "scale_parameter": False, "weight_decay": 0.1}),
             ("relative step from 0", {**relative, "scale_parameter": True, "warmup_init": True, "weight_decay": 0.1, "beta1": 0.5})]
    for case, options in cases:
        theirs = trained(inputs, lambda parameters: [Adafactor(parameters.values(), **options)], shaped=flat_vectors)
        named = "\n".join(f"{key} = {str(value).lower()}" for key, value in options.items() if key not in ("lr", "weight_decay"))
        bench.compare("adafactor" + (case and ", " + case), ask("adafactor", options["lr"] or 1.0, options.get("weight_decay", 0.0), named), theirs)
    bench.refused("adafactor, a beginning of no relative steps", "warmup_init", "optimizer", plugin="adafactor", lr=0.1, weight_decay=0, steps=0, roles={}, options="warmup_init = true")
