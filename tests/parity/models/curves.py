"""The loss of each step of training, from equal weights over equal batches in equal order, of every method of fine-tuning: against peft, or
the method's definition in torch. As a run trains: weight decay of matrices alone, gradients clipped, a rate that rises and falls. 20 steps; 200
with ANTIPHON_LONG (`./dev test --long`)."""
import math
import os

import torch
from peft import LNTuningConfig, PromptEncoderConfig, PromptTuningConfig, get_peft_model
from peft.optimizers import create_loraplus_optimizer
from safetensors.torch import save_file
from transformers import LlamaForCausalLM

from . import adapters, ia3, lora_forms, parallel_adapters, prefix_tuning, prompt_tuning, ptuning, selective, tiny, vera
from .common import starting
from .decoders import model_table, reference, rows_of
from .lora_forms import EPS, LR, in_peft, written_by
from .qlora import nf4_numbers

LONG = 200 if os.environ.get("ANTIPHON_LONG") else 20
LIMIT = 1e-5
DECAY, CLIP, WARMUP, LEAST = 1.0, 0.5, LONG // 5, 0.1
BATCHES = [rows_of(lengths, seed=80 + i) for i, lengths in enumerate(([13, 6, 21], [5, 17], [9, 9, 9, 2], [30], [4, 11, 7]))]
LORA = {
    "lora": (dict(target_modules="all-linear"), 'targets = "all-linear"'),
    "lora, rslora, patterns": (dict(target_modules=["q_proj", "v_proj"], use_rslora=True, rank_pattern={"v_proj": 2}), 'targets = ["q_proj", "v_proj"]\nrslora = true\nrank_pattern = { v_proj = 2 }'),
    "lora, biases, a whole module": (dict(target_modules=["q_proj"], bias="all", modules_to_save=["norm"]), 'targets = ["q_proj"]\nbias = "all"\nmodules_to_save = ["norm"]'),
    "lora, some left out, their biases": (dict(target_modules="all-linear", exclude_modules=["k_proj"], bias="lora_only"), 'targets = "all-linear"\nexclude_modules = ["k_proj"]\nbias = "lora_only"'),
    "lora, layers by number": (dict(target_modules=["v_proj", "down_proj"], layers_to_transform=[0, 2]), 'targets = ["v_proj", "down_proj"]\nlayers_to_transform = [0, 2]'),
    "dora": (dict(target_modules=["q_proj", "down_proj"], use_dora=True), 'targets = ["q_proj", "down_proj"]\ndora = true'),
}
OVER_BITS = {
    "lora over nf4": ("nf4", dict(target_modules="all-linear"), 'targets = "all-linear"'),
    "dora over nf4": ("nf4", dict(target_modules=["q_proj", "down_proj"], use_dora=True), 'targets = ["q_proj", "down_proj"]\ndora = true'),
    "lora over int8": ("int8", dict(target_modules=["q_proj", "v_proj", "down_proj"]), 'targets = ["q_proj", "v_proj", "down_proj"]'),
    "lora over int4": ("int4", dict(target_modules=["q_proj", "v_proj", "down_proj"]), 'targets = ["q_proj", "v_proj", "down_proj"]'),
}


def of_rows(model):
    return lambda rows: reference(model, rows)["loss"]


def of_tokens(losses_of, model):
    return lambda rows: losses_of(model, rows)[1].mean()


def rate_at(step):
    """Of the peak: up in a line, then down along a cosine."""
    if step < WARMUP:
        return (step + 1) / WARMUP
    return LEAST + (1 - LEAST) * (1 + math.cos(math.pi * (step - WARMUP) / (LONG - WARMUP))) / 2


def decaying(parameters):
    """Matrices decay, vectors (of one row or column, too) do not."""
    is_matrix = lambda p: p.dim() > 1 and min(p.shape) > 1
    return [{"params": [p for p in parameters if is_matrix(p)], "weight_decay": DECAY}, {"params": [p for p in parameters if not is_matrix(p)], "weight_decay": 0.0}]


def train_table(rate, groups):
    return (f'clip_norm = {CLIP}\n[optimizer]\nname = "adamw"\nlr = {rate}\neps = {EPS}\nweight_decay = {DECAY}\n'
            f'[schedule]\nname = "cosine"\nwarmup_steps = {WARMUP}\nmin_ratio = {LEAST}\n{groups}')


