"""Directories whose tokenizer is not a tokenizer.json: SentencePiece's and tiktoken's files train, answer, and are exported."""
import base64
import json

import sentencepiece

from harness import Case, main
import make_tiny

LINES = ["What is the tone", "a low tone", "a high tone", "red and blue", "what colour is the picture"] * 20


class Forms(Case):
    TRAIN, HELD = 4, 2

    def directory(self, name):
        folder = self.folder / "models" / name
        make_tiny.write_llama(folder)
        for file in ("tokenizer.json", "tokenizer_config.json"):
            (folder / file).unlink()
        (folder / "chat_template.jinja").write_text("{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}")
        return folder

    def through(self, folder, words, kept):
        config = self.folder / f"{folder.name}.toml"
        data = self.folder / "data" / f"{folder.name}.jsonl"
        data.write_text("".join(json.dumps({"messages": [{"role": "user", "content": f"tone {i}"}, {"role": "assistant", "content": "low"}]}) + "\n" for i in range(8)))
        config.write_text(f'[model.llm]\nplugin = "llama"\nweights = "{folder}"\n[[model.llm.peft]]\nplugin = "lora"\nrank = 2\n[data]\nfeature_cache = ""\n[[data.train.sources]]\npath = "{data}"\n'
                          f'[train]\nsteps = 2\noutput = "{self.folder}/run-{folder.name}"\n[generate]\nmax_tokens = 8\n')
        self.assertRegex(self.call("inspect", folder).stdout, words)
        self.call("train", config)
        run, out = self.folder / f"run-{folder.name}", self.folder / f"out-{folder.name}"
        self.call("export", run, "--output", out)
        self.assertEqual((out / kept).read_bytes(), (folder / kept).read_bytes())
        exported = self.folder / f"exported-{folder.name}.toml"
        exported.write_text(f'[model]\nfrom = "{out}"\n[data]\nfeature_cache = ""\n[generate]\nmax_tokens = 8\n')
        words = ["--set", "precision.compute=fp32", "the tone"]
        self.assertEqual(self.call("generate", exported, *words).stdout, self.call("generate", run, *words).stdout)

    def test_sentencepiece(self):
        for kind in ("unigram", "bpe"):
            folder = self.directory(kind)
            sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(LINES), model_prefix=str(folder / "tokenizer"), vocab_size=290, model_type=kind, byte_fallback=True, hard_vocab_limit=False, minloglevel=9)
            (folder / "tokenizer.vocab").unlink()
            self.through(folder, rf"tokenizer: {'Unigram' if kind == 'unigram' else 'BPE'}, \d+ tokens, from tokenizer.model \(SentencePiece\)", "tokenizer.model")

    def test_tiktoken(self):
        folder = self.directory("ranks")
        ranks = [bytes([byte]) for byte in range(256)] + [b"to", b"ton", b"tone", b" t", b"lo", b"low"]
        (folder / "r50k_base.tiktoken").write_text("".join(f"{base64.b64encode(token).decode()} {rank}\n" for rank, token in enumerate(ranks)))
        (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": "<|end|>", "added_tokens_decoder": {"270": {"content": "<|end|>", "special": True}}}))
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, "eos_token_id": 270}))
        self.through(folder, r"tokenizer: BPE over bytes, 271 tokens, from r50k_base.tiktoken \(tiktoken\)", "r50k_base.tiktoken")

    def test_none_is_told(self):
        folder = self.directory("none")
        error = self.call("generate", self.toml_of(folder), "x", code=2).stderr
        self.assertIn("has no tokenizer.json, tokenizer.model, spiece.model or tekken.json, and no *.tiktoken", error)
        for name in ("a.tiktoken", "b.tiktoken"):
            (folder / name).write_text("AA== 0\n")
        self.assertIn("more than one *.tiktoken", self.call("generate", self.toml_of(folder), "x", code=2).stderr)

    def toml_of(self, folder):
        path = self.folder / "none.toml"
        path.write_text(f'[model]\nfrom = "{folder}"\n[data]\nfeature_cache = ""\n')
        return path


if __name__ == "__main__":
    main()
