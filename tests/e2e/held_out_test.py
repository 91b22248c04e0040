"""Held-out losses while a model trains: what `antiphon eval` says of the same checkpoint, and the training does not notice."""

import json

from harness import Case, main, records, sets
from report_run import data_of, report


class HeldOut(Case):
    def run_with(self, name, *args, **values):
        run = self.folder / name
        self.train(run, *args, *sets(train__steps=6, train__checkpoint_every=2, train__keep_checkpoints=5, **values))
        return run

    def test_losses(self):
        plain, measured = self.run_with("plain"), self.run_with("measured", train__eval_every=4)
        by_step = {r["step"]: r for r in records(measured / "metrics.jsonl")}
        self.assertEqual([step for step, r in by_step.items() if "eval/held/loss" in r], [4, 6], "every fourth, and the last")
        for left, right in zip(records(plain / "metrics.jsonl"), by_step.values(), strict=True):
            self.assertEqual(left["train/loss"], right["train/loss"])
        for step in (4, 6):
            out = self.folder / f"eval_{step}"
            self.call("eval", measured, "--checkpoint", measured / "checkpoints" / f"step_{step}", "--output", out, *sets(eval__generate="false", eval__controls="[]"))
            mean = json.loads((out / "results.json").read_text())[0]["tasks"]["all"]["conditions"]["right"]["loss"]["mean"]
            self.assertAlmostEqual(by_step[step]["eval/held/loss"], mean, places=5)
        self.assert_same_run_but_options(plain, measured)
        report(measured, "--output", self.folder / "page.html")
        page = data_of(self.folder / "page.html")
        self.assertEqual([m["title"] for m in page["metrics"] if m["key"] == "eval/held/loss"], ["Held out: held/loss"])
        self.assertEqual([step for step, _ in page["runs"][0]["curves"]["eval/held/loss"]["points"]], [4, 6])

    def assert_same_run_but_options(self, left, right):
        from safetensors.numpy import load_file

        for name in ("parameters", "state"):
            a, b = (load_file(run / "checkpoints" / "step_6" / f"{name}.safetensors") for run in (left, right))
            self.assertEqual({k: v.tobytes() for k, v in a.items()}, {k: v.tobytes() for k, v in b.items()})

    def test_of_candidates(self):
        rows = [r for r in records(self.folder / "data" / "held.jsonl") if r["task"] == "image"]
        pairs = [{"messages": r["messages"][:1], "candidates": [{"content": r["messages"][1]["content"][0]["text"]}, {"content": "nothing"}]} for r in rows]
        path = self.folder / "data" / "pairs.jsonl"
        path.write_text("".join(json.dumps(p) + "\n" for p in pairs))
        source = ["--set", f'data.train.sources=[{{path="{path}"}}]', "--set", f'data.eval.held.sources=[{{path="{path}"}}]']
        run = self.run_with("dpo", *source, objective__plugin="preference", train__eval_every=3, train__tokens_per_batch=256)
        last = records(run / "metrics.jsonl")[-1]
        self.assertGreater(last["eval/held/rewards/margins"], 0, "it has learnt from the same pairs")
        self.assertLess(last["eval/held/loss"], 0.6931)

    def test_a_set_that_does_not_fit(self):
        """One that another stage is meant for: told, and left out; nothing else left is an error."""
        rows = [{"messages": [{"role": "user", "content": "?"}], "candidates": [{"content": "a"}, {"content": "b"}]}] * 3
        path = self.folder / "data" / "unfit.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        unfit = ["--set", f'data.eval.unfit.sources=[{{path="{path}"}}]']
        done = self.train(self.folder / "unfit", *unfit, *sets(train__steps=1, train__eval_every=1))
        self.assertIn("held-out set unfit is not measured", done.stderr)
        record = records(self.folder / "unfit" / "metrics.jsonl")[0]
        self.assertIn("eval/held/loss", record)
        self.assertEqual((record["eval/held/failed"], record["eval/held/not_finite"]), (0, 0))
        self.assertNotIn("eval/unfit/loss", record)
        done = self.train(self.folder / "only_unfit", *unfit, "--set", "data.eval.held.enabled=false", *sets(train__steps=1, train__eval_every=1), code=3)
        self.assertIn("no set of [data.eval] can be measured", done.stderr)

    def test_nothing_to_measure(self):
        done = self.train(self.folder / "none", "--set", "data.eval.held.enabled=false", *sets(train__eval_every=1), code=2)
        self.assertIn("train.eval_every is set and there is nothing to evaluate", done.stderr)
        done = self.call("validate", self.config, "--set", "data.eval.held.enabled=false", *sets(train__eval_every=1), code=2)
        self.assertIn("train.eval_every is set and there is nothing to evaluate", done.stderr)


if __name__ == "__main__":
    main()
