"""Optimizers against torch.optim, over the same gradients."""
from unittest import mock

import torch

STEPS = 4
SHAPES = {"square": (12, 12), "tall": (20, 8), "wide": (6, 18), "vector": (10,), "column": (9, 1), "table": (15, 6), "kernel": (4, 3, 2)}
ROLES = {"square": "matrix", "tall": "matrix", "wide": "matrix", "vector": "vector", "column": "vector", "table": "embedding", "kernel": "filter"}


def data(seed=81):
    generator = torch.Generator().manual_seed(seed)
    start = {name: torch.randn(shape, generator=generator) for name, shape in SHAPES.items()}
    return {**start, **{f"{name}.grad.{step}": torch.randn(shape, generator=generator) for name, shape in SHAPES.items() for step in range(STEPS)}}


def trained(inputs, make):
    """`make`: parameters by name -> the optimizers."""
    parameters = {name: inputs[name].clone().requires_grad_(True) for name in SHAPES}
    optimizers = make(parameters)
    for step in range(STEPS):
        for name, parameter in parameters.items():
            parameter.grad = inputs[f"{name}.grad.{step}"].clone()
        for optimizer in optimizers:
            optimizer.step()
    return {name: parameter.detach() for name, parameter in parameters.items()}


def muon(inputs, lr, decay, relative, **options):
    def make(parameters):
        matrices = [p for name, p in parameters.items() if ROLES[name] == "matrix"]
        others = [p for name, p in parameters.items() if ROLES[name] != "matrix"]
        return [torch.optim.Muon(matrices, lr=lr, weight_decay=decay, **options), torch.optim.AdamW(others, lr=lr * relative, weight_decay=decay)]

    # The iteration is torch's own, in float32 as ours and not in bfloat16.
    with mock.patch.object(torch.Tensor, "bfloat16", torch.Tensor.clone):
        return trained(inputs, make)


def run(bench):
    inputs = data()
    ask = lambda plugin, lr, decay, options="": bench.ask("optimizer", inputs, plugin=plugin, lr=lr, weight_decay=decay, steps=STEPS, roles=ROLES, options=options)[1]
    for decay in (0.0, 0.1):
        theirs = trained(inputs, lambda parameters: [torch.optim.AdamW(parameters.values(), lr=0.02, weight_decay=decay, betas=(0.8, 0.95))])
        bench.compare(f"adamw, weight decay {decay}", ask("adamw", 0.02, decay, "beta1 = 0.8\nbeta2 = 0.95"), theirs)
        bench.compare(f"muon, weight decay {decay}", ask("muon", 0.02, decay, "others_lr = 0.5"), muon(inputs, 0.02, decay, 0.5))
    bench.compare("muon as AdamW's size, no nesterov", ask("muon", 0.01, 0.1, 'scale = "match_rms_adamw"\nnesterov = false\nmomentum = 0.9\niterations = 6\nothers_lr = 1.0'),
                  muon(inputs, 0.01, 0.1, 1.0, adjust_lr_fn="match_rms_adamw", nesterov=False, momentum=0.9, ns_steps=6))
