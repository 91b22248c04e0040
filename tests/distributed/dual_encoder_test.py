"""Dual encoders, whose loss compares the pairs of all processes: as on one process."""
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from together import Together
from harness import losses, main, records, sets
import tiny_dual


class DualEncoder(Together):
    OBJECTIVE = "contrastive"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.config = tiny_dual.config_of_pairs(cls.config, cls.folder, cls.write, cls.OBJECTIVE)

    @staticmethod
    def write(folder):
        tiny_dual.write_clip_model(folder)

    def run_with(self, name, processes, *args, config=None, code=0):
        return super().run_with(name, processes, *sets(train__steps=4, train__eval_every=2, train__optimizer__eps=1e-4), *args, config=config, code=code)

    def same(self, one, many):
        for step, loss in losses(one).items():
            self.assertAlmostEqual(losses(many)[step], loss, delta=1e-4 * loss)
        for left, right in zip(records(one / "metrics.jsonl"), records(many / "metrics.jsonl"), strict=True):
            for key in left:
                if key.startswith(("eval/held/", "train/media", "train/text", "train/scale")):
                    self.assertAlmostEqual(left[key], right[key], delta=1e-3 * abs(left[key]) + 1e-6, msg=key)
            self.assertAlmostEqual(left["train/gradient_norm"], right["train/gradient_norm"], delta=1e-3 * left["train/gradient_norm"])

    def test_processes_compare_all_pairs(self):
        """A batch for each process, whose rows are gathered, and two for each, which are computed twice."""
        for name, accumulate in (("gathered", 2), ("twice", 4)):
            options = sets(train__accumulate=accumulate, train__tokens_per_batch=128)
            one, _ = self.run_with(f"{name}_one", 1, *options)
            for mesh, processes, more in (("replicate", 2, ()), ("fsdp", 2, sets(parallel__fsdp=2)), ("tensor", 2, sets(parallel__tensor=2)), ("cells", 4, sets(parallel__tensor=2))):
                with self.subTest(f"{name}, {mesh}"):
                    many, _ = self.run_with(f"{name}_{mesh}", processes, *options, *more)
                    self.same(one, many)

    def test_one_batch_in_parts(self):
        """Whose rows are computed once; the encoder is frozen, and each process encodes some of the pictures."""
        options = sets(train__accumulate=1, train__tokens_per_batch=128, model__streams__image__encoder__trainable="false")
        one, _ = self.run_with("part_one", 1, *options)
        two, _ = self.run_with("part_two", 2, *options, *sets(parallel__tensor=2))
        self.same(one, two)

    def test_what_cannot_be_divided(self):
        """It is said why, and by what it can be."""
        for axis, why, fix in (("context", "divides long texts", "parallel.tensor divides the text tower"), ("pipeline", "hands on the text tower's states alone", "parallel.fsdp divides what is trained"),
                               ("expert", "has no experts", "parallel.fsdp or more copies")):
            with self.subTest(axis):
                _, done = self.run_with(f"no_{axis}", 2, *sets(**{f"parallel__{axis}": 2}), code=2)
                self.assertIn(f'model.graph = "dual_encoder" is not divided by parallel.{axis}: ', done.stderr)
                self.assertIn(why, done.stderr)
                self.assertIn(f"fix: set parallel.{axis} = 1; {fix}", done.stderr)
                self.assertNotIn("started again", done.stderr)
        _, done = self.run_with("heads", 4, *sets(parallel__tensor=4), code=2)
        self.assertIn("parallel.tensor = 4 does not divide the 2 heads", done.stderr)


class Sigmoid(DualEncoder):
    OBJECTIVE = "sigmoid_pairs"
    test_what_cannot_be_divided = None

    @staticmethod
    def write(folder):
        tiny_dual.write_siglip_model(folder)


if __name__ == "__main__":
    main()
