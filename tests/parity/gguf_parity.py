"""GGUF files: every tensor against the package gguf and transformers, bit for bit; logits against transformers; blocks that
we write against those that the package writes.

gguf_parity.py GGUF_PROBE MODEL_PROBE
"""
import json
import os
import subprocess
import sys
from pathlib import Path

os.environ.update(TRANSFORMERS_VERBOSITY="error", HF_HUB_OFFLINE="1", HF_HUB_DISABLE_PROGRESS_BARS="1")
import gguf
import numpy as np
import torch
import transformers
from safetensors.torch import load_file

import gguf_families
from gguf_files import Type, in_pairs, write
from models import tiny
from models.common import Bench
from models.decoders import reference, rows_of

KINDS = [Type.F32, Type.F16, Type.BF16, Type.Q8_0, Type.Q4_0, Type.Q4_1, Type.Q5_0, Type.Q5_1, Type.Q4_K, Type.Q5_K, Type.Q6_K]
WIDE = dict(hidden_size=256, intermediate_size=256, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2)
SMALL = dict(hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2)
SHAPES = {"llama": (tiny.llama, dict(tie_word_embeddings=False)), "llama, tied, one head for keys": (tiny.llama, dict(tie_word_embeddings=True, num_key_value_heads=1)),
          "qwen2": (tiny.qwen2, dict(tie_word_embeddings=False)), "qwen3": (tiny.qwen3, dict(tie_word_embeddings=True, head_dim=128))}  # transformers takes no other of a file


def table(path):
    return f'from = "{path}"\n'


