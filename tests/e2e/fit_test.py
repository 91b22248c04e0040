"""`antiphon fit` finds the largest batch that fits, by training with it; and what training says when there is no memory left."""
import contextlib
import json
import os
import re
import resource
import signal
import subprocess
import time
from pathlib import Path

from harness import LIMIT, ON_CPU, PROGRAM, Case, children, main, records, sets
import make_tiny

SHAPE = dict(hidden_size=128, intermediate_size=512, num_layers=4, num_heads=4, num_kv_heads=2, max_positions=4096)
MIB = 2**20


@ON_CPU
class Fit(Case):
    FORKED = False
    TRAIN, HELD = 6, 3

    def composition(self, lengths=(20, 150)):
        """A language model of random weights whose activations outweigh the rest, trained whole, and samples of two lengths."""
        data, file = self.folder / "text.jsonl", self.folder / "text.toml"
        turns = [[{"role": "user", "content": "What?"}, {"role": "assistant", "content": "red " * words}] for words in lengths]
        data.write_text("".join(json.dumps({"messages": turns[i % 2]}) + "\n" for i in range(40)))
        shape = "".join(f"{key} = {value}\n" for key, value in {**SHAPE, "vocab_size": make_tiny.vocab_size()}.items())
        file.write_text(f'[model.llm]\nplugin = "llama"\ntokenizer = "{make_tiny.TOKENIZER}"\ntrainable = true\n{shape}[data]\nprefetch = 8\ntrain.sources = [{{ path = "{data}" }}]\n'
                        '[train]\nsteps = 5\ncheckpoint_every = 2\ntokens_per_batch = 512\n[precision]\ncompute = "fp32"\n')
        return file

    def fitted(self, file, *args, code=0):
        done = self.call("fit", file, "--json", *args, code=code)
        return json.loads(done.stdout)

    def test_without_want(self):
        found = self.fitted(self.composition(), "--most", 2048, "--memory", 100)
        self.assertEqual([(one["tokens_per_batch"], one["fits"]) for one in found["tries"]], [(512, True), (1024, True), (2048, True)])
        self.assertEqual(found["tokens_per_batch"], 2048)
        peaks = [one["peak_bytes"] for one in found["tries"]]
        self.assertEqual(peaks, sorted(peaks))
        self.assertTrue(all(one["tokens_per_second"] > 0 for one in found["tries"]))
        counted = json.loads(self.call("data", "stats", self.composition(), "--json", threads=None).stdout)["sources"][0]["tokens"]
        self.assertGreaterEqual(found["longest_sample"], counted["bins"][-1]["from"])

    def test_limit(self):
        file = self.composition()
        peaks = {one["tokens_per_batch"]: one["peak_bytes"] for one in self.fitted(file, "--most", 4096, "--memory", 100)["tries"]}
        limit = (peaks[1024] + peaks[4096]) / 2
        self.assertGreater(peaks[4096], peaks[1024] + 50 * MIB, "else nothing is compared")
        done = self.call("fit", file, "--most", 4096, "--memory", limit / 2**30)
        best = int(re.search(r"(?m)^tokens_per_batch = (\d+)$", done.stdout)[1])
        self.assertIn("(--memory)", done.stdout)
        rows = {int(words[0]): " ".join(words[3:]) for words in (line.split() for line in done.stdout.splitlines()) if words and words[0].isdigit()}
        self.assertIn("more than the limit", rows[4096])
        self.assertTrue(1024 <= best < 4096, best)
        refused = [tokens for tokens, text in rows.items() if "limit" in text]
        self.assertLessEqual(min(refused) - best, max(64, best / 8) + 64, "it is searched to an eighth")
        with open(self.folder / "log.txt", "w") as log:
            process = subprocess.Popen(self.command("train", file, *sets(train__output=self.folder / "fitting", train__steps=3, train__tokens_per_batch=best, data__filter__min_tokens=100)), stdout=log, stderr=log)
            _, status, usage = os.wait4(process.pid, 0)
        self.assertEqual(os.waitstatus_to_exitcode(status), 0)
        self.assertLess(usage.ru_maxrss * 1024, 1.03 * limit)

    def test_nothing_fits(self):
        file = self.composition()
        done = self.call("fit", file, "--memory", 0.05, "--json", code=7)
        found = json.loads(done.stdout)
        self.assertEqual((found["tokens_per_batch"], {one["fits"] for one in found["tries"]}), (0, {False}))
        self.assertIn("the longest sample", done.stderr)
        self.assertIn("train.recompute", done.stderr)

    def test_a_training_that_cannot_begin(self):
        done = self.call("fit", self.composition(), *sets(train__optimizer__name="nothing"), code=5)
        self.assertIn("nothing", done.stderr)
        done = self.call("fit", self.composition(), "--procs", 3, *sets(parallel__fsdp=2), code=2)
        self.assertIn("start a multiple of 2", done.stderr)

    def test_as_training_alone(self):
        """One process has the environment that it would have without fit, and may be started by a program that ignores the end of its own."""
        threads = os.cpu_count() + 1
        ignores = lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        process = self.start("fit", self.composition(), "--most", 512, "--json", env={**os.environ, "OMP_NUM_THREADS": str(threads)}, preexec_fn=ignores)
        environment = b""
        while b"ANTIPHON_BEACON" not in environment and process.poll() is None:
            time.sleep(0.001)
            with contextlib.suppress(OSError, IndexError):
                environment = Path(f"/proc/{children(process)[0]}/environ").read_bytes()
        out, err = process.communicate(timeout=LIMIT)
        self.assertEqual(process.returncode, 0, err)
        self.assertEqual(json.loads(out)["tokens_per_batch"], 512)
        self.assertIn(f"OMP_NUM_THREADS={threads}\0".encode(), environment)
        self.assertNotIn(b"ANTIPHON_LISTENER", environment)

    def test_that_stands_still(self):
        """It counts as one that does not fit."""
        process = self.start("fit", self.composition(), "--most", 512, "--memory", 100, "--stall", 2, "--json")
        end = time.monotonic() + LIMIT
        while not children(process):
            self.assertLess(time.monotonic(), end)
            time.sleep(0.01)
        os.kill(children(process)[0], signal.SIGSTOP)
        out, err = process.communicate(timeout=LIMIT)
        self.assertEqual(process.returncode, 0, err)
        first, *others = json.loads(out)["tries"]
        self.assertEqual((first["tokens_per_batch"], first["fits"], first["why"]), (512, False, "stands still"))
        self.assertRegex(err, r"nothing has happened for \d+ s; process 0, step 0: .*\(stopped by a signal\)")
        self.assertTrue(all(one["fits"] for one in others) and others)

    def test_steps_longer_than_a_stall(self):
        """The first says how long the others take."""
        found = self.fitted(self.composition(), "--most", 24576, "--memory", 100, "--stall", 1, *sets(train__tokens_per_batch=24576))
        self.assertEqual([(one["fits"], one.get("why")) for one in found["tries"]], [(True, None)])
        self.assertGreater(24576 / found["tries"][0]["tokens_per_second"], 1.2, "else nothing is shown")

    def test_stopped(self):
        place = self.folder / "temporary"
        place.mkdir()
        process = self.start("fit", self.composition(), "--most", 65536, env={**os.environ, "TMPDIR": str(place)})
        end = time.monotonic() + 60
        while not list(place.glob("antiphon-fit-*/run/metrics.jsonl")) and time.monotonic() < end:
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
        self.assertEqual(process.returncode, 75)
        self.assertEqual(list(place.iterdir()), [])

    def test_out_of_memory_in_training(self):
        """Address space for everything but a large batch."""
        file = self.composition()
        limit = lambda size: lambda: resource.setrlimit(resource.RLIMIT_AS, (size, size))
        run = lambda tokens, size: subprocess.run(self.command("train", file, *sets(train__output=self.folder / f"run_{tokens}", train__tokens_per_batch=tokens, train__steps=1, data__threads=1)),
                                                  capture_output=True, text=True, preexec_fn=limit(size), timeout=120)
        size = 3 * 2**30
        while run(512, size).returncode != 0:
            size += 2**29
            self.assertLess(size, 2**36)
        done = run(262144, size)
        self.assertEqual(done.returncode, 7, done.stderr[-2000:])
        self.assertRegex(done.stderr, r"out of memory at step 1: 1 batches of at most \d+ tokens; the longest samples: \S+ \(\d+ tokens\)")
        self.assertIn("`antiphon fit` finds the largest that fits", done.stderr)


if __name__ == "__main__":
    main()
