"""What `antiphon export --format gguf` writes, read by llama.cpp's own server and by the package gguf."""
import base64
import json
import urllib.error
import urllib.request

from harness import Case, main
import make_tiny

import gguf
import numpy
from safetensors.numpy import load_file

TEXTS = ["What is the tone?", "Größe 42,5 <|im_start|>x", "  two  spaces\n\n\nend ", "日本語 👍🏽 é"]
PROMPT = "What is the tone?"


def server(path, mmproj=None):
    import xllamacpp
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    if mmproj:
        params.mmproj.path, params.mmproj_use_gpu = str(mmproj), False
    params.n_ctx, params.n_parallel, params.warmup, params.verbosity = 128, 1, False, 0
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    return xllamacpp.Server(params)


FP32 = ["--set", "precision.compute=fp32"]


def post(address, verb, body=None):
    """GET without a body."""
    call = urllib.request.Request(f"{address}/{verb}", body and json.dumps(body).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(call, timeout=60) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise AssertionError(error.read().decode()) from error


class GgufOut(Case):
    TRAIN, HELD = 6, 4

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.source = cls.folder / "models" / "llama"
        cls.toml = cls.folder / "out.toml"
        cls.toml.write_text(f'[model]\nfrom = "{cls.source}"\n[data]\nfeature_cache = ""\n[generate]\nmax_tokens = 12\n')

    def export(self, dtype, toml=None):
        path = self.folder / f"{dtype}.gguf"
        self.call("export", toml or self.toml, "--output", path, "--format", "gguf", "--dtype", dtype)
        return path

    def ids_of(self, words):
        import tokenizers
        return tokenizers.Tokenizer.from_file(str(self.source / "tokenizer.json")).encode(words).ids

    def greedy(self, folder, ids, count=12):
        import torch
        import transformers
        model = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
        return model.generate(torch.tensor([ids]), max_new_tokens=count, do_sample=False, eos_token_id=None, pad_token_id=0)[0, len(ids):].tolist()

    def test_llama_cpp_reads_it_and_answers_the_same(self):
        path = self.export("fp32")
        theirs = server(path)
        ids = self.ids_of(PROMPT)
        asked = {"prompt": ids, "n_predict": 12, "temperature": 0, "top_k": 1, "return_tokens": True, "ignore_eos": True, "cache_prompt": False}
        answer = post(theirs.listening_address, "completion", asked)
        self.assertEqual(answer["tokens"], self.greedy(self.source, ids))
        for words in TEXTS:
            got = post(theirs.listening_address, "tokenize", {"content": words, "add_special": False, "parse_special": True})["tokens"]
            self.assertEqual(got, self.ids_of(words), words)
        chat = post(theirs.listening_address, "v1/chat/completions", {"messages": [{"role": "user", "content": PROMPT}], "max_tokens": 12, "temperature": 0, "top_k": 1})
        self.assertEqual(chat["choices"][0]["message"]["content"].strip(), self.call("generate", path, *FP32, "--set", "generate.max_tokens=12", PROMPT).stdout.strip())

    def test_yarn(self):
        """llama.cpp turns heads by it as transformers does, beyond the length of pre-training."""
        folder = self.folder / "models" / "yarn"
        make_tiny.write_llama(folder, seed=33)
        config = json.loads((folder / "config.json").read_text())
        config.pop("rope_theta", None)
        config["rope_parameters"] = {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 32}
        (folder / "config.json").write_text(json.dumps(config))
        toml = self.folder / "yarn.toml"
        toml.write_text(f'[model]\nfrom = "{folder}"\n')
        theirs = server(self.export("fp32", toml))
        ids = self.ids_of(PROMPT * 10)
        self.assertGreater(len(ids), 40)
        answer = post(theirs.listening_address, "completion", {"prompt": ids, "n_predict": 12, "temperature": 0, "top_k": 1, "return_tokens": True, "ignore_eos": True, "cache_prompt": False})
        self.assertEqual(answer["tokens"], self.greedy(folder, ids))
        plain = dict(config, rope_parameters={"rope_type": "default", "rope_theta": 10000.0})
        (folder / "config.json").write_text(json.dumps(plain))
        self.assertNotEqual(answer["tokens"], self.greedy(folder, ids), "without it the answer is another one")

    def test_blocks_are_near(self):
        plain = self.export("fp32")
        asked = {"prompt": self.ids_of(PROMPT), "n_predict": 1, "temperature": 0, "n_probs": 40, "cache_prompt": False}

        def chances(path):
            theirs = server(path)  # which stops when nobody holds it
            return {one["id"]: one["logprob"] for one in post(theirs.listening_address, "completion", asked)["completion_probabilities"][0]["top_logprobs"]}

        wanted = chances(plain)
        for dtype, near in [("fp16", 0.01), ("bf16", 0.1), ("q8_0", 0.2), ("q4_0", 2.5)]:
            got = chances(self.export(dtype))
            both = set(got) & set(wanted)
            self.assertGreater(len(both), 10, dtype)
            worst = max(abs(got[one] - wanted[one]) for one in both)
            self.assertLess(worst, near, dtype)
            self.assertGreater(worst, 0, dtype)

    def test_numbers_are_those_of_the_package(self):
        tensors = load_file(self.source / "model.safetensors")
        for dtype, kind in [("fp32", "F32"), ("fp16", "F16"), ("bf16", "BF16"), ("q8_0", "Q8_0"), ("q4_0", "Q4_0")]:
            reader = gguf.GGUFReader(self.export(dtype))
            found = {tensor.name: tensor for tensor in reader.tensors}
            self.assertEqual(len(found), len(tensors))
            embedding = tensors["model.embed_tokens.weight"]
            wanted = embedding.astype(numpy.float16) if kind == "F16" else gguf.quants.quantize(embedding, gguf.GGMLQuantizationType[kind])
            self.assertEqual(found["token_embd.weight"].tensor_type.name, kind)
            self.assertEqual(found["token_embd.weight"].data.tobytes(), wanted.tobytes())
            self.assertEqual(found["output_norm.weight"].tensor_type.name, "F32")
            self.assertEqual(reader.fields["tokenizer.chat_template"].contents(), make_tiny.TEMPLATE)

    def test_a_picture_goes_through_the_tower_beside_it(self):
        llava, picture = self.folder / "llava", self.folder / "cat.png"
        make_tiny.write_llava(llava, layers=3)
        picture.write_bytes(make_tiny.png_bytes((200, 40, 90), make_tiny.random.Random(3), size=28))
        toml = self.folder / "llava.toml"
        toml.write_text(f'[model]\nfrom = "{llava}"\n[data]\nfeature_cache = ""\n')
        for dtype in ("fp32", "fp16"):
            path = self.folder / f"llava-{dtype}.gguf"
            done = self.call("export", toml, "--output", path, "--format", "gguf", "--dtype", dtype)
            self.assertIn(f"mmproj-llava-{dtype}.gguf, for --mmproj", done.stderr)
            theirs = server(path, path.with_name(f"mmproj-{path.name}"))
            marker = post(theirs.listening_address, "props")["media_marker"]
            asked = {"n_predict": 1, "temperature": 0, "n_probs": 20, "cache_prompt": False}
            for word in ["What?", "Why?", "Who?", "red", "blue", "tone", "x", "y", "z"]:  # until the first token is text, which alone is told
                prompt = f"<|im_start|>user\n{marker}\n{word}<|im_end|>\n<|im_start|>assistant\n"
                seen = post(theirs.listening_address, "completion", {**asked, "prompt": {"prompt_string": prompt, "multimodal_data": [base64.b64encode(picture.read_bytes()).decode()]}})
                if "completion_probabilities" in seen:
                    break
            wanted = self.chances_with(llava, picture, prompt.replace(marker, "<image>" * 4))
            worst = max(abs(one["logprob"] - wanted[one["id"]]) for one in seen["completion_probabilities"][0]["top_logprobs"])
            self.assertLess(worst, 0.02, dtype)  # llama.cpp's activations come from tables in fp16

    def chances_with(self, folder, picture, prompt):
        """Logarithms of the first token's chances, by transformers' parts in llama.cpp's order: its graph of this build puts
        the class vector behind the patches (tools/mtmd/models/llava.cpp), so that places and kept rows move by one."""
        import tokenizers
        import torch
        import transformers
        from PIL import Image
        pixels = torch.from_numpy(numpy.asarray(Image.open(picture), numpy.float32) / 127.5 - 1).permute(2, 0, 1)[None]
        ids = torch.tensor([tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json")).encode(prompt).ids])
        model = transformers.LlavaForConditionalGeneration.from_pretrained(folder).eval()
        tower = model.model.vision_tower
        tower = getattr(tower, "vision_model", tower)
        with torch.no_grad():
            patches = tower.embeddings.patch_embedding(pixels).flatten(2).transpose(1, 2)
            x = torch.cat([patches, tower.embeddings.class_embedding[None, None]], 1) + tower.embeddings.position_embedding.weight
            x = tower.pre_layrnorm(x)
            for layer in tower.encoder.layers[:-1]:
                out = layer(x, None)
                x = out[0] if isinstance(out, tuple) else out
            embeds = model.model.get_input_embeddings()(ids)
            embeds[ids == model.config.image_token_id] = model.model.multi_modal_projector(x[:, 1:])[0]
            hidden = model.model.language_model(inputs_embeds=embeds).last_hidden_state
            return model.lm_head(hidden)[0, -1].log_softmax(-1).tolist()

    def test_what_has_no_form_is_refused(self):
        self.assertIn("let it end in .gguf", self.call("export", self.toml, "--output", self.folder / "x", "--format", "gguf", code=2).stderr)
        self.assertIn("is a format of GGUF files", self.call("export", self.toml, "--output", self.folder / "x", "--dtype", "q8_0", code=2).stderr)
        self.call("export", self.toml, "--output", self.folder / "checked.gguf", "--format", "gguf", "--check")


if __name__ == "__main__":
    main()
