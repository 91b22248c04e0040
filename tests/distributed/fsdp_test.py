"""Processes that cut a model up among them train what one process trains."""

import json
import random
import signal
import subprocess
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from together import ALL, COMMON, Together, experts, tensors
from harness import PROGRAM, checkpoints, losses, main, records, sets

HYBRID, BETWEEN = sets(parallel__fsdp=2), sets(parallel__reshard="false")


class Fsdp(Together):
    MESH = sets(parallel__fsdp=2)

    def test_lora(self):
        """By 2 processes, and by 4 of which two cut up each copy."""
        self.compare("lora")

    def test_everything_trained(self):
        self.compare("all", *ALL)

    def test_whole_during_a_step(self):
        self.compare("between", *ALL, *BETWEEN)

    def test_cut_in_four(self):
        self.compare("four", *ALL, *sets(parallel__fsdp=4), counts=(4,))

    def compare(self, name, *args, config=None, counts=(2, 4)):
        """One process has no use for parallel.fsdp above 1."""
        return super().compare(name, *args, config=config, counts=counts)

    def run_with(self, name, processes, *args, config=None, code=0):
        if processes == 1:
            pairs = list(zip(args[::2], args[1::2]))
            args = [word for pair in pairs if not pair[1].startswith("parallel.") for word in pair]
        return super().run_with(name, processes, *args, config=config, code=code)

    def test_experts(self):
        self.compare("experts", config=experts(self), counts=(2,))

    def test_two_batches_a_step_to_the_bit(self):
        """Two numbers have one sum; only the norm that clips is added up in another order."""
        args = [*ALL, *sets(train__accumulate=2, train__clip_norm=0)]
        one, _ = self.run_with("bits_1", 1, *args)
        for name, more in (("fsdp", []), ("between", BETWEEN), ("recompute", sets(train__recompute='"full"'))):
            with self.subTest(name):
                two, _ = self.run_with(f"bits_{name}", 2, *args, *more)
                self.assertEqual(losses(one), losses(two))
                for kind in ("parameters", "state"):
                    left, right = tensors(one, kind), tensors(two, kind)
                    self.assertEqual(left.keys(), right.keys())
                    for key, value in left.items():
                        self.assertTrue((value == right[key]).all(), key)

    def test_frozen_blocks_before_batches_without_media(self):
        """Only connectors learn, and not every process's batch has media: all go through the backward pass."""
        data = self.config.parent / "data" / "train.jsonl"
        mixed = data.with_name("mixed.jsonl")
        lines = [json.loads(line) for line in data.read_text().splitlines()]
        for i, line in enumerate(lines):
            if i % 3:
                line["messages"][0]["content"] = [{"type": "text", "text": "What colour is the picture?"}]
        mixed.write_text("".join(json.dumps(line) + "\n" for line in lines))
        text = self.config.read_text()
        path = self.folder / "connectors.toml"
        path.write_text(text[: text.index("[[model.llm.peft]]")] + text[text.index("[model.streams.image]") :])
        only = ["--set", f'data.train.sources=[{{ path = "{mixed}" }}]', *sets(train__tokens_per_batch=48)]
        one = self.compare("connectors", *only, config=path, counts=(2,))
        self.assertTrue(any(record["media/image"] + record["media/audio"] < 4 for record in records(one / "metrics.jsonl")))  # of 4 batches

    def test_resumed_on_other_meshes(self):
        constant = sets(train__schedule__name='"constant"')
        whole, _ = self.run_with("whole", 1, *ALL, *constant)
        run = self.folder / "handed_on"
        stations = ((3, 2, 2, "true"), (5, 4, 2, "true"), (6, 4, 4, "true"), (8, 1, 1, "true"), (10, 2, 1, "true"), (12, 2, 2, "false"))
        for i, (steps, processes, fsdp, reshard) in enumerate(stations):
            verb = ("launch", self.config, "--procs", processes) if processes > 1 else ("train", self.config)
            mesh = sets(parallel__fsdp=fsdp, parallel__reshard=reshard)
            self.call(*verb, *sets(train__output=run), *COMMON, *ALL, *constant, *mesh, *sets(train__steps=steps), *(["--resume"] if i else []))
            names = sorted(path.name for path in (run / "checkpoints" / f"step_{steps}").glob("parameters*"))
            self.assertEqual(names, ["parameters.safetensors"] if fsdp == 1 else [f"parameters_{k + 1:05}-of-{fsdp:05}.safetensors" for k in range(fsdp)])
        self.assertEqual(list(losses(run)), list(range(1, 13)))
        self.assert_same_progress(whole, run)
        self.assert_close(whole, run, 2e-5)

    def test_what_is_written_can_be_used(self):
        """Evaluated, exported, and taken as weights, as what one process wrote."""
        outputs = []
        for processes in (1, 2):
            run, _ = self.run_with(f"used_{processes}", processes, *ALL, *sets(train__accumulate=2, train__clip_norm=0))
            done = self.call("eval", run, "--only", "held", "--output", self.folder / f"eval_{processes}")
            self.call("export", run, "--output", self.folder / f"exported_{processes}")
            files = sorted((self.folder / f"exported_{processes}").rglob("*.safetensors")) + sorted((run / "connectors").glob("*"))
            outputs.append((done.stdout.splitlines()[-1], [(path.name, path.read_bytes()) for path in files]))
            second = self.folder / f"second_{processes}"
            taken = sets(model__llm__weights=f'"{run}"', model__streams__image__encoder__weights=f'"{run}"', model__streams__image__connector__weights=f'"{run}"')
            self.train(second, *COMMON, *taken, *sets(train__steps=2))
            outputs[-1] += (losses(second),)
        self.assertGreater(len(outputs[0][1]), 1)
        self.assertEqual(outputs[0], outputs[1])

    def test_held_out_losses(self):
        """The processes do not measure equally many samples."""
        args = sets(train__eval_every=4, train__accumulate=2, eval__batch_size=1)
        one, _ = self.run_with("held_1", 1, *args)
        two, _ = self.run_with("held_2", 2, *args)
        values = [[r["eval/held/loss"] for r in records(run / "metrics.jsonl") if "eval/held/loss" in r] for run in (one, two)]
        self.assertEqual(len(values[0]), 3)
        for left, right in zip(*values):
            self.assertAlmostEqual(left, right, delta=1e-5 * left)

    def test_killed(self):
        args = [*sets(train__accumulate=2, train__steps=40, train__checkpoint_every=3, train__optimizer__eps=1e-5, train__tokens_per_batch=96, precision__compute="fp32"), *ALL, *self.MESH]
        whole = self.folder / "undisturbed"
        self.call("launch", self.config, "--procs", 2, *sets(train__output=whole), *args)
        chance = random.Random(3)
        for i in range(3):
            run = self.folder / f"killed_{i}"
            process = self.start("launch", self.config, "--procs", 2, *sets(train__output=run), *args)
            self.wait_for_step(run, chance.randrange(4, 35), process)
            children = [int(word) for word in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]
            subprocess.run(["kill", "-9", str(chance.choice(children))], check=True)
            _, err = process.communicate(timeout=60)
            self.assertEqual(process.returncode, 0, err[-3000:])
            self.assertIn("started again", err)
            self.assert_same_run(whole, run)

    def test_stopped_by_a_signal(self):
        run = self.folder / "stopped"
        args = [*sets(train__output=run, train__accumulate=2, train__steps=400, train__checkpoint_every=100, train__tokens_per_batch=96, precision__compute="fp32"), *self.MESH]
        process = self.start("launch", self.config, "--procs", 2, *args)
        self.wait_for_step(run, 5, process)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 75, err[-3000:])
        self.assertEqual(len(checkpoints(run)), 1)
        self.call("train", self.config, *sets(train__output=run, train__accumulate=2, train__steps=int(checkpoints(run)[0][5:]) + 2, train__tokens_per_batch=96, precision__compute="fp32"), "--resume")

    def test_what_cannot_be_cut_up(self):
        _, done = self.run_with("muon", 2, *sets(train__optimizer__name='"muon"'), code=2)
        self.assertIn('train.optimizer.name = "muon" needs whole matrices, and parallel.fsdp = 2 cuts them up', done.stderr)
        _, done = self.run_with("three", 2, *sets(parallel__fsdp=3), code=2)
        self.assertIn("parallel.replicate = 0 (what is left) times parallel.fsdp = 3 is not the number of processes, 2", done.stderr)
        _, done = self.run_with("product", 2, *sets(parallel__replicate=2), code=2)
        self.assertIn("parallel.replicate = 2 times parallel.fsdp = 2 is not the number of processes, 2", done.stderr)
        done = self.call("train", self.config, *sets(train__output=self.folder / "alone", parallel__fsdp=2), code=2)
        self.assertIn("is not the number of processes, 1", done.stderr)


if __name__ == "__main__":
    main()
