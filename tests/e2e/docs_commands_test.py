"""The commands of README and docs. Each `antiphon` or `./dev` line of an sh block runs, page by page, in a folder where tiny
things have the names that the text uses; the lines of PARSED are only read. Of commands within a sentence, the verb and
every flag must be there; of Python scripts, wherever they stand, the file and every flag; of the benchmark, which is not built
here, the verb and every flag as its sources declare them."""
import functools
import os
import re
import shlex
import shutil
import subprocess

from harness import PROGRAM, ROOT, Case, losses, main
import make_tiny
import tiny_omni
import tiny_voxtral

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
ALL = [*PAGES, *sorted((ROOT / "docs" / "decisions").glob("*.md")), ROOT / "CONTRIBUTING.md", ROOT / "examples" / "plugin-template" / "README.md"]
# Why a line does not run here; the whole line without its comment must match.
PARSED = {
    r"\./dev demo": "downloads weights and recordings, and trains for ten minutes",
    r"\./dev test": "it runs this test",
    r"\./dev bench.*": "measures for up to an hour, beside programs that have to be downloaded",
    r"build/bin/antiphon (train|launch) FOLDER/.*": "benchmarks/run.py makes that folder, of weights at full size",
    r"antiphon conformance build/plugins/my_encoder\.so .*": "needs a plugin that is built first: tests/cli/template_test.py does it",
    r"ANTIPHON_PLUGIN_PATH=\S+ antiphon inspect my_encoder": "needs a plugin that is built first: tests/cli/template_test.py does it",
}
MADE = ("FOLDER/", "build/", ".cache/")  # what lies there is made by a build or by ./setup
OF_THE_TREE = ("./setup", "configs/", "tools/", "tests/", "benchmarks/", "examples/", "docs/")
FILE = re.compile(r"[\w./-]+\.(?:toml|py|sh|cpp|h|so|jsonl)")


def lines_of(page):
    """The lines of a page's sh blocks, without comments."""
    for block in re.findall(r"^```sh\n(.*?)^```", page.read_text(), flags=re.M | re.S):
        yield from filter(None, (re.sub(r"(^|\s+)#.*", "", line) for line in block.splitlines()))


def words_of(line):
    """Without what is set before the command."""
    words = shlex.split(line)
    while "=" in words[0]:
        words.pop(0)
    return words


def is_command(line):
    return words_of(line)[0] in ("antiphon", "build/bin/antiphon", "./dev")


def verbs_of_the_benchmark():
    """verb -> the flags that it takes, and under "" those that all take, out of the calls to CLI11 in their order."""
    flags = {"": set()}
    for text in (file.read_text() for file in sorted((ROOT / "benchmarks").glob("*.cpp"))):
        verbs = {"program": [""]}
        for name, verb, loop, of, at, flag in re.findall(r'(?:(\w+) =\s+)?program\.add_subcommand\("(\w+)"|for \(auto\* (\w+) : \{([\w, ]+)\}|(\w+)(?:->|\.)add_(?:option|flag)\("(--[\w-]+)"', text):
            if verb:
                verbs[name], flags[verb] = [verb], set()
            elif loop:
                verbs[loop] = [each for one in of.split(", ") for each in verbs[one]]
            else:
                for each in verbs[at]:
                    flags[each].add(flag)
    return flags


def benchmark_commands(page):
    """The words after `antiphon_bench` of each command, in blocks and sentences; a name alone is none."""
    lines = [*lines_of(page), *re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S))]
    for words in (shlex.split(line, posix=False) for line in lines if "antiphon_bench " in line):
        yield words[next(place for place, word in enumerate(words) if word.endswith("antiphon_bench")) + 1:]


def reason(line):
    return next((why for pattern, why in PARSED.items() if re.fullmatch(pattern, line)), None)


def inline(page, program):
    """The commands of a program between backticks, as words."""
    return [text.split() for text in re.findall(rf"`(?:\w+=\S+ )?{re.escape(program)} ([a-z]+[^`]*)`", page.read_text())]


