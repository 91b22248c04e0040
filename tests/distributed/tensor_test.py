"""Processes that compute each batch together train what one process trains."""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from together import ALL, CONFORMER, METHODS, Together
from harness import losses, main, make_tiny, sets


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

    def test_other_methods(self):
        """Scales of cut outputs and inputs, adapters behind sums and beside sublayers, virtual tokens, the part's own parameters, cut tables."""
        text = f'plugin = "prompt_tuning"\ntokens = 3\ninit = "text"\ninit_text = "red"\ntokenizer = "{self.folder}/models/llama"'
        self.compare_methods(vera='plugin = "vera"\nrank = 16\ndropout = 0.1\ntargets = ["q_proj", "v_proj", "down_proj"]', from_text=text,
                             scaled_outputs='plugin = "ia3"\ntargets = ["q_proj", "o_proj", "up_proj"]\nfeedforward = ["up_proj"]')
        several = 'plugin = "lora"\nrank = 4\ntargets = ["o_proj"]\n\n[[model.llm.peft]]\nplugin = "adapters"\nnorm = "post"\n\n[[model.llm.peft]]\nplugin = "adapters"\n'
        self.compare("several", config=self.edited("several", ('plugin = "lora"\nrank = 4\nalpha = 8\ndropout = 0.1\ntargets = ["q_proj", "v_proj", "down_proj"]\n', several)), counts=(2,))

    def test_quantized_base(self):
        """Each process keeps its parts so, with the same values: scales are those of 32 inputs."""
        wide = self.drawn("wide", 2, vocab_size=(make_tiny.vocab_size() + 31) // 32 * 32, hidden_size=64, intermediate_size=128, num_kv_heads=4, tie_embeddings=True)
        for weights in ("int8", "int4"):
            self.compare(weights, *sets(precision__weights=f'"{weights}"'), config=wide, counts=(2,))
        wide = self.drawn("wide_nf4", 2, hidden_size=128, intermediate_size=128, num_kv_heads=4)
        self.compare("nf4", *sets(precision__weights='"nf4"'), config=wide, counts=(2,))
        _, done = self.run_with("narrow_nf4", 2, *sets(precision__weights='"nf4"'), config=self.drawn("less_wide", 2, hidden_size=64, intermediate_size=128), code=2)
        self.assertIn("o_proj.weight that parallel.tensor gives to a process is 64 x 32; expected multiples of 1 and 64", done.stderr)
        _, done = self.run_with("narrow", 2, *sets(precision__weights='"int8"'), code=2)
        self.assertIn("layers.0.self_attn.k_proj.weight that parallel.tensor gives to a process is 8 x 32; expected multiples of 16 and 32", done.stderr)

    def test_fp8(self):
        """Scales are those of the whole, so that at first only a few values differ: those that the sums before round elsewhere."""
        wide = self.drawn("wide_fp8", 2, hidden_size=64, intermediate_size=96, num_kv_heads=4)
        plain, _ = self.run_with("fp8_without", 1, config=wide)
        one, _ = self.run_with("fp8_1", 1, *sets(precision__linear='"fp8"'), config=wide)
        own = abs(losses(plain)[1] - losses(one)[1])
        self.assertGreater(own, 1e-4)
        for name, mesh in (("parts", []), ("contexts", sets(parallel__tensor=1, parallel__context=2))):
            with self.subTest(name):
                two, _ = self.run_with(f"fp8_{name}", 2, *sets(precision__linear='"fp8"'), *mesh, config=wide)
                self.assertLess(abs(losses(one)[1] - losses(two)[1]), own / 5)

    def test_starts_and_lengths_of_rows(self):
        """What is drawn is drawn for whole layers; DoRA's rows have their lengths over all inputs."""
        lora = 'dropout = 0.1\ntargets = ["q_proj", "v_proj", "down_proj"]'
        for name, options in (("dora", 'dora = true\ndropout = 0.1'), ("gaussian", 'init = "gaussian"'), ("orthogonal", 'init = "orthogonal"\ndora = true')):
            self.compare(f"start_{name}", config=self.edited(name, (lora, options + '\ntargets = ["q_proj", "o_proj", "down_proj"]')), counts=(2,))

    def test_starts_from_whole_weights(self):
        """The singular values are those of a whole matrix, of which each process has a part; checkpoints have each part of the start once."""
        lora = 'dropout = 0.1\ntargets = ["q_proj", "v_proj", "down_proj"]'
        config = self.edited("pissa", (lora, 'init = "pissa"\ntargets = ["q_proj", "o_proj", "down_proj"]'))
        one = self.compare("whole_start", config=config, counts=(2,))
        for name, mesh in (("shards", sets(parallel__fsdp=2)), ("contexts", sets(parallel__context=2))):
            with self.subTest(name):
                four, _ = self.run_with(f"whole_start_{name}", 4, *mesh, config=config)
                self.assert_same_training(one, four)

    def test_drawn_weights(self):
        """A language model without weights begins as one process draws it."""
        self.compare("drawn", *ALL, config=self.drawn("drawn", 2), counts=(2,))

    def test_fewer_key_and_value_heads(self):
        """Than processes: each is in several, whose gradients of it are added up. Also cut up, in contexts, and before sequences."""
        few, config = sets(train__steps=4), self.drawn("one_head", 2, num_kv_heads=1)
        one = self.compare("one_head", *ALL, *few, config=config, counts=(2,))
        for name, mesh in (("four", sets(parallel__tensor=4)), ("shards", sets(parallel__fsdp=2)), ("contexts", sets(parallel__context=2))):
            with self.subTest(name):
                many, _ = self.run_with(f"one_head_{name}", 4, *ALL, *few, *mesh, config=config)
                self.assert_same_training(one, many)
        adapted = self.drawn("adapted", 2)  # two heads for four processes
        text = adapted.read_text()
        lora = text[text.index('plugin = "lora"') : text.index("[model.streams.image]")]
        for name, table in (("prefix", METHODS["prefix_tuning"]), ("rows", METHODS["dora"].replace('"q_proj"', '"k_proj"'))):
            with self.subTest(name):
                adapted.write_text(text.replace(lora, table + "\n\n"))
                one, _ = self.run_with(f"heads_{name}", 1, *few, config=adapted)
                four, _ = self.run_with(f"heads_{name}_four", 4, *few, *sets(parallel__tensor=4), config=adapted)
                self.assert_same_training(one, four)

    def test_bf16(self):
        self.compare_in_bf16()

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
        constant = sets(train__steps=12, train__schedule__name='"constant"')
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
        _, done = self.run_with("refused", 2, *sets(parallel__tensor=3), code=2)
        self.assertIn("times parallel.tensor = 3 is not the number of processes, 2", done.stderr)
        lora = 'plugin = "lora"\nrank = 4\nalpha = 8\ndropout = 0.1\ntargets = ["q_proj", "v_proj", "down_proj"]\n'
        for name, table, words in (("adapters", 'plugin = "adapters"\ntargets = ["q_proj"]\n', "an adapter of this kind on such a layer is not divided by parallel.tensor"),
                                   ("narrow", 'plugin = "parallel_adapters"\nbottleneck = 1\n', "bottleneck = 1 is less than parallel.tensor"),
                                   ("order", 'plugin = "adapters"\n\n[[model.llm.peft]]\nplugin = "lora"\ntargets = ["o_proj"]\n', "an adapter of its inputs over one of its outputs")):
            with self.subTest(name):
                _, done = self.run_with(name, 2, config=self.edited(name, (lora, table)), code=2)
                self.assertIn(words, done.stderr)


if __name__ == "__main__":
    main()
