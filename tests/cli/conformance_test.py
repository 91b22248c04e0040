"""`antiphon conformance` finds each fault of the fixtures, and nothing in the one without a fault.

conformance_test.py ANTIPHON FIXTURES
"""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

PROGRAM, FIXTURES = "", Path()

# The checks that must fail, by the beginning of their names, and what the line says; None: it may fail too.
FAULTS = {
    "lying_grid": {"counting contract": "expected an output as output_grid() and output_size() say for 1 part(s) [200, 3], of shape [1, 201, 6], got [1, 200, 6]"},
    "cut_gradient": {"gradient: reaches": "expected a gradient for all 4 parameters, got none for 2: first.weight, first.bias", "gradient: agrees": None},
    "global_generator": {"global state": "expected the default random generator untouched"},
    "foreign_exception": {"process: other media": "got a std::out_of_range"},
    "shared_state": {"forward: a batch of two": "against one by one", "forward: the same input": "expected the same output from the same input", "parameters: two instances": "to stay when another changes",
                     "parameters: to(": "same output", "forward: bf16": None, "gradient: agrees": None},
    "taken_name": {"shapes: ": "every run has a metric 'lr'"},
    "unnamed_parameter": {"name map: every": "no", "name map: a written": "second.weight"},
}


def run(*arguments):
    done = subprocess.run([PROGRAM, "conformance", *map(str, arguments)], capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout, done.stderr


def failures(output):
    return [line.strip()[4:].strip() for line in output.splitlines() if line.strip().startswith("FAIL")]


class Conformance(unittest.TestCase):
    def test_a_good_plugin_passes(self):
        code, out, _ = run(FIXTURES / "none" / "none.so")
        self.assertEqual(failures(out), [])
        self.assertEqual(code, 0)
        self.assertRegex(out.splitlines()[-1], r"^[1-9][0-9] passed, 0 failed$")

    def test_each_fault_is_found_and_no_other(self):
        for name, expected in FAULTS.items():
            with self.subTest(name):
                code, out, _ = run(FIXTURES / name / f"{name}.so")
                self.assertEqual(code, 5)
                found = failures(out)
                for line in found:
                    self.assertTrue(any(line.startswith(check) for check in expected), f"unexpected: {line}")
                for check, text in expected.items():
                    lines = [line for line in found if line.startswith(check)]
                    if text is not None:
                        self.assertEqual(len(lines), 1, f"{check}: {found}")
                        self.assertIn(text, lines[0])
                self.assertRegex(out.splitlines()[-1], rf"^\d+ passed, {len(found)} failed$")

    def test_text_of_a_foreign_exception_is_for_debug(self):
        file = FIXTURES / "foreign_exception" / "foreign_exception.so"
        code, out, err = run(file)
        self.assertNotIn("row", err)
        code, out, err = run(file, "--debug")
        self.assertEqual(code, 5)
        self.assertIn("debug: row", err)

    def test_no_plugin(self):
        for file in ["no/such/file.so", __file__]:
            code, out, err = run(file)
            self.assertEqual((code, out), (5, ""))
            self.assertIn(str(file), err)
            self.assertIn("fix: ", err)

    def test_options_of_another_component(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        file = Path(folder.name) / "options.toml"
        file.write_text("[encoder.nune]\nwidth = 3\n[encoder.none]\nwidht = 3\n")
        code, out, err = run(FIXTURES / "none" / "none.so", "--options", file)
        self.assertEqual(code, 2)
        self.assertIn("options.toml:1:", err)
        self.assertIn("it has: encoder.none", err)
        file.write_text("[encoder.none]\nwidht = 3\n")
        code, out, err = run(FIXTURES / "none" / "none.so", "--options", file)
        self.assertEqual(code, 5)
        self.assertIn("did you mean 'width'", failures(out)[0])


if __name__ == "__main__":
    PROGRAM, FIXTURES = sys.argv[1], Path(sys.argv[2])
    unittest.main(argv=sys.argv[:1])
