#!/usr/bin/env python3
"""Makes everything that the demo reads: models/, data/demo/. What is complete is not made again."""
import argparse
import shutil
import time
from pathlib import Path

import convert_dinov2
import convert_silero
import convert_smollm2
import convert_whisper
from common import DemoError, Places, run_main, say
from convert import convert, is_converted
from fetch import fetch_debs
from manifests import are_written, make_manifests

CONVERTERS = (convert_dinov2, convert_whisper, convert_smollm2, convert_silero)
NEEDED_GIGABYTES = 3


def check_space(root):
    free = shutil.disk_usage(root).free / 1e9
    if free < NEEDED_GIGABYTES:
        raise DemoError(f"{root} has {free:.1f} GB free, expected at least {NEEDED_GIGABYTES}; make room and "
                        "call it again")


def prepare(places):
    """The missing steps, in order; returns how many there were."""
    missing = [module for module in CONVERTERS if not is_converted(module.NAME, module.VERSION, places)]
    data_missing = not are_written(places)
    if not missing and not data_missing:
        return 0
    places.root.mkdir(parents=True, exist_ok=True)
    check_space(places.root)
    for module in missing:
        convert(module.NAME, module.VERSION, module.build, places)
    if data_missing:
        fetch_debs(places)
        make_manifests(places)
    return len(missing) + data_missing


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=Places().root, help="checkout to fill (default: this one)")
    start = time.monotonic()
    done = prepare(Places(parser.parse_args().root))
    say(f"models/ and data/demo/ are ready ({time.monotonic() - start:.1f} s)" if done else
        "models/ and data/demo/ are complete")


if __name__ == "__main__":
    run_main(main)
