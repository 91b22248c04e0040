"""Several processes that share the batches of a step train what one process trains."""

import json
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

import make_tiny
from harness import DEVICE, Case, checkpoints, losses, main, records, sets

# A larger epsilon: with the usual one AdamW makes whole steps of what is only rounding.
COMMON = sets(train__steps=12, train__accumulate=4, train__tokens_per_batch=96, train__checkpoint_every=4, precision__compute="fp32", train__optimizer__eps=1e-5)
ALL = sets(model__llm__trainable="true", model__streams__image__encoder__trainable="true")  # each parameter
CONFORMER = '{ plugin = "frame_stack", factor = 5 }', '{ plugin = "conformer", hidden_size = 32, num_layers = 2, num_heads = 2, dropout = 0.1 }'


def tensors(run, file="parameters"):
    from safetensors.numpy import load_file

    return load_file(run / "checkpoints" / checkpoints(run)[0] / f"{file}.safetensors")


@unittest.skipIf(DEVICE, "processes exchange tensors of the CPU")
class Replicate(Case):
    TRAIN, HELD = 40, 6

    def run_with(self, name, processes, *args, config=None, code=0):
        run = self.folder / name
        verb = ("launch", config or self.config, "--procs", processes) if processes > 1 else ("train", config or self.config)
        done = self.call(*verb, *sets(train__output=run), *COMMON, *args, code=code)
        return run, done

    def assert_close(self, left, right, tolerance):
        self.assertEqual(losses(left).keys(), losses(right).keys())
        for step, loss in losses(left).items():
            self.assertAlmostEqual(loss, losses(right)[step], delta=tolerance * loss, msg=f"step {step}")
        # Biases before a softmax or a batch norm have no gradient but what rounding leaves.
        for file, rounding in (("parameters", 2e-5), ("state", 1e-8)):
            a, b = tensors(left, file), tensors(right, file)
            self.assertEqual(a.keys(), b.keys())
            for name, x in a.items():
                if x.dtype.kind == "f":
                    self.assertLessEqual(abs(x - b[name]).max(), 20 * tolerance * abs(x).max() + rounding, name)

    def assert_same_progress(self, left, right):
        def progress(run):
            value = json.loads((run / "checkpoints" / checkpoints(run)[0] / "progress.json").read_text())
            return {key: value[key] for key in ("step", "trained_tokens", "loader", "data", "draws")}
        self.assertEqual(progress(left), progress(right))

    def compare(self, name, *args, config=None, counts=(2, 4)):
        one, _ = self.run_with(f"{name}_1", 1, *args, config=config)
        for processes in counts:
            with self.subTest(processes=processes):
                many, _ = self.run_with(f"{name}_{processes}", processes, *args, config=config)
                self.assert_same_progress(one, many)
                self.assert_close(one, many, 2e-5)
                for left, right in zip(records(one / "metrics.jsonl"), records(many / "metrics.jsonl")):
                    for key in ("train/supervised_tokens", "train/samples", "train/bad_samples", "media/image", "media/audio"):
                        self.assertEqual(left[key], right[key], key)
                    # Beside the clipped update, which would hide that all gradients are twice as large.
                    self.assertAlmostEqual(left["train/gradient_norm"], right["train/gradient_norm"], delta=1e-4 * left["train/gradient_norm"])
        return one

    def test_lora(self):
        self.compare("lora")

    def test_everything_trained(self):
        self.compare("all", *ALL)

    def test_batch_statistics(self):
        text = self.config.read_text()
        self.assertIn(CONFORMER[0], text)
        path = self.folder / "conformer.toml"
        path.write_text(text.replace(*CONFORMER))
        one = self.compare("conformer", config=path, counts=(2,))
        self.assertTrue(any("running_var" in name for name in tensors(one)))

    def test_experts(self):
        """With their load balance, of which each batch has its share."""
        text = self.config.read_text()
        start, end = text.index("[model.llm]"), text.index("[model.streams.image]")
        llm = f"""[model.llm]
plugin = "qwen3_moe"
tokenizer = "{self.folder}/models/llama"
trainable = true
vocab_size = {make_tiny.vocab_size()}
hidden_size = 32
intermediate_size = 48
moe_intermediate_size = 16
num_layers = 3
num_heads = 4
num_kv_heads = 2
max_positions = 512
num_experts = 4
num_experts_per_tok = 2
mlp_only_layers = [0]
output_router_logits = true
router_aux_loss_coef = 0.5

"""
        path = self.folder / "experts.toml"
        path.write_text(text[:start] + llm + text[end:])
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

    def test_recomputed(self):
        """A trained encoder is called several times for a batch, and so are its blocks again."""
        args = [*ALL, *sets(train__accumulate=2, train__recompute='"full"')]
        one, _ = self.run_with("recompute_1", 1, *args)
        two, _ = self.run_with("recompute_2", 2, *args)
        self.assert_same_run(one, two)

    def test_resumed_by_another_number(self):
        whole, _ = self.run_with("whole", 1)
        run = self.folder / "handed_on"
        for steps, processes in ((4, 4), (8, 1), (12, 2)):
            verb = ("launch", self.config, "--procs", processes) if processes > 1 else ("train", self.config)
            self.call(*verb, *sets(train__output=run), *COMMON, *sets(train__steps=steps, train__schedule__name='"constant"'), *(["--resume"] if steps > 4 else []))
        self.assertEqual(list(losses(run)), list(range(1, 13)))
        constant, _ = self.run_with("constant", 1, *sets(train__schedule__name='"constant"'))
        self.assert_same_progress(constant, run)
        self.assert_close(constant, run, 2e-5)

    def test_bad_samples(self):
        """Skipped, counted and listed as by one process."""
        good = self.config.parent / "data" / "train.jsonl"
        lines = good.read_text().splitlines()
        for i in (3, 10, 17, 30):
            lines[i] = lines[i].replace(".png", ".gone").replace(".wav", ".gone")
        path = good.with_name("spoilt.jsonl")
        path.write_text("\n".join(lines) + "\n")
        spoilt = [*sets(data__max_bad_fraction=1), "--set", f'data.train.sources=[{{ path = "{path}" }}]']
        one = self.compare("spoilt", *spoilt, counts=(2,))
        listed = [sorted(record["line"] for record in records(self.folder / f"spoilt_{n}" / "bad_samples.jsonl")) for n in (1, 2)]
        self.assertEqual(listed[0], listed[1])
        self.assertGreater(len(listed[0]), 1)
        self.assertEqual(list(one.parent.glob("spoilt_2/bad_samples.*.jsonl")), [])

    def test_held_out_losses(self):
        args = sets(train__eval_every=4, train__accumulate=2)
        one, _ = self.run_with("held_1", 1, *args)
        two, _ = self.run_with("held_2", 2, *args)
        values = [[r["eval/held/loss"] for r in records(run / "metrics.jsonl") if "eval/held/loss" in r] for run in (one, two)]
        self.assertEqual(len(values[0]), 3)
        for left, right in zip(*values):
            self.assertAlmostEqual(left, right, delta=1e-5 * left)

    def test_what_cannot_be_shared(self):
        _, done = self.run_with("odd", 3, code=2)
        self.assertIn("3 processes cannot share 4 batches a step", done.stderr)
        self.assertIn("train.accumulate=6", done.stderr)
        _, done = self.run_with("three", 2, *sets(parallel__replicate=3), code=2)
        self.assertIn("parallel.replicate is 3 and there are 2 processes", done.stderr)


if __name__ == "__main__":
    main()
