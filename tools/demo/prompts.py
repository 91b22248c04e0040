"""Reads Asterisk's voice prompts: one speaker for each language, the same prompt keys in all of them.

core-sounds-XX.txt.gz holds lines `key: text`, with `;` before comments; the recording is KEY.g722, raw G.722 at 64
kbit/s, so 8000 bytes are one second of 16 kHz sound.
"""
import gzip
import re
from dataclasses import dataclass, replace
from pathlib import Path

from common import DemoError

BYTES_A_SECOND = 8000
SHORTEST, LONGEST = 0.35, 12.0
TEXT_LIMIT = 160
# Outside this range of characters a second, text and recording are not of the same sentence.
SLOWEST, FASTEST = 3.0, 28.0


@dataclass(frozen=True)
class Prompt:
    key: str
    language: str
    audio: Path
    text: str
    seconds: float
    group: str = ""


def parse_texts(lines):
    """{key: text} of a core-sounds file. Sounds that are not speech ("[tone]", "(beep)", "<beep>") are left out."""
    texts = {}
    for line in lines:
        key, colon, text = line.partition(":")
        text = clean_text(key.strip(), text)
        if colon and not line.startswith(";") and text:
            texts[key.strip()] = text
    return texts


def clean_text(key, text):
    """The script as a transcript: no stage directions, no stray quotes, no dots that join prompts. None: unusable."""
    text = text.strip().removeprefix(key + ":").strip()
    if re.search(r"[\[\]()<>]", text) or re.search(r"\b[a-z]+-[a-z0-9-]+:", text):
        return None
    text = re.sub(r"\.{2,}|\u2026", " ", text.strip(" \"\u201c\u201d"))
    text = re.sub(r"\s+([.,;:])", r"\1", re.sub(r"\s+", " ", text)).strip(" ,;:\"\u201c\u201d")
    if not re.search(r"\w", text):
        return None
    return text[:1].upper() + text[1:] + ("" if text[-1] in ".!?" else ".")


def fits(prompt):
    rate = len(prompt.text) / max(prompt.seconds, 1e-3)
    return (SHORTEST <= prompt.seconds <= LONGEST and len(prompt.text) <= TEXT_LIMIT and SLOWEST <= rate <= FASTEST)


def read_language(debian, language):
    """(usable prompts, number left out) of one language."""
    documents = debian / f"asterisk-core-sounds-{language}/usr/share/doc/asterisk-core-sounds-{language}"
    sounds = debian / f"asterisk-core-sounds-{language}-g722/usr/share/asterisk/sounds"
    script = documents / f"core-sounds-{language}.txt.gz"
    folder = next((path for path in sorted(sounds.glob(language + "_*")) if path.is_dir()), None)
    if not script.exists() or not folder:
        raise DemoError(f"no prompts of '{language}' under {debian}; run tools/demo/fetch.py")
    with gzip.open(script, "rt", encoding="utf-8") as file:
        texts = parse_texts(file)
    prompts = []
    for audio in sorted(folder.rglob("*.g722")):
        key = audio.relative_to(folder).as_posix()[:-len(".g722")]
        if key in texts:
            prompts.append(Prompt(key, language, audio, texts[key], audio.stat().st_size / BYTES_A_SECOND))
    return [prompt for prompt in prompts if fits(prompt)], sum(not fits(prompt) for prompt in prompts)


def with_groups(prompts):
    """Puts keys that share a sentence in some language into one group, which the split keeps together."""
    parent = {prompt.key: prompt.key for prompt in prompts}

    def root(key):
        while parent[key] != key:
            key = parent[key]
        return key

    first = {}
    for prompt in prompts:
        sentence = (prompt.language, re.sub(r"\W+", " ", prompt.text.lower()).strip())
        ends = sorted((root(first.setdefault(sentence, prompt.key)), root(prompt.key)))
        parent[ends[1]] = ends[0]
    return [replace(prompt, group=root(prompt.key)) for prompt in prompts]


def read_prompts(debian, languages):
    """(usable prompts of all languages ordered by language and key, number left out)."""
    read = [read_language(debian, language) for language in languages]
    prompts = [prompt for kept, _ in read for prompt in kept]
    return with_groups(prompts), sum(left_out for _, left_out in read)
