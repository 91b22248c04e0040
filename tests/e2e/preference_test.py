"""DPO on pairs of answers, of pictures and of text alone: begins at log 2, learns what the picture says, against a reference that stays."""

import hashlib
import json
import math
import os
import random
import re
import shutil
from pathlib import Path

from tokenizers import Tokenizer

from harness import DEVICE, PROGRAM, ROOT, Case, checkpoints, losses, main, make_tiny, records, sets

BETA = 0.5
DPO = sets(objective__plugin="preference", objective__beta=BETA, train__tokens_per_batch=256, train__optimizer__lr=5e-3)
LOG2 = math.log(2)
PROGRAM_FOLDER = Path(PROGRAM).parents[1]


def metric(run, name):
    return {r["step"]: r["train/" + name] for r in records(run / "metrics.jsonl")}


def digest(run):
    return hashlib.sha256((run / "reference.safetensors").read_bytes()).hexdigest()


class Preference(Case):
    TRAIN, HELD = 60, 6

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.samples = [r for r in records(cls.folder / "data" / "train.jsonl") if r["task"] == "image"]
        noise = random.Random(3)
        pairs, swapped = [], []
        for record in cls.samples:
            right = record["messages"][1]["content"][0]["text"]
            wrong = noise.choice([c for c in make_tiny.COLOURS if c != right])
            prompt = record["messages"][:1]
            pairs.append({"id": record["id"], "prompt": prompt, "chosen": [{"role": "assistant", "content": right}], "rejected": [{"role": "assistant", "content": wrong}]})
            other = next(r for r in cls.samples if r["messages"][1]["content"][0]["text"] == wrong)["messages"][0]["content"][0]["image"]
            swapped.append({"id": record["id"], "messages": prompt, "candidates": [{"content": right}, {"content": right, "media": {"0": other}}]})
        for name, rows in [("pairs", pairs), ("swapped", swapped)]:
            (cls.folder / "data" / f"{name}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))

    def source(self, name):
        return ["--set", f'data.train.sources=[{{path="{self.folder}/data/{name}.jsonl"}}]']

    def learns(self, data, steps=120):
        run = self.folder / f"learns_{data}"
        self.train(run, *DPO, *self.source(data), *sets(train__steps=steps, train__checkpoint_every=steps))
        self.assertAlmostEqual(losses(run)[1], LOG2, places=6)
        self.assertEqual(metric(run, "rewards/margins")[1], 0, "the reference is the model, to the bit")
        last = [metric(run, "rewards/accuracies")[step] for step in range(steps - 10, steps + 1)]
        self.assertGreaterEqual(sum(last) / len(last), 0.95)
        self.assertLess(losses(run)[steps], 0.3)
        return run

    def test_learns_from_answers(self):
        run = self.learns("pairs")
        chosen, rejected = metric(run, "rewards/chosen"), metric(run, "rewards/rejected")
        self.assertAlmostEqual(chosen[120] - rejected[120], metric(run, "rewards/margins")[120], places=5)

    def test_operations_of_the_first_step(self):
        """Without those that show that the reference is the model."""
        one, run = self.folder / "data" / "one.jsonl", self.folder / "operations"
        one.write_text((self.folder / "data" / "pairs.jsonl").read_text().splitlines()[0] + "\n")
        self.train(run, *DPO, *self.source("one"), *sets(train__steps=2))
        (first, second), tokens = ([metric(run, "gflops_per_second")[step] * metric(run, "step_seconds")[step] for step in (1, 2)], metric(run, "supervised_tokens"))
        self.assertEqual(tokens[1], tokens[2], "else nothing is compared")
        self.assertAlmostEqual(first, second, delta=1e-6 * second)

    def test_learns_from_pictures(self):
        """The answer is the same and the picture another: a model that does not look at it stays at log 2."""
        self.learns("swapped")

    def test_resumes_against_the_same_reference(self):
        whole, cut = self.folder / "whole", self.folder / "cut"
        self.train(whole, *DPO, *self.source("pairs"), *sets(train__steps=9, train__checkpoint_every=3))
        self.train(cut, *DPO, *self.source("pairs"), *sets(train__steps=9, train__checkpoint_every=3))
        before = digest(cut)
        for name in checkpoints(cut)[:1]:
            shutil.rmtree(cut / "checkpoints" / name)
        self.train(cut, *DPO, *self.source("pairs"), "--resume", *sets(train__steps=9, train__checkpoint_every=3))
        self.assert_same_run(whole, cut)
        self.assertEqual(digest(cut), before)
        shutil.rmtree(cut / "checkpoints" / checkpoints(cut)[0])
        with open(cut / "reference.safetensors", "r+b") as file:
            file.seek(-1, 2)
            file.write(b"\x7f")
        done = self.train(cut, *DPO, *self.source("pairs"), "--resume", *sets(train__steps=9, train__checkpoint_every=3), code=4)
        self.assertIn("is not the reference that the checkpoint was trained against", done.stderr)

    def answer_logp(self, prompt, text, run, *args):
        """The log-probability of an answer, as `antiphon eval` measures it."""
        row = prompt + [{"role": "assistant", "content": text}]
        path = self.folder / "data" / "asked.jsonl"
        path.write_text(json.dumps({"id": "asked", "messages": row}) + "\n")
        out = self.folder / "eval_asked"
        shutil.rmtree(out, ignore_errors=True)
        self.call("eval", run, *args, "--output", out, *sets(eval__generate="false", eval__controls="[]"), "--set", f'data.eval.held.sources=[{{path="{path}"}}]')
        entry = records(next(out.rglob("*predictions*.jsonl")))[0]
        tokens = len(Tokenizer.from_file(str(make_tiny.TOKENIZER / "tokenizer.json")).encode(text).ids) + 1  # the end of the turn
        return -entry["loss"] * tokens

    def answers_of(self, pair):
        """Prompt and text of the preferred answer and of the other, which may have a picture of its own."""
        if "chosen" in pair:
            return [(pair["prompt"], pair[side][0]["content"]) for side in ("chosen", "rejected")]
        (picture, question), answers = pair["messages"][0]["content"], []
        for candidate in pair["candidates"]:
            shown = {**picture, "image": candidate.get("media", {}).get("0", picture["image"])}
            answers.append(([{"role": "user", "content": [shown, question]}], candidate["content"]))
        return answers

    def second_step_is_the_formula(self, name, pair, config=None):
        """The loss of the second step, out of log-probabilities that `eval` measures before and after the first."""
        (self.folder / "data" / "one.jsonl").write_text(json.dumps(pair) + "\n")
        run = self.folder / name
        common = [*DPO, *self.source("one"), *sets(train__checkpoint_every=1, train__keep_checkpoints=5, train__schedule__name="constant", train__tokens_per_batch=100)]
        self.train(run, *common, *sets(train__steps=2), config=config)
        start = self.folder / f"{name}_start"
        self.train(start, *common, *sets(train__steps=1, train__optimizer__lr=1e-30), config=config)
        chosen, rejected = (self.answer_logp(*answer, run, "--checkpoint", run / "checkpoints" / "step_1") - self.answer_logp(*answer, start) for answer in self.answers_of(pair))
        margin = BETA * (chosen - rejected)
        self.assertGreater(abs(margin), 1e-3)
        self.assertAlmostEqual(losses(run)[2], math.log1p(math.exp(-margin)), places=4)
        return run

    def test_second_step_is_the_formula(self):
        self.second_step_is_the_formula("formula", records(self.folder / "data" / "pairs.jsonl")[0])

    def test_second_step_is_the_formula_of_two_pictures(self):
        """The answers are the same; the other one has another picture than the prompt's."""
        pair = records(self.folder / "data" / "swapped.jsonl")[0]
        (_, text), (_, other) = answers = self.answers_of(pair)
        self.assertEqual(text, other)
        self.assertNotEqual(*(prompt[0]["content"][0]["image"] for prompt, _ in answers))
        self.second_step_is_the_formula("formula_pictures", pair)

    def test_after_fine_tuning(self):
        """The reference is what was trained before, adapters and connectors, and not the model without its adapters."""
        first = self.folder / "tuned"
        self.train(first, *sets(train__steps=30, train__checkpoint_every=30, train__optimizer__lr=5e-3))
        text = self.config.read_text()
        for old, new in (('plugin = "lora"', f'plugin = "lora"\nweights = "{first}"'), ('{ plugin = "mlp" }', f'{{ plugin = "mlp", weights = "{first}" }}'), ('{ plugin = "frame_stack",', f'{{ plugin = "frame_stack", weights = "{first}",')):
            self.assertIn(old, text)
            text = text.replace(old, new)
        config = self.folder / "after.toml"
        config.write_text(text)
        run = self.second_step_is_the_formula("after", records(self.folder / "data" / "pairs.jsonl")[0], config)
        self.assertAlmostEqual(losses(run)[1], LOG2, places=6)
        self.assertEqual(metric(run, "rewards/margins")[1], 0)

    def test_second_step_is_the_formula_without_media(self):
        """A text-only pair; the answers are of unequal length."""
        asked = [{"role": "user", "content": "What is high?"}]
        pair = {"id": "text", "prompt": asked, "chosen": [{"role": "assistant", "content": "the tone and the pitch"}], "rejected": [{"role": "assistant", "content": "red"}]}
        run = self.second_step_is_the_formula("formula_text", pair)
        self.assertEqual({r["media/image"] + r["media/audio"] for r in records(run / "metrics.jsonl")}, {0}, "no encoder has run")

    def evaluate(self, what, data, *args, code=0):
        out = self.folder / f"eval_{data}"
        shutil.rmtree(out, ignore_errors=True)
        held = f'data.eval.held.sources=[{{path="{self.folder}/data/{data}.jsonl"}}]'
        done = self.call("eval", what, *args, "--output", out, "--set", held, code=code)
        return json.loads((out / "results.json").read_text())[0], records(out / "predictions.jsonl"), done

    def test_eval_says_what_the_objective_says(self):
        """The loss of a set of one pair is that of the step that comes next, whether its encoder is trained or not; without a
        run the model is its own reference."""
        one = records(self.folder / "data" / "pairs.jsonl")[0]
        (self.folder / "data" / "one.jsonl").write_text(json.dumps(one) + "\n")
        on_encoder = ["--set", 'model.streams.image.encoder.peft=[{plugin="lora", rank=2, targets=["query", "fc1"]}]']
        for name, more in [("measured_encoder", on_encoder), ("measured", [])]:
            run = self.folder / name
            self.train(run, *DPO, *self.source("one"), *more, *sets(train__steps=2, train__checkpoint_every=1, train__keep_checkpoints=5, train__tokens_per_batch=100))
            first = run / "checkpoints" / "step_1"
            results, predictions, done = self.evaluate(run, "one", "--checkpoint", first, *sets(eval__controls="[]"))
            right = results["tasks"]["all"]["conditions"]["right"]
            self.assertAlmostEqual(right["loss"]["mean"], losses(run)[2], places=5)
            self.assertAlmostEqual(right["rewards/margins"]["mean"], metric(run, "rewards/margins")[2], places=5)
            self.assertEqual(predictions[0]["metrics"]["rewards/accuracies"], right["rewards/accuracies"]["mean"])
            self.assertIn("rewards/accuracies", done.stdout)
        results, _, _ = self.evaluate(self.config, "pairs", *DPO)
        for condition in ("right", "removed"):
            self.assertAlmostEqual(results["tasks"]["all"]["conditions"][condition]["loss"]["mean"], LOG2, places=6)
        held = f'data.eval.held.sources=[{{path="{self.folder}/data/pairs.jsonl"}}]'
        done = self.call("eval", self.config, "--output", self.folder / "eval_sft", "--set", held, code=3)
        self.assertIn("the record has 2 candidates; the objective learns one answer", done.stderr)
        (run / "reference.safetensors").unlink()
        self.call("eval", run, "--output", self.folder / "eval_plain", *sets(eval__generate="false"))  # compares nothing
        held = f'data.eval.held.sources=[{{path="{self.folder}/data/one.jsonl"}}]'
        self.assertIn("reference.safetensors", self.call("eval", run, "--output", self.folder / "eval_none", "--set", held, code=4).stderr)

    def test_data_verbs_know_candidates(self):
        pairs = self.folder / "data" / "pairs.jsonl"
        text = self.call("data", "show", self.config, "--source", pairs).stdout
        self.assertIn("#0)", text)
        self.assertIn("#1)", text)
        row = records(pairs)[0]
        self.assertIn(row["chosen"][0]["content"], text)
        self.assertIn(row["rejected"][0]["content"], text)
        self.call("data", "check", self.config, *DPO, *self.source("pairs"))
        done = self.call("data", "check", self.config, *self.source("pairs"), code=3)
        self.assertIn("the record has N candidates; the objective learns one answer", done.stdout, "as training has it")
        done = self.call("data", "check", self.config, *DPO, code=3)
        self.assertIn("the record has no candidates; the objective compares N", done.stdout)
        tokens = json.loads(self.call("data", "check", self.config, *DPO, *self.source("pairs"), "--json").stdout)["sources"][0]["tokens"]["min"]
        done = self.call("data", "check", self.config, *DPO, *self.source("pairs"), *sets(train__tokens_per_batch=tokens - 1), code=3)
        self.assertIn("tokens in N sequences; a batch holds N", done.stdout)

    def test_a_record_that_has_both(self):
        """As ultrafeedback: turns to learn, and the same answers to compare."""
        rows = records(self.folder / "data" / "pairs.jsonl")
        path = self.folder / "data" / "both.jsonl"
        path.write_text("".join(json.dumps({**row, "messages": row["prompt"] + row["chosen"], "score": 3, "candidates": ["a"]}) + "\n" for row in rows))
        short = sets(train__steps=2)
        self.train(self.folder / "both_sft", *self.source("both"), *short)
        self.train(self.folder / "both_dpo", *DPO, *self.source("both"), *short)
        self.assertAlmostEqual(losses(self.folder / "both_dpo")[1], LOG2, places=6)
        self.train(self.folder / "both_named", *DPO, "--set", f'data.train.sources=[{{path="{path}", format="preference"}}]', *short)
        self.assertEqual(losses(self.folder / "both_named"), losses(self.folder / "both_dpo"))
        done = self.train(self.folder / "both_turns", *DPO, "--set", f'data.train.sources=[{{path="{path}", format="messages"}}]', *short, code=3)
        self.assertIn("the record has no candidates; the objective compares 2", done.stderr)

    def test_a_metric_with_a_name_of_the_run_is_refused(self):
        fixture = PROGRAM_FOLDER / "fixtures" / "conformance"
        environment = {**os.environ, "ANTIPHON_PLUGIN_PATH": str(fixture)}
        # Said, since the fixture's sources and layouts take any file for theirs.
        source = ["--set", f'data.train.sources=[{{path="{self.folder}/data/train.jsonl", source="json_lines", format="messages"}}]']
        done = self.train(self.folder / "taken", *sets(objective__plugin="taken_name", train__steps=2), *source, code=5, env=environment)
        self.assertIn("the objective's metric 'train/lr' has a name that every run has", done.stderr)

    def test_names_of_the_run(self):
        """Those that conformance keeps objectives from are those that a run writes."""
        run = self.folder / "names"
        self.train(run, *sets(train__steps=1), "--profile", "--profile-steps", "1")
        header = (ROOT / "core" / "antiphon" / "component" / "objective.h").read_text()
        known = re.findall(r'"(\w+)"', header[header.index("kRunMetrics"):header.index("};", header.index("kRunMetrics"))])
        several = self.folder / "names_of_several"
        self.call("launch", self.config, "--procs", 2, *sets(train__output=several, train__steps=1, train__accumulate=2))
        scaled = self.folder / "names_of_fp16"
        self.train(scaled, *sets(train__steps=1, precision__compute="fp16"))
        rising = self.folder / "names_of_a_ramp"
        self.train(rising, *sets(train__steps=2, train__checkpoint_every=1, train__accumulate=2, train__ramp__from=1, train__verify__every=1, train__on_oom="split", train__rollbacks=1))
        names = {name for folder in (run, several, scaled, rising) for name in records(folder / "metrics.jsonl")[0]}
        written = {name.removeprefix("train/") for name in names if name.startswith("train/")}
        self.assertEqual(written, set(known) - (set() if DEVICE.startswith("cuda") else {"device_memory_bytes"}))
        self.assertLessEqual({"media/image", "media/audio"}, set(records(run / "metrics.jsonl")[0]), "items of each stream")

    def test_data_that_does_not_fit(self):
        done = self.train(self.folder / "sft_of_pairs", *self.source("pairs"), code=3)
        self.assertIn("the record has 2 candidates; the objective learns one answer", done.stderr)
        done = self.train(self.folder / "dpo_of_answers", *DPO, code=3)
        self.assertIn("the record has no candidates; the objective compares 2", done.stderr)


if __name__ == "__main__":
    main()
