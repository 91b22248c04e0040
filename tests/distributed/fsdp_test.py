"""Processes that cut a model up among them train what one process trains."""

import json
import os
import random
import signal
import subprocess
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from together import ALL, COMMON, CONFORMER, FIXED, READ, Together, children, experts, tensors
import make_tiny
from harness import LIMIT, checkpoints, losses, main, records, sets

BETWEEN = sets(parallel__reshard="false")
SHIM = os.environ.get("FAULT_SHIM", "")


class Fsdp(Together):
    MESH = sets(parallel__fsdp=2)

    def test_methods(self):
        """Parameters of a block of which most are frozen, among them."""
        self.compare_methods()

    def test_lora(self):
        """By 2 processes, and by 4 of which two cut up each copy."""
        self.compare("lora")

    def test_batch_statistics(self):
        self.compare("conformer", config=self.edited("conformer", CONFORMER), counts=(2,))

    def test_everything_trained(self):
        self.compare("all", *ALL)

    def test_frozen_by_name(self):
        self.compare_frozen()

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

    def test_vectors_added_between_blocks(self):
        """Of a tower's first blocks, as Qwen3-VL has them, if blocks are gathered and freed one by one, or kept."""
        source, pictures = self.folder / "models" / "qwen3_vl", self.folder / "data" / "pictures.jsonl"
        make_tiny.write_qwen3_vl(source)
        make_tiny.write_set(pictures, self.TRAIN, seed=41, kinds=("image",))
        text = self.config.read_text()
        parts = text[text.index("[model.llm]") : text.index("[[data.train.sources]]")]
        config = self.edited("taps", (parts, f'[model]\nfrom = "{source}"\n'), ("data/train.jsonl", "data/pictures.jsonl"))
        args = [*ALL, *sets(train__tokens_per_batch=512, train__accumulate=2, train__steps=4)]
        self.compare("taps", *args, config=config, counts=(2,))
        self.compare("taps_between", *args, *BETWEEN, config=config, counts=(2,))

    def test_experts(self):
        self.compare("experts", config=experts(self), counts=(2,))

    def test_two_batches_a_step_to_the_bit(self):
        """Two numbers have one sum; only the norm that clips is added up in another order."""
        unclipped, wide, half = sets(train__accumulate=2, train__clip_norm=0), sets(precision__compute="fp32"), sets(precision__compute="bf16")
        runs = {"fsdp": [*ALL, *wide], "between": [*ALL, *wide, *BETWEEN], "recompute": [*ALL, *wide, *sets(train__recompute='"full"')], "bf16": [*ALL, *half],
                "frozen": [*wide, *sets(parallel__shard_frozen="true")], "int8": [*wide, *sets(precision__weights="int8")],
                "fp8": [*ALL, *wide, *sets(precision__linear="fp8")], "frozen in fp8": [*wide, *sets(precision__linear="fp8", parallel__shard_frozen="true")]}
        for name, args in runs.items():
            with self.subTest(name):
                one, _ = self.run_with(f"bits_{name}_1", 1, *args, *unclipped)
                two, _ = self.run_with(f"bits_{name}_2", 2, *args, *unclipped)
                self.assertEqual(losses(one), losses(two))
                for kind in ("parameters", "state"):
                    left, right = tensors(one, kind), tensors(two, kind)
                    self.assertEqual(left.keys(), right.keys())
                    for key, value in left.items():
                        self.assertTrue((value == right[key]).all(), key)

    def test_frozen_blocks_in_the_hosts_memory(self):
        """Adapters on blocks whose matrices come and go: to the bit what they give without."""
        offload = sets(parallel__offload_frozen="true")
        for name, args in (("plain", []), ("recompute", sets(train__recompute='"full"')), ("fp8", sets(precision__linear='"fp8"')), ("connectors", [])):
            with self.subTest(name):
                config = self.connectors_only() if name == "connectors" else self.config
                runs = [super(Fsdp, self).run_with(f"offload_{name}_{i}", 1, *sets(parallel__fsdp=1), *args, *more, config=config) for i, more in enumerate(([], offload))]
                self.assertIn("of frozen blocks stay in the host's memory", runs[1][1].stderr)
                self.assertEqual(losses(runs[0][0]), losses(runs[1][0]))
                left, right = (tensors(run) for run, _ in runs)
                for key, value in left.items():
                    self.assertTrue((value == right[key]).all(), key)
        one, _ = self.run_with("offload_1", 1)
        for name, mesh in (("copies", sets(parallel__fsdp=1)), ("shards", []), ("cut up", sets(parallel__shard_frozen="true")), ("parts", sets(parallel__fsdp=1, parallel__tensor=2)), ("contexts", sets(parallel__fsdp=1, parallel__context=2))):
            with self.subTest(name):
                two, _ = self.run_with(f"offload_{name}", 2, *offload, *mesh)
                self.assert_same_training(one, two)
        config = self.with_method(READ)
        one, _ = self.run_with("offload_read_1", 1, *FIXED, config=config)
        for name, mesh in (("read", sets(parallel__fsdp=1)), ("read_cut", sets(parallel__shard_frozen="true"))):
            with self.subTest(name):
                two, _ = self.run_with(f"offload_{name}", 2, *FIXED, *(offload if name == "read" else []), *mesh, config=config)
                self.assert_same_training(one, two)
        _, done = self.run_with("offload_refused", 2, *offload, *ALL, code=2)
        self.assertIn("and there are none", done.stderr)

    def test_other_optimizers(self):
        """What is updated value by value may lie in pieces."""
        for name, rate in (("sgd", 0.1), ("lion", 0.001)):
            with self.subTest(name):
                self.compare(name, *ALL, *sets(train__optimizer=f'{{name="{name}",lr={rate}}}'), counts=(2,))

    def test_whole_matrices(self):
        """Optimizers that look at whole matrices: each is put together in one process, which keeps its state. Without the encoder, whose biases of
        keys have gradients of rounding alone, of which an optimizer that divides by them makes whole steps."""
        trained = sets(model__llm__trainable="true")
        for name in ("muon", "adafactor", "adamw_8bit"):
            with self.subTest(name):
                rate = sets(train__optimizer=f'{{name="{name}",lr=0.001}}')
                one = self.compare(name, *trained, *rate, counts=(2,))
                parts, _ = self.run_with(f"{name}_parts", 4, *trained, *rate, *sets(parallel__tensor=2))
                self.assert_same_training(one, parts)
        run = self.folder / "muon_parts"
        written = [path.name for path in sorted((run / "checkpoints" / checkpoints(run)[0]).glob("state*"))]
        self.assertEqual(len(written), 4)

    def test_whole_matrices_on_other_meshes(self):
        muon = sets(train__steps=12, train__optimizer='{name="muon",lr=0.001}', train__schedule__name='"constant"')
        whole, _ = self.run_with("muon_whole", 1, *ALL, *muon)
        stations = ((3, 2, sets(parallel__fsdp=2)), (6, 4, sets(parallel__tensor=2, parallel__fsdp=2)), (9, 1, []), (12, 2, sets(parallel__tensor=2)))
        run = self.folder / "handed_muon"
        for i, (steps, processes, mesh) in enumerate(stations):
            verb = ("launch", self.config, "--procs", processes) if processes > 1 else ("train", self.config)
            self.call(*verb, *sets(train__output=run), *COMMON, *ALL, *muon, *mesh, *sets(train__steps=steps), *(["--resume"] if i else []))
        self.assert_same_training(whole, run)

    def test_averages(self):
        """Kept in pieces, and put together for what is measured and written."""
        self.compare_averages(*ALL)
        for name in ("shards", "states"):
            runs = [self.run_with(f"averages_{name}_{n}", n, *sets(train__ema__decay=0.8), *(BETWEEN if n > 1 and name == "states" else []))[0] for n in (1, 2)]
            self.assert_same_training(*runs)
            left, right = (self.exported(run) for run in runs)
            self.assertEqual(left.keys(), right.keys())
            for key, value in left.items():
                self.assertLessEqual(abs(value - right[key]).max(), 1e-4 * abs(value).max() + 1e-6, key)

    def exported(self, run):
        """The connectors and adapters that a run writes at its end."""
        from safetensors.numpy import load_file

        return {f"{path.parent.name}/{path.name} {key}": value for path in sorted(run.rglob("*.safetensors")) if "checkpoints" not in path.parts for key, value in load_file(path).items()}

    def test_frozen_blocks_before_batches_without_media(self):
        """Only connectors learn, and not every process's batch has media: all go through the backward pass."""
        data = self.config.parent / "data" / "train.jsonl"
        mixed = data.with_name("mixed.jsonl")
        lines = [json.loads(line) for line in data.read_text().splitlines()]
        for i, line in enumerate(lines):
            if i % 3:
                line["messages"][0]["content"] = [{"type": "text", "text": "What colour is the picture?"}]
        mixed.write_text("".join(json.dumps(line) + "\n" for line in lines))
        only = ["--set", f'data.train.sources=[{{ path = "{mixed}" }}]', *sets(train__tokens_per_batch=48)]
        one = self.compare("connectors", *only, config=self.connectors_only(), counts=(2,))
        self.assertTrue(any(record["media/image"] + record["media/audio"] < 4 for record in records(one / "metrics.jsonl")))  # of 4 batches

    def test_resumed_on_other_meshes(self):
        constant = sets(train__steps=12, train__schedule__name='"constant"')
        whole, _ = self.run_with("whole", 1, *ALL, *constant)
        stations = ((3, 2, 2, "true"), (5, 4, 2, "true"), (6, 4, 4, "true"), (8, 1, 1, "true"), (10, 2, 1, "true"), (12, 2, 2, "false"))
        run = self.hand_on([(steps, processes, sets(parallel__fsdp=fsdp, parallel__reshard=reshard)) for steps, processes, fsdp, reshard in stations], *ALL, *constant)
        self.assert_same_progress(whole, run)
        self.assert_close(whole, run, 2e-5)

    def station(self, run, steps, mesh):
        fsdp = int(mesh[1].split("=")[1])
        names = sorted(path.name for path in (run / "checkpoints" / f"step_{steps}").glob("parameters*"))
        self.assertEqual(names, ["parameters.safetensors"] if fsdp == 1 else [f"parameters_{k + 1:05}-of-{fsdp:05}.safetensors" for k in range(fsdp)])

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
        self.compare_held_out(1e-5, *sets(train__accumulate=2, eval__batch_size=1))

    def test_killed(self):
        args = [*sets(train__accumulate=2, train__steps=40, train__checkpoint_every=3, train__optimizer__eps=1e-5, train__tokens_per_batch=96, precision__compute="fp32"), *ALL, *self.MESH]
        whole = self.folder / "undisturbed"
        self.call("launch", self.config, "--procs", 2, *sets(train__output=whole), *args)
        chance = random.Random(3)
        for i in range(3):
            run = self.folder / f"killed_{i}"
            process = self.start("launch", self.config, "--procs", 2, *sets(train__output=run), *args)
            self.wait_for_step(run, chance.randrange(4, 35), process)
            subprocess.run(["kill", "-9", str(chance.choice(children(process)))], check=True)
            _, err = process.communicate(timeout=60)
            self.assertEqual(process.returncode, 0, err[-3000:])
            self.assertIn("started again", err)
            self.assert_same_run(whole, run)

    ONE_SHARE = [*ALL, *sets(train__accumulate=2, train__steps=12, train__checkpoint_every=4, train__tokens_per_batch=96, precision__compute="fp32", parallel__fsdp=2)]

    @unittest.skipUnless(SHIM, "without the library that lets calls fail")
    def test_a_share_that_cannot_be_written(self):
        """The second process's disk is full at its first checkpoint: all give that one up, and the next ones succeed."""
        run = self.folder / "full"
        fault = {"LD_PRELOAD": SHIM, "FAULT_BELOW": str(run / "checkpoints"), "FAULT_CALL": "fsync", "FAULT_AT": "1", "FAULT_MODE": "ENOSPC"}
        codes, texts = self.by_hand(run, [{}, fault], *self.ONE_SHARE)
        self.assertEqual(codes, [0, 0], texts)
        self.assertIn("No space left on device", texts[1])
        self.assertIn("another process could not do its part of the checkpoint", texts[0])
        self.assertEqual(checkpoints(run), ["step_12", "step_8"])
        self.assertEqual([record["train/checkpoint_failures"] for record in records(run / "metrics.jsonl")][-1], 1)
        self.assertEqual(len(list((run / "checkpoints").iterdir())), 2)

    @unittest.skipUnless(SHIM, "without the library that lets calls fail")
    def test_killed_at_each_call_for_a_share(self):
        """Both processes, each at its own k-th call below the folder of checkpoints."""
        whole = self.folder / "never_killed"
        self.call("launch", self.config, "--procs", 2, *sets(train__output=whole), *self.ONE_SHARE)
        killed = 0
        for k in range(1, 200) if os.environ.get("ANTIPHON_LONG") else (1, 3, 6, 9, 14, 20, 27, 35, 44):
            run = self.folder / f"killed_at_{k}"
            env = {**os.environ, "LD_PRELOAD": SHIM, "FAULT_BELOW": str(run / "checkpoints"), "FAULT_AT": str(k), "FAULT_MODE": "kill"}
            process = self.start("launch", self.config, "--procs", 2, "--restarts", 0, *sets(train__output=run), *self.ONE_SHARE, env=env)
            process.communicate(timeout=LIMIT)
            killed += process.returncode != 0
            if process.returncode:
                self.call("launch", self.config, "--procs", 2, "--resume", *sets(train__output=run), *self.ONE_SHARE)
            self.assert_same_run(whole, run)
            self.assertEqual([path.name for path in (run / "checkpoints").iterdir() if not path.name.startswith("step_")], [])
        self.assertGreater(killed, 5)

    def test_one_is_asked_to_stop_early(self):
        """Most often before the first step, when there is nothing to write."""
        run = self.folder / "early"
        process = self.start("launch", self.config, "--procs", 2, *sets(train__output=run), *self.ONE_SHARE, *sets(train__steps=100000))
        while not (run / "config.toml").exists():  # written when all have met
            self.assertIsNone(process.poll())
            time.sleep(0.001)
        os.kill(children(process)[1], signal.SIGTERM)
        _, err = process.communicate(timeout=LIMIT)
        self.assertEqual(process.returncode, 75, err[-3000:])
        self.assertEqual([path.name for path in (run / "checkpoints").glob(".tmp*")], [])

    def test_processes_that_are_told_different_meshes(self):
        codes, texts = self.by_hand(self.folder / "told", [{}, {}], *COMMON, of_each=[sets(parallel__fsdp=1), sets(parallel__fsdp=2)])
        self.assertEqual(codes, [2, 2], texts)
        self.assertIn("[parallel] of the configuration", texts[0])

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
        _, done = self.run_with("three", 2, *sets(parallel__fsdp=3), code=2)
        self.assertIn("parallel.replicate = 0 (what is left) times parallel.fsdp = 3 is not the number of processes, 2", done.stderr)
        _, done = self.run_with("product", 2, *sets(parallel__replicate=2), code=2)
        self.assertIn("parallel.replicate = 2 times parallel.fsdp = 2 is not the number of processes, 2", done.stderr)
        done = self.call("train", self.config, *sets(train__output=self.folder / "alone", parallel__fsdp=2), code=2)
        self.assertIn("is not the number of processes, 1", done.stderr)


if __name__ == "__main__":
    main()
