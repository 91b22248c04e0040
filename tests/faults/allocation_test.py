"""No memory for the k-th `new` while configuration, tokenizer, templates and records are read: the command says so with its exit code, or has done all that it
was asked for. It never ends by a signal, and never takes a file for malformed. With ANTIPHON_LONG=1 many more places."""

import os
import random
import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

from harness import LIMIT, Case, main
import make_tiny

SHIM = os.environ.get("NEW_SHIM", "")
PLACES = 500 if os.environ.get("ANTIPHON_LONG") else 24
OUT_OF_MEMORY = 7


@unittest.skipUnless(SHIM, "without the library that lets new fail")
class Allocations(Case):
    TRAIN, HELD = 4, 2

    def run_at(self, words, k, **more):
        env = {**os.environ, "LD_PRELOAD": SHIM, "FAULT_BELOW": str(self.folder), "FAULT_AT": str(k), **more}
        return subprocess.run(self.command(*words, threads=None), capture_output=True, text=True, timeout=LIMIT, env=env)

    def check_all(self, name, *words):
        report, chance = self.folder / f"{name}.count", random.Random(9)
        whole = self.run_at(words, 0, FAULT_REPORT=str(report))
        self.assertEqual(whole.returncode, 0, whole.stderr[-2000:])
        count = int(report.read_text())
        self.assertGreater(count, 1000)
        codes = {}
        for k in sorted({1, 2, 3, count - 1, *(int(count ** chance.random()) for _ in range(PLACES // 3)), *(chance.randrange(1, count) for _ in range(PLACES - PLACES // 3))}):
            with self.subTest(f"{name}: {k} of {count}"):
                done = self.run_at(words, k)
                self.assertIn(done.returncode, (0, OUT_OF_MEMORY), done.stderr[-2000:])
                if done.returncode == 0:
                    self.assertEqual(done.stdout, whole.stdout)
                else:
                    self.assertIn("out of memory", done.stderr)
                codes[done.returncode] = codes.get(done.returncode, 0) + 1
        self.assertGreater(codes.get(OUT_OF_MEMORY, 0), PLACES // 2, codes)

    def test_configuration(self):
        self.check_all("validate", "validate", self.config)

    def test_records_and_tokens(self):
        self.check_all("show", "data", "show", self.config, "--count", 2, "--tokens")

    def test_a_whole_model(self):
        make_tiny.write_llava(self.folder / "models" / "llava")
        self.check_all("compose", "compose", self.folder / "models" / "llava")


if __name__ == "__main__":
    main()
