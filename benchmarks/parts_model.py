"""The parts of the benchmark about the language model: training, decoding, start, sessions."""

import json
import random
import shutil
import statistics
from pathlib import Path

import isa
import program_files
from bench import HERE, MODEL, PYTHON, ROOT
from child import run
from rows import Row

BATCH, SEQUENCE = 4, 256
RECIPE = ROOT / "configs/recipes/stamps.toml"
IMPORTS = "from transformers import LlamaForCausalLM, Trainer; from peft import get_peft_model"
TRANSFORMERS = "transformers"


def arguments(bench, dtype, *more, most=3):
    return ["--model", MODEL, "--dtype", dtype, *more, *bench.repeats(most=most)]


def train(bench, dtype, goals):
    """LoRA; `goals`: of the speed and of the memory. The whole program beside the peer's bare loop, too."""
    words, program = arguments(bench, dtype), f"`antiphon train`, {dtype}"
    sides = {"ours": [bench.ours, "train", *words], "peer": [PYTHON, HERE / "peer_train.py", *words], "program": program_train(bench, dtype)}
    rows = [(f"LoRA step, {dtype}", goals, "ours"), (program, [(), ()], "program")]
    bench.compare(sides, [metric for what, (speed, memory), side in rows for metric in (
        (Row(what, "tokens/s", "higher", goal=speed), f"{side}.tokens_per_s", "peer.tokens_per_s"),
        (Row(f"{what}: peak memory", "MiB", "lower", goal=memory), f"{side}.peak_rss_mib", "peer.peak_rss_mib"))])


def qlora(bench):
    """LoRA over a frozen decoder of 302 million weights, which are kept in few bits, beside the same in bf16: the whole program."""
    names = {"bf16": "", "nf4": "nf4", "int8": "int8", "int4": "int4"}
    sides = {name: program_train(bench, "bf16", f"over_{name}", program_files.WIDE, *(("--set", f"precision.weights={weights}") if weights else ())) for name, weights in names.items()}
    sides = {"ours": sides.pop("bf16"), **sides}
    bench.compare(sides, [metric for name in ("nf4", "int8", "int4") for metric in (
        (Row(f"LoRA over {name}: peak memory", "MiB", "lower", peer="over bf16"), f"{name}.peak_rss_mib", "ours.peak_rss_mib"),
        (Row(f"LoRA over {name}", "tokens/s", "higher", peer="over bf16"), f"{name}.tokens_per_s", "ours.tokens_per_s"))])


def program_train(bench, dtype, name="", shape=program_files.SHAPE_OF_FILE, *more):
    """A side: the program with samples of the same length; its first step is left out."""
    folder = bench.folder / f"program_{name or dtype}"
    config = program_files.write(ROOT, folder, MODEL, shape, BATCH, SEQUENCE)
    command = [bench.program, "train", config, "--threads", bench.options.threads, "--set", f"precision.compute={dtype}", "--set", f"train.steps={3 if bench.options.quick else 5}", *more]
    bench.note(command)

    def side():
        shutil.rmtree(folder / "run", ignore_errors=True)
        child = run([str(word) for word in command], until="step 1")
        records = [json.loads(line) for line in (folder / "run/metrics.jsonl").read_text().splitlines()][1:]
        assert all(record["train/samples"] == BATCH for record in records), "a batch of the program is not 4 samples"
        rates = [record["train/tokens_per_second"] for record in records]
        return {"bench": "program_train", "side": "antiphon", "dtype": dtype, "samples": {"tokens_per_s": rates}, "tokens_per_s": statistics.median(rates),
                "peak_rss_mib": child.peak_rss_mib, "others_share": round(child.others, 3), "wall_s": round(child.wall, 3)}
    return side


def full(bench):
    words = arguments(bench, "bf16", "--full")
    bench.compare({"ours": [bench.ours, "train", *words], "peer": [PYTHON, HERE / "peer_train.py", *words]},
                  [(Row("full fine-tuning step, bf16", "tokens/s", "higher", peer=TRANSFORMERS, goal=("C4", 1.3)), "ours.tokens_per_s", "peer.tokens_per_s"),
                   (Row("full fine-tuning step, bf16: peak memory", "MiB", "lower", peer=TRANSFORMERS), "ours.peak_rss_mib", "peer.peak_rss_mib")])


