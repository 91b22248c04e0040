"""Whole models and language models at the sizes of published ones, without values."""
import torch
from transformers import (
    Gemma2Config, Gemma2ForCausalLM, Gemma3Config, Gemma3ForCausalLM, Gemma3ForConditionalGeneration, Gemma3TextConfig, GraniteConfig, GraniteForCausalLM, LlavaConfig,
    LlavaForConditionalGeneration, Ministral3Config, Ministral3ForCausalLM, Mistral3Config, Mistral3ForConditionalGeneration, MistralConfig, MistralForCausalLM,
    Phi3Config, Phi3ForCausalLM, PixtralVisionConfig, Qwen3Config, Qwen3ForCausalLM, SiglipVisionConfig)

from .whole_grids import Qwen25Vl, Qwen2Vl, Qwen3Vl

TEXT_3B = dict(hidden_size=2048, intermediate_size=11008, num_hidden_layers=36, num_attention_heads=16, num_key_value_heads=2, vocab_size=151936)
TEXT_7B = dict(hidden_size=3584, intermediate_size=18944, num_hidden_layers=28, num_attention_heads=28, num_key_value_heads=4, vocab_size=152064)
TEXT_2B = dict(hidden_size=1536, intermediate_size=8960, num_hidden_layers=28, num_attention_heads=12, num_key_value_heads=2, vocab_size=151936)


def counted(bench, name, config, architecture, published=None):
    """Without values: as many parameters as in transformers, and in the published model."""
    with torch.device("meta"):
        model = architecture(config)
    model.tie_weights()
    count = sum(p.numel() for p in model.parameters())
    folder = bench.new_folder()
    config.save_pretrained(folder)
    answer, _ = bench.ask("parameters", model=f'from = "{folder}"\n')
    bench.check(f"{name}: {count} parameters", answer["parameters"] == count, answer)
    if published:
        bench.check(f"{name} has the parameters of the published model", answer["parameters"] == published, published)


def text_sizes(bench):
    """At the sizes of published models."""
    granite = dict(vocab_size=49155, num_hidden_layers=40, num_attention_heads=32, num_key_value_heads=8, tie_word_embeddings=True)
    qwen = dict(vocab_size=151936, num_key_value_heads=8)
    turned = {"rope_type": "default", "rope_theta": 1e4, "partial_rotary_factor": 0.75}
    counted(bench, "phi3, Phi-3-mini", Phi3Config(), Phi3ForCausalLM, 3_821_079_552)
    counted(bench, "phi3, Phi-4-mini", Phi3Config(vocab_size=200064, num_attention_heads=24, num_key_value_heads=8, tie_word_embeddings=True, rope_parameters=turned, pad_token_id=None), Phi3ForCausalLM, 3_836_021_760)
    counted(bench, "granite, Granite-3.1-2B", GraniteConfig(**granite, hidden_size=2048, intermediate_size=8192), GraniteForCausalLM, 2_533_531_648)
    counted(bench, "granite, Granite-3.1-8B", GraniteConfig(**granite, hidden_size=4096, intermediate_size=12800), GraniteForCausalLM, 8_170_848_256)
    counted(bench, "qwen3, Qwen3-0.6B", Qwen3Config(**qwen, hidden_size=1024, intermediate_size=3072, num_hidden_layers=28, num_attention_heads=16, tie_word_embeddings=True), Qwen3ForCausalLM, 596_049_920)
    counted(bench, "qwen3, Qwen3-8B", Qwen3Config(**qwen, hidden_size=4096, intermediate_size=12288, num_hidden_layers=36, num_attention_heads=32), Qwen3ForCausalLM, 8_190_735_360)
    counted(bench, "mistral, Mistral-7B", MistralConfig(), MistralForCausalLM, 7_241_732_096)
    counted(bench, "mistral, Ministral-3-8B", Ministral3Config(), Ministral3ForCausalLM)
    counted(bench, "gemma, Gemma-2-2B", Gemma2Config(), Gemma2ForCausalLM, 2_614_341_888)
    counted(bench, "gemma, Gemma-3-1B", Gemma3TextConfig(vocab_size=262144, hidden_size=1152, intermediate_size=6912, num_attention_heads=4, num_key_value_heads=1, sliding_window=512, max_position_embeddings=32768), Gemma3ForCausalLM, 999_885_952)


