"""Runs ours and its peers in turn and gathers their samples in rows."""

import json
import os
import sys
from pathlib import Path

from child import run

ROOT = Path(__file__).resolve().parents[1]
HERE = ROOT / "benchmarks"
PYTHON = sys.executable
PACKAGES = ROOT / ".cache/bench-python"  # `./setup bench-python`
MODEL = ROOT / "configs/models/smollm2-135m.toml"
TOLERANCE = 0.3  # of the first losses of two random models


class Bench:
    def __init__(self, options, folder):
        self.options, self.folder = options, folder
        self.ours, self.program = (Path(options.build) / "bin" / name for name in ("antiphon_bench", "antiphon"))
        self.rows, self.commands, self.versions, self.sessions, self.skipped = [], [], {}, [], []
        self.rounds, self.many = (1, 1) if options.quick else (2, 4)  # many: where a round is short, against a machine that changes

    def repeats(self, threads=None, most=5):
        return ["--warmup", 1, "--reps", min(most, 2 if self.options.quick else 5), "--threads", threads or self.options.threads]

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

    def lines(self, command):
        """The last line of a process and others' share while it ran."""
        child = run([str(word) for word in command])
        line = child.line()
        self.log({**line, "others_share": round(child.others, 3), "wall_s": round(child.wall, 3)})
        return line, child.others

    def compare(self, ours, peers, metrics, rounds=None):
        """Ours and each of the peers' commands in turn. A metric is (row, key of ours) or (row, key of ours, which peer, its key)."""
        self.note(ours, *peers)
        for _ in range(rounds or self.rounds):
            ((one, others), *two) = [self.lines(command) for command in (ours, *peers)]
            for line, _ in two:
                self.agree(one, line)
                self.versions = {**line.get("versions", {}), **self.versions}
            for row, key, *their in metrics:
                which, their_key = their or (0, key)
                row.ours += one["samples"].get(key, [one.get(key)])
                row.theirs += two[which][0]["samples"].get(their_key, [two[which][0].get(their_key)])
                row.others = max(row.others, others, two[which][1])
        self.rows += [metric[0] for metric in metrics]

    @staticmethod
    def agree(one, two):
        """Ends the run where the two sides did not do the same work."""
        if "loss0" in two and abs(one["loss0"] - two["loss0"]) > TOLERANCE:
            sys.exit(f"run.py: the first losses differ ({one['loss0']:.3f} and {two['loss0']:.3f}): the two sides do not train the same model")
        for key in ("outputs", "tokens", "supervised", "trainable"):
            if key in one and key in two and one[key] != two[key]:
                sys.exit(f"run.py: {one['bench']}: {key} differ ({one[key]} and {two[key]}): the two sides do not do the same work")

    def timed_row(self, row, ours, peer, until, repeats):
        """Seconds from launch until a line that starts with `until`, or to the end; `ours` gives the command."""
        for i in range(repeats + 1):  # the first pair only warms the page cache
            a, b = run([str(word) for word in ours()], until), run([str(word) for word in peer], until)
            if i > 0:
                row.ours.append(a.until), row.theirs.append(b.until)
                row.others = max(row.others, b.others)  # ours is too short for the clock of /proc/stat
        self.log({"bench": row.what, "side": "both", "antiphon_s": row.ours, "peer_s": row.theirs, "others_share": round(row.others, 3)})
        self.rows.append(row)
