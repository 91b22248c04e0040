"""Memory that ends in one process alone, wherever in a step: all end at once (within harness.LIMIT, and not after the ten minutes that processes wait for each
other) and say which process it was and what it computed; nobody starts them again, and the last checkpoint is as good as any."""

import os
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from together import ALL, COMMON, Together
from harness import LONG, checkpoints, losses, main, sets

SHIM = os.environ.get("FAULT_SHIM", "")
MESHES = {"copies": [], "fsdp": sets(parallel__fsdp=2), "pipeline": sets(parallel__pipeline=2), "tensor": sets(parallel__tensor=2)}
WHAT = r"out of memory at step (\d+): (\d+ batches of at most \d+ tokens; the longest samples: \S+ \(\d+ tokens\)|its batches are drawn)"


@unittest.skipUnless(SHIM, "without the library that lets calls fail")
class OutOfMemory(Together):
    def faulty(self, rank, at):
        """The environment in which process `rank` gets no memory for the tensor with this number; 0: they are counted alone."""
        return {"LD_PRELOAD": SHIM, "FAULT_CALL": "posix_memalign", "FAULT_MODE": "ENOMEM", "FAULT_RANK": str(rank), "FAULT_AT": str(at), "FAULT_REPORT": str(self.folder / "tensors")}

    def launched(self, name, rank, at, *args, code=0):
        """Gone on with from the checkpoint of step 4, whose writing an end does not overtake."""
        run = self.folder / name
        words = ("launch", self.config, "--procs", 2, *sets(train__output=run), *COMMON, *ALL, *args)
        self.call(*words, *sets(train__steps=4))
        done = self.call(*words, "--resume", code=code, env={**os.environ, **self.faulty(rank, at)})
        return run, done

    def count(self, name, rank, *args):
        """Of the tensors of a run."""
        self.launched(name, rank, 0, *args)
        return int((self.folder / "tensors").read_text())

    def places(self, name, rank, mesh):
        """Numbers of tensors in one step, after the first checkpoint: of its passes, its exchange and its update."""
        six, seven = (self.count(f"{name}_{steps}", rank, *mesh, *sets(train__steps=steps)) for steps in (6, 7))
        return [six + (seven - six) * i // 7 for i in (range(7) if LONG else (1, 3, 5))]

    def test_launched(self):
        """And what is left is gone on with as if nothing had happened."""
        for name, mesh in MESHES.items():
            whole, _ = self.run_with(f"{name}_whole", 2, *ALL, *mesh)
            for i, at in enumerate(self.places(name, 1, mesh)):
                with self.subTest(name, tensor=at):
                    run, done = self.launched(f"{name}_lost_{i}", 1, at, *mesh, code=7)
                    self.assertRegex(done.stderr, rf"\[1\] error: out of memory: process 1 of 2 is {WHAT}")
                    self.assertRegex(done.stderr, r"lower train\.tokens_per_batch .*antiphon fit.*train\.recompute.*data\.filter\.max_tokens; or divide the model")
                    self.assertIn("process 1 ended with exit code 7; the others were ended", done.stderr)
                    self.assertNotIn("started again", done.stderr)
                    self.assertGreaterEqual(max(losses(run)), 5)
            self.assertEqual(checkpoints(run)[0], "step_4")
            self.call("launch", self.config, "--procs", 2, *sets(train__output=run), *COMMON, *ALL, *mesh, "--resume")
            self.assert_same_run(whole, run)

    def test_measuring(self):
        """In a pass that others take part in."""
        for name, mesh in MESHES.items():
            if name in ("copies", "fsdp"):
                continue
            without, measured = (self.count(f"{name}_measured_{every}", 1, *mesh, *sets(train__steps=6, train__eval_every=every)) for every in (0, 6))
            with self.subTest(name):
                run, done = self.launched(f"{name}_unmeasured", 1, without + (measured - without) // 2, *mesh, *sets(train__eval_every=6), code=7)
                self.assertRegex(done.stderr, r"\[1\] error: out of memory: .*out of memory while held-out losses are measured after step 6")
                self.assertIn("lower eval.batch_size", done.stderr)
                self.assertNotIn("started again", done.stderr)
                self.assertEqual(checkpoints(run)[0], "step_4")

    def test_by_hand(self):
        """Without a launcher the others say what the one has said; if they have met at it they only know that it is gone."""
        for i, (name, mesh) in enumerate(MESHES.items()):
            for rank in (1, 0) if LONG else (1 - i % 2,):
                with self.subTest(name, rank=rank):
                    places = self.places(f"{name}_of_{rank}", rank, mesh)
                    at, run = places[len(places) // 2], self.folder / f"{name}_by_hand_{rank}"
                    codes, texts = self.by_hand(run, 2 * [self.faulty(rank, at)], *COMMON, *ALL, *mesh)
                    self.assertRegex(texts[rank], rf"error: out of memory: process {rank} of 2 is {WHAT}")
                    self.assertEqual(codes, [7, 7] if rank else [7, 6], texts)
                    other = texts[1 - rank]
                    self.assertRegex(other, rf"error: out of memory: process 0 of 2: .*: another has left: process 1 of 2 is {WHAT}" if rank else "error: distributed.*: process 1 of 2: ")


if __name__ == "__main__":
    main()
