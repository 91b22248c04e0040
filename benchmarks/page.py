"""Tables for docs/performance.md, out of the rows that were measured."""

import statistics
from pathlib import Path

import record
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


HEAD = ["| what | unit | Antiphon: median (min to max) | peer: median (min to max) | ours / peer (rounds) | better is | goal | others' share |", "|---|---|---:|---:|---:|---|---|---:|"]


def table(rows):
    return "\n".join(HEAD + [line(row) for row in rows])


def part(facts, rows, commands, sessions=(), skipped=()):
    """What the page and later runs know of a part, for recorded.json."""
    known = {row.key(): {**record.entry(row), "reached": row.reached() if row.goal else None, "line": line(row)} for row in rows}
    return {"facts": facts, "rows": known, "commands": list(commands), "session": session_table(sessions), "skipped": list(skipped)}


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
    busy = sum(row["busy"] for row in rows)
    quiet = f"**The machine was not quiet: in {busy} of {len(rows)} rows, marked (busy), others used {BUSY:.0%} of the cores or more in too many rounds. Trust their ratios little and their figures less.**" if busy else "The machine was quiet."
    goals = [row["reached"] for row in rows if row.get("reached") is not None]
    return f"{quiet} {sum(goals)} of {len(goals)} goals are reached."


def measured(parts):
    """When what was measured: parts of one commit on one machine together."""
    when = {}
    for name, one in parts.items():
        facts = one["facts"]
        when.setdefault((facts["date"][:10], facts["commit"], *(f"{key}: {facts[key]}" for key in facts if key not in ("date", "commit"))), []).append(name)
    return [f"- {', '.join(names)}: {date}, commit {commit}; {'; '.join(rest)}" for (date, commit, *rest), names in when.items()]


def best(peak):
    """What `machine_peak.py` found."""
    return ", ".join(f"{key} {value}" for key, value in peak.items() if key not in ("bench", "threads"))


def generated(isa, recorded):
    parts = recorded["parts"]
    rows = [f"| **{name}** | | | | | | | |\n" + "\n".join(row["line"] for row in one["rows"].values()) for name, one in parts.items() if one["rows"]]
    commands = dict.fromkeys(command for one in parts.values() for command in one["commands"])
    return "\n".join([
        begin(isa), "", *measured(parts), "- at best: what the machine does; a row is one row times 128 MiB of weights",
        *[f"- not measured: {reason}" for one in parts.values() for reason in one["skipped"]], "",
        verdict([row for one in parts.values() for row in one["rows"].values()]), "", *HEAD, *rows, *[line for one in parts.values() for line in one["session"]],
        "", "Commands, ours and the peers' in turn (A B A B), as often as the table says:", "```sh", *commands, "```", END])


def put_in(path, isa, text):
    """Replaces what stands between the markers of the page for this class of processors."""
    put_between(path, begin(isa), END, text)


def put_between(path, first, last, text):
    """Replaces two markers and what stands between them."""
    head, rest = Path(path).read_text().split(first, 1)
    _, tail = rest.split(last, 1)
    Path(path).write_text(head + text + tail)
