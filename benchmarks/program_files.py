"""Configurations and data for the runs of the whole program: a tokenizer of the tests, text of an exact length."""

import json
import os

HEAD = """extends = ["{model}"]
[model.llm]
weights = ""
tokenizer = "{root}/tests/e2e/tiny/tokenizer"
{shape}
[[model.llm.peft]]
plugin = "lora"
rank = 16
alpha = 32
targets = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
[[data.train.sources]]
path = "{folder}/samples.jsonl"
[data]
feature_cache = ""
[train]
output = "{folder}/run"
tokens_per_batch = {tokens}
"""
ONE_LAYER = """vocab_size = 512
hidden_size = 64
intermediate_size = 128
num_layers = 1
num_heads = 4
num_kv_heads = 2
max_positions = 512
norm_eps = 1e-5
rope_theta = 10000.0
tie_embeddings = true
"""
SHAPE_OF_FILE = ""
WIDE = """vocab_size = 8192
hidden_size = 1536
intermediate_size = 4096
num_layers = 12
num_heads = 24
num_kv_heads = 8
max_positions = 512
"""


def tokens_of(root, letters):
    """Tokens of a sample whose answer has so many letters: the control tokens of ChatML, the roles, and a token a letter."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(f"{root}/tests/e2e/tiny/tokenizer/tokenizer.json")
    return len(tokenizer.encode("<|im_start|>user\nz<|im_end|>\n<|im_start|>assistant\n" + "z" * letters + "<|im_end|>\n").ids)


def write(root, folder, model, shape, batch, sequence):
    """A TOML file and `batch` samples of `sequence` tokens; returns the file."""
    os.makedirs(folder)
    letters = sequence - tokens_of(root, 0)
    assert tokens_of(root, letters) == sequence, "the tokenizer of the tests has merged z with z"
    record = {"messages": [{"role": "user", "content": "z"}, {"role": "assistant", "content": "z" * letters}]}
    with open(f"{folder}/samples.jsonl", "w") as out:
        for i in range(batch):
            out.write(json.dumps({"id": str(i), **record}) + "\n")
    path = f"{folder}/run.toml"
    with open(path, "w") as out:
        out.write(HEAD.format(model=model, root=root, shape=shape, folder=folder, tokens=batch * sequence))
    return path