def probe(program, *arguments):
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def one(bench, program, name, make, changes, kind):
    folder = bench.new_folder()
    model = make(folder / "source", **changes)
    config = json.loads((folder / "source" / "config.json").read_text())
    tensors = {key: value.detach().numpy() for key, value in model.state_dict().items() if not (config["tie_word_embeddings"] and key == "lm_head.weight")}
    path = folder / "model.gguf"
    write(path, tensors, config, kind)
    said = json.loads(probe(program, path, folder / "out.safetensors"))
    theirs = transformers.AutoModelForCausalLM.from_pretrained(folder, gguf_file="model.gguf", dtype=torch.float32).eval()
    ours, wanted = load_file(folder / "out.safetensors"), theirs.state_dict()
    same = all(torch.equal(ours[key].float(), wanted[key]) for key in ours) and set(ours) == set(tensors)
    bench.check(f"{name}, {kind.name}: every tensor bit for bit", same, f"{len(ours)} tensors")
    keys = ["hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "vocab_size", "rms_norm_eps", "tie_word_embeddings", "model_type"]
    bench.check(f"{name}, {kind.name}: config.json", all(said[key] == config[key] for key in keys), str([key for key in keys if said[key] != config[key]]))
    rows = rows_of([9, 4, 1])
    _, out = bench.ask("model", model=table(path), ids=rows)
    expected = reference(theirs, rows)
    bench.compare(f"{name}, {kind.name}: logits", {"logits": out["logits"]}, {"logits": expected["logits"]})


def llama3(bench, program):
    """The factors that llama.cpp stores are the numbers of Llama 3 again."""
    folder = bench.new_folder()
    rope = {"rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}
    model = tiny.llama(folder / "source", **SMALL, head_dim=64, rope_parameters=rope, max_position_embeddings=16384, tie_word_embeddings=False)
    config = json.loads((folder / "source" / "config.json").read_text())
    plain = transformers.models.llama.modeling_llama.LlamaRotaryEmbedding(transformers.LlamaConfig(**{**config, "rope_parameters": {"rope_type": "default", "rope_theta": 500000.0}}))
    factors = (plain.inv_freq / model.model.rotary_emb.inv_freq).float().numpy()
    tensors = {key: value.detach().numpy() for key, value in model.state_dict().items()}
    path, wrong = folder / "model.gguf", folder / "wrong.gguf"
    for where, stored in {path: factors, wrong: factors * np.float32(1.01)}.items():
        add = gguf.GGUFWriter.write_header_to_file
        def with_factors(self, *arguments, stored=stored, **more):
            self.add_tensor("rope_freqs.weight", stored)
            return add(self, *arguments, **more)
        gguf.GGUFWriter.write_header_to_file = with_factors
        try:
            write(where, tensors, config)
        finally:
            gguf.GGUFWriter.write_header_to_file = add
    rows = rows_of([40])
    _, out = bench.ask("model", model=table(path), ids=rows)
    bench.compare("llama, Llama 3's frequencies: logits", {"logits": out["logits"]}, {"logits": reference(model, rows)["logits"]})
    bench.refused("llama, other frequencies are refused", "expected", "model", model=table(wrong), ids=rows)


def yarn(bench):
    """What llama.cpp keeps of YaRN are its factor and the length of pre-training."""
    for make in (tiny.llama, tiny.qwen2):
        folder = bench.new_folder()
        rope = {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 64}
        model = make(folder / "source", **SMALL, rope_parameters=rope, max_position_embeddings=256, tie_word_embeddings=False)
        config = json.loads((folder / "source" / "config.json").read_text())
        write(folder / "model.gguf", {key: value.detach().numpy() for key, value in model.state_dict().items()}, config)
        rows = rows_of([40])
        _, out = bench.ask("model", model=table(folder / "model.gguf"), ids=rows)
        bench.compare(f"{config['model_type']}, YaRN: logits", {"logits": out["logits"]}, {"logits": reference(model, rows)["logits"]})


def written(bench, program):
    rng = np.random.default_rng(3)
    numbers = (rng.standard_normal((64, 64)) * np.exp(rng.standard_normal((64, 1)))).astype(np.float32)
    numbers[0], numbers[1, :32] = 0, -1
    folder = bench.new_folder()
    (folder / "numbers").write_bytes(numbers.tobytes())
    for kind in [Type.F32, Type.F16, Type.BF16, Type.Q8_0, Type.Q4_0]:
        probe(program, "--blocks", kind.value, folder / "numbers", folder / "blocks")
        wanted = numbers.astype(np.float16).tobytes() if kind == Type.F16 else gguf.quants.quantize(numbers, kind).tobytes()
        bench.check(f"blocks of {kind.name} as the package writes them", (folder / "blocks").read_bytes() == wanted, f"{numbers.size} numbers")


def refusals(bench, program):
    folder = bench.new_folder()
    model = tiny.llama(folder / "source", **SMALL)
    config = json.loads((folder / "source" / "config.json").read_text())
    tensors = {key: value.detach().numpy() for key, value in model.state_dict().items()}
    rows = rows_of([3])
    write(folder / "mamba.gguf", tensors, config, architecture="mamba")
    bench.refused("another architecture is refused", "general.architecture is 'mamba'", "model", model=table(folder / "mamba.gguf"), ids=rows)
    write(folder / "q3.gguf", {key: value for key, value in tensors.items() if "layers.1.mlp.up" not in key}, config)
    bench.refused("a file without one of the tensors is refused", "layers.1.mlp.up_proj", "model", model=table(folder / "q3.gguf"), ids=rows)
    assert in_pairs(np.arange(8).reshape(8, 1), 1).ravel().tolist() == [0, 4, 1, 5, 2, 6, 3, 7]


def main(gguf_probe, model_probe):
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(1)
    with Bench(model_probe) as bench:
        for kind in KINDS:
            one(bench, gguf_probe, "llama", tiny.llama, {**WIDE, "tie_word_embeddings": False}, kind)
        for name, (make, changes) in SHAPES.items():
            for kind in [Type.F32, Type.Q8_0, Type.Q4_1]:
                one(bench, gguf_probe, name, make, {**SMALL, **changes}, kind)
        llama3(bench, gguf_probe)
        yarn(bench)
        gguf_families.run(bench, gguf_probe)
        written(bench, gguf_probe)
        refusals(bench, gguf_probe)
        print(f"{bench.passed} passed, {bench.failed} failed")
        return 1 if bench.failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
