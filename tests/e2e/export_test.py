"""`antiphon export`: whatever was trained of whatever family, transformers loads the directory with no key missing or
left and computes what the run computes; what was not trained is the source's, byte for byte."""
import json
import os
import re
import shutil
import sys
import unittest
from pathlib import Path

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "parity"))

import torch
import transformers
from peft import PeftModel
from safetensors import safe_open

import make_tiny
from harness import PROGRAM, Case, main, sets
from models.common import LIMIT, Bench, relative
from models.conversations import named
from models.internvl import InternVl
from models.smolvlm import Idefics3
from models.whole import Gemma3Pictures, Llava, LlavaNext, Mistral3Pictures, Qwen2Audio, Qwen2Vl, Qwen25Vl, Qwen3Vl

transformers.utils.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()
LORA = 'llm.peft = [{ plugin = "lora", rank = 4, targets = ["all-linear"] }]\n'
STEPS = sets(train__steps=1, train__tokens_per_batch=1024, train__optimizer__lr=1e-2, data__feature_cache="")
PROJECTOR = "multi_modal_projector"


def raw(folder):
    """name -> (number format, shape, bytes) of every tensor of a directory."""
    out = {}
    for path in sorted(Path(folder).glob("*.safetensors")):
        with open(path, "rb") as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
            begin = file.tell()
            for name, info in header.items():
                if name != "__metadata__":
                    file.seek(begin + info["data_offsets"][0])
                    out[name] = (info["dtype"], info["shape"], file.read(info["data_offsets"][1] - info["data_offsets"][0]))
    return out


