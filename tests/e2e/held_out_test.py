"""Held-out losses while a model trains: what `antiphon eval` says of the same checkpoint, and the training does not notice."""

import json

from formats import TEMPLATE
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

    def test_several_sets(self):
        """Sets have their names; one of two sources is both of them; `antiphon eval` says the same of each."""
        lines = (self.folder / "data" / "held.jsonl").read_text().splitlines(keepends=True)
        for name, part in {"first": lines[:5], "second": lines[5:]}.items():
            (self.folder / "data" / f"{name}.jsonl").write_text("".join(part))
        source = lambda name: f'{{ path = "{self.folder}/data/{name}.jsonl" }}'
        values = dict(data__eval__first__sources=f"[{source('first')}]", data__eval__second__sources=f"[{source('second')}]", data__eval__both__sources=f"[{source('first')}, {source('second')}]")
        run = self.run_with("several", train__eval_every=3, train__eval_answers=3, train__best_metric="eval/both/loss", train__keep_best=1, **values)
        last = records(run / "metrics.jsonl")[-1]
        self.assertEqual(last["eval/both/loss"], last["eval/held/loss"])
        self.assertNotEqual(last["eval/first/loss"], last["eval/second/loss"])
        self.assertEqual(last["eval/answers"], 4 * 3)
        out = self.folder / "eval_several"
        self.call("eval", run, "--output", out, *sets(eval__generate="false", eval__controls="[]"))
        said = {result["set"]: result["tasks"]["all"]["conditions"]["right"]["loss"]["mean"] for result in json.loads((out / "results.json").read_text())}
        self.assertEqual(set(said), {"held", "first", "second", "both"})
        for name, loss in said.items():
            self.assertAlmostEqual(last[f"eval/{name}/loss"], loss, places=5)

    def test_answers_and_controls(self):
        """What `antiphon eval` says of the same checkpoint and samples; the training does not notice; a resumed run goes on."""
        import sacrebleu

        names = ["accuracy", "wer", "bleu"]
        values = dict(train__eval_every=2, train__eval_answers=4, train__eval_answers_every=2, train__eval_controls='["shuffled", "removed"]', eval__metrics=json.dumps(names), train__ema="{}")
        plain, measured = self.run_with("no_answers"), self.run_with("answers", **values)
        self.assert_same_run_but_options(plain, measured)
        by_step = {r["step"]: r for r in records(measured / "metrics.jsonl")}
        self.assertEqual({step: r.get("eval/answers") for step, r in by_step.items()}, {1: None, 2: 0, 3: None, 4: 4, 5: None, 6: 4}, "every second measurement, and the last")
        self.assertEqual([step for step, r in by_step.items() if "eval/held/wer" in r], [4, 6])
        out = self.folder / "eval_answers"
        self.call("eval", measured, "--output", out, *sets(eval__controls='["shuffled", "removed"]'))
        conditions = json.loads((out / "results.json").read_text())[0]["tasks"]["all"]["conditions"]
        for control in ("shuffled", "removed"):
            self.assertAlmostEqual(by_step[6][f"eval/held/loss_{control}"], conditions[control]["loss"]["mean"], places=5)
        self.call("eval", measured, "--output", out, *sets(eval__controls="[]", eval__limit=4))
        scores = json.loads((out / "results.json").read_text())[0]["tasks"]["all"]["conditions"]["right"]
        for name in names:
            self.assertAlmostEqual(by_step[6][f"eval/held/{name}"], scores[name]["mean"], places=9)
        answers = records(measured / "answers.jsonl")
        self.assertEqual([(a["step"], a["set"]) for a in answers], [(4, "held")] * 4 + [(6, "held")] * 4)
        written = [p for p in records(out / "predictions.jsonl")]
        self.assertEqual([(a["id"], a["question"], a["expected"], a["predicted"]) for a in answers[4:]], [(p["id"], p["question"], p["expected"], p["predicted"]) for p in written])
        self.assertAlmostEqual(by_step[6]["eval/held/bleu"], sacrebleu.corpus_bleu([a["predicted"] for a in answers[4:]], [[a["expected"] for a in answers[4:]]]).score, places=9)
        report(measured, "--output", self.folder / "answers.html")
        [table] = data_of(self.folder / "answers.html")["runs"][0]["answers"]
        self.assertEqual((table["set"], table["step"], len(table["rows"])), ("held", 6, 4), "the last step's")
        self.assertEqual(table["rows"][0], {key: answers[4][key] for key in ("question", "expected", "predicted")})
        self.train(measured, "--resume", *sets(train__steps=8, train__checkpoint_every=2, train__keep_checkpoints=5, **values))
        self.assertEqual([a["step"] for a in records(measured / "answers.jsonl")], [4] * 4 + [6] * 4 + [8] * 4)

    def test_answers_of_two_processes(self):
        run, names = self.folder / "two", ["accuracy", "wer", "bleu"]
        values = dict(train__output=run, train__steps=2, train__accumulate=2, train__eval_every=2, train__eval_answers=5, train__eval_controls='["removed"]', eval__metrics=json.dumps(names))
        self.call("launch", self.config, "--procs", "2", *sets(**values))
        last = records(run / "metrics.jsonl")[-1]
        self.assertEqual(last["eval/answers"], 5)
        out = self.folder / "eval_two"
        self.call("eval", run, "--output", out, *sets(eval__controls="[]", eval__limit=5))
        scores = json.loads((out / "results.json").read_text())[0]["tasks"]["all"]["conditions"]["right"]
        for name in names:
            self.assertAlmostEqual(last[f"eval/held/{name}"], scores[name]["mean"], places=9)
        self.call("eval", run, "--output", out, *sets(eval__controls='["removed"]', eval__generate="false"))
        conditions = json.loads((out / "results.json").read_text())[0]["tasks"]["all"]["conditions"]
        self.assertAlmostEqual(last["eval/held/loss_removed"], conditions["removed"]["loss"]["mean"], places=5)
        self.assertEqual(len(records(run / "answers.jsonl")), 3, "those of the first process")

    def blend(self):
        """Options of a run that is measured by a set of calls, refusals and plain answers, and of an evaluation of it."""
        template = self.folder / "tools.jinja"
        template.write_text(TEMPLATE)
        tools = [{"name": "stop", "parameters": {"type": "object", "properties": {}}}]
        call = {"messages": [{"role": "user", "content": "stop it"}, {"role": "assistant", "content": '{"name": "stop", "arguments": {}}'}], "tools": tools, "task": "tool_call"}
        plain, refusal = ({"messages": [{"role": "user", "content": asked}, {"role": "assistant", "content": said}], "task": task} for asked, said, task in [("What colour?", "red", "answer"), ("Break it.", "I cannot.", "refusal")])
        path = self.folder / "data" / "blend.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in [call, plain, refusal, plain, call, refusal, plain]))
        own = sets(model__llm__chat_template=template, data__eval__blend__sources=f'[{{ path = "{path}" }}]', data__eval__held__enabled="false", eval__max_tokens=4)
        return own, dict(train__steps=2, train__accumulate=2, train__checkpoint_every=2, train__tokens_per_batch=512, train__eval_every=2, train__eval_answers=6)

    def said_of(self, run, *args):
        """What `antiphon eval` says of all samples of the run's one set."""
        out = self.folder / f"eval_{run.name}"
        self.call("eval", run, "--output", out, *args, *sets(eval__controls="[]", eval__limit=6))
        return {name: value["mean"] for name, value in json.loads((out / "results.json").read_text())[0]["tasks"]["all"]["conditions"]["right"].items()}

    def test_calls_and_refusals(self):
        """As `antiphon eval` says of the same answers, by one process and by two; the best checkpoint may be chosen by one."""
        own, values = self.blend()
        names = ["call_accuracy", "schema_validity", "refusal_rate", "over_refusal"]
        run = self.folder / "blend"
        self.train(run, *own, *sets(**values))
        first = next(a["predicted"] for a in records(run / "answers.jsonl") if a["expected"] == "I cannot.")
        own += sets(eval__refusals=json.dumps([first]))  # so that some are
        best = dict(train__keep_best=1, train__best_metric="eval/blend/refusal_rate", train__best_mode="max", eval__metrics="[]")
        for processes, name in [(1, "blend_of_one"), (2, "blend_of_two")]:
            run = self.folder / name
            args = sets(**values, **best, train__output=run)
            self.call(*(["train", self.config] if processes == 1 else ["launch", self.config, "--procs", "2"]), *own, *args)
            last, said = records(run / "metrics.jsonl")[-1], self.said_of(run, *own)
            self.assertEqual(last["eval/answers"], 6)
            for metric in names:
                self.assertAlmostEqual(last[f"eval/blend/{metric}"], said[metric], places=9, msg=metric)
            self.assertEqual((last["eval/blend/call_accuracy"], last["eval/blend/refusal_rate"]), (0, 1))
            self.assertNotIn("eval/blend/wer", last)
            self.assertEqual([path.name for path in (run / "best").iterdir()], ["step_2"])
        text = (self.folder / "data" / "blend.jsonl").read_text()
        (self.folder / "data" / "blend.jsonl").write_text("".join(line for line in text.splitlines(keepends=True) if '"refusal"' not in line))
        done = self.train(self.folder / "no_refusals", *own, *sets(**values, **best), code=2)
        self.assertIn("eval/blend/call_accuracy", done.stderr)
        self.assertIn("is not measured", done.stderr)

    def test_best_by_answers(self):
        values = dict(train__eval_every=1, train__eval_answers=3, train__eval_answers_every=3, train__keep_best=1, train__best_metric="eval/held/cer")
        run = self.run_with("by_answers", **values)
        cers = {r["step"]: r["eval/held/cer"] for r in records(run / "metrics.jsonl") if "eval/held/cer" in r}
        self.assertEqual(list(cers), [3, 6])
        self.assertEqual([path.name for path in (run / "best").iterdir()], [f"step_{min(cers, key=cers.get)}"])
        done = self.train(self.folder / "misnamed", *sets(train__steps=4, **{**values, "train__best_metric": "eval/held/bleu"}), code=2)
        self.assertIn("is not measured", done.stderr)

    def test_options_without_effect(self):
        for values, word in ((dict(train__eval_answers=3), "eval_answers"), (dict(train__eval_controls='["removed"]'), "eval_controls"), (dict(train__eval_every=2, train__eval_answers_every=3), "eval_answers_every")):
            self.assertIn(word, self.call("validate", self.config, *sets(**values), code=2).stderr)

    def test_checkpoints_by_time(self):
        run = self.run_with("by_time", train__keep_minutes=1e-6)
        self.assertEqual(sorted(path.name for path in (run / "kept").iterdir()), [f"step_{step}" for step in range(1, 7)])
        self.call("eval", self.config, "--checkpoint", run / "kept" / "step_3", "--output", self.folder / "kept_eval", *sets(eval__generate="false", eval__controls="[]"))
        run = self.run_with("by_long_time", train__keep_minutes=1e4)
        self.assertFalse((run / "kept").exists())

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
