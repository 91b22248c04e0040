"""Every recipe that replaces one of NeMo's learns for a few steps at tiny size: its own file, extended by one that
shrinks each part and nothing else. A second stage begins at the loss of the first one's run, sample by sample."""
import json
import os
import tomllib
import unittest

from safetensors.numpy import load_file

from harness import ROOT, Case, losses, main, records, sets
import make_tiny

FOLDER = ROOT / "configs" / "recipes"
DECODER = {"hidden_size": 32, "intermediate_size": 48, "num_layers": 2, "num_heads": 4, "num_kv_heads": 2, "head_size": 8, "max_positions": 2048}
TOWER = {"hidden_size": 16, "intermediate_size": 24, "num_layers": 3, "num_heads": 2, "patch_size": 4, "image_size": 28, "input_size": 28}
SHRUNK = {
    "llama": DECODER, "qwen2": DECODER, "qwen3": DECODER, "nemotron": DECODER, "siglip": TOWER,
    "clip": {**TOWER, "intermediate_size": 32, "num_layers": 2, "patch_size": 14, "shortest_edge": 28},
    "whisper": {"hidden_size": 16, "intermediate_size": 32, "num_layers": 2, "num_heads": 2, "num_mels": 80, "max_positions": 50},
    "fastconformer": {"hidden_size": 16, "intermediate_size": 24, "num_layers": 2, "num_heads": 2, "subsampling_channels": 4},
    "conformer": {"hidden_size": 16, "num_heads": 2},
}
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


class Recipes(Case):
    TRAIN = 12

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        make_tiny.write_clip(cls.folder / "models" / "clip")

    def shrunk(self, recipe):
        """(a file that extends the recipe, the streams' names)"""
        whole = tomllib.loads(self.call("validate", "--resolved", recipe, cwd=ROOT).stdout)["model"]
        llm = whole["llm"]
        small = {**SHRUNK[llm["plugin"]], "vocab_size": make_tiny.vocab_size(), "weights": "", "chat_template": "", "tokenizer": str(self.folder / "models" / "llama")}
        lines = [f'extends = ["{recipe}"]', "[model]", f"llm = {table(small)}"]
        for name, stream in whole.get("streams", {}).items():
            own, plugin = stream["encoder"]["weights"], stream["encoder"]["plugin"]
            encoder = {**SHRUNK[plugin], "weights": own if own.startswith("runs/") else str(self.folder / "models" / plugin) if plugin in WITH_WEIGHTS else ""}
            if stream["encoder"].get("tile_resolutions"):
                encoder["tile_resolutions"] = ["28x56", "56x28", "56x56"]
            lines.append(f"streams.{name}.encoder = {table(encoder)}")
            if stream["connector"]["plugin"] in SHRUNK:
                lines.append(f"streams.{name}.connector = {table(SHRUNK[stream['connector']['plugin']])}")
        kinds = sorted(whole.get("streams", {}))
        data = self.folder / "data" / f"{'_'.join(kinds)}.jsonl"
        if not data.exists():
            make_tiny.write_set(data, self.TRAIN, seed=21, kinds=tuple(kinds))
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


if __name__ == "__main__":
    main()
