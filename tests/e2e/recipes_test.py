"""Every recipe that replaces one of NeMo's learns for a few steps at tiny size: its own file, extended by one that
shrinks each part and nothing else. A second stage begins at the loss of the first one's run, sample by sample."""
import json
import os
import subprocess
import sys
import tomllib
import unittest
from pathlib import Path

from safetensors.numpy import load_file

from formats import TEMPLATE
from harness import PROGRAM, ROOT, Case, losses, main, records, sets
import make_tiny
import tiny_omni
import tiny_voxtral
from report_run import data_of, report

FOLDER = ROOT / "configs" / "recipes"
DECODER = {"hidden_size": 32, "intermediate_size": 48, "num_layers": 2, "num_heads": 4, "num_kv_heads": 2, "head_size": 8, "max_positions": 2048}
TOWER = {"hidden_size": 16, "intermediate_size": 24, "num_layers": 3, "num_heads": 2, "patch_size": 4, "image_size": 28, "input_size": 28}
SHRUNK = {
    "llama": DECODER, "qwen2": DECODER, "qwen3": DECODER, "nemotron": DECODER, "gemma": {**DECODER, "full_attention_layers": [1], "sliding_window": 4}, "mistral": DECODER, "phi3": DECODER, "granite": DECODER, "siglip": TOWER,
    "clip": {**TOWER, "intermediate_size": 32, "num_layers": 2, "patch_size": 14, "shortest_edge": 28},
    "whisper": {"hidden_size": 16, "intermediate_size": 32, "num_layers": 2, "num_heads": 2, "num_mels": 80, "max_positions": 50},
    "fastconformer": {"hidden_size": 16, "intermediate_size": 24, "num_layers": 2, "num_heads": 2, "subsampling_channels": 4},
    "conformer": {"hidden_size": 16, "num_heads": 2},
    # Of make_tiny's directory, which stands in for the published one.
    "qwen2_vl_text": {**DECODER, "intermediate_size": 64, "max_positions": 512, "norm_eps": 1e-5, "rope_theta": 1e4, "mrope_section": [1, 1, 2], "tie_embeddings": False, "vocab_size": make_tiny.vocab_size() + 4},
    "qwen2_vl_vision": {"hidden_size": 16, "intermediate_size": 32, "num_layers": 2, "num_heads": 2, "window_size": 56, "full_attention_layers": [1], "max_pixels": 20000, "video_max_pixels": 20000},
    "qwen3_vl_text": {**DECODER, "intermediate_size": 64, "max_positions": 512, "norm_eps": 1e-5, "rope_theta": 1e4, "mrope_section": [2, 1, 1], "tie_embeddings": False, "vocab_size": make_tiny.vocab_size() + 4},
    "qwen3_vl_vision": {"hidden_size": 16, "intermediate_size": 32, "num_layers": 2, "num_heads": 2, "patch_size": 14, "positions": 4, "taps": [0], "min_pixels": 3136, "max_pixels": 20000, "video_min_pixels": 3136, "video_max_pixels": 60000},
    "pixtral": {"hidden_size": 16, "intermediate_size": 32, "num_layers": 2, "num_heads": 2, "longest_edge": 84},
    "pixel_shuffle": {"hidden_size": 64},
    "idefics3_vision": {"hidden_size": 16, "intermediate_size": 32, "num_layers": 2, "num_heads": 2, "image_size": 28, "patch_size": 7, "layer_norm_eps": 1e-5, "tile_size": 28, "longest_edge": 56, "video_longest_edge": 56},
    "internvit": {"hidden_size": 16, "intermediate_size": 32, "num_layers": 2, "num_heads": 2, "image_size": 28, "input_size": 28, "max_tiles": 4},
    "qwen2_5_omni_audio": {"hidden_size": 16, "intermediate_size": 32, "num_layers": 2, "num_heads": 2, "num_mels": 80, "n_window": 20},
}
OF_CONNECTOR = {"models/Qwen3-VL-2B-Instruct": {"taps": 1}, "models/gemma-3-4b-it": {"pool": 1, "norm_eps": 1e-5}}
# Of a whole model's decoder that is not the usual one of its plugin.
OF_WHOLE = {"models/Qwen2.5-Omni-3B": {"vocab_size": make_tiny.vocab_size() + len(tiny_omni.MARKS)},
            "models/gemma-3-4b-it": {"intermediate_size": 64, "max_positions": 512, "norm_eps": 1e-5, "rope_type": "none", "rope_factor": 1.0, "sliding_window": 4, "full_attention_layers": [1], "query_pre_attn_scalar": 8.0, "vocab_size": make_tiny.vocab_size() + 3},
            "models/Mistral-Small-3.1-24B-Instruct-2503": {"intermediate_size": 64, "max_positions": 512, "rope_theta": 1e4, "vocab_size": make_tiny.vocab_size() + 3},
            "models/InternVL3-2B-hf": {"intermediate_size": 64, "max_positions": 512, "norm_eps": 1e-5, "rope_theta": 1e4, "vocab_size": make_tiny.vocab_size() + 4},
            "models/Voxtral-Mini-3B-2507": {"intermediate_size": 64, "head_size": 8, "max_positions": 512, "norm_eps": 1e-5, "rope_theta": 1e4, "vocab_size": tiny_voxtral.VOCABULARY},
            "models/SmolVLM2-500M-Video-Instruct": {"intermediate_size": 64, "max_positions": 512, "rope_theta": 1e4, "vocab_size": make_tiny.vocab_size() + 7}}
