"""Damaged checkpoints are never chosen, and never stand in the way of the next ones. Of random damages there are a few; 200 with ANTIPHON_LONG
(`./dev test --long`)."""

import json
import os
import random
import re
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

from harness import Case, checkpoints, main, sets

CONSTANT = sets(train__schedule__name="constant", train__tokens_per_batch=96, train__checkpoint_every=4, train__keep_checkpoints=3)


def flip(path, share):
    data = bytearray(path.read_bytes())
    data[int(share * (len(data) - 1))] ^= 0x10
    path.write_bytes(data)


def edit_progress(checkpoint, call, **changes):
    """Another progress.json under a manifest that agrees; the right digest is read off the program's refusal."""
    path = checkpoint / "progress.json"
    progress = json.loads(path.read_text())
    for key, value in changes.items():
        *outer, last = key.split("__")
        table = progress
        for word in outer:
            table = table[int(word) if word.isdigit() else word]
        if value is None:
            del table[last]
        else:
            table[last] = value
    path.write_text(json.dumps(progress))
    text = call("generate", "hello", checkpoint).stderr
    manifest = json.loads((checkpoint / "manifest.json").read_text())
    manifest["progress.json"] = json.loads(re.search(r"progress.json is damaged.*the file is (\{[^}]*\})", text).group(1))
    (checkpoint / "manifest.json").write_text(json.dumps(manifest))


def truncate(path, share):
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])


DAMAGES = {
    "parameters cut short": lambda c: truncate(c / "parameters.safetensors", 0.7),
    "parameters empty": lambda c: truncate(c / "parameters.safetensors", 0),
    "byte of a parameter": lambda c: flip(c / "parameters.safetensors", 0.9),
    "byte of the header": lambda c: flip(c / "parameters.safetensors", 0.01),
    "byte of the optimizer": lambda c: flip(c / "state.safetensors", 0.8),
    "byte of the progress": lambda c: flip(c / "progress.json", 0.5),
    "no parameters": lambda c: (c / "parameters.safetensors").unlink(),
    "no optimizer": lambda c: (c / "state.safetensors").unlink(),
    "no manifest": lambda c: (c / "manifest.json").unlink(),
    "manifest cut short": lambda c: truncate(c / "manifest.json", 0.5),
    "manifest of another kind": lambda c: (c / "manifest.json").write_text('{"parameters.safetensors": 3, "state.safetensors": [], "progress.json": "x"}'),
    "manifest with text for numbers": lambda c: (c / "manifest.json").write_text(json.dumps({n: {"bytes": "1", "xxh3": 2} for n in ["parameters.safetensors", "state.safetensors", "progress.json"]})),
    "manifest a link to itself": lambda c: ((c / "manifest.json").unlink(), (c / "manifest.json").symlink_to("manifest.json")),
    "manifest nested deep": lambda c: (c / "manifest.json").write_text('{"a":' * 100_000),
    "manifest of 3 MB": lambda c: (c / "manifest.json").write_text((c / "manifest.json").read_text() + " " * 3_000_000),
    "manifest a list": lambda c: (c / "manifest.json").write_text("[]"),
}


def damage_at_random(checkpoint, chance):
    """One to three files of a checkpoint, each in some way; returns what was done."""
    done = []
    for path in chance.sample(sorted(checkpoint.iterdir()), chance.randint(1, 3)):
        data = bytearray(path.read_bytes())
        at = chance.randrange(len(data))
        kind = chance.choice(["flip", "cut", "more", "zeros", "swap", "remove"])
        if kind == "flip":
            data[at] ^= 1 << chance.randrange(8)
        elif kind == "cut":
            del data[at:]
        elif kind == "more":
            data[at:at] = bytes([data[at] ^ 1])
        elif kind == "zeros":
            data[at:at + 64] = bytes(len(data[at:at + 64]))
            data[at] ^= 1 if data[at] == path.read_bytes()[at] else 0  # zeros before
        elif kind == "swap":
            data[:1], data[-1:] = bytes([data[-1] ^ 1]), data[:1]
        path.unlink()
        if kind != "remove":
            path.write_bytes(data)
        done.append((path.name, kind, at))
    return done


