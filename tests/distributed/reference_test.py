"""DPO, which compares with a reference, on every kind of mesh: as on one process."""

import json
import random
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from together import ALL, COMMON, Together, experts, limited_experts
from harness import losses, main, make_tiny, records, sets

BETWEEN = sets(parallel__reshard="false")
DPO = sets(objective__plugin="preference", objective__beta=0.5, train__tokens_per_batch=256, train__steps=6)


class Reference(Together):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        noise = random.Random(3)
        for name in ("train", "held"):
            rows = []
            for record in records(cls.folder / "data" / f"{name}.jsonl"):
                right = record["messages"][1]["content"][0]["text"]
                wrong = noise.choice([c for c in make_tiny.COLOURS if c != right])
                chosen, rejected = ([{"role": "assistant", "content": text}] for text in (right, wrong))
                rows.append({"id": record["id"], "prompt": record["messages"][:1], "chosen": chosen, "rejected": rejected})
            (cls.folder / "data" / f"{name}_pairs.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
        cls.source = ["--set", f'data.train.sources=[{{path="{cls.folder}/data/train_pairs.jsonl"}}]']

    def run_with(self, name, processes, *args, config=None, code=0):
        return super().run_with(name, processes, *DPO, *self.source, *args, config=config, code=code)

    def assert_same_comparison(self, one, many):
        self.assert_same_training(one, many)
        for left, right in zip(records(one / "metrics.jsonl"), records(many / "metrics.jsonl"), strict=True):
            for key in ("train/rewards/margins", "train/rewards/accuracies"):
                self.assertAlmostEqual(left[key], right[key], delta=1e-4 * abs(left[key]) + 1e-6, msg=key)

    def test_meshes(self):
        """Adapters and connectors, and everything trained, an encoder among it: its reference reads media anew."""
        pipeline = lambda kind: sets(parallel__pipeline=2, parallel__schedule=f'"{kind}"', parallel__chunks=2 if kind == "interleaved" else 1)
        meshes = {"copies": (2, []), "tensor": (2, sets(parallel__tensor=2)), "context": (2, sets(parallel__context=2)), "fsdp": (2, sets(parallel__fsdp=2)),
                  "states": (2, [*sets(parallel__fsdp=2), *BETWEEN]), "stages": (2, pipeline("1f1b")), "chunks": (2, pipeline("interleaved")), "zero": (2, pipeline("zero_bubble")),
                  "stages, states": (4, [*sets(parallel__pipeline=2, parallel__fsdp=2), *BETWEEN]), "parts, shards": (4, sets(parallel__tensor=2, parallel__fsdp=2))}
        for what, args in (("lora", []), ("all", ALL)):
            one, _ = self.run_with(f"{what}_one", 1, *args)
            self.assertNotEqual(losses(one)[1], losses(one)[6])
            for name, (processes, mesh) in meshes.items():
                with self.subTest(f"{what}, {name}"):
                    many, _ = self.run_with(f"{what}_{name}", processes, *args, *mesh)
                    self.assert_same_comparison(one, many)

    def test_experts(self):
        config = experts(self)
        one, _ = self.run_with("experts_one", 1, config=config)
        two, _ = self.run_with("experts_two", 2, *sets(parallel__expert=2), config=config)
        self.assert_same_comparison(one, two)

    def test_the_reference_stays_on_other_meshes(self):
        constant = [*DPO, *self.source, *sets(train__schedule__name='"constant"', train__checkpoint_every=2)]
        whole, _ = self.run_with("whole", 1, *ALL, *constant)
        run, mesh = self.folder / "handed_on", sets(parallel__tensor=2, parallel__fsdp=2)
        self.call("launch", self.config, "--procs", 4, *COMMON, *ALL, *constant, *mesh, *sets(train__output=run, train__steps=2))
        files = sorted(run.glob("reference*"))
        self.assertEqual([path.name for path in files], [f"reference_0000{k}-of-00004.safetensors" for k in range(1, 5)])
        self.call("launch", self.config, "--procs", 2, *COMMON, *ALL, *constant, *sets(train__output=run, train__steps=4, parallel__pipeline=2), "--resume")
        self.call("train", self.config, *COMMON, *ALL, *constant, *sets(train__output=run), "--resume")
        self.assertEqual(sorted(run.glob("reference*")), files)
        self.assert_same_comparison(whole, run)
        held = f'data.eval.held.sources=[{{path="{self.folder}/data/held_pairs.jsonl"}}]'
        self.call("eval", run, "--only", "held", "--set", held, "--output", self.folder / "eval")
        with open(files[2], "r+b") as file:
            file.seek(-1, 2)
            last = file.read(1)
            file.seek(-1, 2)
            file.write(bytes([last[0] ^ 1]))
        done = self.call("train", self.config, *COMMON, *ALL, *constant, *sets(train__output=run, train__steps=8), "--resume", code=4)
        self.assertIn("and 3 others is not the reference that the checkpoint was trained against", done.stderr)

    def test_rows_end_one_after_another(self):
        """Data that end: the last batches of some processes are padding alone, which teaches nothing and disturbs nothing."""
        ended = ["--set", f'data.train.sources=[{{path="{self.folder}/data/train_pairs.jsonl", epochs=1}}]', *sets(train__steps=1000, train__schedule__name='"constant"')]
        one, _ = self.run_with("ended_one", 1, *ended)
        two, done = self.run_with("ended_two", 2, *ended)
        self.assert_same_comparison(one, two)
        self.assertNotIn("not finite", done.stderr)
        plain = ["--set", f'data.train.sources=[{{path="{self.folder}/data/train.jsonl", epochs=1}}]', *sets(train__steps=1000, train__schedule__name='"constant"')]
        config = limited_experts(self)
        one, _ = super().run_with("ended_experts", 1, *plain, config=config)
        for name, mesh in (("expert", sets(parallel__expert=2)), ("pipeline", sets(parallel__pipeline=2)), ("context", sets(parallel__context=2))):
            with self.subTest(name):
                two, done = super().run_with(f"ended_{name}", 2, *plain, *mesh, config=config)
                self.assertNotIn("not finite", done.stderr)
                self.assert_same_training(one, two)

    def test_held_out_pairs(self):
        held = ["--set", f'data.eval={{held={{sources=[{{path="{self.folder}/data/held_pairs.jsonl"}}]}}}}', *sets(train__eval_every=3)]
        one, _ = self.run_with("held_one", 1, *held)
        measured = lambda run: [{key: value for key, value in r.items() if key.startswith("eval/held")} for r in records(run / "metrics.jsonl") if "eval/held/loss" in r]
        self.assertEqual(len(measured(one)), 2)
        self.assertIn("eval/held/rewards/margins", measured(one)[1])
        for name, processes, mesh in (("fsdp", 2, sets(parallel__fsdp=2)), ("stages", 2, sets(parallel__pipeline=2)), ("tensor", 2, sets(parallel__tensor=2))):
            with self.subTest(name):
                many, _ = self.run_with(f"held_{name}", processes, *held, *mesh)
                for left, right in zip(measured(one), measured(many), strict=True):
                    self.assertEqual(left.keys(), right.keys())
                    for key, value in left.items():
                        self.assertAlmostEqual(value, right[key], delta=1e-4 * abs(value) + 1e-6, msg=key)


if __name__ == "__main__":
    main()
