#!/usr/bin/env python3
"""Turns SmolLM2-135M-Instruct (GGUF, Q4_1 with Q8_0 embeddings) into models/smollm2-135m-instruct.

The weights are de-quantised to fp32, the smallest type that holds d * q + m exactly enough to give the same logits as
transformers' own reading of the file. ggml keeps the rows of q and k in the order of its rotary embedding (pairs side
by side); the published order (halves) is restored. Published names of keys: `HuggingFaceTB/SmolLM2-135M-Instruct`.
"""
import numpy as np

from common import DemoError
from convert import converter_main

NAME, VERSION = "smollm2-135m-instruct", 1
LAYER_KEYS = {
    "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj", "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm",
}
CONTROL = 3  # gguf's token type of special tokens


def published_name(name):
    """`blk.3.attn_q.weight` -> `model.layers.3.self_attn.q_proj.weight`."""
    if name == "token_embd.weight":
        return "model.embed_tokens.weight"
    if name == "output_norm.weight":
        return "model.norm.weight"
    _, layer, part, kind = name.split(".")
    return f"model.layers.{layer}.{LAYER_KEYS[part]}.{kind}"


def restore_rope_order(rows, heads):
    """Undoes ggml's order of q and k rows: pairs (2i, 2i + 1) of a head become (i, i + half)."""
    half = rows.shape[0] // heads // 2
    return rows.reshape(heads, half, 2, rows.shape[1]).swapaxes(1, 2).reshape(rows.shape)


def read_tensors(reader, heads, key_value_heads):
    from gguf.quants import dequantize
    tensors = {}
    for tensor in reader.tensors:
        value = np.asarray(dequantize(tensor.data, tensor.tensor_type), np.float32)
        if tensor.name.endswith("attn_q.weight"):
            value = restore_rope_order(value, heads)
        if tensor.name.endswith("attn_k.weight"):
            value = restore_rope_order(value, key_value_heads)
        tensors[published_name(tensor.name)] = value
    return tensors


def make_config(meta, tensors):
    return {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "attention_bias": False,
        "attention_dropout": 0.0, "bos_token_id": meta("tokenizer.ggml.bos_token_id"),
        "eos_token_id": meta("tokenizer.ggml.eos_token_id"), "hidden_act": "silu",
        "hidden_size": meta("llama.embedding_length"), "initializer_range": 0.041666666666666664,
        "intermediate_size": meta("llama.feed_forward_length"),
        "max_position_embeddings": meta("llama.context_length"), "mlp_bias": False,
        "num_attention_heads": meta("llama.attention.head_count"), "num_hidden_layers": meta("llama.block_count"),
        "num_key_value_heads": meta("llama.attention.head_count_kv"),
        "pad_token_id": meta("tokenizer.ggml.padding_token_id"), "pretraining_tp": 1,
        "rms_norm_eps": round(meta("llama.attention.layer_norm_rms_epsilon"), 9), "rope_scaling": None,
        "rope_theta": meta("llama.rope.freq_base"), "tie_word_embeddings": "lm_head.weight" not in tensors,
        "torch_dtype": "float32", "use_cache": True, "vocab_size": tensors["model.embed_tokens.weight"].shape[0],
    }


def make_tokenizer(tokens, merges, types):
    """tokenizer.json of the published model: byte-level BPE that splits digits one by one."""
    special = [index for index, kind in enumerate(types) if kind == CONTROL]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [{"id": index, "content": tokens[index], "single_word": False, "lstrip": False,
                          "rstrip": False, "normalized": False, "special": True} for index in special],
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence",
                          "pretokenizers": [{"type": "Digits", "individual_digits": True}, byte_level]},
        "post_processor": None, "decoder": {**byte_level, "add_prefix_space": True},
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                  "vocab": {token: index for index, token in enumerate(tokens)}, "merges": merges},
    }


def make_tokenizer_config(meta, tokens, types):
    special = [index for index, kind in enumerate(types) if kind == CONTROL]
    name = {role: tokens[meta(f"tokenizer.ggml.{role}_token_id")] for role in ("bos", "eos", "unknown", "padding")}
    return {
        "add_prefix_space": False,
        "added_tokens_decoder": {str(index): {"content": tokens[index], "lstrip": False, "normalized": False,
                                              "rstrip": False, "single_word": False, "special": True}
                                 for index in special},
        "additional_special_tokens": [name["bos"], name["eos"]], "bos_token": name["bos"], "eos_token": name["eos"],
        "unk_token": name["unknown"], "pad_token": name["padding"], "chat_template": meta("tokenizer.chat_template"),
        "clean_up_tokenization_spaces": False, "model_max_length": meta("llama.context_length"),
        "tokenizer_class": "GPT2Tokenizer", "vocab_size": len(tokens),
    }


def build(folder):
    from gguf import GGUFReader
    reader = GGUFReader(folder / "model.gguf")

    def meta(key):
        if key not in reader.fields:
            raise DemoError(f"model.gguf has no field {key}; it is not the file that this converter knows")
        return reader.fields[key].contents()

    tokens, types = meta("tokenizer.ggml.tokens"), meta("tokenizer.ggml.token_type")
    tensors = read_tensors(reader, meta("llama.attention.head_count"), meta("llama.attention.head_count_kv"))
    config = make_config(meta, tensors)
    generation = {key: config[key] for key in ("bos_token_id", "eos_token_id", "pad_token_id")}
    return tensors, {"config.json": config, "generation_config.json": {"_from_model_config": True, **generation},
                     "tokenizer.json": make_tokenizer(tokens, meta("tokenizer.ggml.merges"), types),
                     "tokenizer_config.json": make_tokenizer_config(meta, tokens, types)}


if __name__ == "__main__":
    converter_main(NAME, VERSION, build)
