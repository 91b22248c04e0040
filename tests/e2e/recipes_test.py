"""Every recipe that replaces one of NeMo's learns for a few steps at tiny size: its own file, extended by one that
shrinks each part and nothing else."""
import json
import tomllib
import unittest

from harness import ROOT, Case, losses, main
import make_tiny

FOLDER = ROOT / "configs" / "recipes"
DECODER = {"hidden_size": 32, "intermediate_size": 48, "num_layers": 2, "num_heads": 4, "num_kv_heads": 2, "head_size": 8, "max_positions": 2048}
TOWER = {"hidden_size": 16, "intermediate_size": 24, "num_layers": 3, "num_heads": 2, "patch_size": 4, "image_size": 28, "input_size": 28}
SHRUNK = {
    "llama": DECODER, "qwen2": DECODER, "qwen3": DECODER, "nemotron": DECODER, "siglip": TOWER, "clip": {**TOWER, "shortest_edge": 28},
    "whisper": {"hidden_size": 16, "intermediate_size": 24, "num_layers": 2, "num_heads": 2, "max_positions": 50},
    "fastconformer": {"hidden_size": 16, "intermediate_size": 24, "num_layers": 2, "num_heads": 2, "subsampling_channels": 4},
    "conformer": {"hidden_size": 16, "num_heads": 2},
}
SECOND_STAGES = {"avlm_8b_finetune": 2, "llava15_7b_finetune": 1, "salm_llama3.2-1b_fc_linear_then_peft": 2}  # parts that they take from the first


def table(values):
    return "{ " + ", ".join(f"{key} = {json.dumps(value)}" for key, value in values.items()) + " }"


class Recipes(Case):
    TRAIN = 12

    def shrunk(self, recipe):
        """(a file that extends the recipe, the streams' names)"""
        whole = tomllib.loads(self.call("validate", "--resolved", recipe, cwd=ROOT).stdout)["model"]
        llm = whole["llm"]
        small = {**SHRUNK[llm["plugin"]], "vocab_size": make_tiny.vocab_size(), "weights": "", "chat_template": "", "tokenizer": str(self.folder / "models" / "llama")}
        lines = [f'extends = ["{recipe}"]', "[model]", f"llm = {table(small)}"]
        for name, stream in whole.get("streams", {}).items():
            own = stream["encoder"]["weights"]
            encoder = {**SHRUNK[stream["encoder"]["plugin"]], "weights": own if own.startswith("runs/") else ""}
            if stream["encoder"].get("tile_resolutions"):
                encoder["tile_resolutions"] = ["28x56", "56x28", "56x56"]
            lines.append(f"streams.{name}.encoder = {table(encoder)}")
            if stream["connector"]["plugin"] in SHRUNK:
                lines.append(f"streams.{name}.connector = {table(SHRUNK[stream['connector']['plugin']])}")
        kinds = sorted(whole.get("streams", {}))
        data = self.folder / "data" / f"{'_'.join(kinds)}.jsonl"
        if not data.exists():
            make_tiny.write_set(data, self.TRAIN, seed=21, kinds=tuple(kinds))
        lines += ["[data]", 'feature_cache = ""', f'train.sources = [{{ path = "{data}" }}]', "[train]", "steps = 3", "accumulate = 1", "tokens_per_batch = 1024", "schedule.warmup_steps = 0"]
        path = self.folder / f"{recipe.stem}.toml"
        path.write_text("\n".join(lines) + "\n")
        return path, kinds

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
                self.assertEqual(taken, SECOND_STAGES.get(recipe.stem, 0), "parts that come from the first stage")
                for kind in kinds:
                    self.assertTrue((run / "connectors" / f"{kind}.safetensors").exists())


if __name__ == "__main__":
    main()
