"""The clock on the wall jumps by hours, back and forth: nothing goes by it but the times that logs show."""

import json
import os
import signal
import subprocess
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

from harness import DEVICE, LIMIT, Case, checkpoints, children, losses, main, records, sets

JUMPS = {**os.environ, "LD_PRELOAD": os.environ["CLOCK_SHIM"]}
COMMON = sets(train__steps=60, train__accumulate=2, train__tokens_per_batch=96, train__checkpoint_every=20, precision__compute="fp32")


class Clock(Case):
    def timed(self, run, *args, code=0):
        """What a run says whose clock jumps, and how many seconds it took."""
        begin = time.monotonic()
        done = subprocess.run(self.command("train", self.config, *COMMON, *sets(train__output=run), *args), env=JUMPS, capture_output=True, text=True, timeout=LIMIT)
        self.assertEqual(done.returncode, code, done.stderr[-4000:])
        return done.stderr, time.monotonic() - begin

    def elapsed(self, run):
        return json.loads((run / "checkpoints" / checkpoints(run)[0] / "progress.json").read_text())["clock"]["elapsed"]

    def test_it_does_jump(self):
        seen, end = set(), time.monotonic() + LIMIT
        while seen != {-5, 5}:
            self.assertLess(time.monotonic(), end, f"hours that the clock was off: {seen}")
            now = int(subprocess.run(["date", "+%s"], env=JUMPS, capture_output=True, text=True, check=True).stdout)
            seen.add(round((now - time.time()) / 3600))
            self.assertTrue(seen <= {-5, 5}, seen)

    def test_a_run_is_the_undisturbed_one(self):
        plain, run = self.folder / "plain", self.folder / "jumps"
        self.train(plain, *COMMON)
        text, seconds = self.timed(run, *sets(train__keep_minutes=60))
        self.assert_same_run(plain, run)
        took = [record["train/step_seconds"] for record in records(run / "metrics.jsonl") if "train/step_seconds" in record]
        self.assertEqual(len(took), 60)
        self.assertTrue(all(0 < one <= seconds for one in took), took)
        self.assertTrue(sum(took) / 2 <= self.elapsed(run) <= seconds)
        self.assertRegex(text, r"ETA \d+(\.\d+)? ?s")
        self.assertEqual(list((run / "kept").glob("step_*")), [], "an hour has not gone by")

    def test_limits_of_time(self):
        run = self.folder / "limited"
        _, seconds = self.timed(run, *sets(train__steps=100000, train__max_minutes=0.05, train__checkpoint_every=100000))
        self.assertGreater(max(losses(run)), 10)
        self.assertTrue(1 < self.elapsed(run) <= seconds, self.elapsed(run))
        run = self.folder / "stopped"
        text, seconds = self.timed(run, *sets(train__steps=100000, train__stop_after_minutes=0.03, train__checkpoint_every=100000), code=75)
        self.assertIn("stopped by train.stop_after_minutes", text)
        self.assertGreater(seconds, 1.8)
        self.assertGreater(max(losses(run)), 10)

    @unittest.skipIf(DEVICE, "processes exchange tensors of the CPU")
    def test_a_launcher_sees_who_hangs_and_who_does_not(self):
        run = self.folder / "launched"
        process = self.start("launch", self.config, "--procs", 2, "--stall", 3, "--restarts", 0, *COMMON, *sets(train__output=run, train__steps=100000, train__checkpoint_every=100000), env=JUMPS)
        self.wait_for_step(run, 200, process)
        begin = time.monotonic()
        while time.monotonic() - begin < 5:  # longer than it waits for one that hangs
            self.assertIsNone(process.poll(), "it was taken to hang")
            time.sleep(0.1)
        os.kill(children(process)[1], signal.SIGSTOP)
        begin = time.monotonic()
        _, text = process.communicate(timeout=LIMIT)
        self.assertGreater(time.monotonic() - begin, 2)
        self.assertEqual(process.returncode, 6, text[-4000:])
        self.assertRegex(text, r"nothing has happened for \d\d? s")


if __name__ == "__main__":
    main()
