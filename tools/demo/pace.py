#!/usr/bin/env python3
"""pace.py RUN FEWEST: one line on what the first steps of a run showed, from its newest checkpoint: how long a step takes,
how many fit, how many minutes FEWEST of them would take."""
import json
import math
import sys
from pathlib import Path

SPARE = 1.1  # steps differ


def newest(run):
    folders = [path for path in Path(run, "checkpoints").glob("step_*") if path.name[5:].isdigit()]
    return max(folders, key=lambda path: int(path.name[5:]))


def pace(run, fewest):
    progress = json.loads((newest(run) / "progress.json").read_text())
    clock, taken = progress["clock"], progress["step"]
    seconds = (clock["elapsed"] - clock["first_step"]) / (taken - 1) if taken > 1 else clock["elapsed"]
    minutes = math.ceil(SPARE * (clock["elapsed"] + max(0, fewest - taken) * seconds) / 60)
    fitting = clock["planned_steps"]
    return (f"a step takes {seconds:.1f} s here: {fitting} step{'s' * (fitting != 1)} would fit into {clock['limit'] / 60:g} minutes, and fewer than "
            f"{fewest} teach it too little. Instead: pictures only, with a quarter of the tokens at a step "
            f"(configs/recipes/stamps_small.toml). `./dev demo --minutes {minutes}` keeps the whole recipe")


if __name__ == "__main__":
    print(pace(sys.argv[1], int(sys.argv[2])))