class Checkpoints(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.undisturbed, cls.base = cls.folder / "undisturbed", cls.folder / "base"
        case = cls()
        case.train(cls.undisturbed, *CONSTANT, *sets(train__steps=16))
        case.train(cls.base, *CONSTANT, *sets(train__steps=12))

    def runTest(self):
        pass

    def copy(self, name):
        run = self.folder / name.replace(" ", "_")
        shutil.copytree(self.base, run)
        return run

    def resume(self, run, **options):
        return self.train(run, "--resume", *CONSTANT, *sets(train__steps=16), **options)

    def test_a_good_one_is_taken(self):
        run = self.copy("good")
        self.assertIn("resumed at step 12", self.resume(run).stderr)
        self.assert_same_run(self.undisturbed, run)

    def test_damaged_ones_are_passed_over(self):
        for name, damage in DAMAGES.items():
            with self.subTest(name):
                run = self.copy(name)
                damage(run / "checkpoints" / "step_12")
                text = self.resume(run).stderr
                self.assertIn("passing over a damaged checkpoint", text)
                self.assertIn("step_12", text)
                self.assertIn("resumed at step 8", text)
                self.assert_same_run(self.undisturbed, run)
                self.assertEqual(checkpoints(run), ["step_16", "step_12", "step_8"], "the damaged one was written anew")

    def test_random_damages_are_passed_over(self):
        chance = random.Random(77)
        for number in range(200 if os.environ.get("ANTIPHON_LONG") else 6):
            run = self.copy(f"random_{number}")
            done = damage_at_random(run / "checkpoints" / "step_12", chance)
            with self.subTest(number, done=done):
                text = self.resume(run).stderr
                self.assertIn("passing over a damaged checkpoint", text)
                self.assertIn("resumed at step 8", text)
                self.assert_same_run(self.undisturbed, run)
            shutil.rmtree(run)

    def test_a_link_to_itself_is_passed_over(self):
        run = self.copy("loop")
        (run / "checkpoints" / "step_9999").symlink_to("step_9999")
        for verb, *rest in [("eval", *sets(eval__generate="false")), ("generate", "What?", *sets(generate__max_tokens=1))]:
            self.assertIn("Too many levels of symbolic links", self.call(verb, run, *rest).stderr)
        text = self.resume(run).stderr
        self.assertIn("passing over a damaged checkpoint", text)
        self.assertIn("resumed at step 12", text)
        self.assert_same_run(self.undisturbed, run)

    def test_a_file_in_the_place_of_a_checkpoint(self):
        run = self.copy("file")
        (run / "checkpoints" / "step_16").write_text("a file")
        self.resume(run)
        self.assert_same_run(self.undisturbed, run)

    def test_progress_of_another_shape(self):
        refuse = lambda verb, prompt, checkpoint: self.call(verb, self.config, prompt, "--checkpoint", checkpoint, code=4)
        odd = [("step", "9"), ("step", 2**63), ("step", -3), ("step", 1e9), ("step", None), ("loader", None), ("loader", []), ("loader__rows__0__drawn", ["x"]), ("loader__rows__0__drawn", [-1]),
               ("loader__rows__0__drawn", [10**18]), ("loader__rows__0__good", -1), ("loader__rows", []), ("loader__rows", 3), ("trained_tokens", 2**60), ("clock", 3), ("clock__elapsed", "long"), ("clock__elapsed", -1), ("clock__planned_steps", 2**40), ("loss_average", None), ("not_finite", 0.5), ("data", 7)]
        for number, (key, value) in enumerate(odd):
            with self.subTest(key=key, value=value):
                run = self.copy(f"progress_{number}")
                edit_progress(run / "checkpoints" / "step_12", refuse, **{key: value})
                text = self.resume(run, code=4).stderr
                self.assertIn("progress.json: ", text)
                self.assertIn(key.rpartition("__")[2], text)

    def test_leftovers(self):
        run = self.copy("leftovers")
        folder = run / "checkpoints"
        shutil.copytree(folder / "step_12", folder / ".tmp-step_13-99")
        (folder / "step_99").mkdir()  # a future that is not complete
        (folder / "step_x").mkdir()
        (folder / "step_14").write_text("a file")
        for kept in ["kept", "best"]:  # hard links, which would keep an old checkpoint's bytes
            shutil.copytree(folder / "step_12", run / kept / ".tmp-step_12")
        for name in ["config.toml.tmp-1-0", "adapter/a.tmp-1-0", "adapters/x/a.tmp-1-0"]:
            (run / name).parent.mkdir(parents=True, exist_ok=True)
            (run / name).write_text("half")
        self.assertIn("resumed at step 12", self.resume(run).stderr)
        self.assert_same_run(self.undisturbed, run)
        self.assertEqual([str(path) for path in run.rglob("*") if ".tmp-" in path.name], [])
        self.assertTrue((folder / "step_99.damaged").is_dir())

    def test_newer_damaged_ones_do_not_push_out_good_ones(self):
        run = self.copy("newer")
        for step in [12, 8]:
            truncate(run / "checkpoints" / f"step_{step}" / "state.safetensors", 0.5)
        self.train(run, "--resume", *CONSTANT, *sets(train__steps=5, train__keep_checkpoints=1))
        self.assertEqual(checkpoints(run), ["step_5"])

    def test_all_damaged(self):
        run = self.copy("all")
        for folder in (run / "checkpoints").iterdir():
            truncate(folder / "parameters.safetensors", 0.5)
        before = sorted(p.name for p in (run / "checkpoints").iterdir())
        self.assertIn("none of the checkpoints", self.resume(run, code=4).stderr)
        self.train(run, *CONSTANT, code=2)  # nor is the run overwritten without --resume
        self.assertEqual(sorted(p.name for p in (run / "checkpoints").iterdir()), before)
        self.assertIn("no complete checkpoint", self.call("eval", run, code=4).stderr)

    def test_named_damaged_checkpoint_is_an_error(self):
        run = self.copy("named")
        flip(run / "checkpoints" / "step_12" / "parameters.safetensors", 0.9)
        self.assertIn("damaged", self.call("eval", self.config, "--checkpoint", run / "checkpoints" / "step_12", code=4).stderr)


if __name__ == "__main__":
    main()
