"""Steps with fewer batches at first: the same run with one process and with two, and if it goes on from a checkpoint."""

import json
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from together import Together
from harness import checkpoints, main, records, sets

RAMP = sets(train__steps=12, train__ramp__from=2, train__ramp__by=2, train__ramp__every=5, train__accumulate=6)
BATCHES = [2] * 5 + [4] * 5 + [6] * 2


class Ramp(Together):
    def batches(self, run):
        return [int(record["train/batches"]) for record in records(run / "metrics.jsonl")]

    def test_one_and_two_processes(self):
        one = self.compare("ramp", *RAMP, counts=(2,))
        two = self.folder / "ramp_2"
        self.assertEqual((self.batches(one), self.batches(two)), (BATCHES, BATCHES))
        samples = [record["train/samples"] for record in records(one / "metrics.jsonl")]
        self.assertGreater(sum(samples[10:]) / 2, 2 * sum(samples[:5]) / 5)
        whole, done = self.run_with("whole", 1, *sets(train__accumulate=6, train__steps=12))
        rates = [[record["train/lr"] for record in records(run / "metrics.jsonl")] for run in (one, whole)]
        self.assertEqual(*rates)
        self.assertNotIn("train/batches", records(whole / "metrics.jsonl")[0])
        again = self.folder / "again"
        shutil.copytree(two, again)
        for name in checkpoints(again)[:-1]:
            shutil.rmtree(again / "checkpoints" / name)
        _, done = self.run_with("again", 2, *RAMP, "--resume")
        self.assertIn("resumed at step 8", done.stderr)
        self.assertIn("a step: 2 batches at first, 2 more every 5 steps, 6 from step 11 on", done.stderr)
        self.assert_same_run(two, again)
        _, done = self.run_with("again", 2, *sets(train__accumulate=6, train__steps=20), "--resume", code=4)
        self.assertIn("2 batches at first, 2 more every 5 steps; now", done.stderr)

    def test_two_batches_to_the_bit(self):
        """A process has one batch of each step of two."""
        args = sets(train__ramp__from=2, train__ramp__by=2, train__ramp__every=100)
        one, two = (self.run_with(f"bits_{processes}", processes, *args)[0] for processes in (1, 2))
        self.assert_same_run(one, two)

    def test_pipeline(self):
        one, _ = self.run_with("stages_1", 1, *RAMP)
        two, _ = self.run_with("stages_2", 2, *RAMP, *sets(parallel__pipeline=2))
        self.assert_same_training(one, two)

    def test_data_that_end_in_the_ramp(self):
        """Each sample comes once, whichever row it is of."""
        source = ["--set", f'data.train.sources=[{{path="{self.folder}/data/train.jsonl", epochs=1}}]']
        for processes in (1, 2):
            run, done = self.run_with(f"ended_{processes}", processes, *sets(train__ramp__from=2, train__ramp__by=2, train__ramp__every=1000, train__accumulate=6, train__steps=500), *source)
            self.assertIn("all sources have had their epochs", done.stderr)
            found = records(run / "metrics.jsonl")
            self.assertEqual(sum(record["train/samples"] for record in found), self.TRAIN)
            self.assertEqual({record["train/batches"] for record in found[:-3]}, {2})
            rows = json.loads((run / "checkpoints" / checkpoints(run)[0] / "progress.json").read_text())["loader"]["rows"]
            self.assertEqual(sum(row["good"] for row in rows), self.TRAIN)

    def test_refused(self):
        for processes, args, words in [(2, sets(train__ramp__from=1), "train.ramp.from = 1 and train.ramp.by = 1 are not both multiples of 2"), (1, sets(train__ramp__from=9), "train.ramp.from = 9 is more than the train.accumulate = 4"),
                                       (1, sets(train__ramp__from=1, train__max_minutes=1), "train.ramp beside train.max_minutes")]:
            _, done = self.run_with("refused", processes, *args, code=2)
            self.assertIn(words, done.stderr)


if __name__ == "__main__":
    main()
