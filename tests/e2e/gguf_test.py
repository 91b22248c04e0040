"""A GGUF file of a language model stands wherever its directory does."""
import json
import sys
from pathlib import Path

from harness import Case, main
import make_tiny

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "parity"))
from gguf_files import Type, write
from safetensors.numpy import load_file


class Gguf(Case):
    TRAIN, HELD = 6, 4

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.source = cls.folder / "models" / "llama"
        cls.config = json.loads((cls.source / "config.json").read_text())
        cls.gguf = cls.folder / "tiny.gguf"
        cls.write(cls.gguf, Type.F32)
        cls.limit = ["--set", "generate.max_tokens=8"]

    @classmethod
    def write(cls, path, kind):
        write(path, load_file(cls.source / "model.safetensors"), cls.config, kind, tokenizer=cls.source)

    def toml(self, name, model):
        path = self.folder / name
        path.write_text(f'[model]\n{model}\n[data]\nfeature_cache = ""\n')
        return path

    def test_answers_are_those_of_the_directory(self):
        plain = self.call("generate", self.toml("plain.toml", f'from = "{self.source}"'), *self.limit, "What is the tone?").stdout
        self.assertEqual(self.call("generate", self.gguf, *self.limit, "What is the tone?").stdout, plain)
        self.assertEqual(self.call("generate", self.toml("from.toml", f'from = "{self.gguf}"'), *self.limit, "What is the tone?").stdout, plain)
        talk = self.call("chat", self.gguf, *self.limit, input="What is the tone?\n")
        self.assertIn(plain.strip(), talk.stdout)

    def test_inspect_says_what_it_found(self):
        shown = self.call("inspect", self.gguf).stdout
        self.assertIn("model: llama\n", shown)
        self.assertRegex(shown, r"tensors: llama, \d+ tensors \(\d+ F32\), ")
        self.assertRegex(shown, r"tokenizer: BPE over bytes, \d+ tokens, from tiny.gguf \(gpt2\)")
        self.assertRegex(shown, r"chat template: \d+ characters")
        self.assertEqual(json.loads(self.call("inspect", self.source, "--json").stdout)["model"], "llama")
        self.assertIn("from tokenizer.json", self.call("inspect", self.source).stdout)
        empty = self.folder / "empty"
        empty.mkdir()
        self.assertIn("holds no model", self.call("inspect", empty, code=4).stderr)

    def test_blocks_train_adapters_and_export(self):
        path = self.folder / "blocks.gguf"
        self.write(path, Type.Q8_0)
        config = self.folder / "blocks.toml"
        config.write_text(f'[model.llm]\nplugin = "llama"\nweights = "{path}"\n[[model.llm.peft]]\nplugin = "lora"\nrank = 2\n[data]\nfeature_cache = ""\n'
                          f'[[data.train.sources]]\npath = "{self.folder}/data/lines.jsonl"\n[train]\nsteps = 2\noutput = "{self.folder}/run"\n')
        lines = [{"messages": [{"role": "user", "content": f"What {i}?"}, {"role": "assistant", "content": "red"}]} for i in range(8)]
        (self.folder / "data" / "lines.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        self.call("train", config)
        self.call("export", self.folder / "run", "--output", self.folder / "out", "--check")
        exported = self.toml("exported.toml", f'from = "{self.folder}/out"')
        plain = self.call("generate", self.folder / "run", *self.limit, "What is the tone?").stdout
        self.assertEqual(self.call("generate", exported, *self.limit, "What is the tone?").stdout, plain)
        written = json.loads((self.folder / "out" / "tokenizer_config.json").read_text())
        self.assertEqual(written["chat_template"], make_tiny.TEMPLATE)

    def test_damage_is_told_and_not_survived_silently(self):
        whole = self.gguf.read_bytes()
        cut = self.folder / "cut.gguf"
        for length in (0, 3, 100, len(whole) // 2, len(whole) - 1):
            cut.write_bytes(whole[:length])
            self.assertIn("cut.gguf", self.call("generate", cut, "x", code=4).stderr)
        missing = self.folder / "missing.gguf"
        self.assertIn("missing.gguf", self.call("generate", missing, "x", code=2).stderr)


if __name__ == "__main__":
    main()
