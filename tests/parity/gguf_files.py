"""GGUF files of small models, as llama.cpp's converter writes them: names, order of rows, metadata, tokenizer."""
import json
from pathlib import Path

import gguf
import numpy as np

LAYER = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output", "self_attn.q_norm": "attn_q_norm",
         "self_attn.k_norm": "attn_k_norm", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm"}
MODEL = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight", "lm_head.weight": "output.weight"}
Type = gguf.GGMLQuantizationType


def gguf_name(name):
    if name in MODEL:
        return MODEL[name]
    layer, rest = name.removeprefix("model.layers.").split(".", 1)
    part, kind = rest.rsplit(".", 1)
    return f"blk.{layer}.{LAYER[part]}.{kind}"


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


def write(path, tensors, config, kind=Type.F32, tokenizer=None, tokens=None, seed=1, architecture=None):
    """`tensors`: published names to arrays; `config`: config.json. Matrices become blocks of `kind`."""
    rng = np.random.default_rng(seed)
    heads, key_heads = config["num_attention_heads"], config["num_key_value_heads"]
    head = config.get("head_dim") or config["hidden_size"] // heads
    writer = gguf.GGUFWriter(path, architecture or config["model_type"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(key_heads)
    writer.add_key_length(head)
    writer.add_value_length(head)
    writer.add_rope_dimension_count(head)
    writer.add_rope_freq_base((config.get("rope_parameters") or config)["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])
    if tokenizer:
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
        if value.ndim < 2:
            writer.add_tensor(gguf_name(name), value)
        elif kind in (Type.Q4_K, Type.Q5_K, Type.Q6_K):
            writer.add_tensor(gguf_name(name), random_blocks(rng, kind, value.shape), raw_dtype=kind)
        elif kind == Type.F32:
            writer.add_tensor(gguf_name(name), value)
        elif kind == Type.F16:
            writer.add_tensor(gguf_name(name), value.astype(np.float16))
        else:
            writer.add_tensor(gguf_name(name), gguf.quants.quantize(value, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
