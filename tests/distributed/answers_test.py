"""Answers to held-out samples while several processes have the model together, or in pieces: those that one process writes."""

import json
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from together import ALL, Together, experts
from harness import main, records, sets

BETWEEN = sets(parallel__reshard="false")
ANSWERS = sets(train__steps=2, train__eval_every=2, train__eval_answers=5, eval__metrics=json.dumps(["accuracy", "wer"]), eval__max_tokens=12, eval__batch_size=2)


class Answers(Together):
    def written(self, run):
        return {record["id"]: record["predicted"] for record in records(run / "answers.jsonl")}

    def assert_same_answers(self, one, many):
        left, right = (records(run / "metrics.jsonl")[-1] for run in (one, many))
        self.assertEqual(right["eval/answers"], 5)
        self.assertEqual(right["eval/held/failed"], 0)
        for key in ("eval/answers", "eval/held/accuracy", "eval/held/wer"):
            self.assertAlmostEqual(left[key], right[key], places=9, msg=key)
        self.assertAlmostEqual(left["eval/held/loss"], right["eval/held/loss"], delta=1e-4 * left["eval/held/loss"])
        all_of_one, shown = self.written(one), self.written(many)
        self.assertTrue(shown)
        for sample in all_of_one.keys() & shown.keys():
            self.assertEqual(all_of_one[sample], shown[sample])

    def compare_answers(self, name, meshes, *args, config=None):
        one, _ = self.run_with(f"{name}_one", 1, *ANSWERS, *args, config=config)
        self.assertTrue(any(self.written(one).values()), "it says something")
        for mesh, (processes, options) in meshes.items():
            with self.subTest(f"{name} {mesh}"):
                many, _ = self.run_with(f"{name}_{mesh}", processes, *ANSWERS, *args, *options, config=config)
                self.assert_same_answers(one, many)

    def test_meshes(self):
        self.compare_answers("all", {"fsdp": (2, sets(parallel__fsdp=2)), "between": (2, [*sets(parallel__fsdp=2), *BETWEEN]), "tensor": (2, sets(parallel__tensor=2)),
                                     "context": (2, sets(parallel__context=2)), "pipeline": (2, sets(parallel__pipeline=2)),
                                     "chunks": (2, sets(parallel__pipeline=2, parallel__chunks=2, parallel__schedule='"interleaved"', parallel__layers_per_stage="[1, 0, 1, 0]")),
                                     "stages of parts": (4, sets(parallel__pipeline=2, parallel__tensor=2)), "contexts of parts": (4, sets(parallel__context=2, parallel__tensor=2)),
                                     "host": (1, sets(parallel__offload_optimizer="true"))}, *ALL)

    def test_experts(self):
        self.compare_answers("experts", {"expert": (2, sets(parallel__expert=2))}, config=experts(self))

    def test_beams(self):
        beams = sets(generate__num_beams=2, eval__max_tokens=6)
        self.compare_answers("beams", {"tensor": (2, sets(parallel__tensor=2)), "pipeline": (2, sets(parallel__pipeline=2))}, *beams)


if __name__ == "__main__":
    main()
