"""A second stage takes parts from the run of the first, begins at its loss, may have data of its own, and goes on where it was killed."""
import json
import re
import shutil
import signal
import unittest

import make_tiny
from harness import Case, checkpoints, losses, main, records, sets

STEPS = sets(train__steps=4, train__optimizer__lr=1e-2)


class Stages(Case):
    TRAIN, HELD = 8, 4

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.first = cls.folder / "first"
        cls().train(cls.first, *STEPS)

    def runTest(self):
        pass

    def second(self, name, changes, text=None):
        """The tiny composition with some slots taken from elsewhere."""
        text = text or self.config.read_text()
        for old, new in changes:
            self.assertIn(old, text)
            text = text.replace(old, new, 1)
        path = self.folder / f"{name}.toml"
        path.write_text(text)
        return path

    def answers(self, *args):
        output = self.folder / f"eval_{len(list(self.folder.glob('eval_*')))}"
        done = self.call("eval", *args, "--output", output, *sets(eval__controls="[]", generate__max_tokens=2))
        return [record["loss"] for record in records(output / "predictions.jsonl") if record["media"] == "right"], done.stderr

    def from_first(self, run=None):
        run = run or self.first
        return [('plugin = "lora"', f'plugin = "lora"\nweights = "{run}"'), ('{ plugin = "mlp" }', f'{{ plugin = "mlp", weights = "{run}" }}'),
                ('{ plugin = "frame_stack",', f'{{ plugin = "frame_stack", weights = "{run}",')]

    def test_adapter_and_connectors(self):
        config = self.second("second", self.from_first())
        before, _ = self.answers(self.first)
        after, text = self.answers(config)
        self.assertEqual(before, after)
        self.assertEqual(len(re.findall(r"applied (\d+)/\1 tensors from \S*first", text)), 3)
        fresh, _ = self.answers(self.config)
        self.assertNotEqual(before, fresh)
        shown = self.call("validate", config).stdout
        self.assertRegex(shown, r"streams.image.connector: (\d+)/\1 tensors from \S*first")
        third = self.folder / "second_run"
        self.train(third, *STEPS, config=config)
        self.assertEqual(self.answers(third)[0], self.answers(self.second("third", self.from_first(third)))[0], "of a second stage, too")

    def test_language_model_and_encoder(self):
        everything = [("trainable = false", "trainable = true"), ('fit = "stretch"', 'trainable = true, fit = "stretch"')]
        first = self.folder / "whole"
        self.train(first, *STEPS, config=self.second("whole_config", everything))
        taken = [(f'weights = "{self.folder}/models/llama"', f'weights = "{first}"'), (f'weights = "{self.folder}/models/dinov2"', f'weights = "{first}"'), *self.from_first(first)]
        self.assertEqual(self.answers(first)[0], self.answers(self.second("after_whole", everything + taken))[0])
        frozen = self.second("after_whole_frozen", taken)
        for expected, loss in zip(self.answers(first)[0], self.answers(frozen)[0], strict=True):
            self.assertAlmostEqual(expected, loss, delta=1e-5 * expected)  # frozen weights are multiplied by other kernels
        out = self.folder / "whole_out"
        self.call("export", frozen, "--output", out)
        self.assertTrue((out / "tokenizer.json").exists())

    def test_what_does_not_fit(self):
        other = self.second("other", [('{ plugin = "mlp" }', f'{{ plugin = "linear", weights = "{self.first}" }}')])
        self.assertIn("'linear' here and a 'mlp' in the run", self.call("validate", other, code=2).stderr)
        deep = self.second("deep", [('{ plugin = "mlp" }', f'{{ plugin = "mlp", depth = 3, weights = "{self.first}" }}')])
        self.assertIn("streams.image.connector", self.call("validate", deep, code=4).stderr)
        named = self.second("named", [("[model.streams.image]", "[model.streams.video]"), ('{ plugin = "mlp" }', f'{{ plugin = "mlp", weights = "{self.first}" }}')])
        self.assertIn("no [model.streams.video.connector]", self.call("validate", named, code=2).stderr)
        empty = self.folder / "empty"
        empty.mkdir()
        shutil.copy(self.first / "config.toml", empty)
        nothing = self.second("nothing", self.from_first(empty))
        self.assertIn("no complete checkpoint", self.call("validate", nothing, code=4).stderr)
        changed = self.second("changed", [*self.from_first(), ("alpha = 8", "alpha = 4")])
        self.assertRegex(self.answers(changed)[1], r"llm.peft.0: alpha = .*in \S*first")

    def test_a_run_that_is_not_there_yet(self):
        config = self.second("later", self.from_first(self.folder / "not_yet"))
        self.second("earlier", [("[train]", f'[train]\noutput = "{self.folder}/not_yet"')])
        self.assertIn("earlier.toml` makes it", self.call("validate", config).stdout)

    def file_of_stages(self):
        text = self.config.read_text()
        path = self.folder / "stages.toml"
        path.write_text(text.replace("[train]", f'[train]\noutput = "{self.folder}/staged"', 1) + """
[[stage]]
name = "align"
model.llm.peft = []
[stage.train]
steps = 4

[[stage]]
name = "tune"
model.streams.audio.connector.trainable = false
[stage.train]
steps = 3
[stage.train.optimizer]
lr = 2e-3
""")
        return path

    def test_stages_of_one_file(self):
        config = self.file_of_stages()
        shown = self.call("validate", config).stdout
        self.assertIn("stages.toml, stage align: good", shown)
        self.assertIn("stages.toml, stage tune: good", shown)
        self.assertEqual(shown.count("llm.peft.0"), 1)
        self.call("train", config, "--stage", "other", code=2)
        text = self.call("train", config, *sets(train__optimizer__lr=1e-2)).stderr
        align, tune = self.folder / "staged" / "align", self.folder / "staged" / "tune"
        self.assertEqual((len(losses(align)), len(losses(tune))), (4, 3))
        self.assertIn("stage 2 of 2: tune", text)
        learnt = 'weights = "%s"' % align
        resolved = (tune / "config.toml").read_text()
        self.assertEqual(resolved.count(learnt), 2, "both connectors go on, also the one that rests now")
        self.assertIn("lr = 0.01", resolved, "--set counts for every stage")
        # The second stage begins where the first ended; other commands take the last stage.
        self.assertEqual(self.answers(align)[0], self.answers(config, *sets(model__llm__peft="[]"))[0])
        again = self.call("train", config, "--resume", *sets(train__optimizer__lr=1e-2)).stderr
        self.assertEqual(again.count("it has been trained"), 2)
        self.call("train", config, "--resume", "--stage", "tune", *sets(train__optimizer__lr=1e-2, train__steps=5))
        self.assertEqual((len(losses(align)), len(losses(tune))), (4, 5))
        self.assertIn("holds a run", self.call("train", config, code=2).stderr)

    def test_a_stage_that_freezes_some_of_a_new_part(self):
        """The next one takes the part as it was, what was frozen of it included."""
        path, output = self.folder / "some_frozen.toml", self.folder / "some_frozen"
        path.write_text(self.file_of_stages().read_text().replace("model.llm.peft = []", 'model.llm.peft = []\nmodel.freeze = ["streams.image.connector/*weight"]', 1))
        said = self.call("train", path, *sets(train__output=output, train__optimizer__lr=1e-2)).stderr
        self.assertIn("streams.image.connector: 2 of 4 trained parameters are frozen", said)
        self.assertEqual((len(losses(output / "align")), len(losses(output / "tune"))), (4, 3))
        for expected, loss in zip(self.answers(output / "align")[0], self.answers(path, *sets(train__output=output, model__llm__peft="[]"))[0], strict=True):
            self.assertAlmostEqual(expected, loss, delta=1e-5 * expected)  # frozen weights are multiplied by other kernels
        self.assertRegex(self.call("validate", path, *sets(train__output=output)).stdout, r"streams.image.connector: 4/4 tensors from \S*align")

    def file_with_data_of_its_own(self):
        """The second stage learns from pictures alone."""
        path, text = self.folder / "own_data.toml", self.file_of_stages().read_text()
        make_tiny.write_set(self.folder / "data" / "pictures.jsonl", 7, seed=13, kinds=["image"])
        own = f'[stage.data.train]\nsources = [{{ path = "{self.folder}/data/pictures.jsonl" }}]\n[stage.train]\nsteps = 3'
        path.write_text(text.replace("[stage.train]\nsteps = 3", own))
        return path

    def test_a_stage_with_data_and_a_rate_of_its_own(self):
        """It learns what one run after another does that names the first as its weights and has this data and this rate."""
        config, staged, constant = self.file_with_data_of_its_own(), self.folder / "own_data", sets(train__schedule__name="constant", train__schedule__warmup_steps=0)
        self.train(staged, *constant, config=config)
        rates = {name: {record["train/lr"] for record in records(staged / name / "metrics.jsonl")} for name in ("align", "tune")}
        self.assertEqual(rates, {"align": {3e-3}, "tune": {2e-3}}, "the first stage takes the file's")
        heard = {name: {record["media/audio"] > 0 for record in records(staged / name / "metrics.jsonl")} for name in ("align", "tune")}
        self.assertEqual(heard, {"align": {True}, "tune": {False}})
        alone = self.second("alone", [*self.from_first(staged / "align")[1:], (f"{self.folder}/data/train.jsonl", f"{self.folder}/data/pictures.jsonl")])
        self.train(self.folder / "alone", *constant, *sets(model__streams__audio__connector__trainable="false", train__steps=3, train__optimizer__lr=2e-3), config=alone)
        self.assert_same_run(staged / "tune", self.folder / "alone")

    def test_killed_in_a_stage(self):
        """Resumed without a word of the stage, it goes on in it, does what comes after, and ends as one that nobody killed."""
        config, more, whole = self.file_with_data_of_its_own(), sets(train__steps=80, train__checkpoint_every=3), self.folder / "whole_stages"
        self.train(whole, *more, config=config)
        for killed, trained in (("align", 0), ("tune", 1)):
            cut = self.folder / f"cut_in_{killed}"
            process = self.start("train", config, *sets(train__output=cut), *more)
            self.wait_for_step(cut / killed, 8, process)
            process.send_signal(signal.SIGKILL)
            process.communicate()
            self.assertEqual(process.returncode, -signal.SIGKILL, "the run ended before it could be killed")
            self.assertNotIn("step_80", checkpoints(cut / killed))
            text = self.train(cut, *more, "--resume", config=config).stderr
            self.assertEqual(text.count("it has been trained"), trained, "only a stage that has ended rests")
            self.assertEqual(re.findall(r"resumed at step \d+ from \S*/(align|tune)/", text), [killed])
            for name in ("align", "tune"):
                self.assert_same_run(whole / name, cut / name)

    def test_stages_that_are_wrong(self):
        text = self.file_of_stages().read_text()
        for old, new, message in [('name = "tune"', 'name = "align"', "two stages are called 'align'"), ('name = "tune"', "", "no name"), ('"tune"', '"a/b"', "a/b"),
                                  ("steps = 3", "stebs = 3", "did you mean 'steps'"), ("[[stage]]\nname = \"align\"", "[stage]\nname = \"align\"", "stage")]:
            path = self.folder / "wrong_stages.toml"
            path.write_text(text.replace(old, new, 1))
            self.assertIn(message, self.call("validate", path, code=2).stderr)


if __name__ == "__main__":
    main()
