"""Run folders for the tests of `antiphon report`, as train and eval leave them behind, written by hand."""

import json
import random
import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

import make_tiny
from harness import LIMIT, PROGRAM

HOSTILE = "</script><script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'><!-- <b>& \u2028"
CONFIG = """[model.llm]
plugin = "llama"
weights = "models/small"
trainable = false
[[model.llm.peft]]
plugin = "lora"
rank = {rank}
[model.streams.image]
encoder = {{ plugin = "dinov2" }}
connector = {{ plugin = "mlp" }}
[train]
steps = 3000
[train.optimizer]
name = "adamw"
lr = {lr}
"""


def report(*args, code=0, cwd=None):
    done = subprocess.run([PROGRAM, "report", *map(str, args)], capture_output=True, text=True, timeout=LIMIT, cwd=cwd)
    assert done.returncode == code, f"{done.returncode}: {done.stderr[-3000:]}"
    assert "internal error" not in done.stderr, done.stderr
    return done.stderr


def data_of(page):
    """What the page's script reads."""
    return json.loads(re.search(r'<script id="data" type="application/json">(.*?)</script>', Path(page).read_text(), re.S)[1])


def write_lines(path, lines, tail=""):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines) + tail)


def metrics(steps, start):
    noise = random.Random(5)
    for step in range(1, steps + 1):
        yield {"step": step, "train/loss": 99.0 if step == 1234 else start / (1 + step / 300) + noise.random() / 5, "train/lr": 1e-3 * step, "train/tokens_per_second": 500.0,
               "train/step_seconds": 2.0, "train/data_wait_seconds": 0.01, "train/memory_bytes": 2.0**31, "train/gradient_norm": 1.0, "train/rewards/margins": 1.0, "other/never_heard_of": 1.0}


def interval(mean):
    return {"mean": mean, "low": mean - 0.1, "high": mean + 0.1}


def results(name, n, accuracy):
    right = {"loss": interval(1.0), "accuracy": interval(accuracy), "f1": interval(0.5), "chrf": interval(30.0), "wer": interval(0.4), "cer": interval(0.2)}
    versus = {"shuffled": {"loss": {**interval(0.8), "p": 0.0001}}}
    task = {"samples": n, "conditions": {"right": right, "shuffled": {**right, "loss": interval(1.8)}}, "right_better_than": versus}
    return {"set": name, "samples": n, "skipped": 2, "tasks": {"all": task, "colour": task}}


class Folder:
    """A run folder as train and eval leave it behind, with real pictures and sound, written by hand."""

    SAMPLES = [  # id, question, media, expected, answer of run a, answer of run b
        ("red", "What colour?", [("image", "red.png")], "Red.", "red", "blue"),
        ("blue", "What colour?", [("image", "blue.png")], "blue", "green", "blue"),
        ("tone", "What pitch?", [("audio", "tone.wav")], "low", "low", "low"),
        ("both", "What is it?", [("image", "big.png"), ("audio", "tone.wav")], "low and red", "high", "high"),
        ("gone", "And this?", [("image", "gone.png"), ("image", "text.png")], "yes", "no", "no"),
        ("clip", "What happens?", [("video", "clip.webm")], "a b", "A, b!", "a"),
        (HOSTILE, HOSTILE, [("image", "red.png")], HOSTILE, "no", HOSTILE),
    ]

    def __init__(self, root):
        self.root, self.media = root, root / "data" / "media"
        self.media.mkdir(parents=True)
        noise = random.Random(1)
        (self.media / "red.png").write_bytes(make_tiny.png_bytes((220, 30, 30), noise))
        (self.media / "blue.png").write_bytes(make_tiny.png_bytes((30, 40, 220), noise))
        (self.media / "big.png").write_bytes(make_tiny.png_bytes((30, 200, 40), noise, size=600))
        (self.media / "text.png").write_text("this is not a picture")
        make_tiny.write_wav(self.media / "tone.wav", 250, noise, seconds=0.5)
        shutil.copy(Path(__file__).resolve().parents[1] / "media" / "clip.webm", self.media)
        write_lines(root / "data" / "held.jsonl", [self.sample(*s[:4]) for s in self.SAMPLES])

    def sample(self, name, question, media, expected):
        parts = [{"type": kind, kind: f"media/{path}"} for kind, path in media]
        return {"id": name, "task": "colour", "messages": [{"role": "user", "content": [*parts, {"type": "text", "text": question}]}, {"role": "assistant", "content": expected}]}

    def prediction(self, line, condition, answer, loss):
        name, question, media, expected = self.SAMPLES[line][:4]
        record = {"set": "held", "media": condition, "id": name, "file": "data/held.jsonl", "line": line + 1, "expected": expected, "predicted": answer, "loss": loss, "tags": {"task": "colour", "id": name}}
        if condition == "right" and name != "tone":  # `tone` is as an older evaluation wrote it: the manifest has to help
            record |= {"question": question, "media_files": [{"type": kind, "path": str(self.media / path)} for kind, path in media]}
        return record

    def run(self, name, answer, rank=4, lr=0.001):
        run = self.root / "runs" / name
        write_lines(run / "metrics.jsonl", [*metrics(2500, 4.0), "not json", {"step": 2501, "train/loss": None}], tail='{"step": 2502, "train/lo')
        (run / "config.toml").write_text(CONFIG.format(rank=rank, lr=lr))
        spread = {"mean": 31.5, "bins": [{"from": 20, "to": 30, "count": 3}, {"from": 30, "to": 40, "count": 9}]}
        (run / "data_stats.json").write_text(json.dumps({"sources": [{"set": "train", "path": HOSTILE, "samples": 12, "bad": 1, "left_out": 0, "tokens": spread, "supervised_share": None, "seconds": None, "width": spread, "height": spread}]}))
        (run / "env.json").write_text(json.dumps({"antiphon": "0.1.0", "torch": "2.11.0", "device": "cpu", "cores": 2}))
        bad = [{"file": "data/train.jsonl", "line": 7 + i, "id": f"s{i}", "reason": f"cannot open a/{i}.png: no such file\n  fix: look"} for i in range(7)]
        write_lines(run / "bad_samples.jsonl", [*bad, {"file": "data/train.jsonl", "line": 99, "id": "", "reason": HOSTILE}])
        write_lines(run / "answers.jsonl", [{"step": step, "set": "held", "id": "s1", "question": f"asked after {step}", "expected": "red", "predicted": HOSTILE} for step in (10, 20)])
        lines = [self.prediction(i, c, sample[answer], loss + i) for c, loss in [("right", 1.0), ("shuffled", 1.5), ("removed", 2.0)] for i, sample in enumerate(self.SAMPLES)]
        write_lines(run / "eval" / "predictions.jsonl", lines)
        (run / "eval" / "results.json").write_text(json.dumps([results("held", len(self.SAMPLES), 0.3 if answer == 4 else 0.7)]))
        return run


class Base(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        root = Path(tempfile.mkdtemp(prefix="antiphon-report-"))
        cls.addClassCleanup(shutil.rmtree, root, ignore_errors=True)
        cls.root, folder = root, Folder(root)
        cls.a, cls.b = folder.run("first", 4), folder.run("second", 5, rank=8, lr=0.002)
        cls.said = report(cls.a, cwd=root)
        report(cls.a, cls.b, cwd=root)
        cls.one, cls.two = cls.a / "report.html", root / "report.html"
