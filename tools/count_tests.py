"""Turns ctest's log into the closing line: reasons of skipped tests, names of failed ones, `N passed, N failed`."""
import re
import sys
from pathlib import Path

RESULT = re.compile(r"^\s*\d+/\d+ Test\s+#\d+: (.+?) \.+\s*(Passed|\*\*\*\S.*?)\s+[\d.]+ sec", re.M)


def main(log: str) -> int:
    text = Path(log).read_text(errors="replace")
    passed, failed, skipped = [], [], []
    for name, result in RESULT.findall(text):
        (passed if result == "Passed" else skipped if "Skipped" in result else failed).append(name)
    for name in skipped:
        print(f"skipped: {name}: {reason(text, name)}")
    for name in failed:
        print(f"failed: {name}")
    tail = f", {len(skipped)} skipped" if skipped else ""
    print(f"{len(passed)} passed, {len(failed)} failed{tail}")
    return 1 if failed or not passed else 0


def reason(text: str, name: str) -> str:
    """What the test printed after 'SKIP' or 'skipped'; tests say why."""
    found = re.search(re.escape(name) + r".*?\n(?:.*\n){0,40}?.*?(?:SKIPPED:?|skipped:?)\s*(.+)", text)
    return found.group(1).strip() if found else "see build/tests.log"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
