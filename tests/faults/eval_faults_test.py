"""No sample ends an evaluation: it is skipped and counted, or answered within the room that is left. What is not finite is an error."""

import json
import random
import shutil
import struct
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

import make_tiny
from bad_samples_test import audio, conversation
from harness import Case, main, records, sets


def text(words):
    return {"type": "text", "text": words}


class EvalFaults(Case):
    def use(self, name, lines):
        """A configuration that evaluates these records, and where its results go."""
        (self.folder / "data" / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        config = self.folder / f"{name}.toml"
        config.write_text(self.config.read_text().replace("data/held.jsonl", f"data/{name}.jsonl"))
        return config, self.folder / f"eval_{name}"

    def evaluate(self, config, output, *args, code=0):
        done = self.call("eval", config, "--output", output, *args, code=code)
        return json.loads((output / "results.json").read_text()), records(output / "predictions.jsonl"), done

    def test_a_prompt_that_leaves_little_room(self):
        long = conversation(text("What is " * 155), id="long")  # 512 positions
        config, output = self.use("long", [conversation(text("What?"), id="a"), long, conversation(text("And?"), id="b")])
        (results,), predictions, done = self.evaluate(config, output, *sets(eval__max_tokens=100))
        self.assertEqual((results["samples"], results["skipped"], results["answers_with_less_room"]), (3, 0, 1))
        self.assertEqual([p["id"] for p in predictions], ["a", "long", "b"])
        self.assertTrue(all(p["predicted"] for p in predictions))
        self.assertIn("1 answers had less room", done.stdout)

    def test_a_sample_that_fails_under_one_condition(self):
        data, noise = self.folder / "data", random.Random(5)
        for name, seconds in [("short", 0.05), ("other", 0.06), ("third", 0.055), ("longer", 1.0)]:
            make_tiny.write_wav(data / f"{name}.wav", 300, noise, seconds)
        # 512 tokens with a short sound, more with the long one.
        full = conversation(audio("short.wav"), text("?" * (300 + 512 - self.tokens("?" * 300))), id="full")
        config, output = self.use("shuffled", [full, *(conversation(audio(f"{name}.wav"), text("What?"), id=name) for name in ["other", "third", "longer"])])
        for seed in range(20):
            (results,), predictions, done = self.evaluate(config, output, *sets(eval__seed=seed, eval__generate="false"))
            skipped = [p for p in predictions if "skipped" in p]
            self.assertEqual((results["samples"], results["skipped"]), (4 - len(skipped), len(skipped)))
            for condition in results["tasks"]["all"]["conditions"].values():
                self.assertIsNotNone(condition["loss"]["mean"])
            if skipped:
                break
        (record,) = skipped  # some seed gives the long sound to the full sample
        self.assertEqual((record["id"], record["line"]), ("full", 1))
        self.assertIn("with shuffled media", record["skipped"])
        self.assertIn("shuffled.jsonl:1: skipped: with shuffled media", done.stderr)
        self.assertIn("3 samples, 1 skipped", done.stdout)

    def tokens(self, question):
        config, _ = self.use("probe", [conversation(audio("short.wav"), text(question))])
        found = json.loads(self.call("data", "check", config, "--json").stdout)
        return next(source["tokens"]["max"] for source in found["sources"] if source["set"] == "held")

    def test_a_set_that_cannot_be_shuffled(self):
        record = records(self.folder / "data" / "held.jsonl")[1]
        config, output = self.use("alone", [record])
        (results,), _, done = self.evaluate(config, output)
        self.assertIn("the control 'shuffled' is left out", done.stderr)
        self.assertEqual(list(results["tasks"][record["task"]]["conditions"]), ["removed", "right"])

    def test_a_set_without_a_good_sample(self):
        config, output = self.use("none", [{"messages": []}])
        held = self.folder / "data" / "held.jsonl"
        config.write_text(config.read_text() + f'\n[[data.eval.good.sources]]\npath = "{held}"\n')
        results, _, done = self.evaluate(config, output, *sets(eval__generate="false", eval__controls="[]"), code=3)
        by_name = {result["set"]: result for result in results}
        self.assertEqual(by_name["good"]["samples"], 12)
        self.assertIn("no good sample", by_name["held"]["error"])
        self.assertIn("held: the set has no good sample", done.stderr)

    def test_nothing_finite(self):
        models = self.folder / "models" / "nan"
        shutil.copytree(self.folder / "models" / "llama", models)
        path = models / "model.safetensors"
        data = bytearray(path.read_bytes())
        start = 8 + struct.unpack("<Q", data[:8])[0]
        at = start + json.loads(data[8:start])["model.norm.weight"]["data_offsets"][0]
        data[at : at + 4] = struct.pack("<f", float("nan"))
        path.write_bytes(data)
        config = self.folder / "nan.toml"
        config.write_text(self.config.read_text().replace("models/llama", "models/nan"))
        (results,), predictions, done = self.evaluate(config, self.folder / "eval_nan", code=3)
        self.assertRegex(done.stderr, r"held: the loss of 12 of 12 samples is not finite; first .*held\.jsonl:1 \(image-0\)")
        self.assertNotIn("p =", done.stdout)
        self.assertNotIn("p <", done.stdout)
        self.assertIn("not finite", done.stdout)
        for task in results["tasks"].values():
            self.assertIsNone(task["right_better_than"]["removed"]["loss"]["p"])
        self.assertEqual({p["predicted"] for p in predictions}, {""})
        for temperature in (0, 1):
            self.assertIn("not finite", self.call("generate", config, "x", *sets(generate__temperature=temperature), code=3).stderr)


if __name__ == "__main__":
    main()
