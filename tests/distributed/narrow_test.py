"""Parameters in bf16 whose updates are rounded by chance: the same random bits whoever has which part of them."""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from together import Together, experts, tensors
from harness import losses, main, sets

NARROW = sets(model__llm__trainable="true", precision__trained="bf16", train__steps=4, train__accumulate=2, train__clip_norm=0)
BETWEEN = sets(parallel__reshard="false")


class Narrow(Together):
    def one(self, name, **options):
        return self.run_with(name, 1, *NARROW, **options)[0]

    def test_cut_up(self):
        """With a batch each, two processes add up what one does: to the bit."""
        one = self.one("one")
        for name, mesh in (("fsdp", sets(parallel__fsdp=2)), ("between", [*sets(parallel__fsdp=2), *BETWEEN]), ("copies", [])):
            with self.subTest(name):
                two, _ = self.run_with(name, 2, *NARROW, *mesh)
                self.assertEqual(losses(one), losses(two))
                for kind in ("parameters", "state"):
                    left, right = tensors(one, kind), tensors(two, kind)
                    self.assertEqual(left.keys(), right.keys())
                    for key, value in left.items():
                        self.assertTrue((value == right[key]).all(), key)

    def assert_almost_the_same(self, one, many, share=0.03, beyond=2e-4):
        """Sums that are rounded otherwise let a few values fall on the other side; with other random bits half of them would differ. `share`: of values, how
        many may; `beyond`: three steps of bf16, by how much."""
        import numpy

        for step, loss in losses(one).items():
            self.assertAlmostEqual(loss, losses(many)[step], delta=5e-3 * loss)
        left, right, differ, all_values = tensors(one), tensors(many), 0, 0
        self.assertEqual(left.keys(), right.keys())
        for key, value in left.items():
            if not key.startswith("llm/") or value.ndim < 2:
                continue
            differ += (value != right[key]).sum()
            all_values += value.size
            step = 2.0**-7 * numpy.maximum(abs(value), abs(right[key]))
            self.assertLessEqual((abs(value - right[key]) - 3 * step).max(), beyond, key)
        self.assertGreater(all_values, 10000)
        self.assertLessEqual(differ, share * all_values)

    def test_divided(self):
        one = self.one("one_whole")
        for name, processes, mesh in (("tensor", 2, sets(parallel__tensor=2)), ("pipeline", 2, sets(parallel__pipeline=2)), ("parts and shards", 4, sets(parallel__tensor=2, parallel__fsdp=2))):
            with self.subTest(name):
                many, _ = self.run_with(name, processes, *NARROW, *mesh)
                self.assert_almost_the_same(one, many)
        # Here gradients themselves are rounded to bf16 for each process's tokens, and then added up; AdamW's first updates are as large as its rate of 0.003
        # however small they are.
        many, _ = self.run_with("context", 2, *NARROW, *sets(parallel__context=2))
        self.assert_almost_the_same(one, many, share=1, beyond=1e-3)

    def test_experts(self):
        config = experts(self)
        one = self.one("one_experts", config=config)
        two, _ = self.run_with("two_experts", 2, *NARROW, *sets(parallel__expert=2), config=config)
        self.assert_almost_the_same(one, two, share=1)  # gradients of experts are rounded once, not for each batch

    def test_matrices_with_an_owner(self):
        muon = sets(train__optimizer='{name="muon",lr=0.001}')
        one, _ = self.run_with("one_muon", 1, *NARROW, *muon)
        two, _ = self.run_with("two_muon", 2, *NARROW, *muon, *sets(parallel__fsdp=2))
        self.assert_almost_the_same(one, two)

    def test_goes_on_on_another_mesh(self):
        """What is kept of it in pieces is read whole, and the other way round."""
        constant = sets(train__schedule__name='"constant"')
        whole, _ = self.run_with("whole", 1, *NARROW, *constant)
        run = self.folder / "handed_on"
        self.run_with("handed_on", 2, *NARROW, *constant, *sets(train__steps=2, parallel__fsdp=2))
        self.run_with("handed_on", 1, *NARROW, *constant, "--resume")
        for key, value in tensors(whole).items():
            self.assertTrue((value == tensors(run)[key]).all(), key)


if __name__ == "__main__":
    main()
