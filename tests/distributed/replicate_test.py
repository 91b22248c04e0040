"""Several processes that share the batches of a step train what one process trains."""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from together import ALL, CONFORMER, Together, experts, tensors
from harness import main, records, sets


class Replicate(Together):
    def test_lora(self):
        self.compare("lora")

    def test_everything_trained(self):
        self.compare("all", *ALL)

    def test_batch_statistics(self):
        one = self.compare("conformer", config=self.edited("conformer", CONFORMER), counts=(2,))
        self.assertTrue(any("running_var" in name for name in tensors(one)))

    def test_experts(self):
        """With their load balance, of which each batch has its share."""
        path = experts(self)
        one = self.compare("experts", config=path, counts=(2,))
        balance = [record["moe/load_balance"] for record in records(one / "metrics.jsonl")]
        self.assertTrue(all(2 <= value < 2.5 for value in balance), balance)  # 2 of 4 experts for each token, evenly: 2
        again, _ = self.run_with("experts_again", 1, *sets(train__recompute='"full"'), config=path)
        self.assert_same_run(one, again)

    def test_two_batches_a_step_to_the_bit(self):
        """Two numbers have one sum, so nothing is rounded otherwise."""
        one, _ = self.run_with("bits_1", 1, *sets(train__accumulate=2))
        two, _ = self.run_with("bits_2", 2, *sets(train__accumulate=2))
        self.assert_same_run(one, two)
        again, _ = self.run_with("bits_again", 2, *sets(train__accumulate=2))
        self.assert_same_run(two, again)

    def test_narrow_formats_to_the_bit(self):
        """Scales of FP8 are those of a batch, which one process computes."""
        wide = self.drawn("wide", 2, hidden_size=64, intermediate_size=96, num_kv_heads=4)
        for name, args in {"bf16": [*ALL, *sets(precision__compute="bf16")], "fp8": [*ALL, *sets(precision__linear='"fp8"')], "int8": sets(precision__weights='"int8"')}.items():
            with self.subTest(name):
                one, two = (self.run_with(f"{name}_{processes}", processes, *args, *sets(train__accumulate=2), config=wide)[0] for processes in (1, 2))
                self.assert_same_run(one, two)

    def test_other_methods(self):
        self.compare_methods()

    def test_only_connectors(self):
        self.compare("connectors", config=self.connectors_only(), counts=(2,))

    def test_recomputed(self):
        """A trained encoder is called several times for a batch, and so are its blocks again."""
        args = [*ALL, *sets(train__accumulate=2, train__recompute='"full"')]
        one, _ = self.run_with("recompute_1", 1, *args)
        two, _ = self.run_with("recompute_2", 2, *args)
        self.assert_same_run(one, two)

    def test_resumed_by_another_number(self):
        """With samples that cannot be read."""
        options = [*sets(train__steps=12, train__schedule__name='"constant"'), *self.spoilt_source()]
        run = self.hand_on([(4, 4, []), (8, 1, []), (12, 2, [])], *options)
        constant, _ = self.run_with("constant", 1, *options)
        self.assert_same_progress(constant, run)
        self.assert_close(constant, run, 2e-5)

    def test_bad_samples(self):
        self.compare_bad_samples()

    def test_averages(self):
        self.compare_averages()

    def test_held_out_losses(self):
        self.compare_held_out(1e-5, *sets(train__accumulate=2))

    def test_what_cannot_be_shared(self):
        _, done = self.run_with("odd", 3, code=2)
        self.assertIn("3 processes cannot share 4 batches a step", done.stderr)
        self.assertIn("train.accumulate=6", done.stderr)
        _, done = self.run_with("three", 2, *sets(parallel__replicate=3), code=2)
        self.assertIn("parallel.replicate = 3 times parallel.fsdp = 1 is not the number of processes, 2", done.stderr)


if __name__ == "__main__":
    main()
