#!/usr/bin/env python3
"""Writes docs/models.md, and the list in the README, out of the parity report and of what the program says of itself.

models_page.py REPORT PROGRAM [--write]     without --write: exit code 1 if the pages say something else
"""
import argparse
import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = {ROOT / "docs/models.md": "models", ROOT / "README.md": "plugins"}
# The program says which kinds there are. These come first, in this order; a title is the plural of the name, or it stands here.
FIRST = ("encoder", "connector", "language_model", "peft", "head", "objective", "optimizer", "voice_activity", "model_family")
TITLES = {"peft": "fine-tuning", "voice_activity": "voice activity", "model_family": "whole models"}
NO_MODELS = ("data_source", "record_format", "reward", "speech_synthesizer")  # no cases with a reference are theirs
# A graph as its cases call it -> its name, and what it is.
GRAPHS = {("graph", "composed"): ("multimodal_lm", "streams into a language model"), ("graph", "dual_encoder"): ("dual_encoder", "a medium's vector beside a text's")}
# A column, and the words of the titles that it counts; "refused" are the requests that had to be answered with an error, and are in no other column.
# "gradients" are the tensors that were compared as such.
COLUMNS = [("KV cache", r"\bcache\b"), ("32 greedy tokens", r"\b32 greedy tokens\b"), ("0, 1, 3 media", r"\b[013] media\b|\bno media\b|\b1 medium\b"),
           ("batch = one by one", r"\bone by one\b|\bmasked batch\b"), ("export", r"\bexport\b|\bour adapter in peft\b"), ("merged", r"\bmerged\b|\bfolded in\b"), ("bf16", r"^bf16 ")]
REFUSED = "refused"


def plugins(program):
    return json.loads(subprocess.run([program, "inspect", "--json"], capture_output=True, text=True, check=True).stdout)


def components(found):
    """(kind, name) -> (one line, model types), in a fixed order."""
    out = {}
    for plugin in found:
        for provided in plugin["provides"]:
            kind, name = provided.split(":")
            out[kind, name] = (plugin["doc"], [read.split(":")[2] for read in plugin["reads"] if read.startswith(provided + ":")])
    place = {kind: number for number, kind in enumerate(FIRST)}
    return dict(sorted(out.items(), key=lambda item: (place.get(item[0][0], len(FIRST)), *item[0])))


def subject(case, known):
    """(kind, name) of what a case is about: its first word, or the one after "bf16" and "fp16". After "images,", "videos,"
    and "sounds," stands an encoder. A name that plugins of several kinds have stands behind the kind. None: about no component."""
    medium, first, second = re.match(r"(?:bf16 |fp16 )?((?:images|videos|sounds), )?(\S+) ?(\S*)", case).groups()
    names = [word.rstrip(":,") for word in (first, second)]
    if (names[0], names[1]) in known:
        return names[0], names[1]
    found = [one for one in known if one[1] == names[0] and (not medium or one[0] == "encoder")]
    if len(found) > 1:
        sys.exit(f"'{case}': {' and '.join(kind for kind, _ in found)} have the name '{names[0]}'; begin the case with one of these")
    return found[0] if found else None


def counts(cases, components):
    """(kind, name) -> column -> number of cases, and of gradients; every case must have passed."""
    table, known = {}, [*(one for one in components if one[0] not in NO_MODELS), *GRAPHS]
    for asserted in cases:
        case = asserted["case"]
        if not asserted["ok"]:
            sys.exit(f"'{case}' failed; mend that first")
        about = subject(case, known)
        if not about:
            continue
        row = table.setdefault(about, {})
        row["all"] = row.get("all", 0) + 1
        row["gradients"] = row.get("gradients", 0) + asserted.get("gradients", 0)
        shown = [REFUSED] if asserted.get(REFUSED) else [column for column, pattern in COLUMNS if re.search(pattern, case)]
        for column in shown:
            row[column] = row.get(column, 0) + 1
    return table


def wider_text(cases):
    """Which they are; loss curves, of each method of fine-tuning, by their number."""
    curves = [case for case in cases if case["case"].startswith("curves, ")]
    words = [case["case"] for case in cases if case not in curves]
    return ", ".join(words + ([f"{len(curves)} curves of losses"] if curves else []))


def limits_text(cases):
    """Which share of the cases was held to what."""
    limits = {}
    for case in cases:
        limits.setdefault(case.get("limit"), []).append(case)
    words = [f"{len(limits[limit])} to {limit:.0e}".replace("e-0", "e-") + (f" ({wider_text(limits[limit])})" if limit > 1e-5 else " (in fp64)" if limit < 1e-8 else "")
             for limit in sorted(limit for limit in limits if limit)]
    others = sum(case.get("other_unit", 0) for case in cases)
    return f"{sum('tensors' in case for case in cases)} compare tensors, {sum(case.get('tensors', 0) for case in cases)} in all, in units of the largest value of each " \
           f"({others} gradients whose terms cancel, as of a key's bias, in that of the weight beside them), in fp32: " \
           f"{', '.join(words)}; {len(limits.get(None, []))} are of another kind: equal ids, places and names, refusals, or a distance from exact values beside the reference's own (bf16)."


def models_text(cases, found):
    all_components = components(found)
    table = counts(cases, all_components)
    columns = ["cases", "gradients", *(column for column, _ in COLUMNS), REFUSED]
    lines = [f"Cases that agree with `transformers`, `peft` or `torch` in this commit: {len(cases)}. {limits_text(cases)}", "",
             "| kind | name | what | reads `model_type` | " + " | ".join(columns) + " |", "|---|---|---|---|" + "---:|" * len(columns)]
    for (kind, name), (doc, types) in all_components.items():
        if kind in NO_MODELS:
            continue
        row = table.get((kind, name), {})
        numbers = [row.get("all", 0)] + [row.get(column, 0) for column in columns[1:]]
        lines.append(f"| {kind} | `{name}` | {doc} | {', '.join(types) or ('`' + name + '`' if kind == 'model_family' else '–')} | " + " | ".join(str(n) if n else "–" for n in numbers) + " |")
    for graph, (name, doc) in GRAPHS.items():
        row = table.get(graph, {})
        lines.append(f"| graph | `{name}` | {doc} | – | " + " | ".join(str(n) if n else "–" for n in [row.get("all", 0)] + [row.get(c, 0) for c in columns[1:]]) + " |")
    return "\n".join(lines)


def plugins_text(cases, found):
    lines = ["| kind | plugins |", "|---|---|"]
    every = components(found)
    for kind in dict.fromkeys(kind for kind, _ in every):
        entries = [f"`{name}` ({doc})" for (k, name), (doc, _) in every.items() if k == kind]
        lines.append(f"| {TITLES.get(kind, kind.replace('_', ' ') + 's')} | {', '.join(entries)} |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("report", type=Path)
    parser.add_argument("program")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    cases, found = json.loads(options.report.read_text()), plugins(options.program)
    code = 0
    for page, kind in PAGES.items():
        made = {"models": models_text, "plugins": plugins_text}[kind](cases, found)
        old = page.read_text()
        new = re.sub(rf"(<!-- {kind}: begin[^\n]*-->\n).*?(<!-- {kind}: end -->)", lambda m: m[1] + made + "\n" + m[2], old, flags=re.S)
        if new == old:
            continue
        if options.write:
            page.write_text(new)
            print(f"wrote {page.relative_to(ROOT)}")
        else:
            print(f"{page.relative_to(ROOT)} is out of date: run {Path(__file__).name} {options.report} {options.program} --write")
            code = 1
    return code


if __name__ == "__main__":
    sys.exit(main())
