"""Drives the program in tests: runs, run folders, what they hold."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parents[1] / "fork_server")]
import make_tiny
import forked

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = os.environ.get("ANTIPHON", str(ROOT / "build" / "bin" / "antiphon"))
DEVICE = os.environ.get("ANTIPHON_TEST_DEVICE", "").removeprefix("cpu")  # "": the CPU
ON_CPU = unittest.skipIf(DEVICE, "for a CPU")
LONG = bool(os.environ.get("ANTIPHON_LONG"))  # ./dev test --long
LIMIT = 60  # seconds that one command may take; a hang is a failure


def sets(**values):
    """--set options; `train__steps=3` stands for train.steps=3."""
    return [word for key, value in values.items() for word in ("--set", f"{key.replace('__', '.')}={value}")]


def records(path):
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def subcommands(*words):
    """Of the program, or of one of its commands."""
    text = subprocess.run([PROGRAM, *words, "--help"], capture_output=True, text=True, check=True).stdout
    return re.findall(r"(?m)^  ([a-z]+) {2,}", text[text.lower().index("subcommands:") :])


def losses(run):
    """Of each step; what is measured later has a record of its own."""
    return {r["step"]: r["train/loss"] for r in records(Path(run) / "metrics.jsonl") if "train/loss" in r}


def children(process):
    """Their ids, oldest first."""
    return [int(word) for word in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


def checkpoints(run):
    """Names of the checkpoints, newest first."""
    folders = [p.name for p in (Path(run) / "checkpoints").glob("step_*") if p.name[5:].isdigit()]
    return sorted(folders, key=lambda name: -int(name[5:]))


def checkpoint_state(run):
    """Everything of the newest checkpoint that resuming reads, but the time that it took."""
    folder = Path(run) / "checkpoints" / checkpoints(run)[0]
    progress = json.loads((folder / "progress.json").read_text())
    del progress["clock"]
    digests = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("*.safetensors")}
    return {"name": folder.name, "progress": progress, **digests}


class Case(unittest.TestCase):
    """One folder a class with the tiny fixture: cls.folder, cls.config."""

    TRAIN, HELD = 24, 12
    FORKED = True  # commands that run to their end find their libraries loaded; False if their memory is measured

    @classmethod
    def setUpClass(cls):
        cls.folder = Path(tempfile.mkdtemp(prefix="antiphon-test-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        cls.config = make_tiny.write_all(cls.folder, cls.TRAIN, cls.HELD)

    def command(self, verb, *args, threads=1):
        nothing = threads is None or verb in ("validate", "compose", "inspect", "export") or (verb, *args[:1]) == ("data", "show")  # these compute nothing
        limit = [] if nothing else ["--threads", str(threads)]
        device = ["--device", DEVICE] if DEVICE and verb in ("train", "launch", "eval", "generate", "chat") else []
        return [PROGRAM, verb, *map(str, args), *limit, *device]

    def start(self, verb, *args, **options):
        process = subprocess.Popen(self.command(verb, *args), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)
        self.addCleanup(lambda: (process.kill(), process.communicate()))
        return process

    def call(self, verb, *args, code=0, threads=1, **options):
        """Runs a command to its end, which must be of this exit code. What a test exports may be there from before."""
        args = (*args, "--replace") if verb == "export" and code == 0 else args
        words = self.command(verb, *args, threads=threads)
        done = forked.run(*words, anew=not self.FORKED or words[0] != PROGRAM, timeout=LIMIT, **options)
        self.assertEqual(done.returncode, code, f"{verb} {args}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
        if code:
            self.assertIn("error", done.stderr)
            self.assertNotIn("internal error", done.stderr)
        return done

    def train(self, run, *args, code=0, config=None, **options):
        return self.call("train", config or self.config, "--set", f"train.output={run}", *args, code=code, **options)

    def wait_for_step(self, run, step, process):
        """Until the run's metrics hold `step`, or the process has ended."""
        path, end = Path(run) / "metrics.jsonl", time.monotonic() + LIMIT
        while process.poll() is None:
            if path.exists() and any(f'"step":{step},' in line for line in path.read_text().splitlines()):
                return
            self.assertLess(time.monotonic(), end, "the run does not get on")
            time.sleep(0.002)

    def assert_same_run(self, left, right):
        """Bit for bit: parameters, optimizer, random generators, data position, and the loss of every step."""
        self.assertEqual(losses(left), losses(right))
        self.assertEqual(checkpoint_state(left), checkpoint_state(right))


def main():
    unittest.main(verbosity=2)
