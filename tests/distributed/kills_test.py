"""Processes killed again and again, at any moment of starting, loading, stepping and writing: the run ends as if nothing had been,
to the bit. With ANTIPHON_LONG=1 a thousand kills."""

import os
import random
import signal
import subprocess
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from together import children, experts
from harness import DEVICE, Case, checkpoints, losses, main, sets

KILLS, STEPS = (1000, 150) if os.environ.get("ANTIPHON_LONG") else (12, 50)
MESHES = {"copies": {}, "fsdp": {"parallel__fsdp": 2}, "pipeline": {"parallel__pipeline": 2}, "tensor": {"parallel__tensor": 2},
          "context": {"parallel__context": 2}, "expert": {"parallel__expert": 2}}


@unittest.skipIf(DEVICE, "processes exchange tensors of the CPU")
class Kills(Case):
    def begin(self, run, mesh):
        options = sets(train__output=run, train__steps=STEPS, train__accumulate=2, train__tokens_per_batch=96, train__checkpoint_every=4,
                       precision__compute="fp32", **MESHES[mesh])
        log = open(f"{run}.log", "w")
        self.addCleanup(log.close)
        config = experts(self) if mesh == "expert" else self.config
        process = subprocess.Popen(self.command("launch", config, "--procs", 2, "--restarts", 10 * KILLS, *options), stdout=log, stderr=log)
        self.addCleanup(lambda: (process.kill(), process.wait()))
        return process

    def ended(self, process, run):
        self.assertEqual(process.wait(timeout=120), 0, Path(f"{run}.log").read_text()[-4000:])

    def kill(self, process, run, most, chance):
        """How many were killed before it ended: one of the two each time, at a random moment from before they have met on, or just
        after another checkpoint, so that the run gets on however slow the machine is."""
        kills, pids = 0, []
        end = time.monotonic() + 600
        while process.poll() is None and kills < most:
            self.assertLess(time.monotonic(), end, "the run does not get on")
            now = children(process)
            if len(now) < 2 or now == pids:
                time.sleep(0.005)
                continue
            pids, before = now, checkpoints(run)[:1]
            if chance.random() < 0.5:
                time.sleep(chance.uniform(0, 1))
            else:
                while process.poll() is None and checkpoints(run)[:1] == before:
                    time.sleep(0.002)
                time.sleep(chance.uniform(0, 0.1))
            try:
                os.kill(chance.choice(pids), signal.SIGKILL)
                kills += 1
            except ProcessLookupError:  # it had ended
                pass
        return kills

    def test_killed_again_and_again(self):
        chance, kills = random.Random(11), dict.fromkeys(MESHES, 0)
        for mesh in MESHES:
            whole = self.folder / f"whole_{mesh}"
            self.ended(self.begin(whole, mesh), whole)
            while kills[mesh] < KILLS / len(MESHES):
                run = self.folder / f"{mesh}_{kills[mesh]}"
                process = self.begin(run, mesh)
                kills[mesh] += self.kill(process, run, KILLS // len(MESHES), chance)
                self.ended(process, run)
                self.assertEqual(list(losses(run)), list(range(1, STEPS + 1)))
                self.assert_same_run(whole, run)
                self.assertEqual([p.name for p in (run / "checkpoints").iterdir() if not p.name.startswith("step_")], [])
        print("killed:", kills, flush=True)


if __name__ == "__main__":
    main()
