"""A process that is slower than the others is named; one that is not, is not."""

import os
import socket
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from together import COMMON, Together
from harness import main, records, sets

STEPS = 60
ARGS = [*COMMON, *sets(train__steps=STEPS, train__accumulate=2, train__checkpoint_every=STEPS)]
SHIM = os.environ.get("FAULT_SHIM", "")
WARNING = "is slower than the others"


class Stragglers(Together):
    def seconds(self, run):
        for record in records(run / "metrics.jsonl"):
            self.assertLess(0, record["train/fastest_seconds"])
            self.assertLessEqual(record["train/fastest_seconds"], record["train/slowest_seconds"])
            self.assertLessEqual(record["train/slowest_seconds"], record["train/step_seconds"] + 1e-6)
            yield record["train/slowest_seconds"] / record["train/fastest_seconds"]

    @unittest.skipUnless(SHIM, "without the library that makes a disk slow")
    def test_one_that_reads_slowly(self):
        run = self.folder / "slow"
        slow = {"LD_PRELOAD": SHIM, "FAULT_BELOW": str(self.folder / "data"), "FAULT_DELAY": "70"}
        codes, texts = self.by_hand(run, [{}, slow], *ARGS, *sets(data__threads=1, data__prefetch=1))
        self.assertEqual(codes, [0, 0], texts)
        told = [line for line in texts[0].splitlines() if WARNING in line]
        self.assertEqual(len(told), 1, texts[0])
        self.assertIn(f"process 1 on {socket.gethostname()} {WARNING}", told[0])
        self.assertNotIn(WARNING, texts[1])
        ratios = list(self.seconds(run))
        self.assertTrue(any(min(ratios[i : i + 20]) > 1.5 for i in range(len(ratios) - 19)), ratios)

    @unittest.skipUnless(SHIM, "without the library that makes a disk slow")
    def test_none_that_is_slow(self):
        """Both wait for the same disk, longer than they compute, so that other work on the machine decides nothing."""
        run = self.folder / "even"
        slow = {"LD_PRELOAD": SHIM, "FAULT_BELOW": str(self.folder / "data"), "FAULT_DELAY": "40"}
        codes, texts = self.by_hand(run, [slow, slow], *ARGS, *sets(data__threads=1, data__prefetch=1, train__steps=30))
        self.assertEqual(codes, [0, 0], texts)
        self.assertNotIn(WARNING, "".join(texts))
        self.assertLess(sorted(self.seconds(run))[15], 2)

    def test_one_process_is_not_compared(self):
        run, done = self.run_with("alone", 1, *ARGS, *sets(train__steps=2))
        self.assertNotIn("train/slowest_seconds", records(run / "metrics.jsonl")[0])
        _, done = self.run_with("alone", 1, *sets(train__straggler_ratio=0.9), code=2)
        self.assertIn("train.straggler_ratio is 0.9; expected more than 1, or 0", done.stderr)


if __name__ == "__main__":
    main()
