"""LoRA of peft over a language model in 8 and 4 bits, against peft over what these bits stand for: loss, gradients."""
import torch
from transformers import LlamaForCausalLM

from . import tiny
from .common import starting
from .decoders import model_table, reference, rows_of
from .lora import peft_table, plain, with_adapter


def run(bench):
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
