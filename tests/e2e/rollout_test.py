"""Learning from what the model writes: after some fine-tuning its answers about pictures become right by rewards alone; the log-probabilities that the
engine gives are the trainer's; a run that is cut goes on to the bit."""
import json
import os
import shutil
import tomllib
import unicodedata
from pathlib import Path

from harness import PROGRAM, Case, checkpoints, losses, main, records, sets

ANSWERS = 8
ROLLOUT = sets(objective__plugin='"policy_gradient"', objective__answers=ANSWERS, train__rollout__max_tokens=6, train__tokens_per_batch=2048, train__optimizer__lr=3e-3)
MATCH = ["--set", 'train.rollout.rewards=[{plugin="match"}]']
STAGES = """
[[stage]]
name = "tune"
train.steps = 30
[[stage]]
name = "write"
objective = { plugin = "policy_gradient", answers = 8 }
[stage.train]
steps = 60
tokens_per_batch = 2048
rollout = { max_tokens = 6, rewards = [{ plugin = "match" }] }
"""


def metric(run, name):
    return {r["step"]: r["train/" + name] for r in records(run / "metrics.jsonl")}


def plain(text):
    """As `match` compares."""
    return " ".join("".join(c for c in text.lower() if not unicodedata.category(c).startswith("P")).split())


def mean(values):
    return sum(values) / len(values)


