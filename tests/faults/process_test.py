"""The program as a process: its standard streams, its signals, what its surroundings can do to it."""

import itertools
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

import make_tiny
from harness import PROGRAM, Case, checkpoints, forked, losses, main, records, sets, subcommands

COMMON = sets(train__steps=3, train__tokens_per_batch=96)
LONG = sets(train__steps=100000, train__tokens_per_batch=96, train__checkpoint_every=100000)
PLUGINS = Path(PROGRAM).resolve().parents[1] / "plugins"


class Streams(Case):
    def shell(self, text, **options):
        return subprocess.run(["bash", "-c", text], capture_output=True, text=True, timeout=120, **options)

    def test_closed_streams_take_nothing_of_a_run(self):
        for number, closed in enumerate(["2>&-", ">&- 2>&-", "<&- >&- 2>&-", "<&-"]):
            run = self.folder / f"closed_{number}"
            done = self.shell(f"'{PROGRAM}' train '{self.config}' --threads 1 --set train.output='{run}' {' '.join(COMMON)} {closed}")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertRegex((run / "run.lock").read_text(), r"^process \d+$")
            self.assertEqual([r["step"] for r in records(run / "metrics.jsonl")], [1, 2, 3])
            self.assertEqual((run / "bad_samples.jsonl").read_text(), "")

    def commands(self):
        """One command for each verb that prints a result, and the help of each verb."""
        llava = self.folder / "llava"
        make_tiny.write_llava(llava)
        held = self.folder / "data" / "held.jsonl"
        good = [["inspect"], ["inspect", "--json"], ["inspect", "config"], ["inspect", "lora"], ["validate", self.config], ["validate", self.config, "--resolved"], ["plan", self.config], ["fit", self.config, "--most", 256, *sets(train__tokens_per_batch=256)], ["doctor"], ["compose", llava],
                ["data", "show", self.config], ["data", "check", held], ["data", "check", held, "--json"], ["data", "stats", held], ["data", "index", held], ["generate", self.config, "hello", *sets(generate__max_tokens=2)],
                ["eval", self.config, "--output", self.folder / "eval", *sets(eval__generate="false")], ["chat", self.config, *sets(generate__max_tokens=2), "--history", ""],
                ["conformance", PLUGINS / "frame_stack.so"]]
        verbs = subcommands()
        silent = {"train", "launch", "report", "merge", "export"}  # what they make is files
        self.assertEqual(set(verbs), {words[0] for words in good} | silent)
        return [*good, ["--help"], ["--version"], *([verb, "--help"] for verb in verbs)]

    def test_a_result_that_cannot_be_written_is_an_error(self):
        # A copy of a started process may have its stdout in a full device, but not be without one.
        full, closed = (forked.forked(PROGRAM), "> /dev/full", "No space left on device"), (PROGRAM, ">&-", "Bad file descriptor")
        for words in self.commands():
            words = " ".join(f"'{word}'" for word in words)
            for program, target, reason in (full, closed):
                with self.subTest(f"{words} {target}"):
                    done = self.shell(f"echo hello | '{program}' {words} {target}")
                    self.assertEqual(done.returncode, 2, done.stderr)
                    self.assertEqual(done.stderr.count(f"cannot write to stdout: {reason}"), 1, done.stderr)
                    self.assertNotIn("internal error", done.stderr)
        self.assertTrue((self.folder / "eval" / "results.json").exists(), "what was measured is not lost with stdout")

    def test_a_reader_that_leaves_ends_a_command_quietly(self):
        for words in ["inspect config", f"validate '{self.config}' --resolved", f"data show '{self.config}' --count 20"]:
            done = self.shell(f"set -o pipefail; '{PROGRAM}' {words} | head -c 1 > /dev/null")
            self.assertIn(done.returncode, [0, 128 + signal.SIGPIPE], words)
            self.assertEqual(done.stderr, "")


