"""Batches with and without pictures, in each of the sixteen ways in which the four batches of a step can have them: no process waits for one whose encoder or
connector does not run, and all give what one process gives. On every axis, with the encoder frozen and trained."""

import json
import random
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from together import ALL, Together, experts
from harness import LONG, main, records, sets
import make_tiny

WAYS = 16  # of four batches, each with a picture or without
MESHES = {"copies": {}, "fsdp": {"parallel__fsdp": 2}, "between": {"parallel__fsdp": 2, "parallel__reshard": "false"}, "tensor": {"parallel__tensor": 2},
          "context": {"parallel__context": 2}, "pipeline": {"parallel__pipeline": 2}, "expert": {"parallel__expert": 2}}
FOUR = {"copies, fsdp": {"parallel__fsdp": 2}, "fsdp, pipeline": {"parallel__fsdp": 2, "parallel__pipeline": 2}, "context, tensor": {"parallel__context": 2, "parallel__tensor": 2},
        "fsdp, tensor": {"parallel__fsdp": 2, "parallel__tensor": 2}}


class Mixed(Together):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        chance, folder = random.Random(3), cls.folder / "data"
        lines = []
        for number in range(4 * WAYS):  # one sample a batch, batch r of step s is sample 4 s + r
            way, row = divmod(number, 4)
            parts = [{"type": "text", "text": "z" * 30}]
            if way >> row & 1:
                (folder / f"mixed_{number}.png").write_bytes(make_tiny.png_bytes(chance.choice(list(make_tiny.COLOURS.values())), chance))
                parts.insert(0, {"type": "image", "image": f"mixed_{number}.png"})
            lines.append({"id": str(number), "messages": [make_tiny.message("user", *parts), make_tiny.message("assistant", {"type": "text", "text": "red"})]})
        cls.source = folder / "mixed.jsonl"
        cls.source.write_text("".join(json.dumps(line) + "\n" for line in lines))

    def run_mixed(self, name, processes, *args, **more):
        ways = sets(train__steps=WAYS, train__tokens_per_batch=60, data__shuffle="false", train__checkpoint_every=WAYS)
        run, _ = self.run_with(name, processes, *ways, "--set", f'data.train.sources=[{{ path = "{self.source}" }}]', *args, **more)
        lines = records(run / "metrics.jsonl")
        self.assertEqual([line["train/samples"] for line in lines], [4] * WAYS)
        self.assertEqual([line["media/image"] for line in lines], [way.bit_count() for way in range(WAYS)])
        return run

    def compare_mixed(self, meshes, processes, *kinds):
        trained = {"frozen": [], "trained": ALL, "connector alone": None}
        for what, args in ((kind, trained[kind]) for kind in kinds or trained):
            for name, mesh in meshes.items():
                with self.subTest(f"{name} {what}"):
                    config = experts(self) if name == "expert" else self.connectors_only() if args is None else None
                    own = [] if args is None or name == "expert" else args
                    if name == "expert" and what == "trained":
                        own = sets(model__streams__image__encoder__trainable="true")
                    one = self.folder / f"one_{what}{'_expert' if name == 'expert' else ''}"
                    if not one.exists():
                        self.run_mixed(one.name, 1, *own, config=config)
                    many = self.run_mixed(f"{name}_{what}", processes, *own, *sets(**mesh), config=config)
                    self.assert_same_training(one, many)

    def test_two_processes(self):
        self.compare_mixed(MESHES, 2)

    def test_four_processes(self):
        self.compare_mixed(FOUR, 4, *([] if LONG else ["trained"]))


if __name__ == "__main__":
    main()
