"""`antiphon fit` with several processes: a batch fits if it fits in all of them, and it is said which one had least room."""
import json
import os
import re
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

import fit_test
from harness import ON_CPU, Case, main, records, sets

SHIM = os.environ.get("FAULT_SHIM", "")
TWO = sets(train__accumulate=2)


@ON_CPU
class FitTogether(Case):
    FORKED = False
    TRAIN, HELD = 6, 3
    composition, fitted = fit_test.Fit.composition, fit_test.Fit.fitted

    def test_limit(self):
        """Of both processes together."""
        file = self.composition()
        found = self.fitted(file, "--procs", 2, *TWO, "--most", 2048, "--memory", 100)
        self.assertEqual((found["processes"], found["tokens_per_batch"]), (2, 2048))
        for one in found["tries"]:
            self.assertTrue(one["fits"] and one["tokens_per_second"] > 0)
            self.assertIn(one["process"], (0, 1))
            self.assertTrue(0.5 * one["peak_bytes"] <= one["process_bytes"] < one["peak_bytes"], one)
        peaks = {one["tokens_per_batch"]: one["peak_bytes"] for one in found["tries"]}
        self.assertGreater(peaks[2048], peaks[512] + 50 * fit_test.MIB, "else nothing is compared")
        alone = self.fitted(file, *TWO, "--most", 512, "--memory", 100)["tries"][0]
        self.assertNotIn("process", alone)
        self.assertGreater(peaks[512], 1.1 * alone["peak_bytes"])
        limit = (peaks[512] + peaks[2048]) / 2
        done = self.call("fit", file, "--procs", 2, *TWO, "--most", 2048, "--memory", limit / 2**30)
        best = int(re.search(r"(?m)^tokens_per_batch = (\d+)$", done.stdout)[1])
        self.assertTrue(512 <= best < 2048, best)
        self.assertRegex(done.stdout, r"(?m)^ +2048 .* more than the limit  process [01]: \d")
        self.assertIn("LEAST ROOM", done.stdout)

    def test_the_mesh_of_the_file(self):
        """As many processes as it takes, of which one has more of the layers."""
        stages = sets(parallel__pipeline=2, parallel__layers_per_stage="[0, 4]", train__accumulate=1)
        found = self.fitted(self.composition(), *stages, "--most", 2048, "--memory", 100)
        self.assertEqual(found["processes"], 2)
        self.assertEqual(found["tries"][-1]["process"], 1, found)
        self.assertGreater(found["tries"][-1]["process_bytes"], 0.55 * found["tries"][-1]["peak_bytes"])

    def test_what_is_written_nowhere_else(self):
        """Of each attempt only its sizes stay."""
        place = self.folder / "temporary"
        place.mkdir()
        done = self.call("fit", self.composition(), "--procs", 2, *TWO, "--most", 512, env={**os.environ, "TMPDIR": str(place)})
        self.assertNotIn("[1]", done.stderr)
        self.assertEqual(list(place.iterdir()), [])

    @unittest.skipUnless(SHIM, "without the library that lets calls fail")
    def test_no_memory_in_one(self):
        env = {**os.environ, "LD_PRELOAD": SHIM, "FAULT_CALL": "posix_memalign", "FAULT_MODE": "ENOMEM", "FAULT_RANK": "1", "FAULT_AT": "300"}
        done = self.call("fit", self.composition(), "--procs", 2, *TWO, "--most", 512, "--memory", 100, "--json", code=7, env=env)
        found = json.loads(done.stdout)
        self.assertEqual({(one["fits"], one["why"], one["process"]) for one in found["tries"]}, {(False, "out of memory", 1)})

    def test_a_training_that_cannot_begin(self):
        done = self.call("fit", self.composition(), "--procs", 2, *sets(train__accumulate=3), code=2)
        self.assertIn("2 processes cannot share 3 batches a step", done.stderr)
        self.assertIn("ended before 3 steps", done.stderr)

    @unittest.skipUnless(SHIM, "without the library that lets calls fail")
    def test_shares_that_cannot_be_read(self):
        """Then what processes hold in common counts in each: nothing fits that has no room."""
        file = self.composition()
        told = self.fitted(file, "--procs", 2, *TWO, "--most", 512, "--memory", 100)["tries"][0]
        env = {**os.environ, "LD_PRELOAD": SHIM, "FAULT_UNREADABLE": "/smaps_rollup"}
        done = self.call("fit", file, "--procs", 2, *TWO, "--most", 512, "--memory", 100, "--json", env=env)
        one = json.loads(done.stdout)["tries"][0]
        self.assertGreater(one["peak_bytes"], 1.02 * told["peak_bytes"])
        self.assertGreater(one["process_bytes"], told["process_bytes"])
        done = self.call("fit", file, "--procs", 2, *TWO, "--most", 512, "--memory", 0.05, "--json", code=7, env=env)
        self.assertEqual({one["why"] for one in json.loads(done.stdout)["tries"]}, {"more than the limit"})
        self.assertEqual(done.stderr.count("the kernel does not say what the processes hold in common"), 1)

    def test_metrics(self):
        """Which process has most at a step: the one with all layers."""
        run = self.folder / "run"
        stages = sets(parallel__pipeline=2, parallel__layers_per_stage="[0, 4]", train__accumulate=1, train__tokens_per_batch=2048)
        self.call("launch", self.composition(), "--procs", 2, *stages, *sets(train__output=run, train__steps=3))
        for record in records(run / "metrics.jsonl")[1:]:
            self.assertEqual(record["train/most_memory_process"], 1)
            self.assertGreater(record["train/most_memory_bytes"], record["train/memory_bytes"])  # the first process's
        self.train(self.folder / "one", *sets(train__steps=1))
        self.assertNotIn("train/most_memory_bytes", records(self.folder / "one" / "metrics.jsonl")[0])


if __name__ == "__main__":
    main()
