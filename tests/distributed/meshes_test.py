"""A checkpoint of any mesh is read by any other: 12 times 12 of them with ANTIPHON_LONG=1, else a few."""

import os
import shutil
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from together import ALL, COMMON, Together, tensors
from harness import main, sets

BETWEEN = sets(parallel__reshard="false")
MESHES = {
    "one": (1, []),
    "copies": (2, []),
    "shards": (2, sets(parallel__fsdp=2)),
    "states": (2, [*sets(parallel__fsdp=2), *BETWEEN]),
    "parts": (2, sets(parallel__tensor=2)),
    "contexts": (2, sets(parallel__context=2)),
    "stages": (2, sets(parallel__pipeline=2)),
    "four shards": (4, sets(parallel__fsdp=4)),
    "hybrid": (4, sets(parallel__fsdp=2)),
    "parts and shards": (4, sets(parallel__tensor=2, parallel__fsdp=2)),
    "stages and parts": (4, sets(parallel__pipeline=2, parallel__tensor=2)),
    "stages, states": (4, [*sets(parallel__pipeline=2, parallel__fsdp=2), *BETWEEN]),
}
FEW = (("shards", "stages and parts"), ("stages and parts", "parts"), ("stages, states", "hybrid"), ("contexts", "stages"), ("four shards", "one"))
STILL = sets(train__steps=3, train__optimizer__lr=1e-30)  # a step that changes the optimizer's state alone


class Meshes(Together):
    def go_on(self, saved, name, mesh):
        """A copy of a run, one step further."""
        run = self.folder / name
        shutil.copytree(saved, run)
        processes, options = MESHES[mesh]
        verb = ("launch", self.config, "--procs", processes) if processes > 1 else ("train", self.config)
        self.call(*verb, *sets(train__output=run), *COMMON, *ALL, *options, *STILL, "--resume")
        return run

    def test_pairs(self):
        pairs = [(a, b) for a in MESHES for b in MESHES] if os.environ.get("ANTIPHON_LONG") else FEW
        for source in dict.fromkeys(a for a, _ in pairs):
            processes, options = MESHES[source]
            saved, _ = self.run_with(f"from {source}", processes, *ALL, *options, *sets(train__steps=2, train__checkpoint_every=2))
            kept = tensors(saved)
            one = tensors(self.go_on(saved, f"{source} by one", "one"), "state")
            for target in (b for a, b in pairs if a == source):
                with self.subTest(f"{source} -> {target}"):
                    run = self.go_on(saved, f"{source} to {target}", target)
                    values = tensors(run)
                    self.assertEqual(values.keys(), kept.keys())
                    for name, value in kept.items():
                        self.assertLess(abs(values[name] - value).max(), 1e-25, name)  # the step adds 1e-30 to a zero
                    state = tensors(run, "state")
                    self.assertEqual(state.keys(), one.keys())
                    for name, value in one.items():
                        if value.dtype.kind == "f":
                            self.assertLessEqual(abs(state[name] - value).max(), 4e-4 * abs(value).max() + 1e-8, name)
                    shutil.rmtree(run)


if __name__ == "__main__":
    main()
