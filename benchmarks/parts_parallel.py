"""The parts of the benchmark about several processes: what is exchanged beside nothing exchanged, and beside PyTorch."""

import json
import os
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

import program_files
from bench import HERE, MODEL, PYTHON, ROOT
from child import loopback_bytes
from rows import Row

BATCH, SEQUENCE, PROCESSES = 2, 128, 2  # of each process
DDP, FSDP = "PyTorch's DistributedDataParallel", "PyTorch's FSDP2"
ALONE = "the same without exchange"


def rates(runs):
    """Tokens/s of each step but the first, all runs together."""
    steps = [[json.loads(line)["train/tokens_per_second"] for line in (run / "metrics.jsonl").read_text().splitlines()][1:] for run in runs]
    return [sum(one) for one in zip(*steps)]


def finished(commands):
    """Runs commands at once. -> the largest resident memory of one of their processes, in MiB."""
    processes = [subprocess.Popen([str(word) for word in command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) for command in commands]
    largest = 0
    for process, command in zip(processes, commands):
        text = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)  # with those that it has waited for
        process.returncode = os.waitstatus_to_exitcode(status)
        largest = max(largest, usage.ru_maxrss // 1024)
        if process.returncode:
            sys.exit(f"run.py: exit code {process.returncode} of: {' '.join(map(str, command))}\n{text}")
    return largest


def side(name, commands, runs):
    def measure():
        for run in runs:
            shutil.rmtree(run, ignore_errors=True)
        before = loopback_bytes()
        rss, samples = finished(commands), rates(runs)
        sent = (loopback_bytes() - before) / 2**20 / (len(samples) + 1)  # a step, with what starting and ending a run takes
        return {"bench": "replicate", "side": name, "others_share": 0.0, "samples": {"tokens_per_s": samples}, "tokens_per_s": statistics.median(samples), "rank_rss_mib": rss, "sent_mib": sent}
    return measure


def full_fine_tuning(bench, folder, shape, samples):
    """A configuration whose parameters are all trained, with samples of one length, two a batch."""
    config = program_files.write(ROOT, bench.folder / folder, MODEL, shape, samples, SEQUENCE)
    text = Path(config).read_text()
    adapters, data = text.index("[[model.llm.peft]]"), text.index("[[data.train.sources]]")
    text = (text[:adapters] + text[data:]).replace("[model.llm]\n", "[model.llm]\ntrainable = true\n")
    Path(config).write_text(text.replace(f"tokens_per_batch = {samples * SEQUENCE}", f"tokens_per_batch = {BATCH * SEQUENCE}"))
    return config


def parallel(bench):
    """Full fine-tuning in fp32: the gradients of all parameters go over the wire at each step, and with FSDP the parameters."""
    config, steps = full_fine_tuning(bench, "parallel", program_files.SHAPE_OF_FILE, BATCH * PROCESSES), 3 if bench.options.quick else 6

    def words(run, batches, *more):
        return [config, "--threads", 1, *(word for value in (f"train.steps={steps}", "precision.compute=fp32", f"train.accumulate={batches}", f"train.output={run}", *more) for word in ("--set", value))]

    def launched(name, *more):
        run = bench.folder / "parallel" / name
        return [bench.program, "launch", *words(run, PROCESSES, *more), "--procs", PROCESSES], run

    replicated, run = launched("replicated")
    cut, run_cut = launched("cut", f"parallel.fsdp={PROCESSES}")
    between, run_between = launched("between", f"parallel.fsdp={PROCESSES}", "parallel.reshard=false")
    apart = [bench.folder / "parallel" / f"apart_{i}" for i in range(PROCESSES)]
    alone = [[bench.program, "train", *words(run, 1)] for run in apart]
    peers = {kind: [PYTHON, HERE / "peer_parallel.py", "--kind", kind, "--model", MODEL, "--batch", BATCH, "--seq", SEQUENCE, "--procs", PROCESSES, "--threads", 1, "--reps", steps - 1] for kind in ("ddp", "fsdp")}
    bench.note(replicated, cut, between, alone[0], *peers.values())
    what, unit = "two processes, full fine-tuning, fp32", "tokens/s"
    rows = {"ours": (what, DDP, "ddp", 1 / 0.9), "cut": (f"{what}, fsdp", FSDP, "fsdp", 1 / 0.9), "between": (f"{what}, fsdp without reshard", FSDP, "fsdp", 1 / 0.9)}
    metrics = [(Row(name, unit, "higher", peer=peer, goal=("C14", goal)), f"{side}.tokens_per_s", f"{of}.tokens_per_s") for side, (name, peer, of, goal) in rows.items()]
    metrics += [(Row(rows[side][0], unit, "higher", peer=ALONE, goal=("C14", goal)), f"{side}.tokens_per_s", "alone.tokens_per_s") for side, goal in (("ours", 0.91), ("cut", 0.8), ("between", 0.8))]
    for side_, (name, peer, of, _) in rows.items():  # copies of one model send the same gradients, and beside them some words of control
        metrics += [(Row(f"{name}: {text}", "MiB", "lower", peer=peer, goal=("C14", goal)), f"{side_}.{key}", f"{of}.{key}") for text, key, goal in (("peak memory of a process", "rank_rss_mib", 1), ("sent in a step", "sent_mib", 1.001))]
    metrics.append((Row(f"{DDP}: {what}", unit, "higher", peer=ALONE), "ddp.tokens_per_s", "ddp.apart_tokens_per_s"))
    bench.compare({"ours": side("together", [replicated], [run]), "ddp": peers["ddp"], "cut": side("cut", [cut], [run_cut]), "fsdp": peers["fsdp"],
                   "between": side("between", [between], [run_between]), "alone": side("apart", alone, apart)}, metrics)
