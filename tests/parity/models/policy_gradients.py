"""Policy gradients against the loss functions of TRL's GRPOTrainer and RLOOTrainer, called with log-probabilities in place of a model: the loss, its
gradient with respect to every log-probability, and what is logged. Advantages, which TRL computes amid generation, are its formulas written out."""
from collections import defaultdict
from types import SimpleNamespace

import numpy as np
import torch
from trl.trainer.grpo_trainer import GRPOTrainer
from trl.trainer.rloo_trainer import RLOOTrainer

ANSWERS, PROMPTS = 5, 6
LIMIT = 1e-6
KIND = {"grpo": "group", "dapo": "group", "gspo": "group", "cispo": "group", "dr_grpo": "mean", "rloo": "leave_one_out", "reinforce": "leave_one_out"}


def data(spread=0.3, masked=False):
    """Ratios about 1, of which bounds cut some; of the first prompt all rewards are equal, of the second one is not known."""
    generator = torch.Generator().manual_seed(83)
    normal = lambda *shape: torch.randn(*shape, generator=generator)
    counts = torch.randint(1, 9, (PROMPTS * ANSWERS,), generator=generator)
    logp = -torch.rand(int(counts.sum()), generator=generator) * 4
    values = normal(PROMPTS * ANSWERS).double()
    values[:ANSWERS], values[ANSWERS + 1] = 0.1, torch.nan
    weights = torch.ones_like(values)
    if masked:
        weights[2::ANSWERS] = 0
    return {"logp": logp, "behaviour": logp + spread * normal(logp.numel()), "reference": logp + 0.5 * normal(logp.numel()), "counts": counts, "values": values, "weights": weights}


def rewards_of(inputs, kl, mean):
    """Less the divergence of each answer, as RLOOTrainer has it; of its tokens the mean, as REINFORCE takes it."""
    parts = (inputs["behaviour"].double() - inputs["reference"].double()).split(inputs["counts"].tolist())
    return inputs["values"] - kl * torch.stack([part.mean() if mean else part.sum() for part in parts])


def advantages(kind, rewards):
    """GRPOTrainer and RLOOTrainer, _generate_and_score_completions."""
    with np.errstate(all="ignore"):
        grouped = rewards.numpy().reshape(-1, ANSWERS)
        known = (~np.isnan(grouped)).sum(1, keepdims=True)
        if kind == "leave_one_out":
            found = grouped - (np.nansum(grouped, 1, keepdims=True) - grouped) / (known - 1)
        else:
            found = grouped - np.nanmean(grouped, 1, keepdims=True)
        if kind == "group":
            found = found / (np.nanstd(grouped, 1, ddof=1, keepdims=True) + 1e-4)
    found[np.nanmax(grouped, 1) == np.nanmin(grouped, 1)] = 0  # there they are what the mean was rounded by
    return torch.from_numpy(np.nan_to_num(found)).flatten()


def padded(values, counts):
    return torch.nn.utils.rnn.pad_sequence(list(values.double().split(counts)), batch_first=True)


