#!/usr/bin/env python3
"""Plants one fault after the other (tools/mutation_table.py) into a copy of the sources, builds it, and runs the test that must fail then: each reduction of
training by several processes that is left out, doubled or of the wrong process.

mutations.py [--scratch FOLDER] [--only WORD]     exit code 1 if a fault survived or did not compile; 77 without ANTIPHON_LONG or --only

The copy and its build lie in build/mutations and are kept: the next time only what has changed is compiled.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from mutation_table import TABLE

ROOT = Path(__file__).resolve().parents[1]
LIMIT = 300  # seconds of a test; a fault may let processes wait for each other
# What the tests need beside libantiphon and their own executables.
PLUGINS = "adamw conformer dinov2 frame_stack json_lines llama lora messages mlp phi3 pixel_shuffle prefix_tuning qwen2_moe qwen3_moe qwen3_vl qwen3_vl_text qwen3_vl_vision sft sgd whisper".split()


def wanted_files():
    """Paths of the sources, and what the copy of each holds: files with faults are compiled alone, not as a part of several."""
    names = subprocess.run(["git", "ls-files", "-z", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0")
    files = {name: (ROOT / name).read_bytes() for name in names if (ROOT / name).is_file()}
    alone = " ".join(sorted({"${CMAKE_CURRENT_SOURCE_DIR}/antiphon/" + one.file for one in TABLE}))
    files["core/CMakeLists.txt"] += f"\nset_source_files_properties({alone} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)\n".encode()
    return files


def copy_sources(source):
    """Only what differs is written, so that the rest is not compiled again."""
    files = wanted_files()
    for name, content in files.items():
        path = source / name
        if not path.exists() or path.read_bytes() != content:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            path.chmod((ROOT / name).stat().st_mode)
    for path in source.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts and str(path.relative_to(source)) not in files:
            path.unlink()


def torch():
    """LibTorch of the build that there is, else of .venv; CMake looks into the environment."""
    cache = ROOT / "build" / "CMakeCache.txt"
    found = re.search(r"^ANTIPHON_TORCH_ROOT:PATH=(.+)$", cache.read_text(), re.M) if cache.exists() else None
    root = found[1] if found else next(iter((ROOT / ".venv").glob("lib/python3*/site-packages/torch")), None)
    return [f"-DTorch_DIR={root}/share/cmake/Torch"] if root else []


class Copy:
    def __init__(self, scratch):
        self.source, self.build = scratch / "source", scratch / "build"
        copy_sources(self.source)
        configure = ["cmake", "-S", self.source, "-B", self.build, "-G", "Ninja", "-DANTIPHON_CUDA=OFF", "-DANTIPHON_ESPEAK=OFF", "-DANTIPHON_PARQUET=OFF", *torch()]
        subprocess.run(configure, stdout=subprocess.DEVNULL, check=True)

    def make(self, tests):
        """The end of what the compiler says if it fails, else nothing."""
        units = sorted({test.split(":")[0] for test in tests if test.startswith("test_")})
        whole = ["antiphon_program", "plugin_held_values", "plugin_wavering", *(f"plugin_{name}" for name in PLUGINS)] if any(test.startswith("distributed/") for test in tests) else []
        done = subprocess.run(["ninja", "-C", self.build, *units, *whole], capture_output=True, text=True)
        return done.stdout[-3000:] if done.returncode else ""

    def passes(self, test):
        """Whether the test does; what it printed, which says so if it hung."""
        where, name = test.split(": ", 1)
        unit = where.startswith("test_")
        command = [self.build / "bin" / where, name.replace(",", "\\,")] if unit else [sys.executable, self.source / "tests" / where, name]
        env = {**os.environ, "OMP_NUM_THREADS": "1", "ANTIPHON": str(self.build / "bin" / "antiphon"), "FIXTURES": str(self.build / "fixtures")}
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", env=env, start_new_session=True) as process:
            try:
                out, _ = process.communicate(timeout=LIMIT)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                out = process.communicate()[0] + "timed out"
        ran = "All tests passed" in out if unit else re.search(r"^Ran [1-9].*\n\nOK$", out, re.M)
        return process.returncode == 0 and bool(ran), out


def plant(copy, one):
    path = copy.source / "core" / "antiphon" / one.file
    before = path.read_text()
    if before.count(one.text) != 1:
        sys.exit(f"{one.file} has {before.count(one.text)} times what '{one.name}' replaces; expected 1")
    path.write_text(before.replace(one.text, one.other))
    return lambda: path.write_text(before)


def outcome(copy, one):
    """Whether the fault was caught; what a table says of it."""
    take_out = plant(copy, one)
    try:
        if wrong := copy.make([one.test]):
            return False, f"DOES NOT COMPILE\n{wrong}"
        survived, out = copy.passes(one.test)
        return not survived, "SURVIVED" if survived else one.test + (", which hung" if "timed out" in out else "")
    finally:
        take_out()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scratch", type=Path, default=ROOT / "build" / "mutations", help="where the copy is built")
    parser.add_argument("--only", default="", help="faults whose name or file has this word")
    options = parser.parse_args()
    if not (os.environ.get("ANTIPHON_LONG") or options.only):
        print("skipped: takes a build of its own; ./dev test --long runs it")
        return 77
    table = [one for one in TABLE if options.only in one.name or options.only in one.file]
    copy = Copy(options.scratch.resolve())
    tests = list(dict.fromkeys(one.test for one in table))
    if wrong := copy.make(tests):
        sys.exit(f"the sources do not compile as they are\n{wrong}")
    for test in tests:
        well, out = copy.passes(test)
        if not well:
            sys.exit(f"fails without any fault: {test}\n{out[-3000:]}")
    print("| what is wrong | caught by | seconds |\n|---|---|---:|", flush=True)
    caught = 0
    for one in table:
        begin = time.monotonic()
        well, words = outcome(copy, one)
        caught += well
        print(f"| {one.name} | {words} | {time.monotonic() - begin:.0f} |", flush=True)
    print(f"{caught} of {len(table)} faults were caught")
    return 0 if table and caught == len(table) else 1


if __name__ == "__main__":
    sys.exit(main())
