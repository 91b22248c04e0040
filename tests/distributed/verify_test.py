"""train.verify: steps that are computed twice change nothing, and one that comes out otherwise ends the run. An objective that is wrong once stands for
a processor that computes wrongly (tests/plugin_fixtures/wavering.cpp)."""

import os
import sys
import unittest
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parent))

from together import ALL, CONFORMER, Together, limited_experts
from harness import checkpoints, losses, main, records, sets

WAVERING = os.path.join(os.environ["FIXTURES"], "wavering") if "FIXTURES" in os.environ else ""
EACH = sets(train__verify__every=1)
HARDWARE = 9  # of ErrorKind


class Verified(Together):
    def check_unchanged(self, name, processes, *args, config=None):
        with self.subTest(name):
            plain, _ = self.run_with(f"{name}_plain", processes, *args, config=config)
            twice, _ = self.run_with(f"{name}_twice", processes, *args, *EACH, config=config)
            self.assertEqual(losses(plain), losses(twice))
            self.assert_same_run(plain, twice)
            self.assertEqual([record["train/verified_steps"] for record in records(twice / "metrics.jsonl") if "train/loss" in record], list(range(1, 9)))
            self.assertNotIn("train/verified_steps", records(plain / "metrics.jsonl")[0])

    def test_what_is_computed_twice_is_the_same(self):
        self.check_unchanged("adapters", 1, *sets(train__recompute='"full"'))
        self.check_unchanged("all", 2, *ALL)
        self.check_unchanged("shards", 2, *ALL, *sets(parallel__fsdp=2))
        self.check_unchanged("owners", 2, *ALL, *sets(parallel__fsdp=2, train__optimizer__name='"muon"'))
        self.check_unchanged("stages", 2, *ALL, *sets(parallel__pipeline=2))

    def test_running_statistics_and_experts(self):
        self.check_unchanged("conformer", 1, config=self.edited("conformer", CONFORMER))
        self.check_unchanged("experts", 1, config=limited_experts(self))

    def wavering(self, name, processes, at, *args, code=HARDWARE, rank=0):
        objective = [*sets(train__steps=12), "--set", f'objective={{plugin="wavering",at={at},rank={rank}}}']
        with mock.patch.dict(os.environ, ANTIPHON_PLUGIN_PATH=WAVERING):
            return self.run_with(name, processes, *objective, *args, code=code)

    @unittest.skipUnless(WAVERING, "without the objective that is wrong once")
    def test_a_gradient_that_is_wrong_once(self):
        passed, _ = self.wavering("unseen", 1, 22, code=0)  # of step 6, whose batches are four; nobody looks
        self.assertEqual(len(losses(passed)), 12)
        run, done = self.wavering("seen", 1, 41, *EACH)  # each step has eight passes
        self.assertIn("step 6 was computed twice from the same batches, and not to the same: gradients of", done.stderr)
        self.assertIn("wrong computation", done.stderr)
        self.assertNotIn("the loss was", done.stderr)
        self.assertEqual(len(losses(run)), 5)
        self.assertEqual(checkpoints(run), ["step_4"])
        again, _ = self.wavering("seen", 1, 0, *EACH, "--resume", code=0)
        right, _ = self.wavering("right", 1, 0, code=0)
        self.assertEqual(losses(again), losses(right))

    @unittest.skipUnless(WAVERING, "without the objective that is wrong once")
    def test_every_third_step(self):
        run, _ = self.wavering("third", 1, 11, *sets(train__verify__every=3), code=HARDWARE)
        self.assertEqual(len(losses(run)), 2)
        run, _ = self.wavering("between", 1, 7, *sets(train__verify__every=3), code=0)  # of the second step
        self.assertEqual([record["train/verified_steps"] for record in records(run / "metrics.jsonl") if "train/loss" in record], [0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4])

    @unittest.skipUnless(WAVERING, "without the objective that is wrong once")
    def test_one_of_two_processes(self):
        for name, mesh in [("copies", ()), ("shards", sets(parallel__fsdp=2))]:
            with self.subTest(name):
                run, done = self.wavering(f"wrong_{name}", 2, 8, *ALL, *mesh, *EACH, rank=1)
                self.assertIn("step 2 was computed twice from the same batches, and not to the same in process", done.stderr)
                self.assertEqual(len(losses(run)), 1)

    @unittest.skipUnless(WAVERING, "without the objective that is wrong once")
    def test_a_spike(self):
        """Here all that is above nine tenths of the average: losses go up and down by more."""
        spikes = sets(train__verify__spike=0.9, train__optimizer__lr=0.02)
        run, done = self.wavering("spike", 1, 0, *spikes, code=0)
        self.assertIn("times the average of the last ones; it is computed again", done.stderr)
        count = [record["train/verified_steps"] for record in records(run / "metrics.jsonl")][-1]
        self.assertEqual(count, done.stderr.count("it is computed again"))
        self.assertLess(count, 11)  # of twelve, of which the first has nothing before it
        plain, _ = self.wavering("spike_plain", 1, 0, *spikes, *sets(train__verify__spike=0), code=0)
        self.assertEqual(losses(plain), losses(run))


if __name__ == "__main__":
    main()
