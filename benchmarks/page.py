"""Tables for docs/performance.md, out of the rows that were measured."""

import statistics
from pathlib import Path

from rows import BUSY



def begin(isa=""):
    return f"<!-- measured{f', {isa}' if isa else ''}: begin (written by benchmarks/run.py) -->"


END = "<!-- measured: end -->"


def goal_text(row):
    if not row.goal:
        return ""
    sign = "≥" if row.better == "higher" else "≤"
    return f"{row.goal[0]} {sign} {row.goal[1]:.3g}: {'reached' if row.reached() else '**not reached**'}"


def line(row):
    mark = " (busy)" if row.busy() else ""
    return (f"| {row.what}{mark} | {row.unit} | {spread(row.ours())} | {row.peer}: {spread(row.theirs())} | **{row.ratio():.2f}** ± {row.spread():.0%} ({len(row.used())}) "
            f"| {row.better} | {goal_text(row)} | {row.others():.0%} |")


def number(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def spread(values):
    return f"{number(statistics.median(values))} ({number(min(values))} to {number(max(values))}, n={len(values)})"


def table(rows):
    head = ["| what | unit | Antiphon: median (min to max) | peer: median (min to max) | ours / peer (rounds) | better is | goal | others' share |", "|---|---|---:|---:|---:|---|---|---:|"]
    return "\n".join(head + [line(row) for row in rows])


def session_table(lines):
    """`lines`: what `antiphon_bench session` printed."""
    if not lines:
        return []
    text = next(one for one in lines if one["bench"] == "session_text")
    step, asked = text["decode_step_s"], text["first_token_s"]
    head = ["", "From the end of a turn to the first token of the answer (medians; smallest to largest). A decoding step takes "
            f"{step * 1e3:.1f} ms, the first token of a typed turn {asked * 1e3:.1f} ms.", "",
            "| speech | work while it arrives | end of turn | first token, ms | steps more than a typed turn | busy while listening |", "|---:|---|---|---:|---:|---:|"]
    ways = {"session_ahead": ("yes", "by command"), "session_detector": ("yes", "heard by the detector"), "session_after": ("no", "by command")}
    for one in lines:
        if one["bench"] in ways:
            samples = [value * 1e3 for value in one["samples"]["first_token_s"]]
            head.append(f"| {one['seconds']:.0f} s | {' | '.join(ways[one['bench']])} | {spread(samples)} | {(one['first_token_s'] - asked) / step:+.2f} | {one['busy_share']:.1%} |")
    return head


def verdict(rows):
    busy = sum(row.busy() for row in rows)
    quiet = f"**The machine was not quiet: in {busy} of {len(rows)} rows, marked (busy), others used {BUSY:.0%} of the cores or more in too many rounds. Trust their ratios little and their figures less.**" if busy else "The machine was quiet."
    goals = [row for row in rows if row.goal]
    return f"{quiet} {sum(row.reached() for row in goals)} of {len(goals)} goals are reached."


def generated(isa, facts, peak, rows, commands, sessions=(), skipped=()):
    limits = ", ".join(f"{key} {value}" for key, value in peak.items() if key not in ("bench", "threads"))
    return "\n".join([
        begin(isa), "", *[f"- {key}: {value}" for key, value in facts.items()], f"- at best this machine does: {limits} (a row: one row times 128 MiB of weights)",
        *[f"- not measured: {reason}" for reason in skipped], "",
        verdict(rows), "", table(rows), *session_table(sessions), "", "Commands, ours and the peers' in turn (A B A B), as often as the table says:", "```sh", *commands, "```", END])


def put_in(path, isa, text):
    """Replaces what stands between the markers of the page for this class of processors."""
    head, rest = Path(path).read_text().split(begin(isa), 1)
    _, tail = rest.split(END, 1)
    Path(path).write_text(head + text + tail)
