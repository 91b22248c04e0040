"""Functions of std::filesystem that throw are not called where files of users are read and written: those errors say neither
who nor how to mend. Use antiphon/base/paths.h, or the overload with an error_code."""

import re
import unittest
from pathlib import Path

CORE = Path(__file__).resolve().parents[2] / "core" / "antiphon"
AREAS = ["backbone", "component", "data", "engine", "eval", "media", "model", "session", "text", "train", "weights"]
THROWING = "exists|is_directory|is_regular_file|is_symlink|is_empty|create_director(?:y|ies)|remove|remove_all|rename|file_size|canonical|weakly_canonical|copy|copy_file|last_write_time|equivalent|directory_iterator|recursive_directory_iterator"
CALL = re.compile(rf"\b(?:fs|std::filesystem)::({THROWING})\s*\(")


def arguments(text, begin):
    """What stands between the parentheses that open before `begin`."""
    depth, end = 1, begin
    while depth:
        depth += {"(": 1, ")": -1}.get(text[end], 0)
        end += 1
    return text[begin : end - 1]


def throwing_calls(text):
    return [(call[1], said) for call in CALL.finditer(text) if not re.search(r",\s*(error|ignored|unknown|failed)$", said := arguments(text, call.end()))]


class Filesystem(unittest.TestCase):
    def test_what_is_found(self):
        self.assertEqual(throwing_calls("if (fs::exists(a / f(b)))"), [("exists", "a / f(b)")])
        self.assertEqual(throwing_calls("fs::remove(path, error); std::filesystem::is_directory(x(1, 2), ignored)"), [])

    def test_no_area_calls_them(self):
        found = []
        for area in AREAS:
            for path in sorted((CORE / area).rglob("*")):
                if path.suffix in (".h", ".cpp") and not path.name.endswith("_test.cpp") and path.name != "test_folder.h":
                    found += [f"{path.relative_to(CORE)}: {name}({said})" for name, said in throwing_calls(path.read_text())]
        self.assertEqual(found, [])


if __name__ == "__main__":
    unittest.main()
