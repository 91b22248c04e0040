#!/usr/bin/env python3
"""Writes the demo's jsonl manifests and links their media into data/demo.

    train.jsonl                     all tasks, sized for ten minutes of training
    train_{image,audio,both}.jsonl  the same lines by stream, for compositions of one stream or for weights of sources
    train_full.jsonl                every language and every prompt
    heldout_{image,audio,both}.jsonl, heldout_turns.jsonl
    train_pairs.jsonl, heldout_pairs.jsonl   each picture with its English name, for dual encoders
    stamps_train.jsonl, stamps_heldout_{image,audio,both}.jsonl   stamps with French names only

Pictures and prompts are split by a hash of their group (a picture with those that share its recording; a prompt key in
all languages with those that share its sentence), so nothing that is held out is ever trained on.
"""
import argparse
import json
import os
import shutil
from collections import Counter
from pathlib import Path

import sources
from common import DemoError, Places, run_main, say, stamped, write_atomic, write_stamp
from mixes import build_manifests
from prompts import read_prompts
from stamps import read_stamps

VERSION = 3
README = """Made by tools/demo/prepare.sh; not part of Antiphon. Media under media/:
stamps/    Tux Paint stamps, GPL-2 (Debian package tuxpaint-stamps-default)
asterisk/  Asterisk core sounds, CC-BY-SA-3.0 (en, es: Allison Smith; fr: June Wallack) and CC-BY-3.0 (it, ru:
           Carlo Flora, Maxim Topal) (Debian packages asterisk-core-sounds-*). Name them in what you publish.
"""


def media_of(entry):
    parts = [part for message in entry["messages"] if isinstance(message["content"], list)
             for part in message["content"]]
    return [part[part["type"]] for part in parts if part["type"] in ("image", "audio")]


def media_sources(stamps, prompts):
    """{path inside data/demo: file it is linked from}."""
    files = {}
    for stamp in stamps:
        files[f"media/stamps/{stamp.id}.png"] = stamp.image
        files |= {f"media/stamps/{stamp.id}_{language}.ogg": path for language, path in stamp.speech.items()}
    return files | {f"media/asterisk/{prompt.language}/{prompt.key}.g722": prompt.audio for prompt in prompts}


def link(source, target):
    """A hard link, or a copy if that cannot be."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def check_disjoint(manifests):
    """No medium, and so no picture and no recording, is both trained on and held out."""
    def media(prefixes):
        return {path for name, items in manifests.items() if name.startswith(prefixes)
                for entry in items for path in media_of(entry)}
    shared = media(("train", "stamps_train")) & media(("heldout", "stamps_heldout"))
    if shared:
        raise DemoError(f"{len(shared)} media are both trained on and held out, for example {sorted(shared)[0]}")


# Lines of each manifest with the pinned packages.
EXPECTED = {
    "train": 5189, "train_image": 1287, "train_audio": 2644, "train_both": 1258, "train_full": 8821,
    "heldout_image": 196, "heldout_audio": 210, "heldout_both": 190, "heldout_turns": 83,
    "train_pairs": 393, "heldout_pairs": 83,
    "stamps_train": 1510, "stamps_heldout_image": 158, "stamps_heldout_audio": 80, "stamps_heldout_both": 80,
}


def check_counts(manifests, debian):
    """With the pinned packages the counts are known; with others they must only be plausible."""
    counts = {name: len(items) for name, items in manifests.items()}
    versions = {deb.name: (debian / deb.name / "VERSION") for deb in sources.DEBS}
    pinned = all(versions[deb.name].exists() and versions[deb.name].read_text().strip() == deb.version
                 for deb in sources.DEBS)
    if pinned and counts != EXPECTED:
        raise DemoError(f"the manifests have {counts} lines, expected {EXPECTED}; the unpacked packages under {debian} "
                        "are not whole. Remove that folder and call it again.")
    if not pinned:
        say(f"warning: packages other than the pinned ones; lines: {counts}")
    if any(count < 0.8 * EXPECTED[name] for name, count in counts.items()):
        raise DemoError(f"the manifests have only {counts} lines, expected about {EXPECTED}")


def print_table(manifests):
    rows = {name: Counter((entry["task"], entry["lang"]) for entry in items) for name, items in manifests.items()}
    tasks = sorted({task for row in rows.values() for task, _ in row})
    say("lines by task; languages in brackets")
    for name, row in rows.items():
        cells = []
        for task in tasks:
            languages = sorted(((count, code) for (kind, code), count in row.items() if kind == task), reverse=True)
            if languages:
                cells.append(f"{task} {sum(count for count, _ in languages)} "
                             f"({' '.join(f'{code} {count}' for count, code in languages)})")
        say(f"  {name:21s} {sum(row.values()):5d}  {', '.join(cells)}")


def manifests_key():
    return f"manifests {VERSION} " + " ".join(f"{deb.name}={deb.version}" for deb in sources.DEBS)


def are_written(places):
    return stamped(places.data, manifests_key())


def write_all(places, stamps, prompts, manifests):
    files, names = media_sources(stamps, prompts), ["README.txt"]
    shutil.rmtree(places.data, ignore_errors=True)
    write_atomic(places.data / "README.txt", README)
    used = sorted({path for items in manifests.values() for entry in items for path in media_of(entry)})
    for path in used:
        link(files[path], places.data / path)
    for name, items in manifests.items():
        names.append(name + ".jsonl")
        write_atomic(places.data / names[-1], "".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in items))
    write_stamp(places.data, manifests_key(), names + used)
    say(f"data/demo: {len(manifests)} manifests, {len(used)} media files")


def make_manifests(places):
    """Writes data/demo unless it is complete."""
    if are_written(places):
        return False
    stamps = read_stamps(places.debian)
    prompts, left_out = read_prompts(places.debian, sources.LANGUAGES)
    say(f"{len(stamps)} pictures; {len(prompts)} prompts, {left_out} more are too short, too long or unlike their text")
    manifests = build_manifests(stamps, prompts)
    check_disjoint(manifests)
    check_counts(manifests, places.debian)
    print_table(manifests)
    write_all(places, stamps, prompts, manifests)
    return True


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, default=Places().root, help="checkout whose data/demo is filled")
    if not make_manifests(Places(parser.parse_args().root)):
        say("data/demo is complete")


if __name__ == "__main__":
    run_main(main)
