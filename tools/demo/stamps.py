"""Reads Tux Paint's stamps: pictures with captions in many languages, recordings of the captions, and a category.

Beside NAME.png stands NAME.txt: line 1 the English caption, then lines `xx.utf8=caption`; NAME_desc_xx.ogg is the
spoken caption (without _xx: English). NAME_mirror.png is a mirrored copy without a text of its own.
"""
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from common import DemoError

# Folders whose pictures are signs and letters rather than things.
SKIPPED_FOLDERS = ("symbols/", "town/roadsigns/", "seasonal/hanukkah/dreydl-")
CATEGORIES = {
    "animals": "Animals", "clothes": "Clothes", "food": "Food", "hobbies": "Hobbies", "household": "Household",
    "medical": "Medicine", "military": "Military", "naturalforces": "Forces of nature", "people": "People",
    "plants": "Plants", "seasonal": "Holidays", "space": "Space", "sports": "Sports", "town": "Town",
    "vehicles": "Vehicles",
}
CAPTION_LIMIT, CAPTION_WORDS = 45, 7


@dataclass(frozen=True)
class Stamp:
    id: str
    image: Path
    captions: dict
    speech: dict
    category: str
    group: str = ""


def parse_text(text):
    """{language: caption} of a stamp's .txt; lines that are not `xx.utf8=...` are ignored."""
    lines = text.lstrip("\ufeff").splitlines()
    captions = {"en": lines[0].strip()} if lines and lines[0].strip() else {}
    for line in lines[1:]:
        match = re.fullmatch(r"([\w@]+)\.utf8=(.*)", line.strip())
        if match and match[2].strip():
            captions[match[1]] = match[2].strip()
    return captions


def tidy(text):
    """One short sentence with plain quotes and a full stop: the first sentence, without brackets and asides."""
    for fancy, plain in (("\u201c", '"'), ("\u201d", '"'), ("\u2019", "'"), ("\u00a0", " ")):
        text = text.replace(fancy, plain)
    text = re.sub(r"\s*\([^)]*\)", "", text)
    text = re.split(r"(?<=[.!?])\s|\s*[\u2014\u2013:]\s*|\s-+\s|, (?:from|also|appel)", text.strip())[0]
    text = re.sub(r"\s+", " ", text).rstrip(" .!?,;")
    return text + "." if text else ""


def clean_english(text):
    """The English caption as an answer to "What is this?", or None if it is not a name of a thing."""
    caption = tidy(text)
    if len(caption) > CAPTION_LIMIT or len(caption.split()) > CAPTION_WORDS:
        return None
    if re.search(r"\b(is|are|have|has|carry|contain|means|resembles|remember|died|was|your|me|Enter)\b", caption):
        return None
    names = re.fullmatch(r"[A-Z][\w'-]+(?: [\w'-]+){0,2}\.", caption) and not re.search(r"[!?]", text)
    starts = re.match(r"(?:An?|The|Some|Two|Our) \S", caption)
    return caption if starts or names else None


def clean_other(text):
    """A caption in another language, or None if it is too long for an answer."""
    caption = tidy(text)
    return caption if caption and len(caption) <= CAPTION_LIMIT + 10 and not re.search(r'["/]', caption) else None


def read_one(text_file, root):
    """The stamp of one .txt, or None if it has no picture in png or no usable caption."""
    name = text_file.relative_to(root).as_posix()[:-len(".txt")]
    image = text_file.with_suffix(".png")
    if not image.exists() or name.startswith(SKIPPED_FOLDERS) or name.endswith("_mirror"):
        return None
    raw = parse_text(text_file.read_text(encoding="utf-8", errors="replace"))
    english = clean_english(raw.get("en", ""))
    if not english:
        return None
    cleaned = {language: clean_other(caption) for language, caption in raw.items() if language != "en"}
    captions = {"en": english, **{language: caption for language, caption in cleaned.items() if caption}}
    folder = name.split("/")[0]
    return Stamp(name, image, captions, find_speech(text_file), CATEGORIES.get(folder, folder.capitalize()))


def find_speech(text_file):
    speech, stem = {}, text_file.stem
    for file in sorted(text_file.parent.glob(f"{stem}_desc*.ogg")):
        match = re.fullmatch(re.escape(stem) + r"_desc(?:_(\w+))?", file.stem)
        if match:
            speech[match[1] or "en"] = file
    return speech


def _digest(path):
    return hashlib.sha256(path.read_bytes()).digest()


def with_groups(stamps):
    """Drops pictures that are copies of another, and puts stamps that share a recording into one group.

    A group is what the split keeps together, so that no recording is both trained on and held out.
    """
    owner, pictures, result = {}, set(), []
    for stamp in stamps:
        picture = _digest(stamp.image)
        if picture in pictures:
            continue
        pictures.add(picture)
        recordings = [_digest(path) for path in stamp.speech.values()]
        group = next((owner[digest] for digest in recordings if digest in owner), stamp.id)
        for digest in recordings:
            owner.setdefault(digest, group)
        result.append(Stamp(stamp.id, stamp.image, stamp.captions, stamp.speech, stamp.category, group))
    return result


def read_stamps(debian):
    """All usable stamps under the unpacked package, ordered by id."""
    root = debian / "tuxpaint-stamps-default/usr/share/tuxpaint/stamps"
    if not root.is_dir():
        raise DemoError(f"no stamps under {root}; run tools/demo/fetch.py")
    found = (read_one(file, root) for file in sorted(root.rglob("*.txt")))
    return with_groups([stamp for stamp in found if stamp])
