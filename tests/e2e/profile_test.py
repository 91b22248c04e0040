"""--profile: the trace is one, the table adds up, and nothing that is computed changes."""

import json
import re

from harness import Case, checkpoint_state, checkpoints, losses, main, records, sets

PARTS = ["data wait", "encoders/audio", "encoders/image", "connectors/audio", "connectors/image", "decoder", "loss", "backward", "optimizer", "checkpoint"]


def table(folder):
    """{part: (calls, seconds, percent, GFLOP)} in the order of the rows."""
    rows = {}
    for line in (folder / "table.txt").read_text().splitlines():
        if match := re.match(r"(\S.*?) +(\d+) +([\d.]+) +([\d.]+) % +([\d.]+) ", line):
            rows[match[1]] = (int(match[2]), float(match[3]), float(match[4]), float(match[5]))
    return rows


def spans(folder):
    """Complete events and {thread: its name}; the file must be what Chrome reads."""
    events = json.loads((folder / "trace.json").read_text())["traceEvents"]
    assert all({"name", "ph", "pid", "tid"} <= event.keys() for event in events)
    names = {e["tid"]: e["args"]["name"] for e in events if e["ph"] == "M" and e["name"] == "thread_name"}
    complete = [e for e in events if e["ph"] == "X"]
    assert len(names) + len(complete) + 1 == len(events) and all(e["tid"] in names for e in complete)
    return complete, names


