"""What the demo's scripts share: places, hashes, stamps and messages."""
import hashlib
import json
import os
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


class DemoError(Exception):
    """An error that the user can act on; the text says what failed and how to mend it."""


class Places:
    """The folders of one checkout. `root` differs from the repository only in tests and by `--root`."""

    def __init__(self, root=REPOSITORY):
        self.root = Path(root)
        self.cache = self.root / ".cache" / "demo"
        self.weights = self.cache / "weights"
        self.debian = self.cache / "debian"
        self.models = self.root / "models"
        self.data = self.root / "data" / "demo"


def say(text):
    print(f"[demo] {text}", file=sys.stderr, flush=True)


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def write_atomic(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)


def write_json(path, value):
    write_atomic(path, json.dumps(value, ensure_ascii=False, indent=2) + "\n")


STAMP = ".demo-stamp.json"


def _sizes(folder, names):
    return {name: (folder / name).stat().st_size for name in names}


def stamped(folder, key):
    """Whether `folder` was completed by write_stamp with the same key and still holds those files at those sizes."""
    try:
        stamp = json.loads((folder / STAMP).read_text(encoding="utf-8"))
        return stamp["key"] == key and stamp["sizes"] == _sizes(folder, stamp["sizes"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


def write_stamp(folder, key, names):
    write_json(folder / STAMP, {"key": key, "sizes": _sizes(folder, sorted(names))})


def run_main(main):
    """Runs a script's main; a DemoError ends it with its text and exit status 3 (data)."""
    try:
        main()
    except DemoError as error:
        say(f"error: {error}")
        sys.exit(3)
    except KeyboardInterrupt:
        say("stopped; call it again to go on where it was")
        sys.exit(130)
