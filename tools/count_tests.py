"""The closing lines of ./dev test: skipped and failed cases by name, `N passed, N failed`, N the cases of all programs.

count_tests.py LOG OUTPUTS: what ctest said, and Testing/Temporary/LastTest.log with what each program wrote."""
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

RESULT = re.compile(r"^\s*\d+/\d+ Test\s+#\d+: (.+?) \.+\s*(Passed|\*\*\*\S.*?)\s+[\d.]+ sec", re.M)
OUTPUT = re.compile(r"^\d+/\d+ Test: (.+)\n(?:.*\n){3}Output:\n-+\n((?s:.*?))^<end of output>$", re.M)
CATCH_GOOD = re.compile(r"^All tests passed \(\d+ assertions? in (\d+) test cases?\)$", re.M)
CATCH = re.compile(r"^test cases:(.*)$", re.M)
CATCH_CASE = re.compile(r"^-{79}\n((?:.+\n)+?)-{79}\n\S+:\d+\n\.{79}\n", re.M)
UNITTEST = re.compile(r"^Ran (\d+) tests? in .*\n\n(?:OK|FAILED)(?: \((.*)\))?$", re.M)
UNITTEST_BAD = re.compile(r"^(?:FAIL|ERROR): (.+?)(?: \(.*)?$", re.M)
UNITTEST_SKIP = re.compile(r"^(.*?)(?: \([\w.]+\))? ?\.\.\. skipped ['\"](.*)['\"]$", re.M)


@dataclass
class Count:
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    failed_names: list = field(default_factory=list)
    skips: list = field(default_factory=list)  # "name: reason"

    def add(self, test: str, other: "Count"):
        self.passed, self.failed, self.skipped = self.passed + other.passed, self.failed + other.failed, self.skipped + other.skipped
        self.failed_names += [f"{test}: {name}" if name else test for name in other.failed_names]
        self.skips += [f"{test}: {text}" for text in other.skips]


def of_catch(output: str) -> Count | None:
    """A case may run the program again for another: the last line is that of all."""
    good, mixed = CATCH_GOOD.findall(output), CATCH.findall(output)
    if not good and not mixed:
        return None
    if good and output.rstrip().endswith(")"):
        return Count(passed=int(good[-1]))
    numbers = {what: int(number) for number, what in re.findall(r"(\d+) (passed|failed|skipped)", mixed[-1] if mixed else "")}
    count = Count(numbers.get("passed", 0), numbers.get("failed", 0), numbers.get("skipped", 0))
    parts = CATCH_CASE.split(output)
    for name, text in zip(parts[1::2], parts[2::2]):
        name = re.sub(r"\s+", " ", name).strip()
        if skip := re.search(r"SKIPPED:\n(?:explicitly with message:\n)?\s*(.+)", text):
            count.skips.append(f"{name}: {skip[1]}")
        elif "FAILED:" in text and name not in count.failed_names:
            count.failed_names.append(name)
    return count


def of_unittest(output: str) -> Count | None:
    found = UNITTEST.findall(output)
    if not found:
        return None
    ran, bad = found[-1]
    numbers = {what: int(number) for what, number in re.findall(r"(\w+)=(\d+)", bad)}
    names = sorted(set(UNITTEST_BAD.findall(output)))
    failed, skipped = len(names), numbers.get("skipped", 0)
    return Count(int(ran) - failed - skipped, failed, skipped, names, [f"{name}: {why}" for name, why in UNITTEST_SKIP.findall(output)])


def of_test(status: str, output: str) -> Count:
    count = of_unittest(output) or of_catch(output) or (Count(passed=1) if status == "Passed" else Count())
    if status == "Passed" or count.failed:
        return count
    if "Skipped" in status:
        reason = re.search(r"(?:SKIPPED:?|skipped:?)\s*(.+)", output)
        return count if count.skipped else Count(skipped=1, skips=[reason[1].strip() if reason else "see build/tests.log"])
    return Count(failed=1, failed_names=[""])  # it ended before it could say so


def main(log: str, outputs: str) -> int:
    output_of = dict(OUTPUT.findall(Path(outputs).read_text(errors="replace")))
    total = Count()
    for name, status in RESULT.findall(Path(log).read_text(errors="replace")):
        total.add(name, of_test(status, output_of.get(name, "")))
    for text in total.skips:
        print(f"skipped: {text}")
    for name in total.failed_names:
        print(f"failed: {name}")
    tail = f", {total.skipped} skipped" if total.skipped else ""
    print(f"{total.passed} passed, {total.failed} failed{tail}")
    return 1 if total.failed or not total.passed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