class Oracle:
    """A trainer with no more than its loss function reads. Answers that do not count are left out, as they are no part of the totals."""

    def __init__(self, inputs, advantages, **settings):
        self.counts, self.counted = inputs["counts"].tolist(), inputs["weights"] > 0
        self.leaf = inputs["logp"].double().requires_grad_(True)
        self.mask = padded(torch.ones_like(inputs["logp"]), self.counts)[self.counted]
        self.tables = {name: padded(inputs[name], self.counts)[self.counted] for name in ("behaviour", "reference")}
        self.advantages = advantages[self.counted]
        self.trainer = SimpleNamespace(
            _get_per_token_logps_and_entropies=lambda *_, **__: (padded(self.leaf, self.counts)[self.counted], torch.zeros_like(self.mask), None),
            accelerator=SimpleNamespace(num_processes=1, gather=lambda x: x, reduce=lambda x, **_: x), _metrics=defaultdict(lambda: defaultdict(list)),
            top_entropy_quantile=1.0, aux_loss_enabled=False, off_policy_mask_threshold=None, use_vllm=False, _entropy_bonus_enabled=False, current_gradient_accumulation_steps=1,
            model=SimpleNamespace(training=True), **settings)

    def __call__(self, trainer_class):
        ids = torch.zeros_like(self.mask, dtype=torch.long)
        loss = trainer_class._compute_loss(self.trainer, self.trainer.model, {
            "prompt_ids": ids[:, :1], "prompt_mask": ids[:, :1], "completion_ids": ids, "completion_mask": self.mask, "advantages": self.advantages, "num_items_in_batch": self.mask.sum(),
            "old_per_token_logps": self.tables["behaviour"], "ref_per_token_logps": self.tables["reference"], "old_logps": (self.tables["behaviour"] * self.mask).sum(1)})
        loss.backward()
        return {"loss": loss.detach(), "grad": self.leaf.grad}, {name: value[0] for name, value in self.trainer._metrics["train"].items()}


def grpo(inputs, preset, low, high, kl, length):
    args = SimpleNamespace(delta=None, use_bias_correction_kl=True, steps_per_generation=1)
    oracle = Oracle(inputs, advantages(KIND[preset], inputs["values"]), loss_type={"gspo": "grpo"}.get(preset, preset), importance_sampling_level="sequence" if preset == "gspo" else "token",
                    beta=kl, epsilon_low=low, epsilon_high=1 + high if preset == "cispo" else high, max_completion_length=length, args=args)
    return oracle(GRPOTrainer)


def rloo(inputs, low, high, kl):
    above = advantages("leave_one_out", rewards_of(inputs, kl, mean=False))
    return Oracle(inputs, above, epsilon_low=low, epsilon_high=high)(RLOOTrainer)[0], cut(inputs, above, low, high, torch.sum)


def reinforce(inputs, kl):
    """Williams 1992 with the mean reward of the other answers that count as the baseline: no ratio, no bound."""
    rewards = rewards_of(inputs, kl, mean=True).masked_fill(inputs["weights"] == 0, torch.nan)
    counts, counted = inputs["counts"], inputs["weights"].repeat_interleave(inputs["counts"])
    leaf = inputs["logp"].double().requires_grad_(True)
    loss = -(leaf * advantages("leave_one_out", rewards).repeat_interleave(counts) * counted).sum() / counted.sum()
    loss.backward()
    return {"loss": loss.detach(), "grad": leaf.grad}, {}


def cut(inputs, advantages, low, high, of):
    """Shares of the tokens whose ratio, or that of their answer (`of` its tokens'), is beyond a bound that acts; TRL's are of answers, if ratios are."""
    parts = (inputs["logp"].double() - inputs["behaviour"].double()).split(inputs["counts"].tolist())
    ratio, advantage, counted = torch.cat([of(part).expand_as(part) for part in parts]).exp(), *(values.repeat_interleave(inputs["counts"]) for values in (advantages, inputs["weights"]))
    share = lambda acts: (acts * counted).sum() / counted.sum()
    return {"clip_ratio/low_mean": share((ratio < 1 - low) & (advantage < 0)), "clip_ratio/high_mean": share((ratio > 1 + high) & (advantage > 0))}


def loss_of_cispo(inputs, high, kl):
    """Whose derivative CISPO's gradient is: the ratio below the bound b, beyond it b (1 + log(ratio / b))."""
    counted = inputs["weights"].repeat_interleave(inputs["counts"])
    ratio = (inputs["logp"].double() - inputs["behaviour"].double()).exp()
    d, bound = inputs["reference"].double() - inputs["logp"].double(), 1 + high
    gain = torch.where(ratio <= bound, ratio, bound * (1 + (ratio / bound).log())) * advantages("group", inputs["values"]).repeat_interleave(inputs["counts"])
    return ((kl * (d.exp() - d - 1) * ratio - gain) * counted).sum() / counted.sum()


