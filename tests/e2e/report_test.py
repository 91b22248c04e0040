"""`antiphon report`: what stands in the page. That it works in a browser is checked by report_page_test.py."""

import shutil

import report_run
from harness import Case, main, records, sets
from report_run import HOSTILE, data_of, metrics, report, write_lines


class Content(report_run.Base):
    def test_head_and_curves(self):
        run = data_of(self.one)["runs"][0]
        self.assertEqual((run["name"], run["steps"], run["tokens"], run["seconds"]), ("first", 2501, 2.5e6, 5000))
        self.assertLess(abs(run["loss"] - (4 / (1 + 2490 / 300) + 0.1)), 0.05)
        self.assertEqual([(p["part"], p["plugin"]) for p in run["parts"]], [("language model", "llama"), ("fine-tuning", "lora"), ("image encoder", "dinov2"), ("image connector", "mlp"), ("optimizer", "adamw")])
        loss = run["curves"]["train/loss"]["points"]
        self.assertLessEqual(len(loss), 1000)
        self.assertIn([1234, 99.0], loss, "the highest value is kept")
        self.assertEqual(loss, sorted(loss))
        self.assertEqual(run["curves"]["train/memory_bytes"]["points"][0], [1, 2.0])
        self.assertEqual(run["curves"]["train/rewards/margins"]["points"][0], [1, 1.0], "what an objective tells")
        self.assertNotIn("other/never_heard_of", run["curves"])
        self.assertTrue(any("1 line of metrics.jsonl" in note for note in run["notes"]), run["notes"])
        self.assertTrue(any("half written" in note for note in run["notes"]), run["notes"])

    def test_how_data_are_spread(self):
        source, = data_of(self.one)["runs"][0]["data"]
        self.assertEqual((source["samples"], [bin["count"] for bin in source["tokens"]["bins"]]), (12, [3, 9]))

    def test_skipped(self):
        skipped = data_of(self.one)["runs"][0]["skipped"]
        self.assertEqual((skipped["count"], [g["count"] for g in skipped["groups"]]), (8, [7, 1]))
        self.assertEqual(skipped["groups"][0]["reason"], "cannot open …: no such file")
        self.assertEqual((len(skipped["groups"][0]["lines"]), skipped["groups"][0]["lines"][0]["place"]), (5, "data/train.jsonl:7"))

    def test_samples(self):
        gallery = data_of(self.one)["gallery"]
        self.assertEqual(gallery["sets"], [{"name": "held", "shown": 7, "total": 7}])
        samples = {s["id"]: s for s in gallery["samples"]}
        self.assertEqual({i: s["runs"][0]["right"] for i, s in samples.items()}, {"red": True, "blue": False, "tone": True, "both": False, "gone": False, "clip": True, HOSTILE: False})
        self.assertEqual(samples["red"]["runs"][0]["losses"], {"right": 1.0, "shuffled": 1.5, "removed": 2.0})
        self.assertEqual(samples["tone"]["question"], "What pitch?", "out of the manifest")
        kinds = {i: [gallery["assets"][m["asset"]].split(";")[0] if "asset" in m else m["note"] for m in s["media"]] for i, s in samples.items()}
        self.assertEqual(kinds["both"], ["data:image/jpeg", "data:audio/wav"])
        self.assertEqual((kinds["red"], kinds["clip"]), (["data:image/png"], ["data:video/webm"]))
        self.assertEqual(kinds["gone"][0], "the file is gone")
        self.assertIn("picture", kinds["gone"][1])
        self.assertEqual(samples["both"]["media"][1], samples["tone"]["media"][0], "one file is embedded once")

    def test_fewer_samples_mix_right_and_wrong(self):
        page = self.root / "fewer.html"
        report(self.a, "--samples", 4, "--output", page, cwd=self.root)
        gallery = data_of(page)["gallery"]
        self.assertEqual(gallery["sets"], [{"name": "held", "shown": 4, "total": 7}])
        self.assertEqual(sorted(s["runs"][0]["right"] for s in gallery["samples"]), [False, False, True, True])
        first = page.read_bytes()
        report(self.a, "--samples", 4, "--output", page, cwd=self.root)
        self.assertEqual(first, page.read_bytes(), "the same each time")

    def test_two_runs(self):
        data = data_of(self.two)
        self.assertEqual([r["name"] for r in data["runs"]], ["first", "second"])
        self.assertEqual(data["differences"], [{"key": "model.llm.peft.0.rank", "values": ["4", "8"]}, {"key": "train.optimizer.lr", "values": ["0.001", "0.002"]}])
        samples = {s["id"]: [r["right"] for r in s["runs"]] for s in data["gallery"]["samples"]}
        self.assertEqual(samples, {"red": [True, False], "blue": [False, True], "tone": [True, True], "both": [False, False], "gone": [False, False], "clip": [True, False], HOSTILE: [False, True]})
        row = data["evaluation"][0]["rows"][0]
        self.assertEqual([s["mean"] for s in row["metrics"]["accuracy"]], [0.3, 0.7])

    def test_without_evaluation(self):
        run = self.root / "runs" / "young"
        write_lines(run / "metrics.jsonl", metrics(3, 2.0))
        self.assertIn("antiphon eval", report(run))
        data = data_of(run / "report.html")
        self.assertEqual((data["evaluation"], data["gallery"]["samples"], data["runs"][0]["skipped"]["count"]), ([], [], 0))

    def test_damaged(self):
        run = self.root / "runs" / "damaged"
        shutil.copytree(self.a, run)
        for name in ["env.json", "config.toml", "eval/results.json"]:
            (run / name).write_text("{ nonsense")
        lines = (run / "eval" / "predictions.jsonl").read_text().splitlines()
        write_lines(run / "eval" / "predictions.jsonl", [lines[0], "[]", '{"media": "right", "set": 3, "id": {}}', *lines[1:]])
        report(run, cwd=self.root)
        data = data_of(run / "report.html")
        self.assertEqual(len(data["runs"][0]["notes"]), 6, data["runs"][0]["notes"])
        self.assertEqual(sum(s["total"] for s in data["gallery"]["sets"]), 8)

    def test_refused(self):
        self.assertIn("no folder", report(self.root / "nowhere", code=2))
        self.assertIn("not a run folder", report(self.root / "data", code=2))
        self.assertIn("report", report(self.a, self.a, self.a, code=2))
        self.assertIn("Not a directory", report(self.a, "--output", self.one / "no.html", code=2))


class Trained(Case):
    TRAIN, HELD = 6, 6

    def test_after_train_and_eval(self):
        run = self.folder / "run"
        self.train(run, *sets(train__steps=3))
        self.call("eval", run)
        held = records(self.folder / "data" / "held.jsonl")
        right = [p for p in records(run / "eval" / "predictions.jsonl") if p["media"] == "right"]
        for record, prediction in zip(held, right, strict=True):
            *media, text = record["messages"][0]["content"]
            self.assertEqual(prediction["question"], text["text"])
            self.assertEqual(prediction["media_files"], [{"type": m["type"], "path": str(self.folder / "data" / m[m["type"]])} for m in media])
        report(run, cwd="/")
        data = data_of(run / "report.html")
        self.assertEqual({s["id"] for s in data["gallery"]["samples"]}, {r["id"] for r in held})
        self.assertTrue(all("asset" in m for s in data["gallery"]["samples"] for m in s["media"]))
        self.assertEqual(data["runs"][0]["steps"], 3)
        self.assertEqual([p["plugin"] for p in data["runs"][0]["parts"]], ["llama", "lora", "whisper", "frame_stack", "dinov2", "mlp", "sft", "adamw"])


if __name__ == "__main__":
    main()
