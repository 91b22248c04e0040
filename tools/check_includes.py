#!/usr/bin/env python3
"""Checks who includes whom.

    early <- base <- {config, comm, kernels, text, profile} <- plugin <- component <- {nn, media, weights} <- {backbone, checkpoint} <- model
         <- data <- parallel <- engine <- {train, eval, session} <- run <- apps

An area includes itself, the areas below it, and no other of its own level. A plugin includes component and what is
beside or below backbone, its own folder, and never another plugin. Nothing includes apps. Boost.DLL is seen by the loader
alone, toml++ by toml_io.cpp alone. A header of core includes ATen/core/Tensor.h of LibTorch, or what is lighter.
Headers for tests (testing.h, test_*.h, *_test.h) may include more; only tests include them, and they are not installed.

check_includes.py [ROOT]   exit code 1 and one line a finding
"""

import re
import sys
from pathlib import Path

LAYERS = [["early"], ["base"], ["config", "comm", "kernels", "text", "profile"], ["plugin"], ["component"], ["nn", "media", "weights"],
          ["backbone", "checkpoint"], ["model"], ["data"], ["parallel"], ["engine"], ["train", "eval", "session"], ["run"]]
LEVEL = {area: level for level, areas in enumerate(LAYERS) for area in areas}
PLUGIN_LEVEL = LEVEL["backbone"]
ONLY = {"boost/dll": {"core/antiphon/plugin/loader.cpp"}, "toml++": {"core/antiphon/config/toml_io.cpp"}}
# Of LibTorch in public headers: none of these pulls in more than ATen/core/Tensor.h does.
LIGHT = re.compile(r"^(ATen/core/Tensor\.h|torch/headeronly/.*)$")
FOR_TESTS = re.compile(r"(^|/)(testing\.h|test_\w+\.h|\w+_test\.(h|cpp))$")
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]')
SOURCES = {".h", ".hpp", ".cpp", ".cu", ".cuh"}


def includes(file):
    for number, line in enumerate(file.read_text(errors="replace").splitlines(), 1):
        if match := INCLUDE.match(line):
            yield number, match[1]


def area_of(include):
    parts = include.split("/")
    return parts[1] if parts[0] == "antiphon" and len(parts) > 2 else None


def check_core(area, target):
    if target not in LEVEL:
        return f"'{target}' is no area; known: {', '.join(LEVEL)}"
    beside = LEVEL[target] == LEVEL[area] and target != area
    if LEVEL[target] > LEVEL[area] or beside:
        return f"{area} must not include {target}"
    return None


def check_plugin(target):
    if target in LEVEL and LEVEL[target] > PLUGIN_LEVEL:
        return f"a plugin must not include {target}"
    return None


def third_party(name, include, where):
    for library, allowed in ONLY.items():
        if include.startswith(library) and name not in allowed:
            return f"only {', '.join(sorted(allowed))} may include <{include}>"
    if FOR_TESTS.search(name):
        return None
    if FOR_TESTS.search(include):
        return f"<{include}> is for tests only"
    if where == "core" and name.endswith(".h") and re.match(r"^(ATen|torch|c10)/", include) and not LIGHT.match(include):
        return f"a header may include <ATen/core/Tensor.h> of LibTorch and nothing heavier, not <{include}>"
    return None


def check_file(root, file):
    name = file.relative_to(root).as_posix()
    parts = name.split("/")
    test = FOR_TESTS.search(name)
    for number, include in includes(file):
        target = area_of(include)
        found = third_party(name, include, parts[0])
        if not found and parts[0] == "core" and target:
            found = check_core(parts[2], target)
        if not found and parts[0] == "plugins" and target and not test:
            found = check_plugin(target)
        if not found and parts[0] == "plugins" and ("../" in include or include.startswith("plugins/")):
            found = "a plugin includes no file outside its folder but <antiphon/…>"
        if not found and parts[0] != "apps" and include.split("/")[0] in APPS and (root / "apps" / include).exists():
            found = "nothing includes apps"
        if found:
            yield f"{name}:{number}: {found}"


APPS = set()


def main(root):
    APPS.update(folder.name for folder in (root / "apps").iterdir() if folder.is_dir())
    files = [f for part in ("core", "plugins", "apps") for f in sorted((root / part).rglob("*")) if f.suffix in SOURCES]
    findings = [line for file in files for line in check_file(root, file)]
    for line in findings:
        print(line)
    print(f"{len(files)} files, {len(findings)} findings")
    return 1 if findings or not files else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).resolve().parents[1]).resolve()))
