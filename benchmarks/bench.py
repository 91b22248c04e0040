"""Runs ours and its peers in turn and gathers their samples in rows."""

import json
import os
import sys
import time
from pathlib import Path

import record
import rows
from child import run

ROOT = Path(__file__).resolve().parents[1]
HERE = ROOT / "benchmarks"
PYTHON = sys.executable
PACKAGES = ROOT / ".cache/bench-python"  # `./setup bench-python`
MODEL = ROOT / "configs/models/smollm2-135m.toml"
TOLERANCE = 0.3  # of the first losses of two random models


class Bench:
    def __init__(self, options, folder, recorded=None):
        """`recorded`: what a check compares with; rounds go on until it can tell."""
        self.options, self.folder, self.recorded = options, folder, recorded
        self.ours, self.program = (Path(options.build) / "bin" / name for name in ("antiphon_bench", "antiphon"))
        self.rows, self.commands, self.versions, self.sessions, self.skipped, self.peak = [], [], {}, [], [], {}

    def repeats(self, threads=None, most=3):
        return ["--warmup", 1, "--reps", min(most, 2 if self.options.quick else 3), "--threads", threads or self.options.threads]

    def note(self, *commands):
        """The commands as the page shows them."""
        for command in commands:
            text = " ".join(f"'{word}'" if " " in str(word) else str(word) for word in command)
            for path, name in {PYTHON: "python", f"{self.options.build}/": "build/", f"{ROOT}/": "", str(self.folder): "FOLDER", os.environ.get("ANTIPHON_LLAMA_PYTHON", PYTHON): "python"}.items():
                text = text.replace(path, name)
            if text not in self.commands:
                self.commands.append(text)

    def skip(self, reason):
        print(f"run.py: not measured: {reason}", file=sys.stderr, flush=True)
        self.skipped.append(reason)

    @staticmethod
    def log(line):
        print(json.dumps({key: value for key, value in line.items() if key != "samples"}), flush=True)

    def line(self, side):
        """What a side measured: a command that prints it last, or a function that gives it; with others' share meanwhile."""
        if callable(side):
            line = side()
        else:
            child = run([str(word) for word in side])
            line = {**child.line(), "others_share": round(child.others, 3), "wall_s": round(child.wall, 3)}
        self.log(line)
        return line

    def compare(self, sides, metrics):
        """The sides (name: command or function) in turn, round after round, until each ratio is known well enough.
        A metric is (row, "side.key", "peer's side.key")."""
        self.note(*[side for side in sides.values() if not callable(side)])
        new, begin = [metric[0] for metric in metrics], time.monotonic()
        while not all(self.settled(row, time.monotonic() - begin) for row in new):
            lines = {name: self.line(side) for name, side in sides.items()}
            for name, line in lines.items():
                self.agree(lines["ours"], line)
                self.versions = {**line.get("versions", {}), **self.versions}
            for row, *keys in metrics:
                two = [key.split(".") for key in keys]
                samples = [lines[side].get("samples", {}).get(key) or [lines[side][key]] for side, key in two]
                row.rounds.append(rows.Round(*samples, others=max(lines[side]["others_share"] for side, _ in two)))
        self.rows += new

    def settled(self, row, seconds):
        if self.options.quick:
            return bool(row.rounds)
        if len(row.rounds) >= rows.MOST or (len(row.rounds) >= rows.BEST and seconds > rows.LONGEST):
            return True
        if len(row.quiet()) < rows.LEAST:
            return False
        then = self.recorded and record.rows_of(self.recorded).get(row.key())
        return record.judge(row.key(), record.entry(row), then).kind == "as recorded" if then else row.spread() <= rows.WANTED

    @staticmethod
    def agree(one, two):
        """Ends the run if the two sides did not do the same work."""
        if "loss0" in two and abs(one["loss0"] - two["loss0"]) > TOLERANCE:
            sys.exit(f"run.py: the first losses differ ({one['loss0']:.3f} and {two['loss0']:.3f}): the two sides do not train the same model")
        for key in ("outputs", "tokens", "supervised", "trainable"):
            if key in one and key in two and one[key] != two[key]:
                sys.exit(f"run.py: {one['bench']}: {key} differ ({one[key]} and {two[key]}): the two sides do not do the same work")

    def seconds(self, row, ours, peer, until=None):
        """Seconds from launch until a line that starts with `until`, or to the end; `ours` gives the command."""
        def side(name, command, trusted):
            child = run([str(word) for word in command()], until)
            return {"bench": row.what, "side": name, "until_s": child.until, "others_share": round(child.others, 3) if trusted else 0.0}

        sides = {"ours": lambda: side("antiphon", ours, False), "peer": lambda: side("peer", lambda: peer, True)}  # ours is too short for the clock of /proc/stat
        for warm in sides.values():  # the page cache
            warm()
        self.note(ours(), peer)
        self.compare(sides, [(row, "ours.until_s", "peer.until_s")])
