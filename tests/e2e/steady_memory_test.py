"""A long training keeps its size: resident memory after the first steps does not grow, with pictures and sounds, augmentation, averages,
checkpoints and held-out measurements on its way. 400 steps; 20,000 with ANTIPHON_LONG (`./dev test --long`)."""
import os
import subprocess
import unittest

from harness import LONG, DEVICE, Case, main, records, sets

STEPS = 20000 if LONG else 400
# Between the second tenth and the last: 60 bytes a step, less than any tensor or record that is lost in each. Seen: 0.3 MiB from step
# 2,000 to 10,500, none of it after 7,000. In the first 400 steps pools and caches still fill.
MOST_GROWTH = (1 if LONG else 4) << 20
SECONDS = 7000 if LONG else 900  # of a machine that others use, too


class SteadyMemory(Case):
    FORKED = False
    @unittest.skipIf(DEVICE, "resident memory is the host's")
    def test_does_not_grow(self):
        run = self.folder / "long"
        options = sets(train__output=run, train__steps=STEPS, train__tokens_per_batch=96, train__accumulate=2, train__checkpoint_every=STEPS // 40, train__eval_every=STEPS // 20,
                       train__ema__decay=0.99, train__keep_best=2, train__best_metric="eval/held/loss", data__packing__method="best_fit", data__packing__look_ahead=8,
                       data__augment__speed__probability=0.5, data__augment__image__flip=0.5, data__augment__image__brightness=0.3, train__optimizer__lr=1e-4)
        with open(self.folder / "log.txt", "w") as log:
            process = self.start_quietly(log, *options)
            self.assertEqual(process.wait(SECONDS), 0, (self.folder / "log.txt").read_text()[-3000:])
        sizes = [record["train/memory_bytes"] for record in records(run / "metrics.jsonl") if "train/memory_bytes" in record]
        self.assertEqual(len(sizes), STEPS)
        tenth = STEPS // 10
        most = [max(sizes[part * tenth:(part + 1) * tenth]) for part in range(10)]
        print("most of each tenth, MiB: " + " ".join(f"{size / 2**20:.1f}" for size in most), flush=True)
        self.assertLess(most[-1] - most[1 if LONG else 4], MOST_GROWTH)

    def start_quietly(self, log, *args):
        steady = {**os.environ, "MALLOC_ARENA_MAX": "2", "GLIBC_TUNABLES": "glibc.malloc.hugetlb=0"}  # whether a thread gets an arena of its own is chance
        process = subprocess.Popen(self.command("train", self.config, *args), stdout=log, stderr=log, env=steady)
        self.addCleanup(lambda: (process.kill(), process.wait()))
        return process


if __name__ == "__main__":
    main()
