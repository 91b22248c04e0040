"""Methods of fine-tuning on every slot, virtual tokens, and adapters over a language model in 4 bits: trained, resumed, evaluated,
written for other programs."""

import json
import shutil

from safetensors.numpy import load_file

from harness import DEVICE, ON_CPU, Case, losses, main, records, sets

LORA = '{ plugin = "lora", rank = 2, targets = ["query", "value"] }'
BOTTLENECK = '{ plugin = "adapters", bottleneck = 4 }'
IA3 = '{ plugin = "ia3", targets = ["layers.1"], feedforward = [] }'


class Methods(Case):
    TRAIN, HELD = 12, 6

    def write(self, name, text):
        path = self.folder / f"{name}.toml"
        path.write_text(text)
        return path

    def with_methods(self, *changes):
        text = self.config.read_text()
        for old, new in changes:
            self.assertIn(old, text)
            text = text.replace(old, new, 1)
        return text

    def resumed(self, config, name, *args):
        """Ten steps at once and cut in two are the same run."""
        whole, cut = self.folder / name, self.folder / f"{name}_cut"
        common = [*args, *sets(train__checkpoint_every=5)]
        self.train(whole, *common, *sets(train__steps=10), config=config)
        self.train(cut, *common, *sets(train__steps=10), config=config)
        shutil.rmtree(cut / "checkpoints" / "step_10")
        self.train(cut, *common, *sets(train__steps=10), "--resume", config=config)
        self.assert_same_run(whole, cut)
        return whole

    def test_on_every_slot(self):
        on_image, on_audio = ('fit = "stretch"', f'peft = [{LORA}], fit = "stretch"'), ('length = "clip"', f'peft = [{BOTTLENECK}], length = "clip"')
        config = self.write("slots", self.with_methods(on_image, on_audio, ('{ plugin = "mlp" }', f'{{ plugin = "mlp", peft = [{IA3}] }}')))
        rows = self.call("validate", config).stdout
        for path in ("streams.image.encoder.peft.0", "streams.audio.encoder.peft.0", "streams.image.connector.peft.0"):
            self.assertIn(path, rows)
        cache = self.folder / "cache"
        run = self.resumed(config, "every", "--set", f"data.feature_cache={cache}")
        self.assertEqual(list(cache.rglob("*.safetensors")), [], "features of encoders that are trained are not kept")
        self.assertLess(losses(run)[10], losses(run)[1])
        for folder, kind in [("adapter", "LORA"), ("adapter_image_encoder", "LORA"), ("adapter_audio_encoder", "BOTTLENECK"), ("adapter_image_connector", "IA3")]:
            self.assertEqual(json.loads((run / folder / "adapter_config.json").read_text())["peft_type"], kind)
        written = load_file(run / "adapter_image_encoder" / "adapter_model.safetensors")
        self.assertIn("base_model.model.encoder.layer.0.attention.attention.query.lora_A.weight", written)
        self.assertTrue(all(abs(tensor).max() > 0 for tensor in written.values()))
        measured = self.answers(run)
        if not DEVICE:
            eighth = self.answers(run, *sets(generate__weights="int8"))
            self.assertLess(max(abs(a - b) for a, b in zip(measured, eighth, strict=True)), 0.1)
        text = config.read_text()
        for slot, weights in [('"lora"\nrank = 4', "adapter"), ('"lora", rank = 2', "adapter_image_encoder"), ('"adapters"', "adapter_audio_encoder"), ('"ia3"', "adapter_image_connector"), ('"mlp"', ""), ('"frame_stack"', "")]:
            name, rest = slot.split('"')[1], slot.split('"')[2]
            between = "\n" if rest.startswith("\n") else ", "
            text = text.replace(f"plugin = {slot}", f'plugin = "{name}"{between}weights = "{run / weights}"{rest}', 1)
        self.assertEqual(self.answers(self.write("from_folders", text)), measured)
        self.assertIn("cannot become part of the weights", self.call("export", run, "--output", self.folder / "out", code=2).stderr)

    def answers(self, what, *args):
        out = self.folder / f"eval_{len(list(self.folder.glob('eval_*')))}"
        self.call("eval", what, *args, "--output", out, *sets(eval__controls="[]", eval__generate="false"))
        return [record["loss"] for record in records(out / "predictions.jsonl")]

    def test_an_encoder_with_lora_is_exported(self):
        config = self.write("lora_encoder", self.with_methods(('fit = "stretch"', f'peft = [{LORA}], fit = "stretch"')))
        run, out = self.folder / "lora_encoder", self.folder / "exported"
        self.train(run, *sets(train__steps=3), config=config)
        self.call("export", run, "--output", out)
        name = "encoder.layer.0.attention.attention.query.weight"
        merged = load_file(out / "encoders" / "image" / "model.safetensors")[name]
        base = load_file(self.folder / "models" / "dinov2" / "model.safetensors")[name]
        factors = load_file(run / "adapter_image_encoder" / "adapter_model.safetensors")
        prefix = "base_model.model." + name.removesuffix("weight")
        change = factors[prefix + "lora_B.weight"] @ factors[prefix + "lora_A.weight"] * (16 / 2)
        self.assertLess(abs(merged - base - change).max(), 1e-6)
        self.assertGreater(abs(change).max(), 1e-4)

    def prompted(self):
        text = self.config.read_text()
        begin, end = text.index('plugin = "lora"'), text.index("[model.streams.image]")
        return self.write("prompted", text[:begin] + 'plugin = "ptuning"\ntokens = 4\nencoder_size = 16\n\n' + text[end:])

    def test_virtual_tokens(self):
        config = self.prompted()
        run = self.resumed(config, "ptuning")
        self.assertLess(losses(run)[10], losses(run)[1])
        self.assertEqual(load_file(run / "adapter" / "adapter_model.safetensors")["prompt_embeddings"].shape, (4, 32))
        shown = self.call("data", "show", config).stdout
        self.assertIn("[4 virtual tokens]", shown)
        self.call("data", "check", config)
        measured = self.answers(run)
        text = config.read_text().replace('plugin = "ptuning"', f'plugin = "ptuning"\nweights = "{run}/adapter"\nencoder = "none"')
        text = text.replace('plugin = "mlp"', f'plugin = "mlp", weights = "{run}"').replace('plugin = "frame_stack"', f'plugin = "frame_stack", weights = "{run}"')
        for ours, other in zip(measured, self.answers(self.write("from_prompt", text)), strict=True):
            self.assertAlmostEqual(ours, other, places=5)
        for more in ([], [] if DEVICE else sets(generate__weights="int4")):
            self.assertTrue(self.call("generate", run, "What?", *sets(generate__temperature=0), *more).stdout)
        self.assertIn("cannot become part of the weights", self.call("export", run, "--output", self.folder / "none", code=2).stderr)
        wrong = self.write("wrong", self.with_methods(('fit = "stretch"', 'peft = [{ plugin = "ptuning" }], fit = "stretch"')))
        self.assertIn("[model.streams.image.encoder.peft.0]", self.call("validate", wrong, code=2).stderr)

    @ON_CPU
    def test_over_four_bits(self):
        run = self.resumed(self.config, "four_bits", *sets(precision__weights="int4"))
        plain = self.folder / "plain"
        self.train(plain, *sets(train__steps=1))
        self.assertNotEqual(losses(run)[1], losses(plain)[1])
        self.assertLess(losses(run)[10], losses(run)[1])
        self.answers(run)  # in the plain format
        for name, value, words in [("model.llm.trainable", "true", "model.llm.trainable is true"), ("precision.linear", "fp8", "choose one")]:
            done = self.train(self.folder / "refused", "--set", f"{name}={value}", *sets(precision__weights="int4"), code=2)
            self.assertIn(words, done.stderr)
            self.assertIn(words, self.call("validate", self.config, "--set", f"{name}={value}", *sets(precision__weights="int4"), code=2).stderr)


if __name__ == "__main__":
    main()
