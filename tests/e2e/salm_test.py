"""What SALM trains: a FastConformer and a Conformer adapter, whose batch norms' running statistics belong to a run as its
weights do: resumed, exported, taken by a second stage."""
import numpy as np
from safetensors.numpy import load_file

from harness import Case, checkpoints, losses, main, records, sets

ENCODER = 'encoder = { plugin = "fastconformer", trainable = true, hidden_size = 16, intermediate_size = 24, num_layers = 2, num_heads = 2, subsampling_channels = 4'
ADAPTER = 'connector = { plugin = "conformer", hidden_size = 16, num_heads = 2'
STEPS = sets(train__steps=6, train__accumulate=2, train__tokens_per_batch=96, train__schedule__name="constant", train__optimizer__lr=1e-2)


def parameters(run):
    return load_file(run / "checkpoints" / checkpoints(run)[0] / "parameters.safetensors")


def statistics(tensors):
    return {name: value for name, value in tensors.items() if "running_" in name}


class Salm(Case):
    TRAIN, HELD = 12, 6

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.plain = cls.config.read_text()
        cls.config = cls.composed("salm")
        cls.first = cls.folder / "first"
        cls().train(cls.first, *STEPS)

    def runTest(self):
        pass

    @classmethod
    def composed(cls, name, encoder="", adapter="", text=None):
        """The tiny composition with SALM's parts in its audio stream, and these options more."""
        lines = [line for line in (text or cls.plain).splitlines() if 'plugin = "whisper"' not in line and 'plugin = "frame_stack"' not in line]
        lines.insert(lines.index("[model.streams.audio]") + 1, f"{ENCODER}{encoder} }}\n{ADAPTER}{adapter} }}")
        path = cls.folder / f"{name}.toml"
        path.write_text("\n".join(lines) + "\n")
        return path

    def answers(self, run_or_config):
        output = self.folder / f"eval_{len(list(self.folder.glob('eval_*')))}"
        self.call("eval", run_or_config, "--output", output, *sets(eval__controls="[]", generate__max_tokens=2))
        return [record["loss"] for record in records(output / "predictions.jsonl") if record["media"] == "right"]

    def test_resumed(self):
        run = self.folder / "stopped"
        self.train(run, *STEPS, *sets(train__steps=3))
        half = statistics(parameters(run))
        done = self.train(run, "--resume", *STEPS)
        self.assertRegex(done.stderr, r"resumed at step 3 .* applied (\d+)/\1 tensors")
        self.assert_same_run(self.first, run)
        whole = statistics(parameters(run))
        self.assertEqual(len(whole), 8, "mean and variance, in two blocks of the encoder and two of the adapter")
        for name, value in whole.items():
            self.assertEqual(value.dtype, np.float32)
            self.assertEqual(np.array_equal(value, half[name]), "encoder" in name, f"{name}: the adapter's move, the encoder's do not")

    def test_seed_and_dropout(self):
        dry = self.folder / "dry"
        self.train(dry, *STEPS, *sets(train__steps=1), config=self.composed("dry", adapter=", dropout = 0, input_dropout = 0, attention_dropout = 0"))
        self.assertNotEqual(losses(dry)[1], losses(self.first)[1])

    def test_partly_frozen(self):
        """In a connector of which some is trained values are dropped, and the batch norms move whose weights are trained."""
        for glob, moves in (("in_proj.*", True), ("layers.*", False)):
            run, freeze = self.folder / f"partly_{moves}", sets(model__freeze=f'["streams.audio.connector/{glob}"]')
            self.train(run, *STEPS, *freeze)
            own = {name: value for name, value in statistics(parameters(run)).items() if "connector" in name}
            self.assertEqual(len(own), 4)
            for name, value in own.items():
                self.assertEqual(bool((value != (1 if "running_var" in name else 0)).any()), moves, f"{glob}: {name}")
            dry = self.folder / f"partly_dry_{moves}"
            self.train(dry, *STEPS, *freeze, *sets(train__steps=1), config=self.composed(f"partly_dry_{moves}", adapter=", dropout = 0, input_dropout = 0, attention_dropout = 0"))
            self.assertNotEqual(losses(dry)[1], losses(run)[1])

    def test_no_state_of_the_optimizer(self):
        state = load_file(self.first / "checkpoints" / checkpoints(self.first)[0] / "state.safetensors")
        self.assertTrue(any("conv.norm.weight" in name for name in state))
        self.assertFalse(statistics(state))

    def test_second_stage(self):
        before, taken = self.answers(self.first), f', weights = "{self.first}"'
        others = self.plain.replace('plugin = "lora"', f'plugin = "lora"{taken.replace(", ", chr(10))}').replace('{ plugin = "mlp" }', f'{{ plugin = "mlp"{taken} }}')
        config = self.composed("second", taken, taken, others)
        frozen = self.composed("second_frozen", taken, taken + ", trainable = false", others)
        self.assertEqual(before, self.answers(config))
        self.assertRegex(self.call("validate", config).stdout, r"streams.audio.connector: (\d+)/\1 tensors from \S*first")
        for expected, loss in zip(before, self.answers(frozen), strict=True):
            self.assertAlmostEqual(expected, loss, delta=1e-5 * expected)  # frozen weights are multiplied by other kernels
        of_first = statistics(load_file(self.first / "connectors" / "audio.safetensors"))
        for file, moves in ((config, True), (frozen, False)):
            run = self.folder / f"run_{file.stem}"
            self.train(run, *STEPS, config=file)
            for name, value in statistics(load_file(run / "connectors" / "audio.safetensors")).items():
                self.assertEqual(not np.array_equal(value, of_first[name]), moves, name)
            saved = {name.split("/")[0] for name in statistics(parameters(run))}
            self.assertEqual(saved, {"streams.audio.encoder"} | ({"streams.audio.connector"} if moves else set()))
            self.assertEqual(len(self.answers(run)), len(before))

    def test_exported(self):
        mine = statistics(parameters(self.first))
        out = self.folder / "exported"
        self.call("export", self.first, "--output", out)
        for file in (self.first / "connectors" / "audio.safetensors", out / "connectors" / "audio.safetensors", out / "encoders" / "audio" / "model.safetensors"):
            part = "encoder" if "encoders" in str(file) else "connector"
            written = statistics(load_file(file))
            self.assertEqual(len(written), 4)
            for name, value in written.items():
                self.assertTrue(np.array_equal(value, mine[f"streams.audio.{part}/{name.removeprefix('encoder.')}"]), name)

    def test_steps_that_are_skipped_leave_them(self):
        run = self.folder / "wild"
        done = self.train(run, *STEPS, *sets(train__optimizer__lr=1e30, train__steps=3))
        self.assertIn("the step is skipped", done.stderr)
        for name, value in statistics(parameters(run)).items():
            self.assertTrue(np.isfinite(value).all(), name)

    def test_bf16_keeps_them_in_float32(self):
        run = self.folder / "bf16"
        self.train(run, *STEPS, *sets(precision__compute="bf16"))
        self.assertEqual({value.dtype for value in statistics(parameters(run)).values()}, {np.dtype(np.float32)})


if __name__ == "__main__":
    main()
