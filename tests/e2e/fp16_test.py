"""fp16 with a dynamic loss scale: it learns as in fp32, overflows are skipped, counted and halve the scale, a resumed run goes on to
the bit, and what bf16 can be combined with fp16 can, too."""
import json
import re

from harness import Case, checkpoints, losses, main, records, sets

FP16 = dict(precision__compute="fp16", train__tokens_per_batch=96)
HIGH = {**FP16, "precision__loss_scale__initial": 2.0**40, "precision__loss_scale__interval": 2}


class Fp16(Case):
    def run_with(self, name, *args, **values):
        run = self.folder / name
        return run, self.train(run, *args, *sets(**{"train__steps": 8, "train__checkpoint_every": 2, "train__keep_checkpoints": 99, **values}))

    def metrics(self, run, key):
        return [record[f"train/{key}"] for record in records(run / "metrics.jsonl")]

    def test_learns_as_in_fp32(self):
        half, done = self.run_with("half", train__steps=40, **FP16)
        self.assertIn("in fp16: as precision.compute says", done.stderr)
        self.assertIn("fp16", json.loads((half / "env.json").read_text())["formats"])
        wide, _ = self.run_with("wide", train__steps=40, **{**FP16, "precision__compute": "fp32"})
        self.assertEqual(set(self.metrics(half, "loss_scale")), {65536.0})
        self.assertEqual(self.metrics(half, "overflows")[-1], 0)
        for step, loss in losses(wide).items():
            self.assertAlmostEqual(losses(half)[step], loss, delta=0.01 * loss, msg=f"step {step}")
        self.assertNotIn("train/loss_scale", records(wide / "metrics.jsonl")[0])
        for name in ("half", "wide"):
            self.call("eval", self.folder / name, "--output", self.folder / f"eval_{name}", *sets(eval__controls="[]", eval__limit=4))
        means = [json.loads((self.folder / f"eval_{name}" / "results.json").read_text())[0]["tasks"]["all"]["conditions"]["right"]["loss"]["mean"] for name in ("half", "wide")]
        self.assertAlmostEqual(means[0], means[1], delta=0.01 * means[1])

    def test_overflows(self):
        run, done = self.run_with("high", train__steps=40, train__seed=3, **HIGH)
        scales, counts = self.metrics(run, "loss_scale"), self.metrics(run, "overflows")
        self.assertEqual(scales[0], 2.0**40)
        scale, good, overflows = 2.0**40, 0, 0  # as torch.amp.GradScaler would have it
        for i in range(len(scales)):
            self.assertEqual(scales[i], scale, f"step {i + 1}")
            overflow = counts[i] > overflows
            overflows += overflow
            self.assertEqual(counts[i], overflows)
            good = 0 if overflow else good + 1
            scale = scale / 2 if overflow else scale * 2 if good == 2 else scale
            good %= 2
        self.assertGreater(overflows, 5)
        self.assertLess(overflows, 40, "it finds a scale")
        self.assertEqual(len(re.findall(r"step \d+: the gradient overflows with a loss scale of \S+; the step is skipped", done.stderr)), overflows)
        self.assertIn(f"{overflows} steps were skipped because a loss or gradient was not finite", done.stderr)
        self.assertNotRegex(done.stderr, r"average loss 0\.")  # steps that were skipped count for nothing
        from safetensors.numpy import load_file

        first, later = (load_file(run / "checkpoints" / f"step_{step}" / "parameters.safetensors") for step in (2, 4))
        self.assertTrue(all((value == later[name]).all() for name, value in first.items()), "skipped steps change nothing")

    def test_goes_on_to_the_bit(self):
        whole, _ = self.run_with("whole", train__steps=30, **HIGH)
        run, _ = self.run_with("resumed", train__steps=30, **HIGH)
        for step in (30, 28, 26):
            for path in (run / "checkpoints" / f"step_{step}").iterdir():
                path.unlink()
            (run / "checkpoints" / f"step_{step}").rmdir()
        self.train(run, "--resume", *sets(train__steps=30, train__checkpoint_every=2, train__keep_checkpoints=99, **HIGH))
        self.assertEqual(checkpoints(run)[0], "step_30")
        self.assert_same_run(whole, run)
        state = json.loads((run / "checkpoints" / "step_30" / "progress.json").read_text())["loss_scale"]
        self.assertEqual(state["overflows"], self.metrics(run, "overflows")[-1])

    def test_with_what_bf16_has(self):
        plain, _ = self.run_with("plain", train__steps=3, **FP16)
        again, _ = self.run_with("again", train__steps=3, train__recompute="full", **FP16)
        for step, loss in losses(plain).items():
            self.assertAlmostEqual(losses(again)[step], loss, delta=1e-3 * loss)
        for name, values in {"all": dict(model__llm__trainable="true"), "int8": dict(precision__weights="int8"), "int4": dict(precision__weights="int4"), "nf4": dict(precision__weights="nf4"),
                             "fp8": dict(precision__linear="fp8"), "narrow": dict(precision__trained="bf16", model__llm__trainable="true", model__llm__peft="[]"), "ema": dict(train__ema__decay=0.9)}.items():
            with self.subTest(name):
                run, _ = self.run_with(name, train__steps=3, **{**FP16, **values})
                self.assertEqual(self.metrics(run, "overflows")[-1], 0)
                self.assertAlmostEqual(losses(run)[1], losses(plain)[1], delta=0.15 * losses(plain)[1])
        self.call("plan", self.config, *sets(**FP16), threads=None)
        self.assertIn("good", self.call("validate", self.config, *sets(**FP16)).stdout)
        self.call("export", plain, "--output", self.folder / "exported", "--dtype", "fp16")
        self.call("generate", plain, "what is it?", *sets(generate__max_tokens=3))

    def test_a_scale_that_does_not_help(self):
        """What is not finite in the loss itself ends the run, with what to do."""
        done = self.train(self.folder / "lost", *sets(train__steps=40, train__optimizer__lr=1e30, **FP16), code=3)
        self.assertIn("steps in a row had no finite gradient", done.stderr)

    def test_refused(self):
        for values, word in ((dict(precision__loss_scale__backoff=1), "backoff"), (dict(precision__loss_scale__initial=0), "initial"), (dict(precision__compute="half"), "compute")):
            self.assertIn(word, self.call("validate", self.config, *sets(**values), code=2).stderr)


if __name__ == "__main__":
    main()
