"""Texts of manifests, templates, file names and arguments cannot steer a terminal, forge a line or flood the screen."""

import json
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

from harness import Case, main, records, sets

LONG = "a" * 100_000
# C0 and C1 controls but line ends and tabs, and what turns the direction of writing.
STEERING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def image(path, role="user", **extra):
    question = {"role": role, "content": [{"type": "image", "image": path}, {"type": "text", "text": "What is it?"}]}
    return {"messages": [question, {"role": "assistant", "content": "red"}], **extra}


ODD = [
    image("\x1b[31mevil\a\u202egnp.png"),
    image("a\nerror: forged.png"),
    image(LONG + ".png"),
    image("train_0.png", role="\x1b]0;title\a\nerror: forged"),
    image("train_0.png", role="r" * 1_000_000),
    image("nowhere.png", id="\x1b[2J\nerror: forged" + LONG),
    {"messages": [{"role": "user", "content": [{"type": "\x9b31m\nerror: forged" + LONG}]}]},
]


class HostileText(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        data = cls.folder / "data"
        cls.odd, cls.mixed = data / "odd.jsonl", data / "mixed.jsonl"
        cls.odd.write_text("".join(json.dumps(line) + "\n" for line in ODD))
        cls.mixed.write_text((data / "train.jsonl").read_text() + cls.odd.read_text())

    def assert_clean(self, text, letters=4000):
        self.assertNotRegex(text, STEERING)
        for line in text.splitlines():
            self.assertLess(len(line), letters)
            self.assertFalse(line.startswith("error: forged"), line)

    def use(self, path):
        config = self.folder / "mixed.toml"
        config.write_text(self.config.read_text().replace("data/train.jsonl", f"data/{path.name}"))
        return config

    def test_data_check(self):
        done = self.call("data", "check", self.odd, code=3)
        self.assert_clean(done.stdout, letters=700)
        self.assert_clean(done.stderr)
        self.assertIn("evil\\x07\\u{202e}gnp.png", done.stdout)
        self.assertIn(" letters left out)", done.stdout)
        found = json.loads(self.call("data", "check", self.odd, "--json", code=3).stdout)
        self.assertEqual(found["bad"], len(ODD))
        self.assertLess(len(json.dumps(found)), 20_000)

    def test_names(self):
        """They become names of files, and stand in tables."""
        config, text = self.folder / "named.toml", self.config.read_text()
        unreadable, no_file = ("\x1b[31mred", "a\nerror: forged", "\u202egnp", "n" * 300), ("../../evil", "/evil", ".hidden")
        for name in (*unreadable, *no_file):
            streams = text.replace("[model.streams.image]", f"[model.streams.{json.dumps(name)}]")
            sets = text + f"[data.eval.{json.dumps(name)}]\nenabled = false\n"
            self.assertNotEqual(streams, text)
            for said in (streams, sets) if name in unreadable else (streams,):
                config.write_text(said)
                done = self.call("validate", config, code=2)
                self.assertRegex(done.stderr, "cannot be a (name in|stream's name)")
                self.assert_clean(done.stdout + done.stderr)
        odd = self.folder / "x\n[train]\nsteps = 7\n#"
        odd.symlink_to(self.folder / "models" / "llama")
        self.assertNotIn("\n[train]", self.call("compose", odd).stdout)

    def test_data_show(self):
        done = self.call("data", "show", self.config, "--source", self.odd, "--count", len(ODD), code=3)
        self.assert_clean(done.stdout + done.stderr, letters=700)
        self.assertIn("evil\\x07", done.stderr)

    def test_training(self):
        run = self.folder / "run"
        allowed = sets(data__max_bad_fraction=0.9, train__tokens_per_batch=128, train__steps=8)
        done = self.train(run, *allowed, config=self.use(self.mixed))
        self.assert_clean(done.stderr, letters=700)
        listed = records(run / "bad_samples.jsonl")
        self.assertEqual(len(listed), len(ODD))
        for record in listed:
            self.assert_clean(record["reason"], letters=700)
            self.assert_clean(record["id"], letters=201)
            self.assertLess(len(json.dumps(record)), 2000)

    def test_a_template_that_refuses(self):
        template = self.folder / "refuses.jinja"
        for words in ["'\x1b[31mred'", "'\x1b]0;x\a' + 'error: forged' * 80000"]:
            template.write_text("{{ raise_exception(" + words + ") }}")
            done = self.call("data", "show", self.config, "--set", f"model.llm.chat_template={template}", code=3)
            self.assert_clean(done.stdout + done.stderr, letters=800)
            self.assertIn("\\x1b", done.stderr)

    def test_arguments(self):
        name = "no\x1b[31m\nerror: forged\u202e"
        for code, verb, *rest in [(2, "validate"), (2, "data", "check"), (5, "inspect"), (2, "generate")]:
            self.assert_clean(self.call(verb, *rest, name, code=code).stderr)
        self.assert_clean(self.call("validate", self.config, "--set", name + "=1", code=2).stderr)
        self.assert_clean(self.call("validate", self.config, "--set", f"objective.plugin={name}", code=5).stderr)


if __name__ == "__main__":
    main()