def more_sizes(bench):
    text = dict(hidden_size=2560, intermediate_size=10240, num_hidden_layers=34, sliding_window=1024, rope_parameters={"full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6}, "sliding_attention": {"rope_type": "default", "rope_theta": 1e4}})
    so400m = SiglipVisionConfig(hidden_size=1152, image_size=896, intermediate_size=4304, num_attention_heads=16, num_hidden_layers=27, patch_size=14, vision_use_head=False)
    counted(bench, "gemma3, Gemma-3-4B", Gemma3Config(text_config=Gemma3TextConfig(**text), vision_config=so400m), Gemma3ForConditionalGeneration, 4_300_079_472)
    small = MistralConfig(hidden_size=5120, intermediate_size=32768, num_hidden_layers=40, head_dim=128, sliding_window=None, vocab_size=131072, rms_norm_eps=1e-5)
    seeing = dict(hidden_size=1024, intermediate_size=4096, num_hidden_layers=24, num_attention_heads=16)
    counted(bench, "mistral3, Mistral-Small-3.1-24B", Mistral3Config(text_config=small, vision_config=PixtralVisionConfig(**seeing, image_size=1540, patch_size=14), tie_word_embeddings=False), Mistral3ForConditionalGeneration, 24_011_361_280)
    nemo = MistralConfig(hidden_size=5120, num_hidden_layers=40, head_dim=128, sliding_window=None, vocab_size=131072, rms_norm_eps=1e-5)
    counted(bench, "llava on pixtral, Pixtral-12B", LlavaConfig(text_config=nemo, vision_config=PixtralVisionConfig(**seeing, hidden_act="silu"), vision_feature_layer=-1, vision_feature_select_strategy="full"), LlavaForConditionalGeneration)


def sizes(bench):
    """At the sizes of published models."""
    windowed = dict(hidden_size=1280, intermediate_size=3420, num_heads=16)
    newer, large = dict(num_position_embeddings=2304), dict(TEXT_7B, hidden_size=4096, intermediate_size=12288, num_hidden_layers=36, num_attention_heads=32, num_key_value_heads=8, vocab_size=151936)
    below = dict(newer, depth=24, hidden_size=1024, intermediate_size=4096, deepstack_visual_indexes=[5, 11, 17])
    for name, kind, text, tower, tied, published in [("Qwen3-VL-2B", Qwen3Vl, dict(TEXT_2B, hidden_size=2048, intermediate_size=6144, num_attention_heads=16, num_key_value_heads=8), dict(below, out_hidden_size=2048), True, 2_127_532_032),
                                                     ("Qwen3-VL-4B", Qwen3Vl, dict(large, hidden_size=2560, intermediate_size=9728, head_dim=128), dict(below, out_hidden_size=2560), True, 4_437_815_808),
                                                     ("Qwen3-VL-8B", Qwen3Vl, large, dict(newer, out_hidden_size=4096), False, 8_767_123_696),
                                                     ("Qwen2-VL-2B", Qwen2Vl, TEXT_2B, dict(hidden_size=1536), True, 2_208_985_600), ("Qwen2-VL-7B", Qwen2Vl, TEXT_7B, dict(hidden_size=3584), False, 8_291_375_616),
                                                     ("Qwen2.5-VL-3B", Qwen25Vl, TEXT_3B, dict(windowed, out_hidden_size=2048), True, 3_754_622_976), ("Qwen2.5-VL-7B", Qwen25Vl, TEXT_7B, dict(windowed, out_hidden_size=3584), False, 8_292_166_656)]:
        sections = {"mrope_section": [24, 20, 20], "mrope_interleaved": True} if kind is Qwen3Vl else {"mrope_section": [16, 24, 24]}
        config = kind.config(text_config={**text, "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, **sections}}, vision_config=tower, tie_word_embeddings=tied)
        counted(bench, f"{kind.name}, {name}", config, kind.architecture, published)
