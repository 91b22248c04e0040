"""GGUF files of Gemma 2, Gemma 3 and Phi-3: the same answers from llama.cpp's own server, from transformers and from here; ids of Gemma's
tokenizer as sentencepiece and llama.cpp have them; files written here and read there."""
import io
import json
import subprocess
import sys
from pathlib import Path

from harness import PROGRAM, Case, main
import make_tiny

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "parity"))
import gguf_out_test as out
import torch
from gguf_files import Type, add_tokenizer, write
from models import tiny

PROMPT = "What is the tone?"
SMALL = dict(hidden_size=64, intermediate_size=96, num_attention_heads=4, num_key_value_heads=2)
LONG = {"rope_type": "longrope", "rope_theta": 1e4, "short_factor": [1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0], "long_factor": [1.0, 2.0, 4.0, 9.0, 16.0, 30.0, 60.0, 90.0]}
# llama.cpp takes the factors of long texts if its cache is longer than the original context, and no window of phi3.
MODELS = {
    "gemma2": (tiny.gemma2, dict(head_dim=32, query_pre_attn_scalar=32, attn_logit_softcapping=5.0, final_logit_softcapping=6.0)),
    "gemma3": (tiny.gemma3, dict(head_dim=32, query_pre_attn_scalar=32, num_hidden_layers=7, sliding_window_pattern=6, sliding_window=8)),
    "phi3_short": (tiny.phi3, dict(rope_parameters=LONG, original_max_position_embeddings=256, max_position_embeddings=512)),
    "phi3_long": (tiny.phi3, dict(rope_parameters=LONG, original_max_position_embeddings=8, max_position_embeddings=512)),
}


