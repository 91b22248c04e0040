"""The parts for a class of processors (--isa): ours with precision.compute = "auto" beside the peers' best format there,
which is fp32 if the processor has no bf16 products."""

import json
import random
import subprocess
import sys

import parts_model
from bench import HERE, MODEL, PYTHON
from parts_media import ENCODERS
from rows import Row


def pair(bench, verb, peer, words):
    """The two sides: the same words, each with its format."""
    options = ["--model", MODEL, *words]
    return {"ours": [bench.ours, verb, *options, "--dtype", "auto"], "peer": [PYTHON, HERE / peer, *options, "--dtype", "fp32"]}


def train(bench):
    bench.compare(pair(bench, "train", "peer_train.py", bench.repeats()),
                  [(Row("LoRA step, auto", "tokens/s", "higher", goal=("M1", 1.3)), "ours.tokens_per_s", "peer.tokens_per_s"),
                   (Row("LoRA step, auto: peak memory", "MiB", "lower", goal=("M1", 0.5)), "ours.peak_rss_mib", "peer.peak_rss_mib")])


def mixed(bench):
    chance = random.Random(5)
    lengths = ",".join(str(chance.randint(32, 1024)) for _ in range(8))
    sides = pair(bench, "mixed", "peer_mixed.py", ["--lengths", lengths, *bench.repeats(most=1)])
    sides["peer"] += ["--batch", parts_model.BATCH]
    bench.compare(sides, [(Row("LoRA, lengths 32 to 1024, auto", "trained tokens/s", "higher", goal=("M1", 3.0)), "ours.tokens_per_s", "peer.tokens_per_s"),
                          (Row("LoRA, lengths 32 to 1024, auto: peak memory", "MiB", "lower"), "ours.peak_rss_mib", "peer.peak_rss_mib")])


def decode(bench):
    sides = pair(bench, "decode", "peer_decode.py", bench.repeats())
    metrics = parts_model.decode_metrics("auto", parts_model.TRANSFORMERS, "peer", [("M1", 5.0), ("M1", 1.2)])
    metrics.append((Row("decode, auto: peak memory", "MiB", "lower", peer=parts_model.TRANSFORMERS), "ours.peak_rss_mib", "peer.peak_rss_mib"))
    if command := parts_model.llama_cpp(bench):
        sides["llama"] = command
        metrics += parts_model.decode_metrics("auto", "llama.cpp", "llama", [("M1", 1.2), ()])
    bench.compare(sides, metrics)


def encoders(bench):
    for what, batch, name in ENCODERS:
        bench.compare(pair(bench, "encode", "peer_encode.py", ["--what", what, "--batch", batch, *bench.repeats()]),
                      [(Row(f"encoder: {name}, auto", "1/s", "higher", peer="transformers", goal=("M1", 1.2)), "ours.items_per_s", "peer.items_per_s")])


def together(command, key="tokens_per_s"):
    """Two processes at once: what each of them reached."""
    running = [subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = [process.communicate()[0] for process in running]
    if any(process.returncode for process in running):
        sys.exit(f"run.py: failed, two at once: {' '.join(map(str, command))}")
    lines = [json.loads(output.strip().splitlines()[-1]) for output in outputs]
    return {"bench": "two at once", "others_share": 0.0, "samples": {key: [line[key] for line in lines]}, key: min(line[key] for line in lines)}


def shared(bench):
    """Each of two at once on all cores beside the same alone: half is what can be had."""
    sides = pair(bench, "train", "peer_train.py", ["--warmup", 1, "--reps", 2, "--threads", bench.options.threads])
    bench.note(*sides.values())
    everything = {"ours": sides["ours"], "two": lambda: together(sides["ours"]), "peer": sides["peer"], "two_peers": lambda: together(sides["peer"])}
    bench.compare(everything, [(Row("LoRA step, auto: each of two at once", "tokens/s", "higher", peer="the same alone", goal=("M2", 0.48)), "two.tokens_per_s", "ours.tokens_per_s"),
                               (Row("transformers + peft, fp32: each of two at once", "tokens/s", "higher", peer="the same alone"), "two_peers.tokens_per_s", "peer.tokens_per_s")])
    decoding = pair(bench, "decode", "peer_decode.py", bench.repeats())["ours"]
    bench.note(decoding)
    bench.compare({"ours": decoding, "two": lambda: together(decoding, "decode_tok_s")},
                  [(Row("decode, auto: each of two at once", "tokens/s", "higher", peer="the same alone", goal=("M2", 0.48)), "two.decode_tok_s", "ours.decode_tok_s")])
