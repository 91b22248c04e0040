"""Each family on each axis: the gradients of the first step by two processes are those of one. Whole models as they are published, tiny, and decoders
in the place of Llama's."""

import random
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from gradients import OfGradients
from harness import LONG, main, make_tiny, sets
import tiny_omni
import tiny_voxtral

FEW = sets(train__accumulate=2, train__tokens_per_batch=256)
AXES = ("replicate", "fsdp", "pipeline")
SHARING = ("context", "tensor")  # whose processes have the same batches, and each encodes some of the media
PAIRS = (("tensor", "pipeline"), ("context", "pipeline"), ("tensor", "context"), ("tensor", "fsdp"))

# Of whole models what writes them, and the media that they take.
WHOLE = {
    "gemma3": (make_tiny.write_gemma3, "image"),
    "idefics3": (make_tiny.write_smolvlm, "image"),
    "internvl": (make_tiny.write_internvl, "image"),
    "mistral3": (make_tiny.write_mistral3, "image"),
    "qwen2_5_omni": (tiny_omni.write_qwen2_5_omni, "image", "audio"),
    "qwen2_5_vl": (make_tiny.write_qwen2_5_vl, "image"),
    "voxtral": (tiny_voxtral.write_voxtral, "audio"),
}
MORE_WHOLE = {"llava": (make_tiny.write_llava, "image"), "vila": (make_tiny.write_vila, "image")}

# What is peculiar to each: caps, windows, multipliers, norms of heads, parts of a head that are turned.
DECODERS = {
    "gemma": {"head_size": 8, "qk_norm": False, "media_see_all": False, "attn_logit_softcapping": 0.5, "final_logit_softcapping": 0.3, "sliding_window": 4,
              "full_attention_layers": [1], "query_pre_attn_scalar": 8, "window_rope_theta": 0},
    "granite": {"embedding_multiplier": 6.0, "attention_multiplier": 0.3, "residual_multiplier": 0.5, "logits_scaling": 4.0, "attention_bias": True, "mlp_bias": True},
}
MORE_DECODERS = {"mistral": {"sliding_window": 6}, "nemotron": {"attention_bias": True}, "qwen2": {}, "qwen3": {"head_size": 12}}


def trained(*streams, encoders):
    names = [f"streams.{stream}.encoder" for stream in streams] if encoders else []
    return [word for name in ["llm", *names] for word in sets(**{f"model__{name}__trainable": "true"})]


class Families(OfGradients):
    TRAIN = 12

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.data = cls.folder / "data"
        for kinds in (("image",), ("audio",), ("image", "audio")):
            make_tiny.write_set(cls.data / f"{'_'.join(kinds)}.jsonl", cls.TRAIN, seed=41, kinds=kinds)
        noise = random.Random(5)  # media of several sizes: of some the first half is as they were written
        for i, path in enumerate(sorted(cls.data.rglob("*.png"))):
            if i % 2:
                path.write_bytes(make_tiny.png_bytes((220, 30, 30), noise, size=60))
        for i, path in enumerate(sorted(cls.data.rglob("*.wav"))):
            if i % 2:
                make_tiny.write_wav(path, 300, noise, seconds=1.3)

    def whole(self, name, write, streams):
        folder = self.folder / "models" / name
        write(folder)
        text = self.config.read_text()
        parts = text[text.index("[model.llm]") : text.index("[[data.train.sources]]")]
        return self.edited(name, (parts, f'[model]\nfrom = "{folder}"\n'), ("data/train.jsonl", f"data/{'_'.join(streams)}.jsonl"))

    def compare_family(self, name, config, *streams):
        self.compare_gradients(name, [(axis,) for axis in AXES], *FEW, *trained(*streams, encoders=True), config=config)
        pairs = PAIRS if LONG else ()
        self.compare_gradients(f"{name} with frozen encoders", [*((axis,) for axis in SHARING), *pairs], *FEW, *trained(encoders=False), config=config)

    def compare_whole(self, models):
        for name, (write, *streams) in models.items():
            with self.subTest(name):
                self.compare_family(name, self.whole(name, write, streams), *streams)

    def compare_decoders(self, decoders):
        for name, options in decoders.items():
            config = self.drawn(name, 2, **options)
            config.write_text(config.read_text().replace('plugin = "llama"', f'plugin = "{name}"'))
            with self.subTest(name):
                self.compare_family(name, config, "image")

    def test_whole_models(self):
        self.compare_whole(WHOLE)

    def test_what_is_added_after_blocks(self):
        """By Qwen3-VL's third tap in the second stage, before its last block: what is added after that reaches no token that is learnt."""
        config = self.whole("tapped", lambda folder: make_tiny.write_qwen3_vl(folder, layers=4, taps=(0, 1, 2)), ("image",))
        one = self.compare_gradients("tapped", [*((axis,) for axis in (*AXES, *SHARING)), *(PAIRS if LONG else ())], *FEW, *trained(encoders=False), config=config)
        taps = {name: abs(value).max() for name, value in one.items() if ".connector/taps." in name}
        self.assertEqual(len(taps), 3 * 6)
        self.assertGreater(min(taps.values()), 1e-4, taps)

    def test_decoders(self):
        self.compare_decoders(DECODERS)

    def test_matrices_that_a_file_has_as_one(self):
        """Phi-3's, of which each process has some rows of each part; and texts on both sides of LongRoPE's limit."""
        folder = self.folder / "models" / "phi3"
        make_tiny.write_phi3(folder)
        config = self.edited("phi3", ('plugin = "llama"\n', 'plugin = "phi3"\nrope_original_max_positions = 40\n'), ("models/llama", "models/phi3"))
        self.compare_family("phi3", config, "image")

    @unittest.skipUnless(LONG, "more of the same; ANTIPHON_LONG=1 runs them")
    def test_more(self):
        self.compare_whole(MORE_WHOLE)
        self.compare_decoders(MORE_DECODERS)


if __name__ == "__main__":
    main()
