"""bf16 and fp16: our distance to float32 is at most twice that of transformers and peft in the same format (root of mean squares)."""
import copy

import torch

from . import tiny
from .common import starting
from .decoders import model_table, reference, rows_of
from .lora import peft_table, plain, with_adapter


FORMATS = {"bf16": torch.bfloat16, "fp16": torch.float16}


def distance(tensors, exact):
    """Of all tensors together, each in units of its own size."""
    squares = [((tensors[name].double() - value.double()).square().mean() / value.double().square().mean().clamp(min=1e-30)).item() for name, value in exact.items()]
    return (sum(squares) / len(squares)) ** 0.5


def compare(bench, case, ours, theirs, exact, dtype="bf16"):
    mine, peer = distance(ours, exact), distance(theirs, exact)
    bench.check(f"{dtype} {case}", mine <= 2 * peer, f"{len(exact)} tensors, ours {mine:.1e}, reference {peer:.1e}")


def encoders(bench, dtype):
    generator = torch.Generator().manual_seed(61)
    folder = bench.new_folder()
    model, x = tiny.dinov2(folder), torch.randn(2, 3, 35, 35, generator=generator)
    _, out = bench.ask("encoder", {"x": x}, plugin="dinov2", weights=folder, options="class_token = true", dtype=dtype)
    half = copy.deepcopy(model).to(FORMATS[dtype])
    compare(bench, "dinov2", out, {"y": half(x.to(FORMATS[dtype])).last_hidden_state}, {"y": model(x).last_hidden_state}, dtype)
    folder = bench.new_folder()
    model, x = tiny.whisper(folder), torch.randn(2, 80, 200, generator=generator)
    _, out = bench.ask("encoder", {"x": x}, plugin="whisper", weights=folder, dtype=dtype)
    half = copy.deepcopy(model).to(FORMATS[dtype])
    compare(bench, "whisper", out, {"y": half(x.to(FORMATS[dtype])).last_hidden_state}, {"y": model(x).last_hidden_state}, dtype)


def gradients_of(model, rows):
    model.zero_grad()
    out = reference(model.get_base_model(), rows)
    out["loss"].backward()
    return out, {plain(name): p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def language_models(bench, dtype):
    for name, changes in {"llama": {}, "llama, biases, rope llama3": dict(attention_bias=True, mlp_bias=True, tie_word_embeddings=True)}.items():
        folder, adapter = bench.new_folder(), bench.new_folder()
        tiny.llama(folder, **changes)
        rows = rows_of([33, 12, 33, 50])
        model = with_adapter(folder, dict(target_modules="all-linear"))
        model.save_pretrained(adapter)
        exact, exact_gradients = gradients_of(model, rows)
        for parameter in model.parameters():  # adapters stay in float32, as peft keeps them and as ours are
            if not parameter.requires_grad:
                parameter.data = parameter.data.to(FORMATS[dtype])
        peer, peer_gradients = gradients_of(model, rows)
        table = model_table(folder, False) + peft_table('targets = ["all-linear"]', adapter)
        _, out = bench.ask("model", model=table, ids=rows, dtype=dtype)
        for key in ("hidden", "logits", "token_loss"):
            compare(bench, f"{name} with LoRA: {key}", out, peer, {key: exact[key]}, dtype)
        compare(bench, f"{name} with LoRA: gradients", starting(out, "grad:llm.peft.0:"), peer_gradients, exact_gradients, dtype)
        steps = [[20, 0, 33, 7], [12, 12, 0, 42]] + [[1, 0, 0, 1]]
        for trainable in (False, True):  # trainable parameters are float32 and are cast where they are used
            table = model_table(folder, trainable) + peft_table('targets = ["all-linear"]', adapter)
            _, out = bench.ask("cached", model=table, ids=rows, steps=steps, dtype=dtype)
            compare(bench, f"{name} with LoRA: cache{', float32 masters' if trainable else ''}", out, peer, {"hidden": exact["hidden"]}, dtype)
        _, out = bench.ask("model", model=table, ids=rows, dtype=dtype)
        compare(bench, f"{name} with LoRA, all trained: logits", out, peer, {"logits": exact["logits"]}, dtype)
        compare(bench, f"{name} with LoRA, all trained: gradients", starting(out, "grad:llm.peft.0:"), peer_gradients, exact_gradients, dtype)


def gemma(bench, dtype):
    """Norms with weight + 1, embeddings times the root of their width, caps."""
    for name, build in {"gemma2": tiny.gemma2, "gemma3": tiny.gemma3}.items():
        folder = bench.new_folder()
        model, rows = build(folder), rows_of([33, 12, 33, 50])
        table, half = model_table(folder, False, plugin=name), copy.deepcopy(model).to(FORMATS[dtype])
        with torch.no_grad():
            exact, peer = reference(model, rows), reference(half, rows)
        _, out = bench.ask("model", model=table, ids=rows, dtype=dtype)
        for key in ("hidden", "logits", "token_loss"):
            compare(bench, f"gemma as {name}: {key}", out, peer, {key: exact[key]}, dtype)
        _, out = bench.ask("cached", model=table, ids=rows, steps=[[20, 0, 33, 7], [12, 12, 0, 42], [1, 0, 0, 1]], dtype=dtype)
        compare(bench, f"gemma as {name}: cache", out, peer, {"hidden": exact["hidden"]}, dtype)


def run(bench):
    for dtype in FORMATS:
        encoders(bench, dtype)
        gemma(bench, dtype)
        language_models(bench, dtype)