def recompute(bench):
    """LoRA on long samples, activations of each block computed again: beside the peer's gradient checkpointing, and beside our step that keeps them."""
    words, name = [*arguments(bench, "bf16", "--seq", 1024), "--recompute"], "LoRA step, 4 x 1,024 tokens, recomputed, bf16"
    bench.compare({"ours": [bench.ours, "train", *words], "peer": [PYTHON, HERE / "peer_train.py", *words], "kept": [bench.ours, "train", *words[:-1]]},
                  [metric for peer, side in (("transformers + peft, checkpointed", "peer"), ("ours, kept", "kept")) for metric in (
                      (Row(name, "tokens/s", "higher", peer=peer), "ours.tokens_per_s", f"{side}.tokens_per_s"),
                      (Row(f"{name}: peak memory", "MiB", "lower", peer=peer), "ours.peak_rss_mib", f"{side}.peak_rss_mib"))])


def mixed(bench):
    """Lengths as good as any: uniform, always the same."""
    count = 8 if bench.options.quick else 16
    chance = random.Random(5)
    lengths = ",".join(str(chance.randint(32, 1024)) for _ in range(count))
    words = arguments(bench, "bf16", "--lengths", lengths, most=1)
    bench.compare({"ours": [bench.ours, "mixed", *words], "peer": [PYTHON, HERE / "peer_mixed.py", *words, "--batch", BATCH]},
                  [(Row("LoRA, lengths 32 to 1024, bf16", "trained tokens/s", "higher", goal=("C5", 3.0)), "ours.tokens_per_s", "peer.tokens_per_s"),
                   (Row("LoRA, lengths 32 to 1024, bf16: peak memory", "MiB", "lower"), "ours.peak_rss_mib", "peer.peak_rss_mib")])


def llava(bench):
    for stage, name, peer in (("connector", "connector only", TRANSFORMERS), ("full", "connector and LLM", TRANSFORMERS), ("lora", "connector and LoRA", "transformers + peft")):
        words = arguments(bench, "bf16", "--stage", stage)
        bench.compare({"ours": [bench.ours, "llava", *words], "peer": [PYTHON, HERE / "peer_llava.py", *words]},
                      [(Row(f"LLaVA step, {name}, bf16", "tokens/s", "higher", peer=peer, goal=("C15", 1.5)), "ours.tokens_per_s", "peer.tokens_per_s"),
                       (Row(f"LLaVA step, {name}, bf16: peak memory", "MiB", "lower", peer=peer), "ours.peak_rss_mib", "peer.peak_rss_mib")])


def vision(bench):
    """Qwen3-VL-2B's sizes with a quarter of its blocks, as the peer holds all weights in float32 while it trains."""
    words = ["--model", ROOT / "configs/models/qwen3-vl-2b.toml", "--dtype", "bf16", *bench.repeats()]
    bench.compare({"ours": [bench.ours, "vision", *words, "--what", "train", "--batch", 2], "peer": [PYTHON, HERE / "peer_vision.py", *words, "--what", "train", "--batch", 2]},
                  [(Row("Qwen3-VL step, mergers and LoRA, 6 of 28 layers, 6 of 24 blocks, bf16", "tokens/s", "higher", goal=("Q1", 1.5)), "ours.tokens_per_s", "peer.tokens_per_s"),
                   (Row("Qwen3-VL step, mergers and LoRA, 6 of 28 layers, 6 of 24 blocks, bf16: peak memory", "MiB", "lower"), "ours.peak_rss_mib", "peer.peak_rss_mib")])
    bench.compare({"ours": [bench.ours, "vision", *words, "--what", "decode"], "peer": [PYTHON, HERE / "peer_vision.py", *words, "--what", "decode"]},
                  [(Row("Qwen3-VL answer to a picture, 6 of 28 layers, 6 of 24 blocks, bf16", "tokens/s", "higher", peer=TRANSFORMERS, goal=("Q2", 2.0)), "ours.decode_tok_s", "peer.decode_tok_s"),
                   (Row("Qwen3-VL answer to a picture, bf16: first token", "s", "lower", peer=TRANSFORMERS), "ours.first_s", "peer.first_s")])


def omni(bench):
    """The sizes of Qwen2.5-Omni-3B's thinker with a part of its blocks; a picture and four seconds of sound in each sample."""
    words = ["--model", ROOT / "configs/models/qwen2.5-omni-3b.toml", "--dtype", "bf16", *bench.repeats()]
    steps = [*words, "--what", "train", "--batch", 2, "--seq", 384]
    size = "6 of 36 layers, 6 of 32 blocks, bf16"
    bench.compare({"ours": [bench.ours, "omni", *steps], "peer": [PYTHON, HERE / "peer_omni.py", *steps]},
                  [(Row(f"Qwen2.5-Omni step, connectors and LoRA, {size}", "tokens/s", "higher", goal=("Q1", 1.5)), "ours.tokens_per_s", "peer.tokens_per_s"),
                   (Row(f"Qwen2.5-Omni step, connectors and LoRA, {size}: peak memory", "MiB", "lower"), "ours.peak_rss_mib", "peer.peak_rss_mib")])
    bench.compare({"ours": [bench.ours, "omni", *words, "--what", "decode"], "peer": [PYTHON, HERE / "peer_omni.py", *words, "--what", "decode"]},
                  [(Row(f"Qwen2.5-Omni answer to a picture and a sound, {size}", "tokens/s", "higher", peer=TRANSFORMERS, goal=("Q2", 2.0)), "ours.decode_tok_s", "peer.decode_tok_s"),
                   (Row("Qwen2.5-Omni answer to a picture and a sound, bf16: first token", "s", "lower", peer=TRANSFORMERS), "ours.first_s", "peer.first_s")])


