"""A process that is slower than the others is named; one that is not, is not."""

import os
import signal
import socket
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from together import COMMON, Together, children
from harness import main, records, sets

ARGS = [*COMMON, *sets(train__steps=30, train__accumulate=2, train__checkpoint_every=30)]
WARNING = "is slower than the others"


class Stragglers(Together):
    def slowed(self, process, run, until):
        """Stops the second process for most of the time until a step is done."""
        pid = children(process)[1]
        while process.poll() is None and not (run / "metrics.jsonl").exists():
            time.sleep(0.01)
        while process.poll() is None and not any(f'"step":{until},' in line for line in (run / "metrics.jsonl").read_text().splitlines()):
            for number, seconds in ((signal.SIGSTOP, 0.04), (signal.SIGCONT, 0.006)):
                os.kill(pid, number)
                time.sleep(seconds)

    def seconds(self, run):
        for record in records(run / "metrics.jsonl"):
            self.assertLess(0, record["train/fastest_seconds"])
            self.assertLessEqual(record["train/fastest_seconds"], record["train/slowest_seconds"])
            self.assertLessEqual(record["train/slowest_seconds"], record["train/step_seconds"] + 1e-6)
            yield record["train/slowest_seconds"] / record["train/fastest_seconds"]

    def test_one_that_is_slowed(self):
        run = self.folder / "slowed"
        process = self.start("launch", self.config, "--procs", 2, *sets(train__output=run), *ARGS, *sets(train__straggler_ratio=2))
        while len(children(process)) < 2:
            time.sleep(0.01)
        self.slowed(process, run, 26)
        _, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 0, err[-3000:])
        told = [line for line in err.splitlines() if WARNING in line]
        self.assertEqual(len(told), 1, err)
        self.assertIn(f"process 1 on {socket.gethostname()} {WARNING}", told[0])
        ratios = list(self.seconds(run))
        self.assertGreater(sorted(ratios[2:26])[4], 2)

    def test_none_that_is_slow(self):
        run, done = self.run_with("even", 2, *ARGS)
        self.assertNotIn(WARNING, done.stderr)
        self.assertLess(sorted(self.seconds(run))[15], 2)

    def test_one_process_is_not_compared(self):
        run, done = self.run_with("alone", 1, *ARGS, *sets(train__steps=2))
        self.assertNotIn("train/slowest_seconds", records(run / "metrics.jsonl")[0])
        _, done = self.run_with("alone", 1, *sets(train__straggler_ratio=0.9), code=2)
        self.assertIn("train.straggler_ratio is 0.9; expected more than 1, or 0", done.stderr)


if __name__ == "__main__":
    main()
