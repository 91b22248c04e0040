"""The faults of tools/mutations.py can be planted in today's sources, and the tests that must fail of them exist. Builds nothing."""

import ast
import re
import sys
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import mutations  # noqa: E402
from mutation_table import TABLE  # noqa: E402


def cases(area):
    """Names of the Catch2 cases of an area, but for those that are hidden; a name may stand in several pieces."""
    text = "".join(path.read_text() for path in (ROOT / "core" / "antiphon" / area).rglob("*_test.cpp"))
    return {"".join(re.findall(r'"([^"]*)"', name)) for name, tags in re.findall(r'TEST_CASE\(((?:\s*"[^"]*")+)(, "[^"]*")?\)', text) if not tags}


def methods(file):
    tree = ast.parse((ROOT / "tests" / file).read_text())
    return {f"{group.name}.{one.name}" for group in tree.body if isinstance(group, ast.ClassDef) for one in group.body if isinstance(one, ast.FunctionDef)}


class Mutations(unittest.TestCase):
    def test_each_text_is_found_once(self):
        for one in TABLE:
            with self.subTest(one.name):
                self.assertEqual((ROOT / "core" / "antiphon" / one.file).read_text().count(one.text), 1)
                self.assertNotEqual(one.text, one.other)
                self.assertTrue(one.file.endswith(".cpp"), "a header would be compiled into everything")

    def test_each_test_is_there(self):
        for one in TABLE:
            with self.subTest(one.name):
                where, name = one.test.split(": ", 1)
                self.assertIn(name, cases(where.removeprefix("test_")) if where.startswith("test_") else methods(where))

    def test_there_are_as_many_as_are_said(self):
        self.assertEqual(len({one.name for one in TABLE}), len(TABLE))
        said = re.search(r"(\d+) faults", (ROOT / "docs" / "parallel.md").read_text())
        self.assertEqual(int(said[1]), len(TABLE))

    def test_each_plugin_is_there(self):
        there = {path.name for path in (ROOT / "plugins").glob("*/*") if path.is_dir()}
        self.assertLessEqual(set(mutations.PLUGINS), there)


if __name__ == "__main__":
    unittest.main()
