"""What a model's directory says goes through the rules of the options: `validate` over some thousand config.json files
(with ANTIPHON_LONG three times as many) with one absurd value each, in bounded time and memory; `generate` over some dozens of them, with weights.

foreign_config_test.py ANTIPHON
"""

import json
import os
import random
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

TINY = Path(__file__).resolve().parents[1] / "e2e"
sys.path[:0] = [str(TINY), str(TINY.parent / "fork_server")]
import forked
import make_tiny
import tiny_dual

TOKENIZER = TINY / "tiny" / "tokenizer"
PROGRAM = ""
LONG = bool(os.environ.get("ANTIPHON_LONG"))
WEIGHTS = 4
WRITTEN = ("llama", "phi3", "llava", "qwen2_5_vl", "qwen3_vl", "gemma3", "mistral3", "internvl", "smolvlm")  # by make_tiny
ABSURD = [0, -1, 0.5, 2**31, 10**18, 10**19, 1e308, "x", None, [], [1], {}, True, float("nan")]

LLAMA = {"model_type": "llama", "vocab_size": 256, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
         "num_key_value_heads": 2, "head_dim": 16, "max_position_embeddings": 512, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "silu",
         "tie_word_embeddings": False, "attention_bias": False, "mlp_bias": False,
         "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 256}}
PLAIN = {key: value for key, value in LLAMA.items() if key not in ("attention_bias", "mlp_bias", "rms_norm_eps", "rope_scaling")}
QWEN2 = {**PLAIN, "rms_norm_eps": 1e-6, "model_type": "qwen2", "use_sliding_window": True, "sliding_window": 32, "max_window_layers": 1,
         "layer_types": ["full_attention", "sliding_attention"]}
QWEN3 = {**QWEN2, "model_type": "qwen3", "attention_bias": False}
EXPERTS = {"num_experts_per_tok": 2, "output_router_logits": False, "router_aux_loss_coef": 0.001}
QWEN3_MOE = {**PLAIN, "rms_norm_eps": 1e-6, "model_type": "qwen3_moe", **EXPERTS, "num_experts": 4, "moe_intermediate_size": 32, "norm_topk_prob": True,
             "decoder_sparse_step": 1, "mlp_only_layers": [0], "use_sliding_window": True, "sliding_window": 32}
QWEN2_MOE = {**PLAIN, "rms_norm_eps": 1e-6, "model_type": "qwen2_moe", **EXPERTS, "num_experts": 4, "moe_intermediate_size": 32, "shared_expert_intermediate_size": 48,
             "norm_topk_prob": False, "decoder_sparse_step": 1, "mlp_only_layers": [0], "qkv_bias": True, "layer_types": ["full_attention"] * 2}
MIXTRAL = {**PLAIN, "rms_norm_eps": 1e-5, "model_type": "mixtral", **EXPERTS, "num_local_experts": 4, "sliding_window": 32, "router_jitter_noise": 0.0}
MINISTRAL3 = {**PLAIN, "rms_norm_eps": 1e-5, "model_type": "ministral3", "sliding_window": None,
              "rope_parameters": {"rope_type": "yarn", "rope_theta": 1e6, "factor": 4.0, "original_max_position_embeddings": 16, "max_position_embeddings": 64, "beta_fast": 32.0, "beta_slow": 1.0, "mscale": 1.0, "mscale_all_dim": 1.0,
                                  "attention_factor": 1.1, "truncate": True, "llama_4_scaling_beta": 0.1}}
MISTRAL = {**PLAIN, "rms_norm_eps": 1e-6, "model_type": "mistral", "sliding_window": 32}
GRANITE = {**PLAIN, "rms_norm_eps": 1e-6, "model_type": "granite", "attention_bias": False, "mlp_bias": False, "embedding_multiplier": 12.0, "attention_multiplier": 0.1, "residual_multiplier": 0.22, "logits_scaling": 8.0}
PHI3 = {**PLAIN, "rms_norm_eps": 1e-5, "model_type": "phi3", "sliding_window": 32, "original_max_position_embeddings": 256, "partial_rotary_factor": 0.75, "resid_pdrop": 0.0, "embd_pdrop": 0.0, "attention_bias": False,
        "rope_scaling": {"type": "longrope", "short_factor": [1.0, 1.05, 1.1, 1.2, 1.5, 2.0], "long_factor": [1.0, 1.5, 2.5, 6.0, 20.0, 60.0], "attention_factor": 1.1, "factor": 2.0}}
GEMMA = {**{key: value for key, value in PLAIN.items() if key not in ("hidden_act", "rope_theta")}, "rms_norm_eps": 1e-6, "hidden_activation": "gelu_pytorch_tanh", "sliding_window": 32, "query_pre_attn_scalar": 16, "attention_bias": False,
         "final_logit_softcapping": 30.0, "layer_types": ["sliding_attention", "full_attention"]}
GEMMA2 = {**GEMMA, "model_type": "gemma2", "attn_logit_softcapping": 50.0, "rope_theta": 10000.0}
GEMMA3 = {**GEMMA, "model_type": "gemma3_text", "rope_parameters": {"full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6}, "sliding_attention": {"rope_type": "default", "rope_theta": 1e4}}}
NEMOTRON = {**PLAIN, "model_type": "nemotron", "hidden_act": "relu2", "norm_eps": 1e-5, "partial_rotary_factor": 0.5, "attention_bias": False, "mlp_bias": False}
VIT = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 28, "patch_size": 14, "num_channels": 3,
       "layer_norm_eps": 1e-6, "hidden_act": "gelu"}
DINOV2 = {**{k: v for k, v in VIT.items() if k != "intermediate_size"}, "model_type": "dinov2", "mlp_ratio": 4, "use_swiglu_ffn": False, "qkv_bias": True}
WHISPER = {"model_type": "whisper", "d_model": 32, "encoder_layers": 2, "encoder_attention_heads": 2, "encoder_ffn_dim": 64, "num_mel_bins": 80,
           "max_source_positions": 1500, "activation_function": "gelu"}
FASTCONFORMER = {"model_type": "parakeet_encoder", "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64, "conv_kernel_size": 9,
                 "num_mel_bins": 80, "subsampling_factor": 8, "subsampling_conv_channels": 8, "subsampling_conv_kernel_size": 3, "subsampling_conv_stride": 2,
                 "hidden_act": "silu", "attention_bias": True, "convolution_bias": True, "scale_input": True}
PICTURE = {"image_processor_type": "CLIPImageProcessor", "do_resize": True, "size": {"shortest_edge": 28}, "do_center_crop": True, "crop_size": {"height": 28, "width": 28},
           "resample": 3, "do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": True, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}
SOUND = {"feature_extractor_type": "WhisperFeatureExtractor", "feature_size": 80, "sampling_rate": 16000, "hop_length": 160, "n_fft": 400, "chunk_length": 30,
         "padding_value": 0.0}
CLIP = {**VIT, "model_type": "clip_vision_model"}
LLAVA = {"model_type": "llava", "text_config": LLAMA, "vision_config": CLIP, "vision_feature_layer": -2, "vision_feature_select_strategy": "default",
         "projector_hidden_act": "gelu", "multimodal_projector_bias": True, "image_token_index": 3, "tie_word_embeddings": False}
LLAVA_NEXT = {**LLAVA, "model_type": "llava_next", "image_grid_pinpoints": [[28, 56], [56, 56]]}
QWEN2_AUDIO = {"model_type": "qwen2_audio", "text_config": QWEN2, "audio_config": {**WHISPER, "model_type": "qwen2_audio_encoder"}, "audio_token_index": 3}
GRID_TEXT = {**{key: value for key, value in QWEN2.items() if key not in ("head_dim", "rope_theta")}, "model_type": "qwen2_vl_text",
             "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [2, 3, 3]}}
GRID_TOWER = {"model_type": "qwen2_vl_vision", "depth": 2, "embed_dim": 32, "hidden_size": 64, "num_heads": 2, "mlp_ratio": 2, "hidden_act": "quick_gelu", "in_channels": 3, "patch_size": 14,
              "temporal_patch_size": 2, "spatial_merge_size": 2, "rope_parameters": {"rope_type": "axial", "rope_theta": 10000.0}}
WINDOWED_TOWER = {**{key: value for key, value in GRID_TOWER.items() if key not in ("embed_dim", "mlp_ratio")}, "model_type": "qwen2_5_vl_vision", "hidden_size": 32, "intermediate_size": 48, "hidden_act": "silu",
                  "out_hidden_size": 64, "window_size": 112, "fullatt_block_indexes": [1], "tokens_per_second": 2}
NATIVE = {"image_processor_type": "Qwen2VLImageProcessor", "do_resize": True, "size": {"shortest_edge": 3136, "longest_edge": 12845056}, "min_pixels": 3136, "max_pixels": 12845056, "patch_size": 14,
          "temporal_patch_size": 2, "merge_size": 2, "resample": 3, "do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": True, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}
QWEN2_VL = {"model_type": "qwen2_vl", "text_config": GRID_TEXT, "vision_config": GRID_TOWER, "image_token_id": 3, "video_token_id": 4, "vision_start_token_id": 5, "vision_end_token_id": 6, "tie_word_embeddings": False}
# As up to transformers 4.51: the language model's keys beside those of the whole.
QWEN2_5_VL = {**{key: value for key, value in GRID_TEXT.items() if key != "rope_parameters"}, **{key: value for key, value in QWEN2_VL.items() if key != "text_config"}, "model_type": "qwen2_5_vl", "rope_theta": 1e6,
              "rope_scaling": {"type": "mrope", "mrope_section": [2, 3, 3]}, "vision_config": {key: value for key, value in WINDOWED_TOWER.items() if key not in ("model_type", "rope_parameters")}}
VOXTRAL_EARS = {"model_type": "voxtral_encoder", "hidden_size": 32, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2, "num_mel_bins": 80, "max_source_positions": 1500,
                "activation_function": "gelu", "scale_embedding": False, "vocab_size": 51866, "layerdrop": 0.0, "dropout": 0.0, "head_dim": 16, "num_key_value_heads": 2}
VOXTRAL = {"model_type": "voxtral", "text_config": LLAMA, "audio_config": VOXTRAL_EARS, "audio_token_id": 24, "projector_hidden_act": "gelu", "hidden_size": 64, "vocab_size": 256}
OMNI_EARS = {**{key: value for key, value in WHISPER.items() if key != "max_source_positions"}, "model_type": "qwen2_5_omni_audio_encoder", "n_window": 100, "output_dim": 64}
OMNI = {"model_type": "qwen2_5_omni_thinker", "text_config": {**GRID_TEXT, "model_type": "qwen2_5_omni_text"}, "audio_config": OMNI_EARS, "position_id_per_seconds": 25, "tie_word_embeddings": False, "image_token_index": 3,
        "vision_config": {**{key: value for key, value in WINDOWED_TOWER.items() if key != "tokens_per_second"}, "model_type": "qwen2_5_omni_vision_encoder"}}
WHOLE_OMNI = {"model_type": "qwen2_5_omni", "thinker_config": OMNI}
TURNING_TEXT = {**{key: value for key, value in PLAIN.items() if key != "rope_theta"}, "rms_norm_eps": 1e-6, "model_type": "qwen3_vl_text", "attention_bias": False,
                "rope_parameters": {"rope_type": "default", "rope_theta": 5e6, "mrope_section": [4, 2, 2], "mrope_interleaved": True}}
TAPPED_TOWER = {**{key: value for key, value in GRID_TOWER.items() if key not in ("embed_dim", "mlp_ratio")}, "model_type": "qwen3_vl_vision", "hidden_size": 32, "intermediate_size": 48, "hidden_act": "gelu_pytorch_tanh",
                "out_hidden_size": 64, "num_position_embeddings": 16, "deepstack_visual_indexes": [0]}
QWEN3_VL = {**QWEN2_VL, "model_type": "qwen3_vl", "text_config": TURNING_TEXT, "vision_config": TAPPED_TOWER}
PIXTRAL = {"model_type": "pixtral", "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2, "num_channels": 3, "image_size": 56, "patch_size": 14, "hidden_act": "gelu",
           "rope_parameters": {"rope_type": "axial", "rope_theta": 10000.0}}
EDGES = {"image_processor_type": "PixtralImageProcessor", "do_resize": True, "size": {"longest_edge": 56}, "patch_size": {"height": 14, "width": 14}, "resample": 3, "do_rescale": True, "rescale_factor": 1 / 255,
         "do_normalize": True, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}
SQUARE = {**PICTURE, "image_processor_type": "Gemma3ImageProcessor", "size": {"height": 28, "width": 28}, "crop_size": None, "do_center_crop": False, "do_pan_and_scan": False}
WHOLE_GEMMA3 = {"model_type": "gemma3", "text_config": GEMMA3, "vision_config": {**VIT, "model_type": "siglip_vision_model"}, "mm_tokens_per_image": 4, "boi_token_index": 3, "eoi_token_index": 4, "image_token_index": 5}
MISTRAL3 = {"model_type": "mistral3", "text_config": MISTRAL, "vision_config": PIXTRAL, "vision_feature_layer": -1, "projector_hidden_act": "gelu", "multimodal_projector_bias": False, "spatial_merge_size": 2, "image_token_index": 3, "tie_word_embeddings": False}
INTERNVIT = {**VIT, "model_type": "internvl_vision", "image_size": [28, 28], "patch_size": [14, 14], "attention_bias": True, "use_qk_norm": True, "norm_type": "rms_norm", "use_mean_pooling": True, "use_mask_token": False,
             "use_absolute_position_embeddings": True, "layer_scale_init_value": 0.1}
TILED = {**PICTURE, "image_processor_type": "GotOcr2ImageProcessorFast", "size": {"height": 28, "width": 28}, "crop_size": None, "do_center_crop": False, "crop_to_patches": False, "min_patches": 1, "max_patches": 12}
INTERNVL = {"model_type": "internvl", "text_config": QWEN2, "vision_config": INTERNVIT, "image_token_id": 3, "image_seq_length": 1, "downsample_ratio": 0.5, "projector_hidden_act": "gelu", "vision_feature_layer": -1,
            "vision_feature_select_strategy": "default", "tie_word_embeddings": False}
REMOTE_VIT = {**VIT, "model_type": "intern_vit_6b", "qkv_bias": True, "qk_normalization": False, "norm_type": "layer_norm", "use_flash_attn": True, "initializer_factor": 1.0}
INTERNVL_CHAT = {"model_type": "internvl_chat", "llm_config": QWEN3, "vision_config": REMOTE_VIT, "select_layer": -1, "force_image_size": 28, "downsample_ratio": 0.5, "ps_version": "v2", "pad2square": False, "use_backbone_lora": 0, "use_llm_lora": 0,
                 "dynamic_image_size": True, "use_thumbnail": True, "min_dynamic_patch": 1, "max_dynamic_patch": 12, "template": "internvl2_5", "tie_word_embeddings": False}
SPLIT_VIT = {**VIT, "model_type": "smolvlm_vision", "max_image_size": {"longest_edge": 28}, "size": {"longest_edge": 56}}
SPLIT = {**PICTURE, "image_processor_type": "SmolVLMImageProcessor", "size": {"longest_edge": 56}, "max_image_size": {"longest_edge": 28}, "crop_size": None, "do_center_crop": False, "do_image_splitting": True, "do_pad": True, "resample": 1,
         "video_sampling": {"fps": 1, "max_frames": 64, "video_size": {"longest_edge": 56}}}
SMOLVLM = {"model_type": "smolvlm", "text_config": LLAMA, "vision_config": SPLIT_VIT, "image_token_id": 3, "scale_factor": 2, "tie_word_embeddings": False}
IDEFICS3 = {**SMOLVLM, "model_type": "idefics3", "vision_config": {**SPLIT_VIT, "model_type": "idefics3"}}
TEXT_TOWER = {"vocab_size": 640, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "max_position_embeddings": 16, "layer_norm_eps": 1e-5, "attention_dropout": 0.0,
              "bos_token_id": 512, "eos_token_id": 513, "pad_token_id": 1}
CLIP_TEXT = {**TEXT_TOWER, "model_type": "clip_text_model", "hidden_act": "quick_gelu", "projection_dim": 24}
SIGLIP_TEXT = {**TEXT_TOWER, "model_type": "siglip_text_model", "hidden_act": "gelu_pytorch_tanh", "projection_size": 32}
SIGLIP = {**VIT, "model_type": "siglip_vision_model", "vision_use_head": True}
STRETCHED = {**PICTURE, "size": {"height": 28, "width": 28}, "crop_size": None, "do_center_crop": False}
WHOLE_CLIP = {"model_type": "clip", "projection_dim": 24, "logit_scale_init_value": 2.6592, "text_config": CLIP_TEXT, "vision_config": CLIP}
# As early files have it: each half twice, of which the one whose name ends in "dict" counts.
EARLY_CLIP = {**WHOLE_CLIP, "text_config_dict": CLIP_TEXT, "vision_config_dict": CLIP}
WHOLE_SIGLIP = {"model_type": "siglip", "text_config": SIGLIP_TEXT, "vision_config": SIGLIP, "initializer_factor": 1.0}
# In folders, whose files say the same as the tables.
VILA = {"model_type": "llava_llama", "llm_cfg": LLAMA, "vision_tower_cfg": {**SIGLIP, "image_size": 56}, "mm_projector_cfg": {"model_type": "v2l_projector", "mm_projector_type": "mlp_downsample"}, "image_aspect_ratio": "dynamic_s2", "min_tiles": 1, "max_tiles": 12,
        "mm_vision_select_layer": -2, "mm_vision_select_feature": "cls_patch", "mm_use_im_start_end": False, "mm_use_im_patch_token": False, "dynamic_s2": True, "s2": False, "s2_scales": "56,112,168", "s2_resize_output_to_scale_idx": -1,
        "image_encoder": {"_target_": "llava.model.encoders.BasicImageEncoder", "end_tokens": "\n"}, "tie_word_embeddings": False}
FOLDERS = {"llm": "llm_cfg", "vision_tower": "vision_tower_cfg", "mm_projector": "mm_projector_cfg"}
PARAKEET = {"vocab_size": 32, "pad_token_id": 31, "encoder_config": FASTCONFORMER}
# plugin, or what tells several of its subjects apart -> kind, config.json, preprocessor_config.json
SUBJECTS = {"llama": ("llm", LLAMA, None), "qwen2": ("llm", QWEN2, None), "qwen3": ("llm", QWEN3, None), "qwen2_moe": ("llm", QWEN2_MOE, None), "qwen3_moe": ("llm", QWEN3_MOE, None), "mixtral": ("llm", MIXTRAL, None), "mistral": ("llm", MISTRAL, None), "ministral3": ("llm", MINISTRAL3, None), "granite": ("llm", GRANITE, None), "phi3": ("llm", PHI3, None), "gemma2": ("llm", GEMMA2, None), "gemma3_text": ("llm", GEMMA3, None),
            "pixtral": ("encoder", PIXTRAL, EDGES), "gemma3": ("whole", WHOLE_GEMMA3, SQUARE), "mistral3": ("whole", MISTRAL3, EDGES), "nemotron": ("llm", NEMOTRON, None),
            "dinov2": ("encoder", DINOV2, PICTURE), "clip": ("encoder", CLIP, PICTURE),
            "siglip": ("encoder", SIGLIP, STRETCHED), "clip_half": ("encoder", WHOLE_CLIP, PICTURE), "siglip_half": ("encoder", WHOLE_SIGLIP, STRETCHED),
            "clip_text": ("text", CLIP_TEXT, None), "siglip_text": ("text", SIGLIP_TEXT, None), "whole_clip": ("dual", WHOLE_CLIP, PICTURE), "early_clip": ("dual", EARLY_CLIP, PICTURE), "whole_siglip": ("dual", WHOLE_SIGLIP, STRETCHED), "llava_llama": ("folders", VILA, {**STRETCHED, "size": {"height": 56, "width": 56}}),
            "whisper": ("encoder", WHISPER, SOUND), "fastconformer": ("encoder", FASTCONFORMER, None), **{f"parakeet_{head}": ("encoder", {**PARAKEET, "model_type": f"parakeet_{head}"}, None) for head in ("ctc", "tdt", "rnnt")},
            "silero": ("detector", {"model_type": "silero_vad"}, None), "qwen2_5_vl_text": ("llm", {**GRID_TEXT, "model_type": "qwen2_5_vl_text"}, None), "qwen2_5_vl_vision": ("encoder", {**WINDOWED_TOWER, "model_type": "qwen2_5_vl_vision"}, NATIVE),
            "llava": ("whole", LLAVA, PICTURE), "llava_next": ("whole", LLAVA_NEXT, {**PICTURE, "image_grid_pinpoints": [[28, 56], [56, 56]]}),
            "voxtral": ("whole", VOXTRAL, SOUND), "qwen2_audio": ("whole", QWEN2_AUDIO, SOUND), "qwen2_vl_text": ("llm", GRID_TEXT, None), "qwen2_vl_vision": ("encoder", GRID_TOWER, NATIVE),
            "qwen2_vl": ("whole", QWEN2_VL, NATIVE), "qwen2_5_vl": ("whole", QWEN2_5_VL, NATIVE),
            "qwen2_5_omni_thinker": ("whole", OMNI, {**SOUND, **NATIVE}), "qwen2_5_omni": ("whole", WHOLE_OMNI, {**SOUND, **NATIVE}), "qwen2_5_omni_audio": ("encoder", OMNI_EARS, SOUND),
            "qwen3_vl_text": ("llm", TURNING_TEXT, None), "qwen3_vl_vision": ("encoder", TAPPED_TOWER, NATIVE), "qwen3_vl": ("whole", QWEN3_VL, NATIVE),
            "internvit": ("encoder", INTERNVIT, TILED), "internvl": ("whole", INTERNVL, TILED), "internvl_chat": ("whole", INTERNVL_CHAT, PICTURE),
            "idefics3_vision": ("encoder", {**SPLIT_VIT, "model_type": "idefics3_vision"}, SPLIT), "smolvlm_vision": ("encoder", SPLIT_VIT, SPLIT), "smolvlm": ("whole", SMOLVLM, SPLIT), "idefics3": ("whole", IDEFICS3, SPLIT)}
PLUGINS = {"gemma2": "gemma", "ministral3": "mistral", "gemma3_text": "gemma", "clip_half": "clip", "siglip_half": "siglip", "parakeet_ctc": "fastconformer", "parakeet_tdt": "fastconformer", "parakeet_rnnt": "fastconformer",
           "qwen2_5_vl_text": "qwen2_vl_text", "qwen2_5_vl_vision": "qwen2_vl_vision", "smolvlm_vision": "idefics3_vision"}
VIDEO = {"video_processor_type": "Qwen2VLVideoProcessor", "fps": 2, "num_frames": None, "min_frames": 4, "max_frames": 768, "do_sample_frames": True, "cap_pixels_per_frame": False, "max_video_tokens": 768,
         **{key: value for key, value in NATIVE.items() if key != "image_processor_type"}}


def places(table, path=()):
    """Every key of a table and of the tables in it."""
    for key, value in table.items():
        yield path + (key,)
        if isinstance(value, dict):
            yield from places(value, path + (key,))


def met(number, plugin):
    """The values that the key of this number takes: all with ANTIPHON_LONG; else a third of them, another third in the next model, since models have their
    keys in common."""
    first = number + list(SUBJECTS).index(plugin)
    return [(index, value) for index, value in enumerate(ABSURD) if LONG or (first + index) % 3 == 0]


def changed(table, path, value):
    copy = json.loads(json.dumps(table))
    inner = copy
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return copy


def model_types(value):
    """Of all tables of a config.json."""
    if isinstance(value, dict):
        return {type for key, type in value.items() if key == "model_type"}.union(*map(model_types, value.values()))
    return set()


def composition(plugin, kind, directory):
    llm = f'[model.llm]\nplugin = "llama"\ntokenizer = "{TOKENIZER}"\nvocab_size = 512\nhidden_size = 32\nintermediate_size = 64\nnum_layers = 1\nnum_heads = 2\nmax_positions = 128\n'
    plugin = PLUGINS.get(plugin, plugin)
    if kind == "adapter":
        return llm
    if kind in ("llm", "text"):
        text = f'[model.llm]\nplugin = "{plugin}"\nweights = "{directory}"\ntokenizer = "{"words" if kind == "text" else TOKENIZER}"\n'
        return text + (BESIDE_TEXT if kind == "text" else "")
    if kind == "dual":
        return f'[model]\nfrom = "{directory}"\n[model.llm]\ntokenizer = "words"\n' + PAIRS
    if kind == "detector":
        return llm + f'[session.vad]\nplugin = "{plugin}"\nweights = "{directory}"\n'
    if kind in ("whole", "folders"):
        return f'[model]\nfrom = "{directory}"\n[model.llm]\ntokenizer = "{TOKENIZER}"\n'
    return llm + f'[model.streams.x]\nencoder = {{ plugin = "{plugin}", weights = "{directory}" }}\nconnector = {{ plugin = "linear" }}\n'


# What a text is compared with.
PAIRS = '[objective]\nplugin = "contrastive"\n'
BESIDE_TEXT = PAIRS + """[model]
graph = "dual_encoder"
[model.head]
plugin = "pair"
projection_dim = 32
[model.streams.image]
encoder = { plugin = "siglip", pooled = true, hidden_size = 32, intermediate_size = 64, num_layers = 1, num_heads = 2, image_size = 28, patch_size = 14, input_size = 28 }
connector = { plugin = "identity" }
"""


# What PEFT says of a method: what all say, and what each says beside.
ADAPTER = {"peft_type": "", "task_type": "CAUSAL_LM", "base_model_name_or_path": "x", "inference_mode": True}
ADAPTERS = {"LORA": {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj"], "rank_pattern": {}, "alpha_pattern": {"q_proj": 3}, "use_rslora": False, "use_dora": False, "bias": "none", "modules_to_save": None, "layers_to_transform": None, "exclude_modules": None, "init_lora_weights": True},
            "IA3": {"target_modules": ["q_proj"], "feedforward_modules": []}, "VERA": {"r": 4, "projection_prng_key": 0, "d_initial": 0.1, "save_projection": True, "target_modules": ["q_proj"]}, "TRAINABLE_TOKENS": {"token_indices": [5, 7], "target_modules": ["embed_tokens"]},
            **{type: {"num_virtual_tokens": 5, "token_dim": 32} for type in ("PROMPT_TUNING", "PREFIX_TUNING", "P_TUNING")}}
PLUGIN_OF = {"LORA": "lora", "TRAINABLE_TOKENS": "trainable_tokens", "IA3": "ia3", "VERA": "vera", "PROMPT_TUNING": "prompt_tuning", "PREFIX_TUNING": "prefix_tuning", "P_TUNING": "ptuning"}


class ForeignConfig(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        (self.folder / "words").mkdir()
        tiny_dual.write_tokenizer(self.folder / "words", clip=True)

    def model(self, name, plugin, config, preprocessor=None, text=None):
        """A directory and a composition of it; returns the composition's name."""
        directory = self.folder / name
        directory.mkdir()
        (directory / "config.json").write_text(text or json.dumps(config))
        in_folders = SUBJECTS[plugin][0] == "folders"
        for folder, table in FOLDERS.items() if in_folders else ():
            (directory / folder).mkdir()
            (directory / folder / "config.json").write_text(json.dumps(config.get(table)))
        if preprocessor:
            (directory / ("vision_tower" if in_folders else "") / "preprocessor_config.json").write_text(json.dumps(preprocessor))
        (self.folder / f"{name}.toml").write_text(composition(plugin, SUBJECTS[plugin][0], name))
        return f"{name}.toml"

    def validate(self, *files):
        """-> exit code, stdout, stderr, seconds of CPU, MiB."""
        start = time.monotonic()
        out, err = self.folder / "out", self.folder / "err"
        with out.open("w") as o, err.open("w") as e:
            child = subprocess.Popen([PROGRAM, "validate", *files], cwd=self.folder, stdout=o, stderr=e)
            while True:  # without an end is a failure too
                pid, status, usage = os.wait4(child.pid, os.WNOHANG)
                if pid:
                    break
                if time.monotonic() - start > 300:
                    child.kill()
                    os.wait4(child.pid, 0)
                    self.fail(f"no end after {files[:3]}…: {out.read_text()[-300:]} {err.read_text()[-300:]}")
                time.sleep(0.01)
        child.returncode = os.waitstatus_to_exitcode(status)
        return child.returncode, out.read_text(), err.read_text(), usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024

    def campaign(self, plugin):
        kind, config, preprocessor = SUBJECTS[plugin]
        files = [self.model("good", plugin, config, preprocessor)]
        code, out, err, start, base = self.validate(*files)
        self.assertEqual((code, out.count(": good\n")), (0, 1), err)
        self.assertNotIn("not known here", err)
        for number, path in enumerate(places(config)):
            for index, value in met(number, plugin):
                files.append(self.model(f"c{number}v{index}", plugin, changed(config, path, value), preprocessor))
        for number, path in enumerate(places(preprocessor or {})):
            for index, value in met(number, plugin):
                files.append(self.model(f"p{number}v{index}", plugin, config, changed(preprocessor, path, value)))
        code, out, err, seconds, memory = self.validate(*files)
        good = out.count(": good\n")
        print(f"{plugin}: {len(files)} files, {good} good, {(seconds - start) / len(files) * 1000:.1f} ms each, {memory - base:.0f} MiB more", file=sys.stderr)
        self.assertIn(code, (0, WEIGHTS, 5), err[-2000:])
        self.assertNotIn("internal error", err)
        refusal = re.compile(r"(?:error: )?(weights|plugin) error: |error: config error: \S+ \[model.streams.image.encoder\] siglip: s2_scales = ")  # the latter are the whole's, and its folder's file differs
        errors = [line for line in err.splitlines() if refusal.match(line)]
        others = [line for line in err.splitlines() if re.match(r"(?:error: )?\w+ error: ", line) and not refusal.match(line)]
        self.assertEqual(good + len(errors), len(files), others or err[-2000:])
        self.assertNotRegex(err, r"c10::|nlohmann|std::|json\.exception")
        self.assertLess((seconds - start) / len(files), 0.05)
        self.assertLess(memory - base, 200)

    def refused(self, plugin, config, expected, preprocessor=None, text=None):
        if (self.folder / "bad").exists():
            shutil.rmtree(self.folder / "bad")
        code, out, err, _, _ = self.validate(self.model("bad", plugin, config, preprocessor, text))
        self.assertEqual((code, out), (WEIGHTS, ""), err)
        self.assertIn(expected, err)

    def test_every_model_type_has_a_subject(self):
        done = subprocess.run([PROGRAM, "inspect", "--json"], capture_output=True, text=True, timeout=60)
        plugins = json.loads(done.stdout)
        reads = [entry.split(":") for plugin in plugins for entry in plugin["reads"]]
        read = {type for kind, _, type in reads if kind != "peft"}
        families = {entry.split(":")[1] for plugin in plugins for entry in plugin["provides"] if entry.startswith("model_family:")}
        self.assertTrue(len(read) > 30 and len(families) > 15, done.stderr)
        self.assertEqual(sorted((read | families) - set().union(*(model_types(config) for _, config, _ in SUBJECTS.values()))), [])
        self.assertEqual(sorted({type for kind, _, type in reads if kind == "peft"} - set(ADAPTERS)), [])

    def adapter(self, name, config):
        """The folder of an adapter on the language model, and a composition that takes what it says."""
        directory = self.folder / name
        directory.mkdir()
        (directory / "adapter_config.json").write_text(json.dumps(config))
        site, ones = "base_model.model.model.layers.0.self_attn.q_proj.", np.ones
        tensors = {"LORA": {site + "lora_A.weight": ones((4, 32)), site + "lora_B.weight": ones((32, 4))}, "IA3": {site + "ia3_l": ones((32, 1))},
                   "VERA": {site + "vera_lambda_b": ones(32), site + "vera_lambda_d": ones(4), "base_model.vera_A": ones((4, 32)), "base_model.vera_B": ones((32, 4))}}
        save_file({key: value.astype(np.float32) for key, value in tensors.get(config["peft_type"], {"prompt_embeddings": ones((5, 32))}).items()}, directory / "adapter_model.safetensors")
        (self.folder / f"{name}.toml").write_text(composition("", "adapter", name) + f'[[model.llm.peft]]\nplugin = "{PLUGIN_OF[config["peft_type"]]}"\nweights = "{name}"\n')
        return f"{name}.toml"

    def test_absurd_values_of_adapters(self):
        for type, more in ADAPTERS.items():
            config = {**ADAPTER, "peft_type": type, **more}
            good = self.adapter(f"{type}_good", config)
            code, out, err, _, base = self.validate(good)
            self.assertEqual((code, out.count(": good\n")), (0, 1), err)
            values = [*ABSURD, "(", "a" * 100_000, {"(": 1}, {"q_proj": 0.5}, {"q_proj": 10**9}, [["q_proj"]], ["nothing"], [10**9], [-1]]
            files = [self.adapter(f"{type}_{i}_{j}", changed(config, (key,), value)) for i, key in enumerate(config) if key != "peft_type" for j, value in enumerate(values)]
            code, out, err, seconds, memory = self.validate(*files)
            self.assertIn(code, (0, 2, WEIGHTS), err[-2000:])
            self.assertNotRegex(err, r"internal error|c10::|nlohmann|std::|json\.exception")
            errors = [line for line in err.splitlines() if re.match(r"(?:error: )?(config|weights) error: ", line)]
            self.assertEqual(out.count(": good\n") + len(errors), len(files), err[-2000:])
            self.assertGreater(len(errors), len(files) // 10)
            self.assertLess(seconds / len(files), 0.05)
            self.assertLess(memory - base, 200)

    def test_videos(self):
        """The same of the file that says how videos are taken."""
        def of(name, video):
            file = self.model(name, "qwen2_vl_vision", GRID_TOWER, NATIVE)
            (self.folder / name / "video_preprocessor_config.json").write_text(json.dumps(video))
            return file

        code, out, err, _, _ = self.validate(of("good", VIDEO))
        self.assertEqual((code, out.count(": good\n")), (0, 1), err)
        self.assertNotIn("not known here", err)
        files = [of(f"v{number}v{index}", changed(VIDEO, path, value)) for number, path in enumerate(places(VIDEO)) for index, value in enumerate(ABSURD)]
        code, out, err, _, _ = self.validate(*files)
        self.assertEqual(code, WEIGHTS, err[-2000:])
        self.assertNotIn("internal error", err)
        self.assertNotRegex(err, r"c10::|nlohmann|std::|json\.exception")
        errors = re.findall(r"^(?:error: )?weights error: ", err, re.M)
        self.assertEqual(out.count(": good\n") + len(errors), len(files), err[-2000:])
        self.assertGreater(len(errors), 100)

    def generate(self, directory, *arguments):
        """-> whether it answers; else it says why not, and that is all."""
        done = forked.run(PROGRAM, "generate", directory, *arguments, "What is it?", "--json", "--threads", 1, "--set", "generate.max_tokens=4", timeout=60)
        self.assertNotRegex(done.stderr, r"internal error|c10::|nlohmann|std::|json\.exception")
        if done.returncode == 0:
            answer = json.loads(done.stdout)
            self.assertIn((len(answer["ids"]), answer["finish"]), [(4, "length"), *((count, "stop") for count in range(5))])
            return True
        self.assertIn(done.returncode, (2, WEIGHTS, 5), done.stderr[-2000:])  # 7 would be the memory
        self.assertRegex(done.stderr, r"(?m)^error: (config|weights|plugin) error: ")
        self.assertEqual(done.stdout, "")
        return False

    def test_generate_answers_or_says_why_not(self):
        """Every 47th of the values of each key of each model that is written, within 2 GiB."""
        kept = resource.getrlimit(resource.RLIMIT_DATA)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_DATA, kept)
        resource.setrlimit(resource.RLIMIT_DATA, (2 * 2**30, kept[1]))
        (self.folder / "red.png").write_bytes(make_tiny.png_bytes(make_tiny.COLOURS["red"], random.Random(1)))
        seen, answers = 0, []
        for name in WRITTEN:
            good, shown = self.folder / name, [] if name in ("llama", "phi3") else ["--image", self.folder / "red.png"]
            getattr(make_tiny, f"write_{name}")(good)
            config = json.loads((good / "config.json").read_text())
            self.assertTrue(self.generate(good, *shown), name)
            for path, value in ((path, value) for path in places(config) for value in ABSURD):
                seen += 1
                if seen % 47 == 0:
                    with self.subTest(model=name, key=path, value=value):
                        directory = self.folder / f"{name}{seen}"
                        shutil.copytree(good, directory)
                        (directory / "config.json").write_text(json.dumps(changed(config, path, value)))
                        answers.append(self.generate(directory, *shown))
        self.assertTrue(len(answers) > 60 and 9 < sum(answers) < len(answers) - 20, answers)

    def test_heads_widths_and_layers_are_refused_with_key_value_and_range(self):
        for key, value, expected in [("num_attention_heads", 0, "num_attention_heads is 0; expected an integer from 1 to 65536"),
                                     ("num_attention_heads", 0.5, "num_attention_heads is 0.5; expected an integer"),
                                     ("num_key_value_heads", 0, "num_key_value_heads is 0; expected an integer from 1 to"),
                                     ("hidden_size", -64, "hidden_size is -64; expected an integer from 1 to 1048576"),
                                     ("hidden_size", 2**31, "hidden_size is 2147483648; expected"),
                                     ("num_hidden_layers", 10**6, "num_hidden_layers is 1000000; expected an integer from 1 to 1000"),
                                     ("num_hidden_layers", -2**63, "num_hidden_layers is -9223372036854775808; expected an integer from 1 to 1000"),
                                     ("intermediate_size", 10**18, "intermediate_size is 1000000000000000000; expected an integer from 1 to 4194304"),
                                     ("vocab_size", 10**18, "vocab_size is 1000000000000000000; expected"),
                                     ("hidden_act", "gelu", 'hidden_act is "gelu"; expected "silu"')]:
            with self.subTest(key=key, value=value):
                self.refused("llama", {**LLAMA, key: value}, f"bad/config.json: {expected}")

    def test_products_have_a_limit_too(self):
        self.refused("llama", {**LLAMA, "vocab_size": 2**24, "hidden_size": 2**20}, "bad/config.json: the parameter 'embed_tokens' would be [16777216, 1048576]")
        self.refused("llama", {**LLAMA, "num_hidden_layers": 1000, "hidden_size": 2**17, "intermediate_size": 2**20}, "parameters in all; at most")
        self.refused("dinov2", {**DINOV2, "hidden_size": 2**20, "image_size": 16384, "patch_size": 1}, "the parameter 'position_embeddings' would be")

    def test_a_value_of_the_composition_is_not_blamed_on_the_directory(self):
        name = self.model("fine", "llama", LLAMA)
        with (self.folder / name).open("a") as file:
            file.write("num_kv_heads = 3\n")
        code, _, err, _, _ = self.validate(name)
        self.assertEqual(code, 2, err)

    def test_a_key_that_stands_twice_is_refused(self):
        self.refused("llama", LLAMA, "the key 'hidden_size' stands twice", text=json.dumps(LLAMA)[:-1] + ', "hidden_size": 64}')

    def test_a_directory_without_config_is_refused(self):
        (self.folder / "bare").mkdir()
        (self.folder / "bare" / "model.safetensors").write_bytes(b"")
        (self.folder / "bare.toml").write_text(composition("llama", "llm", "bare"))
        code, out, err, _, _ = self.validate("bare.toml")
        self.assertEqual((code, out), (WEIGHTS, ""), err)
        self.assertIn("bare has no config.json", err)

    def test_an_unknown_key_is_said(self):
        _, _, err, _, _ = self.validate(self.model("odd", "llama", {**LLAMA, "logit_softcap": 30}))
        self.assertIn('odd/config.json: not known here, and without effect: "logit_softcap"', err)
        _, _, err, _, _ = self.validate(self.model("wet", "llama", {**LLAMA, "attention_dropout": 0.1}))
        self.assertIn("attention_dropout is 0.1; training here does without it", err)
        bits = {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}
        for stored in ({"quant_method": "gptq"}, {"quant_method": "bitsandbytes", "load_in_8bit": True}, {**bits, "bnb_4bit_quant_storage": "bfloat16"}, [bits], "nf4"):
            self.refused("llama", {**LLAMA, "quantization_config": stored}, "quantization_config is")
        code, _, err, _, _ = self.validate(self.model("bits", "llama", {**LLAMA, "quantization_config": bits}))
        self.assertEqual(code, 0, err)


def make_campaign(plugin):
    return lambda self: self.campaign(plugin)


for name in SUBJECTS:
    setattr(ForeignConfig, f"test_absurd_values_{name}", make_campaign(name))

if __name__ == "__main__":
    PROGRAM = str(Path(sys.argv.pop(1)).resolve())
    unittest.main()
