"""Each parameter's gradient in the first step, by one process and by several. With momentum alone, which begins as the gradient, and without
clipping: a norm would hide which parameter is wrong, and an update how large its gradient is."""

from together import Together, tensors
from harness import records, sets

STEP = sets(train__steps=1, train__accumulate=8, train__clip_norm=0, train__optimizer='{name="sgd",lr=0.01}')


def mesh(axes):
    return sets(**{f"parallel__{axis}": 2 for axis in axes if axis != "replicate"})


class OfGradients(Together):
    def gradients(self, name, processes, *args, config=None):
        run, _ = self.run_with(name.replace(" ", "_"), processes, *STEP, *args, config=config)
        return {key.removesuffix("#momentum"): value for key, value in tensors(run, "state").items()}, records(run / "metrics.jsonl")[0]["train/loss"]

    def compare_gradients(self, what, meshes, *args, config=None):
        """`meshes`: axes, of two processes each."""
        one, loss = self.gradients(f"{what} one", 1, *args, config=config)
        for axes in meshes:
            with self.subTest(f"{what}, {' x '.join(axes)}"):
                many, other = self.gradients(f"{what} {' '.join(axes)}", 2 ** len(axes), *args, *mesh(axes), config=config)
                self.assertAlmostEqual(loss, other, delta=1e-6 * loss)
                self.assert_same_gradients(one, many)
        return one

    def assert_same_gradients(self, one, many):
        most = max(abs(value).max() for value in one.values())
        self.assertEqual(one.keys(), many.keys())
        for name, value in one.items():
            # One process gives gradients that differ by up to 4.3e-6 of the largest (Gemma 3) between instruction sets, so less than that is rounding.
            # The second: biases before a softmax have no gradient but what rounding leaves.
            self.assertLessEqual(abs(value - many[name]).max(), 6e-6 * abs(value).max() + 1e-8 * most, name)
