"""GGUF files of small models, as llama.cpp's converter writes them: names, order of rows, metadata, tokenizer."""
import json
import math
from pathlib import Path

import gguf
import numpy as np

LAYER = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output", "self_attn.q_norm": "attn_q_norm",
         "self_attn.k_norm": "attn_k_norm", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm"}
GEMMA = {**LAYER, "post_attention_layernorm": "post_attention_norm", "pre_feedforward_layernorm": "ffn_norm", "post_feedforward_layernorm": "post_ffw_norm"}
LAYERS = {"gemma2": GEMMA, "gemma3_text": GEMMA, "phi3": {**LAYER, "self_attn.qkv_proj": "attn_qkv", "mlp.gate_up_proj": "ffn_up"}}
MODEL = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight", "lm_head.weight": "output.weight"}
Type = gguf.GGMLQuantizationType


def gguf_name(name, model_type="llama"):
    if name in MODEL:
        return MODEL[name]
    layer, rest = name.removeprefix("model.layers.").split(".", 1)
    part, kind = rest.rsplit(".", 1)
    return f"blk.{layer}.{LAYERS.get(model_type, LAYER)[part]}.{kind}"


def in_pairs(rows, heads):
    """Rows of a head: i and i + half side by side."""
    return rows.reshape(heads, 2, rows.shape[0] // heads // 2, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


def random_blocks(rng, kind, shape):
    """Bytes of a K type, with scales that keep the numbers small."""
    size, bytes_ = gguf.GGML_QUANT_SIZES[kind]
    blocks = rng.integers(0, 256, (int(np.prod(shape)) // size, bytes_), dtype=np.uint8)
    places = [208] if kind == Type.Q6_K else [0, 2]
    for at in places:
        scale = (rng.random(len(blocks)) * (4e-5 if kind == Type.Q6_K else 4e-4)).astype(np.float16)
        blocks[:, at:at + 2] = scale.view(np.uint8).reshape(-1, 2)
    return blocks.reshape(*shape[:-1], -1)


def add_tokenizer(writer, folder):
    """A byte-level tokenizer.json and tokenizer_config.json."""
    file = json.loads(Path(folder, "tokenizer.json").read_text())
    config = json.loads(Path(folder, "tokenizer_config.json").read_text())
    ids = {**file["model"]["vocab"], **{token["content"]: token["id"] for token in file["added_tokens"]}}
    special = {token["content"] for token in file["added_tokens"]}
    tokens = sorted(ids, key=ids.get)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([3 if token in special else 1 for token in tokens])
    writer.add_token_merges([" ".join(pair) for pair in file["model"]["merges"]])
    for name, add in {"bos_token": writer.add_bos_token_id, "eos_token": writer.add_eos_token_id, "pad_token": writer.add_pad_token_id, "unk_token": writer.add_unk_token_id}.items():
        if config.get(name):
            add(ids[config[name]])
    if config.get("chat_template"):
        writer.add_chat_template(config["chat_template"])


def rope_of(config):
    rope = config.get("rope_scaling") or config.get("rope_parameters") or {}
    return {"rope_theta": config.get("rope_theta"), **rope.get("full_attention", rope)}


def add_gemma(writer, config):
    writer.add_sliding_window(config["sliding_window"])
    if config.get("attn_logit_softcapping"):
        writer.add_attn_logit_softcapping(config["attn_logit_softcapping"])
    if config.get("final_logit_softcapping"):
        writer.add_final_logit_softcapping(config["final_logit_softcapping"])
    rope = rope_of(config)
    if rope.get("rope_type") == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(rope["factor"])


def add_phi3(writer, config):
    rope, original = rope_of(config), config["original_max_position_embeddings"]
    writer.add_rope_scaling_orig_ctx_len(original)
    writer.add_sliding_window(config.get("sliding_window") or 0)
    if rope.get("rope_type") == "longrope":
        scale = config["max_position_embeddings"] / original
        writer.add_rope_scaling_attn_factors(rope.get("attention_factor") or (math.sqrt(1 + math.log(scale) / math.log(original)) if scale > 1 else 1.0))
        writer.add_tensor("rope_factors_long.weight", np.array(rope["long_factor"], np.float32))
        writer.add_tensor("rope_factors_short.weight", np.array(rope["short_factor"], np.float32))


FAMILIES = {"gemma2": ("gemma2", add_gemma), "gemma3_text": ("gemma3", add_gemma), "phi3": ("phi3", add_phi3)}


def write(path, tensors, config, kind=Type.F32, tokenizer=None, tokens=None, seed=1, architecture=None):
    """`tensors`: published names to arrays; `config`: config.json. Matrices become blocks of `kind`."""
    rng = np.random.default_rng(seed)
    heads, key_heads = config["num_attention_heads"], config["num_key_value_heads"]
    head = config.get("head_dim") or config["hidden_size"] // heads
    kind_of_model = config["model_type"]
    name_of, add_more = FAMILIES.get(kind_of_model, (kind_of_model, lambda *_: None))
    writer = gguf.GGUFWriter(path, architecture or name_of)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(key_heads)
    writer.add_key_length(head)
    writer.add_value_length(head)
    writer.add_rope_dimension_count(int(head * rope_of(config).get("partial_rotary_factor", 1)))
    writer.add_rope_freq_base(rope_of(config)["rope_theta"])
    if rope_of(config).get("rope_type") == "yarn":
        writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        writer.add_rope_scaling_factor(rope_of(config)["factor"])
        writer.add_rope_scaling_orig_ctx_len(rope_of(config)["original_max_position_embeddings"])
    add_more(writer, config)
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])
    if callable(tokenizer):
        tokenizer(writer)
    elif tokenizer:
        add_tokenizer(writer, tokenizer)
    else:
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre("gpt-2")
        writer.add_token_list(tokens or [f"t{i}" for i in range(config["vocab_size"])])
        writer.add_token_merges([])
    for name, value in tensors.items():
        value = np.ascontiguousarray(value, np.float32)
        if config["model_type"] == "llama" and ("q_proj" in name or "k_proj" in name):
            value = in_pairs(value, heads if "q_proj" in name else key_heads)
        if "gemma" in kind_of_model and name.endswith("norm.weight"):
            value = value + 1
        name = gguf_name(name, kind_of_model)
        if value.ndim < 2:
            writer.add_tensor(name, value)
        elif kind in (Type.Q4_K, Type.Q5_K, Type.Q6_K):
            writer.add_tensor(name, random_blocks(rng, kind, value.shape), raw_dtype=kind)
        elif kind == Type.F32:
            writer.add_tensor(name, value)
        elif kind == Type.F16:
            writer.add_tensor(name, value.astype(np.float16))
        else:
            writer.add_tensor(name, gguf.quants.quantize(value, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
