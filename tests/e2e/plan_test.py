"""`antiphon plan` says what training then holds and sends."""

import json
import re
import subprocess
import sys
import unittest
import unittest.mock
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "distributed"))

from starters_test import namespaces_can_be_made
from together import ALL, COMMON, Together, experts, limited_experts
from harness import LONG, main, records, sets
import tiny_dual

CONTROL = 1200  # bytes a step for each other process: records, ledgers, norms, who has gradients


class Plan(Together):
    TRAIN, HELD = 60, 6

    def planned(self, processes, *args, config=None):
        done = self.call("plan", config or self.config, "--gpus", processes, "--json", *COMMON, *args, threads=None)
        return json.loads(done.stdout)["processes"]

    def measured(self, name, *args, config, processes=1):
        """The most that tensors took in the first step, beside what there was before it: of the first process, and of that which needs most."""
        run = self.folder / name
        verb = ("launch", config, "--procs", processes) if processes > 1 else ("train", config)
        self.call(*verb, *sets(train__output=run), *COMMON, *args, *sets(train__steps=1), "--profile", "--profile-steps", 1)
        values = records(run / "metrics.jsonl")[0]
        return values["train/step_memory_bytes"], values.get("profile/most_step_memory_bytes")

    def compare_memory(self, name, processes, *args, config, kept=0):
        """What a step takes beside what is held, planned and measured, of the first process and of that which needs most. `kept`: what kernels of a GPU keep, and
        those of the CPU do not."""
        plans = [plan["gradients"] + plan["working"] - kept for plan in self.planned(processes, *args, config=config)]
        first, most = self.measured(name, *args, config=config, processes=processes)
        self.assertAlmostEqual(plans[0], first, delta=0.05 * first)
        if processes > 1:
            self.assertAlmostEqual(max(plans), most, delta=0.05 * most)
        return most or first

    def wide(self):
        config = self.drawn("wide", 8, hidden_size=96, intermediate_size=200)
        text = re.sub(r"targets = \[.*\]", 'targets = ["q_proj", "o_proj", "down_proj"]', config.read_text())
        config.write_text(text.replace("dropout = 0.1", "dropout = 0.0"))
        return config

    def test_memory(self):
        """By kernels of the CPU in place of those of a GPU: the loss, which they compute otherwise, is in small pieces, and what attention gives, which they do
        not keep, is kept by an adapter."""
        config = self.wide()
        tokens = sets(train__tokens_per_batch=2048, train__accumulate=2, train__logits_chunk=64)
        most = {}
        for name, args in {"lora": [], "all": ALL, "recompute": [*ALL, *sets(train__recompute='"full"')], "some": [*ALL, *sets(train__recompute=4)]}.items():
            with self.subTest(name):
                most[name] = self.compare_memory(name, 1, *tokens, *args, config=config)
        self.assertLess(most["recompute"], 0.5 * most["all"])  # else nothing was compared
        again = [*tokens, *ALL, *sets(train__recompute='"full"')]
        (kept,), (gone,) = (self.planned(1, *again, *more, config=config) for more in ([], sets(train__offload_activations="true")))
        self.assertAlmostEqual(kept["working"] - gone["working"], 7 * 2048 * 96 * 4, delta=0.2 * 8 * 2048 * 96 * 4)  # the inputs of eight blocks, of which one is in use

    def test_memory_of_several_processes(self):
        """Of each axis, and of each schedule of a pipeline."""
        config, tokens = self.wide(), sets(train__tokens_per_batch=2048, train__accumulate=2, train__logits_chunk=64)
        stages = sets(parallel__pipeline=2, train__accumulate=4)  # several are under way
        meshes = {"replicate": [], "fsdp": sets(parallel__fsdp=2), "between": sets(parallel__fsdp=2, parallel__reshard="false"), "tensor": sets(parallel__tensor=2),
                  "context": sets(parallel__context=2), "1f1b": stages, **{name: [*stages, *sets(parallel__schedule=f'"{name}"')] for name in ("gpipe", "zero_bubble")},
                  "interleaved": [*stages, *sets(parallel__schedule='"interleaved"', parallel__chunks=2)]}
        trained = {"lora": [], "all": ALL, "recompute": [*ALL, *sets(train__recompute='"full"')]}
        for i, (name, mesh) in enumerate(meshes.items()):
            for what, args in trained.items() if LONG else [list(trained.items())[1 if name == "interleaved" else i % 3]]:
                # Of each layer what attention gives for half of the heads, which is exchanged before o_proj reads it.
                kept = 8 * 2048 * (96 // 2) * 4 if name == "context" and what != "recompute" else 0
                if (name, what) == ("interleaved", "recompute"):
                    continue  # the next test
                with self.subTest(f"{name} {what}"):
                    self.compare_memory(f"memory_{name}_{what}", 2, *tokens, *args, *mesh, config=config, kept=kept)

    def test_memory_of_recomputed_chunks(self):
        """At a larger width: many batches are under way, and what the host keeps of each is not a part of the plan."""
        config = self.drawn("wider", 8, hidden_size=192, intermediate_size=400)
        mesh = sets(parallel__pipeline=2, parallel__schedule='"interleaved"', parallel__chunks=2)
        self.compare_memory("memory_of_chunks", 2, *sets(train__tokens_per_batch=1024, train__accumulate=4, train__logits_chunk=64, train__recompute='"full"'), *ALL, *mesh, config=config)

    def test_memory_of_experts(self):
        """In the plan each expert has as many tokens."""
        sizes = (("hidden_size = 32", "hidden_size = 96"), ("moe_intermediate_size = 16", "moe_intermediate_size = 64"), ("intermediate_size = 48", "intermediate_size = 200"))
        config = self.edited("wide_experts", *((f"\n{small}\n", f"\n{wide}\n") for small, wide in sizes), config=experts(self))
        tokens = sets(train__tokens_per_batch=2048, train__accumulate=2, train__logits_chunk=64)
        for name, processes, mesh in (("alone", 1, []), ("expert", 2, sets(parallel__expert=2)), ("tensor", 2, sets(parallel__tensor=2))):
            with self.subTest(name):
                self.compare_memory(f"experts_{name}", processes, *tokens, *mesh, config=config)

    def test_options_whose_kernels_are_few(self):
        """Capped scores, and experts with a capacity, are planned as they are trained."""
        gemma = self.drawn("gemma", 2, head_size=8, attn_logit_softcapping=5.0)
        gemma.write_text(gemma.read_text().replace('plugin = "llama"', 'plugin = "gemma"'))
        for config in (gemma, limited_experts(self)):
            with self.subTest(config.name):
                plan, = self.planned(1, config=config)
                self.assertGreater(plan["working"], 0)

    def test_dual_encoder(self):
        """Whose pairs are compared in one pass, or once over all batches with a second pass over each."""
        with unittest.mock.patch.object(tiny_dual, "HIDDEN", 256):
            config = tiny_dual.config_of_pairs(self.config, self.folder)
        most = {}
        for batches in (1, 4):
            args = sets(train__tokens_per_batch=2048, train__accumulate=batches)
            plan, = self.planned(1, *args, config=config)
            self.compare_memory(f"pairs_{batches}", 1, *args, config=config)
            most[batches] = plan["most"]
        self.assertLess(most[1], most[4])
        self.assertLess(most[4], 1.5 * most[1])  # one batch's activations at a time
        for name, mesh in {"replicate": [], "fsdp": sets(parallel__fsdp=2), "tensor": sets(parallel__tensor=2)}.items():
            args = [*sets(train__tokens_per_batch=128, train__accumulate=4), *mesh]
            expected, sent = self.sent(f"pairs_sent_{name}", 2, *args, config=config)
            self.assertLessEqual(expected, sent)
            self.assertLess(sent, expected + CONTROL)

    def test_sent(self):
        """By process 0, but for what all agree on at each step."""
        meshes = {"replicate": [], "fsdp": sets(parallel__fsdp=2), "between": sets(parallel__fsdp=2, parallel__reshard="false"), "tensor": sets(parallel__tensor=2),
                  "context": sets(parallel__context=2), "pipeline": sets(parallel__pipeline=2), "zero": sets(parallel__pipeline=2, parallel__schedule='"zero_bubble"')}
        for name, mesh in meshes.items():
            for what, args in {"lora": [], "all": ALL}.items():
                with self.subTest(f"{name} {what}"):
                    expected, sent = self.sent(f"{name}_{what}", 2, *args, *mesh)
                    self.assertLessEqual(expected, sent)
                    self.assertLess(sent, expected + CONTROL)

    def on_the_wire(self, name, steps, *args, config):
        """Bytes that the loopback interface of a network of their own has carried for a run of two processes."""
        words = self.command("launch", config, "--procs", 2, *sets(train__output=self.folder / f"{name}_{steps}"), *COMMON, *args, *sets(train__steps=steps))
        done = subprocess.run(["unshare", "--net", "bash", "-c", 'ip link set lo up && "$@" && grep lo: /proc/net/dev', "_", *words], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr[-3000:])
        return int(done.stdout.splitlines()[-1].split(":")[1].split()[8])

    @unittest.skipUnless(namespaces_can_be_made(), "no network namespaces can be made")
    def test_bytes_on_the_wire(self):
        """By the kernel's count: what both processes send in a step is what was planned, headers of TCP and what is agreed on included, within 5 %."""
        config = self.wide()
        meshes = {"replicate": [], "fsdp": sets(parallel__fsdp=2), "between": sets(parallel__fsdp=2, parallel__reshard="false"), "tensor": sets(parallel__tensor=2),
                  "context": sets(parallel__context=2), "pipeline": sets(parallel__pipeline=2)}
        for name, mesh in meshes.items():
            with self.subTest(name):
                tokens = 96 if name in ("replicate", "fsdp", "between") else 1024  # they send parameters and gradients, however many tokens there are
                args = [*ALL, *sets(train__tokens_per_batch=tokens, train__accumulate=4, train__checkpoint_every=100), *mesh]
                plans = self.planned(2, *args, config=config)  # one of processes that are alike
                planned = 2 / len(plans) * sum(entry["bytes"] for plan in plans for entry in plan["sent"].values())
                few, many = (self.on_the_wire(f"wire_{name}", steps, *args, config=config) for steps in (1, 3))
                self.assertAlmostEqual(planned, (many - few) / 2, delta=0.05 * planned)

    def test_sent_by_four(self):
        for name, mesh in {"fsdp_tensor": sets(parallel__fsdp=2, parallel__tensor=2), "pipeline_context": sets(parallel__pipeline=2, parallel__context=2)}.items():
            with self.subTest(name):
                expected, sent = self.sent(name, 4, *ALL, *mesh)
                self.assertLessEqual(expected, sent)
                self.assertLess(sent, expected + 3 * CONTROL)

    def test_sent_by_experts(self):
        """In the plan each expert has as many tokens."""
        expected, sent = self.sent("experts", 2, *sets(parallel__expert=2), config=experts(self))
        self.assertAlmostEqual(expected, sent, delta=0.1 * sent)

    def test_owners(self):
        """Optimizers of whole matrices: gradients that go to the owners, values that come back, and what an owner keeps."""
        trained = sets(model__llm__trainable="true")
        for name in ("muon", "adafactor", "adamw_8bit"):
            rule = sets(train__optimizer__name=f'"{name}"')
            alone, = self.planned(1, *trained, *rule)
            for axis in ("fsdp", "tensor"):
                with self.subTest(f"{name} {axis}"):
                    mesh = sets(**{f"parallel__{axis}": 2})
                    expected, sent = self.sent(f"{name}_{axis}", 2, *trained, *rule, *mesh)
                    self.assertLessEqual(expected, sent)
                    self.assertLess(sent, expected + CONTROL)
                    plan = self.planned(2, *trained, *rule, *mesh)[0]
                    self.assertGreater(plan["sent"]["copy exchange"]["calls"], 1)
                    if axis == "fsdp":  # all is cut up: half of the states, and of copies of what is trained
                        self.assertAlmostEqual(plan["optimizer"], (alone["optimizer"] + alone["trained"]) / 2, delta=0.1 * plan["optimizer"])

    def test_memory_of_owners(self):
        config = self.wide()
        args = [*ALL, *sets(train__optimizer__name='"muon"', train__tokens_per_batch=1024, train__accumulate=2, train__logits_chunk=64, parallel__fsdp=2)]
        self.compare_memory("owned", 2, *args, config=config)

    def test_what_is_on_the_host(self):
        config, tokens = self.wide(), sets(train__tokens_per_batch=2048, train__accumulate=2, train__logits_chunk=64)
        trained = sets(model__llm__trainable="true")
        plain, = self.planned(1, *trained, *tokens, config=config)
        for name, args in {"blocks": [], "whole": sets(parallel__reshard="false")}.items():
            with self.subTest(name):
                args = [*trained, *tokens, *args, *sets(parallel__offload_optimizer="true")]
                plan, = self.planned(1, *args, config=config)
                for key in ("trained", "optimizer", "gradients"):
                    self.assertEqual(plan[key], plain[key])
                self.assertEqual(plan["host"], plan["trained"] + plan["optimizer"] + plan["gradients"])
                self.assertLess(plan["most"], plain["most"] - plain["optimizer"])
                step, _ = self.measured(f"host_{name}", *args, config=config)
                # Gradients that are on the device until the end of the step only change their owner there.
                self.assertAlmostEqual(plan["working"] + (plan["gradients"] if name == "blocks" else 0), step, delta=0.05 * step)
        frozen, = self.planned(1, *sets(parallel__offload_frozen="true"))
        self.assertGreater(frozen["host"], 0)

    def sent(self, name, processes, *args, config=None):
        plan = self.planned(processes, *args, config=config)[0]
        run, _ = self.run_with(name, processes, *args, *sets(train__steps=1), config=config)
        return sum(entry["bytes"] for entry in plan["sent"].values()), records(run / "metrics.jsonl")[0]["train/sent_bytes"]

    def test_how_often(self):
        """Exchanges of a step of M batches through L blocks: whole blocks are gathered for each pass but once for the last block's two; reductions are one for
        each block and batch; without blocks, one for each 25 MB, in the last batch alone."""
        for layers, batches in ((2, 1), (2, 3), (5, 2)):
            with self.subTest(layers=layers, batches=batches):
                config = self.drawn(f"blocks_{layers}", layers)
                args = [*ALL, *sets(train__accumulate=2 * batches)]
                fsdp, copies = (self.planned(2, *args, *mesh, config=config)[0]["sent"] for mesh in (sets(parallel__fsdp=2), []))
                self.assertEqual(fsdp["fsdp gather"]["calls"], batches * (2 * layers - 1) + 1)  # and what is not a block, before the step
                self.assertEqual(fsdp["fsdp scatter_sum"]["calls"], batches * layers + 1)
                self.assertEqual(copies["all sum"]["calls"], 2)  # the gradients, and who has some

    def test_encoders_are_shared(self):
        """The second process of a cell encodes media, too, and sends what it got."""
        for axis in ("tensor", "context"):
            with self.subTest(axis):
                first, second = (plan["sent"].get(f"{axis} exchange", {"bytes": 0})["bytes"] for plan in self.planned(2, *sets(**{f"parallel__{axis}": 2})))
                self.assertLess(first, second)
        learns = [plan["sent"] for plan in self.planned(2, *ALL, *sets(parallel__tensor=2), "--set", "model.streams.audio.encoder.trainable=true")]
        self.assertNotIn("tensor exchange", learns[1])

    def test_many_processes(self):
        """Of 1,024 only those that differ are computed."""
        mesh = sets(parallel__tensor=2, parallel__context=2, parallel__pipeline=4, parallel__fsdp=8, parallel__reshard="false", train__accumulate=256)
        plans = self.planned(1024, *ALL, *mesh, config=self.drawn("deep", 8))
        self.assertEqual([plan["rank"] for plan in plans], [0, 3, 256, 259, 768, 771])
        uneven = self.planned(4, *ALL, *sets(parallel__pipeline=4, parallel__layers_per_stage="[1, 1, 5, 1]"), config=self.drawn("deep", 8))
        self.assertEqual(max(uneven, key=lambda plan: plan["trained"])["rank"], 2)

    def test_what_a_person_sees(self):
        done = self.call("plan", self.config, "--gpus", 8, *sets(parallel__fsdp=2, parallel__tensor=2, train__accumulate=4), threads=None)
        self.assertIn("8 processes, 4 batches of at most", done.stdout)
        self.assertRegex(done.stdout, r"0  part 0 of 2 .*\n +1  part 1 of 2 ")
        self.assertRegex(done.stdout, r"h100: 79\.65 GiB, of which 2\.00 GiB for CUDA and its libraries; .* are left")
        self.assertRegex(done.stdout, r"process 0 sends in a step:\n +alike sum +2 x")
        self.assertRegex(done.stdout, r"tensor gather +\d+ x +[\d.]+ KiB")
        self.assertNotIn("warning", done.stderr)

    def test_what_does_not_fit_or_divide(self):
        wide = self.drawn("large", 2, hidden_size=16384, intermediate_size=65536, vocab_size=128000)
        done = self.call("plan", wide, "--gpu", "l4", *ALL, threads=None, code=7)
        self.assertRegex(done.stdout, r"l4: 22\.49 GiB, .* are missing")
        self.assertIn("parallel.fsdp", done.stderr)
        done = self.call("plan", wide, "--gpu", "l4", "--json", *ALL, threads=None, code=7)
        self.assertLess(json.loads(done.stdout)["left"], 0)
        done = self.call("plan", self.config, "--gpus", 3, *sets(parallel__tensor=2), threads=None, code=2)
        self.assertIn("start a multiple of 2", done.stderr)


if __name__ == "__main__":
    main()
