"""The part of --before about the shipped recipes: their own files at their own widths, fewer layers, weights drawn at random, samples made here. What is
written is what builds from 2026-11-27 on read."""

import json
import random
import shutil
import statistics
from pathlib import Path

from bench import ROOT
from child import run
from parts_loader import WORDS, picture, sound
from rows import Row

EARLIER, GOAL = "an earlier build", {"higher": ("kept", 0.9), "lower": ("kept", 1.1)}
STEPS, WARM = 12, 4
# Recipe -> (layers of the language model, layers of each stream's encoder); 0: all
RECIPES = {
    "stamps": (0, {"image": 0, "audio": 0}),
    "avlm_8b_finetune": (2, {"image": 6, "audio": 4}),
    "llava15_7b_finetune": (1, {"image": 6}),
    "vila_qwen2_7b": (2, {"image": 6}),
    "salm_llama3.2-1b_fc_linear_peft": (4, {"audio": 4}),
    "salm_llama3-8b_fc_fc_peft": (2, {"audio": 4}),
}
SAMPLES = 48


def table(values):
    return "{ " + ", ".join(f"{key} = {json.dumps(value)}" for key, value in values.items()) + " }"


def written(folder, kinds):
    """A set whose samples have a medium of each kind; its file."""
    path, chance = folder / f"{'_'.join(sorted(kinds))}.jsonl", random.Random(7)
    if path.exists():
        return path
    lines = []
    for number in range(SAMPLES):
        parts = []
        for kind in kinds:
            name = f"{path.stem}_{number}.{'jpg' if kind == 'image' else 'wav'}"
            (folder / name).write_bytes((picture if kind == "image" else sound)(chance))
            parts.append({"type": kind, kind: name})
        answer = " ".join(chance.choice(WORDS) for _ in range(40))
        lines.append({"id": str(number), "messages": [{"role": "user", "content": [*parts, {"type": "text", "text": "What is this?"}]}, {"role": "assistant", "content": [{"type": "text", "text": answer}]}]})
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def write(folder, recipe, layers, encoders):
    """A TOML file that extends the recipe."""
    own = {"weights": "", "tokenizer": f"{ROOT}/tests/e2e/tiny/tokenizer", "chat_template": "", **({"num_layers": layers, "vocab_size": 8192} if layers else {})}
    lines = [f'extends = ["{ROOT}/configs/recipes/{recipe}.toml"]', "[model]", f"llm = {table(own)}"]
    for name, count in encoders.items():
        lines += [f"streams.{name}.encoder = {table({'weights': '', **({'num_layers': count} if count else {})})}", f'streams.{name}.connector.weights = ""']
    lines += ["[data]", 'feature_cache = ""', f'train.sources = [{{ path = "{written(folder, encoders)}" }}]',
              "[train]", f"steps = {STEPS}", "max_minutes = 0", "accumulate = 1", "tokens_per_batch = 1024", "eval_every = 0", "checkpoint_every = 1000"]
    path = folder / f"{recipe}.toml"
    path.write_text("\n".join(lines) + "\n")
    return path


def side(bench, build, config, folder):
    command = [build / "bin/antiphon", "train", config, "--threads", bench.options.threads, "--set", f"train.output={folder}"]

    def measured():
        shutil.rmtree(folder, ignore_errors=True)
        child = run([str(word) for word in command], until="step 1")
        rates = [record["train/tokens_per_second"] for record in map(json.loads, (folder / "metrics.jsonl").read_text().splitlines()) if "train/loss" in record][WARM:]
        return {"bench": "recipes", "side": config.stem, "tokens_per_s": statistics.median(rates), "samples": {"tokens_per_s": rates}, "peak_rss_mib": child.peak_rss_mib, "others_share": round(child.others, 3), "wall_s": round(child.wall, 3)}
    return measured


def recipes(bench):
    folder = bench.folder / "recipes"
    folder.mkdir()
    for recipe, (layers, encoders) in RECIPES.items():
        config = write(folder, recipe, layers, encoders)
        sides = {name: side(bench, Path(build), config, folder / f"{recipe}_{name}") for name, build in (("ours", bench.options.build), ("earlier", bench.options.before))}
        rows = [(Row(f"{recipe}: {what}", unit, better, peer=EARLIER, goal=GOAL[better]), f"ours.{key}", f"earlier.{key}")
                for what, unit, better, key in (("speed", "tokens/s", "higher", "tokens_per_s"), ("peak memory", "MiB", "lower", "peak_rss_mib"))]
        bench.compare(sides, rows)
