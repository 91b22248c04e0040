"""Objectives against their formulas in torch: the loss and its gradient with respect to every log-probability."""
import torch
import torch.nn.functional as F


def data(pairs, seed=71):
    generator = torch.Generator().manual_seed(seed)
    counts = torch.randint(1, 9, (2 * pairs,), generator=generator)
    n = int(counts.sum())
    return {"logp": -torch.rand(n, generator=generator) * 4, "reference": -torch.rand(n, generator=generator) * 4, "counts": counts}


def sums(values, counts):
    return torch.stack([part.sum() for part in values.split(counts.tolist())])


def preference(inputs, beta, smoothing, sft):
    """Rafailov et al. 2023, equation 7; with label smoothing as in Mitchell 2023."""
    logp = inputs["logp"].clone().requires_grad_(True)
    counts = inputs["counts"]
    ours, reference = (sums(values, counts).view(-1, 2) for values in (logp, inputs["reference"]))
    delta = beta * ((ours[:, 0] - reference[:, 0]) - (ours[:, 1] - reference[:, 1]))
    loss = (-(1 - smoothing) * F.logsigmoid(delta) - smoothing * F.logsigmoid(-delta)).mean()
    if sft:
        loss = loss - sft * ours[:, 0].sum() / counts.view(-1, 2)[:, 0].sum()
    loss.backward()
    return {"loss": loss, "grad": logp.grad}


def score(scores, center):
    """Bradley & Terry 1952 with the centring term of trl's RewardTrainer."""
    leaf = scores.clone().requires_grad_(True)
    chosen, rejected = leaf.view(-1, 2).unbind(1)
    loss = (-F.logsigmoid(chosen - rejected)).mean() + center * ((chosen + rejected) ** 2).mean()
    loss.backward()
    return {"loss": loss, "grad": leaf.grad}


def rewards(bench):
    for pairs, center in [(1, 0), (6, 0), (6, 0.01), (50, 0.3)]:
        scores = torch.randn(2 * pairs, 1, generator=torch.Generator().manual_seed(pairs)) * 3
        inputs = {"scores": scores, "counts": torch.arange(1, 2 * pairs + 1)}
        answer, ours = bench.ask("objective", inputs, plugin="score", options=f"center = {float(center)}", groups=[2] * pairs)
        bench.compare(f"score of {pairs} pairs, center {center}", ours, score(scores, center), gradients=("grad",))
        chosen, rejected = scores.view(-1, 2).unbind(1)
        expected = {"rewards/accuracies": (chosen > rejected).float().mean(), "rewards/margins": (chosen - rejected).mean(), "rewards/chosen": chosen.mean(), "rewards/rejected": rejected.mean()}
        bench.check(f"score of {pairs} pairs, center {center}: metrics", all(abs(answer["metrics"][name] - float(value)) < 1e-5 for name, value in expected.items()))


def run(bench):
    rewards(bench)
    for pairs, beta, smoothing, sft in [(1, 0.1, 0, 0), (5, 0.1, 0, 0), (5, 2.0, 0, 0), (5, 0.3, 0.2, 0), (5, 0.1, 0, 0.7), (64, 0.05, 0.1, 1.0)]:
        inputs = data(pairs)
        answer, ours = bench.ask("objective", inputs, plugin="preference", options=f"beta = {beta}\nlabel_smoothing = {float(smoothing)}\nsft_weight = {float(sft)}", groups=[2] * pairs)
        bench.compare(f"preference of {pairs} pairs, beta {beta}, label smoothing {smoothing}, sft {sft}", ours, preference(inputs, beta, smoothing, sft), gradients=("grad",))
        ours_s, reference_s = (sums(inputs[name], inputs["counts"]).view(-1, 2) for name in ("logp", "reference"))
        implied = beta * (ours_s - reference_s)
        expected = {"rewards/chosen": implied[:, 0].mean(), "rewards/rejected": implied[:, 1].mean(), "rewards/margins": (implied[:, 0] - implied[:, 1]).mean(),
                    "rewards/accuracies": (implied[:, 0] > implied[:, 1]).float().mean(), "logps/chosen": ours_s[:, 0].mean(), "logps/rejected": ours_s[:, 1].mean()}
        worst = max(abs(answer["metrics"][name] - float(value)) / max(1, abs(float(value))) for name, value in expected.items())
        bench.check(f"preference of {pairs} pairs, beta {beta}: metrics", worst < 1e-5, f"{worst:.1e}")
