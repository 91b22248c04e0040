"""The parts of the benchmark about the language model: training, decoding, start, sessions."""

import json
import os
import random
import shutil
from pathlib import Path

import program_files
from bench import HERE, MODEL, PYTHON, ROOT
from child import run
from page import Row

BATCH, SEQUENCE = 4, 256
RECIPE = ROOT / "configs/recipes/stamps.toml"
IMPORTS = "from transformers import LlamaForCausalLM, Trainer; from peft import get_peft_model"
LLAMA_PYTHON = Path(os.environ.get("ANTIPHON_LLAMA_PYTHON", ROOT / ".cache/llama-cpp/bin/python"))
TRANSFORMERS = "transformers"


def arguments(bench, dtype, *more, most=5):
    return ["--model", MODEL, "--dtype", dtype, *more, *bench.repeats(most=most)]


def train(bench, dtype, goals):
    """LoRA; `goals`: of the speed and of the memory."""
    speed, memory = Row(f"LoRA step, {dtype}", "tokens/s", "higher", goal=goals[0]), Row(f"LoRA step, {dtype}: peak memory", "MiB", "lower", goal=goals[1])
    words = arguments(bench, dtype)
    bench.compare([bench.ours, "train", *words], [[PYTHON, HERE / "peer_train.py", *words]], [(speed, "tokens_per_s"), (memory, "peak_rss_mib")])
    program_train(bench, dtype, speed, memory)


def program_train(bench, dtype, speed, memory):
    """The whole program on samples of the same length, against the peer's bare loop, measured just before."""
    folder = bench.folder / f"program_{dtype}"
    config = program_files.write(ROOT, folder, MODEL, program_files.SHAPE_OF_FILE, BATCH, SEQUENCE)
    steps = 3 if bench.options.quick else 8
    command = [bench.program, "train", config, "--threads", bench.options.threads, "--set", f"precision.compute={dtype}", "--set", f"train.steps={steps}"]
    bench.note(command)
    child = run([str(word) for word in command], until="step 1")
    records = [json.loads(line) for line in (folder / "run/metrics.jsonl").read_text().splitlines()][1:]
    assert all(record["train/samples"] == BATCH for record in records), "a batch of the program is not 4 samples"
    rates = [record["train/tokens_per_second"] for record in records]
    bench.log({"bench": "program_train", "side": "antiphon", "dtype": dtype, "tokens_per_s": rates, "peak_rss_mib": child.peak_rss_mib, "others_share": round(child.others, 3)})
    others = max(child.others, speed.others)
    bench.rows += [Row(f"`antiphon train`, {dtype}", "tokens/s", "higher", rates, speed.theirs, others), Row(f"`antiphon train`, {dtype}: peak memory", "MiB", "lower", [child.peak_rss_mib], memory.theirs, others)]


def full(bench):
    words = arguments(bench, "bf16", "--full")
    bench.compare([bench.ours, "train", *words], [[PYTHON, HERE / "peer_train.py", *words]],
                  [(Row("full fine-tuning step, bf16", "tokens/s", "higher", peer=TRANSFORMERS, goal=("C4", 1.3)), "tokens_per_s"),
                   (Row("full fine-tuning step, bf16: peak memory", "MiB", "lower", peer=TRANSFORMERS), "peak_rss_mib")])


def mixed(bench):
    """Lengths as good as any: uniform, always the same."""
    count = 8 if bench.options.quick else 16
    chance = random.Random(5)
    lengths = ",".join(str(chance.randint(32, 1024)) for _ in range(count))
    words = arguments(bench, "bf16", "--lengths", lengths, most=2)
    bench.compare([bench.ours, "mixed", *words], [[PYTHON, HERE / "peer_mixed.py", *words, "--batch", BATCH]],
                  [(Row("LoRA, lengths 32 to 1024, bf16", "trained tokens/s", "higher", goal=("C5", 3.0)), "tokens_per_s"),
                   (Row("LoRA, lengths 32 to 1024, bf16: peak memory", "MiB", "lower"), "peak_rss_mib")])


def llava(bench):
    for stage, name, peer in (("connector", "connector only", TRANSFORMERS), ("full", "connector and LLM", TRANSFORMERS), ("lora", "connector and LoRA", "transformers + peft")):
        words = arguments(bench, "bf16", "--stage", stage)
        bench.compare([bench.ours, "llava", *words], [[PYTHON, HERE / "peer_llava.py", *words]],
                      [(Row(f"LLaVA step, {name}, bf16", "tokens/s", "higher", peer=peer, goal=("C15", 1.5)), "tokens_per_s"),
                       (Row(f"LLaVA step, {name}, bf16: peak memory", "MiB", "lower", peer=peer), "peak_rss_mib")])


