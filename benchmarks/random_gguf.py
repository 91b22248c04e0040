"""Writes a GGUF file of a Llama of the shape in [model.llm], random weights in bf16, no vocabulary. For peer_llama_cpp.py."""

import argparse

import gguf
import numpy as np

from peer_common import language_model

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--model", required=True, help="TOML file with [model.llm]")
parser.add_argument("--out", required=True)
a = parser.parse_args()
llm, chance = language_model(a.model), np.random.default_rng(0)
hidden, inner, head = llm["hidden_size"], llm["intermediate_size"], llm["hidden_size"] // llm["num_heads"]
keys = head * llm["num_kv_heads"]
SHAPES = {"attn_q": (hidden, hidden), "attn_k": (keys, hidden), "attn_v": (keys, hidden), "attn_output": (hidden, hidden), "ffn_gate": (inner, hidden), "ffn_up": (inner, hidden), "ffn_down": (hidden, inner)}

writer = gguf.GGUFWriter(a.out, "llama")
writer.add_context_length(llm["max_positions"]), writer.add_embedding_length(hidden), writer.add_block_count(llm["num_layers"])
writer.add_feed_forward_length(inner), writer.add_head_count(llm["num_heads"]), writer.add_head_count_kv(llm["num_kv_heads"])
writer.add_layer_norm_rms_eps(llm["norm_eps"]), writer.add_rope_freq_base(llm["rope_theta"]), writer.add_rope_dimension_count(head)
writer.add_vocab_size(llm["vocab_size"]), writer.add_tokenizer_model("no_vocab"), writer.add_file_type(gguf.LlamaFileType.MOSTLY_BF16)


def add(name, shape):
    """Matrices as bf16; their values as transformers starts them."""
    values = (0.02 * chance.standard_normal(shape)).astype(np.float32)
    writer.add_tensor(name, gguf.quants.quantize(values, gguf.GGMLQuantizationType.BF16), raw_dtype=gguf.GGMLQuantizationType.BF16)


def add_norm(name):
    writer.add_tensor(name, np.ones(hidden, np.float32))


add("token_embd.weight", (llm["vocab_size"], hidden))  # the head too, where they are tied
if not llm["tie_embeddings"]:
    add("output.weight", (llm["vocab_size"], hidden))
add_norm("output_norm.weight")
for block in range(llm["num_layers"]):
    for name, shape in SHAPES.items():
        add(f"blk.{block}.{name}.weight", shape)
    add_norm(f"blk.{block}.attn_norm.weight"), add_norm(f"blk.{block}.ffn_norm.weight")
writer.write_header_to_file(), writer.write_kv_data_to_file(), writer.write_tensors_to_file()
writer.close()
