"""The part of the benchmark about the data loader: which share of a step waits for data, of pictures and sounds in tars and in tables."""

import io
import json
import random
import shutil
import statistics
import subprocess
import wave

from bench import ROOT
from child import run
from rows import Row

SAMPLES, PIXELS, RATE, SECONDS = 192, (640, 480), 16000, 4
STEPS, WARM = 14, 4  # the first steps fill the queue
SHARD = 32
WORDS = "a red kite over the old harbour in the rain and a bell that rings far away".split()
# The stamps recipe with weights drawn at random and media of a common size.
CONFIG = """extends = ["{root}/configs/recipes/stamps.toml"]
[model.llm]
weights = ""
tokenizer = "{root}/tests/e2e/tiny/tokenizer"
[model.streams.image.encoder]
weights = ""
[model.streams.audio.encoder]
weights = ""
[data]
feature_cache = ""
[[data.train.sources]]
path = "{path}"
[train]
output = "{folder}/run"
max_minutes = 0
checkpoint_every = 1000
"""


def picture(chance):
    """A JPEG of smooth colours with some noise."""
    from PIL import Image

    small = Image.frombytes("RGB", (16, 12), bytes(chance.randrange(256) for _ in range(16 * 12 * 3)))
    out = io.BytesIO()
    small.resize(PIXELS, Image.BICUBIC).save(out, "JPEG", quality=90)
    return out.getvalue()


def sound(chance):
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1), file.setsampwidth(2), file.setframerate(RATE)
        file.writeframes(chance.randbytes(2 * RATE * SECONDS))
    return out.getvalue()


def rows():
    """A third of the samples has a picture, a third a sound, a third both."""
    chance = random.Random(5)
    for number in range(SAMPLES):
        kinds = [["image"], ["audio"], ["image", "audio"]][number % 3]
        media = {kind + "s": [{"bytes": (picture if kind == "image" else sound)(chance), "path": None}] for kind in kinds}
        question = "".join(f"<{kind}>" for kind in kinds) + "What is this?"
        answer = " ".join(chance.choice(WORDS) for _ in range(chance.randrange(6, 14)))
        yield {"id": str(number), "messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}], **media}


def written(bench, folder):
    """The samples as a table and as tars: {name: path}."""
    import pyarrow
    from pyarrow import parquet

    data = list(rows())
    table = [{"images": [], "audios": [], **row} for row in data]
    parquet.write_table(pyarrow.Table.from_pylist(table), folder / "samples.parquet", row_group_size=64)
    lines = []
    for row in data:
        record = dict(row)
        for kind, end in (("images", "jpg"), ("audios", "wav")):
            if kind in row:
                name = f"{row['id']}.{end}"
                (folder / name).write_bytes(row[kind][0]["bytes"])
                record[kind] = [name]
        lines.append(json.dumps(record) + "\n")
    (folder / "samples.jsonl").write_text("".join(lines))
    subprocess.run([bench.program, "data", "convert", folder / "samples.jsonl", folder / "samples.tar", "--shard-samples", str(SHARD)], check=True, capture_output=True)
    return {"tars (WebDataset)": folder / "samples-*.tar", "a table (Parquet)": folder / "samples.parquet"}


def side(bench, folder, path):
    config = folder / f"{path.suffix[1:]}.toml"
    config.write_text(CONFIG.format(root=ROOT, path=path, folder=folder))
    steps = 8 if bench.options.quick else STEPS
    command = [bench.program, "train", config, "--threads", bench.options.threads, "--set", f"train.steps={steps}"]
    bench.note(command)

    def measured():
        shutil.rmtree(folder / "run", ignore_errors=True)
        child = run([str(word) for word in command], until="step 1")
        records = [json.loads(line) for line in (folder / "run/metrics.jsonl").read_text().splitlines()][WARM:]
        waits, whole = ([record[key] for record in records] for key in ("train/data_wait_seconds", "train/step_seconds"))
        # Of all these steps together: a wait comes at some of them.
        return {"bench": "loader", "side": "antiphon", "wait_s": sum(waits) / len(waits), "step_s": statistics.fmean(whole), "others_share": round(child.others, 3), "wall_s": round(child.wall, 3)}
    return measured


def loader(bench):
    folder = bench.folder / "loader"
    folder.mkdir()
    for name, path in written(bench, folder).items():
        bench.compare({"ours": side(bench, folder, path)}, [(Row(f"a step waits for data out of {name}", "s", "lower", peer="the step", goal=("C17", 0.02)), "ours.wait_s", "ours.step_s")])
