"""What ./dev test says at its end, of programs that passed, failed, were skipped in part, or ended before they could say so.
Run: python tests/tools/count_tests_test.py"""
import io
import sys
import tempfile
import unittest
from contextlib import redirect_stdout
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
import count_tests  # noqa: E402

LINE = "-" * 79
INNER = f"Filters: \"member of two\"\n{'=' * 79}\nAll tests passed (3 assertions in 1 test case)\n\n"


def case(name, text):
    return f"{LINE}\n{name}\n{LINE}\n/a/b_test.cpp:7\n{'.' * 79}\n\n/a/b_test.cpp:9: {text}\n\n"


MIXED = INNER + case("on a card", "SKIPPED:\nexplicitly with message:\n  no device") + case("sums of a name\n  in two lines", "FAILED:\n  CHECK( 1 == 2 )") + case(
    "sums of a name\n  in two lines", "FAILED:\n  CHECK( 2 == 3 )") + f"{'=' * 79}\ntest cases: 12 | 10 passed | 1 failed | 1 skipped\nassertions: 40 | 38 passed | 2 failed\n"
UNIT = """test_one (__main__.Case.test_one) ... ok
test_two (__main__.Case.test_two)
What it does. ... FAIL
test_three (__main__.Case.test_three)
What it does. ... skipped 'with --long'

======================================================================
FAIL: test_two (__main__.Case.test_two)
----------------------------------------------------------------------
Traceback (most recent call last):

----------------------------------------------------------------------
Ran 3 tests in 1.2s

FAILED (failures=1, skipped=1)
"""


class Counted(unittest.TestCase):
    def closing(self, *programs):
        """programs: name, what ctest says of it, what it wrote."""
        with tempfile.TemporaryDirectory() as folder, redirect_stdout(io.StringIO()) as out:
            log, outputs = Path(folder, "tests.log"), Path(folder, "LastTest.log")
            log.write_text("".join(f"  {i}/9 Test  #{i}: {name} .......{status}  1.50 sec\n" for i, (name, status, _) in enumerate(programs)))
            outputs.write_text("".join(f"{i}/9 Testing: {name}\n{i}/9 Test: {name}\nCommand: \"x\"\nDirectory: /d\n\"{name}\" start time: Nov 29\nOutput:\n{LINE}\n{text}<end of output>\nTest time = 1 sec\n"
                                       for i, (name, _, text) in enumerate(programs)))
            code = count_tests.main(str(log), str(outputs))
        return code, out.getvalue().splitlines()

    def test_all_passed(self):
        self.assertEqual(self.closing(("nn", "   Passed", INNER + f"{'=' * 79}\nAll tests passed (1519 assertions in 110 test cases)\n"), ("exports", "   Passed", "")), (0, ["111 passed, 0 failed"]))

    def test_some_failed_and_were_skipped(self):
        code, lines = self.closing(("nn", "***Failed  ", MIXED), ("e2e: x", "***Failed  ", UNIT))
        self.assertEqual(code, 1)
        self.assertEqual(lines, ["skipped: nn: on a card: no device", "skipped: e2e: x: What it does.: with --long", "failed: nn: sums of a name in two lines", "failed: e2e: x: test_two", "11 passed, 2 failed, 2 skipped"])

    def test_ended_without_a_word(self):
        """By a signal, or since it took too long: what it had passed is not known, and that it failed is."""
        self.assertEqual(self.closing(("cli", "***Timeout ", "test_one ... ok\n"), ("nn", "***Exception: SegFault", INNER))[1], ["failed: cli", "failed: nn", "0 passed, 2 failed"])

    def test_skipped_as_a_whole(self):
        self.assertEqual(self.closing(("long", "***Skipped", "skipped: with ANTIPHON_LONG=1 alone\n"), ("one", "   Passed", ""))[1], ["skipped: long: with ANTIPHON_LONG=1 alone", "1 passed, 0 failed, 1 skipped"])

    def test_failed_by_its_own_words(self):
        """Whatever ctest makes of an exit code."""
        self.assertEqual(self.closing(("nn", "***Skipped", MIXED))[1][-1], "10 passed, 1 failed, 1 skipped")

    def test_nothing_ran(self):
        self.assertEqual(self.closing(), (1, ["0 passed, 0 failed"]))


if __name__ == "__main__":
    unittest.main()
