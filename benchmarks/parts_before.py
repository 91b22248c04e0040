"""The parts for --before: this build's benchmark beside an earlier build's, in turn, on whatever machine this is. What a
ratio to a peer says from machine to machine, this says on one: whether something has become slower or larger."""

import random
import subprocess
from pathlib import Path

from bench import MODEL
from parts_media import ENCODERS
from parts_recipes import EARLIER, GOAL, recipes
from rows import Row

MEMORY = ("peak memory", "MiB", "lower", "peak_rss_mib")


def both(bench, what, words, metrics):
    """`metrics`: (what, unit, better, key)."""
    earlier = Path(bench.options.before) / "bin/antiphon_bench"
    rows = [(Row(f"{what}: {name}", unit, better, peer=EARLIER, goal=GOAL[better]), f"ours.{key}", f"earlier.{key}") for name, unit, better, key in metrics]
    bench.compare({"ours": [bench.ours, *words], "earlier": [earlier, *words]}, rows)


def trained(bench, what, verb, *words):
    both(bench, what, [verb, "--model", MODEL, *words, *bench.repeats(most=1 if verb == "mixed" else 3)], [("speed", "tokens/s", "higher", "tokens_per_s"), MEMORY])


def train(bench):
    for dtype in ("bf16", "fp32"):
        trained(bench, f"LoRA step, {dtype}", "train", "--dtype", dtype)
    trained(bench, "full fine-tuning step, bf16", "train", "--dtype", "bf16", "--full")


def mixed(bench):
    chance = random.Random(5)
    lengths = ",".join(str(chance.randint(32, 1024)) for _ in range(8))
    trained(bench, "LoRA, lengths 32 to 1024, bf16", "mixed", "--dtype", "bf16", "--lengths", lengths)


def llava(bench):
    for stage in ("connector", "full", "lora"):
        trained(bench, f"LLaVA step, {stage}, bf16", "llava", "--dtype", "bf16", "--stage", stage)


def decode(bench):
    for name, words in (("bf16", ["--dtype", "bf16"]), ("fp32", ["--dtype", "fp32"]), ("int8", ["--dtype", "bf16", "--weights", "int8"]), ("int4", ["--dtype", "bf16", "--weights", "int4"])):
        both(bench, name, ["decode", "--model", MODEL, *words, *bench.repeats()],
             [("decode", "tokens/s", "higher", "decode_tok_s"), ("first token after 64", "s", "lower", "ttft64_s"), ("prefill of 512", "tokens/s", "higher", "prefill512_tok_s"), MEMORY])


def encoders(bench):
    for what, batch, name in ENCODERS:
        both(bench, f"encoder: {name}, bf16", ["encode", "--model", MODEL, "--what", what, "--batch", batch, "--dtype", "bf16", *bench.repeats()], [("speed", "1/s", "higher", "items_per_s")])


def media(bench):
    words, clip = bench.repeats(threads=1), bench.folder / "clip.mp4"
    both(bench, "log-mel of 30 s, one thread", ["mel", *words], [("time", "s", "lower", "wall_med_s")])
    both(bench, "640x480 to 224x224 pixels, one thread", ["pictures", "--batch", 8, *words], [("speed", "pictures/s", "higher", "pictures_per_s")])
    subprocess.run(["ffmpeg", "-loglevel", "error", "-y", "-f", "lavfi", "-i", "testsrc2=size=1280x720:rate=30:duration=10", "-c:v", "libx264", "-g", "60", "-pix_fmt", "yuv420p", str(clip)], check=True)
    both(bench, "video 720p to 224x224", ["video", "--file", clip, *bench.repeats()], [("a clip a thread", "frames/s", "higher", "clips_fps"), ("one clip", "frames/s", "higher", "one_clip_fps")])
    both(bench, "checkpoint of 512 MB", ["checkpoint", "--folder", bench.folder, *bench.repeats()], [("the step waits", "s", "lower", "blocked_s"), ("until it is on the disk", "s", "lower", "total_s")])


PARTS = {"train": train, "mixed": mixed, "llava": llava, "decode": decode, "encoders": encoders, "media": media, "recipes": recipes}
