"""A LLaVA directory as a newcomer uses it: compose prints its TOML, which answers as the directory itself does; one
line swaps CLIP for SigLIP; what was trained goes out as such a directory again."""
import json
import re
import unittest

from harness import Case, main
import make_tiny


class Whole(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.llava, cls.siglip = cls.folder / "models" / "llava", cls.folder / "models" / "siglip"
        make_tiny.write_llava(cls.llava)
        make_tiny.write_siglip(cls.siglip)
        make_tiny.write_siglip(cls.folder / "models" / "wide", hidden=24)
        make_tiny.write_set(cls.folder / "data" / "pictures.jsonl", 12, seed=31, kinds=("image",))
        cls.picture = next((cls.folder / "data").rglob("*.png"))

    def composed(self, name, text):
        path = self.folder / f"{name}.toml"
        path.write_text(text)
        return path

    def answer(self, config):
        return self.call("generate", config, "--image", self.picture, "What is this?", "--set", "generate.max_tokens=8").stdout

    def test_compose_prints_what_from_stands_for(self):
        text = self.call("compose", self.llava).stdout
        short = self.composed("short", f'[model]\nfrom = "{self.llava}"\n')
        long = self.composed("long", text)
        self.assertEqual(self.call("validate", "--resolved", short).stdout.replace(str(self.llava), "L"), self.call("validate", "--resolved", long).stdout.replace(str(self.llava), "L"))
        self.assertEqual(self.answer(short), self.answer(long))
        self.assertNotEqual(self.answer(short).strip(), "")

    def swapped(self, name, weights):
        text = self.call("compose", self.llava).stdout
        new, count = re.subn(r"^encoder = .*$", f'encoder = {{ plugin = "siglip", weights = "{weights}", layer = -2 }}', text, flags=re.M)
        self.assertEqual(count, 1)
        return self.composed(name, new)

    def test_one_line_swaps_the_encoder(self):
        config = self.swapped("swapped", self.siglip)
        self.assertIn("siglip", self.call("validate", config).stdout)
        done = self.call("generate", config, "--image", self.picture, "What is this?", "--set", "generate.max_tokens=8")
        self.assertRegex(done.stderr, r"streams.image.encoder: applied \d+/\d+ tensors from .*siglip")

    def test_a_projector_of_another_width_is_refused_with_a_word_on_why(self):
        error = self.call("generate", self.swapped("wide", self.folder / "models" / "wide"), "--image", self.picture, "What?", code=4).stderr
        self.assertIn("streams.image.connector", error)
        self.assertIn("expected [32, 24], got [32, 16]", error)
        self.assertIn("leave `weights` of the connector out", error)

    def test_trained_and_exported(self):
        more = '[[data.train.sources]]\npath = "{0}"\n[train]\nsteps = 2\ntokens_per_batch = 256\n[precision]\ncompute = "fp32"\n'.format(self.folder / "data" / "pictures.jsonl")
        peft = 'llm.peft = [{ plugin = "lora", rank = 2, targets = ["q_proj"] }]\n'
        config = self.composed("train", f'[model]\nfrom = "{self.llava}"\n{peft}[data]\nfeature_cache = ""\n{more}')
        run, out = self.folder / "run", self.folder / "out"
        self.train(run, config=config)
        done = self.call("export", run, "--output", out)
        self.assertRegex(done.stderr, r"out: (\d+) tensors, 6 of them changed")  # q_proj of two layers, four of the projector
        self.assertEqual(json.loads((out / "config.json").read_text())["vision_feature_layer"], -2)
        again = self.composed("again", f'[model]\nfrom = "{out}"\n')
        self.assertEqual(self.answer(again), self.answer(run))

    def test_what_cannot_be(self):
        other = self.folder / "models" / "other"
        other.mkdir()
        (other / "config.json").write_text(json.dumps({"model_type": "mystery"}))
        self.assertIn("mystery", self.call("compose", other, code=5).stderr)
        self.assertIn("no config.json", self.call("compose", self.folder, code=4).stderr)
        part = self.composed("part", f'[model.llm]\nplugin = "llama"\nweights = "{self.llava}"\npart = "languge_model"\n')
        self.assertIn("did you mean 'language_model'", self.call("validate", part, code=2).stderr)


if __name__ == "__main__":
    main()
