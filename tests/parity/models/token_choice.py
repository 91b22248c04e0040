"""Methods that change some tokens only, against peft's layers where these tokens are and the layers below them elsewhere: forward,
gradients, steps of training, with blocks computed again."""
import torch
from peft import IA3Config, LoraConfig, VeraConfig, get_peft_model
from safetensors.torch import load_file
from transformers import LlamaForCausalLM

from . import tiny
from .decoders import model_table, reference, rows_of
from .lora_forms import STEPS, TRAIN, adamw, gradients_of, ours, written_by

LENGTHS, MEDIA = [13, 6, 21], [[[2, 4], [9, 3]], [], [[0, 2], [20, 1]]]  # [begin, tokens] of each row's media
CASES = {
    "lora": (LoraConfig, dict(r=4, lora_alpha=12, target_modules="all-linear"), 'plugin = "lora"\nrank = 4\nalpha = 12\ntargets = "all-linear"'),
    "dora": (LoraConfig, dict(r=4, lora_alpha=12, target_modules=["v_proj", "up_proj"], use_dora=True), 'plugin = "lora"\nrank = 4\nalpha = 12\ndora = true\ntargets = ["v_proj", "up_proj"]'),
    "vera": (VeraConfig, dict(r=6, target_modules=["q_proj", "o_proj"], d_initial=0.3), 'plugin = "vera"\nrank = 6\nd_initial = 0.3\ntargets = ["q_proj", "o_proj"]'),
    "ia3": (IA3Config, dict(target_modules=["k_proj", "v_proj", "down_proj"], feedforward_modules=["down_proj"]), 'plugin = "ia3"'),
}


def of_kind(module, chosen):
    """What the layer gives, where the tokens of the text that is read now are chosen."""
    whole = module.forward

    def forward(x, *args, **kwargs):
        return torch.where(chosen["now"][:, None], whole(x, *args, **kwargs), module.base_layer(x))

    module.forward = forward


def in_peft(folder, config, settings, kind):
    model, chosen, generator = get_peft_model(LlamaForCausalLM.from_pretrained(folder), config(**settings)).eval(), {}, torch.Generator().manual_seed(61)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.requires_grad:
                noise = 0.1 * torch.randn(p.shape, generator=generator)
                p.copy_(p * (1 + noise) if "magnitude" in name or "ia3" in name else p + noise)
    for module in model.modules():
        if hasattr(module, "base_layer"):
            of_kind(module, chosen)
    masks = []
    for length, spans in zip(LENGTHS, MEDIA):
        mask = torch.zeros(length, dtype=torch.bool)
        for begin, tokens in spans:
            mask[begin:begin + tokens] = True
        masks.append(mask if kind == "media" else ~mask)
    return model, chosen, masks


def all_of(model, rows, chosen, masks):
    found = []
    for row, mask in zip(rows, masks):
        chosen["now"] = mask
        found.append(reference(model.get_base_model(), [row]))
    token_loss = torch.cat([one["token_loss"] for one in found])
    return {"logits": torch.cat([one["logits"] for one in found]), "loss": token_loss.mean(), "token_loss": token_loss}


def run(bench):
    folder, rows = bench.new_folder(), rows_of(LENGTHS)
    tiny.llama(folder)
    for name, (config, settings, options) in CASES.items():
        for kind in ("media", "text"):
            model, chosen, masks = in_peft(folder, config, settings, kind)
            adapter, written = written_by(bench, model), bench.new_folder()
            table = model_table(folder, trainable=False) + f'[[llm.peft]]\nonly = "{kind}"\nweights = "{adapter}"\n{options}\n'
            theirs = all_of(model, rows, chosen, masks)
            theirs["loss"].backward()
            _, out = bench.ask("model", model=table, ids=rows, media=MEDIA)
            bench.compare(f"{name} of {kind}", {key: out[key] for key in theirs}, theirs)
            bench.compare(f"{name} of {kind}: gradients", ours(out), gradients_of(model), gradients=gradients_of(model))
            model.zero_grad()
            optimizer = adamw(model)
            for _ in range(STEPS):
                optimizer.zero_grad()
                all_of(model, rows, chosen, masks)["loss"].backward()
                optimizer.step()
            _, out = bench.ask("model", model=table, ids=rows, media=MEDIA, steps=STEPS, train=TRAIN, save_adapter=written)
            bench.compare(f"{name} of {kind}: the file after {STEPS} steps", load_file(written / "adapter_model.safetensors"), load_file(written_by(bench, model) / "adapter_model.safetensors"))
            bench.refused(f"{name} of {kind} cannot be merged", "cannot become part of the weights", "model", model=table, ids=rows, merge=True)
