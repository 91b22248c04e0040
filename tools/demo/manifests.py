#!/usr/bin/env python3
"""Writes the demo's jsonl manifests and links their media into data/demo.

    train.jsonl                     all tasks, sized for ten minutes of training
    train_{image,audio,both}.jsonl  the same lines by stream, for compositions of one stream or for weights of sources
    train_full.jsonl                every language and every prompt
    heldout_{image,audio,both}.jsonl, heldout_turns.jsonl
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
from prompts import read_prompts
from stamps import read_stamps
from tasks import ASKED, CATEGORY_MINIMUM, SPOKEN, StampTasks, choose, in_hash_order, is_held_out, number, transcribe

VERSION = 2
TRAIN_SECONDS = 6.0
HELD_OUT_TRANSCRIPTS = 20
README = """Made by tools/demo/prepare.sh; not part of Antiphon. Media under media/:
stamps/    Tux Paint stamps, GPL-2 (Debian package tuxpaint-stamps-default)
asterisk/  Asterisk core sounds, CC-BY-SA-3.0 (en, es: Allison Smith; fr: June Wallack) and CC-BY-3.0 (it, ru:
           Carlo Flora, Maxim Topal) (Debian packages asterisk-core-sounds-*). Name them in what you publish.
"""


def categories_of(stamps):
    counts = Counter(stamp.category for stamp in stamps)
    return {category for category, count in counts.items() if count >= CATEGORY_MINIMUM}


def speaking(stamps, language):
    return [stamp for stamp in stamps if language in stamp.speech]


def second_language(stamp):
    """One more language in which the stamp's name was recorded, or None."""
    spoken = [language for language in SPOKEN if language in stamp.speech]
    return choose(spoken, "second language", stamp.id) if spoken else None


def asked_languages(stamp):
    return [language for language in ASKED if language in stamp.captions]


def share(stamps, percent, salt):
    return [stamp for stamp in stamps if number(salt, stamp.id) % 100 < percent]


def by_second_language(stamps):
    groups = {language: [] for language in SPOKEN}
    for stamp in stamps:
        if second_language(stamp):
            groups[second_language(stamp)].append(stamp)
    return groups


def image_items(tasks, stamps, categories, languages_each):
    items = [tasks.caption(stamp) for stamp in stamps]
    items += [tasks.category(stamp) for stamp in stamps if stamp.category in categories]
    for stamp in stamps:
        ordered = in_hash_order(asked_languages(stamp), "asked " + stamp.id, str)
        items += [tasks.caption_in(stamp, language) for language in ordered[:languages_each]]
    return items


def spoken_items(tasks, stamps, every_language):
    items = [tasks.spoken(stamp, "fr") for stamp in speaking(stamps, "fr")]
    for stamp in stamps:
        second = [second_language(stamp)] if second_language(stamp) else []
        languages = [code for code in SPOKEN if code in stamp.speech] if every_language else second
        items += [tasks.spoken(stamp, language) for language in languages]
    return items


def both_items(tasks, stamps, in_second):
    """Match questions with French voices for all stamps, and with a second language for those of `in_second`."""
    french = speaking(stamps, "fr")
    items = tasks.matches(french, "fr", True) + tasks.matches(french, "fr", False)
    for language, group in by_second_language(in_second).items():
        items += tasks.matches(group, language, True)
    return items


def turn_items(tasks, stamps, categories, percent):
    """(conversations about a picture only, conversations with a voice and a picture)."""
    first = [stamp for stamp in share(stamps, percent, "turns category") if stamp.category in categories]
    second = in_hash_order(share(speaking(stamps, "fr"), percent, "turns match"), "turns", lambda stamp: stamp.id)
    return ([tasks.then_category(stamp) for stamp in first],
            [tasks.then_picture(stamp, "fr", index % 2 == 0) for index, stamp in enumerate(second)])


def train_manifests(stamps, prompts, categories):
    tasks = StampTasks(stamps)
    about_picture, about_both = turn_items(tasks, stamps, categories, 30)
    short = [transcribe(prompt) for prompt in prompts if prompt.seconds <= TRAIN_SECONDS]
    parts = {
        "train_image": image_items(tasks, stamps, categories, 1) + about_picture,
        "train_audio": spoken_items(tasks, stamps, False) + short,
        "train_both": both_items(tasks, stamps, stamps) + about_both,
    }
    full = (image_items(tasks, stamps, categories, len(ASKED)) + about_picture + spoken_items(tasks, stamps, True) +
            [transcribe(prompt) for prompt in prompts] + parts["train_both"])
    return {"train": sum(parts.values(), []), **parts, "train_full": full}


def held_out_manifests(stamps, prompts, categories):
    tasks, some = StampTasks(stamps), share(stamps, 50, "some")
    transcripts = []
    for language in sources.LANGUAGES:
        ordered = in_hash_order([prompt for prompt in prompts if prompt.language == language], "transcripts",
                                lambda prompt: prompt.key)
        transcripts += [transcribe(prompt) for prompt in ordered[:HELD_OUT_TRANSCRIPTS]]
    french = speaking(stamps, "fr")
    in_second = [tasks.spoken(stamp, second_language(stamp)) for stamp in some if second_language(stamp)]
    return {
        "heldout_image": image_items(tasks, stamps, categories, 0) + image_items(tasks, some, (), 1)[len(some):],
        "heldout_audio": [tasks.spoken(stamp, "fr") for stamp in french] + in_second + transcripts,
        "heldout_both": both_items(tasks, stamps, some),
        "heldout_turns": sum(turn_items(tasks, stamps, categories, 50), []),
    }


def stamps_only(stamps, categories):
    """(image, audio, both) items of the stamps-only comparison: French names, English answers."""
    tasks, french = StampTasks(stamps), speaking(stamps, "fr")
    return (image_items(tasks, french, categories, 0), [tasks.spoken(stamp, "fr") for stamp in french],
            [tasks.caption_with_voice(stamp, "fr") for stamp in french])


def build_manifests(stamps, prompts):
    """{manifest name: items in a fixed mixed order}."""
    categories = categories_of(stamps)
    split = {held: [stamp for stamp in stamps if is_held_out(stamp.group) == held] for held in (False, True)}
    spoken = {held: [prompt for prompt in prompts if is_held_out(prompt.group) == held] for held in (False, True)}
    manifests = train_manifests(split[False], spoken[False], categories)
    manifests |= held_out_manifests(split[True], spoken[True], categories)
    manifests["stamps_train"] = sum(stamps_only(split[False], categories), [])
    for stream, items in zip(("image", "audio", "both"), stamps_only(split[True], categories)):
        manifests["stamps_heldout_" + stream] = items
    return {name: in_hash_order(items, "order", lambda entry: entry["id"]) for name, items in manifests.items()}


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
    """A hard link, or a copy where that cannot be."""
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
