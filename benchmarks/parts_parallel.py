"""The parts of the benchmark about several processes: gradients exchanged beside none exchanged, and beside PyTorch's."""

import json
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

import program_files
from bench import HERE, MODEL, PYTHON, ROOT
from rows import Row

BATCH, SEQUENCE, PROCESSES = 2, 128, 2  # of each process
DDP = "PyTorch's DistributedDataParallel"
ALONE = "the same without exchange"


def rates(runs):
    """Tokens/s of each step but the first, all runs together."""
    steps = [[json.loads(line)["train/tokens_per_second"] for line in (run / "metrics.jsonl").read_text().splitlines()][1:] for run in runs]
    return [sum(one) for one in zip(*steps)]


def finished(commands):
    """Runs commands at once."""
    processes = [subprocess.Popen([str(word) for word in command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) for command in commands]
    for process, command in zip(processes, commands):
        text = process.communicate()[1]
        if process.returncode:
            sys.exit(f"run.py: exit code {process.returncode} of: {' '.join(map(str, command))}\n{text}")


def side(name, commands, runs):
    def measure():
        for run in runs:
            shutil.rmtree(run, ignore_errors=True)
        finished(commands)
        samples = rates(runs)
        return {"bench": "replicate", "side": name, "others_share": 0.0, "samples": {"tokens_per_s": samples}, "tokens_per_s": statistics.median(samples)}
    return measure


def replicate(bench):
    """Full fine-tuning in fp32: the gradients of all parameters go over the wire at each step."""
    folder = bench.folder / "replicate"
    config = program_files.write(ROOT, folder, MODEL, program_files.SHAPE_OF_FILE, BATCH * PROCESSES, SEQUENCE)
    text = Path(config).read_text()
    adapters, data = text.index("[[model.llm.peft]]"), text.index("[[data.train.sources]]")
    text = (text[:adapters] + text[data:]).replace("[model.llm]\n", "[model.llm]\ntrainable = true\n")
    Path(config).write_text(text.replace(f"tokens_per_batch = {BATCH * PROCESSES * SEQUENCE}", f"tokens_per_batch = {BATCH * SEQUENCE}"))
    steps = 3 if bench.options.quick else 6

    def words(run, batches):
        return [config, "--threads", 1, *(word for value in (f"train.steps={steps}", "precision.compute=fp32", f"train.accumulate={batches}", f"train.output={run}") for word in ("--set", value))]

    together, apart = folder / "together", [folder / f"apart_{i}" for i in range(PROCESSES)]
    launch = [bench.program, "launch", *words(together, PROCESSES), "--procs", PROCESSES]
    alone = [[bench.program, "train", *words(run, 1)] for run in apart]
    peer = [PYTHON, HERE / "peer_ddp.py", "--model", MODEL, "--batch", BATCH, "--seq", SEQUENCE, "--procs", PROCESSES, "--threads", 1, "--reps", steps - 1]
    bench.note(launch, alone[0], peer)
    what = "two processes, full fine-tuning, fp32"
    bench.compare({"ours": side("together", [launch], [together]), "alone": side("apart", alone, apart), "peer": peer},
                  [(Row(what, "tokens/s", "higher", peer=DDP, goal=("C14", 1 / 0.9)), "ours.tokens_per_s", "peer.tokens_per_s"),
                   (Row(what, "tokens/s", "higher", peer=ALONE, goal=("C14", 0.91)), "ours.tokens_per_s", "alone.tokens_per_s"),
                   (Row(f"{DDP}: {what}", "tokens/s", "higher", peer=ALONE), "peer.tokens_per_s", "peer.apart_tokens_per_s")])
