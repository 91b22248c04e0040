"""Which component a case of the parity report is counted for (tools/models_page.py)."""
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
import models_page

COMPONENTS = [("encoder", "clip"), ("encoder", "whisper"), ("language_model", "clip_text"), ("objective", "preference"), ("model_family", "clip"), ("model_family", "llava"), ("record_format", "preference")]


def counted(*titles):
    return models_page.counts([{"case": title, "ok": True, "gradients": 2} for title in titles], COMPONENTS)


class Counts(unittest.TestCase):
    def test_one_name_of_two_kinds(self):
        table = counted("encoder clip layer -1", "encoder clip: gradients", "model_family clip: logits", "clip_text refuses a graph")
        self.assertEqual({about: row["all"] for about, row in table.items()}, {("encoder", "clip"): 2, ("model_family", "clip"): 1, ("language_model", "clip_text"): 1})
        self.assertEqual(table["encoder", "clip"]["gradients"], 4)
        with self.assertRaisesRegex(SystemExit, "encoder and model_family have the name 'clip'"):
            counted("clip layer -1")

    def test_media_are_an_encoders(self):
        self.assertEqual(list(counted("images, clip, sizes as numbers", "sounds, whisper, 2 s", "bf16 whisper", "images, llava")), [("encoder", "clip"), ("encoder", "whisper")])

    def test_formats_of_data_have_no_cases(self):
        self.assertEqual(list(counted("preference of 5 pairs", "curves, lora: losses")), [("objective", "preference")])

    def test_columns_say_what_they_count(self):
        cases = [{"case": f"clip_text {title}", "ok": True, "refused": refused} for title, refused in [
            ("32 greedy tokens, 4 prompts together", False), ("12 greedy tokens", False), ("32 greedy tokens, one by one", False), ("answers that end early", False),
            ("export, merged: no key missing", False), ("cannot be merged", True), ("refuses a cache", True), ("cache in pieces of 7", False), ("bf16 caches", False)]]
        row = models_page.counts(cases, COMPONENTS)["language_model", "clip_text"]
        self.assertEqual(row, {"all": 9, "gradients": 0, "32 greedy tokens": 2, "batch = one by one": 1, "export": 1, "merged": 1, "refused": 2, "KV cache": 1})

    def test_graphs(self):
        self.assertEqual(list(counted("composed: hidden", "dual_encoder refuses to be without a head")), list(models_page.GRAPHS))


if __name__ == "__main__":
    unittest.main()
