"""SIGTERM, SIGINT, SIGHUP and SIGUSR1: one checkpoint, exit code 75, and the resumed run is bit for bit the undisturbed one."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

from harness import Case, checkpoints, losses, main, records, sets

STEPS = 60
COMMON = sets(train__steps=STEPS, train__accumulate=2, train__tokens_per_batch=96, train__checkpoint_every=1000)


class Stop(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.undisturbed = cls.folder / "undisturbed"
        cls().train(cls.undisturbed, *COMMON)

    def runTest(self):
        pass

    def start_run(self, run):
        return self.start("train", self.config, "--resume", *sets(train__output=run), *COMMON)

    def stop(self, run, step, number):
        process = self.start_run(run)
        self.wait_for_step(run, step, process)
        process.send_signal(number)
        _, text = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 75, text)
        self.assertIn("--resume", text)
        last = max(losses(run))
        self.assertEqual(checkpoints(run)[0], f"step_{last}", "the checkpoint is of the last step that was done")
        return last

    def test_stopped_and_resumed(self):
        for seed in range(4, 40 if os.environ.get("ANTIPHON_LONG") else 5):
            run, chance, step = self.folder / f"stopped_{seed}", random.Random(seed), 0
            for number in [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGTERM]:
                step = self.stop(run, step + chance.randrange(1, 10), number)
            self.train(run, "--resume", *COMMON)
            self.assert_same_run(self.undisturbed, run)

    def test_the_time_of_a_start(self):
        """Each start ends after it with a checkpoint, and the run is the undisturbed one: its schedule knows nothing of that."""
        run, stops = self.folder / "starts", 0
        while True:
            done = subprocess.run(self.command("train", self.config, "--resume", *sets(train__output=run, train__stop_after_minutes=0.001), *COMMON), capture_output=True, text=True, timeout=60)
            if done.returncode == 0:
                break
            self.assertEqual(done.returncode, 75, done.stderr)
            self.assertIn(f"stopped by train.stop_after_minutes after step {max(losses(run))}; a checkpoint is written", done.stderr)
            stops += 1
        self.assertGreater(stops, 0)
        self.assert_same_run(self.undisturbed, run)

    def test_stopped_while_it_measures(self):
        """Nearly all of such a run is held-out samples: it ends after the batch that is measured, and the measurement is made again."""
        measured = sets(train__eval_every=1, train__steps=30, eval__batch_size=1)
        whole = self.folder / "measured"
        self.train(whole, *COMMON, *measured)
        run, step = self.folder / "measured_and_stopped", 0
        for number in [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT]:
            process = self.start("train", self.config, "--resume", *sets(train__output=run), *COMMON, *measured)
            self.wait_for_step(run, step + 2, process)
            process.send_signal(number)
            _, text = process.communicate(timeout=60)
            self.assertEqual(process.returncode, 75, text)
            step = max(losses(run))
            self.assertEqual(checkpoints(run)[0], f"step_{step}")
        self.train(run, "--resume", *COMMON, *measured)
        self.assert_same_run(whole, run)
        held = [[(r["step"], r["eval/held/loss"]) for r in records(path / "metrics.jsonl") if "eval/held/loss" in r] for path in (whole, run)]
        self.assertEqual(*held)

    def start_slow(self, run, *args):
        """A run whose checkpoints take long, as each flush of a file does."""
        env = {**os.environ, "LD_PRELOAD": os.environ["FAULT_SHIM"], "FAULT_BELOW": str(run), "FAULT_SYNC": "100"}
        return self.start("train", self.config, "--resume", *COMMON, *sets(train__output=run, train__checkpoint_every=5, train__keep_checkpoints=100), *args, env=env)

    def wait_for_write(self, run, step, process):
        """Until the checkpoint of `step` is begun."""
        end = time.monotonic() + 60
        while not list((run / "checkpoints").glob(f".tmp-step_{step}-*")):
            self.assertIsNone(process.poll(), "the run has ended")
            self.assertLess(time.monotonic(), end, "the run does not get on")
            time.sleep(0.001)
        self.assertNotIn(f"step_{step}", checkpoints(run), "it is not written yet")

    def assert_loads(self, run, name):
        self.call("generate", self.config, "What is this?", "--checkpoint", run / "checkpoints" / name, *sets(generate__max_tokens=2))

    def test_stopped_while_a_checkpoint_is_written(self):
        """It is written to its end, and so is the one of the step at which the run stops."""
        for number in [signal.SIGTERM, signal.SIGUSR1]:
            with self.subTest(number.name):
                run = self.folder / f"writing_{number.name}"
                process = self.start_slow(run)
                self.wait_for_write(run, 5, process)
                process.send_signal(number)
                _, text = process.communicate(timeout=60)
                self.assertEqual(process.returncode, 75, text)
                self.assertIn("--resume", text)
                last = max(losses(run))
                self.assertEqual(checkpoints(run), [f"step_{step}" for step in sorted({5, last}, reverse=True)])
                self.assertEqual([path.name for path in run.rglob("*") if ".tmp" in path.name], [])
                for name in checkpoints(run):
                    self.assert_loads(run, name)
                self.train(run, "--resume", *COMMON)
                self.assert_same_run(self.undisturbed, run)

    def test_stopped_while_the_last_checkpoint_is_written(self):
        """The run was at its end already."""
        run = self.folder / "writing_last"
        process = self.start_slow(run, *sets(train__steps=5))
        self.wait_for_write(run, 5, process)
        process.send_signal(signal.SIGTERM)
        _, text = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 0, text)
        self.assertEqual(checkpoints(run), ["step_5"])
        self.assert_loads(run, "step_5")

    def test_second_signal_while_a_checkpoint_is_written(self):
        """It is given up: what is half written is never chosen and does not stay."""
        run = self.folder / "writing_twice"
        process = self.start_slow(run)
        self.wait_for_write(run, 5, process)
        for number in [signal.SIGSTOP, signal.SIGTERM, signal.SIGUSR1, signal.SIGCONT]:
            process.send_signal(number)
        process.communicate(timeout=60)
        self.assertIn(process.returncode, [128 + signal.SIGTERM, 128 + signal.SIGUSR1])
        self.assertEqual(checkpoints(run), [])
        self.train(run, "--resume", *COMMON)
        self.assert_same_run(self.undisturbed, run)
        self.assertEqual([path.name for path in run.rglob("*") if ".tmp" in path.name], [])

    def test_second_signal_ends_at_once(self):
        run = self.folder / "twice"
        process = self.start_run(run)
        self.wait_for_step(run, 3, process)
        for number in [signal.SIGSTOP, signal.SIGINT, signal.SIGTERM, signal.SIGCONT]:
            process.send_signal(number)  # stopped, so that both signals wait when it goes on
        process.communicate(timeout=60)
        self.assertIn(process.returncode, [128 + signal.SIGINT, 128 + signal.SIGTERM])
        self.assertEqual(checkpoints(run) if (run / "checkpoints").exists() else [], [], "nothing more was written")
        self.train(run, "--resume", *COMMON)
        self.assert_same_run(self.undisturbed, run)


if __name__ == "__main__":
    main()
