"""Processes that compute each batch together train what one process trains."""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from together import ALL, CONFORMER, Together
from harness import main, sets


class Tensor(Together):
    MESH = sets(parallel__tensor=2)

    def test_lora(self):
        """With dropout, on outputs (q, v) and inputs (down); by 2 processes, and by 4 of which two compute each batch."""
        self.compare("lora")

    def test_everything_trained(self):
        self.compare("all", *ALL)

    def test_smoothed(self):
        """The mean of all logits and their normalizer are those of the whole vocabulary."""
        self.compare("smoothed", *ALL, *sets(train__label_smoothing=0.1, train__z_loss=0.001), counts=(2,))

    def test_averages(self):
        self.compare_averages()

    def test_cut_up_as_well(self):
        """By 4 processes of which two compute each batch, and each part is cut up among two."""
        self.compare_axes({"reshard": sets(parallel__fsdp=2), "between": sets(parallel__fsdp=2, parallel__reshard="false")})

    def test_batch_statistics(self):
        """Of a connector that runs in the first process of a cell."""
        self.compare("conformer", config=self.edited("conformer", CONFORMER))

    def test_prompts(self):
        lora = self.config.read_text()
        lora = lora[lora.index('plugin = "lora"') : lora.index("[model.streams.image]")]
        self.compare("prompts", config=self.edited("prompts", (lora, 'plugin = "ptuning"\ntokens = 3\n\n')), counts=(2,))
        _, done = self.run_with("prefix", 2, config=self.edited("prefix", (lora, 'plugin = "prefix_tuning"\ntokens = 3\n\n')), code=2)
        self.assertIn("heads (parallel.tensor)", done.stderr)

    def test_lengths_of_rows(self):
        """DoRA where outputs are cut; where inputs are, no process has whole rows."""
        of = lambda targets: self.edited("dora", ('dropout = 0.1\ntargets = ["q_proj", "v_proj", "down_proj"]', f'dora = true\ndropout = 0.1\ntargets = {targets}'))
        self.compare("dora", config=of('["q_proj", "v_proj", "up_proj"]'), counts=(2,))
        _, done = self.run_with("dora_inputs", 2, config=of('["down_proj"]'), code=2)
        self.assertIn("an adapter of this kind is not divided by parallel.tensor", done.stderr)

    def test_drawn_weights(self):
        """A language model without weights begins as one process draws it."""
        self.compare("drawn", *ALL, config=self.drawn("drawn", 2), counts=(2,))

    def test_bad_samples(self):
        self.compare_bad_samples()

    def test_one_is_asked_to_stop(self):
        self.compare_stopped()

    def test_recomputed(self):
        for name, args in (("all", ALL), ("lora", [])):
            with self.subTest(name):
                self.compare(f"recompute_{name}", *args, *sets(train__recompute='"full"'), counts=(2,))

    def test_only_connectors(self):
        """Rows of media come from one process; all go through the backward pass."""
        self.compare("connectors", config=self.connectors_only(), counts=(2,))

    def test_resumed_on_other_meshes(self):
        constant = sets(train__schedule__name='"constant"')
        whole, _ = self.run_with("whole", 1, *ALL, *constant)
        stations = ((3, 2, 2, 1), (5, 2, 1, 2), (7, 4, 2, 2), (8, 1, 1, 1), (10, 4, 2, 1), (12, 2, 1, 1))
        run = self.hand_on([(steps, processes, sets(parallel__tensor=tensor, parallel__fsdp=fsdp)) for steps, processes, tensor, fsdp in stations], *ALL, *constant)
        self.assert_same_progress(whole, run)
        self.assert_close(whole, run, 2e-5)

    def test_what_is_written_can_be_used(self):
        self.compare_what_is_written()

    def test_held_out_losses(self):
        self.compare_held_out(1e-4, *sets(eval__batch_size=1), counts=(2, 4))

    def test_what_cannot_be_divided(self):
        for args, words in ((sets(parallel__tensor=3), "times parallel.tensor = 3 is not the number of processes, 2"),
                            (sets(train__optimizer__name='"muon"'), 'train.optimizer.name = "muon" needs whole matrices, and parallel.tensor = 2 cuts them up')):
            _, done = self.run_with("refused", 2, *args, code=2)
            self.assertIn(words, done.stderr)
        path = self.edited("ia3", ('plugin = "lora"\nrank = 4\nalpha = 8\ndropout = 0.1\n', 'plugin = "ia3"\n'))
        _, done = self.run_with("ia3", 2, config=path, code=2)
        self.assertIn("an adapter of this kind is not divided by parallel.tensor", done.stderr)


if __name__ == "__main__":
    main()
