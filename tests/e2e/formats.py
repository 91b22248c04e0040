"""What tests of the records of docs/data.md share: the page's blocks, and a case that trains the tiny model on a file."""

import io
import json
import random
import re
import shutil
import tarfile

import make_tiny
from harness import ROOT, Case, checkpoints, losses, sets

PAGE = (ROOT / "docs" / "data.md").read_text()
# ChatML that shows tools, calls and results.
TEMPLATE = ("{% for tool in tools or [] %}{{ tool | tojson }}{% endfor %}{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' }}"
            "{{ message['content'] or '' }}{% for call in message.tool_calls or [] %}{{ call.function | tojson }}{% endfor %}{{ '<|im_end|>' + '\\n' }}"
            "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}")


def blocks(section):
    """The records of each json block below a heading of the page, or above the first ("")."""
    part = next(part for part in re.split(r"(?m)^## ", PAGE) if not section or part.startswith(section))
    return [list(objects(block)) for block in re.findall(r"(?ms)^```json\n(.*?)^```", part)]


def objects(text):
    at, decoder = 0, json.JSONDecoder()
    while text[at:].strip():
        at += len(text[at:]) - len(text[at:].lstrip())
        value, at = decoder.raw_decode(text, at)
        yield value


def write_tar(path, members, form=tarfile.PAX_FORMAT):
    with tarfile.open(path, "w", format=form) as out:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            out.addfile(info, io.BytesIO(content))


class Formats(Case):
    def compare_resumed(self, run, *settings):
        """Gone on with from the checkpoint before its last."""
        half = self.data / "half"
        shutil.copytree(run, half)
        shutil.rmtree(half / "checkpoints" / checkpoints(half)[0])
        self.train(half, "--resume", *settings, config=self.data / "tiny.toml")
        self.assert_same_run(half, run)

    def setUp(self):
        self.data = self.folder / self.id().rsplit(".", 1)[1]
        self.data.mkdir()
        noise = random.Random(3)
        for name in ["cat.png", "dog.png"]:
            (self.data / name).write_bytes(make_tiny.png_bytes((200, 30, 30), noise))
        for name in ["a.wav", "b.wav", "talk.wav"]:
            make_tiny.write_wav(self.data / name, 400, noise, seconds=1.0)
        shutil.copy(ROOT / "tests" / "media" / "clip.mp4", self.data)

    def write(self, name, found):
        (self.data / name).write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in found))
        return self.data / name

    def config_for(self, path, options="", also=""):
        """The tiny model, trained on this alone, with a template that shows tools."""
        (self.data / "template.jinja").write_text(TEMPLATE)
        text = self.config.read_text().replace(f'path = "{self.folder}/data/train.jsonl"', f'path = "{path}"\n{options}')
        self.assertIn(str(path), text)
        config = self.data / "tiny.toml"
        config.write_text(text.replace("[data]", also + "[data]"))
        return config

    def trains(self, path, words, options="", steps=3):
        """A run without a bad sample, whose log says `words`; returns the run."""
        run = self.data / "run"
        shutil.rmtree(run, ignore_errors=True)
        done = self.train(run, *sets(model__llm__chat_template=self.data / "template.jinja", train__steps=steps, train__tokens_per_batch=1024, train__checkpoint_every=1),
                          config=self.config_for(path, options))
        self.assertIn(words, done.stderr)
        self.assertEqual(len(losses(run)), steps)
        self.assertEqual((run / "bad_samples.jsonl").read_text() if (run / "bad_samples.jsonl").exists() else "", "")
        return run

    def check(self, path, options="", code=0):
        (self.data / "template.jinja").write_text("")
        config = self.config_for(path, options)
        (self.data / "template.jinja").write_text(TEMPLATE)
        found = json.loads(self.call("data", "check", config, *sets(model__llm__chat_template=self.data / "template.jinja", train__tokens_per_batch=1024), "--json", code=code).stdout)
        return next(source for source in found["sources"] if source["set"] == "train")

    def convert(self, source, out, *args, code=0):
        return self.call("data", "convert", source, f"{self.data}/{out}", *args, code=code, threads=None).stderr

    def command(self, verb, *args, threads=1):
        return super().command(verb, *args, threads=None if args[:1] == ("convert",) else threads)
