"""What the peers share: the model's shape, threads, repetitions, the JSON line. Not run by itself."""

import argparse
import json
import os
import resource
import statistics
import time
import tomllib

os.environ.setdefault("HF_HUB_OFFLINE", "1")
PROJECTIONS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def arguments(doc):
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("--model", help="TOML file with [model.llm], as antiphon_bench takes it")
    parser.add_argument("--dtype", default="fp32", choices=["fp32", "bf16"])
    parser.add_argument("--threads", type=int, default=0, help="0: as torch chooses")
    parser.add_argument("--warmup", type=int, default=1)
    parser.add_argument("--reps", type=int, default=5)
    return parser


def torch_with(threads):
    import torch

    if threads:
        torch.set_num_threads(threads)
    return torch


def llama_config(path):
    """LlamaConfig of the shape in [model.llm]."""
    from transformers import LlamaConfig

    llm = tomllib.load(open(path, "rb"))["model"]["llm"]
    return LlamaConfig(
        vocab_size=llm["vocab_size"], hidden_size=llm["hidden_size"], intermediate_size=llm["intermediate_size"], num_hidden_layers=llm["num_layers"],
        num_attention_heads=llm["num_heads"], num_key_value_heads=llm["num_kv_heads"], max_position_embeddings=llm["max_positions"],
        rms_norm_eps=llm["norm_eps"], rope_theta=llm["rope_theta"], tie_word_embeddings=llm["tie_embeddings"],
        bos_token_id=0, eos_token_id=0, pad_token_id=0, attn_implementation="sdpa")


def repeat(body, warmup, count):
    """Wall seconds of each counted call."""
    seconds = []
    for i in range(warmup + count):
        begin = time.perf_counter()
        body()
        if i >= warmup:
            seconds.append(time.perf_counter() - begin)
    return seconds


def emit(bench, facts, samples):
    """One line: the median of each of `samples` under its name, and the samples themselves."""
    import torch

    line = {"bench": bench, "side": "transformers+peft", "threads": torch.get_num_threads(), **facts,
            "peak_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, "n": len(next(iter(samples.values()))),
            **{key: statistics.median(values) for key, values in samples.items()}, "samples": samples}
    print(json.dumps(line), flush=True)
