"""Full fine-tuning with parameters in bf16 whose updates are rounded by chance: it learns as with fp32, goes on where it was
stopped to the bit, trains in two processes as in one but for the order of sums, and takes the memory that `validate` says fits one GPU."""
import json
import re

from harness import Case, main, records, sets

LLAMA3_8B = """
[model.llm]
plugin = "llama"
trainable = true
vocab_size = 128256
hidden_size = 4096
intermediate_size = 14336
num_layers = 32
num_heads = 32
num_kv_heads = 8
max_positions = 8192
[data.train]
sources = [{ path = "x.jsonl" }]
[train]
output = "runs/x"
tokens_per_batch = 4096
recompute = "full"
[train.optimizer]
name = "adamw_8bit"
[precision]
compute = "bf16"
"""
GPU_GIB = 80e9 / 2**30
NARROW = dict(precision__trained="bf16", model__llm__trainable="true", model__llm__peft="[]")
WIDE = {**NARROW, "precision__trained": "fp32"}


class Narrow(Case):
    def run_with(self, name, *args, **values):
        run = self.folder / name
        done = self.train(run, *args, *sets(**{**NARROW, "train__checkpoint_every": 2, "train__keep_checkpoints": 9, **values}))
        return run, done

    def last(self, run):
        from safetensors.torch import load_file

        newest = max((run / "checkpoints").iterdir(), key=lambda path: int(path.name.split("_")[1]))
        return {name: tensor for part in ("parameters", "state") for name, tensor in load_file(newest / f"{part}.safetensors").items()}

    def test_learns_as_with_fp32(self):
        import torch

        narrow, done = self.run_with("narrow", train__steps=30)
        self.assertRegex(done.stderr, r"llm: \d+ trained matrices of .* in bf16, rounded by chance")
        wide, _ = self.run_with("wide", train__steps=30, **{"precision__trained": "fp32"})
        losses = [[r["train/loss"] for r in records(run / "metrics.jsonl")] for run in (narrow, wide)]
        self.assertLess(losses[0][-1], losses[0][0] - 0.5 * (losses[1][0] - losses[1][-1]), "it has learnt at least half as much")
        kept = self.last(narrow)
        matrices = [name for name, tensor in kept.items() if name.startswith("llm/") and "#" not in name and tensor.dim() == 2]
        self.assertTrue(matrices)
        self.assertEqual({kept[name].dtype for name in matrices}, {torch.bfloat16})
        self.assertEqual({tensor.dtype for name, tensor in kept.items() if "#exp_avg" in name}, {torch.float32})
        self.assertEqual({tensor.dtype for name, tensor in kept.items() if name.startswith("llm/") and "norm" in name and "#" not in name}, {torch.float32})
        self.assertIn("trained in bf16", json.loads((narrow / "env.json").read_text())["formats"])
        self.call("eval", narrow, "--output", self.folder / "eval", *sets(eval__controls="[]", eval__limit=2))

    def test_goes_on_to_the_bit(self):
        whole, _ = self.run_with("whole", train__steps=6)
        half, _ = self.run_with("half", train__steps=6)
        for step in (6, 4):
            for path in (half / "checkpoints" / f"step_{step}").iterdir():
                path.unlink()
            (half / "checkpoints" / f"step_{step}").rmdir()
        self.train(half, "--resume", *sets(**{**NARROW, "train__checkpoint_every": 2, "train__keep_checkpoints": 9, "train__steps": 6}))
        left, right = self.last(whole), self.last(half)
        self.assertEqual(set(left), set(right))
        self.assertTrue(all(left[name].equal(right[name]) for name in left))

    def test_two_processes(self):
        run = self.folder / "two"
        self.call("launch", self.config, "--procs", "2", *sets(**{**NARROW, "train__output": run, "train__steps": 4, "train__accumulate": 2, "train__checkpoint_every": 2}))
        one, _ = self.run_with("one", train__steps=4, train__accumulate=2)
        losses = [[r["train/loss"] for r in records(folder / "metrics.jsonl")] for folder in (run, one)]
        for mine, other in zip(*losses, strict=True):
            self.assertAlmostEqual(mine, other, delta=0.02 * abs(other))

    def test_fits_one_gpu(self):
        file = self.folder / "llama3_8b.toml"
        file.write_text(LLAMA3_8B)

        def said(**values):
            told = self.call("validate", file, *sets(**values)).stdout
            self.assertIn("8.03 B", told)
            return float(re.search(r"memory for training on a GPU, estimated: ([\d.]+) GiB", told)[1])

        for name, documented in (("adamw_8bit", 61), ("adafactor", 46)):
            need = said(precision__trained="bf16", train__optimizer__name=name)
            self.assertLess(need, GPU_GIB)
            self.assertAlmostEqual(need, documented, delta=1)
        self.assertGreater(said(), GPU_GIB, "adamw_8bit with parameters in fp32 does not fit")
        self.assertAlmostEqual(said(), 81, delta=1)
        self.assertGreater(said(precision__trained="bf16", train__optimizer__name="adamw"), GPU_GIB)
        self.assertLess(said(parallel__offload_optimizer="true", train__optimizer__name="adamw"), 40, "what is trained is the host's")
        self.assertLess(said(parallel__offload_optimizer="true", parallel__reshard="false", precision__trained="bf16", train__optimizer__name="adamw"), 61)

    def test_refused(self):
        for values, word in ((dict(precision__trained="bf16"), "trained itself"), ({**NARROW, "train__ema__decay": 0.9}, "train.ema"), (dict(precision__trained="fp16"), "fp16")):
            self.assertIn(word, self.call("validate", self.config, *sets(**values), code=2).stderr)


if __name__ == "__main__":
    main()
