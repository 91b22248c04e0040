"""What int8, int4 and nf4 cost in loss: `antiphon eval` of a trained run with each of them. Writes the losses of the expected
answers in bf16, with the run's adapters beside the weights, and how far the others are above them, which merge the adapters first,
into docs/performance.md.

usage: benchmarks/format_losses.py FILE [--only SET,…] [--page FILE] [--build FOLDER]

FILE: as `antiphon eval` takes it: the folder of a run, or a configuration with held-out sets (of a model's directory: [model] from).
"""

import argparse
import datetime
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import page
import run
from bench import ROOT

BEGIN, END = "<!-- losses of formats: begin (written by benchmarks/format_losses.py) -->", "<!-- losses of formats: end -->"
FORMATS = {"bf16": "", "int8": "int8", "int4": "int4", "nf4": "nf4"}
PLAIN = {"precision.compute": "bf16", "eval.generate": "false", "eval.controls": "[]"}


def loss_of(result, weights):
    """Of a set of results.json."""
    tasks = result.get("tasks", {})
    whole = tasks.get("all") or (next(iter(tasks.values())) if len(tasks) == 1 else {})  # a single task is all
    loss = whole.get("conditions", {}).get("right", {}).get("loss")
    if loss is None:
        sys.exit(f"format_losses.py: the held-out set {result['set']} has no loss of expected answers: name the others with --only")
    if loss["mean"] is None:
        sys.exit(f"format_losses.py: the loss of the held-out set {result['set']} with {weights or 'bf16'} is not finite")
    return loss["mean"]


def losses(options, weights):
    """set -> loss of its expected answers."""
    with tempfile.TemporaryDirectory(prefix="antiphon-losses-") as folder:
        settings = [word for key, value in {**PLAIN, "generate.weights": weights}.items() for word in ("--set", f"{key}={value}")]
        only = [word for name in options.only.split(",") if name for word in ("--only", name)]
        done = subprocess.run([f"{options.build}/bin/antiphon", "eval", options.file, "--output", folder, *settings, *only], capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"format_losses.py: {options.file} with {weights or 'bf16'}: exit code {done.returncode}: {done.stderr}")
        return {one["set"]: loss_of(one, weights) for one in json.loads((Path(folder) / "results.json").read_text())}


def above(loss, plain):
    return f"{'-' if loss < plain else '+'} {abs(loss - plain):.3f}"


def table(measured):
    """`measured`: format -> set -> loss."""
    plain = measured["bf16"]
    rows = [["bf16", *(f"{loss:.3f}" for loss in plain.values())]]
    rows += [[name, *(above(found[one], plain[one]) for one in plain)] for name, found in measured.items() if name != "bf16"]
    return [f"| format | {' | '.join(plain)} |", f"|---{'|---:' * len(plain)}|", *(f"| {' | '.join(row)} |" for row in rows)]


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("file")
    parser.add_argument("--only", default="", help="names of held-out sets with commas between; all if there are none")
    parser.add_argument("--page", default=str(ROOT / "docs/performance.md"))
    parser.add_argument("--build", default=str(ROOT / "build"))
    options = parser.parse_args()
    if BEGIN not in Path(options.page).read_text():
        sys.exit(f"format_losses.py: {options.page} has no line '{BEGIN}', where the table is to stand")
    measured = {name: losses(options, weights) for name, weights in FORMATS.items()}
    about = f"- {Path(options.file).name}: {datetime.date.today()}, commit {run.commit()}; {run.cpu()}"
    text = "\n".join([BEGIN, "", about, "", *table(measured), "", END])
    page.put_between(options.page, BEGIN, END, text)
    print(text)


if __name__ == "__main__":
    main()
