"""Every key that the current transformers writes into config.json, preprocessor_config.json and processor_config.json, and
peft into adapter_config.json, is read, refused if it differs, said, or listed here as harmless, with the reason.
And: what is left out of a file has the default of its class.

foreign_keys_parity.py ANTIPHON
"""
import inspect
import json
import os
import re
import subprocess
import sys
import tempfile
import tomllib
import unittest
from pathlib import Path

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
import transformers
from transformers import (Gemma2Config, Gemma3Config, Gemma3ImageProcessorPil, Gemma3TextConfig, GraniteConfig, Ministral3Config, Mistral3Config, MistralConfig, PixtralImageProcessorPil, PixtralVisionConfig, Qwen2_5OmniThinkerConfig, Qwen3VLConfig, Qwen3VLTextConfig, Qwen2_5_VLConfig, Qwen2_5_VLTextConfig, Qwen2VLConfig, Qwen2VLImageProcessorPil, Qwen2VLTextConfig, BitImageProcessorPil, CLIPImageProcessorPil, CLIPVisionConfig, Dinov2Config, LlamaConfig, LlavaConfig, LlavaImageProcessorPil, LlavaNextConfig,
                          LlavaNextImageProcessorPil, NemotronConfig, ParakeetEncoderConfig, ParakeetFeatureExtractor, Qwen2AudioConfig, Qwen2AudioEncoderConfig, Qwen2Config, Qwen3Config, Qwen2MoeConfig, Qwen3MoeConfig, MixtralConfig,
                          SiglipImageProcessorPil, SiglipVisionConfig, ViTImageProcessorPil, WhisperConfig, WhisperFeatureExtractor)
from transformers.models.qwen2_5_omni.configuration_qwen2_5_omni import Qwen2_5OmniAudioEncoderConfig, Qwen2_5OmniTextConfig, Qwen2_5OmniVisionEncoderConfig
from transformers import CLIPConfig, CLIPTextConfig, ParakeetCTCConfig, ParakeetTDTConfig, SiglipConfig, SiglipTextConfig
from transformers import Idefics3Config, InternVLConfig, InternVLVisionConfig, Phi3Config, SmolVLMConfig, VoxtralConfig, VoxtralEncoderConfig
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil
from transformers.models.idefics3.configuration_idefics3 import Idefics3VisionConfig
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil
from transformers.models.internvl.video_processing_internvl import InternVLVideoProcessor
from transformers.models.qwen2_5_vl.configuration_qwen2_5_vl import Qwen2_5_VLVisionConfig
from transformers.models.qwen2_vl.configuration_qwen2_vl import Qwen2VLVisionConfig
from transformers.models.qwen2_vl.video_processing_qwen2_vl import Qwen2VLVideoProcessor
from transformers.models.qwen3_vl.configuration_qwen3_vl import Qwen3VLVisionConfig
from transformers.models.qwen3_vl.video_processing_qwen3_vl import Qwen3VLVideoProcessor
from transformers.models.smolvlm.configuration_smolvlm import SmolVLMVisionConfig
from transformers.models.smolvlm.image_processing_pil_smolvlm import SmolVLMImageProcessorPil
from transformers.models.smolvlm.video_processing_smolvlm import SmolVLMVideoProcessor

TINY = Path(__file__).resolve().parents[1] / "e2e"
sys.path.insert(0, str(TINY))
import tiny_dual

TOKENIZER = TINY / "tiny" / "tokenizer"
PROGRAM = ""
DECODER = dict(vocab_size=96, hidden_size=48, intermediate_size=80, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=256)
VIT = dict(hidden_size=48, intermediate_size=80, num_hidden_layers=3, num_attention_heads=4, image_size=28, patch_size=7)
WHISPER = dict(d_model=48, encoder_layers=2, encoder_attention_heads=4, encoder_ffn_dim=96, num_mel_bins=80)
TEXT = dict(vocab_size=600, hidden_size=48, intermediate_size=80, num_hidden_layers=3, num_attention_heads=4, max_position_embeddings=16, eos_token_id=513)  # which tiny_dual's tokenizer puts behind a text
VOXTRAL = dict(hidden_size=48, num_hidden_layers=2, num_attention_heads=4, intermediate_size=96, num_mel_bins=80)

