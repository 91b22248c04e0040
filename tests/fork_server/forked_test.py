"""Commands that a fork server starts are like those that start anew."""

import os
import resource
import signal
import subprocess
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

from harness import LIMIT, PROGRAM, Case, checkpoints, children, main, sets
import forked

ENDLESS = sets(train__steps=10**6, train__tokens_per_batch=96)


@unittest.skipIf(forked.forked(PROGRAM) == PROGRAM, "FORKED=0, or no socket")
class Forked(Case):
    def setUp(self):
        self.program = forked.forked(PROGRAM)
        self.server = forked.server
        self.assertEqual(children(self.server), [])

    def begin(self, name, **options):
        """A training that goes on until it is ended, and the server's children meanwhile."""
        run = self.folder / name
        words = self.command("train", self.config, *ENDLESS, *sets(train__output=run))[1:]
        process = subprocess.Popen([self.program, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)
        self.addCleanup(lambda: (process.kill(), process.communicate()))
        self.wait_for_step(run, 3, process)
        self.assertIsNone(process.poll())
        return process, children(self.server)

    def gone(self):
        end = time.monotonic() + LIMIT
        while children(self.server):
            self.assertLess(time.monotonic(), end)
            time.sleep(0.01)

    def test_says_the_same_and_ends_alike(self):
        (self.folder / "wrong.toml").write_text("[model.lml]\n")
        for words in [["inspect", "lora"], ["validate", "wrong.toml"], ["data", "show", "tiny.toml"], ["nothing"]]:
            one, other = [subprocess.run([program, *words], cwd=self.folder, stdin=subprocess.DEVNULL, capture_output=True, text=True) for program in (PROGRAM, self.program)]
            self.assertEqual((one.returncode, one.stdout, one.stderr), (other.returncode, other.stdout, other.stderr))

    def test_files_and_working_directory(self):
        with open(self.folder / "out", "w+") as out:
            out.write("before\n")
            out.flush()
            subprocess.run([self.program, "inspect", "lora"], cwd="/", stdin=subprocess.DEVNULL, stdout=out, check=True)
            out.seek(0)
            self.assertTrue(out.read().startswith("before\npeft lora"))
        self.call("launch", self.config, "--procs", 2, *sets(train__output="told", train__steps=2, train__accumulate=2, train__tokens_per_batch=96), cwd=self.folder)
        self.assertTrue(checkpoints(self.folder / "told"))

    def test_signals_are_passed_on(self):
        process, forks = self.begin("stopped")
        self.assertEqual(len(forks), 1)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=LIMIT)
        self.assertEqual(process.returncode, 75)
        self.assertTrue(checkpoints(self.folder / "stopped"))

    def test_a_client_that_is_killed_takes_its_process_with_it(self):
        process, forks = self.begin("killed")
        process.kill()
        process.communicate()
        self.gone()
        self.assertEqual(len(forks), 1)

    def test_the_end_by_a_signal_is_the_client_s(self):
        process, forks = self.begin("ended")
        os.kill(forks[0], signal.SIGKILL)
        process.communicate(timeout=LIMIT)
        self.assertEqual(process.returncode, -signal.SIGKILL)

    def test_what_differs_is_started_anew(self):
        few = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (512, 512))
        for name, options in {"variable": {"env": {**os.environ, "OMP_NUM_THREADS": "7"}}, "unknown": {"env": {**os.environ, "SOMETHING": "1"}}, "limit": {"preexec_fn": few},
                              "processors": {"preexec_fn": lambda: os.sched_setaffinity(0, {0})}, "session": {"start_new_session": True}}.items():
            with self.subTest(name):
                process, forks = self.begin(name, **options)
                self.assertEqual(forks, [])
                process.kill()
                process.communicate()

    def test_several_at_once(self):
        started = [self.begin(f"at_once_{i}")[0] for i in range(3)]
        self.assertEqual(len(children(self.server)), 3)
        for process in started:
            process.terminate()
            process.communicate(timeout=LIMIT)
            self.assertEqual(process.returncode, 75)


main()
