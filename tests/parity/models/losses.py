"""Log-probabilities of tokens and sft against torch: loss of every position, gradients of hidden states and head, in any chunks."""
import torch
import torch.nn.functional as F

from .common import LIMIT, relative


def data(n, width=24, vocabulary=70):
    generator = torch.Generator().manual_seed(41)
    return {"hidden": torch.randn(n, width, generator=generator), "head": torch.randn(vocabulary, width, generator=generator),
            "labels": torch.randint(vocabulary, (n,), generator=generator)}


def widened(logits):
    return logits.float() if logits.dtype == torch.bfloat16 else logits


def reference(inputs, normalizer, dtype=torch.float32, label_smoothing=0.0, z_loss=0.0):
    hidden, head = (inputs[name].to(dtype).requires_grad_(True) for name in ("hidden", "head"))
    logits = widened(F.linear(hidden, head))
    token_loss = F.cross_entropy(logits, inputs["labels"], reduction="none", label_smoothing=label_smoothing)
    token_loss = token_loss + z_loss * logits.logsumexp(1) ** 2
    loss = token_loss.sum() / normalizer
    loss.backward()
    return {"loss": loss, "token_loss": token_loss, "grad_hidden": hidden.grad, "grad_head": head.grad}


def ask(bench, inputs, chunk, normalizer, dtype="fp32", **smoothing):
    even, uneven = (bench.ask("loss", inputs, plugin="sft", chunk=chunk, even=even, normalizer=normalizer, dtype=dtype, **smoothing)[1] for even in (True, False))
    bench.compare(f"sft in chunks of {chunk}, {dtype}{', smoothed' if smoothing else ''}: the head's gradient of logits made again", uneven, even)
    return even


def no_further(bench, what, exact, ours, theirs):
    """Ours is not much further from the exact values than torch's."""
    for name in exact:
        mine, peer = relative(ours[name], exact[name]), relative(theirs[name], exact[name])
        bench.check(f"{what}: {name}", mine <= max(2 * peer, LIMIT), f"ours {mine:.1e}, torch {peer:.1e}")


def run(bench):
    for n, chunk in [(30, 256), (30, 30), (30, 10), (31, 10), (31, 7), (31, 1), (1, 4)]:
        inputs = data(n)
        bench.compare(f"cross_entropy of {n} positions in chunks of {chunk}", ask(bench, inputs, chunk, 57), reference(inputs, 57))
    for smoothing in ({"label_smoothing": 0.1}, {"z_loss": 1e-2}, {"label_smoothing": 0.3, "z_loss": 1e-4}):
        inputs = data(31)
        bench.compare(f"sft with {smoothing}", ask(bench, inputs, 7, 57, **smoothing), reference(inputs, 57, **smoothing))
    inputs = data(40)
    inputs["hidden"] *= 200  # logits of thousands: their last bit is 1e-4, so that the order of a sum shows
    no_further(bench, "cross_entropy of large logits", reference(inputs, 40, torch.float64), ask(bench, inputs, 16, 40), reference(inputs, 40))
    inputs = data(64)
    exact = reference({**inputs, "hidden": inputs["hidden"].bfloat16().float(), "head": inputs["head"].bfloat16().float()}, 64)
    no_further(bench, "cross_entropy bf16", exact, ask(bench, inputs, 16, 64, "bf16"), reference(inputs, 64, torch.bfloat16))