class Train(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.options = sets(train__steps=16, train__checkpoint_every=5)
        cls().train(cls.folder / "with", *cls.options, "--profile")
        cls().train(cls.folder / "without", *cls.options)
        cls.profile = cls.folder / "with" / "profile"

    def runTest(self):
        pass

    def test_bit_for_bit(self):
        self.assert_same_run(self.folder / "with", self.folder / "without")
        self.assertFalse((self.folder / "without" / "profile").exists())

    def test_table(self):
        rows = table(self.profile)
        self.assertEqual(list(rows), [*PARTS, "other", "step"])
        calls = {part: row[0] for part, row in rows.items()}
        self.assertEqual((calls["decoder"], calls["loss"], calls["backward"], calls["optimizer"], calls["step"]), (10,) * 5)
        self.assertEqual(calls["checkpoint"], 2, "after the steps 5 and 10")
        self.assertGreater(min(calls[part] for part in PARTS if part.startswith(("encoders", "connectors"))), 0)
        seconds = rows["step"][1]
        self.assertAlmostEqual(sum(row[1] for part, row in rows.items() if part != "step"), seconds, delta=0.01 * seconds)
        self.assertAlmostEqual(sum(row[2] for part, row in rows.items() if part != "step"), 100, delta=1)
        self.assertAlmostEqual(sum(row[3] for part, row in rows.items() if part != "step"), rows["step"][3], delta=0.01)
        self.assertLess(rows["other"][1], 0.5 * seconds)
        recorded = [r for r in records(self.folder / "with" / "metrics.jsonl") if 3 <= r["step"] <= 12]
        by_clock = sum(r["train/step_seconds"] for r in recorded) + rows["checkpoint"][1]
        self.assertGreaterEqual(seconds, 0.99 * by_clock)
        self.assertLess(seconds, by_clock + 0.05 + 0.1 * by_clock, "what a step does after its clock: metrics and progress")

    def test_trace(self):
        events, names = spans(self.profile)
        main_thread = next(tid for tid, name in names.items() if name == "main")
        listed = {e["name"] for e in events if e["tid"] == main_thread}
        self.assertEqual({name for name in listed if not name.startswith("block ")}, {"step", *PARTS})
        decoders = [e for e in events if e["name"] == "decoder"]
        for block in ("block 0", "block 1"):  # of the language model; those of towers lie in their encoders
            within = [e for e in events if e["name"] == block and any(d["ts"] <= e["ts"] and e["ts"] + e["dur"] <= d["ts"] + d["dur"] + 0.01 for d in decoders)]
            self.assertEqual(len(within), 10)
        loaders = [tid for tid, name in names.items() if name == "loader"]
        self.assertIn(len(loaders), (1, 2))
        self.assertEqual({e["name"] for e in events if e["tid"] in loaders}, {"prepare", "decode"})
        self.assertEqual(set(names), {main_thread, *loaders})
        steps = [e for e in events if e["name"] == "step"]
        self.assertEqual(len(steps), 10)
        for event in events:
            self.assertGreaterEqual(min(event["ts"], event["dur"]), 0)
            if event["tid"] == main_thread and event["name"] != "step":
                inside = [s for s in steps if s["ts"] <= event["ts"] and event["ts"] + event["dur"] <= s["ts"] + s["dur"] + 0.01]
                self.assertEqual(len(inside), 1)
        rows = table(self.profile)
        for part in ["decoder", "loss", "backward"]:
            self.assertAlmostEqual(sum(e["args"]["gflop"] for e in events if e["name"] == part), rows[part][3], delta=0.001)
            self.assertAlmostEqual(sum(e["dur"] for e in events if e["name"] == part) / 1e6, rows[part][1], delta=0.001)

    def test_metrics(self):
        for record in records(self.folder / "with" / "metrics.jsonl"):
            recorded = 3 <= record["step"] <= 12
            self.assertGreater(record["train/gflops_per_second"], 0)
            self.assertEqual("train/share_of_peak" in record, recorded, record["step"])
            if recorded:
                self.assertTrue(0 < record["train/share_of_peak"] < 1.2)

    def test_operations_without_a_profile(self):
        """Those of few steps are counted, those of the others follow from their tokens, and are nearly what the profile counts."""
        gflop = lambda run: [record["train/gflops_per_second"] * record["train/step_seconds"] for record in records(self.folder / run / "metrics.jsonl")]
        counted, ours = gflop("with"), gflop("without")
        for step in (4, 8):  # counted here as well
            self.assertAlmostEqual(ours[step - 1], counted[step - 1], delta=1e-6 * counted[step - 1])
        self.assertAlmostEqual(sum(counted[2:12]), table(self.profile)["step"][3], delta=0.01 * sum(counted[2:12]))
        self.assertAlmostEqual(sum(ours[2:12]), sum(counted[2:12]), delta=0.1 * sum(counted[2:12]))
        self.assertEqual("train/share_of_peak" in records(self.folder / "without" / "metrics.jsonl")[0], False)

    def test_operations_of_checks_are_left_out(self):
        """A step that is computed twice has those of one."""
        self.train(self.folder / "verified", *self.options, *sets(train__verify__every=1))
        gflop = lambda run: [record["train/gflops_per_second"] * record["train/step_seconds"] for record in records(self.folder / run / "metrics.jsonl")]
        for ours, once in zip(gflop("verified"), gflop("without")):
            self.assertAlmostEqual(ours, once, delta=1e-9 * once)

    def test_which_steps(self):
        run = self.folder / "steps"
        self.train(run, *self.options, "--profile", "--profile-steps", "2-3")
        self.assertEqual(table(run / "profile")["step"][0], 2)
        run = self.folder / "late"
        text = self.train(run, *self.options, "--profile", "--profile-steps", "99").stderr
        self.assertIn("ended before the first step", text)
        text = self.train(self.folder / "none", *self.options, "--profile", "--profile-steps", "4-2", code=2).stderr
        self.assertIn("names no steps", text)
        run = self.folder / "short"
        self.train(run, *sets(train__steps=5), "--profile")
        self.assertEqual(table(run / "profile")["step"][0], 3, "a run that ends first is told as far as it went")

    def test_cached_features(self):
        cache = sets(data__feature_cache=self.folder / "cache", train__steps=40)
        self.train(self.folder / "fill", *cache)
        self.train(self.folder / "cached", *cache, "--profile")
        rows = table(self.folder / "cached" / "profile")
        self.assertEqual((rows["encoders/audio"][:2], rows["encoders/image"][:2]), ((0, 0), (0, 0)))
        self.assertGreater(rows["connectors/image"][0], 0)

    def test_resumed(self):
        run = self.folder / "resumed"
        self.train(run, *sets(train__steps=8))
        self.train(run, *sets(train__steps=16), "--resume", "--profile")
        self.assertEqual(table(run / "profile")["step"][0], 6, "counted from this start")

    def test_a_place_that_cannot_be_written(self):
        """Known at the start, it is an error; a run that goes on already does not end of it."""
        run = self.folder / "blocked"
        run.mkdir()
        (run / "profile").write_text("a file")
        self.assertIn("profile: Not a directory", self.train(run, *self.options, "--profile", code=2).stderr)
        run, steps = self.folder / "blocked_later", sets(train__steps=200, train__checkpoint_every=100)
        process = self.start("train", self.config, "--set", f"train.output={run}", *steps, "--profile", "--profile-steps", "20-190")
        self.wait_for_step(run, 10, process)
        (run / "profile").write_text("a file")
        _, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 0, err)
        self.assertIn("the profile is not written", err)
        self.train(self.folder / "not_blocked", *steps)
        self.assertEqual(losses(run), losses(self.folder / "not_blocked"))
        self.assertEqual(checkpoints(run)[0], "step_200")


class Others(Case):
    def test_eval(self):
        plain, traced = self.folder / "plain", self.folder / "traced"
        few = sets(eval__limit=6, eval__resamples=100)
        self.call("eval", self.config, "--output", plain, *few)
        self.call("eval", self.config, "--output", traced, *few, "--profile")
        self.assertEqual((plain / "predictions.jsonl").read_bytes(), (traced / "predictions.jsonl").read_bytes())
        rows = table(traced / "profile")
        self.assertEqual(list(rows)[-1], "evaluation")
        for part in ["encoders/image", "connectors/audio", "decoder", "head", "loss", "prepare", "decode"]:
            self.assertGreater(rows[part][0], 0, part)
        self.assertNotIn("backward", rows)
        spans(traced / "profile")

    def test_generate(self):
        question = [self.config, "--image", self.folder / "data" / "held_0.png", "What colour is the picture?"]
        plain = self.call("generate", *question).stdout
        traced = self.call("generate", *question, "--profile", cwd=self.folder)
        self.assertEqual(plain, traced.stdout)
        rows = table(self.folder / "profile")
        self.assertEqual((rows["encoders/image"][0], rows["connectors/image"][0], rows["generate"][0]), (1, 1, 1))
        self.assertGreater(rows["decoder"][0], 1)
        self.assertIn("profile: trace and table in", traced.stderr)


if __name__ == "__main__":
    main()
