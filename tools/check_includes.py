#!/usr/bin/env python3
"""Checks who includes whom.

    early <- base <- {config, comm, kernels, text, profile} <- plugin <- component <- {nn, media, weights} <- {backbone, checkpoint} <- model
         <- data <- parallel <- engine <- {train, eval, session} <- run <- apps

An area includes itself, the areas below it, and no other of its own level. A plugin includes backbone and what is below
it, its own folder, and never another plugin; so do the plugins in examples and in tests/plugin_fixtures. Nothing includes
apps. Boost.DLL is seen by the loader alone, toml++ by toml_io.cpp alone, c10d and Gloo by the inside of comm alone. A header
of core includes ATen/core/Tensor.h of LibTorch, or what is lighter. Headers for tests (testing.h, test_*.h, *_test.h) may
include more; only tests include them, and they are not installed, so that nothing in examples can.
No headers include each other, by however many others; X_impl.h is the end of X.h. That x.cpp includes y.h and y.cpp x.h is
no circle: each can be read without the other's inside. Beside includes: no text in core is a key that a method of fine-tuning
has in PEFT's files.

check_includes.py [ROOT]   exit code 1 and one line a finding
"""

import re
import sys
from pathlib import Path

LAYERS = [["early"], ["base"], ["config", "comm", "kernels", "text", "profile"], ["plugin"], ["component"], ["nn", "media", "weights"],
          ["backbone", "checkpoint"], ["model"], ["data"], ["parallel"], ["engine"], ["train", "eval", "session"], ["run"]]
LEVEL = {area: level for level, areas in enumerate(LAYERS) for area in areas}
GROUP = {f"core/antiphon/comm/{file}" for file in ("group.cpp", "wires.h", "wires.cpp", "nccl/library.cpp")}  # decision 0015
ONLY = {"boost/dll": {"core/antiphon/plugin/loader.cpp"}, "toml++": {"core/antiphon/config/toml_io.cpp"},
        "torch/csrc/distributed/": GROUP, "gloo/": GROUP}
PARTS = ("core", "plugins", "apps", "benchmarks", "examples", "tests")
PLUGINS = re.compile(r"^(plugins|examples|tests/plugin_fixtures)/")
INSIDE_PLUGIN = re.compile(r"(^|/)plugins/")
# Of LibTorch in public headers: none of these pulls in more than ATen/core/Tensor.h does.
LIGHT = re.compile(r"^(ATen/core/Tensor\.h|torch/headeronly/.*)$")
NOT_INSTALLED = re.compile(r"^antiphon/(kernels)/cpu/|^antiphon/(comm)/wires\.h")  # an area's own
FOR_TESTS = re.compile(r"(^|/)(testing\.h|test_\w+\.h|\w+_test\.(h|cpp))$")
OF_METHODS = re.compile(r'^(?!\s*//).*"[^"]*(lora_|LORA|ia3_|use_dora|rank_pattern|alpha_pattern)')  # keys of PEFT's files that plugins know
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]')
HEADERS = {".h", ".hpp", ".cuh"}
SOURCES = HEADERS | {".cpp", ".cc", ".cu", ".inc", ".ipp"}


def includes(file):
    for number, line in enumerate(file.read_text(errors="replace").splitlines(), 1):
        if match := INCLUDE.match(line):
            yield number, match[1]


def area_of(include):
    parts = include.split("/")
    return parts[1] if parts[0] == "antiphon" and len(parts) > 2 else None


def check_core(area, target):
    if target not in LEVEL:
        return f"'{target}' is not an area; known: {', '.join(LEVEL)}"
    beside = LEVEL[target] == LEVEL[area] and target != area
    if LEVEL[target] > LEVEL[area] or beside:
        return f"{area} must not include {target}"
    return None


def check_plugin(name, include):
    target = area_of(include)
    if target and not FOR_TESTS.search(name) and check_core("backbone", target):
        return f"a plugin must not include {target}"
    if "../" in include or include.split("/")[0] in PARTS:
        return "a plugin includes no file outside its folder but <antiphon/…>"
    return None


