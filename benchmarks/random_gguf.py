"""Writes a GGUF file of a Llama of the shape in [model.llm], random weights, no vocabulary. For peer_llama_cpp.py."""

import argparse

import gguf
import numpy as np

from peer_common import language_model

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--model", required=True, help="TOML file with [model.llm]")
parser.add_argument("--out", required=True)
parser.add_argument("--type", default="BF16", choices=["BF16", "Q8_0", "Q4_0"], help="of the matrices; with Q4_0 the embeddings have Q8_0")
a = parser.parse_args()
llm, chance = language_model(a.model), np.random.default_rng(0)
hidden, inner, head = llm["hidden_size"], llm["intermediate_size"], llm["hidden_size"] // llm["num_heads"]
keys = head * llm["num_kv_heads"]
SHAPES = {"attn_q": (hidden, hidden), "attn_k": (keys, hidden), "attn_v": (keys, hidden), "attn_output": (hidden, hidden), "ffn_gate": (inner, hidden), "ffn_up": (inner, hidden), "ffn_down": (hidden, inner)}

writer = gguf.GGUFWriter(a.out, "llama")
writer.add_context_length(llm["max_positions"]), writer.add_embedding_length(hidden), writer.add_block_count(llm["num_layers"])
writer.add_feed_forward_length(inner), writer.add_head_count(llm["num_heads"]), writer.add_head_count_kv(llm["num_kv_heads"])
writer.add_layer_norm_rms_eps(llm["norm_eps"]), writer.add_rope_freq_base(llm["rope_theta"]), writer.add_rope_dimension_count(head)
writer.add_vocab_size(llm["vocab_size"]), writer.add_tokenizer_model("no_vocab"), writer.add_file_type(gguf.LlamaFileType[f"MOSTLY_{a.type}"])


def add(name, shape, kind=gguf.GGMLQuantizationType[a.type]):
    """Values as transformers starts them."""
    values = (0.02 * chance.standard_normal(shape)).astype(np.float32)
    writer.add_tensor(name, gguf.quants.quantize(values, kind), raw_dtype=kind)


def add_norm(name):
    writer.add_tensor(name, np.ones(hidden, np.float32))


WIDE = gguf.GGMLQuantizationType["BF16" if a.type == "BF16" else "Q8_0"]
add("token_embd.weight", (llm["vocab_size"], hidden), WIDE)  # the head too, if they are tied
if not llm["tie_embeddings"]:
    add("output.weight", (llm["vocab_size"], hidden), WIDE)
add_norm("output_norm.weight")
for block in range(llm["num_layers"]):
    for name, shape in SHAPES.items():
        add(f"blk.{block}.{name}.weight", shape)
    add_norm(f"blk.{block}.attn_norm.weight"), add_norm(f"blk.{block}.ffn_norm.weight")
writer.write_header_to_file(), writer.write_kv_data_to_file(), writer.write_tensors_to_file()
writer.close()
