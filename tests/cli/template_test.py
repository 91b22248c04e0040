"""The path of a plugin author: install Antiphon, build examples/plugin-template against the installation, check it, list
it, and train a model with it. Nothing of Antiphon's own tree is used but the tokenizer of the test data.

template_test.py BUILD_FOLDER CMAKE     (a folder that `ninja` has filled)
"""

import json
import os
import re
import shutil
import subprocess
import sys
import unittest
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(SOURCE / "tests" / "e2e"))
import make_tiny  # noqa: E402

BUILD, CMAKE = Path(), "cmake"


def run(*command, cwd=None, wanted=0, **environment):
    env = {k: v for k, v in os.environ.items() if k != "ANTIPHON_PLUGIN_PATH"}
    done = subprocess.run([str(c) for c in command], cwd=cwd, env={**env, **environment}, capture_output=True, text=True, timeout=500)
    if done.returncode != wanted:
        raise AssertionError(f"{' '.join(map(str, command))}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout, done.stderr


def run_paths(file):
    out, _ = run("readelf", "-d", file)
    return [line.split("[")[1].rstrip("]") for line in out.splitlines() if "RPATH" in line or "RUNPATH" in line]


class Template(unittest.TestCase):
    """Steps in one order: each needs the one before."""

    @classmethod
    def setUpClass(cls):
        cls.work = BUILD / "template_test"  # always the same place, so that ccache knows the files
        shutil.rmtree(cls.work, ignore_errors=True)
        cls.prefix, cls.copy = cls.work / "prefix", cls.work / "mine"
        cls.program = cls.prefix / "bin" / "antiphon"
        cls.plugins = cls.copy / "build" / "plugins"
        run(CMAKE, "--install", BUILD, "--prefix", cls.prefix)
        shutil.copytree(SOURCE / "examples" / "plugin-template", cls.copy)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.work, ignore_errors=True)

    def test_1_the_installation_stands_alone(self):
        files = [self.program, *self.prefix.glob("lib*/**/*.so")]
        self.assertGreater(len(files), 5)
        for file in files:
            for path in ":".join(run_paths(file)).split(":"):
                self.assertFalse(path.startswith(str(BUILD)), f"{file} looks for libraries in the build folder: {path}")
        out, _ = run(self.program, "inspect", "--json")
        listed = json.loads(out)
        self.assertGreaterEqual(len(listed), 8)
        for plugin in listed:
            self.assertTrue(plugin["file"].startswith(str(self.prefix.resolve())), plugin["file"])
            self.assertEqual(plugin["refusal"], "")

    def test_2_the_template_builds_and_passes(self):
        launcher = ["-DCMAKE_CXX_COMPILER_LAUNCHER=ccache"] if shutil.which("ccache") else []
        run(CMAKE, "-S", ".", "-B", "build", "-G", "Ninja", f"-DCMAKE_PREFIX_PATH={self.prefix}", *launcher, cwd=self.copy)
        run(CMAKE, "--build", "build", cwd=self.copy)
        out, _ = run("ctest", "--test-dir", "build", "--output-on-failure", cwd=self.copy)
        for name in ["plugin patch_mean: conformance", "plugin patch_mean: exports", "plugin patch_mean"]:
            self.assertRegex(out, rf"(?m): {name} \.+ +Passed")
        out, _ = run(self.program, "conformance", self.plugins / "patch_mean.so", "--options", self.copy / "conformance.toml")
        self.assertRegex(out, r"\n[1-9][0-9] passed, 0 failed\n$")
        text = (self.copy / "conformance.toml").read_text()
        for key, bad in [("hidden_size", "hiden_size"), ("patch_size", "pacth_size")]:
            (self.copy / "misspelt.toml").write_text(text.replace(key, bad))
            out, _ = run(self.program, "conformance", self.plugins / "patch_mean.so", "--options", self.copy / "misspelt.toml", wanted=5)
            self.assertRegex(out, rf"misspelt\.toml:\d:1: unknown key '{bad}' .*; did you mean '{key}'\?")

    def test_3_it_is_listed(self):
        out, _ = run(self.program, "inspect", ANTIPHON_PLUGIN_PATH=str(self.plugins))
        self.assertRegex(out, r"(?m)^patch_mean +0\.1\.0 +encoder:patch_mean +one vector")
        out, _ = run(self.program, "inspect", "patch_mean", ANTIPHON_PLUGIN_PATH=str(self.plugins))
        self.assertIn("hidden_size = 64", out)

    def test_4_it_runs_in_a_composed_model(self):
        make_tiny.write_set(self.copy / "train.jsonl", 12, seed=3, kinds=["image"])
        shutil.copytree(make_tiny.TOKENIZER, self.copy / "tokenizer")
        found = {"ANTIPHON_PLUGIN_PATH": str(self.plugins)}
        out, _ = run(self.program, "validate", "model.toml", cwd=self.copy, **found)
        self.assertRegex(out, r"streams\.image\.encoder +patch_mean")
        run(self.program, "train", "model.toml", cwd=self.copy, **found)
        steps = [json.loads(line) for line in (self.copy / "run" / "metrics.jsonl").read_text().splitlines()]
        self.assertEqual([s["step"] for s in steps], [1, 2])
        self.assertGreater(steps[-1]["train/loss"], 0)
        two = ["--set", "train.output=two", "--set", "train.accumulate=2"]
        run(self.program, "launch", "model.toml", "--procs", "2", *two, cwd=self.copy, **found)
        self.assertTrue((self.prefix / "libexec" / "antiphon" / "antiphon_launch").exists())
        self.assertEqual(len((self.copy / "two" / "metrics.jsonl").read_text().splitlines()), 2)
        _, err = run(self.program, "validate", "model.toml", cwd=self.copy, wanted=5)
        self.assertIn("there is no encoder 'patch_mean'", err)

    def built(self, example):
        """A copy of an example, built against the installation, whose tests pass."""
        launcher = ["-DCMAKE_CXX_COMPILER_LAUNCHER=ccache"] if shutil.which("ccache") else []
        copy = self.work / example
        if copy.exists():
            return copy / "build" / "plugins"
        shutil.copytree(SOURCE / "examples" / example, copy)
        run(CMAKE, "-S", ".", "-B", "build", "-G", "Ninja", f"-DCMAKE_PREFIX_PATH={self.prefix}", *launcher, cwd=copy)
        run(CMAKE, "--build", "build", cwd=copy)
        out, _ = run("ctest", "--test-dir", "build", "--output-on-failure", cwd=copy)
        self.assertIn("100% tests passed", out)
        return copy / "build" / "plugins"

    def test_6_the_shortest_of_each_kind(self):
        """The page shows them as they are, and none is missing. Three have folders of their own, which are built by now."""
        examples, page = SOURCE / "examples", (SOURCE / "docs" / "plugin_author.md").read_text()
        folders = [self.built("kinds"), self.plugins, *(self.work / name / "build" / "plugins" for name in ["data-source", "record-format"])]
        files = [file for folder in examples.iterdir() for file in [*folder.glob("*.h"), *folder.glob("*.cpp")] if not file.stem.endswith("_test")]
        self.assertGreaterEqual({file.name for file in files}, {"patch_mean.h", "patch_mean.cpp", "tab_table.cpp", "question_answer.cpp", "gain.cpp"})
        for file in files:
            self.assertIn(f"```cpp\n{file.read_text()}```", page, file.name)
        listed = json.loads(run(self.program, "inspect", "--json", ANTIPHON_PLUGIN_PATH=":".join(map(str, folders)))[0])
        kinds = {provided.split(":")[0] for plugin in listed for provided in plugin["provides"]}
        ours = [plugin for plugin in listed if Path(plugin["file"]).parent in [folder.resolve() for folder in folders]]
        self.assertEqual({provided.split(":")[0] for plugin in ours for provided in plugin["provides"]}, kinds)

    def test_7_a_model_that_keeps_a_state(self):
        """The recurrent language model trains on pictures and texts, and answers, greedily and by beams, as its loss says."""
        folder = self.work / "stateful"
        folder.mkdir()
        make_tiny.write_set(folder / "train.jsonl", 12, seed=3, kinds=["image"])
        shutil.copytree(make_tiny.TOKENIZER, folder / "tokenizer")
        text = (SOURCE / "examples" / "plugin-template" / "model.toml").read_text()
        kept = "\n".join(line for line in text.splitlines() if not re.match(r"(intermediate_size|num_layers|num_heads|max_positions) = ", line))
        (folder / "model.toml").write_text(kept.replace('plugin = "llama"', 'plugin = "recurrent"'))
        found = {"ANTIPHON_PLUGIN_PATH": f"{self.built('kinds')}:{self.plugins}"}
        run(self.program, "train", "model.toml", "--set", "model.llm.trainable=true", "--set", "train.steps=60", "--set", "train.optimizer.lr=1e-2", cwd=folder, **found)
        steps = [json.loads(line)["train/loss"] for line in (folder / "run" / "metrics.jsonl").read_text().splitlines()]
        self.assertLess(steps[-1], 0.5 * steps[0])
        picture, asked = "train_0.png", json.loads((folder / "train.jsonl").read_text().splitlines()[0])["messages"]
        question = next(part["text"] for part in asked[0]["content"] if part["type"] == "text")
        answers = [run(self.program, "generate", "run", "--image", picture, question, "--set", f"generate.num_beams={beams}", cwd=folder, **found)[0] for beams in (1, 3)]
        text_of = lambda content: content if isinstance(content, str) else "".join(part["text"] for part in content)
        known = {text_of(json.loads(line)["messages"][1]["content"]) for line in (folder / "train.jsonl").read_text().splitlines()}
        for answer in answers:
            self.assertIn(answer.strip(), known)

    def test_5_data_of_ones_own(self):
        """The examples of a data source and of a record format, together."""
        folders = [str(self.built(name)) for name in ["data-source", "record-format"]]
        table = self.work / "talk.tsv"
        table.write_text("question\tanswer\tmood\nHow are you?\tFine.\tgood\nAnd you?\tFine, too.\tgood\n")
        out, err = run(self.program, "data", "check", table, "--json", ANTIPHON_PLUGIN_PATH=":".join(folders))
        self.assertEqual((json.loads(out)["samples"], json.loads(out)["bad"]), (2, 0))
        self.assertIn("2 records, read by tab_table as question_answer", err)
        out, _ = run(self.program, "data", "check", table, "--json", ANTIPHON_PLUGIN_PATH=folders[0], wanted=3)
        self.assertIn("none can be read", json.loads(out)["reasons"][0]["example"])


if __name__ == "__main__":
    BUILD, CMAKE = Path(sys.argv[1]).resolve(), sys.argv[2]
    unittest.main(argv=sys.argv[:1])
