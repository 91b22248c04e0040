"""What a full run leaves for later ones (recorded.json), and whether a run is worse than that."""

import json
import statistics
from dataclasses import dataclass
from pathlib import Path

ALLOWED = 0.10  # worse by so much, beyond the spread of the runs, is a regression


def spread(values):
    """Width of the middle half of the values, as a share of their median."""
    if len(values) < 2:
        return 0.0
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return (high - low) / statistics.median(values)


def entry(row):
    return {"ratio": round(row.ratio(), 4), "better": row.better, "spread": round(spread(row.ours) + spread(row.theirs), 4), "busy": row.busy()}


def write(path, facts, rows):
    everything = {"facts": facts, "rows": {row.key(): entry(row) for row in rows}}
    Path(path).write_text(json.dumps(everything, indent=1, ensure_ascii=False) + "\n")


def worse_by(now, then):
    """Share by which the ratio is worse than the one recorded; negative where it is better."""
    return then["ratio"] / now["ratio"] - 1 if now["better"] == "higher" else now["ratio"] / then["ratio"] - 1


@dataclass
class Finding:
    key: str
    kind: str  # "worse", "as recorded", "no evidence", "not recorded"
    text: str


def judge(key, now, then):
    if then is None:
        return Finding(key, "not recorded", f"{now['ratio']:.2f}")
    change, noise = worse_by(now, then), max(now["spread"], then["spread"])
    text = f"{now['ratio']:.2f}, recorded {then['ratio']:.2f}: {abs(change):.0%} {'worse' if change > 0 else 'better'}, spread {noise:.0%}"
    if now["busy"] or then["busy"]:
        return Finding(key, "no evidence", text + ", the machine was busy")
    return Finding(key, "worse" if change > ALLOWED + noise else "as recorded", text)


def check(rows, recorded):
    return [judge(row.key(), entry(row), recorded["rows"].get(row.key())) for row in rows]


def report(findings):
    """The findings by kind, the worst last, and whether all is well."""
    kinds = ["as recorded", "not recorded", "no evidence", "worse"]
    lines = [f"{finding.kind}: {finding.key}: {finding.text}" for kind in kinds for finding in findings if finding.kind == kind]
    worse = sum(finding.kind == "worse" for finding in findings)
    lines.append(f"{worse} of {len(findings)} ratios are worse than recorded by more than {ALLOWED:.0%} beyond the spread of the runs")
    return "\n".join(lines), worse == 0