OF_TOWER = {"models/gemma-3-4b-it": {"patch_size": 14, "num_layers": 2, "intermediate_size": 32}, "models/Voxtral-Mini-3B-2507": {"intermediate_size": 64, "max_positions": 52}}
WHOLE = {"models/Qwen2.5-VL-3B-Instruct": make_tiny.write_qwen2_5_vl, "models/Qwen2.5-Omni-3B": tiny_omni.write_qwen2_5_omni, "models/Qwen3-VL-2B-Instruct": make_tiny.write_qwen3_vl, "models/gemma-3-4b-it": make_tiny.write_gemma3,
         "models/Mistral-Small-3.1-24B-Instruct-2503": make_tiny.write_mistral3, "models/InternVL3-2B-hf": make_tiny.write_internvl, "models/Voxtral-Mini-3B-2507": tiny_voxtral.write_voxtral, "models/SmolVLM2-500M-Video-Instruct": make_tiny.write_smolvlm}
# In place of a recipe's lora.
METHODS = {
    "lora": '{ plugin = "lora", rank = 4, targets = "all-linear" }',
    "dora": '{ plugin = "lora", rank = 4, dora = true }',
    "pissa": '{ plugin = "lora", rank = 4, init = "pissa" }',
    "vera": '{ plugin = "vera", rank = 16 }',
    "ia3": '{ plugin = "ia3" }',
    "adapters": '{ plugin = "adapters", bottleneck = 8 }',
    "parallel_adapters": '{ plugin = "parallel_adapters", bottleneck = 8 }',
    "prompt_tuning": '{ plugin = "prompt_tuning", tokens = 3 }',
    "ptuning": '{ plugin = "ptuning", tokens = 3 }',
    "prefix_tuning": '{ plugin = "prefix_tuning", tokens = 3 }',
    "prefix_tuning, a network": '{ plugin = "prefix_tuning", tokens = 3, projection = true }',
    "selective": '{ plugin = "selective", targets = ["norm", "input_layernorm"] }',
}
WITH_WEIGHTS = ("clip", "whisper")  # frozen in stages whose losses are compared; random ones would be others beside LoRA
# (the first one, how many parts they take from it)
SECOND_STAGES = {"avlm_8b_finetune": ("avlm_8b", 2), "llava15_7b_finetune": ("llava15_7b", 1), "salm_llama3.2-1b_fc_linear_then_peft": ("salm_llama3.2-1b_fc_linear_nopeft", 2)}


def table(values):
    return "{ " + ", ".join(f"{key} = {json.dumps(value)}" for key, value in values.items()) + " }"


