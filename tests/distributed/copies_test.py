"""Whatever several processes hold alike is the same in all of them, to the bit, and what the checkpoint has: copies of a model or of its rows, norms and
other things that parts of a cell have whole, embeddings that two stages have. An optimizer writes down what each process holds (tests/plugin_fixtures)."""

import fnmatch
import json
import os
import sys
import unittest
from collections import Counter
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parent))

from together import ALL, Together, experts
from harness import checkpoints, main, records, sets

HELD = os.path.join(os.environ["FIXTURES"], "held_values") if "FIXTURES" in os.environ else ""  # the folder of the plugin
SHARDS, PARTS, STAGES = sets(parallel__fsdp=2), sets(parallel__tensor=2), sets(parallel__pipeline=2)


def held(folder, processes):
    """Of each process what it held after its last update: name -> bits."""
    import numpy

    return [{one["name"]: numpy.array(one["bits"], "int32").reshape(one["sizes"]) for one in records(folder / f"{rank}.jsonl")} for rank in range(processes)]


def written(run):
    """Name -> the bits of each piece that the newest checkpoint has."""
    from safetensors import safe_open

    pieces = {}
    for path in sorted((run / "checkpoints" / checkpoints(run)[0]).glob("parameters*.safetensors")):
        with safe_open(path, "numpy") as file:
            for name in file.keys():
                pieces.setdefault(name, []).append(file.get_tensor(name).view("int32"))
    return pieces


@unittest.skipUnless(HELD, "without the plugin that tells what is held")
class Copies(Together):
    def holders(self, name, processes, *args, config=None):
        """(parameter, piece) -> how many processes hold it."""
        folder = self.folder / f"{name}_held"
        folder.mkdir()
        optimizer = ["--set", f'train.optimizer={{name="held_values",lr=0.05,folder={json.dumps(str(folder))}}}']
        with mock.patch.dict(os.environ, ANTIPHON_PLUGIN_PATH=HELD):
            run, _ = self.run_with(name, processes, *args, *sets(train__steps=4), *optimizer, config=config)
        pieces, count = written(run), Counter()
        for rank, values in enumerate(held(folder, processes)):
            for key, value in values.items():
                same = [i for i, piece in enumerate(pieces[key]) if piece.shape == value.shape and (piece == value).all()]
                self.assertTrue(same, f"{key}: process {rank} of {name} holds other values than the checkpoint")
                count[key, same[0]] += 1
        return count

    def check(self, name, processes, expected, *args, config=None):
        """`expected`: pattern of names -> how many hold each piece of these."""
        with self.subTest(name):
            count = self.holders(name, processes, *args, config=config)
            for pattern, number in expected.items():
                found = {key: n for key, n in count.items() if fnmatch.fnmatch(key[0], pattern)}
                self.assertTrue(found, pattern)
                self.assertEqual({key: n for key, n in found.items() if n != number}, {}, f"{pattern} has {number} holders")

    def test_copies(self):
        self.check("copies", 2, {"*": 2}, *ALL)
        self.check("adapters", 2, {"*": 2})
        self.check("hybrid", 4, {"*": 2}, *ALL, *SHARDS)
        self.check("contexts", 2, {"*": 2}, *ALL, *sets(parallel__context=2))

    def test_parts(self):
        whole = {"llm/*norm*": 2, "llm/*proj.weight": 1}
        self.check("parts", 2, whole, *ALL, *PARTS)
        self.check("parts, shards", 4, whole, *ALL, *PARTS, *SHARDS)

    def test_tied_embeddings(self):
        tied = self.drawn("tied", 4, tie_embeddings=True)
        self.check("stages", 2, {"llm/embed_tokens": 2, "llm/layers*": 1}, *ALL, *STAGES, config=tied)
        self.check("stages, parts", 4, {"llm/embed_tokens": 2, "llm/*norm*": 2, "llm/*proj.weight": 1}, *ALL, *STAGES, *PARTS, config=tied)

    def test_experts(self):
        self.check("experts", 2, {"llm/*experts*": 1, "llm/*self_attn*": 2}, *sets(parallel__expert=2), config=experts(self))


if __name__ == "__main__":
    main()
