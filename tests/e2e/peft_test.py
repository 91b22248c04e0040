"""Methods of fine-tuning on every slot, virtual tokens, and adapters over a language model in 4 bits: trained, resumed, evaluated,
written for other programs."""

import json
import re
import shutil

from safetensors.numpy import load_file, save_file

from harness import DEVICE, ON_CPU, ROOT, Case, losses, main, records, sets

LORA = '{ plugin = "lora", rank = 2, targets = ["query", "value"] }'
BOTTLENECK = '{ plugin = "adapters", bottleneck = 4 }'
IA3 = '{ plugin = "ia3", targets = ["layers.1"], feedforward = [] }'
# Methods on the language model, and PEFT's name of their files.
ON_LLM = {
    "dora, whole modules, biases": ('plugin = "lora"\nrank = 4\ndora = true\ntargets = ["q_proj", "down_proj"]\nrank_pattern = { down_proj = 2 }\nmodules_to_save = ["norm"]', "LORA"),
    "pissa": ('plugin = "lora"\nrank = 4\ninit = "pissa"\ntargets = ".*layers.1.*"', "LORA"),
    "tables": ('plugin = "lora"\nrank = 4\ndropout = 0.1\ntargets = ["q_proj", "embed_tokens", "lm_head"]', "LORA"),
    "tokens": ('plugin = "lora"\nrank = 4\ntargets = ["v_proj"]\ntrainable_token_indices = { embed_tokens = [10, 63], lm_head = [10] }', "LORA"),
    "trainable_tokens": ('plugin = "trainable_tokens"\ntoken_indices = [5, 7]\ntables = ["embed_tokens", "lm_head"]', "TRAINABLE_TOKENS"),
    "vera": ('plugin = "vera"\nrank = 16\ntargets = ["q_proj", "up_proj"]\ndropout = 0.1', "VERA"),
    "parallel_adapters": ('plugin = "parallel_adapters"\nbottleneck = 8\nsublayers = "both"', "PARALLEL_ADAPTERS"),
    "selective": ('plugin = "selective"\ntargets = ["model.layers.1.*"]\nexclude = ["*.mlp.*"]', "LN_TUNING"),
    "prompt_tuning": ('plugin = "prompt_tuning"\ntokens = 4\ninit = "text"\ninit_text = "a cat"\ntokenizer = "{root}/models/llama"', "PROMPT_TUNING"),
    "prefix_tuning": ('plugin = "prefix_tuning"\ntokens = 4', "PREFIX_TUNING"),
}
# Those that have tests of their own elsewhere.
OTHERS = {"ia3": 'plugin = "ia3"', "adapters": 'plugin = "adapters"\nbottleneck = 4', "ptuning": 'plugin = "ptuning"\ntokens = 4\nencoder_size = 16'}


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

    def test_for_some_tokens(self):
        """A method that changes media alone leaves what the model says to texts as it was, and trains."""
        lora = re.search(r'\[\[model\.llm\.peft\]\]\nplugin = "lora"\n', self.config.read_text())[0]
        config = self.write("of_media", self.with_methods((lora, lora + 'only = "media"\n')))
        run = self.resumed(config, "of_media_run")
        again = self.folder / "of_media_again"
        done = self.train(again, *sets(train__steps=10, train__checkpoint_every=5, train__recompute="full"), config=config)
        self.assertIn("for embeddings of media alone", done.stderr)
        self.assertIn("no adapter in", done.stderr)
        self.assert_same_run(run, again)
        self.assertLess(losses(run)[10], losses(run)[1])
        self.assertFalse((run / "adapter").exists(), "PEFT's files cannot say it")
        bare = self.write("bare", self.with_methods((re.search(r"(?s)\[\[model\.llm\.peft\]\].*?\n\n", self.config.read_text())[0], "\n")))
        asked = ["What colour is it?", *sets(generate__max_tokens=12)]
        self.assertEqual(self.call("generate", run, *asked).stdout, self.call("generate", bare, *asked).stdout)
        from_run = self.write("from_run", self.with_methods((lora, lora + f'only = "media"\nweights = "{run}"\n'), ('{ plugin = "mlp" }', f'{{ plugin = "mlp", weights = "{run}" }}'), ('"frame_stack"', f'"frame_stack", weights = "{run}"')))
        self.assertEqual(self.answers(from_run), self.answers(run))
        self.assertIn("cannot become part of the weights", self.call("export", run, "--output", self.folder / "of_media_out", code=2).stderr)
        for slot, words in (('[{ plugin = "prompt_tuning", only = "media" }]', "changes no layer"), ('[{ plugin = "lora", only = "pictures" }]', "only")):
            self.assertIn(words, self.call("validate", bare, "--set", f"model.llm.peft={slot}", code=2).stderr)
        of_encoder = self.write("of_encoder", self.with_methods(('fit = "stretch"', 'peft = [{ plugin = "lora", targets = "all-linear", only = "text" }], fit = "stretch"')))
        self.assertIn("not a language model", self.call("validate", of_encoder, code=2).stderr)

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
        done = self.call("export", run, "--output", out, "--check")
        self.assertRegex(done.stderr, r"checked: of \d+ logits of a probe none differs by more than \S+ from the model with its adapters")
        self.assertIn("checked", self.call("export", run, "--output", self.folder / "rounded", "--dtype", "bf16", "--check").stderr)
        self.assertIn("is another model", self.call("export", run, "--output", self.folder / "rounded", "--replace", "--dtype", "bf16", "--check", 1e-7, code=4).stderr)
        self.assertIn("must be a number of 0 or more, got 'much'", self.call("export", run, "--output", self.folder / "rounded", "--check", "much", code=2).stderr)
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

    def with_method(self, name, *tables):
        """The tiny composition with these in place of its lora."""
        text = self.config.read_text()
        begin, end = text.index("[[model.llm.peft]]"), text.index("[model.streams.image]")
        own = "".join(f"[[model.llm.peft]]\n{table}\n\n" for table in tables).replace("{root}", str(self.folder))
        return self.write(name, text[:begin] + own + text[end:])

    def from_run(self, run, config, name):
        """The composition of a run, with all that it trained beside its language model and methods."""
        text = config.read_text()
        for connector in ("mlp", "frame_stack"):
            text = text.replace(f'plugin = "{connector}"', f'plugin = "{connector}", weights = "{run}"')
        return self.write(name, text)

    def test_each_method(self):
        """Trained, cut in two, measured; read from its folder; beside what the run's checkpoint says."""
        for name, (table, kind) in ON_LLM.items():
            with self.subTest(method=name):
                short = name.split(",")[0]
                config = self.with_method(short, table)
                run = self.resumed(config, f"run_{short}")
                self.assertLess(losses(run)[10], losses(run)[1])
                self.assertEqual(json.loads((run / "adapter" / "adapter_config.json").read_text())["peft_type"], kind)
                measured = self.answers(run)
                if short == "pissa":  # its file is that of an ordinary one
                    table = table.replace("rank = 4", "rank = 8\nalpha = 32").replace('init = "pissa"\n', "")
                read = self.with_method(f"read_{short}", f'weights = "{run}/adapter"\n' + re.sub(r"init = .*\n|init_text = .*\n|tokenizer = .*", "", table))
                for ours, other in zip(measured, self.answers(self.from_run(run, read, f"again_{short}")), strict=True):
                    self.assertAlmostEqual(ours, other, places=5)

    def test_second_stages_go_on_with_what_is_trained_of_a_part(self):
        """The values of a part's own parameters lie in the run: the part's slot takes them, and its directory gives the rest."""
        table = ON_LLM["selective"][0]
        run = self.folder / "own"
        self.train(run, *sets(train__steps=5), config=self.with_method("own", table))
        text = self.from_run(run, self.with_method("own_second"), "own_second").read_text()
        second = self.write("own_second", text.replace(f'weights = "{self.folder}/models/llama"', f'weights = "{run}"'))
        self.assertIn("tensors from", self.call("validate", second).stdout + self.call("validate", second).stderr)
        measured = self.answers(run)
        self.assertEqual(self.answers(second), measured)
        third = self.folder / "own_third"  # which trains others, and ends without a change
        self.train(third, *sets(train__steps=1, train__optimizer__lr=1e-12), config=self.write("own_third", second.read_text().replace("[model.streams.image]", '[[model.llm.peft]]\nplugin = "selective"\ntargets = ["model.norm"]\n\n[model.streams.image]')))
        last = self.write("own_last", self.from_run(third, self.with_method("own_last"), "own_last").read_text().replace(f'weights = "{self.folder}/models/llama"', f'weights = "{third}"'))
        for ours, other in zip(measured, self.answers(last), strict=True):
            self.assertAlmostEqual(ours, other, places=5)
        stages = second.read_text().replace(f'weights = "{run}"', f'weights = "{self.folder}/models/llama"', 1).replace(f', weights = "{run}"', "")
        stages += f'\n[[stage]]\nname = "some"\nmodel.llm.peft = [{{ plugin = "selective", targets = ["model.layers.1.*"] }}]\n[[stage]]\nname = "rest"\n'
        self.train(self.folder / "staged", *sets(train__steps=4), config=self.write("staged", stages))
        resolved = (self.folder / "staged" / "rest" / "config.toml").read_text()
        self.assertIn(f'weights = "{self.folder}/staged/some"', resolved.split("[model.streams")[0])
        self.assertLess(losses(self.folder / "staged" / "rest")[1], losses(self.folder / "staged" / "some")[1])

    def test_several_at_once_and_exported(self):
        """On the language model, encoders and connectors; what can be folded in is, and the whole computes the same."""
        tables = [ON_LLM[name][0] for name in ("selective", "dora, whole modules, biases", "vera", "pissa")]
        text = self.with_method("several", *tables, 'plugin = "ia3"').read_text()
        on_image = '[{ plugin = "lora", dora = true, rank = 2, targets = ["query", "fc2"] }, { plugin = "vera", rank = 8, targets = ["query"] }, { plugin = "selective", targets = ["layernorm"] }]'
        text = text.replace('fit = "stretch"', f'peft = {on_image}, fit = "stretch"').replace('length = "clip"', 'peft = [{ plugin = "lora", init = "pissa", rank = 2, targets = ["fc1"], bias = "lora_only" }], length = "clip"')
        text = text.replace('{ plugin = "mlp" }', '{ plugin = "mlp", trainable = false, peft = [{ plugin = "vera", rank = 4, targets = ["layers.1"] }, { plugin = "selective", targets = ["layers.0.bias"] }] }')
        run, out = self.resumed(self.write("several", text), "run_several"), self.folder / "several_out"
        self.assertEqual(len(list(run.glob("adapter*"))), 5 + 3 + 1 + 2)
        self.call("export", run, "--output", out)
        base = load_file(self.folder / "models" / "llama" / "model.safetensors")
        merged = load_file(out / "model.safetensors")
        changed = {name for name in base if abs(base[name] - merged[name]).max() > 0}
        self.assertIn("model.norm.weight", changed)
        self.assertIn("model.layers.1.input_layernorm.weight", changed)
        self.assertIn("model.layers.0.self_attn.q_proj.weight", changed)
        self.assertNotIn("model.embed_tokens.weight", changed)
        plain = self.with_method("merged").read_text().replace(f'weights = "{self.folder}/models/llama"', f'weights = "{out}"')
        for name, plugin in [("image", "dinov2"), ("audio", "whisper")]:
            plain = plain.replace(f'weights = "{self.folder}/models/{plugin}"', f'weights = "{out}/encoders/{name}"')
        plain = plain.replace('plugin = "mlp"', f'plugin = "mlp", weights = "{out}/connectors/image.safetensors"').replace('plugin = "frame_stack"', f'plugin = "frame_stack", weights = "{run}"')
        for ours, other in zip(self.answers(run), self.answers(self.write("merged", plain)), strict=True):
            self.assertAlmostEqual(ours, other, places=4)

    def test_embedding_and_head_are_exported(self):
        """A change of the embedding and of the head becomes part of them; of one that is both it does not."""
        base = load_file(self.folder / "models" / "llama" / "model.safetensors")
        for name, rows in [("tables", None), ("tokens", {"model.embed_tokens.weight": {10, 63}, "lm_head.weight": {10}})]:
            run, out = self.folder / f"exported_{name}", self.folder / f"exported_{name}_out"
            self.train(run, *sets(train__steps=5), config=self.with_method(f"exported_{name}", ON_LLM[name][0]))
            self.assertIn("checked", self.call("export", run, "--output", out, "--check").stderr)
            merged = load_file(out / "model.safetensors")
            for table in ("model.embed_tokens.weight", "lm_head.weight"):
                changed = abs(base[table] - merged[table]).max(1) > 0
                self.assertTrue(changed.any())
                if rows:
                    self.assertLessEqual(set(changed.nonzero()[0]), rows[table])
        text, tied = self.with_method("tied", ON_LLM["tables"][0]).read_text(), self.folder / "models" / "tied_llama"
        shutil.copytree(self.folder / "models" / "llama", tied)
        settings = json.loads((tied / "config.json").read_text())
        (tied / "config.json").write_text(json.dumps({**settings, "tie_word_embeddings": True}))
        save_file({key: value for key, value in base.items() if key != "lm_head.weight"}, tied / "model.safetensors", {"format": "pt"})
        config = self.write("tied", text.replace(str(self.folder / "models" / "llama"), str(tied)))
        self.train(self.folder / "tied_run", *sets(train__steps=2), config=config)
        self.assertIn("cannot become part of the weights: it changes one of an embedding and a head that are one table", self.call("export", self.folder / "tied_run", "--output", self.folder / "tied_out", code=2).stderr)
        if not DEVICE:
            kept = self.call("generate", self.folder / "tied_run", "What colour is it?", *sets(generate__weights="int8", generate__max_tokens=2)).stderr
            self.assertIn("[model.llm.peft.0] and what follows it stay beside the weights: it changes one of", kept)

    def test_rows_of_other_tokens_are_refused(self):
        """As many rows of other tokens have the same shape, and are another method's."""
        run, tokens = self.folder / "rows_run", ON_LLM["tokens"][0]
        others = tokens.replace("[10, 63]", "[63, 10]")
        self.train(run, *sets(train__steps=5), config=self.with_method("rows", tokens))
        error = self.call("train", self.with_method("rows_of_others", others), *sets(train__output=run, train__steps=5), "--resume", code=4).stderr
        self.assertIn("the checkpoint does not fit the model", error)
        self.assertIn("trainable_tokens_delta#63,10", error)
        taken = self.with_method("rows_taken", f'{others}\nweights = "{run}"')
        self.assertIn("trainable_tokens_delta#10,63", self.call("train", taken, *sets(train__output=self.folder / "rows_taken_run", train__steps=1), code=4).stderr)

    def test_each_method_on_encoders_and_connectors(self):
        """What a step changes is written; methods that need sequences, or sublayers, say so."""
        slots = {"image_encoder": 'fit = "stretch"', "audio_encoder": 'length = "clip"', "image_connector": '{ plugin = "mlp" }'}
        on_all, mlp = 'targets = "all-linear"', 'targets = ["layers.1"]'
        tables = {"lora": f'plugin = "lora", rank = 2, {on_all}', "dora": f'plugin = "lora", rank = 2, dora = true, {on_all}', "pissa": f'plugin = "lora", rank = 2, init = "pissa", {on_all}',
                  "vera": f'plugin = "vera", rank = 8, {on_all}', "ia3": 'plugin = "ia3", targets = ["all-linear"], feedforward = []', "adapters": 'plugin = "adapters", bottleneck = 4',
                  "parallel_adapters": 'plugin = "parallel_adapters", bottleneck = 4', "selective": 'plugin = "selective", targets = ["*.bias"]', "prompt_tuning": 'plugin = "prompt_tuning"', "ptuning": 'plugin = "ptuning"',
                  "prefix_tuning": 'plugin = "prefix_tuning"'}
        refused = {name: "language model" for name in ("prompt_tuning", "ptuning", "prefix_tuning")}
        for slot, place in slots.items():
            for name, table in tables.items():
                with self.subTest(slot=slot, method=name):
                    if slot == "image_connector" and name == "adapters":
                        table += f", {mlp}"
                    method = f"peft = [{{ {table} }}]"
                    new = f'{{ plugin = "mlp", trainable = false, {method} }}' if slot == "image_connector" else f"{method}, {place}"
                    config = self.write("on_slot", self.with_methods((place, new)))
                    words = refused.get(name) or ("no layers of this part" if (slot, name) == ("image_connector", "parallel_adapters") else "")
                    if words:
                        self.assertIn(words, self.call("validate", config, code=2).stderr)
                        continue
                    run = self.folder / f"slot_{slot}_{name}"
                    self.train(run, *sets(train__steps=2), config=config)
                    written = load_file(run / f"adapter_{slot}" / "adapter_model.safetensors")
                    self.assertTrue(written and all(abs(tensor).max() > 0 for tensor in written.values()), sorted(written))

    def test_adapters_beside_sublayers_of_encoders(self):
        beside = 'peft = [{ plugin = "parallel_adapters", bottleneck = 4, sublayers = "both" }]'
        text = self.with_methods(('fit = "stretch"', f'{beside}, fit = "stretch"'), ('length = "clip"', f'{beside}, length = "clip"'))
        run = self.resumed(self.write("beside", text), "run_beside")
        for folder in ("adapter_image_encoder", "adapter_audio_encoder"):
            written = load_file(run / folder / "adapter_model.safetensors")
            self.assertTrue(all(abs(tensor).max() > 0 for tensor in written.values()), sorted(written))

    def test_adapters_beside_sublayers_are_computed_again(self):
        """In the backward pass, too, each gets its sublayer's input."""
        config, runs = self.with_method("again", ON_LLM["parallel_adapters"][0]), []
        for recompute in ("none", "full"):
            runs.append(self.folder / f"recompute_{recompute}")
            self.train(runs[-1], *sets(train__steps=5, train__recompute=f'"{recompute}"'), config=config)
        self.assertEqual(losses(runs[0]), losses(runs[1]))

    def test_keys_and_values_before_sequences(self):
        """Computed by a network, once a step whether or not blocks are computed again; in answers they fill a part of a block of the cache, or some."""
        table = 'plugin = "prefix_tuning"\nprojection = true\ntokens = '
        config, runs = self.with_method("network", table + "4"), []
        for recompute in ("none", "full"):
            runs.append(self.folder / f"network_{recompute}")
            done = self.train(runs[-1], *sets(train__steps=5, train__recompute=f'"{recompute}"'), config=config)
            self.assertIn("4 keys and values before those of every sequence", done.stderr)
        self.assertEqual(losses(runs[0]), losses(runs[1]))
        self.assertLess(losses(runs[0])[5], losses(runs[0])[1])
        for tokens in (4, 32, 70):
            config = self.with_method(f"network_{tokens}", table + str(tokens))
            run = self.folder / f"network_{tokens}"
            self.train(run, *sets(train__steps=2), config=config)
            once = self.call("generate", run, "What?", *sets(generate__temperature=0)).stdout
            self.assertTrue(once)
            chat = self.call("chat", run, "--history", "", *sets(generate__temperature=0), input="What?\n/reset\nWhat?\n").stdout
            self.assertEqual(chat.count(once.strip()), 2, chat)
            self.answers(run)
        wrong = self.write("wrong", self.with_methods(('fit = "stretch"', 'peft = [{ plugin = "prefix_tuning" }], fit = "stretch"')))
        self.assertIn("[model.streams.image.encoder.peft.0]", self.call("validate", wrong, code=2).stderr)
        self.assertIn("cannot become part of the weights", self.call("export", runs[0], "--output", self.folder / "none", code=2).stderr)

    def test_examples_of_the_page(self):
        """Each example of docs/peft.md validates and trains in place of the tiny composition's lora."""
        page = (ROOT / "docs" / "peft.md").read_text()
        examples = re.findall(r"^```toml\n(.*?)^```", page, flags=re.M | re.S)
        self.assertGreaterEqual(len(examples), 11)
        seen = set()
        for number, example in enumerate(examples):
            with self.subTest(example=example):
                name = f"example_{number}"
                own = re.sub(r"^\[precision\]\n(?:[^\[].*\n|\n)*", "", self.config.read_text(), flags=re.M) if example.startswith("[precision]") else self.config.read_text()
                config = self.with_method(name, *filter(None, example.split("[[model.llm.peft]]\n"))) if "[[model.llm" in example else self.write(name, own + example)
                if "norm*" in example:
                    config = self.write(name, self.with_method(name, 'plugin = "selective"\ntargets = ["norm"]').read_text() + example)
                self.call("validate", config, cwd=self.folder)
                self.train(self.folder / name, *sets(train__steps=2), config=config, cwd=self.folder)
                seen.update(re.findall(r'plugin = "(\w+)"', example))
        self.assertEqual(seen, {folder.name for folder in (ROOT / "plugins" / "peft").iterdir()}, "an example of every method")
        listed = set(re.findall(r"^\| `(\w+)`", page, flags=re.M))
        self.assertEqual(listed, seen)

    @ON_CPU
    def test_each_method_over_bits(self):
        for bits in ("int8", "int4", "nf4"):
            for name, table in {**{name: table for name, (table, _) in ON_LLM.items()}, **OTHERS}.items():
                with self.subTest(method=name, bits=bits):
                    if name == "selective" or "modules_to_save" in table:
                        config = self.with_method("bits", table)
                        self.assertIn("trains some of it", self.train(self.folder / "bits", *sets(precision__weights=bits), config=config, code=2).stderr)
                        table = re.sub("modules_to_save.*", "", table)
                    if name == "selective":
                        continue
                    run = self.folder / f"bits_{bits}_{name.split(',')[0]}"
                    self.train(run, *sets(train__steps=6, precision__weights=bits), config=self.with_method("bits", table))
                    self.assertLess(losses(run)[6], losses(run)[1])

    def names(self, *methods):
        """The tiny composition with methods that have names: (name, table, weights)."""
        tables = [f'name = "{name}"\n{table}' + (f'\nweights = "{weights}"\nfrozen = true' if weights else "") for name, table, weights in methods]
        return self.with_method("_".join(name for name, *_ in methods), *tables)

    def test_names(self):
        """One is trained, then a second over it, which stays; each has a folder of its own and is chosen by its name, in every verb that writes answers or measures."""
        lora, other = 'plugin = "lora"\nrank = 4\ntargets = ["q_proj", "up_proj"]', 'plugin = "prefix_tuning"\ntokens = 3'
        base, one = self.folder / "base", self.folder / "one"
        self.train(one, *sets(train__steps=6), config=self.names(("one", lora, "")))
        folder = one / "adapters" / "one"
        measured = self.answers(one)
        config = self.from_run(one, self.names(("one", lora, folder), ("two", other, "")), "over")
        both = self.resumed(config, "both")
        self.assertEqual(sorted(path.name for path in (both / "adapters").iterdir()), ["one", "two"])
        self.assertEqual((both / "adapters" / "one" / "adapter_model.safetensors").read_bytes(), (folder / "adapter_model.safetensors").read_bytes())
        losses_of = {names: self.answers(both, "--adapter", names) for names in ("all", "one", "two", "one,two", "none")}
        self.assertEqual(losses_of["all"], losses_of["one,two"])
        self.assertEqual(losses_of["all"], self.answers(both))
        self.assertEqual(len({tuple(values) for values in losses_of.values()}), 4)
        plain = self.write("plain_base", re.sub(r"\[\[model.llm.peft\]\].*?(?=\[model.streams)", "", config.read_text().replace(f'"{one}"', f'"{both}"'), flags=re.S))
        for ours, other_loss in zip(losses_of["none"], self.answers(plain), strict=True):
            self.assertAlmostEqual(ours, other_loss, places=5)
        self.assertIn("did you mean 'two'", self.call("eval", both, "--adapter", "tow", "--output", base, code=2).stderr)
        greedy = sets(generate__temperature=0)
        said = {names: self.call("generate", both, "What?", "--adapter", names, *greedy).stdout.strip() for names in ("none", "one", "all")}
        self.assertGreater(len(set(said.values())), 1)
        chat = self.call("chat", both, "--history", "", *greedy, input="What?\n/adapter one\n/reset\nWhat?\n/adapter none\n/reset\nWhat?\n/adapter\n/adapter three\n/adapter all\nWhat?\n")
        answers = [line.removeprefix("> ").strip() for line in chat.stdout.splitlines() if line.strip()]
        self.assertEqual(answers[:3], [said["all"], said["one"], said["none"]])
        self.assertIn("adapters in use: one\n", chat.stderr)
        self.assertIn("with names: one, two", chat.stderr)
        self.assertIn("no method of fine-tuning has the name 'three'", chat.stderr)
        if not DEVICE:
            done = self.call("chat", both, "--history", "", *sets(generate__weights="int8"), input="/adapter one\n")
            self.assertIn("part of the weights already", done.stderr)
        for words, same in (("one=1", "one"), ("one=0", "none")):
            for ours, other_loss in zip(self.answers(both, "--adapter", words), losses_of[same], strict=True):
                self.assertAlmostEqual(ours, other_loss, places=5)
        self.assertNotEqual(self.answers(both, "--adapter", "one=0.5", "--combine", "linear"), losses_of["one"])
        for words, said_of in (("one=x", "is not a number"), ("one=1,one=2", "there twice"), ("two=0.5", "changes no linear layer"), ("tow=1", "did you mean 'two'")):
            self.assertIn(said_of, self.call("eval", both, "--adapter", words, "--output", base, code=2).stderr)
        self.assertIn("hold for a whole chat", self.call("chat", both, "--history", "", input="/adapter one=0.5\n").stderr)
        done = self.call("export", both, "--adapter", "one=0.5", "--output", self.folder / "exported_half", "--check")
        self.assertIn("adapters in use: one x 0.5, combined: cat", done.stderr)
        self.call("export", both, "--adapter", "one", "--output", self.folder / "exported_one")
        self.assertIn("cannot become part of the weights", self.call("export", both, "--output", self.folder / "exported_all", code=2).stderr)
        merged = plain.read_text().replace(f'weights = "{self.folder}/models/llama"', f'weights = "{self.folder}/exported_one"')
        for ours, other_loss in zip(losses_of["one"], self.answers(self.write("exported", merged)), strict=True):
            self.assertAlmostEqual(ours, other_loss, places=4)
        self.assertEqual(len(measured), len(losses_of["one"]))

    def test_names_on_an_encoder(self):
        """Two methods that are chosen by name while the program runs: without that of the encoder it computes as the plain one."""
        text = self.with_method("sight", 'name = "words"\nplugin = "lora"\nrank = 4\ntargets = ["q_proj"]').read_text()
        config = self.write("sight", text.replace('fit = "stretch"', f'peft = [{LORA.replace("{", "{ name = " + chr(34) + "eyes" + chr(34) + ",", 1)}], fit = "stretch"', 1))
        run = self.folder / "sight"
        self.train(run, *sets(train__steps=6), config=config)
        self.assertEqual(sorted(path.name for path in (run / "adapters").iterdir()), ["eyes", "words"])
        losses_of = {names: self.answers(run, "--adapter", names) for names in ("all", "eyes", "words", "none")}
        self.assertEqual(losses_of["all"], self.answers(run))
        self.assertEqual(len({tuple(values) for values in losses_of.values()}), 4)
        blind = self.from_run(run, self.with_method("words", f'plugin = "lora"\nrank = 4\ntargets = ["q_proj"]\nweights = "{run}/adapters/words"'), "blind")
        for ours, other in zip(losses_of["words"], self.answers(blind), strict=True):
            self.assertAlmostEqual(ours, other, places=5)
        chat = self.call("chat", run, "--history", "", *sets(generate__temperature=0), input=f"/image {next(self.folder.rglob('*.png'))}\nWhat?\n/adapter words\nWhat?\n/adapter eyes\n")
        self.assertIn("adapters in use: words\n", chat.stderr)
        self.assertIn("adapters in use: eyes\n", chat.stderr)

    @ON_CPU
    def test_over_nf4(self):
        run = self.resumed(self.config, "nf4", *sets(precision__weights="nf4"))
        self.assertLess(losses(run)[10], losses(run)[1])
        self.answers(run, *sets(generate__weights="nf4"))
        self.assertTrue(self.call("generate", run, "What?", *sets(generate__weights="nf4", generate__temperature=0)).stdout)

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
