"""A model that sees and hears: it learns to name the colour of a picture and the pitch of a tone, and does so from them."""

import json

from harness import Case, losses, main, sets

STEPS = 250
COMMON = sets(train__steps=STEPS, train__tokens_per_batch=512, train__checkpoint_every=1000, train__optimizer__lr=1e-2)


class Learning(Case):
    TRAIN, HELD = 120, 36

    def scores(self, run):
        self.call("eval", run, *sets(eval__resamples=4000))
        return json.loads((run / "eval" / "results.json").read_text())[0]["tasks"]

    def check_learnt(self, run):
        loss = list(losses(run).values())
        self.assertLess(sum(loss[-10:]), 0.5 * sum(loss[:10]))
        tasks = self.scores(run)
        self.assertGreaterEqual(tasks["all"]["conditions"]["right"]["accuracy"]["mean"], 0.95)
        self.assertLess(tasks["all"]["conditions"]["shuffled"]["accuracy"]["mean"], 0.6)
        self.assertLess(tasks["all"]["conditions"]["removed"]["accuracy"]["mean"], 0.6)
        for control in ["shuffled", "removed", "shuffled_image", "shuffled_audio"]:
            self.assertLess(tasks["all"]["right_better_than"][control]["loss"]["p"], 0.001, control)
            self.assertGreater(tasks["all"]["right_better_than"][control]["loss"]["low"], 0, control)
        # Each kind of media matters to the questions about it, and not at all to the others.
        for task, other in [("image", "shuffled_audio"), ("audio", "shuffled_image")]:
            self.assertEqual(tasks[task]["right_better_than"][other]["loss"]["mean"], 0)
            self.assertLess(tasks[task]["right_better_than"]["shuffled"]["loss"]["p"], 0.05)
        for control in ["shuffled_image", "shuffled_audio"]:
            self.assertLess(tasks["both"]["right_better_than"][control]["loss"]["p"], 0.01)

    def test_in_fp32(self):
        run = self.folder / "fp32"
        self.train(run, *COMMON, *sets(data__feature_cache=self.folder / "features"))
        self.check_learnt(run)

    def test_in_bf16(self):
        run = self.folder / "bf16"
        self.train(run, *COMMON, *sets(precision__compute="bf16", data__feature_cache=self.folder / "features"))
        self.check_learnt(run)

    def test_in_fp8(self):
        run = self.folder / "fp8"
        done = self.train(run, *COMMON, *sets(precision__compute="bf16", precision__linear="fp8", data__feature_cache=self.folder / "features"))
        self.assertRegex(done.stderr, r"llm: (\d+)/\1 linear layers in fp8")
        self.check_learnt(run)

    def test_all_of_the_language_model_in_fp8(self):
        """The FP8 copies of its matrices follow what the optimizer writes."""
        text = self.config.read_text()
        peft, streams = text.index("[[model.llm.peft]]"), text.index("[model.streams.image]")
        config = self.folder / "all.toml"
        config.write_text((text[:peft] + text[streams:]).replace("trainable = false", "trainable = true", 1))
        last = {}
        for linear in ("bf16", "fp8"):
            run = self.folder / f"all_{linear}"
            self.train(run, *sets(train__steps=120, train__tokens_per_batch=512, train__optimizer__lr=1e-3, precision__compute="bf16"), *(sets(precision__linear="fp8") if linear == "fp8" else []), config=config)
            last[linear] = sum(list(losses(run).values())[-10:]) / 10
        self.assertLess(last["bf16"], 0.5)
        self.assertLess(last["fp8"], 2 * last["bf16"])

    def test_fp8_that_fits_nothing(self):
        done = self.train(self.folder / "odd", *sets(precision__linear="fp8", model__llm__hidden_size=24, model__llm__intermediate_size=40, model__llm__head_size=6, model__llm__weights='""', model__llm__tokenizer=self.folder / "models" / "llama"), code=2)
        self.assertIn("fits none of the language model's", done.stderr)


if __name__ == "__main__":
    main()
