"""Reward models, whose head reads the last token of each sequence, on meshes that divide tokens and heads: as on one process."""

import json
import random
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from together import ALL, Together
from harness import losses, main, make_tiny, records, sets

REWARD = sets(model__graph='"reward_model"', model__head__plugin='"scalar"', objective__plugin='"score"', train__tokens_per_batch=256, train__steps=4)


class Reward(Together):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        noise = random.Random(3)
        for name in ("train", "held"):
            rows = []
            for record in records(cls.folder / "data" / f"{name}.jsonl"):
                right = record["messages"][1]["content"][0]["text"]
                wrong = noise.choice([c for c in make_tiny.COLOURS if c != right])
                rows.append({"id": record["id"], "messages": record["messages"][:1], "candidates": [{"content": right}, {"content": wrong}]})
            (cls.folder / "data" / f"{name}_pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        cls.source = ["--set", f'data.train.sources=[{{path="{cls.folder}/data/train_pairs.jsonl"}}]', "--set", f'data.eval.held.sources=[{{path="{cls.folder}/data/held_pairs.jsonl"}}]']

    def run_with(self, name, processes, *args, config=None, code=0):
        return super().run_with(name, processes, *REWARD, *self.source, *sets(train__eval_every=2), *args, config=config, code=code)

    def test_meshes(self):
        meshes = {"tensor": (2, sets(parallel__tensor=2)), "context": (2, sets(parallel__context=2)), "parts of contexts": (4, sets(parallel__context=2, parallel__tensor=2)),
                  "parts and shards": (4, sets(parallel__tensor=2, parallel__fsdp=2)), "stages of parts": (4, sets(parallel__pipeline=2, parallel__tensor=2))}
        for what, args in (("lora", []), ("all", ALL)):
            one, _ = self.run_with(f"{what}_one", 1, *args)
            self.assertNotEqual(losses(one)[1], losses(one)[4])
            for name, (processes, mesh) in meshes.items():
                with self.subTest(f"{what}, {name}"):
                    many, _ = self.run_with(f"{what}_{name}", processes, *args, *mesh)
                    self.assert_same_training(one, many)
                    for left, right in zip(records(one / "metrics.jsonl"), records(many / "metrics.jsonl"), strict=True):
                        self.assertEqual(left.keys(), right.keys() - {"train/sent_bytes", "train/slowest_seconds", "train/fastest_seconds", "train/most_memory_bytes", "train/most_memory_process"})
                        for key in [key for key in left if "rewards" in key or key.startswith("eval/held")]:
                            self.assertAlmostEqual(left[key], right[key], delta=1e-4 * abs(left[key]) + 1e-6, msg=key)


if __name__ == "__main__":
    main()
