"""A Qwen2.5-VL directory as a newcomer uses it, in the form of transformers 4.51: it answers, a sample is the same among
others and alone, LoRA trains it, and what goes out answers as the run does."""
import json
import unittest

from harness import Case, main, records, sets
import make_tiny


class Grid(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.qwen = cls.folder / "models" / "qwen"
        make_tiny.write_qwen2_5_vl(cls.qwen)
        cls.data = cls.folder / "data" / "pictures.jsonl"
        make_tiny.write_set(cls.data, 12, seed=31, kinds=("image",))
        cls.picture = next((cls.folder / "data").rglob("*.png"))

    def composed(self, name, text):
        path = self.folder / f"{name}.toml"
        path.write_text(text)
        return path

    def answer(self, config):
        return self.call("generate", config, "--image", self.picture, "--image", self.picture, "What is this?", "--set", "generate.max_tokens=12").stdout

    def losses(self, name, *args):
        """The loss of each sample."""
        data = f'[data]\nfeature_cache = ""\neval.held.sources = [{{ path = "{self.data}" }}]\n'
        config, output = self.composed(name, f'[model]\nfrom = "{self.qwen}"\n{data}'), self.folder / f"{name}_eval"
        self.call("eval", config, "--output", output, *sets(eval__controls="[]", eval__generate="false", precision__compute="fp32"), *args)
        return {record["id"]: record["loss"] for record in records(output / "predictions.jsonl")}

    def test_compose_prints_what_from_stands_for(self):
        short, long = self.composed("short", f'[model]\nfrom = "{self.qwen}"\n'), self.composed("long", self.call("compose", self.qwen).stdout)
        self.assertEqual(self.call("validate", "--resolved", short).stdout.replace(str(self.qwen), "Q"), self.call("validate", "--resolved", long).stdout.replace(str(self.qwen), "Q"))
        self.assertEqual(self.answer(short), self.answer(long))
        self.assertNotEqual(self.answer(short).strip(), "")

    def test_a_sample_is_the_same_packed_and_alone(self):
        packed, alone = self.losses("packed", *sets(eval__batch_size=12)), self.losses("alone", *sets(eval__batch_size=1))
        self.assertEqual(len(packed), 12)
        for sample, loss in packed.items():
            self.assertAlmostEqual(loss, alone[sample], delta=1e-5 * loss)

    def test_trained_and_exported(self):
        more = f'[data]\nfeature_cache = ""\n[[data.train.sources]]\npath = "{self.data}"\n[train]\nsteps = 2\ntokens_per_batch = 512\n[precision]\ncompute = "fp32"\n'
        peft = 'llm.peft = [{ plugin = "lora", rank = 2, targets = ["q_proj"] }]\nstreams.image.encoder.peft = [{ plugin = "lora", rank = 2, targets = ["qkv"] }]\n'
        config = self.composed("train", f'[model]\nfrom = "{self.qwen}"\n{peft}{more}')
        run, out = self.folder / "run", self.folder / "out"
        self.train(run, config=config)
        done = self.call("export", run, "--output", out)
        self.assertRegex(done.stderr, r"out: (\d+) tensors, 9 of them changed")  # q_proj and qkv of two layers each, five of the merger
        self.assertEqual(json.loads((out / "config.json").read_text())["model_type"], "qwen2_5_vl")
        again = self.composed("again", f'[model]\nfrom = "{out}"\n')
        self.assertEqual(self.answer(again), self.answer(run))


if __name__ == "__main__":
    main()
