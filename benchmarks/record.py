"""What a full run leaves for later ones (recorded.json), and whether a run is worse than that."""

import json
import math
from dataclasses import dataclass
from pathlib import Path

ALLOWED = 0.10  # a ratio that may be worse by so much does not pass


def entry(row):
    return {"ratio": round(row.ratio(), 4), "better": row.better, "spread": round(row.spread(), 4), "rounds": len(row.used()), "busy": row.busy()}


def write(path, facts, rows):
    everything = {"facts": facts, "rows": {row.key(): entry(row) for row in rows}}
    Path(path).write_text(json.dumps(everything, indent=1, ensure_ascii=False) + "\n")


def worse_by(now, then):
    """Share by which the ratio is worse than the one recorded; negative where it is better."""
    return then["ratio"] / now["ratio"] - 1 if now["better"] == "higher" else now["ratio"] / then["ratio"] - 1


@dataclass
class Finding:
    key: str
    kind: str  # one of KINDS
    text: str


KINDS = ["as recorded", "not recorded", "cannot tell", "worse"]


def judge(key, now, then):
    """Passes only where the ratio is not worse by a tenth even with the spread of both runs; "cannot tell" where it is
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
    return [judge(row.key(), entry(row), recorded["rows"].get(row.key())) for row in rows]


def report(findings):
    """The findings by kind, the worst last, and whether all is well."""
    lines = [f"{finding.kind}: {finding.key}: {finding.text}" for kind in KINDS for finding in findings if finding.kind == kind]
    worse, unknown = (sum(finding.kind == kind for finding in findings) for kind in ("worse", "cannot tell"))
    lines.append(f"of {len(findings)} ratios {worse} are worse than recorded; of {unknown} a loss of {ALLOWED:.0%} cannot be excluded")
    return "\n".join(lines), worse + unknown == 0
