"""What is trained kept in the host's memory, and updated there: to the bit what it gives without, whatever the optimizer and the mesh."""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from together import ALL, COMMON, FIXED, READ, Together, experts, tensors
from harness import losses, main, records, sets

OFFLOAD, BETWEEN = sets(parallel__offload_optimizer="true"), sets(parallel__reshard="false")
SHORT = sets(train__steps=4)
TRAINED = sets(model__llm__trainable="true")


def optimizer(name, rate=0.001):
    return sets(train__optimizer=f'{{name="{name}",lr={rate}}}')


class Offload(Together):
    def pair(self, name, processes, *args, config=None, offload=OFFLOAD):
        """Runs without and with it, and what the second says."""
        plain, _ = self.run_with(f"{name}_plain", processes, *SHORT, *args, config=config)
        run, done = self.run_with(f"{name}_host", processes, *SHORT, *args, *offload, config=config)
        self.assertIn("stay in the host's memory", done.stderr)
        return plain, run

    def assert_same_bits(self, left, right):
        self.assertEqual(losses(left), losses(right))
        for kind in ("parameters", "state"):
            a, b = tensors(left, kind), tensors(right, kind)
            self.assertEqual(a.keys(), b.keys())
            for key, value in a.items():
                self.assertTrue((value == b[key]).all(), key)

    def compare_bits(self, name, processes, *args, config=None, offload=OFFLOAD):
        with self.subTest(name):
            self.assert_same_bits(*self.pair(name, processes, *args, config=config, offload=offload))

    def test_optimizers(self):
        for name in ("adamw", "sgd", "lion", "muon", "adafactor", "adamw_8bit"):
            self.compare_bits(name, 1, *ALL, *optimizer(name))

    def test_one_process(self):
        """Adapters, blocks that are computed again, bf16, fp8, whole during a step, averages, and both kinds of it at once."""
        for name, args in {"lora": [], "recompute": [*ALL, *sets(train__recompute='"full"')], "bf16": [*ALL, *sets(precision__compute="bf16")],
                           "fp8": [*ALL, *sets(precision__linear='"fp8"')], "between": [*ALL, *BETWEEN], "averages": [*ALL, *sets(train__ema__decay=0.8, train__eval_every=2)]}.items():
            self.compare_bits(name, 1, *args)
        both = [*OFFLOAD, *sets(parallel__offload_frozen="true")]
        self.compare_bits("both", 1, offload=both)
        self.compare_bits("read", 1, *FIXED, config=self.with_method(READ), offload=both)

    def test_meshes(self):
        fsdp = sets(parallel__fsdp=2)
        for name, mesh in {"copies": [], "copies_between": BETWEEN, "fsdp": fsdp, "fsdp_between": [*fsdp, *BETWEEN], "tensor": sets(parallel__tensor=2), "context": sets(parallel__context=2),
                           "pipeline": sets(parallel__pipeline=2), "zero_bubble": [*sets(parallel__pipeline=2, parallel__schedule='"zero_bubble"'), *BETWEEN]}.items():
            self.compare_bits(name, 2, *ALL, *sets(train__clip_norm=0), *mesh)
        self.compare_bits("expert", 2, *sets(train__clip_norm=0, parallel__expert=2), config=experts(self))
        self.compare_bits("fsdp_muon", 2, *TRAINED, *optimizer("muon"), *fsdp)

    def test_bf16_parameters(self):
        """Widened, updated and rounded by chance on the host."""
        narrow = [*TRAINED, *sets(precision__trained="bf16")]
        self.compare_bits("narrow", 1, *narrow)
        self.compare_bits("narrow_fsdp", 2, *narrow, *sets(parallel__fsdp=2))

    def test_resumed(self):
        """A run with it goes on without, and the other way round."""
        constant = [*COMMON, *ALL, *sets(train__schedule__name='"constant"')]
        whole, _ = self.run_with("whole", 1, *ALL, *sets(train__schedule__name='"constant"', train__steps=6))
        run = self.folder / "handed_on"
        for steps, offload in ((2, OFFLOAD), (4, []), (6, OFFLOAD)):
            self.call("train", self.config, *sets(train__output=run), *constant, *offload, *sets(train__steps=steps), *(["--resume"] if steps > 2 else []))
        self.assert_same_bits(whole, run)

    def test_what_is_written_and_measured(self):
        from safetensors.numpy import load_file

        runs = self.pair("used", 1, *sets(train__eval_every=2))
        held, files = [], []
        for run in runs:
            held.append([record.get("eval/held/loss") for record in records(run / "metrics.jsonl")])
            files.append({f"{path.parent.name}/{path.name}": load_file(path) for path in sorted(run.rglob("*.safetensors")) if "checkpoints" not in path.parts})
        self.assertEqual(held[0], held[1])
        self.assertGreater(len(files[0]), 1)
        self.assertEqual(files[0].keys(), files[1].keys())
        for name, values in files[0].items():
            for key, value in values.items():
                self.assertTrue((value == files[1][name][key]).all(), f"{name} {key}")


if __name__ == "__main__":
    main()
