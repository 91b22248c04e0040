"""train.on_oom: a step for which there is no memory is computed in parts, left out, or ends the run."""
import os
import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

from harness import LIMIT, Case, losses, main, records, sets

SHIM = os.environ.get("MEMORY_SHIM", "")
# Without dropout, whose halves draw alike.
COMMON = sets(train__steps=6, train__tokens_per_batch=512, precision__compute="fp32", data__threads=1, data__feature_cache="", model__llm__peft__0__dropout=0)


@unittest.skipUnless(SHIM, "without the library that lets tensors fail")
class OnOom(Case):
    TRAIN = 24

    limit = None  # the most bytes of one tensor with which a step finds no memory

    def setUp(self):
        super().setUp()
        self.whole = self.folder / "whole"
        if OnOom.limit is None:
            self.train(self.whole, *COMMON)
            OnOom.limit = next(size for size in range(400_000, 20_000, -10_000) if self.run_in(self.folder / f"stop_{size}", size).returncode == 7)

    def run_in(self, run, most_bytes, *args):
        env = {**os.environ, "LD_PRELOAD": SHIM, "FAULT_MOST_BYTES": str(most_bytes)}
        return subprocess.run(self.command("train", self.config, *sets(train__output=run), *COMMON, *args), capture_output=True, text=True, timeout=LIMIT, env=env)

    def test_stop(self):
        done = self.run_in(self.folder / "stop", self.limit)
        self.assertEqual(done.returncode, 7)
        self.assertRegex(done.stderr, r"out of memory at step \d: 1 batches of at most \d+ tokens")

    def test_split(self):
        """The same losses and weights as with memory enough, up to rounding, and no sample left out."""
        run = self.folder / "split"
        done = self.run_in(run, self.limit, *sets(train__on_oom="split"))
        self.assertEqual(done.returncode, 0, done.stderr[-3000:])
        self.assertRegex(done.stderr, r"warning: step \d: no memory for 1 batches of at most \d+ tokens; .*; the largest is computed in two")
        ours, whole = records(run / "metrics.jsonl"), records(self.whole / "metrics.jsonl")
        self.assertGreater(ours[-1]["train/oom_splits"], 0)
        self.assertEqual(ours[-1]["train/oom_skips"], 0)
        for mine, theirs in zip(ours, whole, strict=True):
            self.assertAlmostEqual(mine["train/loss"], theirs["train/loss"], delta=2e-6 * theirs["train/loss"])
            self.assertAlmostEqual(mine["train/gradient_norm"], theirs["train/gradient_norm"], delta=1e-5 * theirs["train/gradient_norm"])
            self.assertEqual(mine["train/samples"], theirs["train/samples"])

    def test_skip(self):
        run = self.folder / "skip"
        done = self.run_in(run, self.limit, *sets(train__on_oom="skip"))
        text = done.stderr
        self.assertEqual(done.returncode, 0, text[-3000:])
        skipped = records(run / "metrics.jsonl")[-1]["train/oom_skips"]
        self.assertEqual(text.count("the step is skipped"), skipped)
        self.assertGreater(skipped, 0)
        self.assertEqual(len(losses(run)), 6)

    def test_never_enough(self):
        """Ten steps in a row that are left out end the run."""
        runs = (self.run_in(self.folder / f"never_{size}", size, *sets(train__on_oom="skip", train__steps=30)) for size in range(self.limit, 10_000, -10_000))
        done = next(done for done in runs if done.returncode)
        self.assertEqual(done.returncode, 7, done.stderr[-3000:])
        self.assertIn("there was no memory for 10 steps in a row; the last one: ", done.stderr)

    def test_not_with_several_processes_or_the_host(self):
        done = self.call("launch", self.config, "--procs", 2, *sets(train__output=self.folder / "two", train__on_oom="skip", train__steps=1, train__accumulate=2), code=2)
        self.assertIn('train.on_oom = "skip" is for one process', done.stderr)
        error = self.call("validate", self.config, *sets(train__on_oom="split", parallel__offload_optimizer="true"), code=2).stderr
        self.assertIn('train.on_oom = "split" beside parallel.offload_optimizer', error)


if __name__ == "__main__":
    main()
