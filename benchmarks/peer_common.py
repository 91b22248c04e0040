"""What the peers share: the model's shape, threads, repetitions, the JSON line. Not run by itself."""

import argparse
import importlib.metadata
import json
import os
import resource
import statistics
import sys
import time
import tomllib
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
PROJECTIONS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
VERSIONED = {"torch": "torch", "transformers": "transformers", "peft": "peft", "torchvision": "torchvision", "torchaudio": "torchaudio", "safetensors": "safetensors", "av": "PyAV", "tokenizers": "tokenizers", "sentencepiece": "sentencepiece", "tiktoken": "tiktoken", "llama_cpp": "llama-cpp-python"}


def arguments(doc):
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("--model", help="TOML file with [model.llm], as antiphon_bench takes it")
    parser.add_argument("--dtype", default="fp32", choices=["fp32", "bf16"])
    parser.add_argument("--threads", type=int, default=0, help="0: as the library chooses")
    parser.add_argument("--warmup", type=int, default=1)
    parser.add_argument("--reps", type=int, default=5)
    return parser


def use_bench_packages():
    """What `./setup bench-python` has installed: apart from .venv, so that it changes nothing for the tests."""
    sys.path.append(str(Path(__file__).resolve().parents[1] / ".cache/bench-python"))


def torch_with(threads):
    import torch

    if threads:
        torch.set_num_threads(threads)
    return torch


def language_model(path):
    """[model.llm] of a TOML file."""
    return tomllib.loads(Path(path).read_text())["model"]["llm"]


def llama_config(path):
    """LlamaConfig of the shape in [model.llm]."""
    from transformers import LlamaConfig

    llm = language_model(path)
    return LlamaConfig(
        vocab_size=llm["vocab_size"], hidden_size=llm["hidden_size"], intermediate_size=llm["intermediate_size"], num_hidden_layers=llm["num_layers"],
        num_attention_heads=llm["num_heads"], num_key_value_heads=llm["num_kv_heads"], max_position_embeddings=llm["max_positions"],
        rms_norm_eps=llm["norm_eps"], rope_theta=llm["rope_theta"], tie_word_embeddings=llm["tie_embeddings"],
        bos_token_id=0, eos_token_id=0, pad_token_id=0, attn_implementation="sdpa")


def lora_config(**more):
    from peft import LoraConfig

    return LoraConfig(r=16, lora_alpha=32, lora_dropout=0.0, **{"target_modules": PROJECTIONS, **more})


class Steps:
    """Training steps as transformers' Trainer makes them: autocast over fp32 weights, fused AdamW; without its clipping."""

    def __init__(self, torch, model, dtype):
        self.torch, self.model, self.bf16, self.losses = torch, model.train(), dtype == "bf16", []
        self.trained = [p for p in model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(self.trained, lr=1e-4, weight_decay=0.0, fused=True)

    def __call__(self, **batch):
        with self.torch.autocast("cpu", self.torch.bfloat16, enabled=self.bf16):
            loss = self.model(**batch).loss
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.losses.append(loss.item())

    def facts(self):
        return {"trainable": sum(p.numel() for p in self.trained), "loss0": self.losses[0], "loss_last": self.losses[-1]}


def lora_steps(torch, model, batch, a, sites, also):
    """Steps of LoRA on the modules that `sites` matches, with the parameters trained whose names have a word of `also`: the samples of
    a line, and its facts. The first half of each row is the question."""
    import peft

    model.requires_grad_(False)
    model = peft.get_peft_model(model, lora_config(target_modules=sites))
    for name, parameter in model.named_parameters():
        if any(word in name for word in also):
            parameter.requires_grad = True
    labels = batch["input_ids"].clone()
    labels[:, :a.seq // 2] = -100
    step = Steps(torch, model, a.dtype)
    walls = repeat(lambda: step(**batch, labels=labels), a.warmup, a.reps)
    facts = {"batch": a.batch, "seq": a.seq, "supervised": int((labels != -100).sum()), **step.facts()}
    return facts, {"wall_med_s": walls, "tokens_per_s": [a.batch * a.seq / wall for wall in walls]}


def greedy_answers(torch, model, batch, a, new):
    """The samples of a line, for answers of `new` tokens."""
    @torch.inference_mode()
    def generate(count):
        model.generate(**batch, max_new_tokens=count, min_new_tokens=count, do_sample=False, use_cache=True, pad_token_id=0, eos_token_id=None)

    first, walls = repeat(lambda: generate(1), a.warmup, a.reps), repeat(lambda: generate(new), a.warmup, a.reps)
    return {"wall_med_s": walls, "first_s": first, "decode_tok_s": [(new - 1) / (wall - statistics.median(first)) for wall in walls]}


def repeat(body, warmup, count, before=None):
    """Wall seconds of each counted call of `body`; `before` each of them, what is not counted."""
    seconds = []
    for i in range(warmup + count):
        if before:
            before()
        begin = time.perf_counter()
        body()
        if i >= warmup:
            seconds.append(time.perf_counter() - begin)
    return seconds


def from_processes(worker, count, timeout=None):
    """What the first of `count` processes puts into the queue, each of which runs worker(rank, port, queue); the port is a free one."""
    import multiprocessing
    import socket

    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    processes = [context.Process(target=worker, args=(rank, port, queue)) for rank in range(count)]
    for process in processes:
        process.start()
    samples = queue.get(timeout=timeout)
    for process in processes:
        process.join()
    if any(process.exitcode for process in processes):
        sys.exit(f"{sys.argv[0]}: a process failed")
    return samples


def versions():
    """Of the libraries that this process has taken."""
    return {name: getattr(sys.modules[module], "__version__", None) or importlib.metadata.version(name) for module, name in VERSIONED.items() if module in sys.modules}


def emit(bench, facts, samples):
    """One line: the median of each of `samples` under its name, and the samples themselves."""
    threads = sys.modules["torch"].get_num_threads() if "torch" in sys.modules else facts.get("threads")
    line = {"bench": bench, "side": "peer", **facts, "threads": threads, "versions": versions(),
            "peak_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, "n": len(next(iter(samples.values()))),
            **{key: statistics.median(values) for key, values in samples.items()}, "samples": samples}
    print(json.dumps(line), flush=True)
