"""The run folder: one process, one run, one configuration, one data set; and what happens when numbers or disks fail."""

import json
import os
import resource
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

from harness import Case, checkpoints, losses, main, records, sets

COMMON = sets(train__steps=12, train__tokens_per_batch=96, train__checkpoint_every=4)


class RunFolder(Case):
    def test_second_run_is_refused(self):
        run = self.folder / "locked"
        process = self.start("train", self.config, *COMMON, *sets(train__output=run, train__steps=100000))
        self.wait_for_step(run, 1, process)
        for resume in [[], ["--resume"]]:
            text = self.train(run, *resume, code=2).stderr
            self.assertIn(f"process {process.pid}", text)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        self.train(run, "--resume", *COMMON, *sets(train__steps=1))  # a lock does not outlive its process

    def test_races_for_one_folder(self):
        for round in range(50 if os.environ.get("ANTIPHON_LONG") else 3):
            run = self.folder / f"race_{round}"
            racers = [self.start("train", self.config, "--resume", *sets(train__output=run, train__steps=100000)) for _ in range(4)]
            end = time.monotonic() + 60
            while sum(r.poll() is None for r in racers) > 1:
                self.assertLess(time.monotonic(), end)
                time.sleep(0.01)
            winner = next(r for r in racers if r.poll() is None)
            for racer in racers:
                if racer is not winner:
                    self.assertEqual(racer.returncode, 2)
                    self.assertIn("is in use by another run", racer.communicate()[1])
            self.wait_for_step(run, 2, winner)
            winner.send_signal(signal.SIGTERM)
            winner.communicate(timeout=60)
            self.assertEqual(winner.returncode, 75)
            self.assertEqual(list(losses(run)), list(range(1, max(losses(run)) + 1)))

    def test_logs_that_cannot_be_opened(self):
        for name in ["metrics.jsonl", "bad_samples.jsonl"]:
            run = self.folder / f"no_{name}"
            (run / name).mkdir(parents=True)
            self.assertIn(name, self.train(run, *COMMON, code=2).stderr)

    def test_names_are_flushed(self):
        """What was renamed or made is there after a power failure: the folder around it is flushed afterwards."""
        log, run = self.folder / "calls.log", self.folder / "flushed"
        env = {**os.environ, "LD_PRELOAD": os.environ["FAULT_SHIM"], "FAULT_BELOW": str(run), "FAULT_LOG": str(log)}
        self.call("train", self.config, *COMMON, *sets(train__output=run), env=env)
        calls = [line.split(" ", 1) for line in log.read_text().splitlines()]
        flushed = lambda folder, after: any(name == "fsync" and Path(path) == folder for name, path in calls[after:])
        lost = {f"{name} {path}" for i, (name, path) in enumerate(calls) if name != "fsync" and ".tmp-" not in path and Path(path) != run and not flushed(Path(path).parent, i)}
        self.assertEqual(lost, set())
        self.assertGreater(sum(name == "rename" for name, _ in calls), 5)

    def test_a_run_is_not_overwritten(self):
        run = self.folder / "kept"
        self.train(run, *COMMON)
        before = (run / "metrics.jsonl").read_bytes(), checkpoints(run)
        self.assertIn("--resume", self.train(run, *COMMON, code=2).stderr)
        self.assertEqual(before, ((run / "metrics.jsonl").read_bytes(), checkpoints(run)))

    def test_resume_of_nothing_starts(self):
        self.assertIn("nothing to resume", self.train(self.folder / "fresh", "--resume", *COMMON).stderr)

    def test_resume_of_a_finished_run(self):
        run = self.folder / "finished"
        self.train(run, *COMMON)
        before = losses(run)
        self.train(run, "--resume", *COMMON)
        self.assertEqual(before, losses(run))

    def test_resolved_config_alone_reproduces(self):
        first, second = self.folder / "first", self.folder / "second"
        self.train(first, *COMMON, *sets(train__optimizer__lr=1e-3, train__seed=3))
        self.train(second, config=first / "config.toml")
        self.assert_same_run(first, second)
        normal = [(r / "config.toml").read_text().replace(str(r), "RUN") for r in (first, second)]
        self.assertEqual(*normal)

    def test_changed_data_is_refused(self):
        run, data = self.folder / "data_changed", self.folder / "data" / "train.jsonl"
        self.train(run, *COMMON)
        text = data.read_text()
        self.addCleanup(data.write_text, text)
        data.write_text(text.replace("red", "reb", 1))
        self.assertIn("data", self.train(run, "--resume", *COMMON, *sets(train__steps=16), code=4).stderr)
        data.write_text(text)
        self.train(run, "--resume", *COMMON, *sets(train__steps=16))
        self.assertIn("seed", self.train(run, "--resume", *COMMON, *sets(train__steps=20, train__seed=9), code=4).stderr)

    def test_changed_model_is_refused(self):
        run = self.folder / "model_changed"
        self.train(run, *COMMON)
        kept = (run / "config.toml").read_text()
        for text, other in [("rank = 4", "rank = 8"), ('"q_proj", "v_proj"', '"q_proj", "k_proj"'), ("factor = 5", "factor = 4")]:
            config = self.folder / "changed.toml"
            config.write_text(self.config.read_text().replace(text, other))
            self.assertIn("does not fit the model", self.train(run, "--resume", *COMMON, config=config, code=4).stderr)
        self.assertEqual((run / "config.toml").read_text(), kept, "a refused run leaves the folder as it was")

    def test_exploding_run_stops(self):
        run = self.folder / "exploding"
        text = self.train(run, *COMMON, *sets(train__optimizer__lr=1e30, train__schedule__warmup_steps=0, train__steps=100, train__checkpoint_every=1), code=3).stderr
        self.assertIn("learning rate", text)
        self.assertIn("not finite", text)
        last = max(losses(run))
        self.assertLess(last, 20)
        self.assertLessEqual(int(checkpoints(run)[0][5:]), last - 9, "no checkpoint out of steps that were skipped")

    def test_full_disk(self):
        run = self.folder / "full"
        self.train(run, *COMMON)
        size = max(p.stat().st_size for p in (run / "checkpoints" / "step_12").iterdir())
        limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size - 1000, size - 1000))
        text = self.train(run, "--resume", *COMMON, *sets(train__steps=20), code=4, preexec_fn=limit).stderr
        self.assertIn("no checkpoint could be written; the training goes on", text)
        self.assertIn("File too large", text)
        self.assertEqual(max(losses(run)), 20, "the training went on to its end")
        self.assertGreater(records(run / "metrics.jsonl")[-1]["train/checkpoint_failures"], 0)
        self.assertEqual(checkpoints(run), ["step_12", "step_8"])
        self.assertIn("resumed at step 12", self.train(run, "--resume", *COMMON, *sets(train__steps=20)).stderr)
        self.assertEqual(len(losses(run)), 20)

    def test_output_that_cannot_be_made(self):
        file = self.folder / "a_file"
        file.write_text("")
        self.assertIn("a_file", self.train(file / "run", *COMMON, code=2).stderr)
        self.assertIn("train.output", self.call("train", self.config, code=2).stderr)
        self.assertIn("nowhere.toml", self.train(self.folder / "x", config=self.folder / "nowhere.toml", code=2).stderr)

    def test_what_a_run_leaves(self):
        run = self.folder / "leaves"
        self.train(run, *COMMON)
        environment = json.loads((run / "env.json").read_text())
        self.assertEqual(environment["device"], "cpu")
        self.assertTrue((run / "adapter" / "adapter_model.safetensors").exists())
        self.assertEqual(sorted(p.name for p in (run / "connectors").iterdir()), ["audio.safetensors", "image.safetensors"])
        self.assertEqual((run / "bad_samples.jsonl").read_text(), "")
        self.assertFalse([p for p in run.rglob("*") if ".tmp" in p.name])


if __name__ == "__main__":
    main()
