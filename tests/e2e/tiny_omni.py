"""A tiny Qwen2.5-Omni as it is published: the thinker beside a talker, in one directory."""
import json

from make_tiny import Weights, copy_tokenizer, llama_tensors, write_model

MARKS = ["<|audio_bos|>", "<|audio_eos|>", "<|vision_bos|>", "<|vision_eos|>", "<|AUDIO|>", "<|IMAGE|>", "<|VIDEO|>"]
TEMPLATE = ("{% for m in messages %}<|im_start|>{{ m.role }}{{ '\\n' }}{% for part in m.content %}{% if part.type == 'image' %}<|vision_bos|><|IMAGE|><|vision_eos|>{% elif part.type == 'video' %}<|vision_bos|><|VIDEO|><|vision_eos|>"
            "{% elif part.type == 'audio' %}<|audio_bos|><|AUDIO|><|audio_eos|>{% else %}{{ part.text }}{% endif %}{% endfor %}<|im_end|>{{ '\\n' }}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant{{ '\\n' }}{% endif %}")


def vision(w, width, hidden, layers):
    w.normal("visual.patch_embed.proj.weight", width, 3, 2, 14, 14)
    for i in range(layers):
        at = f"visual.blocks.{i}."
        w.norm(at + "norm1", width, bias=False)
        w.norm(at + "norm2", width, bias=False)
        for name, rows, columns in [*((f"attn.{one}", width, width) for one in ("q", "k", "v", "proj")), ("mlp.gate_proj", 2 * width, width), ("mlp.up_proj", 2 * width, width), ("mlp.down_proj", width, 2 * width)]:
            w.linear(at + name, rows, columns)
    w.norm("visual.merger.ln_q", width, bias=False)
    w.linear("visual.merger.mlp.0", 4 * width, 4 * width)
    w.linear("visual.merger.mlp.2", hidden, 4 * width)
    return {"model_type": "qwen2_5_omni_vision_encoder", "depth": layers, "hidden_size": width, "intermediate_size": 2 * width, "num_heads": 2, "patch_size": 14, "window_size": 56, "out_hidden_size": hidden, "fullatt_block_indexes": [1]}


def ears(w, width, hidden, layers):
    w.normal("audio_tower.conv1.weight", width, 80, 3)
    w.normal("audio_tower.conv2.weight", width, width, 3)
    for name in ("conv1", "conv2"):
        w.normal(f"audio_tower.{name}.bias", width, std=0.02)
    for i in range(layers):
        at = f"audio_tower.layers.{i}."
        w.norm(at + "self_attn_layer_norm", width)
        w.norm(at + "final_layer_norm", width)
        for name, rows, columns in [*((f"self_attn.{one}", width, width) for one in ("q_proj", "k_proj", "v_proj", "out_proj")), ("fc1", 2 * width, width), ("fc2", width, 2 * width)]:
            w.linear(at + name, rows, columns, bias="k_proj" not in name)
    w.norm("audio_tower.ln_post", width)
    w.linear("audio_tower.proj", hidden, width)
    w.normal("audio_tower.audio_bos_eos_token.weight", 2, hidden)
    return {"model_type": "qwen2_5_omni_audio_encoder", "d_model": width, "encoder_layers": layers, "encoder_attention_heads": 2, "encoder_ffn_dim": 2 * width, "num_mel_bins": 80, "n_window": 20, "output_dim": hidden}


def write_qwen2_5_omni(folder, seed=13, hidden=32, width=16, layers=2):
    w = Weights(seed)
    text = llama_tensors(w, "", hidden, layers)
    for i in range(layers):
        for name, rows in [("q_proj", hidden), ("k_proj", hidden // 2), ("v_proj", hidden // 2)]:
            w.normal(f"model.layers.{i}.self_attn.{name}.bias", rows, std=0.1)
    seeing, hearing, first = vision(w, width, hidden, layers), ears(w, width, hidden, layers), text["vocab_size"]
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        w.tensors[name] = w.tensors[name][[*range(first), *[0] * len(MARKS)]]
    w.tensors = {f"thinker.{name}": tensor for name, tensor in w.tensors.items()}
    w.normal("talker.model.norm.weight", 8, std=1)
    w.normal("token2wav.dit.weight", 4, 4)
    own = {key: value for key, value in text.items() if key not in ("architectures", "torch_dtype", "tie_word_embeddings", "rope_theta")}
    thinker = {"model_type": "qwen2_5_omni_thinker", "audio_token_index": first + 4, "image_token_index": first + 5, "video_token_index": first + 6, "audio_start_token_id": first, "audio_end_token_id": first + 1,
               "vision_start_token_id": first + 2, "vision_end_token_id": first + 3, "position_id_per_seconds": 25, "seconds_per_chunk": 2, "audio_config": hearing, "vision_config": seeing,
               "text_config": {**own, "model_type": "qwen2_5_omni_text", "vocab_size": first + len(MARKS), "rope_theta": 1e4, "rope_scaling": {"type": "default", "mrope_section": [1, 1, 2]}}}
    write_model(folder, {"architectures": ["Qwen2_5OmniModel"], "model_type": "qwen2_5_omni", "thinker_config": thinker, "talker_config": {"model_type": "qwen2_5_omni_talker"},
                         "token2wav_config": {"model_type": "qwen2_5_omni_token2wav"}, "enable_audio_output": True, "torch_dtype": "float32"}, w.tensors)
    copy_tokenizer(folder)
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["added_tokens"] += [{"id": first + i, "content": mark, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True} for i, mark in enumerate(MARKS)]
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    config = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**config, "chat_template": TEMPLATE}))
    (folder / "preprocessor_config.json").write_text(json.dumps({
        "image_processor_type": "Qwen2VLImageProcessor", "min_pixels": 3136, "max_pixels": 20000, "patch_size": 14, "temporal_patch_size": 2, "merge_size": 2, "image_mean": [0.5] * 3, "image_std": [0.5] * 3,
        "feature_extractor_type": "WhisperFeatureExtractor", "feature_size": 80, "chunk_length": 300, "hop_length": 160, "n_fft": 400, "n_samples": 4800000, "nb_max_frames": 30000, "sampling_rate": 16000,
        "padding_side": "right", "padding_value": 0.0, "return_attention_mask": True, "dither": 0.0, "processor_class": "Qwen2_5OmniProcessor"}))