def measured(inputs):
    counted = inputs["weights"].repeat_interleave(inputs["counts"])
    grouped = inputs["values"].numpy().reshape(-1, ANSWERS)
    return {"reward": np.nanmean(grouped), "reward_std": np.nanstd(grouped, 1, ddof=1).mean(), "frac_reward_zero_std": 1 / PROMPTS, "completions/mean_length": inputs["counts"].double().mean(),
            "sampling/logp_difference": ((inputs["logp"] - inputs["behaviour"]).abs() * counted).sum() / counted.sum()}


NAMES = {"kl": "kl", "clip_ratio/low": "clip_ratio/low_mean", "clip_ratio/high": "clip_ratio/high_mean"}


def case(bench, title, inputs, options, theirs, logged):
    settings = "\n".join([*(f'{key} = "{value}"' if isinstance(value, str) else f"{key} = {value}" for key, value in options.items()), f"answers = {ANSWERS}"])
    answer, ours = bench.ask("objective", inputs, plugin="policy_gradient", options=settings, groups=[ANSWERS] * PROMPTS)
    terms = {"terms": theirs["grad"].abs().sum()}  # of a loss they cancel; this is how large they are
    bench.compare(f"policy_gradient, {title}", {**ours, **terms}, {**theirs, **terms}, limit=LIMIT, scales={"loss": "terms"}, gradients=("grad",))
    expected = {**measured(inputs), **{ours: logged[name] for ours, name in NAMES.items() if name in logged}}
    wrong = [name for name, value in expected.items() if not abs(answer["metrics"][name] - float(value)) <= LIMIT * max(1, abs(float(value)))]
    bench.check(f"policy_gradient, {title}: metrics", not wrong, ", ".join(wrong))
    return answer["metrics"]


def run(bench):
    most = {"clip_ratio/low": 0.0, "clip_ratio/high": 0.0}
    for masked in (False, True):
        for preset, low, high in [("grpo", 0.2, 0.2), ("dr_grpo", 0.2, 0.2), ("dapo", 0.2, 0.28), ("gspo", 3e-4, 4e-4), ("cispo", None, 0.5)]:
            for kl in (0.0, 0.4):
                inputs = data(masked=masked)
                theirs, logged = grpo(inputs, preset, low, high, kl, 16)
                if preset == "cispo":
                    theirs["loss"] = loss_of_cispo(inputs, high, kl)
                if preset == "gspo":
                    logged = cut(inputs, advantages("group", inputs["values"]), low, high, torch.mean)
                options = {"preset": preset, "kl": kl, **({"length": 16} if preset == "dr_grpo" else {"clip_high": high} if preset == "cispo" else {})}
                title = f"{preset}, kl {kl}{', answers that do not count' if masked else ''}"
                seen = case(bench, title, inputs, options, theirs, logged)
                most = {name: max(worst, seen.get(name, 0)) for name, worst in most.items()}
        for kl in (0.0, 0.05):
            inputs = data(0.05, masked)
            title = f"kl {kl}{', answers that do not count' if masked else ''}"
            case(bench, f"rloo, {title}", inputs, {"preset": "rloo", "kl": kl}, *rloo(inputs, 0.2, 0.2, kl))
            case(bench, f"reinforce, {title}", inputs, {"preset": "reinforce", "kl": kl}, *reinforce(inputs, kl))
    bench.check("policy_gradient: bounds acted on both sides", all(most.values()), str(most))
    inputs = {**data(), "values": torch.full((PROMPTS * ANSWERS,), 0.1, dtype=torch.float64)}
    _, ours = bench.ask("objective", inputs, plugin="policy_gradient", options=f"answers = {ANSWERS}", groups=[ANSWERS] * PROMPTS)
    bench.check("policy_gradient of equal rewards: no gradient", not ours["loss"] and not ours["grad"].any())
