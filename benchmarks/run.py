"""Measures Antiphon beside the programs that do the same, on this machine: ours, the peer, ours, the peer. Prints a JSON
line for each run and a table of ratios, and writes each part that is done into docs/performance.md and benchmarks/recorded.json.

usage: ./dev bench [--isa avx2|avx512|amx] [--quick] [--only WORD,…] [--check] [--threads N] [--page FILE] [--build FOLDER]
       ./dev bench --before BUILD [--only WORD] [--quick]

--isa: both sides as on a processor without bf16 products, with AVX2 or AVX-512; the parts are then those of a class. amx: all parts, in the
table of processors with AMX.
--before: beside the build of an earlier commit instead of the peers; fails if this one is slower or larger by a tenth.
"""

import argparse
import datetime
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import isa
import page
import parts_axes
import parts_before
import parts_class
import parts_loader
import parts_media
import parts_model
import parts_parallel
import record
from bench import HERE, PYTHON, ROOT, Bench
from child import CORES, run

PARTS = {
    "train": lambda bench: (parts_model.train(bench, "bf16", [("C1", 1.5), ("C3", 0.5)]), parts_model.train(bench, "fp32", [("C2", 1.15), ()])),
    "full": parts_model.full, "recompute": parts_model.recompute, "qlora": parts_model.qlora, "mixed": parts_model.mixed, "llava": parts_model.llava, "vision": parts_model.vision, "omni": parts_model.omni,
    "decode": lambda bench: (parts_model.decode(bench, "bf16", [("C6", 2.4), ("C8", 1.0)]), parts_model.decode(bench, "fp32", [(), ()])),
    "quantized": parts_model.quantized, "encoders": parts_media.encoders, "front": parts_media.front_ends, "video": parts_media.video, "files": parts_media.files, "tokenizers": parts_media.tokenizers,
    "startup": parts_model.startup, "session": parts_model.session, "shared": parts_class.shared,
    "parallel": parts_parallel.parallel, "axes": parts_axes.axes, "loader": parts_loader.loader,
}
OF_A_CLASS = {"train": parts_class.train, "mixed": parts_class.mixed, "decode": parts_class.decode, "encoders": parts_class.encoders, "shared": parts_class.shared}


def cpu():
    info = [line.split(":", 1) for line in Path("/proc/cpuinfo").read_text().splitlines() if ":" in line]
    values = {key.strip(): value.strip() for key, value in info}
    flags = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in values.get("flags", "").split()]
    return f"{values.get('model name', 'unknown')} (family {values.get('cpu family', '?')}, model {values.get('model', '?')}), {CORES} cores, {' '.join(flags)}"


def git(*words):
    return subprocess.run(["git", "-C", ROOT, *words], capture_output=True, text=True).stdout.strip()


def commit():
    return git("rev-parse", "--short=12", "HEAD") + (" with local changes" if git("status", "--porcelain", "--untracked-files=no", "--", "core", "plugins", "apps", "benchmarks", ":(exclude)benchmarks/recorded*.json") else "")


def facts(bench):
    memory = int(Path("/proc/meminfo").read_text().split()[1]) / 2**20
    settings = [f"{key}={os.environ[key]}" for key in sorted(os.environ) if key.startswith(("OMP_", "GOMP_", "KMP_", "MKL_", "DNNL_", "ONEDNN_", "ATEN_", "ANTIPHON_ISA"))]
    return {"date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"), "commit": commit(), "machine": f"{cpu()}, {memory:.0f} GiB",
            "threads": f"{bench.options.threads or CORES} on both sides" + (f"; {' '.join(settings)}" if settings else ""), "peers": ", ".join(f"{key} {value}" for key, value in sorted(bench.versions.items()))}