class Families(Case):
    TRAIN, HELD = 2, 2

    def made(self, name, tokenizer=make_tiny.TOKENIZER):
        """-> the directory, and a file like llama.cpp's."""
        make, changes = MODELS[name]
        folder, path = self.folder / name, self.folder / f"{name}.gguf"
        model = make(folder, **{**SMALL, "vocab_size": make_tiny.vocab_size(), **changes})
        make_tiny.copy_tokenizer(folder)
        config = json.loads((folder / "config.json").read_text())
        tensors = {key: value.detach().numpy() for key, value in model.state_dict().items() if not (config["tie_word_embeddings"] and key == "lm_head.weight")}
        write(path, tensors, config, Type.F32, tokenizer=tokenizer)
        return model, folder, path

    def ids_of(self, words):
        import tokenizers
        return tokenizers.Tokenizer.from_file(str(make_tiny.TOKENIZER / "tokenizer.json")).encode(words).ids

    def theirs(self, path, ids, count):
        server = out.server(path)
        asked = {"prompt": ids, "n_predict": count, "temperature": 0, "top_k": 1, "return_tokens": True, "ignore_eos": True, "cache_prompt": False, "n_probs": 10}
        return out.post(server.listening_address, "completion", asked)

    def first_chances(self, model, ids):
        with torch.no_grad():
            return model(torch.tensor([ids])).logits[0, -1].log_softmax(-1).tolist()

    def test_llama_cpp_answers_the_same(self):
        for name in MODELS:
            with self.subTest(name):
                model, folder, path = self.made(name)
                prompt = f"<|im_start|>user\n{PROMPT}<|im_end|>\n<|im_start|>assistant\n"
                ids = self.ids_of(prompt)
                answer = self.theirs(path, ids, 1)
                wanted = self.first_chances(model, ids)
                worst = max(abs(one["logprob"] - wanted[one["id"]]) for one in answer["completion_probabilities"][0]["top_logprobs"])
                self.assertLess(worst, 0.02, name)  # llama.cpp keeps keys and values in fp16
                plain = self.call("generate", folder, *out.FP32, "--set", "generate.max_tokens=12", PROMPT).stdout
                self.assertEqual(self.call("generate", path, *out.FP32, "--set", "generate.max_tokens=12", PROMPT).stdout, plain)
                greedy = model.generate(torch.tensor([ids]), max_new_tokens=12, do_sample=False, eos_token_id=None, pad_token_id=0)[0, len(ids):].tolist()
                self.assertEqual(self.theirs(path, ids, 12)["tokens"], greedy)

    def test_they_are_written_for_llama_cpp(self):
        for name, said in [("phi3_short", "a phi3"), ("phi3_long", "a phi3"), ("gemma2", "a gemma2"), ("gemma3", "a gemma3_text")]:
            with self.subTest(name):
                model, folder, path = self.made(name)
                # llama.cpp wants "</s>" in the vocabulary of a model that is called "phi3", which the tiny one has not.
                toml, written, again = self.folder / f"{name}.toml", self.folder / f"out_{name[-5:]}.gguf", self.folder / f"{name}_again"
                toml.write_text(f'[model]\nfrom = "{folder}"\n[data]\nfeature_cache = ""\n')
                self.assertIn(f"{said} language model in F32", self.call("export", toml, "--output", written, "--format", "gguf", "--dtype", "fp32").stderr)
                self.call("export", toml, "--output", self.folder / "checked.gguf", "--format", "gguf", "--dtype", "fp32", "--check")
                ids = self.ids_of(PROMPT)
                self.assertEqual(self.theirs(written, ids, 6)["tokens"], self.theirs(path, ids, 6)["tokens"])
                wanted, got = self.tensors(path), self.tensors(written)
                self.assertEqual(wanted.keys(), got.keys())
                self.assertEqual([key for key in wanted if wanted[key] != got[key]], [])
                blocks = self.folder / "again.toml"
                blocks.write_text(f'[model]\nfrom = "{written}"\n[data]\nfeature_cache = ""\n')
                self.call("export", blocks, "--output", again)
                before, after = (out.load_file(one / "model.safetensors") for one in (folder, again))
                self.assertEqual(before.keys(), after.keys())
                added = lambda key: "gemma" in name and key.endswith("norm.weight")
                self.assertEqual([key for key in before if not ((before[key] + 1 - 1 if added(key) else before[key]) == after[key]).all()], [])

    def tensors(self, path):
        return {tensor.name: tensor.data.tobytes() for tensor in out.gguf.GGUFReader(path).tensors}

    def test_what_llama_cpp_would_compute_otherwise_is_not_written(self):
        _, folder, _ = self.made("gemma3")
        _, second, _ = self.made("gemma2")
        whole = {one: json.loads((one / "config.json").read_text()) for one in (folder, second)}
        toml = self.folder / "no.toml"
        for one, key, value in [(folder, "layer_types", ["full_attention"] * 7), (folder, "query_pre_attn_scalar", 16), (second, "attn_logit_softcapping", None), (second, "layer_types", ["full_attention", "sliding_attention"] * 2)]:
            with self.subTest(key=key, value=value):
                (one / "config.json").write_text(json.dumps({**whole[one], key: value}))
                toml.write_text(f'[model]\nfrom = "{one}"\n')
                self.assertIn("which llama.cpp takes for granted", self.call("export", toml, "--output", self.folder / "no.gguf", "--format", "gguf", code=4).stderr)
                (one / "config.json").write_text(json.dumps(whole[one]))

    def test_ids_of_gemmas_pieces(self):
        import sentencepiece
        turn = ["<start_of_turn>", "<end_of_turn>"]
        file = io.BytesIO()
        text = [" ".join(make_tiny.WORDS) + f" {i} Größe 日本" for i in range(50)]
        sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(text), model_writer=file, vocab_size=340, model_type="bpe", byte_fallback=True, normalization_rule_name="identity", add_dummy_prefix=False,
                                                 remove_extra_whitespaces=False, pad_id=0, eos_id=1, bos_id=2, unk_id=3, pad_piece="<pad>", eos_piece="<eos>", bos_piece="<bos>", control_symbols=turn,
                                                 user_defined_symbols=["\n\n", "<b>"], hard_vocab_limit=False, minloglevel=2)
        pieces = sentencepiece.SentencePieceProcessor(model_proto=file.getvalue())
        count = pieces.vocab_size()

        def tokenizer(writer):
            kind = lambda i: 2 if pieces.is_unknown(i) else 3 if pieces.is_control(i) else 5 if pieces.is_unused(i) else 6 if pieces.is_byte(i) else 4 if pieces.id_to_piece(i) in ("\n\n", "<b>") else 1
            writer.add_tokenizer_model("llama")
            writer.add_tokenizer_pre("default")
            writer.add_token_list([pieces.id_to_piece(i) for i in range(count)])
            writer.add_token_scores([pieces.get_score(i) for i in range(count)])
            writer.add_token_types([kind(i) for i in range(count)])
            writer.add_bos_token_id(2), writer.add_eos_token_id(1), writer.add_unk_token_id(3), writer.add_pad_token_id(0)
            writer.add_add_bos_token(True), writer.add_add_space_prefix(False)
            writer.add_chat_template("{{ bos_token }}{% for m in messages %}{{ '<start_of_turn>' + m['role'] + '\n' + m['content'] + '<end_of_turn>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}")

        MODELS["pieces"] = (tiny.gemma2, dict(head_dim=32, query_pre_attn_scalar=32, vocab_size=count))
        self.addCleanup(MODELS.pop, "pieces")
        model, _, path = self.made("pieces", tokenizer)
        texts = ["What is the tone?", "  two  spaces\n\n\nend ", "Größe 42,5", "日本語 👍🏽 é", "a <b>c", "x\ty", ""]
        done = subprocess.run([str(Path(PROGRAM).with_name("tokenizer_probe")), str(path)], input="".join(json.dumps(one) + "\n" for one in texts), capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        server = out.server(path)
        for words, line in zip(texts, done.stdout.splitlines(), strict=True):
            ids = json.loads(line)["ids"]
            self.assertEqual(ids, pieces.encode(words), words)
            self.assertEqual(ids, out.post(server.listening_address, "tokenize", {"content": words, "add_special": False, "parse_special": True})["tokens"], words)
        self.call("generate", path, "--set", "generate.max_tokens=3", PROMPT)
        self.assertIn("model: gemma2\n", self.call("inspect", path).stdout)

    def test_the_end_of_a_turn_ends_an_answer_though_the_file_does_not_name_it(self):
        file = json.loads((make_tiny.TOKENIZER / "tokenizer.json").read_text())
        spelled, number = max(file["model"]["vocab"].items(), key=lambda pair: pair[1])  # that nothing is made of
        others = [i for i in range(make_tiny.vocab_size()) if i != number]
        for word, kind, expected in [("<end_of_turn>", 3, ""), ("<|end|>", 3, ""), ("<end_of_turn>", 1, "<end_of_turn><end_of_turn>"), ("<another>", 1, "<another><another>")]:
            def tokenizer(writer, word=word, kind=kind):
                lists, types, merges = writer.add_token_list, writer.add_token_types, writer.add_token_merges
                writer.add_token_list = lambda tokens: lists([word if i == number else token for i, token in enumerate(tokens)])
                writer.add_token_types = lambda kinds: types([kind if i == number else one for i, one in enumerate(kinds)])
                writer.add_token_merges = lambda pairs: merges([pair for pair in pairs if pair.replace(" ", "") != spelled])
                add_tokenizer(writer, make_tiny.TOKENIZER)

            with self.subTest(word=word, kind=kind):
                _, _, path = self.made("gemma2", tokenizer)
                said = self.call("generate", path, "--set", "generate.max_tokens=2", "--set", f"generate.suppress_tokens={others}", PROMPT)
                self.assertEqual(said.stdout.strip(), expected)


if __name__ == "__main__":
    main()
