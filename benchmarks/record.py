"""What each part leaves for later runs and for the page (recorded.json), and whether a run is worse than that."""

import json
import math
from dataclasses import dataclass
from pathlib import Path

ALLOWED = 0.10  # a ratio that may be worse by so much does not pass


def entry(row):
    return {"ratio": round(row.ratio(), 4), "better": row.better, "spread": round(row.spread(), 4), "rounds": len(row.used()), "busy": row.busy()}


def read(path):
    return json.loads(Path(path).read_text()) if Path(path).exists() else {"parts": {}}


def write(path, recorded):
    Path(path).write_text(json.dumps(recorded, indent=1, ensure_ascii=False) + "\n")


def rows_of(recorded):
    return {key: row for part in recorded["parts"].values() for key, row in part["rows"].items()}


def put(recorded, name, part, order):
    """The part in the place of what it was, and its rows out of other parts; parts stay in this order."""
    parts = {**recorded["parts"], name: part}
    emptied = set()
    for other, of in parts.items():
        if other != name and of["rows"]:
            of["rows"] = {key: row for key, row in of["rows"].items() if key not in part["rows"]}
            emptied |= set() if of["rows"] else {other}
    place = {one: i for i, one in enumerate(order)}
    recorded["parts"] = {one: parts[one] for one in sorted(parts, key=lambda one: place.get(one, len(place))) if one not in emptied}


def worse_by(now, then):
    """Share by which the ratio is worse than the one recorded; negative if it is better."""
    return then["ratio"] / now["ratio"] - 1 if now["better"] == "higher" else now["ratio"] / then["ratio"] - 1


@dataclass
class Finding:
    key: str
    kind: str  # one of KINDS
    text: str


KINDS = ["as recorded", "not recorded", "cannot tell", "worse"]  # all is well if all are of the first


def judge(key, now, then):
    """Passes only if the ratio is not worse by a tenth even with the spread of both runs; "cannot tell" if it is
    the same with that, too."""
    if then is None:
        return Finding(key, "not recorded", f"{now['ratio']:.2f}")
    change, noise = worse_by(now, then), math.hypot(now["spread"], then["spread"])
    text = f"{now['ratio']:.2f}, recorded {then['ratio']:.2f}: {abs(change):.0%} {'worse' if change > 0 else 'better'}, ± {noise:.0%}"
    if now["busy"] or then["busy"]:
        return Finding(key, "cannot tell", text + ", the machine was busy")
    if change + noise < ALLOWED:
        return Finding(key, "as recorded", text)
    return Finding(key, "worse" if change - noise > 0 else "cannot tell", text)


def check(rows, recorded):
    known = rows_of(recorded)
    return [judge(row.key(), entry(row), known.get(row.key())) for row in rows]


def report(findings):
    """The findings by kind, the worst last, and whether all is well."""
    lines = [f"{finding.kind}: {finding.key}: {finding.text}" for kind in KINDS for finding in findings if finding.kind == kind]
    new, unknown, worse = (sum(finding.kind == kind for finding in findings) for kind in KINDS[1:])
    lines.append(f"of {len(findings)} ratios {worse} are worse than recorded; of {unknown} a loss of {ALLOWED:.0%} cannot be excluded; {new} were never recorded")
    return "\n".join(lines), new + unknown + worse == 0
