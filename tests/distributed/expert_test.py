"""Processes that divide the experts of a model among them train what one process trains."""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from together import METHODS, Together, experts, limited_experts
from harness import losses, main, records, sets

LORA = '\n[[model.llm.peft]]\nplugin = "lora"\nrank = 4\nalpha = 8\ntargets = ["q_proj", "up_proj", "down_proj"]\n\n'


class Expert(Together):
    MESH = sets(parallel__expert=2)

    def frozen(self, name, adapters=LORA):
        """Adapters on a frozen model; a file."""
        text = experts(self).read_text()
        start = text.index("[model.streams.image]")
        path = self.folder / f"{name}.toml"
        path.write_text(text[:start].replace("trainable = true", "trainable = false") + adapters + text[start:])
        return path

    def test_experts(self):
        """With the load-balancing loss; by 2 processes, and by 4 in two blocks."""
        self.compare("experts", config=experts(self))

    def test_capacity(self):
        """What exceeds an expert's capacity is dropped alike, whoever has the tokens and the expert; nothing is in an evaluation."""
        one = self.compare("limited", config=limited_experts(self), counts=(2,))
        metrics = records(one / "metrics.jsonl")
        self.assertTrue(all(0.05 < r["moe/dropped"] < 0.9 and r["moe/router_z"] > 0 for r in metrics))
        for name, mesh in (("parts", sets(parallel__tensor=2)), ("contexts", sets(parallel__context=2))):
            with self.subTest(name):
                two, _ = self.run_with(f"limited_{name}", 2, *sets(parallel__expert=1), *mesh, config=limited_experts(self))
                self.assert_same_training(one, two)
                self.assertEqual([r["moe/dropped"] for r in metrics], [r["moe/dropped"] for r in records(two / "metrics.jsonl")])

    def test_adapters_on_experts(self):
        self.compare("adapters", config=self.frozen("adapters"), counts=(2,))

    def test_adapters_on_one_expert(self):
        """Nothing else is trained, so that one process has nothing to learn; its tokens go through the other's all the same."""
        one = LORA.replace('["q_proj", "up_proj", "down_proj"]', '["*.experts.3.up_proj"]')
        fixed = sets(model__streams__image__connector__trainable="false", model__streams__audio__connector__trainable="false")
        for name, mesh in (("axis", []), ("context", sets(parallel__expert=1, parallel__context=2))):
            with self.subTest(name):
                config = self.frozen(f"one_{name}", one)
                alone, _ = self.run_with(f"one_{name}_1", 1, *fixed, config=config)
                two, _ = self.run_with(f"one_{name}_2", 2, *fixed, *mesh, config=config)
                self.assert_same_training(alone, two)

    def test_other_methods(self):
        """Beside experts, and on them."""
        for name, table in METHODS.items():
            with self.subTest(name):
                self.compare(f"method_{name}", config=self.frozen(name, f"\n[[model.llm.peft]]\n{table}\n\n"), counts=(2,))

    def wide(self, config):
        """With sizes that few bits need; a file."""
        return self.edited(f"wide_{config.stem}", ("\nhidden_size = 32", "\nhidden_size = 64"), ("moe_intermediate_size = 16", "moe_intermediate_size = 32"),
                           ("\nintermediate_size = 48", "\nintermediate_size = 96"), config=config)

    def test_quantized_base(self):
        self.compare("int8", *sets(precision__weights='"int8"'), config=self.wide(self.frozen("int8")), counts=(2,))

    def test_fp8(self):
        """A scale is that of all tokens of an expert, which come from two batches here."""
        config = self.wide(experts(self))
        plain, one, two = (self.run_with(name, processes, *args, config=config)[0]
                           for name, processes, args in (("plain", 1, []), ("fp8_1", 1, sets(precision__linear='"fp8"')), ("fp8_2", 2, sets(precision__linear='"fp8"'))))
        own = abs(losses(plain)[1] - losses(one)[1])
        self.assertGreater(own, 1e-4)
        self.assertLess(abs(losses(one)[1] - losses(two)[1]), own / 5)

    def test_dropout_of_adapters_on_experts(self):
        """Masks are others than one process's, and the same in every run."""
        config = self.frozen("dropout", LORA.replace("alpha = 8", "alpha = 8\ndropout = 0.2"))
        runs = [self.run_with(f"dropout_{i}", 2, config=config)[0] for i in range(2)]
        self.assertEqual(losses(runs[0]), losses(runs[1]))

    def test_what_is_written(self):
        """Adapters of all experts, whoever has trained them."""
        from safetensors.numpy import load_file

        config = self.frozen("written")
        one, two = (load_file(next((self.run_with(f"written_{n}", n, config=config)[0] / "adapter").glob("*.safetensors"))) for n in (1, 2))
        self.assertEqual(one.keys(), two.keys())
        of_experts = [key for key in one if ".experts." in key]  # two tables in each of two layers
        self.assertEqual(len(of_experts), 2 * 2 * 2, of_experts)
        self.assertTrue(all(one[key].shape["lora_B" in key] % 4 == 0 for key in of_experts), {key: one[key].shape for key in of_experts})
        for key, value in one.items():
            self.assertLessEqual(abs(value - two[key]).max(), 1e-3 * abs(value).max() + 1e-6, key)

    def test_bf16(self):
        one, _ = self.run_with("bf16_1", 1, *sets(precision__compute="bf16"), config=experts(self))
        two, _ = self.run_with("bf16_2", 2, *sets(precision__compute="bf16"), config=experts(self))
        for step, loss in losses(one).items():
            self.assertAlmostEqual(loss, losses(two)[step], delta=1e-2 * loss, msg=f"step {step}")

    def test_recomputed(self):
        self.compare("recomputed", *sets(train__recompute='"full"'), config=experts(self), counts=(2,))

    def test_only_connectors(self):
        """Not every batch has media, and tokens of all go through the experts of each."""
        text = self.frozen("connectors").read_text()
        path = self.folder / "connectors.toml"
        path.write_text(text.replace(LORA, ""))
        self.compare("connectors", config=path, counts=(2, 4))

    def test_beside_other_axes(self):
        """By 4 processes: experts among the parts or contexts of two cells, and each expert cut up; and without an axis of their own."""
        config = experts(self)
        one, _ = self.run_with("axes_1", 1, config=config)
        tensor, context, fsdp = sets(parallel__tensor=2), sets(parallel__context=2), sets(parallel__fsdp=2)
        axes = {"tensor": tensor, "context": context, "fsdp": fsdp, "fsdp between": [*fsdp, *sets(parallel__reshard="false")],
                "parts alone": [*sets(parallel__expert=1), *tensor], "both alone": [*sets(parallel__expert=1), *tensor, *context]}
        for name, mesh in axes.items():
            with self.subTest(name):
                four, _ = self.run_with(name.replace(" ", "_"), 4, *mesh, config=config)
                self.assert_same_training(one, four)

    def test_stages(self):
        """Of a model without the load-balancing loss."""
        path = self.folder / "unbalanced.toml"
        path.write_text(experts(self).read_text().replace("output_router_logits = true", "output_router_logits = false"))
        one, _ = self.run_with("stages_1", 1, config=path)
        four, _ = self.run_with("stages_4", 4, *sets(parallel__pipeline=2), config=path)
        self.assert_same_training(one, four)

    def test_resumed_on_other_meshes(self):
        constant = sets(train__steps=12, train__schedule__name='"constant"')
        self.config = experts(self)
        whole, _ = self.run_with("whole", 1, *constant)
        stations = ((3, 2, 2, 1), (5, 1, 1, 1), (8, 4, 4, 1), (10, 4, 2, 2), (12, 2, 1, 2))
        run = self.hand_on([(steps, processes, sets(parallel__expert=expert, parallel__tensor=tensor)) for steps, processes, expert, tensor in stations], *constant)
        self.assert_same_progress(whole, run)
        self.assert_close(whole, run, 2e-5)

    def test_held_out_losses(self):
        """Of samples that a block measures together."""
        self.config = experts(self)
        self.compare_held_out(1e-4, counts=(2, 4))

    def test_what_cannot_be_divided(self):
        _, done = self.run_with("dense", 2, code=2)
        self.assertIn("parallel.expert divides experts, and the language model has none", done.stderr)
        _, done = self.run_with("many", 8, *sets(parallel__expert=8, train__accumulate=8), config=experts(self), code=2)
        self.assertIn("8 processes share the 4 experts of a layer", done.stderr)


if __name__ == "__main__":
    main()
