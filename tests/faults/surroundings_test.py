"""What stands around a process changes no result: no HOME, temporary files that cannot be written, a working folder that cannot, time zones, a locale with a
comma in its numbers, a folder whose name is not UTF-8."""
import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))
from harness import Case, losses, main, sets

TRAIN = sets(train__steps=3, train__accumulate=1, train__tokens_per_batch=96, precision__compute="fp32", train__checkpoint_every=3)


def german(folder):
    """The folder of a locale with a comma in its numbers; nothing if the C library's sources are not there."""
    made = subprocess.run(["localedef", "-i", "de_DE", "-f", "UTF-8", folder / "de_DE.UTF-8"], capture_output=True)
    return {"LOCPATH": str(folder), "LC_ALL": "de_DE.UTF-8"} if (folder / "de_DE.UTF-8").exists() and made.returncode in (0, 1) else None


class Surroundings(Case):
    def results(self, name, cwd=None, **env):
        """Losses and state of a run, what a check of data says as JSON, and an answer."""
        kept = {key: value for key, value in {**os.environ, **env}.items() if value is not None}
        run = self.folder / f"run_{name}"
        self.train(run, *TRAIN, cwd=cwd, env=kept)
        checked = self.call("data", "check", self.config, "--json", cwd=cwd, env=kept).stdout
        answer = self.call("generate", self.config, "What is this?", *sets(generate__max_tokens=8), "--checkpoint", run, cwd=cwd, env=kept).stdout
        return losses(run), json.loads(checked), answer

    def test_nothing_around_it_changes_results(self):
        plain = self.results("plain")
        closed = self.folder / "closed"
        closed.mkdir(0o500)
        odd = Path(os.fsdecode(os.fsencode(self.folder) + b"/\xff\xfe"))
        odd.mkdir()
        cases = {"no home": dict(HOME=None), "no such home": dict(HOME="/nowhere"), "temporary files": dict(TMPDIR="/nowhere"), "closed folder": dict(cwd=closed), "folder of odd letters": dict(cwd=odd),
                 "summer": dict(TZ="Europe/Berlin"), "a day ahead": dict(TZ="Pacific/Kiritimati"), "no such zone": dict(TZ="No/Where"), "C": dict(LC_ALL="C", LANG="C"), "no such locale": dict(LC_ALL="xx_YY.UTF-8")}
        comma = german(Path(self.enterContext(tempfile.TemporaryDirectory())))
        for name, given in {**cases, **({"comma": comma} if comma else {})}.items():
            with self.subTest(name):
                self.assertEqual(self.results(name.replace(" ", "_"), **given), plain)
        if not comma:
            print("not tested: a locale with a comma, whose sources the C library has not here", flush=True)


if __name__ == "__main__":
    main()
