"""LoRA of peft over a language model in 8 and 4 bits, against peft over what these bits stand for: loss, gradients; nf4 beside
bitsandbytes: the same numbers, bit for bit; checkpoints that are stored in 4 bits."""
import json

import torch
from transformers import LlamaForCausalLM

from . import tiny
from .common import starting
from .decoders import model_table, reference, rows_of
from .lora import peft_table, plain, with_adapter


def nf4_numbers(weight):
    """bitsandbytes' numbers, with each scale the nearest of its 8-bit numbers: on a CPU it looks them up in a table, which differs from that
    near the middle between two (its GPU kernels compare)."""
    import bitsandbytes.functional as bits

    packed, state = bits.quantize_4bit(weight, blocksize=64, compress_statistics=True, quant_type="nf4")
    _, plain_state = bits.quantize_4bit(weight, blocksize=64, compress_statistics=False, quant_type="nf4")
    scales = torch.nn.functional.pad(plain_state.absmax - state.offset, (0, -plain_state.absmax.numel() % 256)).view(-1, 256)
    relative = (scales / state.state2.absmax.unsqueeze(1)).flatten()[:plain_state.absmax.numel()]
    nearest = (relative.unsqueeze(1) - state.state2.code).abs().argmin(1).to(torch.uint8)
    moved = (nearest.int() - state.absmax.int()).abs()
    state.absmax = nearest
    return bits.dequantize_4bit(packed, state), moved.max().item()


def nf4(bench):
    """Of float32 and bfloat16 weights, of one block of scales and of several; with a matrix that has no whole blocks."""
    rows, targets = rows_of([13, 6, 21]), dict(target_modules=["q_proj", "v_proj", "down_proj"])
    for name, changes in {"": {}, ", rows of no whole blocks, tied": dict(intermediate_size=96, tie_word_embeddings=True), ", larger": dict(hidden_size=192, intermediate_size=256)}.items():
        folder, adapter = bench.new_folder(), bench.new_folder()
        tiny.llama(folder, **{**dict(hidden_size=64, intermediate_size=128, attention_bias=True), **changes})
        with_adapter(folder, targets).save_pretrained(adapter)
        table = model_table(folder, trainable=False) + peft_table(f'targets = {targets["target_modules"]}', adapter)
        _, out = bench.ask("model", model=table, ids=rows, quantize="nf4")
        weights = starting(out, "weight:")
        head = weights.pop("lm_head.weight")
        base = LlamaForCausalLM.from_pretrained(folder)
        plain_weights = dict(base.state_dict())
        for key in weights:
            expected, farthest = nf4_numbers(plain_weights[key])
            bench.check(f"nf4{name}: bit for bit bitsandbytes' numbers, {key}", torch.equal(weights[key], expected) and farthest <= 1, (weights[key] != expected).sum().item())
        whole = sum(value.dim() == 2 and value.shape[1] % 64 == 0 for key, value in plain_weights.items() if "layers" in key)
        bench.check(f"nf4{name}: every matrix of whole blocks, and the head as it is", len(weights) == whole and torch.equal(head, plain_weights["lm_head.weight"]), len(weights))
        base.load_state_dict({**plain_weights, **weights})
        base.save_pretrained(rounded := bench.new_folder())
        model = with_adapter(rounded, targets)
        theirs = reference(model.get_base_model(), rows)
        theirs["loss"].backward()
        gradients = {plain(key): p.grad for key, p in model.named_parameters() if p.requires_grad}
        bench.compare(f"lora over nf4{name}: hidden, logits, loss", {key: out[key] for key in theirs}, theirs)
        bench.compare(f"lora over nf4{name}: gradients of A and B", starting(out, "grad:llm.peft.0:"), gradients, gradients=gradients)
        with torch.no_grad():
            answers = [model.get_base_model().generate(torch.tensor([row]), max_new_tokens=12, do_sample=False, eos_token_id=None, pad_token_id=0)[0, len(row):].tolist() for row in rows]
        got, _ = bench.ask("generate", model=table, ids=rows, max_tokens=12, quantize="nf4")
        bench.check(f"lora over nf4{name}: 12 greedy tokens", got["tokens"] == answers)