def compared(bench, name, loss_of, parameters, mine, rate=LR, optimizer=None, groups="", batches=BATCHES, of="ids", **request):
    """`batches`: what `loss_of` takes of each step in turn; `of`: what they are to ours, "ids" or "samples"."""
    optimizer = optimizer or torch.optim.AdamW(decaying(parameters), lr=rate, eps=EPS)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate_at)
    losses, norms = [], []
    for step in range(LONG):
        optimizer.zero_grad()
        loss = loss_of(batches[step % len(batches)])
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(parameters, CLIP).item())
        optimizer.step()
        schedule.step()
        losses.append(loss.detach())
    _, out = bench.ask("model", model=mine, curve=batches, steps=LONG, train=train_table(rate, groups), as_a_run=True, **{of: batches[0]}, **request)
    theirs = torch.stack(losses)
    bench.compare(f"curves, {name}: losses of {LONG} steps", {"losses": out["curve"]}, {"losses": theirs}, limit=LIMIT)
    rounds = theirs.view(-1, len(batches)).mean(1)
    bench.check(f"curves, {name}: it learns", rounds[-1] < rounds[0] - 1e-3, f"{rounds[0] - rounds[-1]:.1e}; norms of gradients {min(norms):.2f} to {max(norms):.2f}")


def learnt(model):
    return [p for p in model.parameters() if p.requires_grad]


def values_of(bench, named):
    path = bench.new_folder() / "values.safetensors"
    save_file({f"llm.peft.0/{key}": p.detach().clone().contiguous() for key, p in named.items()}, path)
    return path


def in_files(bench, folder):
    """Methods that begin with what peft wrote."""
    torch.manual_seed(4)
    for name, (settings, options) in LORA.items():
        model = in_peft(folder, **settings)
        # At LR peft in float32 is as far from peft in float64 after 160 steps as ours is.
        compared(bench, name, of_rows(model.get_base_model()), learnt(model), lora_forms.table(folder, options, written_by(bench, model)), rate=LR / 4)
    model = vera.in_vera(folder, target_modules=["q_proj", "up_proj"])
    compared(bench, "vera", of_rows(model.get_base_model()), learnt(model), vera.table(folder, 'targets = ["q_proj", "up_proj"]', written_by(bench, model)))
    model = ia3.with_scales(folder, dict(target_modules=["k_proj", "v_proj", "down_proj"], feedforward_modules=["down_proj"]))
    compared(bench, "ia3", of_rows(model.get_base_model()), learnt(model), model_table(folder, False) + ia3.table('targets = ["k_proj", "v_proj", "down_proj"]\nfeedforward = ["down_proj"]', written_by(bench, model)))
    model = get_peft_model(LlamaForCausalLM.from_pretrained(folder), LNTuningConfig(target_modules=["norm", "input_layernorm"])).eval()
    compared(bench, "selective", of_rows(model.get_base_model()), learnt(model), selective.table(folder, 'targets = ["*norm*"]\nexclude = ["post_attention_layernorm"]', written_by(bench, model)))
    model = get_peft_model(LlamaForCausalLM.from_pretrained(folder), PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=prompt_tuning.TOKENS)).eval()
    compared(bench, "prompt_tuning", of_tokens(ptuning.losses_of, model), learnt(model), prompt_tuning.table(folder, "", written_by(bench, model)))
    model = get_peft_model(LlamaForCausalLM.from_pretrained(folder), lora_forms.LoraConfig(r=4, lora_alpha=12, init_lora_weights="pissa", target_modules=["q_proj", "down_proj"])).eval()
    compared(bench, "pissa", of_rows(model.get_base_model()), learnt(model), lora_forms.table(folder, 'targets = ["q_proj", "down_proj"]\ninit = "pissa"'))


