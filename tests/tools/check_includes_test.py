"""tools/check_includes.py finds what it is there to find, in a tree made up here."""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "tools" / "check_includes.py"
GOOD = {
    "core/antiphon/data/a.cpp": "#include <antiphon/model/b.h>\n#include <ATen/ATen.h>\n",
    "core/antiphon/model/b.h": "#include <ATen/core/Tensor.h>\n#include <antiphon/nn/c.h>\n",
    "core/antiphon/nn/c.h": "#include <antiphon/kernels/d.h>\n",
    "core/antiphon/nn/testing.h": "#include <ATen/ATen.h>\n",
    "core/antiphon/nn/c_test.cpp": "#include <antiphon/nn/testing.h>\n",
    "core/antiphon/plugin/loader.cpp": "#include <boost/dll/shared_library.hpp>\n",
    "core/antiphon/config/toml_io.cpp": "#include <toml++/toml.h>\n",
    "plugins/llm/x/x.cpp": '#include "x.h"\n#include <antiphon/text/y.h>\n',
    "apps/train/train.cpp": "#include <common/command.h>\n#include <antiphon/train/z.h>\n",
    "apps/common/command.h": "#pragma once\n",
}
BAD = {
    "core/antiphon/model/1.cpp": ("#include <antiphon/data/a.h>\n", "model must not include data"),
    "core/antiphon/text/2.cpp": ("#include <antiphon/nn/c.h>\n", "text must not include nn"),
    "core/antiphon/train/3.cpp": ("#include <antiphon/eval/c.h>\n", "train must not include eval"),
    "core/antiphon/base/4.cpp": ("#include <antiphon/newarea/c.h>\n", "'newarea' is no area"),
    "core/antiphon/nn/5.h": ("#include <torch/nn.h>\n", "a header may include <ATen/core/Tensor.h>"),
    "core/antiphon/plugin/6.cpp": ("#include <boost/dll/alias.hpp>\n", "only core/antiphon/plugin/loader.cpp may"),
    "core/antiphon/config/7.cpp": ("#include <toml++/toml.h>\n", "only core/antiphon/config/toml_io.cpp may"),
    "core/antiphon/run/8.cpp": ("#include <common/command.h>\n", "nothing includes apps"),
    "core/antiphon/nn/11.cpp": ("#include <antiphon/nn/testing.h>\n", "is for tests only"),
    "plugins/llm/x/9.cpp": ("#include <antiphon/model/b.h>\n", "a plugin must not include model"),
    "plugins/llm/x/10.cpp": ('#include "../y/y.h"\n', "outside its folder"),
}


def check(files):
    with tempfile.TemporaryDirectory() as folder:
        for name, text in files.items():
            path = Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        done = subprocess.run([sys.executable, SCRIPT, folder], capture_output=True, text=True)
        return done.returncode, done.stdout.splitlines()


class CheckIncludes(unittest.TestCase):
    def test_what_is_allowed(self):
        self.assertEqual(check(GOOD), (0, [f"{len(GOOD)} files, 0 findings"]))

    def test_each_violation(self):
        for name, (text, wanted) in BAD.items():
            with self.subTest(name):
                code, lines = check({**GOOD, name: text})
                self.assertEqual(code, 1)
                self.assertEqual(len(lines), 2, lines)
                self.assertIn(f"{name}:1: ", lines[0])
                self.assertIn(wanted, lines[0])

    def test_an_empty_tree_is_a_mistake(self):
        code, _ = check({"core/x.txt": "", "plugins/x.txt": "", "apps/x.txt": ""})
        self.assertEqual(code, 1)


if __name__ == "__main__":
    unittest.main()
