"""Directories and adapters as others write them: what they say is computed, or refused by name. Each case is held against
the same model written in the plain way, or against what transformers and peft compute."""
import json
import re
import shutil
from pathlib import Path

from harness import Case, main
import make_tiny
import tiny_known


def edit(path, **changes):
    config = json.loads(path.read_text())
    config.update(changes)
    path.write_text(json.dumps({key: value for key, value in config.items() if value is not ...}))


class Foreign(Case):
    TRAIN, HELD = 4, 6

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        make_tiny.write_set(cls.folder / "data" / "pictures.jsonl", 4, seed=31, kinds=("image",))
        cls.picture = next((cls.folder / "data").glob("*.png"))
        make_tiny.write_llava(cls.folder / "models" / "llava")

    def copy(self, source, name):
        target = self.folder / "models" / name
        shutil.copytree(self.folder / "models" / source, target)
        return target

    def llm(self, directory, more=""):
        path = self.folder / f"{directory.name}.toml"
        path.write_text(f'[model.llm]\nplugin = "llama"\nweights = "{directory}"\n{more}[data]\nfeature_cache = ""\n[generate]\nmax_tokens = 12\n')
        return path

    def whole(self, directory, more="", data="pictures.jsonl"):
        path = self.folder / f"{directory.name}.toml"
        path.write_text(f'[model]\nfrom = "{directory}"\n{more}[data]\nfeature_cache = ""\n[generate]\nmax_tokens = 12\n[eval]\ngenerate = false\ncontrols = []\nresamples = 100\n'
                        f'[[data.eval.one.sources]]\npath = "{self.folder}/data/{data}"\n')
        return path

    def answer(self, config, *args):
        return self.call("generate", config, *args, "What is it?")

    def losses(self, config, *args):
        out = self.folder / f"{config.stem}-eval"
        self.call("eval", config, "--output", out, *args)
        return [json.loads(line)["loss"] for line in next(out.rglob("*predictions*.jsonl")).read_text().splitlines()]

    def test_the_pictures_settings_in_processor_config(self):
        plain, nested = self.folder / "models" / "llava", self.copy("llava", "nested")
        edit(nested / "preprocessor_config.json", size={"height": 56, "width": 56})
        settings = json.loads((nested / "preprocessor_config.json").read_text())
        moved = self.copy("nested", "moved")
        (moved / "preprocessor_config.json").unlink()
        (moved / "processor_config.json").write_text(json.dumps({"processor_class": "LlavaProcessor", "image_processor": {**settings, "image_processor_type": "SiglipImageProcessor"}}))
        shown = {name: self.call("validate", self.whole(path)).stdout for name, path in {"plain": plain, "nested": nested, "moved": moved}.items()}
        self.assertIn("[3, 28, 28]", shown["plain"])
        for name in ("nested", "moved"):
            self.assertRegex(shown[name], r"\[3, 56, 56\] -> 16 vectors .*-> 16 embeddings")
        self.assertEqual(self.losses(self.whole(nested)), self.losses(self.whole(moved)))

    def talk(self, name, *turns, **more):
        """A set of one question and answer a record."""
        lines = [{"messages": [{"role": role, "content": content} for role, content in zip(("user", "assistant", "user", "assistant"), texts)], **{key: values[i] for key, values in more.items()}} for i, texts in enumerate(turns)]
        (self.folder / "data" / name).write_text("".join(json.dumps(line) + "\n" for line in lines))
        return name

    def assert_losses(self, config, *expected):
        got = self.losses(config, "--set", "precision.compute=fp32")
        self.assertEqual(len(got), len(expected))
        for value, theirs in zip(got, expected):
            self.assertAlmostEqual(value, theirs, delta=1e-5 * theirs)

    def test_losses_of_transformers_and_peft(self):
        """Numbers of transformers 5.24 and peft 0.21, of which five decimals are known."""
        models = self.folder / "models"
        tiny_known.write_llama(models / "known")
        tiny_known.write_llama(models / "known_head", own_head=True)
        talk = self.talk("known.jsonl", ("what is this picture about", "a red bird"), ("hello world, how are you today?", "fine, thank you!"), ("transcribe", "the speech please"))
        self.assert_losses(self.whole(models / "known", data=talk), 6.64885, 7.83154, 7.19400)
        self.assert_losses(self.whole(models / "known_head", data=talk), 5.80166, 6.40161, 7.19908)
        self.assert_losses(self.whole(models / "known_head", "llm.tie_embeddings = true\n", data=talk), 6.29131, 6.02670, 6.31527)  # as the config has it
        pissa = self.adapter("known_pissa", {"init_lora_weights": "pissa", "peft_version": "0.21.2"})
        self.assertIn('init_lora_weights is "pissa"', self.call("eval", self.whole(models / "known", pissa, talk), code=4).stderr)
        tiny_known.write_llava(models / "known_llava")
        tiny_known.write_adapter(self.folder / "adapters" / "known_whole")
        tiny_known.write_picture(self.folder / "data" / "known.png")
        seen = self.talk("known_picture.jsonl", ([{"type": "image", "image": "known.png"}, {"type": "text", "text": "what is this picture about"}], "a red bird"))
        llava = self.whole(models / "known_llava", data=seen)
        self.assertRegex(self.call("validate", llava).stdout, r"\[3, 56, 56\] -> 16 vectors .*-> 16 embeddings")
        self.assert_losses(llava, 6.08860)
        slot = f'llm.peft = [{{ plugin = "lora", rank = 4, alpha = 8, targets = ["q_proj", "v_proj"], weights = "{self.folder}/adapters/known_whole" }}]\n'
        self.assert_losses(self.whole(models / "known_llava", slot, seen), 6.35489)

    def test_models_that_answer_by_heart(self):
        models = self.folder / "models"
        turn = "{% for m in messages %}<|start|>{{ m['role'] }}<|end|>{{ m['content'] }}<|eot|>{% endfor %}{% if add_generation_prompt %}<|start|>assistant<|end|>{% endif %}"
        after = {"<|end|>": "hello", "hello": "<|eot|>", "<|eot|>": "again", "again": "more", "more": "again"}
        tiny_known.write_chain(models / "two_ends", ["<|begin|>", "<|eos|>", "<|start|>", "<|end|>", "<|eot|>"], ["hello", "again", "more"], after, turn, "<|begin|>", "<|eos|>", stop=["<|eos|>", "<|eot|>"])
        self.assertEqual(self.call("generate", self.llm(models / "two_ends"), "hi").stdout, "hello\n")  # config.json alone says that <|eot|> ends an answer

        said = ["你好世界", "việt nam đẹp lắm", "यह किताब है", "the dog sat"]
        expected = ["你好，世界！", "VIỆT NAM ĐẸP LẮM", "यह किताब है।", "the cat"]
        after = {**dict(zip("ABCD", said)), **dict.fromkeys(said, "<|im_end|>")}
        tiny_known.write_chain(models / "scripts", make_tiny.SPECIAL, said, after, "{% for m in messages %}{{ m['content'] }}{% if m['role'] == 'assistant' %}<|im_end|>{% endif %}{% endfor %}")
        config, out = self.whole(models / "scripts", data=self.talk("scripts.jsonl", *zip("ABCD", expected), task=["k0", "k1", "k2", "k3"])), self.folder / "scripts-eval"
        self.call("eval", config, "--output", out, "--set", "eval.generate=true", "--set", "eval.max_tokens=4")
        (results,) = json.loads((out / "results.json").read_text())
        self.assertEqual([results["tasks"][f"k{i}"]["conditions"]["right"]["wer"]["mean"] for i in range(4)], [0, 0, 0, 1])  # jiwer 4, without case and punctuation
        self.assertEqual([json.loads(line)["predicted"] for line in (out / "predictions.jsonl").read_text().splitlines()], said)

        opens = ("{%- if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}{{ bos_token }}{%- for m in messages %}{%- if m['role'] == 'user' %}{{ '<|user|>' + m['content'] }}"
                 "{%- else %}{%- set text = m['content'] %}{%- if '</think>' in text %}{%- set text = text.split('</think>')[-1] %}{%- endif %}{{ '<|answer|>' + text + '<|im_end|>' }}{%- endif %}{%- endfor %}"
                 "{%- if add_generation_prompt %}{{ '<|answer|><think>\\n' }}{%- endif %}")
        tiny_known.write_chain(models / "thinks", ["<|begin|>", "<|eos|>", "<|user|>", "<|answer|>", "<|im_end|>"], [], {}, opens, "<|begin|>")
        talk = self.folder / "data" / self.talk("thinks.jsonl", ("Hello", "Hi.", "And you?", "Fine."))
        shown = self.call("data", "show", self.llm(models / "thinks"), "--source", talk).stdout
        self.assertIn("\n<|begin|><|user|>Hello<|answer|>«Hi.<|im_end|>»<|user|>And·you?<|answer|>«Fine.<|im_end|>»\n", shown)
        self.assertIn("27 tokens, 10 supervised", shown)

    def test_stop_ids_in_config_json(self):
        vocab = make_tiny.vocab_size()
        free = self.copy("llama", "free")
        edit(free / "config.json", eos_token_id=None)
        edit(free / "tokenizer_config.json", eos_token="<|endoftext|>")
        ids = json.loads((free / "tokenizer.json").read_text())["model"]["vocab"]
        longest = self.answer(self.llm(free)).stdout
        self.assertGreater(len(longest.strip()), 3)
        outputs = {}
        for where in ("config", "list", "text", "generation"):
            stopping = self.copy("free", f"stop_{where}")
            stop = list(range(vocab - 3))[1::2]  # every second token
            config = {"config": {"eos_token_id": stop}, "list": {"eos_token_id": [*stop, 10**6]}, "text": {"text_config": {"eos_token_id": stop}}, "generation": {}}[where]
            edit(stopping / "config.json", **config)
            if where == "generation":
                (stopping / "generation_config.json").write_text(json.dumps({"eos_token_id": stop}))
            outputs[where] = self.answer(self.llm(stopping)).stdout
        self.assertEqual(len(set(outputs.values())), 1, outputs)
        self.assertLess(len(outputs["config"]), len(longest))

    def test_generation_config(self):
        directory = self.copy("llama", "asking")
        keys = lambda **values: (directory / "generation_config.json").write_text(json.dumps(values))
        keys()
        config = self.llm(directory)
        plain = self.answer(config)
        self.assertNotIn("generation_config.json", plain.stderr)
        keys(repetition_penalty=9.0, max_new_tokens=30, num_beam_groups=4)
        asked = self.answer(config)
        self.assertNotEqual(asked.stdout, plain.stdout)
        self.assertIn("generation_config.json: repetition_penalty = 9.0; [generate] may say otherwise", asked.stderr)  # [generate] says max_tokens
        self.assertRegex(asked.stderr, r"warning.*generation_config.json: num_beam_groups = 4 asked for, which is not done here")
        self.assertEqual(self.answer(config, "--set", "generate.repetition_penalty=1").stdout, plain.stdout)
        keys(do_sample=True, temperature=5.0)
        sampled = self.answer(config)
        self.assertIn("do_sample = true, temperature = 5.0, top_k = 50; [generate]", sampled.stderr)
        self.assertNotEqual(sampled.stdout, plain.stdout)
        self.assertEqual(self.answer(config).stdout, sampled.stdout)  # the seed is [generate]'s
        self.assertEqual(self.answer(config, "--set", "generate.temperature=0").stdout, plain.stdout)

    def test_template_variables(self):
        template = self.folder / "thinking.jinja"
        template.write_text("{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' }}{% if m.reasoning_content %}{{ '[' + m.reasoning_content + ']' }}{% endif %}{{ m.content + '<|im_end|>\\n' }}{% endfor %}"
                            "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% if enable_thinking is false %}{{ '[]' }}{% endif %}{% endif %}")
        data = self.folder / "data" / "thoughts.jsonl"
        data.write_text(json.dumps({"messages": [{"role": "user", "content": "What?"}, {"role": "assistant", "reasoning_content": "hm", "content": "red"}]}) + "\n")
        config = self.llm(self.folder / "models" / "llama", f'chat_template = "{template}"\n')
        self.assertIn("[hm]red", self.call("data", "show", config, "--source", data).stdout)
        quiet = ["--set", "model.llm.template_variables.enable_thinking=false"]
        self.assertNotEqual(self.answer(config, *quiet).stdout, self.answer(config).stdout)
        error = self.call("generate", config, "--set", "model.llm.template_variables.enabel_thinking=false", "x", code=2).stderr
        self.assertIn("has no variable 'enabel_thinking'", error)
        plain = self.llm(self.folder / "models" / "llama")
        self.assertIn("does not show reasoning_content", self.call("data", "check", plain, "--set", f'data.train.sources=[{{path="{data}"}}]', code=3).stdout)

    def test_a_head_of_its_own_beside_tied_embeddings(self):
        plain = self.answer(self.llm(self.folder / "models" / "llama")).stdout
        tied = self.copy("llama", "tied")
        edit(tied / "config.json", tie_word_embeddings=True)
        done = self.answer(self.llm(tied))
        self.assertEqual(done.stdout, plain)
        self.assertRegex(done.stderr, r"tied/config.json: tie_word_embeddings is true, but the checkpoint holds a 'lm_head.weight' that differs from 'model.embed_tokens.weight'")
        wanted = self.answer(self.llm(tied, more="tie_embeddings = true\n"))  # what the composition says is done
        self.assertNotEqual(wanted.stdout, plain)
        picture = ["--image", self.picture]
        whole = self.answer(self.whole(self.folder / "models" / "llava"), *picture).stdout
        for name, top, inner in [("top", True, ...), ("inner", ..., True), ("both", True, True), ("against", False, True)]:
            directory = self.copy("llava", f"tied_{name}")
            config = json.loads((directory / "config.json").read_text())
            edit(directory / "config.json", tie_word_embeddings=top,
                 text_config={key: value for key, value in {**config["text_config"], "tie_word_embeddings": inner}.items() if value is not ...})
            done = self.answer(self.whole(directory), *picture)
            self.assertEqual(done.stdout, whole, name)
            self.assertIn("'language_model.lm_head.weight' that differs", done.stderr, name)

    def adapter(self, name, config, place="model.layers", more=(), width=16):
        """An adapter of rank 2 on q_proj."""
        from safetensors.numpy import save_file

        w = make_tiny.Weights(77)
        for layer in range(2):
            for factor, shape in (("A", (2, 32)), ("B", (32, 2))):
                w.normal(f"base_model.model.{place}.{layer}.self_attn.q_proj.lora_{factor}.weight", *shape, std=0.5)
        for key in more:
            w.normal(key, 2, width)
        folder = self.folder / "adapters" / name
        folder.mkdir(parents=True)
        save_file(w.tensors, folder / "adapter_model.safetensors")
        (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["q_proj"], **config}))
        return f'llm.peft = [{{ plugin = "lora", rank = 2, alpha = 4, targets = ["q_proj"], weights = "{folder}" }}]\n'

    def test_adapters_of_whole_models(self):
        llava = self.folder / "models" / "llava"
        base = self.losses(self.whole(llava))
        got = {place: self.losses(self.whole(llava, self.adapter(place, {}, place)))
               for place in ("model.layers", "model.language_model.layers", "language_model.model.layers")}
        self.assertEqual(len({str(value) for value in got.values()}), 1, got)
        self.assertNotEqual(got["model.layers"], base)
        rows = {}
        for parent in ("model", "model.language_model", "language_model.model"):
            for table in (f"{parent}.embed_tokens", "embed_tokens"):
                key = f"base_model.model.{parent}.embed_tokens.token_adapter.trainable_tokens_delta"
                slot = self.adapter(f"rows_{parent}_{table}", {"trainable_token_indices": {table: [10, 63]}}, f"{parent}.layers", more=[key], width=32)
                rows[parent, table] = self.losses(self.whole(llava, slot))
        self.assertEqual(len({str(value) for value in rows.values()}), 1, rows)
        self.assertNotEqual(rows["model", "embed_tokens"], got["model.layers"])
        tower = "base_model.model.model.vision_tower.encoder.layers.0.self_attn.q_proj.lora_A.weight"
        error = self.call("eval", self.whole(llava, self.adapter("tower", {}, more=[tower])), code=4).stderr
        self.assertRegex(error, r"1 tensors of the adapter \S+ are of parts of the model that do not name it, the first is .*vision_tower")

    def test_an_adapter_in_the_models_directory(self):
        """transformers puts it on the model (integrations/peft.py, maybe_load_adapters)."""
        llama, inside = self.folder / "models" / "llama", self.copy("llama", "inside")
        slot = self.adapter("for_inside", {})
        for file in (self.folder / "adapters" / "for_inside").iterdir():
            shutil.copy(file, inside)
        error = self.call("generate", self.llm(inside), "What?", code=4).stderr
        self.assertIn(f"[model.llm] {inside} holds an adapter beside the model (adapter_config.json), and no peft slot takes it", error)
        taken = self.answer(self.whole(inside)).stdout
        self.assertEqual(taken, self.answer(self.llm(llama, slot.replace("llm.peft", "peft"))).stdout)
        self.assertNotEqual(taken, self.answer(self.llm(llama)).stdout)
        self.assertEqual(self.call("compose", inside).stdout.count(f'weights = "{inside}"'), 2)

    def test_weights_that_are_no_weights(self):
        for what in ("/dev/full", self.picture):
            error = self.call("validate", self.llm(Path(what)), code=4).stderr
            self.assertIn(f"{what} is neither a folder nor a file of weights", error)
        bare = self.copy("llama", "bare")
        (bare / "model.safetensors").unlink()
        self.assertIn(f"note: llm: {bare} has no model.safetensors yet", self.call("validate", self.llm(bare)).stdout)

    def test_adapters_that_ask_for_more_than_lora(self):
        """Or for something else than the slot says; what it does not say is as the file has it (tests/parity/models/unsaid.py)."""
        llama = self.folder / "models" / "llama"
        otherwise = {"use_dora": "dora = false", "rank_pattern": "rank_pattern = {}", "alpha_pattern": "alpha_pattern = {}", "use_rslora": "rslora = false"}
        said = lambda asked: "".join(f", {otherwise[key]}" for key in asked if key in otherwise and asked[key])
        config = lambda name, asked: self.llm(llama, self.adapter(name, asked).replace("llm.peft", "peft").replace(" }]", said(asked) + " }]"))
        self.answer(config("plain", {"init_lora_weights": "gaussian", "alora_invocation_tokens": None, "rank_pattern": {}, "modules_to_save": None, "use_dora": False}))
        for key, value in {"init_lora_weights": "pissa", "alora_invocation_tokens": [1, 2], "use_dora": True, "lora_bias": True, "bias": "all", "fan_in_fan_out": True,
                           "rank_pattern": {"q_proj": 4}, "alpha_pattern": {"q_proj": 8}, "modules_to_save": ["lm_head"], "trainable_token_indices": [3],
                           "target_parameters": ["x"], "layer_replication": [[0, 1]], "megatron_config": {"a": 1}, "use_qalora": True, "use_bdlora": {"a": 1},
                           "arrow_config": {"a": 1}, "velora_config": {"a": 1}, "kasa_config": {"a": 1}, "monteclora_config": {"a": 1}, "use_rslora": True,
                           "a_later_idea": {"on": True}}.items():
            with self.subTest(key=key):
                error = self.call("generate", config(f"with-{key}", {key: value}), "What?", code=4).stderr
                self.assertRegex(error, rf"adapter_config.json: {key} is ")


if __name__ == "__main__":
    main()
