"""Every command of README and docs: those in blocks run, one after the other, in a folder where tiny things have the names
that the text uses; of those within a sentence, the verb and every flag must be there."""
import functools
import os
import re
import shlex
import shutil
import subprocess
import unittest

from harness import PROGRAM, ROOT, Case, main
import make_tiny

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
RUN = {"README.md", "operator.md", "data.md"}  # the other pages' blocks are for plugins that are not built here, and for benchmarks


def blocks(page):
    """The `antiphon` lines of a page's sh blocks."""
    for block in re.findall(r"^```sh\n(.*?)^```", page.read_text(), flags=re.M | re.S):
        yield from (line for line in block.splitlines() if line.startswith("antiphon "))


def words_of(line):
    return shlex.split(line, comments=True)[1:]


class Commands(Case):
    TRAIN, HELD = 6, 3

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        text = cls.config.read_text().replace("steps = 40", "steps = 2").replace("max_tokens = 8", "max_tokens = 2").replace("resamples = 1000", "resamples = 100")
        recipes = cls.folder / "configs" / "recipes"
        recipes.mkdir(parents=True)
        (cls.folder / "model.toml").write_text(text.replace("[train]", '[train]\noutput = "runs/first"'))
        (recipes / "stamps.toml").write_text(text.replace("[train]", '[train]\noutput = "runs/stamps"'))
        make_tiny.write_llava(cls.folder / "llava-1.5-7b-hf")
        shutil.copy(next((cls.folder / "data").glob("*.png")), cls.folder / "cat.png")
        shutil.copy(next((cls.folder / "data").glob("*.wav")), cls.folder / "prompt.wav")
        make_tiny.write_set(cls.folder / "more.jsonl", 3, seed=8)

    def runTest(self):
        pass

    def test_blocks(self):
        done = 0
        for page in PAGES:
            if page.name not in RUN:
                continue
            for line in blocks(page):
                if "data show run " in line:
                    shutil.copytree(self.folder / "runs" / "stamps", self.folder / "run")
                with self.subTest(page=page.name, command=line):
                    call = subprocess.run([PROGRAM, *words_of(line)], cwd=self.folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, env={**os.environ, "OMP_NUM_THREADS": "1"})
                    self.assertEqual(call.returncode, 0, call.stderr[-2000:])
                done += 1
        self.assertGreater(done, 18)

    @functools.cache
    def help_of(self, *verb):
        call = subprocess.run([PROGRAM, *verb, "--help"], capture_output=True, text=True, timeout=60)
        self.assertEqual(call.returncode, 0, f"there is no command {verb}")
        return call.stdout

    def test_words(self):
        found = 0
        for page in [*PAGES, ROOT / "CONTRIBUTING.md"]:
            for text in re.findall(r"`(?:build/bin/)?antiphon ([a-z]+[^`]*)`", page.read_text()):
                words = text.split()
                verb = words[:2] if words[0] == "data" and len(words) > 1 else words[:1]
                known = self.help_of(*verb)
                for flag in (word.strip("[]()").split("=")[0] for word in words if word.startswith(("--", "[--"))):
                    with self.subTest(page=page.name, command=text):
                        self.assertRegex(known, rf"{re.escape(flag)}\b")
                found += 1
        self.assertGreater(found, 15)

    def test_named_files_are_there(self):
        for page in PAGES:
            for name in set(re.findall(r"`?((?:configs|tools|tests)/[\w./-]*\w\.(?:toml|py|sh))`?", page.read_text())):
                with self.subTest(page=page.name, file=name):
                    self.assertTrue((ROOT / name).exists())


if __name__ == "__main__":
    main()