def limited(name, include, where):
    for library, allowed in ONLY.items():
        if include.startswith(library) and name not in allowed:
            return f"only {', '.join(sorted(allowed))} may include <{include}>"
    if where == "examples" and (NOT_INSTALLED.match(include) or FOR_TESTS.search(include)):
        return f"<{include}> is not installed"
    if FOR_TESTS.search(name) or where == "tests":
        return None
    if FOR_TESTS.search(include):
        return f"<{include}> is for tests only"
    own = NOT_INSTALLED.match(include)
    if own and not name.startswith(f"core/antiphon/{own[1] or own[2]}/"):
        return f"<{include}> is for {own[1] or own[2]} only"
    if where == "core" and name.endswith(".h") and not NOT_INSTALLED.match(name.removeprefix("core/")) and re.match(r"^(ATen|torch|c10)/", include) and not LIGHT.match(include):
        return f"a header may include <ATen/core/Tensor.h> of LibTorch and nothing heavier, not <{include}>"
    return None


def methods_keys(name, file):
    if not name.startswith("core/") or FOR_TESTS.search(name):
        return
    for number, line in enumerate(file.read_text(errors="replace").splitlines(), 1):
        if match := OF_METHODS.match(line.split("//")[0]):
            yield f"{name}:{number}: '{match[1]}' is a plugin's to know"


def check_file(root, file):
    name = file.relative_to(root).as_posix()
    parts = name.split("/")
    yield from methods_keys(name, file)
    for number, include in includes(file):
        found = limited(name, include, parts[0])
        if not found and parts[0] == "core" and area_of(include):
            found = check_core(parts[2], area_of(include))
        if not found and parts[0] == "core" and "../" in include:
            found = "a file of another folder is <antiphon/…>"
        if not found and PLUGINS.match(name):
            found = check_plugin(name, include)
        if not found and not PLUGINS.match(name) and INSIDE_PLUGIN.search(include):
            found = "nothing includes a plugin's files"
        if not found and parts[0] != "apps" and include.split("/")[0] in APPS and (root / "apps" / include).exists():
            found = "nothing includes apps"
        if found:
            yield f"{name}:{number}: {found}"


def headers(root, files):
    """header -> {header: line}: what the headers of this tree include of each other."""
    graph = {}
    for file in (f for f in files if f.suffix in HEADERS):
        found = graph.setdefault(file, {})
        for number, include in includes(file):
            places = [folder / include for folder in (file.parent, root / "core", root / "apps")]
            target = next((place.resolve() for place in places if place.is_file()), None)
            if target and target.stem + "_impl" != file.stem:
                found.setdefault(target, number)
    return graph


def way(graph, start, end):
    """The shortest way from one header to another, with both; empty if there is none."""
    came, queue = {start: None}, [start]
    for header in queue:
        if header == end:
            path = [header]
            while came[path[0]]:
                path.insert(0, came[path[0]])
            return path
        new = [step for step in graph.get(header, {}) if step not in came]
        came.update((step, header) for step in new)
        queue += new
    return []


def circles(root, graph):
    """One line for each circle, at the header whose name comes first."""
    for file, found in graph.items():
        for target, number in found.items():
            circle = way(graph, target, file)
            if circle and file == min(circle):
                names = [path.relative_to(root).as_posix() for path in [file, *circle]]
                yield f"{names[0]}:{number}: headers include each other: {' -> '.join(names)}"


APPS = set()


def main(root):
    APPS.update(folder.name for folder in (root / "apps").iterdir() if folder.is_dir())
    files = [f for part in PARTS for f in sorted((root / part).rglob("*")) if f.suffix in SOURCES]
    findings = [line for file in files for line in check_file(root, file)] + list(circles(root, headers(root, files)))
    for line in findings:
        print(line)
    print(f"{len(files)} files, {len(findings)} findings")
    return 1 if findings or not files else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).resolve().parents[1]).resolve()))
