"""Verbs whose results have nowhere to go: one error with the path and the reason, before the work and not after it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

from harness import PROGRAM, Case, main, sets, subcommands

NOBODY = 65534
SILENT = {"chat", "validate", "plan", "compose", "inspect", "conformance", "doctor"}  # they print, or write what is asked for at once
ASIDE = {"fit"}  # into a temporary folder
SHOWN = {"data show", "data check"}
WORK = re.compile(r"(?m)^(model: |data: |step |trying )|samples")


class Unwritable(Case):
    TRAIN, HELD = 8, 4

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.held = cls.folder / "data" / "held.jsonl"
        cls.done = cls.folder / "done"
        command = [PROGRAM, "train", cls.config, "--threads", "1", *sets(train__output=cls.done, train__steps=1, train__tokens_per_batch=96)]
        subprocess.run(command, check=True, capture_output=True)

    def commands(self, place):
        """Each verb that writes, into a place."""
        run = sets(train__steps=1, train__tokens_per_batch=96, train__output=place / "run")
        return {
            "train": ["train", self.config, *run],
            "train --profile": ["train", self.config, "--profile", *run],
            "launch": ["launch", self.config, "--procs", 2, *run],
            "eval": ["eval", self.config, "--output", place / "eval"],
            "export": ["export", self.config, "--output", place / "model"],
            "export --format gguf": ["export", self.config, "--format", "gguf", "--output", place / "model.gguf"],
            "merge": ["merge", self.config, "--output", place / "model"],
            "report": ["report", self.done, "--output", place / "page.html"],
            "data convert": ["data", "convert", self.held, place / "out.jsonl"],
            "data convert to tar": ["data", "convert", self.held, place / "out.tar"],
            "data synthesize": ["data", "synthesize", self.held, place / "out.jsonl"],
        }

    def beside(self, place):
        """Those that write beside what they read, which lies in the place."""
        return {
            "data index": ["data", "index", place / "held.jsonl"],
            "data stats": ["data", "stats", place / "done"],
            "eval of a run": ["eval", place / "done"],
            "report of a run": ["report", place / "done"],
            "generate --profile": ["generate", place / "done", "hello", "--profile"],
        }

    def refused(self, words, place, reason, **options):
        done = subprocess.run([PROGRAM, *map(str, words)], capture_output=True, text=True, timeout=60, **options)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertRegex(done.stderr, rf"error: config error: cannot write {re.escape(str(place))}.*: {reason}")
        self.assertEqual(done.stdout, "")
        if words[0] != "generate":  # which looks when the model is there, before it answers
            self.assertNotRegex(done.stderr, WORK)
        if words[0] != "launch":
            self.assertEqual(done.stderr.count("config error: "), 1, done.stderr)

    def test_no_verb_is_forgotten(self):
        all_verbs = {*subcommands(), *(f"data {name}" for name in subcommands("data"))} - {"data"}
        writing = {*self.commands(self.folder), *self.beside(self.folder)}
        tried = {verb for verb in all_verbs if any(name == verb or name.startswith(verb + " ") for name in writing)}
        self.assertEqual(tried | SILENT | ASIDE | SHOWN, all_verbs)
        self.assertFalse(tried & (SILENT | ASIDE | SHOWN))

    def test_a_file_in_the_way(self):
        blocked = self.folder / "a_file"
        blocked.write_text("")
        for name, words in self.commands(blocked / "below").items():
            with self.subTest(name):
                self.refused(words, blocked / "below", "Not a directory")
        self.assertEqual(blocked.read_text(), "")

    def test_a_folder_in_the_place_of_a_file(self):
        for name in ["eval/results.json", "model.gguf", "page.html"]:
            (self.folder / "taken" / name).mkdir(parents=True)
        commands = self.commands(self.folder / "taken")
        for name in ["eval", "export --format gguf", "report"]:
            with self.subTest(name):
                self.refused(commands[name], self.folder / "taken", "Is a directory")

    def test_a_folder_that_may_only_be_read(self):
        place, options = self.folder / "only_read", {}
        if os.geteuid() == 0:  # who may write everywhere
            options = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
            for path in [self.folder, *self.folder.rglob("*")]:
                path.chmod(0o755 if path.is_dir() else 0o644)
            try:
                subprocess.run([PROGRAM, "inspect", "lora"], check=True, capture_output=True, **options)
            except (OSError, subprocess.CalledProcessError):
                self.skipTest("another user may not run this build")
        shutil.copytree(self.done, place / "done")
        shutil.copy(self.held, place)
        held = place / "held.jsonl"
        paths = [place, *place.rglob("*")]
        for path in paths:
            path.chmod(0o555 if path.is_dir() else 0o444)
        try:
            for name, words in {**self.commands(place), **self.beside(place)}.items():
                with self.subTest(name):
                    self.refused(words, place, "Permission denied", **options)
        finally:
            for path in paths:
                path.chmod(0o755)
        self.assertEqual(sorted(path.name for path in place.iterdir()), ["done", held.name])


if __name__ == "__main__":
    main()