class Rollout(Case):
    TRAIN, HELD = 30, 6

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.images = [r for r in records(cls.folder / "data" / "train.jsonl") if r["task"] == "image"]
        (cls.folder / "data" / "images.jsonl").write_text("".join(json.dumps(r) + "\n" for r in cls.images))
        cls.source = ["--set", f'data.train.sources=[{{path="{cls.folder}/data/images.jsonl"}}]']

    def test_learns_from_rewards(self):
        """From a model that is right sometimes to one that is right nearly always, which nothing but its own answers has told it."""
        text = self.config.read_text()
        adapter, media = text.index("[[model.llm.peft]]"), text.index("[model.streams.image]")
        config, runs = self.folder / "stages.toml", self.folder / "stages"
        config.write_text(text[:adapter].replace("trainable = false", "trainable = true") + text[media:] + STAGES)
        self.train(runs, *self.source, config=config)
        run = runs / "write"
        reward = metric(run, "rewards/match")
        first, last = mean([reward[step] for step in range(1, 6)]), mean([reward[step] for step in range(51, 61)])
        self.assertLess(first, 0.6)
        self.assertGreater(last, first + 0.3)
        self.assertGreater(last, 0.8)
        self.assertEqual(reward, metric(run, "reward"), "one reward, of weight 1")
        self.assertLess(max(metric(run, "sampling/logp_difference").values()), 1e-5, "the engine's log-probabilities are the trainer's")
        written = records(run / "rollouts.jsonl")
        self.assertEqual({r["step"] for r in written}, set(range(1, 61)))
        ids = {r["id"] for r in self.images}
        for record in written:
            self.assertIn(record["id"], ids)
            self.assertEqual(record["reward"], float(plain(record["written"]) == plain(record["expected"])), record)

    def test_goes_on_to_the_bit(self):
        whole, cut = self.folder / "whole", self.folder / "cut"
        settings = [*ROLLOUT, *self.source, "--set", 'train.rollout.rewards=[{plugin="match", how="regex", pattern="e"}, {plugin="length", max=6, buffer=3, weight=0.5}]',
                    *sets(train__steps=4, train__checkpoint_every=2, train__accumulate=2, train__rollout__shown=3)]
        self.train(whole, *settings)
        self.train(cut, *settings)
        shutil.rmtree(cut / "checkpoints" / checkpoints(cut)[0])
        self.train(cut, *settings, "--resume")
        self.assert_same_run(whole, cut)
        self.assertEqual(records(whole / "rollouts.jsonl"), records(cut / "rollouts.jsonl"))
        self.assertEqual(len(records(whole / "rollouts.jsonl")), 4 * 3, "of a step, not of each of its batches")
        self.assertTrue(all(0 <= share <= 1 for share in metric(whole, "completions/clipped_ratio").values()))
        for step, reward in metric(whole, "reward").items():
            self.assertAlmostEqual(reward, metric(whole, "rewards/match")[step] + 0.5 * metric(whole, "rewards/length")[step], places=5)

    def test_nothing_is_learnt_of_what_is_not_judged(self):
        """No record has calls; a reward of weight 0 is told, and makes no answer one that is judged."""
        run = self.folder / "unjudged"
        self.train(run, *ROLLOUT, *self.source, "--set", 'train.rollout.rewards=[{plugin="tool_call"}, {plugin="length", max=6, buffer=3, weight=0}]', *sets(train__steps=2))
        self.assertEqual(set(losses(run).values()), {0.0})
        for record in records(run / "metrics.jsonl"):
            self.assertEqual(record["train/gradient_norm"], 0)
            self.assertEqual(record["train/frac_reward_zero_std"], 1)
            self.assertIn("train/rewards/length", record)
            self.assertNotIn("train/rewards/tool_call", record)

    def test_a_reward_that_leaves_one_out(self):
        environment = {**os.environ, "ANTIPHON_PLUGIN_PATH": str(Path(PROGRAM).parents[1] / "fixtures" / "conformance")}
        # Said, since the fixture's sources and layouts take any file for theirs.
        source = ["--set", f'data.train.sources=[{{path="{self.folder}/data/images.jsonl", source="json_lines", format="messages"}}]']
        done = self.train(self.folder / "short", *ROLLOUT, "--set", 'train.rollout.rewards=[{plugin="one_short"}]', *source, code=5, env=environment)
        self.assertIn("the reward 'one_short' gave", done.stderr)

    def test_held_out_sets_are_measured_as_always(self):
        run = self.folder / "held"
        self.train(run, *ROLLOUT, *MATCH, *self.source, *sets(train__steps=2, train__eval_every=1, train__eval_answers=2))
        self.assertIn("eval/held/loss", records(run / "metrics.jsonl")[-1])

    def test_rewards_are_completed(self):
        """What `validate --resolved` says, and a run keeps: each with its weight and its options, the same kind twice."""
        given = 'train.rollout.rewards=[{plugin="match"}, {plugin="length", weight=-0.5, max=6, buffer=3}, {plugin="match", how="contains"}]'
        out = self.call("validate", "--resolved", self.config, *ROLLOUT, *self.source, "--set", given).stdout
        self.assertEqual(tomllib.loads(out)["train"]["rollout"], {
            "max_tokens": 6, "truncated": "keep", "shown": 16,
            "rewards": [{"plugin": "match", "weight": 1, "how": "exact", "pattern": ""}, {"plugin": "length", "weight": -0.5, "max": 6, "buffer": 3},
                        {"plugin": "match", "weight": 1, "how": "contains", "pattern": ""}]})

    def test_refused(self):
        call = lambda *args: self.call("validate", self.config, *ROLLOUT, *self.source, *args, code=2).stderr
        self.assertIn("train.rollout.rewards", call())
        for rewards, words in {'{plugin="match", how="nearly"}': "'how' in [train.rollout.rewards.0] must be one of exact, contains, regex",
                               '{plugin="match"}, {plugin="length", max=6, bufer=3}': "unknown key 'bufer' in [train.rollout.rewards.1] (length); did you mean 'buffer'?",
                               '{plugin="length", max=6}': "the required key 'buffer' is missing in [train.rollout.rewards.0] (length)",
                               '{plugin="length", max=6, buffer=7}': "[train.rollout.rewards.0] buffer = 7 is more than max = 6",
                               '{plugin="match", how="regex", pattern="("}': "[train.rollout.rewards.0] the pattern ( is malformed",
                               "{weight=2}": "the required key 'plugin' is missing in [train.rollout.rewards.0] (reward)"}.items():
            self.assertIn(words, call("--set", f"train.rollout.rewards=[{rewards}]"))
        self.assertIn("there is no reward 'mach'", self.call("validate", self.config, *ROLLOUT, *self.source, "--set", 'train.rollout.rewards=[{plugin="mach"}]', code=5).stderr)
        self.assertIn("policy_gradient", self.call("validate", self.config, *MATCH, *self.source, code=2).stderr)
        self.assertIn("one process", self.call("launch", self.config, "--procs", 2, *ROLLOUT, *MATCH, *self.source, *sets(train__accumulate=2, train__output=self.folder / "two"), code=2).stderr)
        self.assertIn("one process", call(*MATCH, *sets(parallel__fsdp=2)))
        self.assertIn("parallel.offload_optimizer", call(*MATCH, *sets(parallel__offload_optimizer="true")))
        self.assertIn("antiphon plan", self.call("fit", self.config, *ROLLOUT, *MATCH, *self.source, code=2).stderr)

    def test_a_prompt_without_room_is_bad(self):
        narrow = [*ROLLOUT, *MATCH, *self.source, *sets(train__tokens_per_batch=64)]
        done = self.train(self.folder / "narrow", *narrow, code=3)
        self.assertIn("8 answers of up to 6", done.stderr)
        checked = json.loads(self.call("data", "check", self.config, *narrow, "--json", code=3).stdout)["sources"][0]
        self.assertEqual(checked["samples"], len(self.images))
        self.assertEqual(checked["bad"], len(self.images), checked)
        wide = self.call("data", "check", self.config, *ROLLOUT, *MATCH, *self.source, "--json")
        self.assertEqual(json.loads(wide.stdout)["sources"][0]["bad"], 0)


if __name__ == "__main__":
    main()