def starts_and_rates(bench, folder):
    """LoRA's orthogonal start, and LoRA+: B learns sixteen times as fast as A."""
    torch.manual_seed(6)
    model = get_peft_model(LlamaForCausalLM.from_pretrained(folder), lora_forms.LoraConfig(r=4, lora_alpha=12, init_lora_weights="orthogonal", target_modules=["q_proj", "down_proj"])).eval()
    compared(bench, "lora, an orthogonal start", of_rows(model.get_base_model()), learnt(model), lora_forms.table(folder, 'targets = ["q_proj", "down_proj"]', written_by(bench, model)), rate=LR / 4)
    model, slow = in_peft(folder, target_modules=["q_proj", "down_proj"]), LR / 16
    plus = create_loraplus_optimizer(model, torch.optim.AdamW, lr=slow, loraplus_lr_ratio=16, loraplus_weight_decay=DECAY, eps=EPS)
    compared(bench, "lora, rates of LoRA+", of_rows(model.get_base_model()), learnt(model), lora_forms.table(folder, 'targets = ["q_proj", "down_proj"]', written_by(bench, model)), rate=slow, optimizer=plus,
             groups=f'[[groups]]\nmatch = "*.lora_B.weight"\nlr = {16 * slow}\n')


def rounded(bench, folder, format):
    """The model with the numbers that the bits stand for: bitsandbytes' of nf4, else those of ours, which qlora.py compares."""
    base = LlamaForCausalLM.from_pretrained(folder)
    weights = {key: value for key, value in base.state_dict().items() if "layers" in key and value.dim() == 2}
    if format == "nf4":
        weights = {key: nf4_numbers(value)[0] for key, value in weights.items()}
    else:
        weights = starting(bench.ask("model", model=model_table(folder, False), ids=BATCHES[0], quantize=format)[1], "weight:")
    base.load_state_dict({**base.state_dict(), **weights})
    base.save_pretrained(target := bench.new_folder())
    return target


def over_bits(bench):
    """QLoRA: over a language model in 4 and 8 bits."""
    folder = bench.new_folder()
    tiny.llama(folder, hidden_size=64, intermediate_size=128, attention_bias=True)
    for name, (format, settings, options) in OVER_BITS.items():
        model = in_peft(rounded(bench, folder, format), **settings)
        compared(bench, name, of_rows(model.get_base_model()), learnt(model), lora_forms.table(folder, options, written_by(bench, model)), rate=LR / 4, quantize=format)


def with_networks(bench, folder):
    """Methods whose files hold what a network computes: they begin with its values."""
    torch.manual_seed(5)
    for name, (settings, options) in ptuning.CASES.items():
        model = get_peft_model(LlamaForCausalLM.from_pretrained(folder), PromptEncoderConfig(task_type="CAUSAL_LM", num_virtual_tokens=ptuning.TOKENS, **settings)).eval()
        values = values_of(bench, dict(model.prompt_encoder["default"].named_parameters()))
        compared(bench, f"ptuning, {name}", of_tokens(ptuning.losses_of, model), learnt(model), ptuning.table(folder, options), values=values)
    for name, (settings, options) in {"": ({}, ""), ", a network": (prefix_tuning.NETWORK, "projection = true\nencoder_size = 10")}.items():
        model = prefix_tuning.in_peft(folder, **settings)
        values = values_of(bench, dict(model.prompt_encoder["default"].named_parameters()))
        compared(bench, f"prefix_tuning{name}", of_tokens(prefix_tuning.losses_of, model), learnt(model), prefix_tuning.table(folder, "llama", options), values=values)


def defined_here(bench, folder):
    """Methods that peft has not."""
    options, targets, activation, norm = adapters.CASES["houlsby"]
    model, found = adapters.adapted(folder, targets, activation, norm)
    mine = model_table(folder, False) + f'[[llm.peft]]\nplugin = "adapters"\nbottleneck = {adapters.WIDTH}\n{options}\n'
    compared(bench, "adapters", of_rows(model), list(adapters.named(found).values()), mine, values=values_of(bench, adapters.named(found)))
    options, sublayers, activation, scale, _ = parallel_adapters.CASES["both"]
    model, found = parallel_adapters.adapted(LlamaForCausalLM, folder, sublayers, activation, scale)
    named = {f"{path}.{key}": p for path, adapter in found.items() for key, p in adapter.named_parameters()}
    compared(bench, "parallel_adapters", of_rows(model), list(named.values()), parallel_adapters.table(folder, options), values=values_of(bench, named))


def run(bench):
    folder = bench.new_folder()
    tiny.llama(folder, attention_bias=True)
    in_files(bench, folder)
    starts_and_rates(bench, folder)
    over_bits(bench)
    with_networks(bench, folder)
    defined_here(bench, folder)