def options_of(words):
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round of few repetitions; writes no page")
    parser.add_argument("--isa", default="", choices=["", *isa.ENVIRONMENTS])
    parser.add_argument("--before", default="", help="another build's folder; writes no page")
    parser.add_argument("--only", default="", help=f"parts with commas between: {', '.join({**PARTS, **parts_before.PARTS})}")
    parser.add_argument("--check", action="store_true", help="compare the ratios with those of --recorded; fails if one is worse, or may be; writes no page")
    parser.add_argument("--recorded", default="")
    parser.add_argument("--threads", type=int, default=CORES)
    parser.add_argument("--page", default=str(ROOT / "docs/performance.md"))
    parser.add_argument("--build", default=str(ROOT / "build"))
    options = parser.parse_args(words)
    options.recorded = options.recorded or str(HERE / f"recorded{'_' if options.isa else ''}{options.isa}.json")
    if options.before and (options.check or options.isa):
        parser.error("--before is neither for --check nor for --isa; set the variables of a class by hand")
    if options.quick and options.check:
        parser.error("--quick has one round, which tells too little for --check")
    if not isa.is_here(options.isa):
        parser.error(f"this processor is not of the class {options.isa}")
    parts = parts_before.PARTS if options.before else OF_A_CLASS if options.isa in isa.LESSER else PARTS
    if unknown := [name for name in options.only.split(",") if name and name not in parts]:
        parser.error(f"there is no part '{unknown[0]}'{' with --before' if options.before else f' with --isa {options.isa}' if options.isa else ''}; there are {', '.join(parts)}")
    options.parts = {name: part for name, part in parts.items() if not options.only or name in options.only.split(",")}
    return options


def attempt(bench, name, part):
    """Whether the part could be measured; one that cannot be does not spoil the others."""
    try:
        part(bench)
    except SystemExit as failure:
        print(failure, file=sys.stderr)
        bench.skip(f"{name} failed: {str(failure).splitlines()[0]}")
        return False
    return True


def check(bench):
    for machine in {part["facts"]["machine"] for part in bench.recorded["parts"].values()} - {facts(bench)["machine"]}:
        print(f"run.py: recorded on another machine: {machine}", file=sys.stderr)
    text, well = record.report(record.check(bench.rows, bench.recorded))
    print(text)
    return 0 if well else 1


def lost(bench):
    """Of a run with --before: as check(), with an earlier build whose ratio to itself is 1."""
    text, well = record.report([record.judge(row.key(), record.entry(row), {"ratio": 1.0, "spread": 0.0, "busy": False}) for row in bench.rows])
    print(text)
    return 0 if well else 1


def write(bench, name, begun):
    """The part that was measured since `begun`: how many rows, sessions and reasons there were before."""
    recorded, options = record.read(bench.options.recorded), bench.options
    rows, sessions, skipped = (whole[before:] for whole, before in zip((bench.rows, bench.sessions, bench.skipped), begun))
    bench.peak = bench.peak or run([PYTHON, str(HERE / "machine_peak.py"), "--threads", str(options.threads)]).line()
    record.put(recorded, name, page.part({**facts(bench), "at best": page.best(bench.peak)}, rows, bench.commands, sessions, skipped), list(PARTS))
    record.write(options.recorded, recorded)
    page.put_in(options.page, options.isa, page.generated(options.isa, recorded))
    print(f"{name}: written to {options.page} and {options.recorded}")


def measure(bench, parts):
    """Whether all could be measured."""
    whole, options = True, bench.options
    for name, part in parts.items():
        begun, bench.commands = [len(bench.rows), len(bench.sessions), len(bench.skipped)], []
        well = attempt(bench, name, part)
        whole &= well
        if well and not (options.check or options.quick or options.before):
            write(bench, name, begun)
    return whole


def main():
    options = options_of(sys.argv[1:])
    if page.begin(options.isa) not in Path(options.page).read_text():
        sys.exit(f"run.py: {options.page} has no line '{page.begin(options.isa)}', where the tables are to stand")
    if options.check and not Path(options.recorded).exists():
        sys.exit(f"run.py: {options.recorded} is not there: a full run without --check writes it")
    os.environ["HF_HUB_OFFLINE"] = "1"
    isa.limit(options.isa)
    with tempfile.TemporaryDirectory(prefix="antiphon-bench-") as folder:
        bench = Bench(options, Path(folder), json.loads(Path(options.recorded).read_text()) if options.check else None)
        whole = measure(bench, options.parts)
    print("\n".join([page.table(bench.rows), *page.session_table(bench.sessions)]))
    worse = check(bench) if options.check else lost(bench) if options.before and not options.quick else 0
    sys.exit(worse or (0 if whole else 1))


if __name__ == "__main__":
    main()
