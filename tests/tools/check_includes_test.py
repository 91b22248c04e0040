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
    "core/antiphon/comm/group.cpp": "#include <antiphon/comm/wires.h>\n",
    "core/antiphon/comm/wires.h": "#include <torch/csrc/distributed/c10d/TCPStore.hpp>\n",
    # Each file needs the other's header, and no header the other: no circle. An _impl.h is the end of its header.
    "core/antiphon/data/e.cpp": "#include <antiphon/data/f.h>\n",
    "core/antiphon/data/e.h": "#pragma once\n",
    "core/antiphon/data/f.cpp": "#include <antiphon/data/e.h>\n",
    "core/antiphon/data/f.h": "#include <antiphon/data/f_impl.h>\n",
    "core/antiphon/data/f_impl.h": "#include <antiphon/data/f.h>\n",
    "benchmarks/g.cpp": '#include "measure.h"\n#include <antiphon/run/h.h>\n',
    "tests/parity/probe.cpp": "#include <antiphon/nn/testing.h>\n#include <antiphon/run/h.h>\n",
    "tests/plugin_fixtures/good.cpp": '#include "fixture.h"\n#include <antiphon/component/i.h>\n',
    "core/antiphon/data/k.cpp": 'int x;  // "lora_A.weight"\n',
    "plugins/peft/lora/l.cpp": 'const char* key = "lora_alpha";\n',
    "examples/kinds/j.cpp": "#include <antiphon/backbone/k.h>\n",
}
BAD = {
    "core/antiphon/model/1.cpp": ("#include <antiphon/data/a.h>\n", "model must not include data"),
    "core/antiphon/text/2.cpp": ("#include <antiphon/nn/c.h>\n", "text must not include nn"),
    "core/antiphon/train/3.cpp": ("#include <antiphon/eval/c.h>\n", "train must not include eval"),
    "core/antiphon/base/4.cpp": ("#include <antiphon/newarea/c.h>\n", "'newarea' is not an area"),
    "core/antiphon/nn/5.h": ("#include <torch/nn.h>\n", "a header may include <ATen/core/Tensor.h>"),
    "core/antiphon/plugin/6.cpp": ("#include <boost/dll/alias.hpp>\n", "only core/antiphon/plugin/loader.cpp may"),
    "core/antiphon/config/7.cpp": ("#include <toml++/toml.h>\n", "only core/antiphon/config/toml_io.cpp may"),
    "core/antiphon/run/8.cpp": ("#include <common/command.h>\n", "nothing includes apps"),
    "core/antiphon/nn/11.cpp": ("#include <antiphon/nn/testing.h>\n", "is for tests only"),
    "plugins/llm/x/9.cpp": ("#include <antiphon/model/b.h>\n", "a plugin must not include model"),
    "plugins/llm/x/10.cpp": ('#include "../y/y.h"\n', "outside its folder"),
    "plugins/llm/x/12.cpp": ("#include <antiphon/checkpoint/b.h>\n", "a plugin must not include checkpoint"),
    "plugins/llm/x/13.cpp": ("#include <antiphon/newarea/b.h>\n", "a plugin must not include newarea"),
    "plugins/llm/x/14.cpp": ("#include <antiphon/kernels/cpu/lanes.h>\n", "is for kernels only"),
    "core/antiphon/comm/15.cpp": ("#include <torch/csrc/distributed/c10d/Store.hpp>\n", "only core/antiphon/comm/group.cpp"),
    "core/antiphon/parallel/16_test.cpp": ("#include <torch/csrc/distributed/c10d/Store.hpp>\n", "only core/antiphon/comm/group.cpp"),
    "core/antiphon/parallel/23.cpp": ("#include <antiphon/comm/wires.h>\n", "is for comm only"),
    "benchmarks/17.cpp": ("#include <common/command.h>\n", "nothing includes apps"),
    "benchmarks/18.cpp": ("#include <antiphon/nn/testing.h>\n", "is for tests only"),
    "tests/parity/19.cpp": ('#include "../../plugins/llm/x/x.h"\n', "nothing includes a plugin's files"),
    "tests/plugin_fixtures/20.cpp": ("#include <antiphon/run/h.h>\n", "a plugin must not include run"),
    "examples/kinds/21.cpp": ("#include <antiphon/train/b.h>\n", "a plugin must not include train"),
    "examples/kinds/22_test.cpp": ("#include <antiphon/nn/testing.h>\n", "is not installed"),
    "core/antiphon/base/24.cpp": ('#include "../model/b.h"\n', "a file of another folder is <antiphon/…>"),
    "core/antiphon/model/26.cpp": ('const char* key = "lora_alpha";\n', "'lora_' is a plugin's to know"),
    "core/antiphon/base/25.inc": ("#include <antiphon/model/b.h>\n", "base must not include model"),
    "core/antiphon/data/g.h": ("#include <antiphon/data/g.h>\n", "headers include each other"),
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

    def test_headers_that_include_each_other(self):
        two = {"core/antiphon/nn/p.h": "#include <antiphon/nn/q.h>\n", "core/antiphon/nn/q.h": "\n#include <antiphon/nn/p.h>\n"}
        p, q, r = (f"core/antiphon/nn/{name}.h" for name in "pqr")
        self.assertEqual(check({**GOOD, **two})[1][:-1], [f"{p}:1: headers include each other: {p} -> {q} -> {p}"])
        three = {**two, q: '#include "r.h"\n', r: "#include <antiphon/nn/p.h>\n"}
        self.assertEqual(check({**GOOD, **three})[1][:-1], [f"{p}:1: headers include each other: {p} -> {q} -> {r} -> {p}"])
        self.assertEqual(check({**GOOD, **three, r: "#pragma once\n"})[0], 0)

    def test_an_empty_tree_is_a_mistake(self):
        code, _ = check({"core/x.txt": "", "plugins/x.txt": "", "apps/x.txt": ""})
        self.assertEqual(code, 1)


if __name__ == "__main__":
    unittest.main()
