"""A reward model out of pairs of answers, and out of pairs of pictures: it learns which is right, and only from what it sees."""

import json
import math
import random

from safetensors.numpy import load_file

from harness import Case, losses, main, make_tiny, records, sets

REWARD = sets(model__graph="reward_model", model__head__plugin="scalar", objective__plugin="score", train__tokens_per_batch=256, train__optimizer__lr=5e-3)


def metric(run, name):
    return {r["step"]: r["train/" + name] for r in records(run / "metrics.jsonl")}


class Reward(Case):
    TRAIN, HELD = 60, 24

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for split in ("train", "held"):
            cls.write_pairs(split)

    @classmethod
    def write_pairs(cls, split):
        """Other answers about one picture, and the same answer about other pictures."""
        samples = [r for r in records(cls.folder / "data" / f"{split}.jsonl") if r["task"] == "image"]
        noise, pairs, swapped = random.Random(3), [], []
        for record in samples:
            right = record["messages"][1]["content"][0]["text"]
            wrong = noise.choice([c for c in make_tiny.COLOURS if c != right])
            pairs.append({"id": record["id"], "messages": record["messages"][:1], "candidates": [{"content": right}, {"content": wrong}]})
            others = [r for r in samples if r["messages"][1]["content"][0]["text"] != right]
            other = noise.choice(others)["messages"][0]["content"][0]["image"]
            swapped.append({"id": record["id"], "messages": record["messages"][:1], "candidates": [{"content": right}, {"content": right, "media": {"0": other}}]})
        for name, rows in [("pairs", pairs), ("swapped", swapped)]:
            (cls.folder / "data" / f"{split}_{name}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))

    def source(self, name):
        return ["--set", f'data.train.sources=[{{path="{self.folder}/data/train_{name}.jsonl"}}]', "--set", f'data.eval.held.sources=[{{path="{self.folder}/data/held_{name}.jsonl"}}]']

    def learns(self, data, steps=120):
        run = self.folder / data
        self.train(run, *REWARD, *self.source(data), *sets(train__steps=steps, train__checkpoint_every=steps))
        self.assertLess(abs(losses(run)[1] - math.log(2)), 0.3, "it knows nothing yet")
        last = [metric(run, "rewards/accuracies")[step] for step in range(steps - 10, steps + 1)]
        self.assertGreaterEqual(sum(last) / len(last), 0.95)
        self.assertAlmostEqual(metric(run, "rewards/chosen")[steps] - metric(run, "rewards/rejected")[steps], metric(run, "rewards/margins")[steps], places=4)
        self.call("eval", run)
        return run, json.loads((run / "eval" / "results.json").read_text())[0]["tasks"]["all"]["conditions"]

    def test_learns_from_answers(self):
        run, measured = self.learns("pairs")
        self.assertGreaterEqual(measured["right"]["rewards/accuracies"]["mean"], 0.9)
        self.assertLess(measured["shuffled"]["rewards/accuracies"]["mean"], 0.75)
        self.assertLess(measured["removed"]["rewards/accuracies"]["mean"], 0.75)
        self.assertEqual(list(load_file(run / "head.safetensors")), ["score.weight"])
        row = next(line for line in self.call("validate", run).stdout.splitlines() if line.strip().startswith("head "))
        self.assertRegex(row, r"head +scalar +32 +0")
        for verb, args in [("generate", ["What colour?"]), ("chat", [])]:
            self.assertIn('"reward_model" gives scores and writes no answers', self.call(verb, run, *args, code=2, input="").stderr)
        self.goes_out(run)
        other = self.folder / "goes_on"
        done = self.train(other, *REWARD, *self.source("pairs"), *sets(train__steps=1, model__head__weights=run))
        self.assertIn("head: applied 1/1 tensors", done.stderr)

    def goes_out(self, run):
        """As transformers' …ForSequenceClassification, with the same scores; streams in folders beside it."""
        import torch
        from transformers import AutoModelForSequenceClassification

        out = self.folder / "out"
        said = self.call("export", run, "--output", out, "--check").stderr
        self.assertRegex(said, r"a llama model of scores[^\n]*\n(.*\n)*.*checked")
        theirs, report = AutoModelForSequenceClassification.from_pretrained(out, output_loading_info=True)
        self.assertFalse(report["missing_keys"] or report["unexpected_keys"], report)
        self.assertEqual(theirs.config.num_labels, 1)
        torch.testing.assert_close(theirs.score.weight.detach(), torch.from_numpy(load_file(run / "head.safetensors")["score.weight"]))
        self.assertIn("no place for a head", self.call("export", run, "--format", "gguf", "--output", self.folder / "out.gguf", code=2).stderr)

    def test_learns_from_pictures(self):
        """The answer is the same: a model that does not look gives both one score."""
        _, measured = self.learns("swapped")
        self.assertGreaterEqual(measured["right"]["rewards/accuracies"]["mean"], 0.9)
        self.assertEqual(measured["removed"]["rewards/margins"]["mean"], 0)

    def test_resumes(self):
        whole, cut = self.folder / "whole", self.folder / "cut"
        common = [*REWARD, *self.source("pairs"), *sets(train__checkpoint_every=3)]
        self.train(whole, *common, *sets(train__steps=9, train__schedule__name="constant"))
        self.train(cut, *common, *sets(train__steps=6, train__schedule__name="constant"))
        self.train(cut, *common, "--resume", *sets(train__steps=9, train__schedule__name="constant"))
        self.assert_same_run(whole, cut)

    def test_what_does_not_fit(self):
        run = self.folder / "none"
        for changes, words in [(dict(objective__plugin="sft"), "the objective 'sft' reads log-probabilities of tokens, and the model gives 1 number(s)"),
                               (dict(model__graph="multimodal_lm"), "[model.head] is read by model.graph"),
                               (dict(model__head__plugin=""), "needs a head"),
                               (dict(model__head__outputs=3), "reads 1 number(s) of each sequence, and the model gives 3"),
                               (dict(model__head__outptus=3), "outputs")]:
            for verb in ("train", "validate"):
                more = ["--set", f"train.output={run}"] if verb == "train" else []
                done = self.call(verb, self.config, *REWARD, *self.source("pairs"), *sets(**changes), *more, code=2)
                self.assertIn(words, done.stderr)
        done = self.train(run, *self.source("pairs"), *sets(objective__plugin="score"), code=2)
        self.assertIn("reads 1 number(s) of each sequence, and the model gives log-probabilities of tokens", done.stderr)
        done = self.call("eval", self.config, *REWARD, "--output", self.folder / "refused", code=3)
        self.assertIn("gives scores and writes no answers", done.stderr)


if __name__ == "__main__":
    main()
