"""What goes wrong in one process alone: its gradient is not finite, its data are bad, its medium does not answer. All go on, or all end in time, and it is
said which process it was and why."""

import ctypes
import json
import os
import re
import shutil
import signal
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from together import COMMON, Together, children, tensors
from harness import LIMIT, checkpoints, losses, main, records, sets
from spoilt import LETTER, infinite, marked

SHIM = os.environ.get("FAULT_SHIM", "")
# Each process has a row of batches: the first the even samples, the second the odd ones.
TWO_ROWS = sets(train__accumulate=2, data__shuffle="false", train__checkpoint_every=1000)


class OneFails(Together):
    def records(self):
        return records(self.config.parent / "data" / "train.jsonl")

    def source(self, name, lines):
        path = self.config.parent / "data" / f"{name}.jsonl"
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        return ["--set", f'data.train.sources=[{{ path = "{path}" }}]']

    def spoilt(self, name, numbers):
        """Samples of which some have that letter."""
        lines = self.records()
        for i in numbers:
            lines[i] = marked(lines[i], LETTER)
        return self.source(name, lines)

    def timed(self, seconds, call):
        begin = time.monotonic()
        result = call()
        self.assertLess(time.monotonic() - begin, seconds)
        return result

    def test_a_gradient_that_is_not_finite(self):
        """All skip the step, and nothing of it stays."""
        args = [*TWO_ROWS, *self.spoilt("few", (7, 21))]
        one, _ = self.run_with("few_1", 1, *args, config=infinite(self))
        for name, mesh in (("copies", []), ("shards", sets(parallel__fsdp=2))):
            with self.subTest(name):
                two, done = self.timed(LIMIT, lambda: self.run_with(f"few_{name}", 2, *args, *mesh, config=infinite(self)))
                skipped = [line.partition("step ")[2].partition(":")[0] for line in done.stderr.splitlines() if "not finite; the step is skipped" in line and not line.startswith("[1]")]
                self.assertTrue(0 < len(skipped) < 8, skipped)
                for step in skipped:
                    self.assertIn(f"[1] warning: step {step}: ", done.stderr)
                for step, loss in losses(one).items():
                    self.assertEqual(loss is None, str(step) in skipped)
                    self.assertAlmostEqual(loss or 0, losses(two)[step] or 0, delta=1e-6)
                for key, value in tensors(one).items():
                    self.assertLessEqual(abs(value - tensors(two)[key]).max(), 1e-5 * abs(value).max(), key)

    def test_no_gradient_is_finite(self):
        """After ten such steps all end, with the samples."""
        args = [*TWO_ROWS, *self.spoilt("each", range(1, self.TRAIN, 2)), *sets(train__steps=100)]
        _, done = self.timed(LIMIT, lambda: self.run_with("each", 2, *args, config=infinite(self), code=3))
        self.assertEqual(done.stderr.count("10 steps in a row had no finite gradient"), 2)
        self.assertRegex(done.stderr, r"(?m)^\[1\] error: .*\n?.*\b(image|audio|both)-\d*[13579]\b")
        self.assertRegex(done.stderr, r"(?m)^error: .*the loss was not finite in process 1, which names its samples")
        self.assertNotIn("started again", done.stderr)

    def test_a_run_that_goes_back(self):
        """By the loss of one process alone all do, to the same step, and go on as one process does."""
        lines = [marked(line, "^") for line in 16 * self.records()]
        args = [*TWO_ROWS, *sets(train__steps=34, train__checkpoint_every=4, train__rollbacks=1)]
        clean, _ = self.run_with("clean", 1, *args, *self.source("clean", lines), config=infinite(self))
        samples = [int(record["train/samples"]) for record in records(clean / "metrics.jsonl")]
        begin, end = sum(samples[:10]), sum(samples[:24])  # nearly: the rows' steps have not all as many
        self.assertLess(sum(samples), len(lines))
        bad = [marked(line, LETTER) if begin <= i < end and i % 2 else marked(line, "^") for i, line in enumerate(16 * self.records())]
        args += self.source("goes_back", bad)
        one, done = self.run_with("back_1", 1, *args, config=infinite(self))
        back = r"what is trained goes back to step \d+, for time 1 of at most 1; the data go on"
        step = re.search(back, done.stderr)[0]
        self.assertIsNotNone(losses(one)[34])
        for name, mesh in (("copies", []), ("shards", sets(parallel__fsdp=2)), ("stages", sets(parallel__pipeline=2))):
            with self.subTest(name):
                two, done = self.timed(LIMIT, lambda: self.run_with(f"back_{name}", 2, *args, *mesh, config=infinite(self)))
                self.assertEqual(re.findall(back, done.stderr), 2 * [step])
                self.assertEqual(records(two / "metrics.jsonl")[-1]["train/not_finite_steps"], sum(loss is None for loss in losses(one).values()))
                for number, loss in losses(one).items():
                    self.assertEqual(loss is None, losses(two)[number] is None)
                    self.assertAlmostEqual(loss or 0, losses(two)[number] or 0, delta=1e-5 * (loss or 0))

    def test_samples_that_cannot_be_read(self):
        """What one cannot draw ends all, after the checkpoint of the last step, however long that takes to write."""
        lines = self.records()
        for line in lines[31::2]:
            for part in line["messages"][0]["content"]:
                part.update({key: "gone." + part[key] for key in ("image", "audio") if key in part})
        args = [*TWO_ROWS, *self.source("gone", lines), *sets(train__steps=1000, data__max_consecutive_bad=4)]
        run = self.folder / "gone"
        slow = {**os.environ, "LD_PRELOAD": SHIM, "FAULT_BELOW": str(run / "checkpoints"), "FAULT_SYNC": "700"} if SHIM else None
        done = self.timed(LIMIT, lambda: self.call("launch", self.config, "--procs", 2, *sets(train__output=run), *COMMON, *args, code=3, env=slow))
        self.assertRegex(done.stderr, r"\[1\] error: .*samples are bad, the last 4 in a row; the last one: .*gone\.jsonl:\d+: .*gone\.")
        self.assertIn("process 1 ended with exit code 3", done.stderr)
        self.assertNotIn("started again", done.stderr)
        self.assertGreater(max(losses(run)), 2)
        by_hand = self.folder / "gone_by_hand"
        codes, texts = self.timed(LIMIT, lambda: self.by_hand(by_hand, [{}, {}], *COMMON, *args))
        self.assertEqual(codes, [75, 3], texts)
        self.assertIn("samples are bad", texts[1])
        self.assertIn("another process cannot draw its batches, as it says", texts[0])
        for ended in (run, by_hand):
            self.assertEqual(checkpoints(ended)[0], f"step_{max(losses(ended))}")  # no step is lost

    def test_files_that_differ_within_a_cell(self):
        """Two machines read the same list and not the same pictures: whoever computes a batch together notices, before it is computed."""
        machines = [self.folder / f"machine_{rank}" for rank in range(2)]
        for machine in machines:
            shutil.copytree(self.config.parent / "data", machine / "data")
        (machines[1] / "data" / "train_21.png").unlink()
        args = [*COMMON, *sets(train__accumulate=2, data__shuffle="false", train__checkpoint_every=1000), "--set", 'data.train.sources=[{ path = "data/train.jsonl" }]']
        for axis in ("tensor", "context", "pipeline"):
            with self.subTest(axis):
                run = self.folder / f"differ_{axis}"
                codes, texts = self.timed(LIMIT, lambda: self.by_hand(run, [{}, {}], *args, *sets(**{f"parallel__{axis}": 2}), folders=machines))
                self.assertEqual(codes, [6, 6], texts)
                for text in texts:
                    self.assertIn("processes 0 and 1 compute a batch together and have drawn different ones", text)
                    self.assertIn("all must read the same files without errors", text)

    def one_waits(self, name, *options, **fault):
        """(run, launcher, processes): one does not come by a picture, which process 1 alone draws, once an epoch."""
        run, picture = self.folder / name, self.config.parent / "data" / "train_21.png"
        self.assertTrue(picture.exists())
        env = {**os.environ, "LD_PRELOAD": SHIM, "FAULT_BELOW": str(picture), **fault}
        args = [*sets(train__output=run), *COMMON, *TWO_ROWS, *sets(train__steps=100000)]
        process = self.start("launch", self.config, "--procs", 2, "--restarts", 0, *options, *args, env=env)
        pids, end = [], time.monotonic() + LIMIT
        while len(pids) < 2:
            self.assertLess(time.monotonic(), end)
            pids = children(process)
        return run, process, pids

    @unittest.skipUnless(SHIM, "without the library that lets calls fail")
    def test_a_medium_that_does_not_answer(self):
        """The loader of one process waits for a picture for ever."""
        run, process, pids = self.one_waits("silent", "--stall", 3, FAULT_AT="15", FAULT_MODE="hang")
        _, err = process.communicate(timeout=LIMIT)
        self.assertEqual(process.returncode, 6, err[-3000:])
        self.assertRegex(err, r"nothing has happened for \d+ s")
        self.assertRegex(err, r"process 1, step \d+: waiting for sample \d+ of \w+\.jsonl\n")
        self.assertRegex(err, r"process 0, step \d+: waits for the others in")
        self.assertGreater(max(losses(run)), 20)
        self.assertFalse([pid for pid in pids if Path(f"/proc/{pid}").exists()])

    @unittest.skipUnless(SHIM, "without the library that lets calls fail")
    def test_one_is_asked_to_stop_while_it_draws(self):
        """The others have their batches, and say the same as it does."""
        run, process, pids = self.one_waits("asked", FAULT_DELAY="8000")
        self.wait_for_step(run, 20, process)
        seen, end = -1, time.monotonic() + LIMIT
        while seen < (seen := max(losses(run))):  # until it waits for the picture
            self.assertLess(time.monotonic(), end)
            time.sleep(1)
        os.kill(pids[1], signal.SIGTERM)
        time.sleep(3.2)  # its loader waits still: what the launcher sends to the others, however late, is no second request
        ctypes.CDLL(None).sigqueue(pids[1], signal.SIGTERM, ctypes.c_void_p(1))
        _, err = process.communicate(timeout=LIMIT)
        self.assertEqual(process.returncode, 75, err[-3000:])
        self.assertEqual(err.count(f"stopped by signal 15 after step {max(losses(run))}; a checkpoint is written"), 2, err[-3000:])
        self.assertEqual(checkpoints(run)[0], f"step_{max(losses(run))}")


if __name__ == "__main__":
    main()