def by_definition(file, name):
    """What the packed values of a file stand for: a number of the map for each half byte, times the scale of its block."""
    state = json.loads(bytes(next(file[key] for key in file if key.startswith(f"{name}.quant_state.")).tolist()))
    scales = file[f"{name}.absmax"]
    if "nested_blocksize" in state:
        nested = file[f"{name}.nested_absmax"].repeat_interleave(state["nested_blocksize"])[: scales.numel()]
        scales = file[f"{name}.nested_quant_map"][scales.int()] * nested + torch.tensor(state["nested_offset"])
    halves = torch.stack([file[name] >> 4, file[name] & 15], -1).flatten()
    rows, columns = state["shape"]
    values = file[f"{name}.quant_map"][halves.int()][: rows * columns]
    return (values * scales.repeat_interleave(state["blocksize"])[: rows * columns]).view(rows, columns).to(getattr(torch, state["dtype"]))


def stored(bench):
    """Checkpoints that transformers has saved in 4 bits: their numbers bit for bit, and what the model computes with them."""
    import bitsandbytes.functional as bits
    from safetensors.torch import load_file
    from transformers import BitsAndBytesConfig

    rows = rows_of([13, 6, 21])
    for kind, double, dtype in (("nf4", True, torch.bfloat16), ("nf4", False, torch.float32), ("fp4", True, torch.float16)):
        folder, saved = bench.new_folder(), bench.new_folder()
        tiny.llama(folder, hidden_size=64, intermediate_size=128, attention_bias=True)
        config = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type=kind, bnb_4bit_use_double_quant=double)
        LlamaForCausalLM.from_pretrained(folder, quantization_config=config, dtype=dtype, device_map="cpu").save_pretrained(saved)
        file, case = load_file(saved / "model.safetensors"), f"checkpoint in {kind}{', scales in 8 bits' if double else ''}, {str(dtype).removeprefix('torch.')}"
        names = sorted({key.split(".quant_state.")[0] for key in file if ".quant_state." in key})
        expected = {name: by_definition(file, name) for name in names}
        near = max((bits.dequantize_4bit(file[name], bits.QuantState.from_dict({key[len(name) + 1:]: value for key, value in file.items() if key.startswith(name + ".")}, torch.device("cpu"))).float()
                    - value.float()).abs().max().item() for name, value in expected.items())
        bench.check(f"{case}: the definition is bitsandbytes'", len(names) == 3 * 7 and near <= 1e-3, near)
        _, out = bench.ask("model", model=model_table(saved, trainable=False), ids=rows, merge=True)
        bench.check(f"{case}: bit for bit its numbers", all(torch.equal(out[f"weight:{name}"], value.float()) for name, value in expected.items()), f"{len(names)} matrices")
        model = LlamaForCausalLM.from_pretrained(folder)
        plain = {key: value for key, value in file.items() if key in model.state_dict() and key not in expected}
        model.load_state_dict({**model.state_dict(), **{key: value.float() for key, value in {**plain, **expected}.items()}})
        theirs = reference(model, rows)
        bench.compare(f"{case}: hidden, logits, loss", {key: out[key] for key in theirs}, theirs)


def run(bench):
    nf4(bench)
    stored(bench)
    rows = rows_of([13, 6, 21])
    for format in ("int8", "int4"):
        for tied in (False, True):
            folder, adapter = bench.new_folder(), bench.new_folder()
            tiny.llama(folder, hidden_size=64, intermediate_size=96, tie_word_embeddings=tied, attention_bias=True)
            targets = dict(target_modules=["q_proj", "v_proj", "down_proj"])
            with_adapter(folder, targets).save_pretrained(adapter)
            table = model_table(folder, trainable=False) + peft_table(f'targets = {targets["target_modules"]}', adapter)
            _, out = bench.ask("model", model=table, ids=rows, quantize=format)
            weights = starting(out, "weight:")
            base = LlamaForCausalLM.from_pretrained(folder)
            plain_weights = dict(base.state_dict())
            moved = max((weights[name] - plain_weights[name]).abs().max().item() for name in weights)
            base.load_state_dict({**plain_weights, **weights, **({"model.embed_tokens.weight": weights["lm_head.weight"]} if tied else {})})
            base.save_pretrained(rounded := bench.new_folder())
            model = with_adapter(rounded, targets)
            theirs = reference(model.get_base_model(), rows)
            theirs["loss"].backward()
            gradients = {plain(key): p.grad for key, p in model.named_parameters() if p.requires_grad}
            case = f"lora over {format}{', tied embeddings' if tied else ''}"
            bench.check(f"{case}: every matrix is rounded", len(weights) == 3 * 7 + 1 and moved > 1e-4, moved)
            bench.compare(f"{case}: hidden, logits, loss", {key: out[key] for key in theirs}, theirs)
            bench.compare(f"{case}: gradients of A and B", starting(out, "grad:llm.peft.0:"), gradients, gradients=gradients)