class Export(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.bench = cls.enterClassContext(Bench(str(Path(PROGRAM).with_name("model_probe"))))
        cls.references = {}

    def reference(self, kind):
        if kind not in self.references:
            self.references[kind] = reference = kind(self.bench)
            lines = [json.dumps(sample) for sample in named(reference.samples)]
            (reference.folder / "train.jsonl").write_text("\n".join(lines) + "\n")
        return self.references[kind]

    def trained(self, name, table, data, *args):
        config, run = self.folder / f"{name}.toml", self.folder / name
        config.write_text(f'[model]\n{table}\n[[data.train.sources]]\npath = "{data}"\n')
        self.train(run, *STEPS, *args, config=config)
        return run

    def exported(self, run, *args):
        out = run.with_name(run.name + "_out")
        return out, self.call("export", run, "--output", out, *args).stderr

    def loaded(self, architecture, folder):
        model, info = architecture.from_pretrained(folder, output_loading_info=True)
        self.assertEqual({name: keys for name, keys in info.items() if keys}, {}, folder)
        return model.eval()

    def assert_close(self, ours, theirs, case):
        difference = relative(ours, theirs)
        self.assertLessEqual(difference, LIMIT, f"{case}: {difference:.1e}")

    def assert_frozen(self, source, out, changed):
        """Tensors whose name `changed` does not take have the source's bytes, and there are no others."""
        before, after = raw(source), raw(out)
        self.assertEqual(sorted(before), sorted(after))
        different = {name for name in before if before[name] != after[name]}
        self.assertEqual(different, {name for name in before if changed(name)})

    def whole(self, kind):
        reference = self.reference(kind)
        data, on = reference.folder / "train.jsonl", f"llm.trainable = true\nstreams.{reference.stream}.encoder.trainable = true\n"
        sample = reference.samples[2]
        inputs = reference.prepare(sample)[3]
        with torch.no_grad():
            before = reference.model(**inputs).logits[0]
        projects = lambda name: reference.projector in name or "image_newline" in name
        takes = {"connectors": ("", projects),
                 "lora": (LORA, lambda name: projects(name) or name.startswith(reference.llm) and "_proj" in name and name.endswith("weight")),
                 "full": (on, None)}
        for case, (more, changed) in takes.items():
            with self.subTest(case):
                run = self.trained(f"{kind.name}_{case}", f'from = "{reference.folder}"\n{more}', data)
                out, text = self.exported(run)
                self.assertIn(f"a {kind.name} model", text)
                model = self.loaded(reference.architecture, out)
                ours = self.bench.ask("model", run=run, samples=named([sample]), folder=reference.folder)[1]["logits"]
                with torch.no_grad():
                    self.assert_close(ours, model(**inputs).logits[0], f"{kind.name}, {case}")
                self.assertGreater(relative(ours, before), 1e-3, "the training did something")
                if changed:
                    self.assert_frozen(reference.folder, out, changed)
                for name in ("tokenizer.json", "tokenizer_config.json", "preprocessor_config.json", "processor_config.json", "generation_config.json", "chat_template.jinja"):
                    source = reference.folder / name
                    self.assertEqual((out / name).read_bytes() if source.exists() else None, source.read_bytes() if source.exists() else None, name)

    def test_llava(self):
        self.whole(Llava)

    def test_llava_next(self):
        self.whole(LlavaNext)

    def test_qwen2_audio(self):
        self.whole(Qwen2Audio)

    def test_qwen2_vl(self):
        self.whole(Qwen2Vl)

    def test_qwen2_5_vl(self):
        self.whole(Qwen25Vl)

    def test_qwen3_vl(self):
        self.whole(Qwen3Vl)

    def test_gemma3(self):
        self.whole(Gemma3Pictures)

    def test_mistral3(self):
        self.whole(Mistral3Pictures)

    def test_internvl(self):
        self.whole(InternVl)

    def test_idefics3(self):
        self.whole(Idefics3)

    def test_language_model(self):
        """A bare language model with a stream of its own: the directory is the language model's, the rest lies beside it."""
        source, encoder = self.folder / "models" / "llama", self.folder / "models" / "dinov2"
        stream = f'streams.image = {{ encoder = {{ plugin = "dinov2", weights = "{encoder}", trainable = %s }}, connector = {{ plugin = "mlp" }} }}\n'
        llm = f'llm = {{ plugin = "llama", weights = "{source}", trainable = %s%s }}\n'
        lora = ', peft = [{ plugin = "lora", rank = 4, targets = ["q_proj", "down_proj"] }]'
        data = self.folder / "data" / "pictures.jsonl"
        make_tiny.write_set(data, 4, seed=5, kinds=("image",))
        ids = [[1, 5, 9, 70, 44, 3, 17]]
        cases = {"connectors": (llm % ("false", "") + stream % "false", lambda name: False),
                 "lora": (llm % ("false", lora) + stream % "false", lambda name: "q_proj" in name or "down_proj" in name),
                 "full": (llm % ("true", "") + stream % "true", None)}
        for case, (table, changed) in cases.items():
            with self.subTest(case):
                run = self.trained(f"llama_{case}", table, data)
                out, text = self.exported(run)
                self.assertIn("a llama language model", text)
                self.assertIn("connectors/image.safetensors", text)
                model = self.loaded(transformers.LlamaForCausalLM, out)
                ours = self.bench.ask("model", run=run, ids=ids)[1]["logits"]
                with torch.no_grad():
                    self.assert_close(ours, model(torch.tensor(ids)).logits[0], case)
                self.assertEqual((out / "connectors" / "image.safetensors").read_bytes(), (run / "connectors" / "image.safetensors").read_bytes())
                if changed:
                    self.assert_frozen(source, out, changed)
                if case == "lora":  # the verb's older name writes the same
                    self.call("merge", run, "--output", run.with_name("merged"), threads=None)
                    self.assertEqual(raw(run.with_name("merged")), raw(out))
        tower = self.loaded(transformers.Dinov2Model, out / "encoders" / "image")
        state = safe_open(sorted((run / "checkpoints").glob("step_*"))[-1] / "parameters.safetensors", "pt")
        trained = state.get_tensor("streams.image.encoder/norm.weight" if "streams.image.encoder/norm.weight" in state.keys() else "streams.image.encoder/post_norm.weight")
        self.assertTrue(torch.equal(tower.layernorm.weight.detach(), trained))

    def test_number_formats(self):
        """Computed in bf16, fp32 stays fp32; a source in bf16 stays that; --dtype changes all, and config.json agrees."""
        reference = self.reference(Llava)
        data = reference.folder / "train.jsonl"
        run = self.trained("bf16_compute", f'from = "{reference.folder}"\n{LORA}', data, *sets(precision__compute="bf16"))
        out, _ = self.exported(run)
        self.assert_frozen(reference.folder, out, lambda name: PROJECTOR in name or "language_model" in name and "_proj" in name and name.endswith("weight"))
        half = self.folder / "half"
        transformers.LlavaForConditionalGeneration.from_pretrained(reference.folder, dtype=torch.bfloat16).save_pretrained(half)
        for path in reference.folder.glob("*token*"):
            (half / path.name).write_bytes(path.read_bytes())
        for name in ("preprocessor_config.json", "processor_config.json", "chat_template.jinja"):
            if (reference.folder / name).exists():
                (half / name).write_bytes((reference.folder / name).read_bytes())
        config = json.loads((half / "config.json").read_text())
        config["text_config"]["dtype"] = "float16"  # a word that the tensors do not keep
        (half / "config.json").write_text(json.dumps(config))
        run = self.trained("half_source", f'from = "{half}"\n{LORA}', data)
        expected = {None: ("BF16", "bfloat16"), "fp32": ("F32", "float32"), "fp16": ("F16", "float16"), "bf16": ("BF16", "bfloat16")}
        for dtype, (stored, word) in expected.items():
            with self.subTest(dtype):
                out, _ = self.exported(run, *(["--dtype", dtype] if dtype else []))
                self.assertEqual({entry[0] for entry in raw(out).values()}, {stored})
                config = json.loads((out / "config.json").read_text())
                self.assertEqual({config.get("dtype", word), config.get("torch_dtype", word), config["text_config"].get("dtype", word), config["vision_config"].get("dtype", word)}, {word})
                self.assertTrue("dtype" in config or "torch_dtype" in config)
                self.assertEqual(str(self.loaded(transformers.LlavaForConditionalGeneration, out).dtype), f"torch.{word}")
        self.assertIn("--dtype", self.call("export", run, "--output", out, "--dtype", "int3", code=2).stderr)

    def test_another_connector_leaves_the_language_model(self):
        reference = self.reference(Llava)
        text = self.call("compose", reference.folder).stdout
        text, count = re.subn(r"^connector = .*$", 'connector = { plugin = "linear" }', text, flags=re.M)
        self.assertEqual(count, 1)
        config, run = self.folder / "linear.toml", self.folder / "linear"
        text = re.sub(r"^(llm = .*) }$", r'\1, peft = [{ plugin = "lora", rank = 4, targets = ["q_proj"] }] }', text, flags=re.M)
        config.write_text(text + f'\n[[data.train.sources]]\npath = "{reference.folder}/train.jsonl"\n')
        self.train(run, *STEPS, config=config)
        out, text = self.exported(run)
        self.assertIn("its connector is a 'linear' in place of a 'mlp'", text)
        self.loaded(transformers.LlamaForCausalLM, out)
        self.assertTrue((out / "connectors" / "image.safetensors").exists())

    def for_peft(self, run, *args, code=0):
        out = run.with_name(run.name + "_peft")
        args = (*args, "--replace") if code else args  # what is refused is not the place
        return out, self.call("export", run, "--output", out, "--format", "peft", *args, code=code).stderr

    def compare_in_peft(self, name, table, modules):
        """A run of a LLaVA so, and transformers' LLaVA with the adapter that it exports."""
        reference = self.reference(Llava)
        run = self.trained(f"peft_{name}", f'from = "{reference.folder}"\n{table}', reference.folder / "train.jsonl")
        out, text = self.for_peft(run)
        self.assertRegex(text, rf"an adapter for {re.escape(str(reference.folder))} in \S+: \d+ tensors, LoRA of \d+ layers, {modules} modules whole")
        self.assertEqual(json.loads((out / "adapter_config.json").read_text())["base_model_name_or_path"], str(reference.folder))
        model = PeftModel.from_pretrained(Llava.architecture.from_pretrained(reference.folder), out).eval()
        sample = reference.samples[2]
        ours = self.bench.ask("model", run=run, samples=named([sample]), folder=reference.folder)[1]["logits"]
        with torch.no_grad():
            self.assert_close(ours, model(**reference.prepare(sample)[3]).logits[0], f"{name} in PEFT")
            self.assertGreater(relative(ours, reference.model(**reference.prepare(sample)[3]).logits[0]), 1e-3)
        model.save_pretrained(again := run.with_name(run.name + "_again"))
        for folder in (out, again):  # as it was written here, and by PEFT
            back = self.bench.ask("model", model=f'from = "{folder}"\n', samples=named([sample]), folder=reference.folder)[1]["logits"]
            self.assert_close(back, ours, f"{name}, read back from {folder}")
        return run

    def test_an_adapter_of_several_parts(self):
        """One folder goes into several slots, each of which takes its own; none of it is passed over."""
        run, base = self.folder / "peft_lora", self.reference(Llava).folder
        if not run.exists():
            self.test_an_adapter_for_peft()
        adapter = self.folder / "peft_lora_peft"
        done = self.call("compose", adapter)
        slots = [line.partition(" = ")[0] for line in done.stdout.splitlines() if f'peft = [{{ plugin = "lora", weights = "{adapter}" }}]' in line]
        self.assertEqual(slots, ["llm", "connector", "encoder"])
        some = self.folder / "some.toml"
        some.write_text(f'[model]\nfrom = "{base}"\nllm.peft = [{{ plugin = "lora", weights = "{adapter}" }}]\n')
        text = self.call("validate", some, code=4).stderr
        self.assertRegex(text, r"\d+ tensors of the adapter \S+ are of parts of the model that do not name it")
        self.assertIn(f"`antiphon compose {adapter}` writes all slots", text)
        elsewhere = shutil.copytree(adapter, self.folder / "elsewhere")
        config = json.loads((elsewhere / "adapter_config.json").read_text())
        (elsewhere / "adapter_config.json").write_text(json.dumps({**config, "base_model_name_or_path": "org/model"}))
        self.assertIn("expected the directory of the model that it changes", self.call("compose", elsewhere, code=4).stderr)
        (elsewhere / "adapter_config.json").write_text(json.dumps({**config, "base_model_name_or_path": str(elsewhere)}))
        self.assertIn("expected the directory of the model that it changes", self.call("compose", elsewhere, code=4).stderr)
        (elsewhere / "adapter_config.json").write_text(json.dumps({**config, "alpha_pattern": {"down_proj": 3, "layers.0.mlp.down_proj": 4}}))
        some.write_text(f'[model]\nfrom = "{elsewhere}"\n')
        self.assertIn("two patterns match", self.call("validate", some, code=4).stderr)
        some.write_text(f'[model]\nfrom = "{base}"\nllm.peft = [{{ plugin = "lora", weights = "{self.folder}/not_there" }}]\n')
        self.assertIn("is not there yet", self.call("validate", some).stdout)
        (elsewhere / "adapter_config.json").write_text(json.dumps({**config, "peft_type": "OTHER"}))
        self.assertIn("is 'OTHER', which no plugin reads", self.call("compose", elsewhere, code=5).stderr)

    def test_what_is_there_stays(self):
        """Nothing is written over unless that is asked for, and what the model is made of never is."""
        run, base = self.trained("stays", f'from = "{self.reference(Llava).folder}"\n', self.reference(Llava).folder / "train.jsonl"), self.reference(Llava).folder
        out, _ = self.exported(run)
        before = raw(base), (out / "model.safetensors").stat().st_mtime_ns
        self.assertIn("is there already", self.call("export", run, "--output", out, code=2).stderr)
        self.assertEqual((out / "model.safetensors").stat().st_mtime_ns, before[1])
        left, young = out / "model.safetensors.tmp-99999999-0", out / "x.tmp-99999999-1"
        left.write_text("of a process that was killed"), young.write_text("of one that may be writing")
        os.utime(left, (0, 0))
        self.call("export", run, "--output", out, "--replace")
        self.assertEqual((left.exists(), young.exists()), (False, True))
        for target, said in ((base, "is where the model has its weights, as model.llm"), (run, "is what is to be exported"), (run.parent, "is what is to be exported, or holds it")):
            self.assertIn(said, self.call("export", run, "--output", target, "--replace", code=2).stderr)
        self.assertEqual(raw(base), before[0])

    def test_an_adapter_for_peft(self):
        """LoRA of several ranks, a head and the projector; DoRA; PiSSA; and a second stage whose projector was trained before."""
        tower = 'streams.image.encoder.peft = [{ plugin = "lora", rank = 2, alpha = 8, targets = ["fc1"] }]\n'
        several = 'rank = 4, alpha = 6, alpha_pattern = { down_proj = 3 }, targets = ["q_proj", "down_proj"], modules_to_save = ["lm_head"]'
        first = self.compare_in_peft("lora", f'llm.peft = [{{ plugin = "lora", {several} }}]\n{tower}', 3)
        self.compare_in_peft("dora", 'llm.peft = [{ plugin = "lora", rank = 4, dora = true, targets = ["q_proj", "up_proj"] }]\n', 2)
        self.compare_in_peft("pissa", 'llm.peft = [{ plugin = "lora", rank = 4, init = "pissa", targets = ["v_proj"] }]\n', 2)
        self.compare_in_peft("second", f'{LORA}streams.image.connector.weights = "{first}"\nstreams.image.connector.part = ""\nstreams.image.connector.trainable = false\n', 2)

    def test_what_is_no_adapter_for_peft(self):
        reference = self.reference(LlavaNext)
        data, base = reference.folder / "train.jsonl", f'from = "{reference.folder}"\n'
        mixed = 'llm.peft = [{ plugin = "lora", rank = 4, targets = ["q_proj"] }, { plugin = "ia3", name = "other" }]\nstreams.image.connector.trainable = false\n'
        vera = 'llm.peft = [{ plugin = "vera", rank = 4, targets = ["q_proj"] }]\nstreams.image.connector.trainable = false\n'
        some = 'llm.peft = [{ plugin = "lora", rank = 4, targets = ["q_proj"], only = "text" }]\nstreams.image.connector.trainable = false\n'
        for name, more, said in [("newline", LORA, "'model.image_newline' was trained, and lies in no module of its own"), ("all", "llm.trainable = true\nstreams.image.connector.trainable = false\n", "llm was itself trained, or comes from elsewhere"),
                                 ("elsewhere", LORA + f'streams.image.encoder = {{ plugin = "clip", weights = "{self.reference(Llava).folder}", part = "vision_tower" }}\nstreams.image.connector.trainable = false\n', "streams.image.encoder was itself trained, or comes from elsewhere"),
                                 ("mixed", mixed, "llm.peft.1 is IA3, beside LORA"), ("vera", vera, "llm.peft.0 is VERA, of which one adapter of several parts is not known"), ("some", some, "llm.peft.0 changes some tokens only"), ("none", "", "the model has none")]:
            with self.subTest(name):
                run = self.trained(f"not_{name}", base + more, data)
                out, text = self.for_peft(run, code=2)
                self.assertRegex(text, f"no adapter of PEFT can be written: .*{re.escape(said)}")
                self.assertFalse(out.exists())
        plain = self.reference(Llava).folder
        both = self.trained("not_both", f'from = "{plain}"\n{LORA}streams.image.connector.peft = [{{ plugin = "lora", rank = 2, targets = ["layers.0"] }}]\n', plain / "train.jsonl")
        self.assertIn("'model.multi_modal_projector.linear_1' was trained, and has an adapter, too", self.for_peft(both, code=2)[1])
        out, _ = self.for_peft(self.folder / "not_mixed", "--adapter", "none")
        self.assertTrue((out / "adapter_model.safetensors").exists())
        self.assertIn("leave them out", self.for_peft(self.folder / "not_mixed", "--dtype", "bf16", code=2)[1])
        data = self.folder / "data" / "text.jsonl"
        data.write_text(json.dumps({"messages": [{"role": "user", "content": "what"}, {"role": "assistant", "content": "red"}]}) + "\n")
        bare = self.trained("bare", f'llm = {{ plugin = "llama", weights = "{self.folder}/models/llama", {LORA.strip().removeprefix("llm.")} }}\n', data)
        self.assertIn("transformers has no model of all its parts", self.for_peft(bare, code=2)[1])

    def test_nothing_to_write_like(self):
        shape = ", ".join(f"{k} = {v}" for k, v in dict(vocab_size=make_tiny.vocab_size(), hidden_size=32, intermediate_size=64, num_layers=2, num_heads=4, max_positions=512).items())
        config = self.folder / "random.toml"
        config.write_text(f'[model]\nllm = {{ plugin = "llama", tokenizer = "{make_tiny.TOKENIZER}", {shape} }}\n')
        self.assertIn("model.llm.weights", self.call("export", config, "--output", self.folder / "no", code=2).stderr)


if __name__ == "__main__":
    main()
