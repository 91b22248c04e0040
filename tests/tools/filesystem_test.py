"""Functions of std::filesystem that throw are called nowhere in core, apps and plugins: those errors say neither who nor how to mend.
Use antiphon/base/paths.h, or the overload with an error_code. Headers for tests and tests may call them."""

import re
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
AREAS = ["core/antiphon", "apps", "plugins"]
CALL = re.compile(
    r"\b(?:fs|std::filesystem)::((?:absolute|canonical|copy|copy_file|copy_symlink|create_\w+|current_path|directory_entry|directory_iterator|equivalent|exists|file_size|"
    r"hard_link_count|is_\w+|last_write_time|permissions|proximate|read_symlink|recursive_directory_iterator|relative|remove|remove_all|rename|resize_file|space|status|"
    r"symlink_status|temp_directory_path|weakly_canonical))\b(?: \w+)?\s*[({]"
)
GUARDED = re.compile(r"(^|,\s*)(error|ignored|unknown|failed)$")
STATUS = re.compile(r"^(status|(fs|std::filesystem)::(symlink_)?status\(.*\))$")  # what has been looked at: asking it cannot fail
# The increment of a loop over a folder throws whatever its iterator was made with; so do these of an entry without an error_code.
LOOP = re.compile(r"\bfor \([^;()]*: *(?:fs|std::filesystem)::((?:recursive_)?directory_iterator)\b")
ENTRY = re.compile(r"(?:\.|->)(is_directory|is_regular_file|is_symlink|is_other|file_size|last_write_time|hard_link_count|symlink_status)\(\)")


def arguments(text, begin):
    """What stands between the parentheses that open before `begin`."""
    depth, end = 1, begin
    while depth:
        depth += {"(": 1, "{": 1, ")": -1, "}": -1}.get(text[end], 0)
        end += 1
    return text[begin : end - 1]


def throwing_calls(text):
    calls = [(call[1], arguments(text, call.end())) for call in CALL.finditer(text)]
    calls = [(name, said) for name, said in calls if not GUARDED.search(said) and not STATUS.search(said)]
    return calls + [(found[1], "") for pattern in (LOOP, ENTRY) for found in pattern.finditer(text)]


class Filesystem(unittest.TestCase):
    def test_what_is_found(self):
        for text, found in {
            "if (fs::exists(a / f(b)))": [("exists", "a / f(b)")],
            "std::filesystem::absolute(file).parent_path()": [("absolute", "file")],
            "fs::directory_iterator it(folder), end;": [("directory_iterator", "folder")],
            "roots_{fs::current_path()}": [("current_path", "")],
            "for (const auto& e : fs::directory_iterator(folder, error))": [("directory_iterator", "")],
            "if (entry.is_directory() || it->file_size() > 0)": [("is_directory", ""), ("file_size", "")],
            "fs::exists(fs::status(path))": [("status", "path")],
            "fs::rename(a, b)": [("rename", "a, b")],
            "fs::remove(path, error); std::filesystem::is_directory(x(1, 2), ignored)": [],
            "fs::directory_iterator it(folder, error), end; fs::path(x); fs::current_path(unknown)": [],
            "fs::exists(status); fs::exists(fs::symlink_status(path, unknown)); path.is_absolute(); entry.is_directory(unknown)": [],
        }.items():
            self.assertEqual(throwing_calls(text), found, text)

    def test_no_area_calls_them(self):
        found, seen = [], 0
        for path in sorted(path for area in AREAS for path in (ROOT / area).rglob("*")):
            if path.suffix in (".h", ".cpp", ".cu") and not path.name.endswith("_test.cpp") and path.name != "test_folder.h":
                seen += 1
                found += [f"{path.relative_to(ROOT)}: {name}({said})" for name, said in throwing_calls(path.read_text())]
        self.assertEqual(found, [])
        self.assertGreater(seen, 500)


if __name__ == "__main__":
    unittest.main()
