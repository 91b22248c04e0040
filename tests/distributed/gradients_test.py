"""Each parameter's gradient in the first step: on every axis, and on triples of axes, what one process has."""

import os
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from gradients import OfGradients
from together import ALL, experts
from harness import main

AXES = ("replicate", "fsdp", "pipeline", "context", "tensor")
TRIPLES = (("tensor", "pipeline", "fsdp"), ("tensor", "context", "fsdp"), ("pipeline", "context", "replicate"), ("tensor", "context", "pipeline"), ("pipeline", "fsdp", "replicate"))
OF_EXPERTS = (("expert", "tensor", "replicate"), ("expert", "context", "fsdp"), ("expert", "tensor", "pipeline"))
LONG = unittest.skipUnless(os.environ.get("ANTIPHON_LONG"), "eight processes take long; ANTIPHON_LONG=1 runs them")


class Gradients(OfGradients):
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
