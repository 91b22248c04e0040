"""No misspelt key is passed over: each key of each shipped file, of a whole configuration, in a stage too, and of each
component's options, misspelt in turn, is refused with its place and the key that was meant. One process validates a
thousand files; what `antiphon conformance` reads is misspelt file by file.

misspelt_test.py ANTIPHON
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "fork_server"))
import forked

SOURCE = Path(__file__).resolve().parents[2]
PROGRAM = ""
NAMES = ("streams", "data.eval", "rename", "rank_pattern", "alpha_pattern")  # ends of tables whose keys are names of the user's own
SLOT = ["plugin", "weights", "part", "trainable"]
TINY = """[model.llm]
plugin = "llama"
vocab_size = 64
hidden_size = 32
intermediate_size = 32
num_layers = 1
num_heads = 2
"""


def call(*arguments, cwd=SOURCE):
    return forked.run(PROGRAM, *arguments, cwd=cwd, timeout=300)


def misspellings(key):
    """A letter doubled, two swapped, one left out; in the middle, where no shorter or longer key hides."""
    at = len(key) // 2
    yield key[:at] + key[at] + key[at:]
    if at and key[at - 1] != key[at]:
        yield key[: at - 1] + key[at] + key[at - 1] + key[at + 1:]
    if len(key) > 3:
        yield key[:at] + key[at + 1:]


def keys_of(line, table):
    """(column, key, the keys before it) of what a line in a table of that path names, without text and comments."""
    bare = re.sub(r'"[^"]*"', lambda text: "_" * len(text[0]), line).split("#")[0]
    header = re.match(r"\[\[?([\w.]+)\]", bare)
    paths = [(header.start(1), header[1])] if header else [(found.start(1), found[1]) for found in re.finditer(r"(?:^|[{,])\s*([A-Za-z_][\w.]*)\s*=", bare)]
    owners = {0: "" if header else table}  # by depth of inline tables
    for start, path in paths:
        depth = bare.count("{", 0, start) - bare.count("}", 0, start)
        before = owners.get(depth, "")  # of a list over several lines it is above
        for part in path.split("."):
            yield start, part, before
            start, before = start + len(part) + 1, f"{before}.{part}".lstrip(".")
        owners[depth + 1] = before


class Misspelt(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.root = Path(cls.folder.name)
        cls.components = [component for plugin in json.loads(call("inspect", "--json").stdout) for component in json.loads(call("inspect", plugin["name"], "--json").stdout)]
        cls.config = json.loads(call("inspect", "config", "--json").stdout)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def shipped(self, *patterns):
        """Files of the tree, without what git does not know."""
        names = subprocess.run(["git", "ls-files", *patterns], cwd=SOURCE, capture_output=True, text=True, check=True).stdout.split()
        return [SOURCE / name for name in names]

    def keys_in(self, lines):
        """(row, column, key, the keys before it) of all that lines of TOML name."""
        table = ""
        for row, line in enumerate(lines):
            if header := re.match(r"\[\[?([\w.]+)\]", line):
                table = header[1]
            for column, key, before in keys_of(line, table):
                yield row, column, key, before

    def refused(self, cases):
        """cases: (file, line, column, misspelt, meant)"""
        done = call("validate", *dict.fromkeys(case[0] for case in cases), cwd=self.root)
        self.assertNotIn(": good", done.stdout)
        self.assertNotIn("internal error", done.stderr)
        for file, line, column, bad, meant in cases:
            with self.subTest(f"{file}:{line}: {meant} as {bad}"):
                self.assertRegex(done.stderr, rf"(?m){re.escape(file)}:{line}:{column}: unknown key '{bad}' .*; did you mean '{meant}'\?")

    def test_each_key_of_each_shipped_file(self):
        shutil.copytree(SOURCE / "configs", self.root / "configs")
        cases, files = [], [path for path in self.shipped("*.toml") if path.name != "conformance.toml"]
        self.assertIn(SOURCE / "examples" / "plugin-template" / "model.toml", files)
        for path in files:
            # The template's own encoder is not built here, and dinov2 has all of its options.
            lines = path.read_text().replace('"patch_mean"', '"dinov2"').splitlines()
            folder = self.root / path.parent.relative_to(SOURCE)
            folder.mkdir(parents=True, exist_ok=True)
            for row, column, key, before in self.keys_in(lines):
                options = list(misspellings(key))
                bad = options[(row + column) % len(options)]
                file = folder / f"{path.stem}__{len(cases)}.toml"
                file.write_text("\n".join(lines[:row] + [lines[row][:column] + bad + lines[row][column + len(key):]] + lines[row + 1:]))
                if not before.endswith(NAMES):
                    cases.append((str(file.relative_to(self.root)), row + 1, column + 1, bad, key))
        self.assertGreater(len(cases), 400)
        self.refused(cases)

    def test_each_key_of_each_file_for_conformance(self):
        libraries = {plugin["name"]: plugin["file"] for plugin in json.loads(call("inspect", "--json").stdout)}
        files = self.shipped("plugins/**/conformance.toml")
        self.assertGreater(len(files), 30)
        for path in files:
            lines = path.read_text().splitlines()
            found = [(row, column, key) for row, column, key, before in self.keys_in(lines) if not before.endswith(NAMES) and key.strip("_")]
            keys = [(row, column, key) for row, column, key in found if not lines[row].startswith("[")]
            headers = [(row, column, key) for row, column, key in found if lines[row].startswith("[")]
            with self.subTest(file=str(path.relative_to(SOURCE))):
                bad, done = self.conformance(libraries[path.parent.name], lines, keys)
                for row, key, word in bad:
                    self.assertRegex(done.stdout, rf"conformance\.toml:{row + 1}:\d+: unknown key '{word}' [^;]*; did you mean '{key}'\?")
                bad, done = self.conformance(libraries[path.parent.name], lines, headers)
                first = lines.index(lines[bad[-1][0]])
                for row, key, word in bad:
                    if row == first:  # others of its name belong to it
                        self.assertRegex(done.stderr, rf"conformance\.toml:{row + 1}:\d+: \[\S*\b{word}\b\S*\] is not a component of this plugin; it has: .*\b{key}\b")

    def conformance(self, library, lines, places):
        """All of these keys misspelt in one file -> [(row, key, misspelt)], what the command said of it."""
        bad, words = list(lines), []
        for row, column, key in reversed(places):  # from the right, so that places stay
            options = list(misspellings(key))
            words.append((row, key, options[column % len(options)]))
            bad[row] = bad[row][:column] + words[-1][2] + bad[row][column + len(key):]
        (self.root / "conformance.toml").write_text("\n".join(bad))
        done = call("conformance", library, "--options", "conformance.toml", cwd=self.root)
        if places:
            self.assertIn(done.returncode, (2, 5), done.stderr)
        return words, done

    def test_each_key_of_a_whole_configuration(self):
        cases = []

        def visit(fields, section):
            for field in fields:
                for bad in misspellings(field["key"]):
                    file = f"config__{len(cases)}.toml"
                    (self.root / file).write_text((f"{section[0]}{section[1:-1]}{section[-1]}\n" if section else "\n") + f"{bad} = 1\n")
                    cases.append((file, 2, 1, bad, field["key"]))
                if "fields" in field:
                    inner = ".".join(filter(None, [section.strip("[]"), field["key"]])) + (".x" if field["type"] == "map of table" else "")
                    visit(field["fields"], f"[[{inner}]]" if field["type"] == "list of table" else f"[{inner}]")

        visit(self.config, "")
        for section in ("[model.streams.x.encoder]", "[[model.streams.x.encoder]]"):  # one, and several
            visit(self.slot_of_a_connector(), section)
        self.assertIn("[[model.streams.x.encoder.peft]]\n", {(self.root / file).read_text().split("\n")[0] + "\n" for file, *_ in cases})
        self.assertGreater(len(cases), 200)
        self.refused(cases)

    def slot_of_a_connector(self):
        """What an encoder's has, too; the schema of an encoder says nothing, as it may be a list."""
        stream = next(field for field in next(table for table in self.config if table["key"] == "model")["fields"] if field["key"] == "streams")
        slot = next(field for field in stream["fields"] if field["key"] == "connector")["fields"]
        self.assertEqual({field["key"] for field in slot}, {*SLOT, "peft"})
        return slot

    def test_each_key_of_a_stage(self):
        cases = []

        def add(lines, place, bad, meant):
            file = f"stage__{len(cases)}.toml"
            (self.root / file).write_text("\n".join(lines) + "\n")
            cases.append((file, *place, bad, meant))

        def visit(fields, section):
            for field in fields:
                header = [section] if section else []
                for bad in misspellings(field["key"]):
                    lines = ["[[stage]]", 'name = "a"', *header, f"{bad} = 1"]
                    add(lines, (len(lines), 1), bad, field["key"])
                if "fields" in field:
                    inner = ".".join(["stage", *filter(None, [section.strip("[]").removeprefix("stage").strip("."), field["key"]])]) + (".x" if field["type"] == "map of table" else "")
                    visit(field["fields"], f"[[{inner}]]" if field["type"] == "list of table" else f"[{inner}]")

        visit(self.config, "")
        for bad in misspellings("name"):
            add(["[[stage]]", f'{bad} = "a"', "[stage.train]", "steps = 1"], (2, 1), bad, "name")
        for bad in misspellings("stage"):
            add([f"[[{bad}]]", 'name = "a"'], (1, 3), bad, "stage")
        self.assertGreater(len(cases), 200)
        self.refused(cases)

    def test_each_option_of_each_component(self):
        tables = {"encoder": "[model.streams.x.encoder]", "connector": "[model.streams.x.connector]", "objective": "[objective]", "optimizer": "[train.optimizer]", "voice_activity": "[session.vad]", "head": "[model.head]", "peft": "[[model.llm.peft]]", "reward": "[[train.rollout.rewards]]", "language_model": "[model.llm]"}
        data = {kind: f'[[data.train.sources]]\npath = "x"\n{word} = "NAME"\n[data.train.sources.{word}_options]' for kind, word in [("data_source", "source"), ("record_format", "format")]}
        tables.update(data)
        kinds, count = set(), 0
        for component in self.components:
            if component["kind"] not in tables:
                if component["kind"] != "speech_synthesizer":  # whose options stand on a command line: data_verbs_test.py
                    self.assertEqual(component["options"], [])
                continue
            kinds.add(component["kind"])
            known = {option["key"] for option in component["options"]}
            if component["kind"] in data and not known:
                continue
            own = {"data_source": [], "record_format": [], "objective": ["plugin"], "optimizer": ["name", "lr", "weight_decay"], "peft": ["plugin", "weights", "name", "frozen"], "reward": ["plugin", "weight"], "head": ["plugin", "weights", "trainable"], "voice_activity": ["plugin", "weights"]}.get(component["kind"], SLOT)
            rows = [tables[component["kind"]], f'{"name" if component["kind"] == "optimizer" else "plugin"} = "{component["name"]}"']
            if component["kind"] in data:
                rows = tables[component["kind"]].replace("NAME", component["name"]).split("\n")
            wrong = [(bad, key) for key in [*known, *own] for bad in set(misspellings(key)) - known]
            cases = []
            for first in range(0, len(wrong), 60):  # validate names a hundred problems of a file
                file, piece = f"{component['kind']}_{component['name']}_{first}.toml", wrong[first : first + 60]
                (self.root / file).write_text("\n".join([*rows, *(f"{bad} = 1" for bad, _ in piece)] + ([TINY] if component["kind"] != "language_model" else [])))
                cases += [(file, len(rows) + 1 + place, 1, bad, key) for place, (bad, key) in enumerate(piece)]
            self.refused(cases)
            count += len(cases)
        self.assertEqual(kinds, set(tables))
        self.assertGreater(count, 300)

    def test_a_stream_that_is_off(self):
        (self.root / "off.toml").write_text(TINY + '[model.streams.image]\nenabled = false\nencoder = { plugin = "dinov2", hiden_size = 3 }\nconnector = { plugin = "mlp", detph = 2 }\n')
        self.refused([("off.toml", 10, 32, "hiden_size", "hidden_size"), ("off.toml", 11, 31, "detph", "depth")])

    def test_a_stream_by_another_name(self):
        (self.root / "recipe.toml").write_text(TINY + '[model.streams.image.encoder]\nplugin = "dinov2"\n[model.streams.imgae.connector]\nplugin = "mlp"\n')
        self.assertIn("recipe.toml:10:16: 'imgae' in [model.streams] is not whole; did you mean 'image'?", call("validate", "recipe.toml", cwd=self.root).stderr)

    def test_a_detector_without_its_plugin(self):
        for text, words in [('weights = "x"\n', "detector.toml:9:1: [session.vad] has weights and no plugin"), ('plugni = "silero"\nweights = "x"\n', "detector.toml:9:1: unknown key 'plugni' in [session.vad]; did you mean 'plugin'?"), ('plugin = ""\nchunk = 3\n', "detector.toml:10:1: unknown key 'chunk' in [session.vad]")]:
            (self.root / "detector.toml").write_text(TINY + "[session.vad]\n" + text)
            done = call("validate", "detector.toml", cwd=self.root)
            self.assertEqual(done.returncode, 2)
            self.assertIn(words, done.stderr)
        (self.root / "detector.toml").write_text(TINY + '[session.vad]\nplugin = ""\nweights = "x"\n')
        self.assertEqual(call("validate", "detector.toml", cwd=self.root).returncode, 0)

    def test_other_commands_check_as_much(self):
        (self.root / "train.toml").write_text(TINY + '[session.vad]\nplugni = "silero"\n')
        for verb in ["train", "eval"]:
            done = call(verb, "train.toml", cwd=self.root)
            self.assertEqual(done.returncode, 2)
            self.assertIn("did you mean 'plugin'?", done.stderr)


if __name__ == "__main__":
    PROGRAM = str(Path(sys.argv[1]).resolve())
    unittest.main(argv=[sys.argv[0], *sys.argv[2:]])
