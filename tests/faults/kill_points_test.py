"""A run that is killed, or whose calls fail, at any of its calls on files: what is resumed is the undisturbed run, and
nothing is left. A few points; all of them with ANTIPHON_LONG=1."""

import os
import random
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

from harness import PROGRAM, Case, checkpoint_state, losses, main, sets

SHIM = os.environ["FAULT_SHIM"]
LONG = bool(os.environ.get("ANTIPHON_LONG"))
COMMON = sets(train__steps=6, train__tokens_per_batch=96, train__checkpoint_every=2, train__keep_checkpoints=2)


class KillPoints(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.undisturbed = cls.folder / "undisturbed"
        case = cls()
        done, cls.calls = case.disturbed(cls.undisturbed)
        case.assertEqual(done.returncode, 0, done.stderr)
        case.assertGreater(cls.calls, 60, "the calls are seen")

    def runTest(self):
        pass

    def disturbed(self, run, **faults):
        """Trains with calls that fail; returns how it ended and how many calls there were."""
        report = self.folder / "calls"
        report.unlink(missing_ok=True)
        names = {f"FAULT_{key.upper()}": str(value) for key, value in faults.items()}
        env = {**os.environ, "LD_PRELOAD": SHIM, "FAULT_BELOW": str(run), "FAULT_REPORT": str(report), **names}
        words = [PROGRAM, "train", self.config, "--resume", "--threads", "1", *sets(train__output=run), *COMMON]
        done = subprocess.run(list(map(str, words)), env=env, capture_output=True, text=True, timeout=60)
        return done, int(report.read_text()) if report.exists() else 0

    def points(self, few, many=None):
        """Calls at which something happens: spread evenly with a random start in each part, or all."""
        count = min(few, self.calls) if not LONG else min(many or self.calls, self.calls)
        chance, part = random.Random(count), self.calls / count
        return [int(i * part + chance.random() * part) + 1 for i in range(count)]

    def assert_resumes(self, run, every_step=True):
        self.train(run, "--resume", *COMMON)
        self.assertEqual(checkpoint_state(run), checkpoint_state(self.undisturbed))
        expected, got = losses(self.undisturbed), losses(run)
        self.assertEqual(got, {step: expected[step] for step in (expected if every_step else got)})
        self.assertEqual([str(p) for p in run.rglob("*") if ".tmp" in p.name], [])
        if not every_step:
            return  # nor need the same older checkpoints be there
        kept = sorted(p.relative_to(run) for p in run.rglob("*.safetensors"))
        self.assertEqual(kept, sorted(p.relative_to(self.undisturbed) for p in self.undisturbed.rglob("*.safetensors")))

    def test_killed(self):
        for k in [*self.points(few=10), self.calls - 3]:  # also while the old checkpoints of the end are removed
            with self.subTest(call=k):
                run = self.folder / f"killed_at_{k}"
                done, calls = self.disturbed(run, mode="kill", at=k)
                ended = done.returncode == 0 and calls < k and k > self.calls - 3  # a run may have a few calls less
                self.assertTrue(ended or done.returncode == -9, f"exit code {done.returncode} after {calls} calls")
                self.assert_resumes(run)

    def test_a_call_that_fails(self):
        for number, k in enumerate(self.points(few=8, many=46)):
            mode = ["EIO", "ENOSPC"][number % 2]
            with self.subTest(call=k, mode=mode):
                run = self.folder / f"fails_{k}"
                done, _ = self.disturbed(run, mode=mode, at=k)
                self.assertIn(done.returncode, [0, 2, 3, 4], done.stderr)
                self.assertNotIn("internal error", done.stderr)
                self.assert_resumes(run, every_step=False)  # a record that could not be written is lost

    def test_interrupted_calls_are_done_again(self):
        for k in self.points(few=4, many=30):
            with self.subTest(call=k):
                run = self.folder / f"interrupted_{k}"
                done, _ = self.disturbed(run, mode="EINTR", at=k)
                self.assertIn(done.returncode, [0, 2, 3, 4], done.stderr)
                self.assertNotIn("internal error", done.stderr)
                self.assert_resumes(run, every_step=False)

    def test_a_disk_that_is_full_from_a_call_on(self):
        for k in self.points(few=6, many=64):
            with self.subTest(call=k):
                run = self.folder / f"full_{k}"
                done, _ = self.disturbed(run, mode="ENOSPC+", at=k)
                self.assertIn(done.returncode, [0, 2, 4], done.stderr)
                if done.returncode:
                    self.assertIn("No space left on device", done.stderr)
                self.assertEqual([str(p) for p in run.rglob("*") if ".tmp" in p.name], [], "what could not be finished is removed at once")
                self.assert_resumes(run, every_step=False)

    def test_an_old_checkpoint_that_cannot_be_removed(self):
        run = self.folder / "unremovable"
        done, removals = self.disturbed(run, call="unlinkat", mode="EIO", at=1)
        self.assertGreater(removals, 0)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stderr, "warning: the old checkpoint .*step_2 could not be removed: Input/output error")
        self.assertNotIn("no checkpoint could be written", done.stderr)
        self.assertEqual(checkpoint_state(run), checkpoint_state(self.undisturbed))


if __name__ == "__main__":
    main()
