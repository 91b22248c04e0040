"""GGUF files of Gemma 2, Gemma 3 and Phi-3 against the models of transformers that they were written of: every tensor, and logits."""
import json
import subprocess

import gguf
import numpy as np
import torch
from safetensors.torch import load_file

from gguf_files import Type, write
from models import tiny
from models.decoders import reference, rows_of
from models.phi3 import LONG

SMALL = dict(hidden_size=64, intermediate_size=96, num_attention_heads=4, num_key_value_heads=2)
# llama.cpp derives what its files do not say: the window of all layers but each second (Gemma 2) or sixth (Gemma 3), and the scale of scores.
CASES = {
    "gemma2": (tiny.gemma2, dict(head_dim=32, query_pre_attn_scalar=32)),
    "gemma2, other caps, one head for keys": (tiny.gemma2, dict(head_dim=32, query_pre_attn_scalar=32, num_key_value_heads=1, attn_logit_softcapping=3.0, final_logit_softcapping=2.0)),
    "gemma2, 46 layers": (tiny.gemma2, dict(head_dim=32, query_pre_attn_scalar=16, num_hidden_layers=46, intermediate_size=32)),
    "gemma3": (tiny.gemma3, dict(head_dim=32, query_pre_attn_scalar=32, num_hidden_layers=7, sliding_window_pattern=6)),
    "gemma3, linear in full layers": (tiny.gemma3, dict(head_dim=32, query_pre_attn_scalar=32, num_hidden_layers=6, sliding_window_pattern=6,
                                      rope_parameters={"full_attention": {"rope_type": "linear", "rope_theta": 1e6, "factor": 8.0}, "sliding_attention": {"rope_type": "default", "rope_theta": 1e4}})),
    "phi3": (tiny.phi3, dict(sliding_window=6)),
    "phi3, a part of each head, tied": (tiny.phi3, dict(tie_word_embeddings=True, rope_parameters={"rope_type": "default", "rope_theta": 1e4, "partial_rotary_factor": 0.75})),
    "phi3, longrope": (tiny.phi3, dict(rope_parameters={**LONG, "partial_rotary_factor": 0.75}, original_max_position_embeddings=16)),
    "phi3, longrope with a factor of its own": (tiny.phi3, dict(rope_parameters={**LONG, "partial_rotary_factor": 0.75, "attention_factor": 1.4}, original_max_position_embeddings=16)),
}


def stored(value, kind):
    """What blocks hold of a matrix."""
    if kind == Type.F32 or value.ndim < 2:
        return value
    return gguf.quants.dequantize(gguf.quants.quantize(value, kind), kind)


def published(name, value, kind, model_type):
    value = value.detach().float().numpy()
    if "gemma" in model_type and name.endswith("norm.weight"):
        return (value + np.float32(1)) - np.float32(1)
    return stored(value, kind)


def one(bench, program, name, make, changes, kind):
    folder = bench.new_folder()
    model = make(folder / "source", **{**SMALL, **changes})
    config = json.loads((folder / "source" / "config.json").read_text())
    tensors = {key: value for key, value in model.state_dict().items() if not (config["tie_word_embeddings"] and key == "lm_head.weight")}
    path = folder / "model.gguf"
    write(path, {key: value.detach().numpy() for key, value in tensors.items()}, config, kind)
    done = subprocess.run([program, str(path), str(folder / "out.safetensors")], capture_output=True, text=True)
    if done.returncode:
        return bench.check(f"{name}, {kind.name}: read", False, done.stderr)
    ours = load_file(folder / "out.safetensors")
    wanted = {key: torch.from_numpy(np.ascontiguousarray(published(key, value, kind, config["model_type"]))) for key, value in tensors.items()}
    wrong = sorted(set(ours) ^ set(wanted)) or [key for key in wanted if not torch.equal(ours[key].float(), wanted[key])]
    bench.check(f"{name}, {kind.name}: every tensor bit for bit", not wrong, wrong or f"{len(ours)} tensors")
    model.load_state_dict(wanted, strict=False)
    rows = rows_of([30, 9, 1])
    _, out = bench.ask("model", model=f'from = "{path}"\n', ids=rows)
    with torch.no_grad():
        bench.compare(f"{name}, {kind.name}: logits", {"logits": out["logits"]}, {"logits": reference(model, rows)["logits"]})


def tokens(writer):
    """None to speak of."""
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([f"t{i}" for i in range(96)])
    writer.add_token_merges([])


def with_factors(writer):
    """And a tensor that is none of a llama's."""
    tokens(writer)
    writer.add_tensor("rope_factors_short.weight", np.ones(8, np.float32))


def refusals(bench):
    folder = bench.new_folder()
    model = tiny.phi3(folder / "source", **SMALL, rope_parameters={**LONG, "partial_rotary_factor": 0.75}, original_max_position_embeddings=16)
    config = json.loads((folder / "source" / "config.json").read_text())
    tensors = {key: value.detach().numpy() for key, value in model.state_dict().items()}
    ask = lambda path: dict(kind="model", model=f'from = "{path}"\n', ids=rows_of([3]))
    short = {**config, "rope_parameters": {**config["rope_parameters"], "short_factor": [1.0] * 4}}
    write(folder / "short.gguf", tensors, short)
    bench.refused("phi3, factors of another length are refused", "there are 6 frequencies", **ask(folder / "short.gguf"))
    write(folder / "half.gguf", tensors, config)
    whole = (folder / "half.gguf").read_bytes()
    (folder / "half.gguf").write_bytes(whole.replace(b"rope_factors_short.weight", b"rope_factors_other.weight"))
    bench.refused("phi3, factors of short texts alone are refused", "is missing", **ask(folder / "half.gguf"))
    llama = tiny.llama(folder / "llama", **SMALL)
    plain = json.loads((folder / "llama" / "config.json").read_text())
    write(folder / "llama.gguf", {key: value.detach().numpy() for key, value in llama.state_dict().items()}, plain, tokenizer=with_factors)
    bench.refused("a llama with factors of LongRoPE's kind is refused", "rope_factors_short.weight", **ask(folder / "llama.gguf"))
    for name, add, word in [("experts", lambda writer: writer.add_expert_count(4), "have experts"), ("a window", lambda writer: writer.add_sliding_window(6), "looks back 6 tokens only")]:
        write(folder / "more.gguf", {key: value.detach().numpy() for key, value in llama.state_dict().items()}, plain, tokenizer=lambda writer: (tokens(writer), add(writer)))
        bench.refused(f"a llama with {name} is refused", word, **ask(folder / "more.gguf"))


def run(bench, program):
    for name, (make, changes) in CASES.items():
        for kind in [Type.F32, Type.Q8_0] if "," not in name else [Type.F32]:
            one(bench, program, name, make, changes, kind)
    refusals(bench)
