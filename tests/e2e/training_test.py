"""What [train] can be told: schedules, averages, best checkpoints, early stops."""

import csv
import json
import math
import re
import shutil
from pathlib import Path

from harness import Case, checkpoints, losses, main, records, sets

SHORT = sets(train__steps=8, train__checkpoint_every=2, train__tokens_per_batch=96)


class Training(Case):
    def rates(self, folder, **schedule):
        run = self.folder / folder
        self.train(run, *SHORT, *sets(train__optimizer__lr=0.01, **{f"train__schedule__{key}": value for key, value in schedule.items()}))
        return [record["train/lr"] / 0.01 for record in records(run / "metrics.jsonl")]

    def assert_rates(self, rates, expected):
        self.assertEqual(len(rates), 8)
        for rate, value in zip(rates, expected, strict=True):
            self.assertAlmostEqual(rate, value, places=12)

    def test_schedules(self):
        self.assert_rates(self.rates("wsd", name="wsd", warmup_steps=2, decay_steps=4, min_ratio=0.2), [0.5, 1, 1, 1, 1, 0.8, 0.6, 0.4])
        self.assert_rates(self.rates("root", name="inverse_sqrt", warmup_steps=1), [1] + [math.sqrt(2 / (step + 1)) for step in range(1, 8)])
        self.assert_rates(self.rates("cosine", name="cosine", warmup_steps=0, hold_steps=2, constant_steps=2, min_ratio=0.1),
                          [1, 1] + [0.1 + 0.45 * (1 + math.cos(math.pi * k / 4)) for k in range(4)] + [0.1, 0.1])

    def test_share_of_a_step_that_waits_for_data(self):
        run = self.folder / "waits"
        self.train(run, *SHORT, *sets(data__threads=1, data__prefetch=1))
        for record in records(run / "metrics.jsonl"):
            self.assertAlmostEqual(record["train/loader_wait"], record["train/data_wait_seconds"] / record["train/step_seconds"], places=9)
            self.assertTrue(0 <= record["train/loader_wait"] <= 1, record)
        self.assertGreater(records(run / "metrics.jsonl")[0]["train/loader_wait"], 0)

    def test_schedules_that_do_not_fit(self):
        done = self.train(self.folder / "refused", *SHORT, *sets(train__schedule__name="wsd", train__schedule__power=2), code=2)
        self.assertIn('train.schedule.power has no effect with train.schedule.name = "wsd"', done.stderr)
        self.assertIn('train.schedule.name = "wsd" needs train.schedule.decay_steps', done.stderr)

    def tensors(self, run, step, kind="state", folder="checkpoints"):
        from safetensors.numpy import load_file

        return load_file(run / folder / f"step_{step}" / f"{kind}.safetensors")

    def held_loss(self, run, step, *args, folder="checkpoints"):
        out = self.folder / "eval"
        self.call("eval", run, "--checkpoint", run / folder / f"step_{step}", "--output", out, *sets(eval__generate="false", eval__controls="[]"), *args)
        return json.loads((out / "results.json").read_text())[0]["tasks"]["all"]["conditions"]["right"]["loss"]["mean"]

    def resumed(self, whole, name, *args, steps=1):
        """The run again, from some checkpoints before its last."""
        run = self.folder / name
        shutil.copytree(whole, run)
        for step in checkpoints(run)[:steps]:
            shutil.rmtree(run / "checkpoints" / step)
        self.train(run, *args, "--resume")
        return run

    def test_averages(self):
        import numpy

        args = [*SHORT, *sets(train__checkpoint_every=1, train__keep_checkpoints=9, train__eval_every=4, train__optimizer__lr=0.01)]
        averaged = [*args, *sets(train__ema__decay=0.8)]
        plain, run = self.folder / "plain", self.folder / "averaged"
        self.train(plain, *args)
        self.train(run, *averaged)
        self.assertEqual(losses(plain), losses(run), "what is trained does not notice")
        for step in range(2, 9):
            before, after, values = self.tensors(run, step - 1), self.tensors(run, step), self.tensors(run, step, "parameters")
            names = [name for name in values if f"{name}#ema" in after]
            self.assertGreater(len(names), 4)
            for name in names:
                numpy.testing.assert_allclose(after[f"{name}#ema"], 0.8 * before[f"{name}#ema"] + 0.2 * values[name], rtol=1e-5, atol=1e-7)
        measured = {r["step"]: r["eval/held/loss"] for r in records(run / "metrics.jsonl") if "eval/held/loss" in r}
        last_values = {r["step"]: r["eval/held/loss"] for r in records(plain / "metrics.jsonl") if "eval/held/loss" in r}
        for step in (4, 8):
            self.assertAlmostEqual(self.held_loss(run, step), measured[step], places=5)
            self.assertAlmostEqual(self.held_loss(run, step, *sets(train__ema__use="false")), last_values[step], places=5)
            self.assertNotAlmostEqual(measured[step], last_values[step], places=4)
        self.assert_same_run(run, self.resumed(run, "averaged_again", *averaged))
        self.exported(run, "#ema", "state")
        unused = self.folder / "unused"
        self.train(unused, *averaged, *sets(train__ema__use="false"))
        self.exported(unused, "", "parameters")
        self.assertIn("has no average", self.train(plain, *averaged, *sets(train__steps=9), "--resume", code=4).stderr)
        self.assertIn("holds no averages", self.call("eval", plain, *sets(train__ema__decay=0.8), code=4).stderr)

    def exported(self, run, suffix, kind):
        """The adapter that is written beside the checkpoints has these values, each of them."""
        from safetensors.numpy import load_file

        known = {value.tobytes() for name, value in self.tensors(run, 8, kind).items() if name.endswith(suffix)}
        adapter = load_file(run / "adapter" / "adapter_model.safetensors")
        self.assertGreater(len(adapter), 2)
        for name, value in adapter.items():
            self.assertIn(value.tobytes(), known, name)

    def test_best_checkpoints(self):
        args = [*sets(train__steps=12, train__checkpoint_every=5, train__keep_checkpoints=2, train__tokens_per_batch=96, train__eval_every=2, train__optimizer__lr=0.05),
                *sets(train__keep_best=2, train__best_metric="eval/held/loss")]
        run = self.folder / "best"
        done = self.train(run, *args)
        measured = {r["step"]: r["eval/held/loss"] for r in records(run / "metrics.jsonl") if "eval/held/loss" in r}
        ranks = sorted(measured, key=measured.get)
        self.assertEqual(sorted(path.name for path in (run / "best").iterdir()), sorted(f"step_{step}" for step in ranks[:2]))
        self.assertIn(f"best eval/held/loss {measured[ranks[0]]:.4f} at step {ranks[0]}", done.stderr)
        for step in ranks[:2]:
            self.assertAlmostEqual(self.held_loss(run, step, folder="best"), measured[step], places=5)
        self.assertEqual(len(checkpoints(run)), 2)
        again = self.resumed(run, "best_again", *args)
        self.assert_same_run(run, again)
        self.assertEqual(sorted(path.name for path in (again / "best").iterdir()), sorted(path.name for path in (run / "best").iterdir()))
        done = self.train(self.folder / "unknown", *args, *sets(train__best_metric="eval/hold/loss"), code=2)
        self.assertIn('train.best_metric = "eval/hold/loss" is not measured; there are eval/held/', done.stderr)
        done = self.train(self.folder / "without", *SHORT, *sets(train__keep_best=1), code=2)
        self.assertIn("train.best_metric is empty", done.stderr)
        self.assertIn("train.eval_every is 0", done.stderr)

    def test_early_stop(self):
        """A loss that falls is never larger than the first one."""
        args = [*sets(train__steps=12, train__checkpoint_every=3, train__tokens_per_batch=96, train__eval_every=2, train__patience=2, train__best_metric="eval/held/loss", train__best_mode="max"),
                *sets(train__optimizer__lr=0.01)]
        run = self.folder / "stopped"
        done = self.train(run, *args)
        self.assertIn("2 measurements without a better value end the run", done.stderr)
        self.assertEqual((max(losses(run)), checkpoints(run)[0]), (6, "step_6"))
        self.assert_same_run(run, self.resumed(run, "stopped_again", *args))
        self.train(run, *args, "--resume")
        self.assertEqual(max(losses(run)), 6)
        self.train(run, *args, *sets(train__patience=3), "--resume")
        self.assertEqual(max(losses(run)), 8)
        self.assertTrue((run / "adapter").exists())

    def test_the_example_of_the_docs(self):
        text = (Path(__file__).resolve().parents[2] / "docs" / "operator.md").read_text()
        blocks = [block for block in re.findall(r"```toml\n(.*?)```", text, re.S) if "[train.ema]" in block]
        self.assertEqual(len(blocks), 1)
        file, run = self.folder / "example.toml", self.folder / "example"
        file.write_text(f'extends = "{self.config}"\n{blocks[0]}')
        self.call("train", file, *SHORT, *sets(train__eval_every=4, train__output=run))
        self.assertEqual(len(list((run / "best").iterdir())), 2)
        self.assertTrue(any(name.endswith("#ema") for name in self.tensors(run, 8)))
        self.assert_table(run)
        self.assertEqual(len(list(run.glob("events.out.tfevents.*"))), 1)

    def test_what_optimizers_keep(self):
        def adafactor(shape):
            return sum(shape) if len(shape) == 2 else math.prod(shape)

        size = {"adamw": lambda shape: 8 * math.prod(shape), "lion": lambda shape: 4 * math.prod(shape), "sgd": lambda shape: 4 * math.prod(shape), "muon": lambda shape: (4 if len(shape) == 2 else 8) * math.prod(shape),
                "adamw_8bit": lambda shape: 2 * math.prod(shape) + 8 * -(-math.prod(shape) // 256), "adafactor": lambda shape: 4 * adafactor(shape)}
        for name, bytes_of in size.items():
            with self.subTest(name):
                run = self.folder / f"kept_{name}"
                self.train(run, *SHORT, *sets(train__steps=1, train__optimizer__name=name), *(sets(train__optimizer__min_size=1) if name == "adamw_8bit" else []))
                values, state = self.tensors(run, 1, "parameters"), self.tensors(run, 1)
                for parameter, value in values.items():
                    kept = sum(x.nbytes for key, x in state.items() if key.startswith(f"{parameter}#") and not key.endswith("#step"))
                    self.assertEqual(kept, bytes_of(value.shape), parameter)

    def test_smoothing(self):
        """Training minimises more; held-out losses stay what they are."""
        args = [*SHORT, *sets(train__eval_every=8)]
        plain, smoothed = self.folder / "not_smoothed", self.folder / "smoothed"
        self.train(plain, *args)
        self.train(smoothed, *args, *sets(train__label_smoothing=0.1, train__z_loss=0.01))
        self.assertGreater(losses(smoothed)[1], losses(plain)[1] + 0.01)
        held = records(smoothed / "metrics.jsonl")[-1]["eval/held/loss"]
        self.assertAlmostEqual(held, self.held_loss(smoothed, 8), places=5)
        self.assertNotEqual(held, records(plain / "metrics.jsonl")[-1]["eval/held/loss"])
        done = self.call("validate", self.config, *sets(objective__plugin="preference", train__label_smoothing=0.1, train__output=self.folder / "x"), code=2)
        self.assertIn("the objective preference compares log-probabilities", done.stderr)

    def test_loggers(self):
        args = [*SHORT, *sets(train__eval_every=4), "--set", 'train.loggers=["csv"]']
        run = self.folder / "csv"
        self.train(run, *args)
        self.assert_table(run)
        self.assertEqual(list(run.glob("events.out.tfevents.*")), [])
        self.assert_table(self.resumed(run, "csv_again", *args))
        none = self.folder / "none"
        self.train(none, *SHORT, "--set", "train.loggers=[]")
        self.assertEqual(list(none.glob("events.out.tfevents.*")) + list(none.glob("*.csv")), [])
        self.assertEqual(len(records(none / "metrics.jsonl")), 8)
        self.train(self.folder / "wrong", *SHORT, "--set", 'train.loggers=["cvs"]', code=2)

    def assert_table(self, run):
        with open(run / "metrics.csv", newline="") as file:
            rows = list(csv.DictReader(file))
        self.assertEqual([int(row["step"]) for row in rows], list(range(1, 9)))
        for row, record in zip(rows, records(run / "metrics.jsonl"), strict=True):
            self.assertEqual({name: float(value) for name, value in row.items() if value}, {name: value for name, value in record.items() if value is not None})


if __name__ == "__main__":
    main()
