"""Processes that divide the tokens of each batch among them train what one process trains."""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from together import ALL, CONFORMER, Together
from harness import main, sets


class Context(Together):
    MESH = sets(parallel__context=2)

    def test_lora(self):
        """With dropout; by 2 processes, and by 4 of which two compute each batch."""
        self.compare("lora")

    def test_everything_trained(self):
        """By 4 processes, the two key and value heads are repeated."""
        one = self.compare("all", *ALL, counts=(2,))
        four, _ = self.run_with("four", 4, *ALL, *sets(parallel__context=4))
        self.assert_same_training(one, four)

    def test_beside_other_axes(self):
        """By 4 processes: two parts of each context, each context cut up among two, or two stages of contexts."""
        self.compare_axes({"tensor": sets(parallel__tensor=2), "fsdp": sets(parallel__fsdp=2), "pipeline": sets(parallel__pipeline=2)})

    def test_batch_statistics(self):
        self.compare("conformer", config=self.edited("conformer", CONFORMER), counts=(2,))

    def test_other_methods(self):
        self.compare_methods()

    def test_quantized_base(self):
        self.compare("int8", *sets(precision__weights='"int8"'), counts=(2,))

    def test_whole_matrices(self):
        self.compare("muon", *ALL, *sets(train__optimizer__name='"muon"'), counts=(2,))

    def test_bf16(self):
        self.compare_in_bf16()

    def test_bad_samples(self):
        self.compare_bad_samples()

    def test_recomputed(self):
        for name, args in (("all", ALL), ("lora", [])):
            with self.subTest(name):
                self.compare(f"recompute_{name}", *args, *sets(train__recompute='"full"'), counts=(2,))

    def test_only_connectors(self):
        self.compare("connectors", config=self.connectors_only(), counts=(2,))

    def test_few_supervised_tokens(self):
        """Of a short batch one process has none, and takes part in all of it."""
        self.compare("few", *sets(train__tokens_per_batch=24), counts=(2,))

    def test_resumed_on_other_meshes(self):
        constant = sets(train__steps=12, train__schedule__name='"constant"')
        whole, _ = self.run_with("whole", 1, *ALL, *constant)
        stations = ((3, 2, 2, 1), (5, 1, 1, 1), (8, 4, 2, 2), (10, 4, 4, 1), (12, 2, 1, 2))
        run = self.hand_on([(steps, processes, sets(parallel__context=context, parallel__tensor=tensor)) for steps, processes, context, tensor in stations], *ALL, *constant)
        self.assert_same_progress(whole, run)
        self.assert_close(whole, run, 2e-5)

    def test_held_out_losses(self):
        self.compare_held_out(1e-4, *sets(eval__batch_size=1), counts=(2, 4))

    def test_what_cannot_be_divided(self):
        _, done = self.run_with("heads", 3, *sets(parallel__context=3, train__accumulate=3), code=2)
        self.assertIn("parallel.context = 3 does not divide the 4 heads and 2 key and value heads", done.stderr)


if __name__ == "__main__":
    main()
