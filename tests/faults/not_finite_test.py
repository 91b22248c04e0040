"""train.rollbacks: after ten steps in a row that are not finite what is trained goes back to an earlier step, and the run goes on with the data that follow."""
import hashlib
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

from harness import Case, checkpoints, losses, main, records, sets
from spoilt import LETTER, infinite, marked

EVERY = 4
# Nothing that depends on the number of a step: so steps after others are the steps that these would have been without them.
COMMON = sets(train__tokens_per_batch=128, train__checkpoint_every=EVERY, train__schedule__name="constant", train__schedule__warmup_steps=0, data__shuffle="false", model__llm__peft__0__dropout=0)


def trained(run, step):
    """What its last checkpoint and its adapter hold."""
    files = run / "checkpoints" / f"step_{step}" / "parameters.safetensors", run / "adapter" / "adapter_model.safetensors"
    return [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]


class NotFinite(Case):
    begins = None  # the first sample of each step

    def setUp(self):
        super().setUp()
        self.lines = 24 * records(self.config.parent / "data" / "train.jsonl")
        if NotFinite.begins is None:
            run = self.run_on("clean", [], steps=48)
            counts = [int(record["train/samples"]) for record in records(run / "metrics.jsonl")]
            NotFinite.begins = {step: sum(counts[: step - 1]) for step in range(1, 49)}
            self.assertLess(sum(counts), len(self.lines))

    def source(self, bad, left_out=range(0)):
        """Options of a source: the samples of the steps `bad` are spoilt, and those of `left_out` are not there."""
        within = lambda steps, i: any(self.begins[step] <= i < self.begins[step + 1] for step in steps)
        lines = [marked(line, LETTER if within(bad, i) else "^") for i, line in enumerate(self.lines) if not within(left_out, i)]
        path = self.folder / "data" / "marked.jsonl"
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        return ["--set", f'data.train.sources=[{{ path = "{path}" }}]']

    def run_on(self, name, bad, *args, steps, left_out=range(0), code=0):
        """The run; what it said is in self.said."""
        run = self.folder / name
        self.said = self.train(run, *COMMON, *self.source(bad, left_out), *sets(train__steps=steps), *args, code=code, config=infinite(self)).stderr
        return run

    def check_goes_back(self, name, first, to, *args):
        """Ten steps from `first` on; what follows is what would have followed the step `to`."""
        after = first + 10
        run = self.run_on(name, range(first, after), *sets(train__rollbacks=1), *args, steps=24)
        self.assertIn(f"step {after - 1}: 10 steps in a row had no finite gradient; ", self.said)
        self.assertIn(f"what is trained goes back to step {to}, for time 1 of at most 1; the data go on", self.said)
        self.assertRegex(self.said, r"10 steps were skipped because a loss or gradient was not finite(; the loss scale is \d+)?; the run went back 1 times")
        self.assertEqual([step for step, loss in losses(run).items() if loss is None], list(range(first, after)))
        last = records(run / "metrics.jsonl")[-1]
        self.assertEqual((last["train/not_finite_steps"], last["train/rollbacks"]), (10, 1))
        count = 24 - after + 1
        other = self.run_on(f"{name}_without", [], *args, steps=to + count, left_out=range(to + 1, after))
        self.assertEqual([losses(run)[after + i] for i in range(count)], [losses(other)[to + 1 + i] for i in range(count)])
        self.assertEqual(trained(run, 24), trained(other, to + count))
        return run, other

    def test_goes_back(self):
        self.check_goes_back("back", 11, 8)

    def test_averages_go_back(self):
        self.check_goes_back("averages", 11, 8, *sets(train__ema__decay=0.9))

    def test_what_lies_on_the_host_goes_back(self):
        self.check_goes_back("offloaded", 11, 8, *sets(parallel__offload_optimizer="true"))

    def test_the_loss_scale_goes_back(self):
        """It has grown before, and each step that is not finite halves it."""
        run, other = self.check_goes_back("fp16", 11, 8, *sets(precision__compute="fp16", precision__loss_scale__initial=64, precision__loss_scale__interval=6))
        scales = [[record["train/loss_scale"] for record in records(path / "metrics.jsonl")] for path in (run, other)]
        self.assertEqual(scales[0][20:], scales[1][8:12])
        self.assertNotEqual(scales[0][19], scales[0][20])
        self.assertEqual(records(run / "metrics.jsonl")[-1]["train/overflows"], 10)

    def test_goes_back_again(self):
        """Not to what was given up the first time, which is not there any more."""
        options = sets(train__checkpoint_every=2, train__keep_checkpoints=9)
        run = self.run_on("again", [*range(11, 21), *range(22, 32)], *options, *sets(train__rollbacks=2), steps=39)
        self.assertIn("what is trained goes back to step 8, for time 1 of at most 2", self.said)
        self.assertRegex(self.said, r"the checkpoint \S*/step_10 is removed: its steps were given up")
        self.assertIn("what is trained goes back to step 8, for time 2 of at most 2", self.said)
        self.assertEqual(checkpoints(run), [f"step_{step}" for step in (39, 38, 36, 34, 32, 8, 6, 4, 2)])
        other = self.run_on("again_without", [], *options, steps=16, left_out=range(9, 32))
        self.assertEqual([losses(run)[32 + i] for i in range(8)], [losses(other)[9 + i] for i in range(8)])
        self.assertEqual(trained(run, 39), trained(other, 16))

    def test_goes_back_to_a_step_of_such_ones(self):
        """The run was stopped among them, so that its checkpoint has the values of an earlier step, which counts the second time."""
        options, bad = sets(train__checkpoint_every=2, train__keep_checkpoints=9, train__rollbacks=2), [*range(11, 15), *range(16, 36)]
        self.run_on("among", bad, *options, steps=14)
        run = self.run_on("among", bad, *options, "--resume", steps=38)
        self.assertIn("what is trained goes back to step 14, for time 1 of at most 2", self.said)
        self.assertIn("what is trained goes back to step 8, for time 2 of at most 2", self.said)
        self.assertIsNotNone(losses(run)[38])

    def test_killed_after_it_went_back(self):
        """Before there is a checkpoint of that."""
        options = sets(train__checkpoint_every=25, train__rollbacks=1)
        whole = self.run_on("alive", range(27, 37), *options, steps=47)
        run = self.folder / "killed"
        process = self.start("train", infinite(self), *COMMON, *self.source(range(27, 37)), *options, *sets(train__output=run, train__steps=47))
        self.wait_for_step(run, 37, process)
        process.kill()
        process.communicate()
        self.assertEqual(checkpoints(run), ["step_25"])
        self.run_on("killed", range(27, 37), *options, "--resume", steps=47)
        self.assertIn("goes back to step 25", self.said)
        self.assert_same_run(whole, run)

    def test_without_any_checkpoint(self):
        """Refused before anything is loaded."""
        options = sets(train__rollbacks=1, train__steps=40, train__checkpoint_every=40)
        for said in (self.call("validate", self.config, *options, code=2).stderr, self.train(self.folder / "refused", *options, code=2).stderr):
            self.assertIn("train.rollbacks has no effect with train.checkpoint_every = 40 and train.steps = 40", said)
        self.call("validate", self.config, *options, *sets(train__keep_minutes=1))

    def test_not_to_the_last_step_that_learnt(self):
        """Its checkpoint has the values that gave nothing finite."""
        self.check_goes_back("before", 9, 4)

    def test_goes_on_after_a_stop(self):
        """The same run, and its counts."""
        options = sets(train__rollbacks=1)
        whole = self.run_on("whole", range(11, 21), *options, steps=24)
        self.run_on("resumed", range(11, 21), *options, steps=22)
        run = self.run_on("resumed", range(11, 21), *options, "--resume", steps=24)
        self.assert_same_run(whole, run)
        self.assertEqual(records(run / "metrics.jsonl")[-1]["train/rollbacks"], 1)

    def test_no_more_often_than_allowed(self):
        """Each time to an earlier step, if nothing was learnt since."""
        run = self.run_on("bound", range(11, 47), *sets(train__rollbacks=2), steps=47, code=3)
        self.assertIn("goes back to step 8, for time 1 of at most 2", self.said)
        self.assertIn("goes back to step 4, for time 2 of at most 2", self.said)
        self.assertIn("30 steps in a row had no finite gradient; the last one held the samples ", self.said)
        self.assertIn("the run has gone back 2 times (train.rollbacks)", self.said)
        self.assertEqual(max(losses(run)), 39)

    def test_nowhere_to_go_back_to(self):
        self.run_on("nowhere", range(3, 13), *sets(train__rollbacks=1), steps=20, code=3)
        self.assertIn("there is no checkpoint of before step 2 to go back to (train.rollbacks)", self.said)
        self.assertIn("a smaller train.checkpoint_every or a larger train.keep_checkpoints", self.said)

    def test_not_unless_asked_to(self):
        self.run_on("stays", range(11, 21), steps=24, code=3)
        self.assertNotIn("goes back", self.said)


if __name__ == "__main__":
    main()