def decode_metrics(dtype, peer, side, goals):
    """Speed only: `goals` of decoding and of prefill."""
    rows = [Row(f"decode, {dtype}", "tokens/s", "higher", peer=peer, goal=goals[0]), Row(f"first token after 64, {dtype}", "s", "lower", peer=peer),
            Row(f"prefill of 512, {dtype}", "tokens/s", "higher", peer=peer, goal=goals[1])]
    return [(row, f"ours.{key}", f"{side}.{key}") for row, key in zip(rows, ("decode_tok_s", "ttft64_s", "prefill512_tok_s"), strict=True)]


def decode(bench, dtype, goals):
    words = arguments(bench, dtype)
    sides = {"ours": [bench.ours, "decode", *words], "hf": [PYTHON, HERE / "peer_decode.py", *words]}
    metrics = decode_metrics(dtype, TRANSFORMERS, "hf", goals)
    metrics.append((Row(f"decode, {dtype}: peak memory", "MiB", "lower", peer=TRANSFORMERS), "ours.peak_rss_mib", "hf.peak_rss_mib"))
    if dtype == "bf16" and (command := llama_cpp(bench)):
        sides["llama"] = command
        metrics += decode_metrics(dtype, "llama.cpp", "llama", [("C6", 1.0), ()])
    bench.compare(sides, metrics)
    together(bench, dtype, words, ("E1", 3.0) if dtype == "bf16" else ())


def together(bench, dtype, words, goal):
    """Tokens of eight answers that are written at once, beside one."""
    bench.compare({"ours": [bench.ours, "decode", *words], "eight": [bench.ours, "decode", *words, "--rows", 8]},
                  [(Row(f"decode, {dtype}: 8 answers at once", "tokens/s", "higher", peer="one answer", goal=goal), "eight.decode_tok_s", "ours.decode_tok_s")])


def quantized(bench):
    """Weights in 8 and 4 bits with a bf16 scale for 32, beside the formats of the same width."""
    for weights, kind in (("int8", "Q8_0"), ("int4", "Q4_0")):
        if not (command := llama_cpp(bench, kind)):
            return
        metrics = decode_metrics(weights, f"llama.cpp {kind}", "llama", [("C7", 0.9), ()])
        metrics.append((Row(f"decode, {weights}: peak memory", "MiB", "lower", peer=f"llama.cpp {kind}"), "ours.peak_rss_mib", "llama.peak_rss_mib"))
        bench.compare({"ours": [bench.ours, "decode", *arguments(bench, "bf16", "--weights", weights)], "llama": command}, metrics)


def llama_cpp(bench, kind="BF16"):
    """The command of that peer, for a file of the same shape with random weights; None if it is not there."""
    python = isa.llama_python(ROOT, bench.options.isa)
    if not python.exists():
        return bench.skip(f"llama.cpp: it is not there; ./setup bench-llama {bench.options.isa} builds it, which takes a quarter of an hour")
    file = bench.folder / f"random_{kind}.gguf"
    run([PYTHON, str(HERE / "random_gguf.py"), "--model", str(MODEL), "--type", kind, "--out", str(file)])
    return [python, HERE / "peer_llama_cpp.py", "--gguf", file, "--type", kind, *bench.repeats()]


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
    config = program_files.write(ROOT, bench.folder / "startup", MODEL, program_files.ONE_LAYER, BATCH, SEQUENCE)
    imports, first = [PYTHON, "-c", IMPORTS], [PYTHON, HERE / "peer_startup.py", config]

    def one_step():
        shutil.rmtree(bench.folder / "startup/run", ignore_errors=True)
        return [bench.program, "train", config, "--set", "train.steps=1"]

    bench.seconds(Row("start: `antiphon --help` / imports of a script", "s", "lower"), lambda: [bench.program, "--help"], imports)
    bench.seconds(Row("start: `antiphon validate` / the same imports", "s", "lower"), lambda: [bench.program, "validate", RECIPE], imports)
    bench.seconds(Row("start: launch to first step, one layer", "s", "lower", goal=("C11", 0.125)), one_step, first, "step 1")
