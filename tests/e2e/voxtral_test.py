"""A Voxtral directory as a newcomer uses it: it hears sounds of any length without a TOML file, transcribes, is trained and
exported with the tokenizer that it came with."""
import json
import random

from harness import Case, main, records, sets
import make_tiny
import tiny_voxtral

TRANSCRIBE = "model.llm.template_variables={ transcribe = true, language = \"fr\" }"


class Voxtral(Case):
    TRAIN, HELD = 4, 2

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.model = cls.folder / "models" / "Voxtral-Mini-3B-2507"
        tiny_voxtral.write_voxtral(cls.model)
        cls.data = cls.folder / "data" / "sounds.jsonl"
        make_tiny.write_set(cls.data, 8, seed=33, kinds=("audio",))
        cls.sound = next(cls.data.parent.rglob("*.wav"))
        cls.long = cls.folder / "data" / "long.wav"
        make_tiny.write_wav(cls.long, 300, random.Random(3), seconds=3.3)

    def answer(self, config, *args):
        return self.call("generate", config, *args, *sets(generate__max_tokens=12, precision__compute="fp32")).stdout

    def composed(self, name, text):
        path = self.folder / f"{name}.toml"
        path.write_text(text)
        return path

    def test_a_directory_is_enough(self):
        short, long = self.composed("short", f'[model]\nfrom = "{self.model}"\n'), self.composed("long", self.call("compose", self.model).stdout)
        heard = self.answer(self.model, "--audio", self.sound, "What is the tone?")
        self.assertNotEqual(heard.strip(), "")
        for config in (short, long):
            self.assertEqual(self.answer(config, "--audio", self.sound, "What is the tone?"), heard)
        self.assertNotEqual(self.answer(self.model, "--audio", self.long, "What is the tone?"), heard)
        self.assertRegex(self.call("inspect", self.model).stdout, r"tokenizer: BPE over bytes, \d+ tokens, from tekken.json \(v7\)")
        talked = self.call("chat", self.model, "--history", "", *sets(generate__max_tokens=12, precision__compute="fp32"), input=f"/audio {self.sound}\nWhat is the tone?\nAnd now?\n")
        self.assertTrue(talked.stdout.startswith(heard))

    def test_transcribed(self):
        mode = ("--set", TRANSCRIBE)
        said = self.answer(self.model, "--audio", self.long, *mode)
        self.assertNotEqual(said, self.answer(self.model, "--audio", self.long))
        self.assertNotEqual(said, self.answer(self.model, "--audio", self.long, "--set", "model.llm.template_variables={ transcribe = true }"))
        refused = self.call("generate", self.model, "--audio", self.long, "What?", *mode, code=3).stderr
        self.assertIn("a transcription takes one sound and no text", refused)

    def test_trained_and_exported(self):
        lora = lambda *targets: f'[{{ plugin = "lora", rank = 2, targets = {json.dumps(targets)} }}]\n'
        more = f'[data]\nfeature_cache = ""\n[[data.train.sources]]\npath = "{self.data}"\n[train]\nsteps = 3\ntokens_per_batch = 512\n[precision]\ncompute = "fp32"\n'
        config = self.composed("train", f'[model]\nfrom = "{self.model}"\nllm.peft = {lora("q_proj")}streams.audio.encoder.peft = {lora("q_proj")}{more}')
        run, out = self.folder / "run", self.folder / "out"
        self.assertIn("0 samples skipped", self.train(run, config=config).stderr)
        done = self.call("export", run, "--output", out, "--check").stderr
        self.assertRegex(done, r"out: (\d+) tensors, 6 of them changed")  # q_proj of two towers of two layers, the projector's two
        self.assertIn("checked: of ", done)
        self.assertNotIn("by the directory", done)
        self.assertEqual(json.loads((out / "config.json").read_text())["model_type"], "voxtral")
        self.assertEqual((out / "tekken.json").read_bytes(), (self.model / "tekken.json").read_bytes())
        for args in (["--audio", self.sound, "What is the tone?"], ["--audio", self.long, "--set", TRANSCRIBE]):
            self.assertEqual(self.answer(out, *args), self.answer(run, *args))

    def test_a_sample_is_the_same_packed_and_alone(self):
        config = self.composed("held", f'[model]\nfrom = "{self.model}"\n[data]\nfeature_cache = ""\neval.held.sources = [{{ path = "{self.data}" }}]\n')
        losses = {}
        for size in (8, 1):
            output = self.folder / f"eval_{size}"
            self.call("eval", config, "--output", output, *sets(eval__controls="[]", eval__generate="false", precision__compute="fp32", eval__batch_size=size))
            losses[size] = {record["id"]: record["loss"] for record in records(output / "predictions.jsonl")}
        self.assertEqual(len(losses[8]), 8)
        for sample, loss in losses[8].items():
            self.assertAlmostEqual(loss, losses[1][sample], delta=1e-5 * loss)


if __name__ == "__main__":
    main()
