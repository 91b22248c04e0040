"""Measures Antiphon beside transformers + peft on this machine: ours, the peer, ours, the peer. Prints a JSON line for
each run and a table of ratios, and writes them into docs/performance.md.

usage: ./dev bench [--quick] [--only WORD] [--threads N] [--page FILE]
"""

import argparse
import datetime
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import page
import program_files
from child import CORES, run

ROOT = Path(__file__).resolve().parents[1]
HERE = ROOT / "benchmarks"
OURS, PROGRAM, PYTHON = ROOT / "build/bin/antiphon_bench", ROOT / "build/bin/antiphon", sys.executable
MODEL = ROOT / "configs/models/smollm2-135m.toml"
RECIPE = ROOT / "configs/recipes/stamps.toml"
IMPORTS = "from transformers import LlamaForCausalLM, Trainer; from peft import get_peft_model"
BATCH, SEQUENCE = 4, 256


class Bench:
    def __init__(self, options, folder):
        self.options, self.folder, self.rows, self.commands, self.versions, self.sessions = options, folder, [], [], {}, []
        self.rounds = 1 if options.quick else 2
        self.repeats = ["--warmup", "1", "--reps", "2" if options.quick else "5", "--threads", str(options.threads)]

    def note(self, *commands):
        """The commands as the page shows them."""
        for command in commands:
            text = " ".join(f"'{word}'" if " " in str(word) else str(word) for word in command)
            self.commands.append(text.replace(str(PYTHON), "python").replace(str(ROOT) + "/", "").replace(str(self.folder), "FOLDER"))

    def alternate(self, ours, peer):
        """(ours, peer) of each round; every run prints its line."""
        for _ in range(self.rounds):
            pair = ours(), peer()
            for child in pair:
                self.log({**child.line(), "others_share": round(child.others, 3), "wall_s": round(child.wall, 3)})
            yield pair

    @staticmethod
    def log(line):
        print(json.dumps({key: value for key, value in line.items() if key != "samples"}), flush=True)

    def verb(self, verb, dtype, metrics):
        """A pair of antiphon_bench VERB and peer_VERB.py; `metrics`: (key, row)."""
        arguments = ["--model", MODEL, "--dtype", dtype, *self.repeats]
        ours, peer = [OURS, verb, *arguments], [PYTHON, HERE / f"peer_{verb}.py", *arguments]
        self.note(ours, peer)
        for a, b in self.alternate(lambda: run(ours), lambda: run(peer)):
            one, two = a.line(), b.line()
            self.versions = {key: two[key] for key in ("torch", "transformers", "peft") if key in two} | self.versions
            if "loss0" in one and abs(one["loss0"] - two["loss0"]) > 0.3:
                sys.exit(f"run.py: the first losses differ ({one['loss0']:.3f} and {two['loss0']:.3f}): the two sides do not train the same model")
            for key, row in metrics:
                row.ours += one["samples"].get(key, [one.get(key)])
                row.peer += two["samples"].get(key, [two.get(key)])
                row.others = max(row.others, a.others, b.others)
        self.rows += [row for _, row in metrics]

    def train(self, dtype):
        speed, memory = page.Row(f"LoRA step, {dtype}", "tokens/s", "higher"), page.Row(f"LoRA step, {dtype}: peak memory", "MiB", "lower")
        self.verb("train", dtype, [("tokens_per_s", speed), ("peak_rss_mib", memory)])
        self.program_train(dtype, speed, memory)

    def program_train(self, dtype, speed, memory):
        """The whole program on samples of the same length, against the peer's bare loop, measured just before."""
        folder = self.folder / f"program_{dtype}"
        config = program_files.write(ROOT, folder, MODEL, program_files.SHAPE_OF_FILE, BATCH, SEQUENCE)
        steps = 3 if self.options.quick else 8
        command = [PROGRAM, "train", config, "--threads", self.options.threads, "--set", f"precision.compute={dtype}", "--set", f"train.steps={steps}"]
        self.note(command)
        child = run([str(word) for word in command], until="step 1")
        records = [json.loads(line) for line in (folder / "run/metrics.jsonl").read_text().splitlines()][1:]
        assert all(record["train/samples"] == BATCH for record in records), "a batch of the program is not 4 samples"
        rates = [record["train/tokens_per_second"] for record in records]
        self.log({"bench": "program_train", "side": "antiphon", "dtype": dtype, "tokens_per_s": rates, "peak_rss_mib": child.peak_rss_mib, "others_share": round(child.others, 3)})
        others = max(child.others, speed.others)
        self.rows += [page.Row(f"`antiphon train`, {dtype}", "tokens/s", "higher", rates, speed.peer, others),
                      page.Row(f"`antiphon train`, {dtype}: peak memory", "MiB", "lower", [child.peak_rss_mib], memory.peer, others)]

    def decode(self, dtype):
        self.verb("decode", dtype, [("decode_tok_s", page.Row(f"decode, {dtype}", "tokens/s", "higher")), ("ttft64_s", page.Row(f"first token after 64, {dtype}", "s", "lower")),
                                    ("prefill512_tok_s", page.Row(f"prefill of 512, {dtype}", "tokens/s", "higher")), ("peak_rss_mib", page.Row(f"decode, {dtype}: peak memory", "MiB", "lower"))])

    def session(self):
        """From the end of a spoken turn to the first token; ours only, with work ahead and without."""
        sounds = sorted((ROOT / ".cache/demo/debian").glob("asterisk-core-sounds-en-g722/usr/share/asterisk/sounds/*/agent-alreadyon.g722"))
        if not sounds or not (ROOT / "models/silero-vad").exists():
            return print("run.py: no session figures: the demo's models and recordings are not there (tools/demo/prepare.sh)")
        command = [OURS, "session", "--recipe", RECIPE, "--sound", sounds[0], "--detector", ROOT / "models/silero-vad", "--dtype", "bf16", *self.repeats]
        self.note(command)
        child = run([str(word) for word in command])
        print(child.output, end="", flush=True)
        self.sessions = [{**json.loads(line), "others_share": round(child.others, 3)} for line in child.output.splitlines()]

    def startup(self):
        repeats = 2 if self.options.quick else 5
        config = program_files.write(ROOT, self.folder / "startup", MODEL, program_files.ONE_LAYER, BATCH, SEQUENCE)
        imports, first = [PYTHON, "-c", IMPORTS], [PYTHON, HERE / "peer_startup.py", config]

        def train():
            shutil.rmtree(self.folder / "startup/run", ignore_errors=True)
            return [PROGRAM, "train", config, "--set", "train.steps=1"]

        pairs = [("start: `antiphon --help` / imports of a script", lambda: [PROGRAM, "--help"], imports, None),
                 ("start: `antiphon validate` / the same imports", lambda: [PROGRAM, "validate", RECIPE], imports, None),
                 ("start: launch to first step, one layer", train, first, "step 1")]
        for what, ours, peer, until in pairs:
            self.note(ours(), peer)
            self.timed_row(page.Row(what, "s", "lower"), ours, peer, until, repeats)

    def timed_row(self, row, ours, peer, until, repeats):
        for i in range(repeats + 1):  # the first pair only warms the page cache
            a, b = run([str(word) for word in ours()], until), run([str(word) for word in peer], until)
            if i > 0:
                row.ours.append(a.until), row.peer.append(b.until)
                row.others = max(row.others, b.others)  # ours is too short for the clock of /proc/stat
        self.log({"bench": row.what, "side": "both", "antiphon_s": row.ours, "peer_s": row.peer, "others_share": round(row.others, 3)})
        self.rows.append(row)


