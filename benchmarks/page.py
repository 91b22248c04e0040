"""Tables for docs/performance.md, out of the rows that run.py measured."""

import statistics
from dataclasses import dataclass, field
from pathlib import Path

BEGIN, END = "<!-- measured: begin (written by benchmarks/run.py) -->", "<!-- measured: end -->"
BUSY = 0.10  # others' share of the cores from which on a row is marked
PEER = "transformers + peft"


@dataclass
class Row:
    what: str
    unit: str
    better: str  # "higher" or "lower"
    ours: list = field(default_factory=list)
    theirs: list = field(default_factory=list)
    others: float = 0.0
    peer: str = PEER
    goal: tuple = ()  # ("C1", 1.5): the ratio ours / peer that is to be reached

    def key(self):
        return f"{self.what} / {self.peer}"

    def ratio(self):
        return statistics.median(self.ours) / statistics.median(self.theirs)

    def busy(self):
        return self.others >= BUSY

    def reached(self):
        return self.ratio() >= self.goal[1] if self.better == "higher" else self.ratio() <= self.goal[1]

    def goal_text(self):
        if not self.goal:
            return ""
        sign = "≥" if self.better == "higher" else "≤"
        return f"{self.goal[0]} {sign} {self.goal[1]:.3g}: {'reached' if self.reached() else '**not reached**'}"

    def line(self):
        mark = " (busy)" if self.busy() else ""
        return f"| {self.what}{mark} | {self.unit} | {spread(self.ours)} | {self.peer}: {spread(self.theirs)} | **{self.ratio():.2f}** | {self.better} | {self.goal_text()} | {self.others:.0%} |"


def number(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def spread(values):
    return f"{number(statistics.median(values))} ({number(min(values))} to {number(max(values))}, n={len(values)})"


def table(rows):
    head = ["| what | unit | Antiphon: median (min to max) | peer: median (min to max) | ours / peer | better is | goal | others' share |", "|---|---|---:|---:|---:|---|---|---:|"]
    return "\n".join(head + [row.line() for row in rows])


def session_table(lines):
    """`lines`: what `antiphon_bench session` printed."""
    if not lines:
        return []
    text = next(line for line in lines if line["bench"] == "session_text")
    step, asked = text["decode_step_s"], text["first_token_s"]
    head = ["", "From the end of a turn to the first token of the answer (medians; smallest to largest). A decoding step takes "
            f"{step * 1e3:.1f} ms, the first token of a typed turn {asked * 1e3:.1f} ms.", "",
            "| speech | work while it arrives | end of turn | first token, ms | steps more than a typed turn | busy while listening |", "|---:|---|---|---:|---:|---:|"]
    ways = {"session_ahead": ("yes", "by command"), "session_detector": ("yes", "heard by the detector"), "session_after": ("no", "by command")}
    for line in lines:
        if line["bench"] in ways:
            samples = [value * 1e3 for value in line["samples"]["first_token_s"]]
            head.append(f"| {line['seconds']:.0f} s | {' | '.join(ways[line['bench']])} | {spread(samples)} | {(line['first_token_s'] - asked) / step:+.2f} | {line['busy_share']:.1%} |")
    return head


def verdict(rows):
    busy = sum(row.busy() for row in rows)
    quiet = f"**The machine was not quiet: in {busy} of {len(rows)} rows, marked (busy), others used {BUSY:.0%} of the cores or more. Trust their ratios little and their figures less.**" if busy else "The machine was quiet."
    goals = [row for row in rows if row.goal]
    return f"{quiet} {sum(row.reached() for row in goals)} of {len(goals)} goals are reached."


def generated(facts, peak, rows, commands, sessions=(), skipped=()):
    limits = ", ".join(f"{key} {value}" for key, value in peak.items() if key not in ("bench", "threads"))
    return "\n".join([
        BEGIN, "", *[f"- {key}: {value}" for key, value in facts.items()], f"- at best this machine does: {limits} (a row: one row times 128 MiB of weights)",
        *[f"- not measured: {reason}" for reason in skipped], "",
        verdict(rows), "", table(rows), *session_table(sessions), "", "Commands, ours and the peers' in turn (A B A B):", "```sh", *commands, "```", END])


def put_in(path, text):
    """Replaces what stands between the markers of the page."""
    head, rest = Path(path).read_text().split(BEGIN, 1)
    _, tail = rest.split(END, 1)
    Path(path).write_text(head + text + tail)
