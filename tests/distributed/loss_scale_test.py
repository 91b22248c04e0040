"""fp16 in several processes: they agree on each overflow, on every mesh, and have the scales and losses of one process."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from together import ALL, Together, experts
from harness import losses, main, records, sets

SCALED = sets(precision__compute="fp16", precision__loss_scale__initial=2.0**30, precision__loss_scale__interval=2, train__steps=24)
MESHES = {"replicate": {}, "fsdp": {"parallel__fsdp": 2}, "pipeline": {"parallel__pipeline": 2}, "context": {"parallel__context": 2}, "tensor": {"parallel__tensor": 2}}


class LossScales(Together):
    def compared(self, one, many):
        for key in ("train/loss_scale", "train/overflows"):
            self.assertEqual(*([record[key] for record in records(run / "metrics.jsonl")] for run in (one, many)))
        self.assertGreater(records(one / "metrics.jsonl")[-1]["train/overflows"], 2)
        for step, loss in losses(one).items():
            self.assertAlmostEqual(losses(many)[step], loss, delta=5e-3 * loss, msg=f"step {step}")

    def test_meshes(self):
        one, _ = self.run_with("one", 1, *SCALED, *ALL)
        for name, mesh in MESHES.items():
            with self.subTest(name):
                self.compared(one, self.run_with(name, 2, *SCALED, *ALL, *sets(**mesh))[0])

    def test_experts(self):
        """Whose losses of the router have gradients of their own."""
        config = experts(self)
        one, _ = self.run_with("experts_1", 1, *SCALED, config=config)
        self.compared(one, self.run_with("experts_2", 2, *SCALED, *sets(parallel__expert=2), config=config)[0])
        wide, _ = self.run_with("experts_fp32", 1, *SCALED, *sets(precision__compute="fp32", train__steps=8), config=config)
        low, _ = self.run_with("experts_low", 1, *SCALED, *sets(precision__loss_scale__initial=1024, train__steps=8), config=config)
        for step, loss in losses(wide).items():
            self.assertAlmostEqual(losses(low)[step], loss, delta=5e-3 * loss, msg=f"step {step}")
        norms = [[record["train/gradient_norm"] for record in records(run / "metrics.jsonl")] for run in (wide, low)]
        for left, right in zip(*norms, strict=True):
            self.assertAlmostEqual(left, right, delta=0.03 * left)


if __name__ == "__main__":
    main()
