"""Each parameter's gradient in the first step: on every axis, and on triples of axes, what one process has. With momentum alone, which begins as the
gradient, and without clipping: a norm would hide which parameter is wrong, and an update how large its gradient is."""

import os
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from together import ALL, Together, experts, tensors
from harness import main, records, sets

STEP = sets(train__steps=1, train__accumulate=8, train__clip_norm=0, train__optimizer='{name="sgd",lr=0.01}')
AXES = ("replicate", "fsdp", "pipeline", "context", "tensor")
TRIPLES = (("tensor", "pipeline", "fsdp"), ("tensor", "context", "fsdp"), ("pipeline", "context", "replicate"), ("tensor", "context", "pipeline"), ("pipeline", "fsdp", "replicate"))
OF_EXPERTS = (("expert", "tensor", "replicate"), ("expert", "context", "fsdp"), ("expert", "tensor", "pipeline"))
LONG = unittest.skipUnless(os.environ.get("ANTIPHON_LONG"), "eight processes take long; ANTIPHON_LONG=1 runs them")


def mesh(axes):
    return sets(**{f"parallel__{axis}": 2 for axis in axes if axis != "replicate"})


class Gradients(Together):
    def gradients(self, name, processes, *args, config=None):
        run, _ = self.run_with(name.replace(" ", "_"), processes, *args, *STEP, config=config)
        return {key.removesuffix("#momentum"): value for key, value in tensors(run, "state").items()}, records(run / "metrics.jsonl")[0]["train/loss"]

    def compare_gradients(self, what, meshes, *args, config=None):
        """`meshes`: axes, of two processes each."""
        one, loss = self.gradients(f"{what} one", 1, *args, config=config)
        most = max(abs(value).max() for value in one.values())
        for axes in meshes:
            with self.subTest(f"{what}, {' x '.join(axes)}"):
                many, other = self.gradients(f"{what} {' '.join(axes)}", 2 ** len(axes), *args, *mesh(axes), config=config)
                self.assertAlmostEqual(loss, other, delta=1e-6 * loss)
                self.assertEqual(one.keys(), many.keys())
                for name, value in one.items():
                    # The second: biases before a softmax have no gradient but what rounding leaves.
                    self.assertLessEqual(abs(value - many[name]).max(), 3e-6 * abs(value).max() + 1e-8 * most, name)

    def test_axes(self):
        self.compare_gradients("all", [(axis,) for axis in AXES], *ALL)
        self.compare_gradients("experts", [("expert",)], config=experts(self))

    @LONG
    def test_triples(self):
        """Everything trained, and adapters of which both factors have a gradient."""
        self.compare_gradients("all", TRIPLES, *ALL, config=self.drawn("four", 4, tie_embeddings=True))
        self.compare_gradients("lora", TRIPLES, config=self.edited("orthogonal", ("alpha = 8\n", 'alpha = 8\ninit = "orthogonal"\n')))

    @LONG
    def test_triples_of_experts(self):
        self.compare_gradients("experts", OF_EXPERTS, config=experts(self))


if __name__ == "__main__":
    main()
