"""Dropout of the methods, against peft's with the same values dropped: what is dropped, what it is scaled by, and what goes on
without it. The masks are functions of the step, the layer and each value's place (nn/keyed_dropout.h), written down here anew."""
import numpy
import torch
from peft import LoraConfig, VeraConfig, get_peft_model
from safetensors.torch import load_file
from transformers import LlamaForCausalLM

from . import tiny
from .decoders import model_table, reference, rows_of
from .lora_forms import ALPHA, RANK, STEPS, TRAIN, adamw, written_by

P = 0.35
CASES = {
    "lora": (LoraConfig, dict(lora_alpha=ALPHA, lora_dropout=P, target_modules=["q_proj", "down_proj"]), 'plugin = "lora"\nalpha = 12\ntargets = ["q_proj", "down_proj"]'),
    "lora, its output": (LoraConfig, dict(lora_alpha=ALPHA, lora_dropout=P, target_modules=["q_proj", "down_proj"]), 'plugin = "lora"\nalpha = 12\ndropout_position = "post"\ntargets = ["q_proj", "down_proj"]'),
    "dora": (LoraConfig, dict(lora_alpha=ALPHA, lora_dropout=P, target_modules=["q_proj", "down_proj"], use_dora=True), 'plugin = "lora"\nalpha = 12\ndora = true\ntargets = ["q_proj", "down_proj"]'),
    "vera": (VeraConfig, dict(vera_dropout=P, target_modules=["k_proj", "up_proj"], d_initial=0.3), 'plugin = "vera"\nd_initial = 0.3\ntargets = ["k_proj", "up_proj"]'),
}


def mixed(key, value):
    """Steele et al. 2014, splitmix64, with `value` added to the state."""
    with numpy.errstate(over="ignore"):
        z = key + value + numpy.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> numpy.uint64(30))) * numpy.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> numpy.uint64(27))) * numpy.uint64(0x94D049BB133111EB)
        return z ^ (z >> numpy.uint64(31))


class Keyed(torch.nn.Module):
    """Of one layer. `pass_now`: the step, and the token of the batch that the text begins with."""

    def __init__(self, site, pass_now):
        super().__init__()
        self.site, self.pass_now = site, pass_now

    def forward(self, x):
        key = numpy.uint64(self.pass_now["step"])
        for letter in self.site.encode():
            key = mixed(key, numpy.uint64(letter))
        columns = x.shape[-1]
        places = numpy.arange(x.shape[-2] * columns, dtype=numpy.uint64) + numpy.uint64(self.pass_now["first"] * columns)
        kept = (mixed(key, places) >> numpy.uint64(40)) >= numpy.uint64(int(P * (1 << 24)))
        return x * torch.from_numpy(kept.reshape(x.shape[-2:])) / (1 - P)


def dropped_behind(module, drop):
    """NeMo's other place: what goes into A as it is, what comes out of B dropped."""
    module.lora_dropout["default"] = torch.nn.Identity()
    module.lora_B["default"].register_forward_hook(lambda layer, inputs, y: drop(y))


def in_peft(folder, config, settings, behind):
    """The model, off its start, and what says which pass it is."""
    model = get_peft_model(LlamaForCausalLM.from_pretrained(folder), config(r=RANK, **settings)).train()
    pass_now, generator = {"step": 0, "first": 0}, torch.Generator().manual_seed(51)
    for name, module in model.named_modules():
        for kind in ("lora_dropout", "vera_dropout"):
            if hasattr(module, kind) and "default" in getattr(module, kind):
                drop = Keyed(name.replace("base_model.model.", "", 1), pass_now)
                if behind:
                    dropped_behind(module, drop)
                else:
                    getattr(module, kind)["default"] = drop
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.requires_grad:
                noise = 0.1 * torch.randn(p.shape, generator=generator)
                p.copy_(p * (1 + noise) if "magnitude" in name else p + noise)
    return model, pass_now


def loss_of(model, rows, step, pass_now):
    """The mean over all tokens that are predicted."""
    losses, pass_now["step"], pass_now["first"] = [], step, 0
    for row in rows:
        losses.append(reference(model.get_base_model(), [row])["token_loss"])
        pass_now["first"] += len(row)
    return torch.cat(losses).mean()


def run(bench):
    folder, rows = bench.new_folder(), rows_of([13, 6, 21])
    tiny.llama(folder)
    for name, (config, settings, options) in CASES.items():
        model, pass_now = in_peft(folder, config, settings, "output" in name)
        table = lambda p: model_table(folder, trainable=False) + f'[[llm.peft]]\nrank = {RANK}\ndropout = {p}\nweights = "{adapter}"\n{options}\n'
        adapter, written, optimizer, curve = written_by(bench, model), bench.new_folder(), adamw(model), []
        for step in range(STEPS):
            optimizer.zero_grad()
            loss = loss_of(model, rows, step, pass_now)
            loss.backward()
            optimizer.step()
            curve.append(loss.item())
        _, out = bench.ask("model", model=table(P), ids=rows, steps=STEPS, train=TRAIN, save_adapter=written)
        bench.compare(f"dropout of {name}: the losses of {STEPS} steps", {"curve": out["curve"]}, {"curve": torch.tensor(curve)})
        bench.compare(f"dropout of {name}: the file after them", load_file(written / "adapter_model.safetensors"), load_file(written_by(bench, model) / "adapter_model.safetensors"))
        _, without = bench.ask("model", model=table(0.0), ids=rows, steps=STEPS, train=TRAIN)
        apart = (without["curve"] - out["curve"]).abs().max() / out["curve"].abs().max()
        bench.check(f"dropout of {name}: it changes the losses", apart > 1e-3, f"{apart:.1e}")
        _, evaluated = bench.ask("model", model=table(P), ids=rows)
        _, plain = bench.ask("model", model=table(0.0), ids=rows)
        bench.check(f"dropout of {name}: none without training", torch.equal(evaluated["logits"], plain["logits"]))