def toml(sources):
    return "[" + ", ".join(table(source) for source in sources) + "]"


class Recipes(Case):
    TRAIN = 12

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        make_tiny.write_clip(cls.folder / "models" / "clip")
        for name, write in WHOLE.items():
            write(cls.folder / name)

    def shrunk(self, recipe):
        """(a file that extends the recipe, the streams' names)"""
        whole = tomllib.loads(self.call("validate", "--resolved", recipe, cwd=ROOT).stdout)["model"]
        llm = whole["llm"]
        alone = {"vocab_size": make_tiny.vocab_size(), "weights": "", "chat_template": "", "tokenizer": str(self.folder / "models" / "llama")}
        small = {**SHRUNK[llm["plugin"]], **(OF_WHOLE.get(llm["weights"], {}) if llm["weights"] in WHOLE else alone)}
        lines = [f'extends = ["{recipe}"]', "[model]", f"llm = {table(small)}"]
        for name, stream in whole.get("streams", {}).items():
            own, plugin = stream["encoder"]["weights"], stream["encoder"]["plugin"]
            encoder = {**SHRUNK[plugin], **OF_TOWER.get(own, {}), "weights": own if own.startswith("runs/") or own in WHOLE else str(self.folder / "models" / plugin) if plugin in WITH_WEIGHTS else ""}
            if stream["encoder"].get("tile_resolutions"):
                encoder["tile_resolutions"] = ["28x56", "56x28", "56x56"]
            lines.append(f"streams.{name}.encoder = {table(encoder)}")
            connector = {**(SHRUNK.get(stream["connector"]["plugin"], {}) if stream["connector"].get("hidden_size") else {}), **OF_CONNECTOR.get(own, {})}
            if connector:
                lines.append(f"streams.{name}.connector = {table(connector)}")
        kinds = sorted(whole.get("streams", {}))
        data = self.folder / "data" / f"{'_'.join(kinds) or 'text'}.jsonl"
        if not data.exists():
            make_tiny.write_set(data, self.TRAIN, seed=21, kinds=tuple(kinds) or ("text",))
        lines += ["[data]", 'feature_cache = ""', f'train.sources = [{{ path = "{data}" }}]', f'eval.held.sources = [{{ path = "{data}" }}]', "[train]", "steps = 3", "accumulate = 1", "tokens_per_batch = 1024", "schedule.warmup_steps = 0"]
        path = self.folder / f"{recipe.stem}.toml"
        path.write_text("\n".join(lines) + "\n")
        return path, kinds

    def answers(self, run_or_config, *args):
        """The loss of each sample."""
        output = self.folder / "eval"
        self.call("eval", run_or_config, "--output", output, *sets(eval__controls="[]", eval__generate="false", precision__compute="fp32"), *args, cwd=self.folder)
        return [record["loss"] for record in records(output / "predictions.jsonl")]

    def assert_begins_where_the_first_ended(self, config, kinds, first):
        expected = self.answers(self.folder / "runs" / first)
        for before, loss in zip(expected, self.answers(config), strict=True):
            self.assertAlmostEqual(before, loss, delta=1e-5 * before)  # frozen weights are multiplied by other kernels
        fresh = self.answers(config, *(word for kind in kinds for word in ("--set", f'model.streams.{kind}.connector.weights=""')))
        self.assertGreater(max(abs(before - loss) for before, loss in zip(expected, fresh, strict=True)), 1e-3, "what was learnt makes a difference")

    def test_all(self):
        recipes = sorted(path for path in FOLDER.glob("*.toml") if not path.stem.startswith("stamps"))
        self.assertGreaterEqual(len(recipes), 14)
        for recipe in recipes:
            with self.subTest(recipe.stem):
                config, kinds = self.shrunk(recipe)
                run = self.folder / "runs" / recipe.stem  # where a second stage looks for its first
                out = self.train(run, config=config, cwd=self.folder)
                got = losses(run)
                self.assertEqual(sorted(got), [1, 2, 3])
                self.assertLess(got[3], got[1] + 0.5, f"the loss runs away: {got}")
                self.assertIn("0 samples skipped", out.stderr)
                taken = out.stderr.count(" tensors from runs/")
                self.assertEqual(taken, SECOND_STAGES.get(recipe.stem, ("", 0))[1], "parts that come from the first stage")
                if recipe.stem in SECOND_STAGES:
                    self.assert_begins_where_the_first_ended(config, kinds, SECOND_STAGES[recipe.stem][0])
                for kind in kinds:
                    self.assertTrue((run / "connectors" / f"{kind}.safetensors").exists())

    def test_a_whole_model_is_exported(self):
        """What the recipe trains goes back into a directory like the one that it came from, and answers there without a TOML file."""
        for recipe, written in (("qwen2_5_vl_3b_finetune", "a qwen2_5_vl model"), ("qwen2_5_omni_3b_finetune", "a qwen2_5_omni_thinker model")):
            with self.subTest(recipe):
                config, kinds = self.shrunk(FOLDER / f"{recipe}.toml")
                run, out = self.folder / "runs" / f"{recipe}_run", self.folder / f"{recipe}_out"
                self.train(run, config=config, cwd=self.folder)
                self.assertIn(written, self.call("export", run, "--output", out, cwd=self.folder).stderr)
                given = [word for kind, ending in (("image", "png"), ("audio", "wav")) if kind in kinds for word in (f"--{kind}", next((self.folder / "data").rglob(f"*.{ending}")))]
                ask = lambda model: self.call("generate", model, *given, "What is this?", *sets(generate__max_tokens=8, precision__compute="fp32"), cwd=self.folder).stdout
                self.assertEqual(ask(out), ask(run))

    def test_vila_comparison(self):
        """Both sides differ in the tower and the projector only, see the same samples in the same order, and lie side by side in the report."""
        sides, resolved, runs = ("vila", "llava"), {}, []
        for side in sides:
            recipe = FOLDER / f"vila_comparison_{side}.toml"
            resolved[side] = tomllib.loads(self.call("validate", "--resolved", recipe, cwd=ROOT).stdout)
            config, _ = self.shrunk(recipe)
            runs.append(self.folder / "runs" / f"side_{side}")
            self.train(runs[-1], config=config, cwd=self.folder)
            self.call("eval", runs[-1], *sets(eval__controls="[]", eval__max_tokens=2, precision__compute="fp32"), cwd=self.folder)
        vila, llava = (resolved[side] for side in sides)
        self.assertNotEqual(vila["model"].pop("streams"), llava["model"].pop("streams"))
        self.assertNotEqual(vila["train"].pop("output"), llava["train"].pop("output"))
        self.assertEqual(vila, llava)
        page = self.folder / "comparison.html"
        report(*runs, "--output", page)
        data = data_of(page)
        self.assertEqual([run["name"] for run in data["runs"]], [run.name for run in runs])
        shown = json.dumps(data)
        for word in ("downsample_mlp", "siglip", "train/loss"):
            self.assertIn(word, shown)
        samples = [[record["id"] for record in records(run / "eval" / "predictions.jsonl")] if (run / "eval" / "predictions.jsonl").exists() else [record["id"] for path in sorted(run.rglob("predictions.jsonl")) for record in records(path)] for run in runs]
        self.assertEqual(*samples)
        self.assertGreater(len(samples[0]), 0)

    def test_salm_with_each_method(self):
        """Each method in each of the recipes with `peft` in their names; without ANTIPHON_LONG each in two of them, and each recipe with some."""
        recipes = sorted(FOLDER.glob("salm_*peft.toml"))
        self.assertEqual(len(recipes), 9)
        recipes = [recipe for recipe in recipes if "nopeft" not in recipe.stem and "then" not in recipe.stem]
        for i, (method, table_of) in enumerate(METHODS.items()):
            chosen = recipes if os.environ.get("ANTIPHON_LONG") else [recipes[i % len(recipes)], recipes[(i + 3) % len(recipes)]]
            for recipe in chosen:
                with self.subTest(method=method, recipe=recipe.stem):
                    config, _ = self.shrunk(recipe)
                    run = self.folder / f"{recipe.stem}_{i}"
                    out = self.train(run, "--set", f"model.llm.peft=[{table_of}]", *sets(train__steps=2), config=config, cwd=self.folder)
                    self.assertEqual(sorted(losses(run)), [1, 2])
                    self.assertIn("0 samples skipped", out.stderr)
                    written = load_file(run / "adapter" / "adapter_model.safetensors")
                    self.assertTrue(all(abs(tensor).max() > 0 for name, tensor in written.items()), method)

    @unittest.skipUnless((Path(PROGRAM).resolve().parents[1] / "plugins" / "espeak.so").exists(), "built without espeak-ng")
    def test_speech_blend(self):
        """The recipe on the data that its comment makes: spoken calls, answers and refusals in turn, and what is said of each."""
        recipe, data = FOLDER / "speech_blend.toml", self.folder / "data" / "speech"
        subprocess.run([sys.executable, ROOT / "tools" / "speech_blend.py", data, "10"], check=True)
        asked = lambda held: {line["messages"][0]["content"] for path in data.glob("*.jsonl") if path.stem.endswith("_held") == held for line in records(path)}
        self.assertEqual(asked(True) & asked(False), set(), "what is measured is not learnt by heart")
        for path in sorted(data.glob("*.jsonl")):
            self.call("data", "synthesize", path, path.with_name(f"{path.stem}_spoken.jsonl"), threads=None)
        for line in records(data / "calls_spoken.jsonl"):
            call, tools = json.loads(line["messages"][1]["content"]), {tool["name"]: tool["parameters"] for tool in line["tools"]}
            self.assertEqual(set(call["arguments"]), set(tools[call["name"]]["required"]) | (set(call["arguments"]) & {"label"}))
        config, _ = self.shrunk(recipe)
        template = self.folder / "tools.jinja"
        template.write_text(TEMPLATE)
        said = tomllib.loads(recipe.read_text())["data"]
        sources = {key: [{"path": str(self.folder / source["path"])} for source in sources] for key, sources in [("train", said["train"]["sources"]), ("blend", said["eval"]["blend"]["sources"])]}
        own = ["--set", f"data.train.sources={toml(sources['train'])}", "--set", f"data.eval.blend.sources={toml(sources['blend'])}",
               *sets(model__llm__chat_template=template, train__tokens_per_batch=2048, data__eval__held__enabled="false")]
        run = self.folder / "runs" / "speech_blend_spoken"
        out = self.train(run, *own, config=config, cwd=self.folder)
        self.assertIn("0 samples skipped", out.stderr)
        self.assertIn("round_robin", (run / "config.toml").read_text())
        self.assertIn("augmented by this process: speed", out.stderr)
        result = self.folder / "blend_eval"
        self.call("eval", config, "--output", result, *own, *sets(eval__controls="[]", eval__max_tokens=4, precision__compute="fp32"), cwd=self.folder)
        tasks = json.loads((result / "results.json").read_text())[0]["tasks"]
        metrics = {task: set(entry["conditions"]["right"]) & {"call_accuracy", "schema_validity", "refusal_rate", "over_refusal"} for task, entry in tasks.items()}
        self.assertEqual(metrics, {"tool_call": {"call_accuracy", "schema_validity", "over_refusal"}, "answer": {"over_refusal"}, "refusal": {"refusal_rate"}, "all": {"call_accuracy", "schema_validity", "refusal_rate", "over_refusal"}})
        self.assertEqual({tasks["tool_call"]["conditions"]["right"][name]["mean"] for name in ("call_accuracy", "schema_validity")}, {0}, "three steps teach no call")
        # An answer of the untrained model is not a refusal, unless its first letters are said to be one.
        first = records(result / "predictions.jsonl")[0]["predicted"]
        self.assertEqual(tasks["refusal"]["conditions"]["right"]["refusal_rate"]["mean"], 0, first)


if __name__ == "__main__":
    main()