def decode_rows(dtype, peer, which, goals):
    """Speed only: `goals` of decoding and of prefill."""
    rows = [Row(f"decode, {dtype}", "tokens/s", "higher", peer=peer, goal=goals[0]), Row(f"first token after 64, {dtype}", "s", "lower", peer=peer),
            Row(f"prefill of 512, {dtype}", "tokens/s", "higher", peer=peer, goal=goals[1])]
    return [(row, key, which, key) for row, key in zip(rows, ("decode_tok_s", "ttft64_s", "prefill512_tok_s"), strict=True)]


def decode(bench, dtype, goals):
    words = arguments(bench, dtype)
    peers, metrics = [[PYTHON, HERE / "peer_decode.py", *words]], decode_rows(dtype, TRANSFORMERS, 0, goals)
    metrics.append((Row(f"decode, {dtype}: peak memory", "MiB", "lower", peer=TRANSFORMERS), "peak_rss_mib"))
    if dtype == "bf16" and (command := llama_cpp(bench)):
        peers.append(command)
        metrics += decode_rows(dtype, "llama.cpp", 1, [("C6", 1.0), ()])
    bench.compare([bench.ours, "decode", *words], peers, metrics, bench.many)


def quantized(bench):
    """Weights in 8 and 4 bits with a bf16 scale for 32, beside the formats of the same width."""
    for weights, kind in (("int8", "Q8_0"), ("int4", "Q4_0")):
        if not (command := llama_cpp(bench, kind)):
            return
        metrics = [metric[:2] for metric in decode_rows(weights, f"llama.cpp {kind}", 0, [("C7", 0.9), ()])]
        metrics.append((Row(f"decode, {weights}: peak memory", "MiB", "lower", peer=f"llama.cpp {kind}"), "peak_rss_mib"))
        bench.compare([bench.ours, "decode", *arguments(bench, "bf16", "--weights", weights)], [command], metrics, bench.many)


def llama_cpp(bench, kind="BF16"):
    """The command of that peer, for a file of the same shape with random weights; None where it is not there."""
    if not LLAMA_PYTHON.exists():
        return bench.skip("llama.cpp: it is not there; ./setup bench-llama builds it, which takes a quarter of an hour")
    file = bench.folder / f"random_{kind}.gguf"
    run([PYTHON, str(HERE / "random_gguf.py"), "--model", str(MODEL), "--type", kind, "--out", str(file)])
    return [LLAMA_PYTHON, HERE / "peer_llama_cpp.py", "--gguf", file, "--type", kind, *bench.repeats()]


def session(bench):
    """From the end of a spoken turn to the first token; ours only, with work ahead and without."""
    sounds = sorted((ROOT / ".cache/demo/debian").glob("asterisk-core-sounds-en-g722/usr/share/asterisk/sounds/*/agent-alreadyon.g722"))
    if not sounds or not (ROOT / "models/silero-vad").exists():
        return bench.skip("sessions: the demo's models and recordings are not there (tools/demo/prepare.sh)")
    command = [bench.ours, "session", "--recipe", RECIPE, "--sound", sounds[0], "--detector", ROOT / "models/silero-vad", "--dtype", "bf16", *bench.repeats()]
    bench.note(command)
    child = run([str(word) for word in command])
    print(child.output, end="", flush=True)
    bench.sessions = [{**json.loads(line), "others_share": round(child.others, 3)} for line in child.output.splitlines()]


def startup(bench):
    repeats = 2 if bench.options.quick else 5
    config = program_files.write(ROOT, bench.folder / "startup", MODEL, program_files.ONE_LAYER, BATCH, SEQUENCE)
    imports, first = [PYTHON, "-c", IMPORTS], [PYTHON, HERE / "peer_startup.py", config]

    def one_step():
        shutil.rmtree(bench.folder / "startup/run", ignore_errors=True)
        return [bench.program, "train", config, "--set", "train.steps=1"]

    pairs = [("start: `antiphon --help` / imports of a script", lambda: [bench.program, "--help"], imports, None, ()),
             ("start: `antiphon validate` / the same imports", lambda: [bench.program, "validate", RECIPE], imports, None, ()),
             ("start: launch to first step, one layer", one_step, first, "step 1", ("C11", 0.125))]
    for what, ours, peer, until, goal in pairs:
        bench.note(ours(), peer)
        bench.timed_row(Row(what, "s", "lower", goal=goal), ours, peer, until, repeats)