def cpu():
    info = [line.split(":", 1) for line in open("/proc/cpuinfo") if ":" in line]
    values = {key.strip(): value.strip() for key, value in info}
    flags = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in values.get("flags", "").split()]
    return f"{values.get('model name', 'unknown')}, {CORES} cores, {' '.join(flags)}"


def git(*words):
    return subprocess.run(["git", "-C", ROOT, *words], capture_output=True, text=True).stdout.strip()


def facts(bench):
    commit = git("rev-parse", "--short=12", "HEAD") + (" with local changes" if git("status", "--porcelain", "--untracked-files=no", "--", "core", "plugins", "apps", "benchmarks") else "")
    memory = int(open("/proc/meminfo").readline().split()[1]) / 2**20
    settings = [f"{key}={os.environ[key]}" for key in sorted(os.environ) if key.startswith(("OMP_", "KMP_", "MKL_", "DNNL_"))]
    return {"date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"), "commit": commit, "machine": f"{cpu()}, {memory:.0f} GiB",
            "threads": f"{bench.options.threads or CORES} on both sides" + (f"; {' '.join(settings)}" if settings else ""), "peers": ", ".join(f"{key} {value}" for key, value in sorted(bench.versions.items())),
            "kind of run": "quick: few repetitions" if bench.options.quick else "full"}


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", default="", help="train, decode, startup or session; writes no page")
    parser.add_argument("--threads", type=int, default=CORES)
    parser.add_argument("--page", default=str(ROOT / "docs/performance.md"))
    options = parser.parse_args()
    if page.BEGIN not in Path(options.page).read_text():
        sys.exit(f"run.py: {options.page} has no line '{page.BEGIN}', where the tables are to stand")
    os.environ["HF_HUB_OFFLINE"] = "1"
    with tempfile.TemporaryDirectory(prefix="antiphon-bench-") as folder:
        bench = Bench(options, Path(folder))
        parts = {"train": lambda: (bench.train("bf16"), bench.train("fp32")), "decode": lambda: (bench.decode("bf16"), bench.decode("fp32")), "startup": bench.startup, "session": bench.session}
        for name, part in parts.items():
            if options.only in ("", name):
                part()
    print("\n".join([page.table(bench.rows), *page.session_table(bench.sessions)]))
    if options.only:
        return
    peak = run([PYTHON, HERE / "machine_peak.py", "--threads", str(options.threads)]).line()
    page.put_in(options.page, page.generated(facts(bench), peak, bench.rows, bench.commands, bench.sessions))
    print(f"written to {options.page}")


if __name__ == "__main__":
    main()
