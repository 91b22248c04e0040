"""A run that is killed again and again ends bit for bit as one that is left alone."""

import io
import json
import os
import random
import shutil
import signal
import tarfile
import time
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

from harness import ON_CPU, Case, checkpoints, losses, main, records, sets

STEPS = 130
COMMON = sets(train__steps=STEPS, train__accumulate=2, train__tokens_per_batch=96, train__checkpoint_every=4)


class Resume(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.undisturbed = {}

    def undisturbed_run(self, *args):
        """One run of these options that nobody kills; made once."""
        if args not in self.undisturbed:
            run = self.folder / f"undisturbed_{len(self.undisturbed)}"
            self.train(run, *COMMON, *args)
            self.undisturbed[args] = run
        return self.undisturbed[args]

    def kill_loop(self, run, seed, kills, *args):
        """Kills after some steps more, sometimes while starting, with 1 or 4 loader threads; then lets it finish."""
        chance, step, done = random.Random(seed), 0, 0
        while done < kills:
            process = self.start("train", self.config, "--resume", *sets(train__output=run, data__threads=chance.choice([1, 4])), *COMMON, *args)
            if chance.random() < 0.25:
                time.sleep(chance.random() * 0.4)
            else:
                self.wait_for_step(run, step + chance.randrange(1, 12), process)
                time.sleep(chance.random() * 0.02)
            process.send_signal(signal.SIGKILL)
            process.communicate()
            self.assertEqual(process.returncode, -signal.SIGKILL, "the run ended before it could be killed")
            done += 1
            step = max(losses(run), default=0) if (run / "metrics.jsonl").exists() else 0
        self.train(run, "--resume", *COMMON, *args)

    def test_killed_at_random(self):
        for seed in range(1, 41 if os.environ.get("ANTIPHON_LONG") else 2):
            run = self.folder / f"killed_{seed}"
            self.kill_loop(run, seed, 10)
            self.assertEqual(list(losses(run)), list(range(1, STEPS + 1)), "each step is logged once, in order")
            self.assert_same_run(self.undisturbed_run(), run)

    def test_killed_with_averages_and_best_checkpoints(self):
        args = sets(train__ema__decay=0.9, train__eval_every=6, train__keep_best=2, train__best_metric="eval/held/loss", train__patience=20)
        run = self.folder / "killed_best"
        self.kill_loop(run, 7, 6, *args)
        whole = self.undisturbed_run(*args)
        self.assert_same_run(whole, run)
        kept = [sorted(path.name for path in (folder / "best").iterdir()) for folder in (whole, run)]
        self.assertEqual(len(kept[0]), 2)
        self.assertEqual(kept[0], kept[1])

    def tars(self):
        """The tiny training set as two shards; --set options that train on them."""
        data, found = self.folder / "data", records(self.folder / "data" / "train.jsonl")
        for shard in range(2):
            with tarfile.open(data / f"pairs-{shard}.tar", "w") as out:
                for number in range(shard * len(found) // 2, (shard + 1) * len(found) // 2):
                    record, members = json.loads(json.dumps(found[number])), {}
                    for part in record["messages"][0]["content"]:
                        if part["type"] != "text":
                            name = f"{number:04}.{part[part['type']].rsplit('.', 1)[1]}"
                            members[name] = (data / part[part["type"]]).read_bytes()
                            part[part["type"]] = name
                    for name, content in {f"{number:04}.json": json.dumps(record).encode(), **members}.items():
                        info = tarfile.TarInfo(name)
                        info.size = len(content)
                        out.addfile(info, io.BytesIO(content))
        return ["--set", f'data.train.sources=[{{path="{data}/pairs-{{0..1}}.tar"}}]']

    def test_killed_with_samples_held_augmentation_and_tars(self):
        args = [*self.tars(), *sets(data__packing__method="best_fit", data__packing__look_ahead=9, data__filter__max_tokens=60, data__augment__speed__probability=0.5, data__augment__gain__probability=0.5,
                                    data__augment__spec_augment__time_masks=2, data__augment__image__flip=0.5, data__augment__image__crop=0.5, data__augment__image__brightness=0.3)]
        kills = 6
        if os.environ.get("ANTIPHON_LONG"):
            kills = 50  # a kill comes after six steps in the mean, so that 130 are too few
            args += sets(train__steps=400)
        run = self.folder / "killed_held"
        self.kill_loop(run, 11, kills, *args)
        self.assert_same_run(self.undisturbed_run(*args), run)
        rows = json.loads((run / "checkpoints" / checkpoints(run)[0] / "progress.json").read_text())["loader"]["rows"]
        self.assertGreater(min(len(row["held"]) for row in rows), 2)

    def test_killed_with_buckets(self):
        args, kills = sets(data__packing__method="buckets", data__packing__buckets="[24, 40, 60]", data__packing__look_ahead=9), 4
        if os.environ.get("ANTIPHON_LONG"):
            args, kills = args + sets(train__steps=400), 50
        run = self.folder / "killed_buckets"
        self.kill_loop(run, 12, kills, *args)
        self.assert_same_run(self.undisturbed_run(*args), run)
        self.assertNotEqual(losses(run), losses(self.undisturbed_run()), "they are packed otherwise")

    def test_killed_with_feature_cache(self):
        cache = sets(data__feature_cache=self.folder / "features")
        run = self.folder / "killed_cache"
        self.kill_loop(run, 2, 8, *cache)
        self.assertTrue(list((self.folder / "features").rglob("*.safetensors")), "features are cached")
        cold = self.undisturbed_run(*sets(data__feature_cache=self.folder / "cold_features"))
        self.assert_same_run(cold, run)
        warm = self.folder / "warm"
        self.train(warm, *COMMON, *cache)
        self.assert_same_run(cold, warm)
        plain = losses(self.undisturbed_run())  # whose pictures go through the encoder together: other last digits
        for step, loss in losses(cold).items():
            self.assertAlmostEqual(loss, plain[step], delta=1e-4 * loss)

    def test_killed_in_bf16(self):
        bf16 = sets(precision__compute="bf16")
        run = self.folder / "killed_bf16"
        self.kill_loop(run, 3, 3, *bf16)
        self.assert_same_run(self.undisturbed_run(*bf16), run)
        self.assertNotEqual(losses(run), losses(self.undisturbed_run()))

    @ON_CPU
    def test_auto_on_a_processor_without_bf16(self):
        """bf16 matrices in fp32 products: the same to the bit when resumed, and what bf16 asks for there; on another
        class of processor a resumed run says that it is not the same."""
        lesser = dict(os.environ, ANTIPHON_ISA="avx2")
        auto, asked = self.folder / "auto", self.folder / "asked"
        done = self.train(auto, *COMMON, *sets(precision__compute="auto", train__steps=3), env=lesser)
        self.assertIn("model: llama on cpu, in bf16 matrices, fp32 products: this processor (avx2) has no bf16 products, so", done.stderr)
        self.train(auto, "--resume", *COMMON, *sets(precision__compute="auto"), env=lesser)
        done = self.train(asked, *COMMON, *sets(precision__compute="bf16"), env=lesser)
        self.assertIn("model: llama on cpu, in bf16 matrices, fp32 products: this processor (avx2) has no bf16 products, so", done.stderr)
        self.assertEqual(losses(auto), losses(asked))
        self.assertEqual(json.loads((auto / "env.json").read_text())["formats"], "bf16 matrices, fp32 products")
        for step, loss in losses(self.undisturbed_run()).items():  # the tiny model's weights are not bf16 numbers
            self.assertAlmostEqual(loss, losses(auto)[step], delta=0.02 * loss)
        done = self.train(auto, "--resume", *COMMON, *sets(precision__compute="fp32", train__steps=STEPS + 1))
        self.assertIn("begun in bf16 matrices, fp32 products and goes on in fp32", done.stderr)
        self.assertIn("model: llama on cpu, in fp32: as precision.compute says", done.stderr)

    def clock(self, run, checkpoint):
        return json.loads((run / "checkpoints" / checkpoint / "progress.json").read_text())["clock"]

    def test_killed_beside_a_clock(self):
        """max_minutes fixes the number of steps once; a run that lost its second half computes that half again."""
        whole, again = self.folder / "clocked", self.folder / "clocked_again"
        timed = sets(train__steps=1000000, train__max_minutes=0.05, train__tokens_per_batch=96, train__checkpoint_every=10, train__keep_checkpoints=100000)
        self.assertRegex(self.train(whole, *timed).stderr, r"\ds a step: \d+ steps of at most 1000000 fit into 3\.0s")
        kept = [name for name in checkpoints(whole) if self.clock(whole, name)["planned_steps"]]
        self.assertGreater(len(kept), 1, "the number of steps is in the checkpoint that follows it")
        middle = kept[len(kept) // 2]
        shutil.copytree(whole, again)
        for name in kept[:kept.index(middle)]:
            shutil.rmtree(again / "checkpoints" / name)
        self.train(again, "--resume", *timed)
        self.assertEqual({self.clock(run, checkpoints(run)[0])["planned_steps"] for run in (whole, again)}, {self.clock(whole, middle)["planned_steps"]})
        left, right = ({r["step"]: (r["train/loss"], r["train/lr"]) for r in records(run / "metrics.jsonl")} for run in (whole, again))
        both = sorted(left.keys() & right.keys())
        self.assertGreater(both[-1], int(middle[5:]))
        self.assertEqual([left[step] for step in both], [right[step] for step in both])
        if len(left) == len(right):  # neither was stopped by the clock
            self.assert_same_run(whole, again)

    def test_other_optimizers(self):
        """Each keeps states of its own: Muon one moment of a matrix and AdamW's two of a vector, others codes and scales; all of it in the checkpoints."""
        own = {"muon": sets(train__optimizer__lr=0.01), "lion": sets(train__optimizer__lr=0.001), "sgd": sets(train__optimizer__lr=0.1),
               "adafactor": sets(train__optimizer__lr=0.01, train__optimizer__beta1=0.9), "adamw_8bit": sets(train__optimizer__lr=0.01, train__optimizer__min_size=64)}
        for name, options in own.items():
            with self.subTest(name):
                args = [*sets(train__optimizer__name=name, train__steps=24, train__checkpoint_every=4), *options]
                whole, cut = self.folder / name, self.folder / f"{name}_cut"
                self.train(whole, *COMMON, *args)
                self.train(cut, *COMMON, *args)
                shutil.rmtree(cut / "checkpoints" / checkpoints(cut)[0])
                self.train(cut, *COMMON, *args, "--resume")
                self.assert_same_run(whole, cut)
                loss = list(losses(whole).values())
                self.assertLess(sum(loss[-4:]), 0.9 * sum(loss[:4]))

    def test_what_decides_the_draws_is_noticed(self):
        run, short = self.folder / "draws", sets(train__steps=4, train__checkpoint_every=2)
        self.train(run, *COMMON, *short)
        changes = {"3 rows of batches a step": sets(train__accumulate=3), "120 tokens a batch": sets(train__tokens_per_batch=120),
                   "weights 2": ["--set", f'data.train.sources=[{{path="{self.folder}/data/train.jsonl",weight=2}}]']}
        for words, change in changes.items():
            done = self.train(run, *COMMON, *short, *sets(train__steps=6), *change, "--resume", code=4)
            self.assertIn("the run drew its samples otherwise", done.stderr)
            self.assertIn(words, done.stderr)
            self.assertIn("--accept-changes", done.stderr)
        two = ["--set", f'data.train.sources=[{{path="{self.folder}/data/held.jsonl"}}]', *sets(train__steps=6, train__accumulate=3)]
        done = self.train(run, *COMMON, *short, *two, "--resume", code=4)
        self.assertRegex(done.stderr, "the data is not what the run was trained on: .*; the run drew its samples otherwise: .*3 rows of batches a step")
        done = self.train(run, *COMMON, *short, *sets(train__steps=6, train__accumulate=3), "--resume", "--accept-changes")
        self.assertIn("the run goes on with what is there now", done.stderr)
        self.assertEqual(list(losses(run)), list(range(1, 7)))
        data = self.folder / "data" / "more.jsonl"
        data.write_bytes((self.folder / "data" / "train.jsonl").read_bytes())
        source = ["--set", f'data.train.sources=[{{path="{data}"}}]']
        other = self.folder / "more"
        self.train(other, *COMMON, *short, *source)
        data.write_text(data.read_text() + data.read_text().splitlines()[0] + "\n")
        done = self.train(other, *COMMON, *short, *sets(train__steps=6), *source, "--resume", code=4)
        self.assertIn("the data is not what the run was trained on", done.stderr)
        self.train(other, *COMMON, *short, *sets(train__steps=6), *source, "--resume", "--accept-changes")
        self.assertEqual(list(losses(other)), list(range(1, 7)))

    def test_another_number_of_sources(self):
        run, short = self.folder / "sources", sets(train__steps=4, train__checkpoint_every=2)
        self.train(run, *COMMON, *short)
        data = self.folder / "data" / "train.jsonl"
        two = ["--set", f'data.train.sources=[{{path="{data}"}}, {{path="{data}"}}]']
        done = self.train(run, *COMMON, *short, *sets(train__steps=6), *two, "--resume", code=4)
        self.assertIn("the run drew from 1 data sources; now there are 2", done.stderr)
        done = self.train(run, *COMMON, *short, *sets(train__steps=6), *two, "--resume", "--accept-changes")
        self.assertIn("all of them are drawn from the beginning", done.stderr)
        self.assertEqual(list(losses(run)), list(range(1, 7)))
        self.train(run, *COMMON, *short, *sets(train__steps=8), *two, "--resume")
        self.assertEqual(list(losses(run)), list(range(1, 9)))

    def test_seed_matters(self):
        other = self.folder / "other_seed"
        self.train(other, *COMMON, *sets(train__seed=5, train__steps=3))
        self.assertNotEqual(losses(other)[1], losses(self.undisturbed_run())[1])


if __name__ == "__main__":
    main()