class Signals(Case):
    def start_run(self, run, *args, **options):
        return self.start("train", self.config, "--resume", *sets(train__output=run), *LONG, *args, **options)

    def test_a_reader_of_the_messages_that_leaves(self):
        run = self.folder / "deaf"
        process = self.start_run(run, *sets(train__steps=60))
        process.stderr.readline()
        process.stderr.close()
        process.stderr = None
        self.assertEqual(process.wait(60), 0)
        self.assertEqual(max(losses(run)), 60)

    def test_a_terminal_that_goes(self):
        for number in [signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR2, signal.SIGXCPU]:
            run = self.folder / f"signal_{number}"
            process = self.start_run(run)
            self.wait_for_step(run, 3, process)
            process.send_signal(number)
            if number in (signal.SIGHUP, signal.SIGXCPU):  # a terminal that goes sends several, the kernel one each second
                for _ in range(3):
                    process.send_signal(number)
                    time.sleep(0.01)
            _, text = process.communicate(timeout=60)
            self.assertEqual(process.returncode, 75, text)
            self.assertEqual(checkpoints(run)[0], f"step_{max(losses(run))}")

    def test_signals_that_the_parent_ignores(self):
        """nohup; a shell that starts it in the background of a script."""
        run, ignored = self.folder / "nohup", [signal.SIGHUP, signal.SIGINT, signal.SIGQUIT]
        process = self.start_run(run, preexec_fn=lambda: [signal.signal(number, signal.SIG_IGN) for number in ignored])
        self.wait_for_step(run, 3, process)
        for number in ignored:
            process.send_signal(number)
        self.wait_for_step(run, max(losses(run)) + 20, process)
        self.assertIsNone(process.poll())
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
        self.assertEqual(process.returncode, 75)

    def test_while_loading(self):
        """Sent as soon as the first message is there: plugins and weights are loaded then."""
        for number in [signal.SIGTERM, signal.SIGINT, signal.SIGHUP]:
            process = self.start_run(self.folder / f"loading_{number}")
            process.stderr.readline()
            process.send_signal(number)
            _, text = process.communicate(timeout=60)
            self.assertEqual(process.returncode, 75, text)

    def test_the_launcher_puts_signals_off(self):
        """What stands in the program's place says which signals it was started with put off."""
        home = self.folder / "launched"
        for folder in ["bin", "libexec/antiphon"]:
            (home / folder).mkdir(parents=True)
        shutil.copy(Path(PROGRAM).resolve(), home / "bin" / "antiphon")
        program = home / "libexec" / "antiphon" / "antiphon"
        program.write_text("#!/bin/sh\nexec grep SigBlk /proc/self/status\n")
        program.chmod(0o755)
        stops = [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP, signal.SIGQUIT, signal.SIGXCPU]
        for words, held in [(["train", "a.toml"], stops), (["--debug", "train"], stops), (["eval", "a.toml"], [])]:
            done = subprocess.run([home / "bin" / "antiphon", *words], capture_output=True, text=True, timeout=60)
            self.assertEqual(int(done.stdout.split()[1], 16), sum(1 << (number - 1) for number in held), words)

    def wait_until_held(self, process, number):
        """Until the process has put the signal off or handles it: from its first millisecond on."""
        bit, end = 1 << (number - 1), time.monotonic() + 60
        while True:
            self.assertIsNone(process.poll())
            masks = re.findall(r"Sig(?:Blk|Cgt):\s*([0-9a-f]+)", Path(f"/proc/{process.pid}/status").read_text())
            if any(int(mask, 16) & bit for mask in masks):
                return
            self.assertLess(time.monotonic(), end, "the signal would end the process by the system's default")

    def test_while_libraries_are_loaded(self):
        """Before the program's first line, and at any moment after it."""
        for number, delay in [(signal.SIGTERM, ms / 1000) for ms in [0, 1, 3, 10, 20, 40, 60, 80, 100, 130, 160, 200, 250, 300]] + [(signal.SIGINT, 0), (signal.SIGUSR1, 0), (signal.SIGHUP, 0.02)]:
            with self.subTest(number=number, delay=delay):
                process = self.start_run(self.folder / f"early_{number}_{delay}")
                self.wait_until_held(process, number)
                time.sleep(delay)
                process.send_signal(number)
                _, text = process.communicate(timeout=60)
                self.assertEqual(process.returncode, 75, text)

    def test_other_commands_end_by_the_signal(self):
        """Also if a word of theirs is `train`, for which the start of the program puts signals off."""
        for words in [["chat", self.config], ["chat", self.config, "--history", "train"]]:
            process = subprocess.Popen([PROGRAM, *map(str, words)], cwd=self.folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            process.stderr.readline()
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)
            self.assertEqual(process.returncode, -signal.SIGTERM)

    def test_while_data_are_gathered(self):
        """Every step takes all of a large budget, a sample at a time."""
        run = self.folder / "gathering"
        process = self.start("train", self.config, "--resume", *sets(train__output=run, train__steps=5, train__accumulate=65536, train__tokens_per_batch=8192))
        while not (run / "metrics.jsonl").exists():
            self.assertIsNone(process.poll())
            time.sleep(0.01)
        time.sleep(1)
        before = sum(map(int, Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13])) / os.sysconf("SC_CLK_TCK")
        process.send_signal(signal.SIGTERM)
        text = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        self.assertEqual(process.returncode, 75, text)
        self.assertLess(usage.ru_utime + usage.ru_stime - before, 2, "of work after the signal")
        self.assertEqual(losses(run), {})

    def test_a_step_that_was_cut_off_is_done_again(self):
        """The resumed run is the undisturbed one, wherever in a step the signal came."""
        steps = sets(train__steps=12, train__accumulate=40, train__tokens_per_batch=96, train__checkpoint_every=1000)
        whole, cut, chance = self.folder / "whole", self.folder / "cut", random.Random(7)
        self.train(whole, *steps)
        for step in [2, 5, 9]:
            process = self.start("train", self.config, "--resume", *sets(train__output=cut), *steps)
            self.wait_for_step(cut, step, process)
            time.sleep(0.2 * chance.random())
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)
            self.assertIn(process.returncode, [0, 75])
        self.train(cut, "--resume", *steps)
        self.assert_same_run(whole, cut)


