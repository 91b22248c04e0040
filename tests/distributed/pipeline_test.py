"""Processes that compute the layers of a model one after the other train what one process trains."""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from together import ALL, CONFORMER, FIXED, METHODS, READ, Together, experts, limited_experts, tensors
from harness import losses, main, records, sets

SCHEDULES = {"1f1b": [], "gpipe": [], "zero_bubble": [], "interleaved": sets(parallel__chunks=2, parallel__layers_per_stage="[1, 0, 1, 0]")}


def schedule(name):
    return [*sets(parallel__schedule=f'"{name}"'), *SCHEDULES[name]]


class Pipeline(Together):
    MESH = sets(parallel__pipeline=2)

    def test_schedules(self):
        """With dropout; by two stages. What is added up in which order does not depend on the schedule."""
        for name, args in (("lora", []), ("all", ALL)):
            one = self.compare(f"schedules_{name}", *args)
            for kind in SCHEDULES:
                with self.subTest(f"{name} {kind}"):
                    many, _ = self.run_with(f"{kind}_{name}", 2, *args, *schedule(kind))
                    self.assert_same_progress(one, many)
                    self.assert_close(one, many, 2e-5)
                    first = self.folder / f"schedules_{name}_2"
                    self.assertEqual(losses(first), losses(many))
                    for key, value in tensors(first).items():
                        self.assertTrue((value == tensors(many)[key]).all(), key)

    def test_bf16(self):
        """Gradients that wait are added to fp32 parameters through what they were cast to."""
        runs = [self.run_with(f"bf16_{kind}", 2, *ALL, *sets(precision__compute="bf16"), *schedule(kind))[0] for kind in ("1f1b", "zero_bubble")]
        self.assertEqual(losses(runs[0]), losses(runs[1]))
        for key, value in tensors(runs[0]).items():
            self.assertTrue((value == tensors(runs[1])[key]).all(), key)

    def test_drawn_weights(self):
        """Of four layers, with embeddings that are the head as well: begun as by one process, under each schedule."""
        config = self.drawn("drawn", 4, tie_embeddings=True)
        one, _ = self.run_with("drawn_1", 1, *ALL, config=config)
        for kind in SCHEDULES:
            with self.subTest(kind):
                more = sets(parallel__schedule='"interleaved"', parallel__chunks=2) if kind == "interleaved" else schedule(kind)
                two, _ = self.run_with(f"drawn_{kind}", 2, *ALL, *more, config=config)
                self.assert_same_training(one, two)

    def test_beside_other_axes(self):
        """By 4 processes: two parts of each stage, or each stage cut up among two, and two pipelines."""
        between = sets(parallel__fsdp=2, parallel__reshard="false")
        self.compare_axes({"tensor": sets(parallel__tensor=2), "fsdp": between, "copies": [], "tensor zero": [*sets(parallel__tensor=2), *schedule("zero_bubble")],
                           "fsdp zero": [*between, *schedule("zero_bubble")], "copies zero": schedule("zero_bubble")})

    def test_blocks_are_gathered_for_each_batch(self):
        """Several batches are between their passes, and each of a stage's blocks is whole only while it computes one of them."""
        config = self.drawn("deep", 4)
        one, _ = self.run_with("gathered_1", 1, *ALL, config=config)
        chunks = sets(parallel__schedule='"interleaved"', parallel__chunks=2)
        for name, args in (("1f1b", []), ("gpipe", schedule("gpipe")), ("interleaved", chunks), ("recompute", sets(train__recompute='"full"'))):
            with self.subTest(name):
                four, _ = self.run_with(f"gathered_{name}", 4, *ALL, *sets(parallel__fsdp=2), *args, config=config)
                self.assert_same_training(one, four)
        self.compare_held_out(1e-4, *sets(eval__batch_size=1), counts=(4,), mesh=sets(parallel__fsdp=2))

    def test_frozen_blocks_in_the_hosts_memory(self):
        """To the bit what they give without, under each schedule."""
        config = self.drawn("frozen", 4)
        for kind in SCHEDULES:
            more = sets(parallel__schedule='"interleaved"', parallel__chunks=2) if kind == "interleaved" else schedule(kind)
            with self.subTest(kind):
                runs = [self.run_with(f"offload_{kind}_{i}", 2, *more, *offload, config=config) for i, offload in enumerate(([], sets(parallel__offload_frozen="true")))]
                self.assertIn("of frozen blocks stay in the host's memory", runs[1][1].stderr)
                self.assertEqual(losses(runs[0][0]), losses(runs[1][0]))
                left, right = (tensors(run) for run, _ in runs)
                for key, value in left.items():
                    self.assertTrue((value == right[key]).all(), key)

    def test_batch_statistics(self):
        """Of a connector that runs in the first stage, once for each batch."""
        config = self.edited("conformer", CONFORMER)
        one = self.compare("conformer", config=config, counts=(2,))
        chunks, _ = self.run_with("chunks", 2, *schedule("interleaved"), config=config)
        self.assert_same_training(one, chunks)

    def test_trained_audio(self):
        """An encoder that a batch calls several times, with clips of several lengths."""
        trained = sets(model__streams__audio__encoder__trainable="true", train__tokens_per_batch=192)
        one = self.compare("audio", *trained, counts=(2,))
        zero, _ = self.run_with("audio_zero", 4, *trained, *schedule("zero_bubble"))
        self.assert_same_training(one, zero)

    def test_experts(self):
        """Whose load-balancing loss is of all layers together, and the others' add up over them; also with parts of stages, which have some tokens each."""
        for name, config in (("balanced", experts(self)), ("limited", limited_experts(self))):
            one = self.compare(name, config=config, counts=(2,))
            for kind in ("gpipe", "zero_bubble"):
                with self.subTest(f"{name} {kind}"):  # with experts in both stages
                    two, _ = self.run_with(f"{name}_{kind}", 2, *schedule(kind), *sets(parallel__layers_per_stage="[2, 1]"), config=config)
                    self.assert_same_training(one, two)
            four, _ = self.run_with(f"{name}_parts", 4, *sets(parallel__tensor=2), config=config)
            self.assert_same_training(one, four)
            for left, right in zip(records(one / "metrics.jsonl"), records(four / "metrics.jsonl"), strict=True):
                for key in ("moe/load_balance", *(("moe/router_z", "moe/dropped") if name == "limited" else ())):
                    self.assertAlmostEqual(left[key], right[key], delta=1e-4 * left[key], msg=key)

    def test_other_methods(self):
        self.compare_methods()

    def test_changes_of_the_embedding(self):
        """Alone, so that what learns lies before all blocks; and rows of one that is the head as well, which the first and the last stage have."""
        self.compare("read", *FIXED, config=self.with_method(READ), counts=(2,))
        tied = self.drawn("tied", 2, tie_embeddings=True)
        config, few = self.edited("tied_rows", ('targets = ["q_proj"', 'trainable_token_indices = [5, 7, 40]\ntargets = ["q_proj"'), config=tied), sets(train__steps=4)
        one, _ = self.run_with("tied_rows_1", 1, *few, config=config)
        for name, processes, args in (("zero_bubble", 2, schedule("zero_bubble")), ("parts", 4, sets(parallel__tensor=2))):
            with self.subTest(name):
                many, _ = self.run_with(f"tied_rows_{name}", processes, *few, *args, config=config)
                self.assert_same_training(one, many)

    def test_frozen_by_name(self):
        self.compare_frozen()

    def test_keys_and_values_before_sequences(self):
        """Each stage has those of its layers, of which one has none here; the network that makes them is in all."""
        text = self.config.read_text()
        lora = text[text.index('plugin = "lora"') : text.index("[model.streams.image]")]
        config = self.edited("prefix", (lora, METHODS["prefix_tuning"] + "\n\n"))
        few = sets(train__steps=4)
        one, _ = self.run_with("prefix_one", 1, *few, config=config)
        for name, processes, args in (*((kind, 2, schedule(kind)) for kind in ("zero_bubble", "interleaved")), ("uneven", 2, sets(parallel__layers_per_stage="[2, 0]")),
                                      ("parts", 4, sets(parallel__tensor=2)), ("contexts", 4, [*sets(parallel__context=2), *schedule("gpipe")])):
            with self.subTest(name):
                many, _ = self.run_with(f"prefix_{name}", processes, *few, *args, config=config)
                self.assert_same_training(one, many)

    def test_quantized_base(self):
        """int8 blocks beside adapters: each process keeps those of its stage so."""
        self.compare("int8", *sets(precision__weights='"int8"'), counts=(2,))

    def test_fp8(self):
        one, _ = self.run_with("fp8_1", 1, *sets(precision__linear='"fp8"'))
        two, _ = self.run_with("fp8_2", 2, *sets(precision__linear='"fp8"'))
        self.assertEqual(losses(one), losses(two))

    def test_whole_matrices(self):
        """muon, whose updates are of whole matrices, and each stage has its own."""
        self.compare("muon", *ALL, *sets(train__optimizer__name='"muon"'), counts=(2,))

    def test_bad_samples(self):
        self.compare_bad_samples()

    def test_one_is_asked_to_stop(self):
        self.compare_stopped()

    def test_recomputed(self):
        for name, args in (("all", ALL), ("lora", [])):
            with self.subTest(name):
                again = sets(train__recompute='"full"')
                one = self.compare(f"recompute_{name}", *args, *again, counts=(2,))
                zero, _ = self.run_with(f"recompute_{name}_zero", 2, *args, *again, *schedule("zero_bubble"))
                self.assert_same_training(one, zero)

    def test_only_connectors(self):
        """Nothing is trained in the last stage, whose backward pass goes through it all the same; not every batch has media."""
        self.compare("connectors", config=self.connectors_only(), counts=(2,))

    def test_resumed_on_other_meshes(self):
        constant = sets(train__steps=12, train__schedule__name='"constant"')
        whole, _ = self.run_with("whole", 1, *ALL, *constant)
        stations = ((3, 2, 2, 1, 1), (5, 2, 1, 2, 1), (7, 4, 2, 2, 1), (8, 1, 1, 1, 1), (10, 4, 2, 1, 2), (12, 2, 1, 1, 2))
        run = self.hand_on([(steps, processes, sets(parallel__pipeline=pipeline, parallel__tensor=tensor, parallel__fsdp=fsdp, parallel__reshard="false"))
                            for steps, processes, pipeline, tensor, fsdp in stations], *ALL, *constant)
        self.assert_same_progress(whole, run)
        self.assert_close(whole, run, 2e-5)

    def test_what_is_written_can_be_used(self):
        self.compare_what_is_written()

    def test_held_out_losses(self):
        self.compare_held_out(1e-4, counts=(2, 4))

    def test_held_out_losses_beside(self):
        """Of several chunks, and of parts of each stage."""
        self.compare_held_out(1e-4, counts=(2,), mesh=schedule("interleaved"))
        self.compare_held_out(1e-4, counts=(4,), mesh=sets(parallel__tensor=2))

    def test_what_cannot_be_divided(self):
        for args, words in ((sets(parallel__pipeline=3), "times parallel.pipeline = 3 is not the number of processes, 2"),
                            (sets(parallel__layers_per_stage="[1, 2]"), "parallel.layers_per_stage = [1, 2] deals out 3 layers, and the model has 2"),
                            (sets(parallel__layers_per_stage="[3, -1]"), "parallel.layers_per_stage = [3, -1]; expected 2 numbers of layers"),
                            (sets(parallel__layers_per_stage="[2]"), "parallel.layers_per_stage = [2]; expected 2 numbers of layers"),
                            (sets(parallel__pipeline=1, parallel__fsdp=2, parallel__schedule='"zero_bubble"'), "say how a pipeline works, and there is none"),
                            (sets(parallel__schedule='"interleaved"'), "is of several chunks a stage"),
                            (sets(parallel__chunks=2), "parallel.chunks = 2 needs an interleaved pipeline"),
                            ([*schedule("interleaved"), *sets(train__accumulate=3)], "takes a multiple of parallel.pipeline = 2 batches a step, and each pipeline has 3")):
            _, done = self.run_with("refused", 2, *args, code=2)
            self.assertIn(words, done.stderr)
        _, done = self.run_with("reshard", 4, *sets(parallel__fsdp=2), *schedule("zero_bubble"), code=2)
        self.assertIn("parallel.reshard gives each block's gradients away", done.stderr)


if __name__ == "__main__":
    main()