GRID_TEXT = {**DECODER, "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [1, 2, 3]}, "use_sliding_window": True, "sliding_window": 32, "max_window_layers": 1}
GRID_TOWER = dict(depth=2, embed_dim=32, hidden_size=48, num_heads=2, mlp_ratio=2)
GEMMA = {**DECODER, "head_dim": 16, "sliding_window": 32}
PIXTRAL = dict(hidden_size=32, intermediate_size=40, num_hidden_layers=2, num_attention_heads=2, patch_size=4)
WINDOWED_TOWER = dict(depth=2, hidden_size=32, intermediate_size=48, num_heads=2, out_hidden_size=48, fullatt_block_indexes=[1])
TURNING_TEXT = {**DECODER, "head_dim": 16, "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [4, 2, 2], "mrope_interleaved": True}}
TAPPED_TOWER = dict(depth=3, hidden_size=32, intermediate_size=48, num_heads=2, out_hidden_size=48, num_position_embeddings=16, deepstack_visual_indexes=[0, 1])
# model types that another plugin reads
OMNI_EARS = dict(d_model=48, encoder_layers=2, encoder_attention_heads=4, encoder_ffn_dim=64, num_mel_bins=80)
READ_BY = {"qwen2_5_omni_text": "qwen2_vl_text", "qwen2_5_omni_vision_encoder": "qwen2_vl_vision", "qwen2_5_omni_audio_encoder": "qwen2_5_omni_audio",
           "qwen2_audio_encoder": "whisper", "voxtral_encoder": "whisper", "qwen2_5_vl_text": "qwen2_vl_text", "qwen2_5_vl_vision": "qwen2_vl_vision", "gemma2": "gemma", "gemma3_text": "gemma", "ministral3": "mistral", "smolvlm_vision": "idefics3_vision"}

CONFORMER = dict(hidden_size=48, intermediate_size=80, num_hidden_layers=2, num_attention_heads=4, conv_kernel_size=5, subsampling_conv_channels=8)

HEAD = "of the decoder or of a head, and not of the encoder"
MASKS = "masks of training, which apply_spec_augment asks for"
TOKENS = "the tokenizer and generation_config.json have the numbers"
ANYWHERE = {"_attn_implementation": "how, and not what", "initializer_range": "the start, if nothing is loaded", "initializer_factor": "as before",
            "pad_token_id": "docs/models.md: the row of the padding token", "eos_token_id": TOKENS, "bos_token_id": TOKENS, "decoder_start_token_id": TOKENS, "use_cache": "how, and not what",
            "num_labels": HEAD, "id": HEAD, "id2label": HEAD, "label2id": HEAD}
# A text tower's vector is that of this token.
USED_BY = {"clip_text": {"eos_token_id"}}
HARMLESS = {
    "clip_text": {"projection_dim": HEAD}, "siglip_text": {"projection_size": HEAD},
    "dinov2": {"layerscale_value": "the start", "apply_layernorm": "of the backbone class", "reshape_hidden_states": "of the backbone class", "use_mask_token": "masks of training"},
    "clip": {}, "siglip": {"vision_use_head": "there is none, and only pooled = true asks for it", "projection_size": HEAD},
    "whisper": {**{key: HEAD for key in ["vocab_size", "decoder_layers", "decoder_attention_heads", "decoder_ffn_dim", "decoder_layerdrop", "max_target_positions", "classifier_proj_size",
                                         "use_weighted_layer_sum", "num_hidden_layers", "is_encoder_decoder"]},
                **{key: MASKS for key in ["mask_time_prob", "mask_time_length", "mask_time_min_masks", "mask_feature_prob", "mask_feature_length", "mask_feature_min_masks"]},
                "scale_embedding": "set aside by WhisperEncoder.forward"},
    "voxtral_encoder": {"scale_embedding": "set aside by VoxtralEncoder.forward", "vocab_size": "used of the text model's table only"},
    "qwen2_audio_encoder": {"scale_embedding": "set aside by Qwen2AudioEncoder.forward"},
    "fastconformer": {"max_position_embeddings": "positions are made as long as they are needed"},
    "qwen2_vl_text": {}, "qwen2_5_vl_text": {}, "qwen2_vl_vision": {"hidden_size": "of the merger, whose vectors are as wide as the language model's"},
    "qwen2_5_omni_text": {}, "qwen2_5_omni_vision_encoder": {"out_hidden_size": "as before"},
    "qwen2_5_omni_audio_encoder": {"output_dim": "of the projection", "max_source_positions": "positions begin again in each chunk", "scale_embedding": "set aside by Qwen2_5OmniAudioEncoder.forward"},
    "qwen2_5_vl_vision": {"out_hidden_size": "as before"}, "qwen3_vl_text": {}, "qwen3_vl_vision": {"out_hidden_size": "as before"},
    "gemma2": {}, "gemma3_text": {}, "mistral": {}, "ministral3": {}, "granite": {}, "phi3": {}, "pixtral": {"head_dim": "follows from the width and the heads, in transformers, too"},
    "idefics3_vision": {}, "smolvlm_vision": {},
    "internvit": {"layer_scale_init_value": "the start", "use_mask_token": "masks of training", "chunk_size_feed_forward": "read by InternVLVisionLayer, and not used"},
    "llama": {}, "qwen2": {}, "qwen3": {}, "nemotron": {}, "qwen2_moe": {"sliding_window": "only of layers with a window, which are refused"}, "qwen3_moe": {}, "mixtral": {},
}
# plugin, kind of slot, class of the configuration, a small one, the module whose uses of it count.
SUBJECTS = [("clip_text", "text", CLIPTextConfig, TEXT, "clip"), ("siglip_text", "text", SiglipTextConfig, TEXT, "siglip"), ("llama", "llm", LlamaConfig, DECODER, "llama"), ("qwen2", "llm", Qwen2Config, {**DECODER, "use_sliding_window": True, "sliding_window": 32, "max_window_layers": 1}, "qwen2"),
            ("qwen3", "llm", Qwen3Config, {**DECODER, "head_dim": 16, "use_sliding_window": True, "sliding_window": 32, "max_window_layers": 1}, "qwen3"),
            ("qwen2_moe", "llm", Qwen2MoeConfig, {**DECODER, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24, "shared_expert_intermediate_size": 40}, "qwen2_moe"),
            ("qwen3_moe", "llm", Qwen3MoeConfig, {**DECODER, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24, "use_sliding_window": True, "sliding_window": 32}, "qwen3_moe"), ("mixtral", "llm", MixtralConfig, DECODER, "mixtral"),
            ("mistral", "llm", MistralConfig, {**DECODER, "sliding_window": 32}, "mistral"), ("ministral3", "llm", Ministral3Config, {**DECODER, "head_dim": 16, "sliding_window": 32, "pad_token_id": None}, "ministral3"), ("granite", "llm", GraniteConfig, DECODER, "granite"), ("phi3", "llm", Phi3Config, {**DECODER, "sliding_window": 32, "pad_token_id": None}, "phi3"),
            ("gemma2", "llm", Gemma2Config, GEMMA, "gemma2"), ("gemma3_text", "llm", Gemma3TextConfig, GEMMA, "gemma3"), ("pixtral", "encoder", PixtralVisionConfig, PIXTRAL, "pixtral"),
            ("nemotron", "llm", NemotronConfig, DECODER, "nemotron"), ("dinov2", "encoder", Dinov2Config, {k: v for k, v in VIT.items() if k != "intermediate_size"}, "dinov2"),
            ("clip", "encoder", CLIPVisionConfig, VIT, "clip"), ("siglip", "encoder", SiglipVisionConfig, VIT, "siglip"), ("whisper", "encoder", WhisperConfig, WHISPER, "whisper"),
            ("qwen2_audio_encoder", "encoder", Qwen2AudioEncoderConfig, WHISPER, "qwen2_audio"), ("voxtral_encoder", "encoder", VoxtralEncoderConfig, VOXTRAL, "voxtral"),
            ("qwen2_vl_text", "llm", Qwen2VLTextConfig, GRID_TEXT, "qwen2_vl"), ("qwen2_5_vl_text", "llm", Qwen2_5_VLTextConfig, GRID_TEXT, "qwen2_5_vl"),
            ("qwen3_vl_text", "llm", Qwen3VLTextConfig, TURNING_TEXT, "qwen3_vl"), ("qwen3_vl_vision", "encoder", Qwen3VLVisionConfig, TAPPED_TOWER, "qwen3_vl"),
            ("qwen2_5_omni_text", "llm", Qwen2_5OmniTextConfig, GRID_TEXT, "qwen2_5_omni"), ("qwen2_5_omni_vision_encoder", "encoder", Qwen2_5OmniVisionEncoderConfig, WINDOWED_TOWER, "qwen2_5_omni"),
            ("qwen2_5_omni_audio_encoder", "encoder", Qwen2_5OmniAudioEncoderConfig, OMNI_EARS, "qwen2_5_omni"),
            ("qwen2_vl_vision", "encoder", Qwen2VLVisionConfig, GRID_TOWER, "qwen2_vl"), ("qwen2_5_vl_vision", "encoder", Qwen2_5_VLVisionConfig, WINDOWED_TOWER, "qwen2_5_vl"), ("fastconformer", "encoder", ParakeetEncoderConfig, CONFORMER, "parakeet"),
            ("internvit", "encoder", InternVLVisionConfig, VIT, "internvl"), ("idefics3_vision", "encoder", Idefics3VisionConfig, VIT, "idefics3"), ("smolvlm_vision", "encoder", SmolVLMVisionConfig, VIT, "smolvlm")]
# Whole models: how they are composed, class, parts.
LLAMAS = dict(text_config=LlamaConfig(**DECODER).to_dict())
QWEN = dict(text_config=Qwen2Config(**DECODER).to_dict())
SEEN = {**LLAMAS, "vision_config": CLIPVisionConfig(**VIT).to_dict()}
EDGES = dict(text_config=MistralConfig(**DECODER).to_dict(), vision_config=PixtralVisionConfig(**PIXTRAL).to_dict())
HEARD = dict(audio_config=VoxtralEncoderConfig(**{**VOXTRAL, "intermediate_size": 192}).to_dict(), audio_token_id=24)
HEADED = dict(encoder_config=ParakeetEncoderConfig(**CONFORMER).to_dict())
WHOLE = [("whole", LlavaConfig, SEEN), ("whole", LlavaNextConfig, {**SEEN, "image_grid_pinpoints": [[224, 448]]}), ("whole", Qwen2AudioConfig, {**QWEN, "audio_config": Qwen2AudioEncoderConfig(**WHISPER).to_dict()}),
         ("whole", VoxtralConfig, {**LLAMAS, **HEARD}), ("whole", Qwen2VLConfig, dict(text_config=GRID_TEXT, vision_config=GRID_TOWER)), ("whole", Qwen2_5_VLConfig, dict(text_config=GRID_TEXT, vision_config=WINDOWED_TOWER)),
         ("whole", Qwen3VLConfig, dict(text_config=TURNING_TEXT, vision_config=TAPPED_TOWER)), ("whole", Qwen2_5OmniThinkerConfig, dict(text_config=GRID_TEXT, vision_config=WINDOWED_TOWER, audio_config=OMNI_EARS)),
         ("whole", Gemma3Config, dict(text_config=GEMMA, vision_config=SiglipVisionConfig(**VIT).to_dict(), mm_tokens_per_image=4)),
         ("whole", LlavaConfig, {**EDGES, "vision_feature_layer": -1, "vision_feature_select_strategy": "full"}), ("whole", Mistral3Config, EDGES),
         *[("whole", cls, {**LLAMAS, "vision_config": tower(**VIT).to_dict()}) for cls, tower in ((Idefics3Config, Idefics3VisionConfig), (SmolVLMConfig, SmolVLMVisionConfig))],
         ("whole", InternVLConfig, {**QWEN, "vision_config": InternVLVisionConfig(**VIT).to_dict()}),
         ("dual", CLIPConfig, dict(text_config=TEXT, vision_config=VIT, projection_dim=24)), ("dual", SiglipConfig, dict(text_config={**TEXT, "projection_size": 48}, vision_config=VIT)),
         ("fastconformer", ParakeetCTCConfig, HEADED), ("fastconformer", ParakeetTDTConfig, HEADED)]
PLACES = "the tokenizer's name of the token says where media stand; transformers refuses ids that differ from it"
RETURNED = "what is returned besides"
ANYWHERE_WHOLE = {"return_dict": RETURNED, "output_hidden_states": RETURNED, "output_attentions": RETURNED, "dtype": "[precision] says it", "architectures": "the model_type decides", "problem_type": HEAD, "is_encoder_decoder": HEAD,
                  "chunk_size_feed_forward": "how, and not what", "transformers_version": "of the file", "_name_or_path": "of the file", "vocab_size": "of the text's table, where it counts", "image_seq_length": "follows from the tower", "image_seq_len": "follows from the tower",
                  **{f"{kind}_token_{form}": PLACES for kind in ("image", "video", "audio", "vision_start", "vision_end", "vision", "boi", "eoi", "audio_start", "audio_end") for form in ("id", "index")}}
HARMLESS_WHOLE = {"voxtral": {"hidden_size": "of the text's table, where it counts"}, "clip": {"logit_scale_init_value": "the start"},
                  "qwen2_5_omni_thinker": {"user_token_id": "of the talker, which is not read"},
                  "gemma3": {"tie_word_embeddings": "the text's table says it, too, and what the checkpoint holds decides"},
                  **{kind: {"_pad_token_id": TOKENS} for kind in ("idefics3", "smolvlm")},
                  "parakeet_ctc": {"ctc_loss_reduction": HEAD, "ctc_zero_infinity": HEAD},
                  "parakeet_tdt": dict.fromkeys(["blank_token_id", "decoder_hidden_size", "durations", "hidden_act", "max_symbols_per_step", "num_decoder_layers"], HEAD)}
# What is read, and has no class in transformers.
WITHOUT_CLASS = {"silero_vad": "of another library", "intern_vit_6b": "remote code", "parakeet_rnnt": "of a later version"}
PROCESSORS = [("clip", CLIPImageProcessorPil), ("clip", LlavaImageProcessorPil), ("clip", LlavaNextImageProcessorPil), ("siglip", SiglipImageProcessorPil), ("siglip", Gemma3ImageProcessorPil), ("pixtral", PixtralImageProcessorPil), ("dinov2", BitImageProcessorPil),
              ("dinov2", ViTImageProcessorPil), ("whisper", WhisperFeatureExtractor), ("fastconformer", ParakeetFeatureExtractor), ("qwen2_vl_vision", Qwen2VLImageProcessorPil),
              ("qwen2_5_omni_vision_encoder", Qwen2VLImageProcessorPil), ("qwen2_5_omni_audio_encoder", WhisperFeatureExtractor), ("internvit", GotOcr2ImageProcessorPil),
              ("idefics3_vision", Idefics3ImageProcessorPil), ("smolvlm_vision", SmolVLMImageProcessorPil)]
# option -> attribute of the class, for the defaults.
LLM = {"vocab_size": "vocab_size", "hidden_size": "hidden_size", "intermediate_size": "intermediate_size", "num_layers": "num_hidden_layers", "num_heads": "num_attention_heads",
       "max_positions": "max_position_embeddings", "tie_embeddings": "tie_word_embeddings"}
TOWER = {"hidden_size": "hidden_size", "num_layers": "num_hidden_layers", "num_heads": "num_attention_heads", "image_size": "image_size", "patch_size": "patch_size",
         "layer_norm_eps": "layer_norm_eps", "activation": "hidden_act"}
EARS = {"hidden_size": "d_model", "num_layers": "encoder_layers", "num_heads": "encoder_attention_heads", "intermediate_size": "encoder_ffn_dim", "num_mels": "num_mel_bins",
        "max_positions": "max_source_positions", "activation": "activation_function"}
EXPERTS = {"num_experts_per_tok": "num_experts_per_tok", "output_router_logits": "output_router_logits", "router_aux_loss_coef": "router_aux_loss_coef"}
GEMMAS = {"norm_eps": "rms_norm_eps", "head_size": "head_dim", "attention_bias": "attention_bias", "sliding_window": "sliding_window", "query_pre_attn_scalar": "query_pre_attn_scalar"}
GRID = {**{option: key for option, key in LLM.items() if option != "tie_embeddings"}, "norm_eps": "rms_norm_eps"}
PATCHES = {"num_layers": "depth", "num_heads": "num_heads", "patch_size": "patch_size", "temporal_patch_size": "temporal_patch_size", "merge_size": "spatial_merge_size", "activation": "hidden_act"}
WRITTEN = {**{option: key for option, key in LLM.items() if option != "tie_embeddings"}, "layer_norm_eps": "layer_norm_eps", "activation": "hidden_act"}
DEFAULTS = {"clip_text": {**WRITTEN, "eos_token_id": "eos_token_id"}, "siglip_text": {**WRITTEN, "pad_token_id": "pad_token_id"}, "qwen3_vl_text": {**GRID, "head_size": "head_dim", "attention_bias": "attention_bias"}, "qwen3_vl_vision": {**PATCHES, "hidden_size": "hidden_size", "intermediate_size": "intermediate_size"},
            "qwen2_5_omni_text": GRID, "qwen2_5_omni_vision_encoder": {**PATCHES, "hidden_size": "hidden_size", "intermediate_size": "intermediate_size", "window_size": "window_size"},
            "qwen2_5_omni_audio_encoder": {**{option: key for option, key in EARS.items() if option != "max_positions"}, "n_window": "n_window"},
            "qwen2_vl_text": GRID, "qwen2_5_vl_text": GRID, "qwen2_vl_vision": {**PATCHES, "hidden_size": "embed_dim"},
            "qwen2_5_vl_vision": {**PATCHES, "hidden_size": "hidden_size", "intermediate_size": "intermediate_size", "window_size": "window_size"}, "llama": {**LLM, "norm_eps": "rms_norm_eps", "attention_bias": "attention_bias", "mlp_bias": "mlp_bias"}, "qwen2": {**LLM, "norm_eps": "rms_norm_eps"},
            "qwen3": {**LLM, "norm_eps": "rms_norm_eps", "head_size": "head_dim", "attention_bias": "attention_bias"},
            "qwen2_moe": {**LLM, "norm_eps": "rms_norm_eps", "qkv_bias": "qkv_bias", **EXPERTS, "num_experts": "num_experts", "moe_intermediate_size": "moe_intermediate_size",
                          "shared_expert_intermediate_size": "shared_expert_intermediate_size", "norm_topk_prob": "norm_topk_prob", "decoder_sparse_step": "decoder_sparse_step"},
            "qwen3_moe": {**LLM, "norm_eps": "rms_norm_eps", "attention_bias": "attention_bias", **EXPERTS, "num_experts": "num_experts", "moe_intermediate_size": "moe_intermediate_size",
                          "norm_topk_prob": "norm_topk_prob", "decoder_sparse_step": "decoder_sparse_step"},
            "mixtral": {**LLM, "norm_eps": "rms_norm_eps", **EXPERTS, "num_experts": "num_local_experts"},
            "gemma2": {**LLM, **GEMMAS, "attn_logit_softcapping": "attn_logit_softcapping", "final_logit_softcapping": "final_logit_softcapping"}, "gemma3_text": {**LLM, **GEMMAS},
            "mistral": {**LLM, "norm_eps": "rms_norm_eps", "sliding_window": "sliding_window"},
            "ministral3": {**LLM, "norm_eps": "rms_norm_eps", "head_size": "head_dim"},
            "phi3": {**LLM, "norm_eps": "rms_norm_eps", "rope_original_max_positions": "original_max_position_embeddings"},
            "granite": {**LLM, "norm_eps": "rms_norm_eps", "attention_bias": "attention_bias", "mlp_bias": "mlp_bias", **{key: key for key in ["embedding_multiplier", "attention_multiplier", "residual_multiplier", "logits_scaling"]}},
            "pixtral": {**{option: key for option, key in TOWER.items() if option not in ("image_size", "layer_norm_eps")}, "intermediate_size": "intermediate_size"},
            "nemotron": {**LLM, "norm_eps": "norm_eps", "attention_bias": "attention_bias", "mlp_bias": "mlp_bias"}, "dinov2": TOWER, "clip": {**TOWER, "intermediate_size": "intermediate_size", "projection_dim": "projection_dim"},
            "internvit": {**{option: key for option, key in TOWER.items() if option not in ("image_size", "patch_size")}, "intermediate_size": "intermediate_size", "attention_bias": "attention_bias", "qk_norm": "use_qk_norm", "norm": "norm_type"},
            **{name: {**TOWER, "intermediate_size": "intermediate_size"} for name in ("siglip", "idefics3_vision", "smolvlm_vision")}, "whisper": EARS, "qwen2_audio_encoder": EARS,
            "voxtral_encoder": {"hidden_size": "hidden_size", "num_layers": "num_hidden_layers", "num_heads": "num_attention_heads", "intermediate_size": "intermediate_size", **{option: EARS[option] for option in ("num_mels", "max_positions", "activation")}},
            "fastconformer": {"hidden_size": "hidden_size", "num_layers": "num_hidden_layers", "num_heads": "num_attention_heads", "intermediate_size": "intermediate_size",
                              "kernel_size": "conv_kernel_size", "num_mels": "num_mel_bins", "subsampling_factor": "subsampling_factor", "subsampling_channels": "subsampling_conv_channels",
                              "activation": "hidden_act", "attention_bias": "attention_bias", "convolution_bias": "convolution_bias", "scale_input": "scale_input"}}


def other_values(key, value):
    """Values that mean something else."""
    if key.endswith(("dropout", "layerdrop", "_prob", "_rate")) or key == "dropout_positions":
        return [0.25]
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value * 2 or 2]
    if isinstance(value, float):
        return [value * 2 or 0.5]
    if isinstance(value, str):
        return ["relu"]
    if isinstance(value, list):
        return [value[:-1], [*value, value[-1]]] if value else [[1]]
    return [7]


def plain(value):
    return json.loads(json.dumps(value, default=lambda x: getattr(x, "value", str(x))))


class ForeignKeys(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.files, self.count, self.models = [], 0, {}
        (self.folder / "words").mkdir()
        tiny_dual.write_tokenizer(self.folder / "words", clip=True)

    def add(self, plugin, kind, config, **files):
        """One more directory; returns its name."""
        self.count += 1
        name = f"f{self.count}"
        directory = self.folder / name
        directory.mkdir()
        (directory / "config.json").write_text(json.dumps(config))
        for file, content in files.items():
            (directory / f"{file}.json").write_text(json.dumps(plain(content)))
        plugin = READ_BY.get(plugin, plugin)
        if kind == "llm":
            text = f'[model.llm]\nplugin = "{plugin}"\nweights = "{name}"\ntokenizer = "{TOKENIZER}"\n'
        elif kind == "whole":
            text = f'[model]\nfrom = "{name}"\n[model.llm]\ntokenizer = "{TOKENIZER}"\n'
        elif kind == "dual":
            text = f'[model]\nfrom = "{name}"\n[model.llm]\ntokenizer = "words"\n[objective]\nplugin = "contrastive"\n'
        elif kind == "text":
            text = (f'[model]\ngraph = "dual_encoder"\nhead = {{ plugin = "pair", projection_dim = 32 }}\n[model.llm]\nplugin = "{plugin}"\nweights = "{name}"\ntokenizer = "words"\n[model.streams.x]\nconnector = {{ plugin = "identity" }}\n'
                    'encoder = { plugin = "siglip", pooled = true, hidden_size = 32, intermediate_size = 64, num_layers = 1, num_heads = 2, image_size = 28, patch_size = 14, input_size = 28 }\n[objective]\nplugin = "contrastive"\n')
        else:
            text = (f'[model.llm]\nplugin = "llama"\ntokenizer = "{TOKENIZER}"\nvocab_size = 512\nhidden_size = 32\nintermediate_size = 64\nnum_layers = 1\nnum_heads = 2\n'
                    f'[model.streams.x]\nencoder = {{ plugin = "{plugin}", weights = "{name}" }}\nconnector = {{ plugin = "linear" }}\n')
        (self.folder / f"{name}.toml").write_text(text)
        self.files.append(name)
        return name

    def validate(self):
        """name -> (options in force of what reads the directory, or None if it is refused), and what was said. self.models: all
        that is composed of it."""
        done = subprocess.run([PROGRAM, "validate", "--resolved", *[f"{name}.toml" for name in self.files]], cwd=self.folder, capture_output=True, text=True, timeout=300)
        self.assertNotIn("internal error", done.stderr)
        first = done.stdout.split("\n", 1)[0]
        found = {}
        for text in re.split(rf"^(?={re.escape(first)}$)", done.stdout, flags=re.M):
            if text.strip():
                model = tomllib.loads(text)["model"]
                slots = [model["llm"], *[stream["encoder"] for stream in model.get("streams", {}).values()]]
                for slot in slots:
                    for one in slot if isinstance(slot, list) else [slot]:
                        if re.fullmatch(r"f\d+", one.get("weights", "")):
                            found.setdefault(one["weights"], {})[one["plugin"]] = one
                            self.models[one["weights"]] = json.loads(json.dumps(model).replace(f'"{one["weights"]}"', '""'))
        options = {name: found.get(name) for name in self.files}
        for each in options.values():
            for one in (each or {}).values():
                one.pop("weights")
        self.files = []
        return options, done.stderr

    def test_every_key_of_every_configuration(self):
        for plugin, kind, cls, small, module in SUBJECTS:
            with self.subTest(plugin=plugin):
                config = plain(cls(**small).to_dict())
                source = inspect.getsource(__import__(f"transformers.models.{module}.modeling_{module}", fromlist=["x"]))
                used = set(re.findall(r"config\.([a-z][a-z0-9_]*)", source)) | set(re.findall(r'getattr\(config, "([a-z0-9_]+)"', source))
                base = self.add(plugin, kind, config)
                cases = {self.add(plugin, kind, {**config, key: value}): key for key in config for value in other_values(key, config[key]) if key != "model_type"}
                options, said = self.validate()
                self.assertIsNotNone(options[base], said)
                self.assertNotIn(f"{base}/config.json: not known here", said)
                silent = set()
                for name, key in cases.items():
                    acted = options[name] != options[base] or f"{name}/config.json: {key} is" in said
                    if not acted:
                        silent.add(key)
                acted_on = {key for name, key in cases.items() if options[name] != options[base] or f"{name}/config.json: {key} is" in said}
                silent -= acted_on
                harmless = {**ANYWHERE, **HARMLESS[plugin]}
                self.assertEqual(sorted((silent & used) - (set(harmless) - USED_BY.get(plugin, set()))), [], "used by transformers, and passed over here")
                self.assertEqual(sorted(set(HARMLESS[plugin]) & acted_on), [], "listed as harmless, and acted on")

    def test_every_key_of_whole_models(self):
        for kind, cls, parts in WHOLE:
            with self.subTest(family=cls.model_type, parts=sorted(parts)):
                slot = kind if kind in ("whole", "dual") else "encoder"
                config = plain(cls(**parts).to_dict())
                keys = [key for key in config if key != "model_type" and not key.endswith("_config")]
                base = self.add(kind, slot, config)
                cases = {self.add(kind, slot, {**config, key: value}): key for key in keys for value in other_values(key, config[key])}
                refused = [self.add(kind, slot, {**config, key: value}) for key, value in
                           [("multimodal_projector_bias", "no" if cls is Mistral3Config else False), ("mm_tokens_per_image", 5), ("vision_feature_layer", [-2, -5]), ("vision_feature_select_strategy", "cls"), ("downsample_ratio", 0.4), ("scale_factor", 0)] if key in config]
                options, said = self.validate()
                self.assertIsNotNone(options[base], said)
                self.assertNotIn(f"{base}/config.json: not known here", said)
                self.assertEqual([options[one] for one in refused], [None] * len(refused))
                acted_on = {key for name, key in cases.items() if not options[name] or self.models[name] != self.models[base] or f"{name}/config.json: {key} is" in said}
                own = HARMLESS_WHOLE.get(cls.model_type, {})
                self.assertEqual(sorted(set(keys) - acted_on - set(ANYWHERE) - set(ANYWHERE_WHOLE) - set(own)), [], "passed over")
                self.assertEqual(sorted(set(own) & acted_on), [], "listed as harmless, and acted on")

    def test_a_second_table_of_each_half_counts(self):
        """As CLIPConfig takes text_config_dict and vision_config_dict of early files, defaults included."""
        config = plain(CLIPConfig(text_config=TEXT, vision_config=VIT, projection_dim=24).to_dict())
        early = {**config, "text_config_dict": {**TEXT, "num_attention_heads": 2}, "vision_config_dict": {**VIT, "hidden_act": "gelu"}, "text_config": {**config["text_config"], "hidden_act": "gelu", "num_attention_heads": 8}}
        theirs = CLIPConfig(**json.loads(json.dumps(early)))
        names = [self.add("", "dual", early), self.add("clip", "encoder", early), self.add("", "dual", {**config, "vision_config_dict": {**VIT, "hidden_size": "wide"}})]
        options, said = self.validate()
        self.assertEqual((options[names[0]]["clip_text"]["num_heads"], options[names[0]]["clip_text"]["activation"]), (theirs.text_config.num_attention_heads, theirs.text_config.hidden_act))
        for name in names[:2]:
            self.assertEqual(options[name]["clip"]["activation"], theirs.vision_config.hidden_act)
            self.assertIn(f"{name}/config.json: text_config_dict differs from text_config, and counts", said)
        self.assertIsNone(options[names[2]])

    def test_all_that_is_read_has_a_subject(self):
        plugins = json.loads(subprocess.run([PROGRAM, "inspect", "--json"], capture_output=True, text=True, timeout=60).stdout)
        read = {entry.split(":")[2] for plugin in plugins for entry in plugin["reads"] if not entry.startswith("peft:")}  # files that peft writes of each are read in models/unsaid.py
        subjects = {cls.model_type for _, _, cls, _, _ in SUBJECTS} | {cls.model_type for _, cls, _ in WHOLE}
        self.assertGreater(len(read), 30)
        self.assertEqual(sorted(read - subjects - set(WITHOUT_CLASS)), [])
        self.assertEqual(sorted(set(WITHOUT_CLASS) & subjects), [])

    def test_every_key_of_every_processor(self):
        by_plugin = {plugin: (kind, plain(cls(**small).to_dict())) for plugin, kind, cls, small, _ in SUBJECTS}
        for plugin, cls in PROCESSORS:
            with self.subTest(processor=cls.__name__):
                kind, config = by_plugin[plugin]
                settings = plain(cls().to_dict())
                if cls is LlavaNextImageProcessorPil:
                    settings["image_grid_pinpoints"] = [[224, 448], [448, 448]]
                key = "feature_extractor" if "Feature" in cls.__name__ else "image_processor"
                base = self.add(plugin, kind, config, preprocessor_config=settings)
                nested = self.add(plugin, kind, config, processor_config={"processor_class": "X", key: settings}, preprocessor_config={"size": 3})
                silent = ("processor_class", "n_samples", "nb_max_frames", "return_attention_mask", "mel_filters", "image_seq_length", "rescale_factor")
                if cls is Gemma3ImageProcessorPil:
                    silent += tuple(key for key in settings if key.startswith("pan_and_scan"))  # of pan and scan, which is off
                if cls is GotOcr2ImageProcessorPil:
                    silent += ("crop_to_patches",)  # which InternVLProcessor overrules
                if cls is PixtralImageProcessorPil:
                    silent += ("do_pad",)  # which fills up a batch
                if cls in (Idefics3ImageProcessorPil, SmolVLMImageProcessorPil):
                    silent += ("do_pad", "return_row_col_info")  # pictures of a batch have one size; what is returned besides
                if cls is LlavaNextImageProcessorPil:
                    silent += ("do_pad",)  # tiles that fill up a batch, and are cut off again
                cases = {self.add(plugin, kind, config, preprocessor_config={**settings, k: v}): k for k in settings if k not in silent for v in other_values(k, settings[k])[:1]}
                options, said = self.validate()
                self.assertIsNotNone(options[base], said)
                self.assertNotRegex(said, rf"\b({base}|{nested})/\w+.json: not known here")
                self.assertEqual(options[nested], options[base])
                passed = [k for name, k in cases.items() if options[name] == options[base] and not re.search(rf"{name}/\w+.json: {k}", said)]
                self.assertEqual(passed, [])

    def test_every_key_of_whole_processors(self):
        """What a class of transformers takes beside the processors of its media, all of it in one file: known, or said if it would count."""
        names = ["Llava", "LlavaNext", "Qwen2VL", "Qwen2_5_VL", "Qwen3VL", "Gemma3", "Pixtral", "InternVL", "SmolVLM", "Idefics3", "Voxtral", "Qwen2_5Omni", "Qwen2Audio", "Whisper", "CLIP", "Siglip", "Parakeet"]
        keys = {key for name in names for key in inspect.signature(getattr(transformers, f"{name}Processor").__init__).parameters} - {"self", "args", "kwargs", "tokenizer"}
        self.assertGreater(len(keys), 12)
        given = {key: 7 if "patch" in key or "num" in key or "size" in key or "_len" in key else "x" for key in sorted(keys) if not key.endswith(("processor", "extractor"))}
        config, settings = plain(CLIPVisionConfig(**VIT).to_dict()), plain(CLIPImageProcessorPil().to_dict())
        file = self.add("clip", "encoder", config, processor_config={"processor_class": "X", "image_processor": settings, **given, "frobnicate": 1})
        options, said = self.validate()
        self.assertIsNotNone(options[file], said)
        self.assertRegex(said, rf"{file}/processor_config.json: not known here, and without effect: \"chat_template\", \"frobnicate\"\n")

    def test_every_key_of_every_video_processor(self):
        by_plugin = {plugin: plain(cls(**small).to_dict()) for plugin, kind, cls, small, _ in SUBJECTS}
        silent = ("processor_class", "do_sample_frames", "return_metadata", "rescale_factor", "max_image_size", "max_duration", "data_format", "default_to_square", "input_data_format", "device", "do_pad")
        for plugin, cls in (("qwen2_5_vl_vision", Qwen2VLVideoProcessor), ("qwen3_vl_vision", Qwen3VLVideoProcessor), ("smolvlm_vision", SmolVLMVideoProcessor)):
            with self.subTest(processor=cls.__name__):
                settings = plain(cls(fps=2).to_dict())
                add = lambda **files: self.add(plugin, "encoder", by_plugin[plugin], **files)
                base = add(video_preprocessor_config=settings)
                nested = add(processor_config={"processor_class": "X", "image_processor": {}, "video_processor": settings}, video_preprocessor_config={"size": 3})
                cases = {add(video_preprocessor_config={**settings, k: v}): k for k in settings if k not in silent for v in other_values(k, settings[k])[:1]}
                options, said = self.validate()
                self.assertIsNotNone(options[base], said)
                self.assertNotRegex(said, rf"\b({base}|{nested})/\w+.json: not known here")
                self.assertEqual(options[nested], options[base])
                self.assertEqual([k for name, k in cases.items() if options[name] == options[base] and not re.search(rf"{name}/\w+.json: {k}", said)], [])

    def test_defaults_are_those_of_the_classes(self):
        names = {}
        for plugin, kind, cls, _, _ in SUBJECTS:
            name = self.add(plugin, kind, {"model_type": cls.model_type})
            names[name] = (plugin, cls())
            # Without a tokenizer.json yet: the one at hand ends texts with another token than the classes' defaults.
            (self.folder / f"{name}.toml").write_text((self.folder / f"{name}.toml").read_text().replace('tokenizer = "words"', 'tokenizer = "later"'))
        options, said = self.validate()
        for name, (plugin, config) in names.items():
            with self.subTest(plugin=plugin):
                self.assertIsNotNone(options[name], said)
                got = next(iter(options[name].values()))
                self.assertEqual({option: got[option] for option in DEFAULTS[plugin]}, {option: getattr(config, attribute) for option, attribute in DEFAULTS[plugin].items()})
                if plugin in ("llama", "qwen2", "qwen3", "nemotron", "qwen2_moe", "qwen3_moe", "mixtral", "qwen2_vl_text", "qwen2_5_vl_text", "qwen2_5_omni_text", "qwen3_vl_text", "mistral", "ministral3", "granite", "phi3", "gemma2"):
                    self.assertEqual(got["num_kv_heads"] or got["num_heads"], config.num_key_value_heads or config.num_attention_heads)
                    self.assertEqual(got["rope_theta"], config.rope_parameters["rope_theta"])
                    self.assertEqual(got.get("partial_rotary_factor", 1), config.rope_parameters.get("partial_rotary_factor", 1))
                if plugin == "ministral3":
                    own = {"rope_factor": "factor", "rope_original_max_positions": "original_max_position_embeddings"}
                    self.assertEqual({option: got[option] for option in own}, {option: config.rope_parameters[key] for option, key in own.items()})

    def test_every_key_of_peft(self):
        """The program's own list, against peft's class: an unknown key is refused, so each must be there."""
        import peft

        root = Path(__file__).resolve().parents[2]
        folder, named = root / "plugins" / "peft", dict(re.findall(r'(kPeft\w+) = "(\w+)"', (root / "core/antiphon/component/adapter_file.h").read_text()))
        for cls, file in [(peft.LoraConfig, "lora/keys.cpp"), (peft.IA3Config, "ia3/plugin.cpp"), (peft.VeraConfig, "vera/plugin.cpp"), (peft.PromptTuningConfig, "prompt_tuning/plugin.cpp"),
                          (peft.PromptEncoderConfig, "ptuning/plugin.cpp"), (peft.PrefixTuningConfig, "prefix_tuning/plugin.cpp"), (peft.LNTuningConfig, "selective/plugin.cpp"), (peft.TrainableTokensConfig, "trainable_tokens/plugin.cpp")]:
            with self.subTest(file=file):
                text = (folder / file).read_text()
                listed = {*re.findall(r'"([A-Za-z_0-9]+)"', text), *(named[name] for name in re.findall(r"kPeft\w+", text) if name in named)}
                required = {"task_type": "CAUSAL_LM"} if "Prompt" in cls.__name__ else {}
                self.assertEqual(sorted(set(cls(**required).to_dict()) - listed), [])


if __name__ == "__main__":
    PROGRAM = str(Path(sys.argv.pop(1)).resolve())
    unittest.main()