class Surroundings(Case):
    def test_a_working_directory_that_is_gone(self):
        for words in [["validate", self.config], ["train", self.config], ["doctor"], ["inspect"]]:
            gone = self.folder / "gone"
            gone.mkdir()
            text = f'cd "{gone}" && rmdir "{gone}" && exec "$@"'
            done = subprocess.run(["sh", "-c", text, "sh", PROGRAM, *map(str, words)], capture_output=True, text=True, timeout=60)
            self.assertEqual((done.returncode, done.stdout), (2, ""), words)
            self.assertEqual(done.stderr, "error: config error: the working directory cannot be used: No such file or directory\n  fix: change into one that is there\n")

    def test_numbers_without_bound(self):
        for args, words in [(sets(train__tokens_per_batch=2**63 - 1), "tokens_per_batch"), (sets(train__accumulate=10**9), "accumulate"), (sets(train__steps=2**62), "steps")]:
            self.assertIn(words, self.train(self.folder / "unbounded", *args, code=2).stderr)
        for verb, *rest in [("train",), ("eval",), ("generate",), ("data", "check")]:
            done = subprocess.run([PROGRAM, verb, *rest, self.config, "--threads", "5000"], capture_output=True, text=True, timeout=60)
            self.assertEqual(done.returncode, 2)
            self.assertIn("--threads: must be at most 1024, got 5000", done.stderr)
        for name in ["OMP_NUM_THREADS", "MKL_NUM_THREADS"]:
            self.assertIn(f"{name}=100000", self.call("doctor", code=2, env={**os.environ, name: "100000"}, threads=None).stderr)

    def test_more_threads_than_processors_compute_the_same_and_are_told(self):
        one, many = self.folder / "one_thread", self.folder / "many_threads"
        self.assertNotIn("which is slower", self.train(one, *COMMON, threads=1).stderr)
        have = len(os.sched_getaffinity(0))
        message = f"warning: --threads: {have + 7} threads on {have} processor(s), which is slower than a thread for each\n  fix: leave it out"
        self.assertIn(message, self.train(many, *COMMON, threads=have + 7).stderr)
        for step, loss in losses(one).items():
            self.assertAlmostEqual(losses(many)[step], loss, delta=1e-4 * loss)

    @unittest.skipIf(len(os.sched_getaffinity(0)) == 1, "LibTorch takes one thread for each core of the machine at most")
    def test_more_threads_than_the_processors_left_to_it_are_told(self):
        one = min(os.sched_getaffinity(0))
        def generate(**settings):
            return subprocess.run([PROGRAM, "generate", self.config, "hello", "--set", "generate.max_tokens=1"], env={**os.environ, **settings}, capture_output=True, text=True, preexec_fn=lambda: os.sched_setaffinity(0, {one})).stderr
        self.assertIn("warning: OMP_NUM_THREADS: 2 threads on 1 processor(s), which is slower than a thread for each\n  fix: leave it out", generate(OMP_NUM_THREADS="2"))
        self.assertNotIn("which is slower", generate(OMP_NUM_THREADS="1"))

    def forms_with_a_path(self):
        """Of each command, what follows it with a path in each place that takes one."""
        run, held, heard, made = self.folder / "run", self.folder / "data" / "held.jsonl", self.folder / "data" / "heard.jsonl", self.folder / "made"
        ask = {"role": "user", "content": [{"type": "audio", "audio": "held_1.wav"}]}
        heard.write_text(json.dumps({"id": "a", "messages": [ask, {"role": "assistant", "content": "low"}]}))
        self.train(run, *COMMON)
        named = lambda key, path: ["--set", f"{key}={path}"]
        source = lambda path, **more: named("data.train.sources", "[{" + ", ".join(f'{key}="{value}"' for key, value in {"path": path, **more}.items()) + "}]")
        verb = lambda path: [path]
        option = lambda *names: [lambda p, name=name: [self.config, name, p] for name in names]

        def extending(path):
            config = self.folder / "extending.toml"
            config.write_bytes(b'extends = "%s"\n' % os.fsencode(path))
            return [config]

        forms = {
            "validate": [verb, extending, lambda p: [self.config, *named("model.llm.weights", p)], lambda p: [self.config, *source(p)]],
            "train": [verb, lambda p: [self.config, *named("train.output", p), *COMMON]],
            "launch": [lambda p: [p, "--procs", 1]],
            "eval": [verb, *option("--output", "--checkpoint")],
            "generate": [lambda p: [p, "hello"], *(lambda p, name=name: [self.config, "hello", name, p] for name in ["--image", "--audio", "--video", "--adapter", "--checkpoint"])],
            "report": [verb, lambda p: [run, p], lambda p: [run, "--output", p]],
            "conformance": [verb, lambda p: [PLUGINS / "frame_stack.so", "--options", p], lambda p: [PLUGINS / "json_lines.so", "--data", p]],
            "data show": [verb, *option("--source"), *(lambda p, key=key: [self.config, *named(f"model.llm.{key}", p)] for key in ["chat_template", "tokenizer"])],
            "data check": [verb, lambda p: [self.config, *source(held, media_folder=p)]],
            "data convert": [lambda p: [p, f"{made}.jsonl"], lambda p: [held, p], *(lambda p, name=name: [held, os.path.join(p, name)] for name in ["out.jsonl", "out.tar", "out.parquet"]), lambda p: [heard, os.path.join(p, ""), "--layout", "lhotse_cut"]],
            "data synthesize": [lambda p: [p, f"{made}.jsonl"], lambda p: [held, os.path.join(p, "out.jsonl")]],
            **{name: [verb] for name in ["plan", "fit", "chat", "inspect", "compose", "data stats", "data index"]},
            **{name: [lambda p: [p, "--output", made], lambda p: [run, "--output", p]] for name in ["export", "merge"]},
        }
        self.assertEqual({*subcommands(), *(f"data {name}" for name in subcommands("data"))} - {"data", "doctor"}, set(forms), "a command without a form here")
        return forms

    def test_odd_paths(self):
        """Links to themselves, names too long, files for folders and folders for files, places that nobody may write to: each command meets each kind,
        each form of it two of them; with ANTIPHON_LONG each form each path."""
        loop, file, pipe, long = self.folder / "loop", self.folder / "file", self.folder / "pipe", "x" * 5000
        forms = self.forms_with_a_path()
        for link in [loop, self.folder / "loop.toml"]:  # the second one is beside the configuration, and none of its business
            link.symlink_to(link.name)
        file.write_text("text")
        os.mkfifo(pipe)
        kinds = [[loop, loop / "below"], [file / "below"], [long, self.folder / long], ["/proc/self/mem", pipe, self.folder], ["", "\udcff\udcfe"]]
        for number, (verb, places) in enumerate(forms.items()):
            turns = ((places[i % len(places)], kinds[i % len(kinds)], number + i // len(kinds)) for i in range(max(len(kinds), 2 * len(places))))
            met = [(form, kind[turn % len(kind)]) for form, kind, turn in turns]
            for form, path in itertools.product(places, itertools.chain(*kinds)) if os.environ.get("ANTIPHON_LONG") else met:
                words = [PROGRAM, *verb.split(), *map(str, form(path))]
                with self.subTest(" ".join(w[:60] for w in words[1:])), tempfile.TemporaryDirectory(dir=self.folder) as place:
                    done = forked.run(*words, cwd=place, timeout=120, errors="replace")
                    self.assertIn(done.returncode, [0, 2, 3, 4, 5], done.stderr)
                    self.assertNotIn("internal error", done.stderr)
                    self.assertNotIn("cannot use ", done.stderr, "the words for what std::filesystem threw")
                    if done.returncode:
                        said, name = done.stdout + done.stderr, os.fsencode(path).decode(errors="backslashreplace")
                        self.assertRegex(said, "(?m)error: |^  FAIL  ")
                        named = name.removeprefix(f"{self.folder}/")[:60] in said or "not UTF-8" in said or path == "/proc/self/mem"  # an empty file to its readers
                        self.assertTrue(named, f"{name[:60]} is not named:\n{said}")
        self.assertTrue(loop.is_symlink() and file.is_file() and pipe.is_fifo(), "something took the place of one")
        done = self.call("fit", self.config, "--most", 128, code=2, env={**os.environ, "TMPDIR": str(loop)})
        self.assertIn(f"cannot make a temporary folder in {loop}: Too many levels of symbolic links\n  fix: let TMPDIR name ", done.stderr)

    def test_reasons_of_the_system(self):
        loop = self.folder / "round"
        loop.symlink_to("round")
        reason = "Too many levels of symbolic links"
        run = self.folder / "reasons"
        self.train(run, *COMMON)
        for words in [["inspect", "llama"], ["validate", self.config]]:
            self.assertIn(reason, self.call(*words, code=5, threads=None, env=dict(os.environ, ANTIPHON_PLUGIN_PATH=str(loop))).stderr, words)
        for code, words in [(2, ["validate", loop]), (2, ["eval", loop]), (2, ["report", loop]), (4, ["eval", self.config, "--checkpoint", loop]), (2, ["eval", self.config, "--output", loop / "x"])]:
            self.assertIn(reason, self.call(*words, code=code, threads=None).stderr, words)


if __name__ == "__main__":
    main()
