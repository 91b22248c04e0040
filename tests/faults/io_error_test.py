"""A disk that fails: a read error is tried again; if it stays, it is named, no sample is blamed, and the run goes on later."""

import os
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

from harness import Case, checkpoints, main, sets

COMMON = sets(train__tokens_per_batch=128, train__checkpoint_every=1000, train__steps=20)

# Lets the first ANTIPHON_TEST_GOOD reads of files of that name pass, then the next ANTIPHON_TEST_BAD fail: with an error,
# or, if ANTIPHON_TEST_SHORT is set, as at the end of the file.
SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static int reads;
static int fails(int fd) {
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = 0;
  if (!strstr(path, getenv("ANTIPHON_TEST_NAME"))) return 0;
  int number = __atomic_fetch_add(&reads, 1, __ATOMIC_SEQ_CST), good = atoi(getenv("ANTIPHON_TEST_GOOD"));
  return number >= good && number < good + atoi(getenv("ANTIPHON_TEST_BAD"));
}
static ssize_t failure(void) {
  if (getenv("ANTIPHON_TEST_SHORT")) return 0;
  errno = EIO;
  return -1;
}
ssize_t read(int fd, void* to, size_t count) {
  static ssize_t (*real)(int, void*, size_t);
  if (!real) real = dlsym(RTLD_NEXT, "read");
  return fails(fd) ? failure() : real(fd, to, count);
}
ssize_t pread(int fd, void* to, size_t count, off_t offset) {
  static ssize_t (*real)(int, void*, size_t, off_t);
  if (!real) real = dlsym(RTLD_NEXT, "pread");
  return fails(fd) ? failure() : real(fd, to, count, offset);
}
"""


class IoErrors(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        (cls.folder / "shim.c").write_text(SHIM)
        subprocess.run(["cc", "-shared", "-fPIC", "-o", cls.folder / "shim.so", cls.folder / "shim.c", "-ldl"], check=True)

    def failing(self, good, bad, name="train_", **more):
        return os.environ | {"LD_PRELOAD": str(self.folder / "shim.so"), "ANTIPHON_TEST_NAME": name, "ANTIPHON_TEST_GOOD": str(good), "ANTIPHON_TEST_BAD": str(bad), **more}

    def test_what_passes_is_not_noticed(self):
        self.train(self.folder / "still", *COMMON)
        for name, more in {"shaken": {}, "cut": {"ANTIPHON_TEST_SHORT": "1"}}.items():
            self.train(self.folder / name, *COMMON, env=self.failing(5, 2, **more))
            self.assertEqual((self.folder / name / "bad_samples.jsonl").read_text(), "")
            self.assert_same_run(self.folder / "still", self.folder / name)

    def test_what_stays_ends_the_run_which_goes_on_later(self):
        self.train(self.folder / "whole", *COMMON)
        run = self.folder / "ended"
        text = self.train(run, *COMMON, code=75, env=self.failing(60, 10**6)).stderr
        for words in ["I/O error", "Input/output error", "4 attempts", "train_", "--resume"]:
            self.assertIn(words, text)
        self.assertEqual((run / "bad_samples.jsonl").read_text(), "")
        self.assertEqual(len(checkpoints(run)), 1, "the steps before are kept")
        self.train(run, *COMMON, "--resume")
        self.assert_same_run(self.folder / "whole", run)

    def test_records_are_no_worse(self):
        """What the records stand in is read piece by piece."""
        self.train(self.folder / "even", *COMMON)
        self.train(self.folder / "uneven", *COMMON, env=self.failing(40, 2, name="train.jsonl"))
        self.assert_same_run(self.folder / "even", self.folder / "uneven")
        run = self.folder / "gone"
        text = self.train(run, *COMMON, code=75, env=self.failing(60, 10**6, name="train.jsonl")).stderr
        self.assertIn("train.jsonl", text)
        self.assertEqual((run / "bad_samples.jsonl").read_text(), "")
        self.train(run, *COMMON, "--resume")
        self.assert_same_run(self.folder / "even", run)

    def test_a_file_that_changes(self):
        data = self.folder / "data" / "growing.jsonl"
        data.write_bytes((self.folder / "data" / "train.jsonl").read_bytes())
        run, source = self.folder / "growing", ["--set", f'data.train.sources=[{{path="{data}"}}]']
        process = self.start("train", self.config, "--set", f"train.output={run}", *source, *COMMON, *sets(train__steps=100000))
        self.wait_for_step(run, 2, process)
        with open(data, "a") as file:
            file.write(data.read_text().splitlines()[0] + "\n")
        text = process.communicate(timeout=60)[1]
        self.assertEqual(process.returncode, 75, text)
        self.assertIn("growing.jsonl was changed while it was read", text)
        self.assertEqual((run / "bad_samples.jsonl").read_text(), "")
        self.assertEqual(len(checkpoints(run)), 1, "the steps before are kept")

    def test_evaluation_and_checks_end_too(self):
        self.train(self.folder / "judged", *COMMON)
        for verb, files in [("eval", [self.folder / "judged"]), ("data", ["check", self.config])]:
            done = self.call(verb, *files, code=75, env=self.failing(0, 10**6, name=".png"))
            self.assertIn("I/O error", done.stderr)


main()