def scripts(page):
    """(file, flags) of each Python script that an sh block or a sentence calls, or names."""
    sentences = re.findall(r"`([^`]+)`", re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S))
    for words in (text.split() for text in [*lines_of(page), *sentences]):
        for place, word in enumerate(words):
            if re.fullmatch(r"(benchmarks|tools|tests)/[\w/-]+\.py", word):
                yield word, [flag.split("=")[0] for flag in words[place + 1:] if flag.startswith("--")]


def declared(script, seen=()):
    """The flags that a script, or what it imports from its folder, declares."""
    text = script.read_text()
    imported = [script.parent / f"{name}.py" for name in re.findall(r"(?m)^(?:import|from) (\w+)", text)]
    return set(re.findall(r"""add_argument\("(--[\w-]+)""", text)).union(*(declared(file, (*seen, script)) for file in imported if file.exists() and file not in seen))


class Commands(Case):
    TRAIN, HELD = 6, 3

    def stand_ins(self, page, name=""):
        """A folder that holds what a reader of the page has."""
        folder = self.folder / (name or page.stem)
        (folder / "configs" / "recipes").mkdir(parents=True)
        (folder / "build" / "bin").mkdir(parents=True)
        (folder / "build" / "bin" / "antiphon").symlink_to(PROGRAM)
        text = self.config.read_text().replace("steps = 40", "steps = 2").replace("max_tokens = 8", "max_tokens = 2").replace("resamples = 1000", "resamples = 100")
        for name, run in [("model.toml", "runs/first"), ("configs/recipes/stamps.toml", "runs/stamps")]:
            (folder / name).write_text(text.replace("[train]", f'[train]\noutput = "{run}"'))
        make_tiny.write_llava(folder / "llava-1.5-7b-hf")
        make_tiny.write_qwen2_5_vl(folder / "Qwen2.5-VL-3B-Instruct")
        make_tiny.write_qwen3_vl(folder / "Qwen3-VL-2B-Instruct")
        tiny_omni.write_qwen2_5_omni(folder / "Qwen2.5-Omni-7B")
        tiny_voxtral.write_voxtral(folder / "Voxtral-Mini-3B-2507")
        shutil.copy(ROOT / "tests" / "media" / "clip.mp4", folder / "clip.mp4")
        make_tiny.write_gemma3(folder / "gemma-3-4b-it")
        make_tiny.write_mistral3(folder / "Mistral-Small-3.1-24B-Instruct-2503")
        make_tiny.write_phi3(folder / "Phi-3.5-mini-instruct")
        make_tiny.write_internvl(folder / "InternVL3-2B-hf")
        make_tiny.write_vila(folder / "NVILA-Lite-8B")
        make_tiny.write_smolvlm(folder / "SmolVLM2-500M-Video-Instruct")
        make_tiny.write_set(folder / "more.jsonl", 3, seed=8)
        make_tiny.write_set(folder / "heard.jsonl", 3, seed=9, kinds=("audio",))
        shutil.copy(next((self.folder / "data").glob("*.png")), folder / "cat.png")
        shutil.copy(next((self.folder / "data").glob("*.wav")), folder / "prompt.wav")
        return folder

    def test_blocks(self):
        done = 0
        for page in PAGES:
            folder = self.stand_ins(page)
            path = f"{folder / 'build' / 'bin'}:{os.environ['PATH']}"
            for line in filter(is_command, lines_of(page)):
                with self.subTest(page=page.name, command=line):
                    if reason(line):
                        self.check(words_of(line))
                        continue
                    call = subprocess.run(["bash", "-c", line], cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, env={**os.environ, "OMP_NUM_THREADS": "1", "PATH": path})
                    self.assertEqual(call.returncode, 0, f"mend the page or the program, give it a stand-in, or say in PARSED why it cannot run here\n{call.stderr[-2000:]}")
                    done += 1
        self.assertGreater(done, 20)

    def test_one_and_two_processes_train_the_same(self):
        """The first block of parallel.md, to its last line, which compares what both have trained."""
        page = ROOT / "docs" / "parallel.md"
        folder = self.stand_ins(page, "one_and_two")
        block = re.search(r"^```sh\n(.*?)^```", page.read_text(), flags=re.M | re.S)[1]
        self.assertIn("\ncmp ", block)
        path = f"{folder / 'build' / 'bin'}:{os.environ['PATH']}"
        done = subprocess.run(["bash", "-e", "-c", block], cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, env={**os.environ, "PATH": path})
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr[-3000:])
        one, two = (losses(folder / "runs" / name) for name in ("by_one", "by_two"))
        self.assertEqual(len(one), 20)
        self.assertEqual(one, two)

    def test_every_reason_is_needed(self):
        lines = [line for page in PAGES for line in lines_of(page) if is_command(line)]
        for pattern in PARSED:
            self.assertTrue(any(re.fullmatch(pattern, line) for line in lines), f"no page has a command like {pattern}: take it out of PARSED")

    def check(self, words):
        """Verb, flags and files of one command, unrun."""
        known = self.dev_help(words[1]) if words[0] == "./dev" else self.help_of(tuple(words[1:3] if words[1] == "data" else words[1:2]))
        for word in words[1:]:
            if word.startswith("--"):
                self.assertRegex(known, rf"(?<![\w-]){re.escape(word.split('=')[0])}(?![\w-])", "no such flag")
            elif FILE.fullmatch(word) and not word.startswith(MADE):
                self.assertTrue((ROOT / word).exists() or (ROOT / "examples" / "plugin-template" / word).exists(), f"there is no file {word}")

    @functools.cache
    def help_of(self, verb):
        call = subprocess.run([PROGRAM, *verb, "--help"], capture_output=True, text=True, timeout=60)
        self.assertEqual(call.returncode, 0, f"there is no command {verb}")
        return call.stdout

    def dev_help(self, verb):
        text = subprocess.run([ROOT / "dev", "help"], capture_output=True, text=True, timeout=60).stdout
        part = re.search(rf"(?m)^  {verb}  .*\n(?:   .*\n)*", text)
        self.assertTrue(part, f"there is no ./dev {verb}")
        return part[0]

    def test_words(self):
        found = 0
        for page in ALL:
            for program in ["antiphon", "./dev"]:
                for words in inline(page, program):
                    with self.subTest(page=page.name, command=words):
                        self.check([program, *(word.strip("[]()") for word in words)])
                    found += 1
        self.assertGreater(found, 25)

    def test_other_lines_name_what_is_there(self):
        for page in PAGES:
            for line in lines_of(page):
                for word in [] if is_command(line) else shlex.split(line):
                    if word.startswith(OF_THE_TREE) and not any(mark in word for mark in "<*"):
                        self.assertTrue((ROOT / word).exists(), f"{page.name}: {line}")

    def test_scripts_have_the_flags(self):
        found = 0
        for page in ALL:
            for name, flags in scripts(page):
                with self.subTest(page=page.name, script=name):
                    self.assertTrue((ROOT / name).exists())
                    self.assertLessEqual(set(flags), declared(ROOT / name), "no such flag")
                found += len(flags)
        self.assertGreater(found, 100)

    def test_the_benchmark_has_the_flags(self):
        known, found = verbs_of_the_benchmark(), 0
        for page in ALL:
            for verb, *rest in benchmark_commands(page):
                with self.subTest(page=page.name, command=[verb, *rest]):
                    self.assertIn(verb, known, "no such verb")
                    self.assertLessEqual({word.split("=")[0] for word in rest if word.startswith("--")}, known[verb] | known[""], "no such flag")
                    for word in rest:
                        self.assertTrue(not FILE.fullmatch(word) or word.startswith(MADE) or (ROOT / word).exists(), f"there is no file {word}")
                found += 1
        self.assertGreater(found, 40)

    def test_setups_are_known(self):
        usage = re.search(r"setup \[(.*)\]", (ROOT / "setup").read_text())[1].split("|")
        for page in ALL:
            for name in re.findall(r"\./setup ([a-z-]+)", page.read_text()):
                self.assertIn(name, usage, page.name)

    def test_named_files_are_there(self):
        for page in ALL:
            for name in set(re.findall(r"`?((?:configs|tools|tests|benchmarks)/[\w./-]*\w\.(?:toml|py|sh))`?", page.read_text())):
                with self.subTest(page=page.name, file=name):
                    self.assertTrue((ROOT / name).exists())


if __name__ == "__main__":
    main()
