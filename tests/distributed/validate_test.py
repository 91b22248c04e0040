"""What `antiphon validate` says of several processes, without starting any."""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from together import Together, experts
from harness import main, sets


class Validate(Together):
    def validate(self, *args, config=None, code=0):
        done = self.call("validate", config or self.config, *args, code=code)
        return done.stdout + done.stderr

    def test_all_problems_at_once(self):
        text = self.validate(*sets(parallel__tensor=3, parallel__pipeline=2, parallel__layers_per_stage="[1, 2]", parallel__fsdp=2, parallel__expert=2, parallel__schedule='"zero_bubble"', train__accumulate=3), code=2)
        for words in ("parallel.tensor = 3 does not divide the 4 heads and 2 key and value heads", "deals out 3 layers, and the model has 2", "parallel.expert divides experts",
                      "train.accumulate = 3 batches a step are not divided by the 4 groups", "parallel.reshard gives each block's gradients away"):
            self.assertIn(words, text)

    def test_what_each_has(self):
        """Counted from what a process of each stage and slice would keep."""
        self.assertNotIn("processes (", self.validate(*sets(parallel__replicate=1)))
        self.assertIn("by 2 processes (parallel.replicate = 2, parallel.fsdp = 1): at most", self.validate(*sets(parallel__replicate=2, train__accumulate=2)))
        text = self.validate(*sets(parallel__tensor=2, parallel__pipeline=2, train__accumulate=2))
        self.assertIn("by 4 processes (parallel.replicate = 1, parallel.fsdp = 1 times parallel.pipeline = 2 times parallel.tensor = 2): at most", text)
        text = self.validate(*sets(parallel__expert=4, train__accumulate=4), config=experts(self))
        self.assertIn("by 4 processes (parallel.replicate = 1, parallel.fsdp = 1 times parallel.expert = 4): at most", text)

    def test_too_many(self):
        text = self.validate(*sets(parallel__replicate=65536, parallel__fsdp=2048, parallel__tensor=2048), code=2)
        self.assertIn("would be 274877906944 processes", text)
        text = self.validate(*sets(parallel__fsdp=2048, parallel__pipeline=2, parallel__reshard="false", train__accumulate=2048), code=2)
        self.assertIn("4096 processes would write a checkpoint of as many files; at most 2048", text)


if __name__ == "__main__":
    main()
