"""ptuning against peft: loss, hidden states, gradients of the prompt encoder, greedy answers, files in both directions."""
import torch
import torch.nn.functional as F
from peft import PeftModel, PromptEncoderConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import LlamaForCausalLM

from . import tiny
from .common import starting
from .decoders import model_table, rows_of

TOKENS = 6
CASES = {
    "mlp": (dict(encoder_reparameterization_type="MLP", encoder_hidden_size=20), 'encoder = "mlp"\nencoder_size = 20'),
    "lstm": (dict(encoder_reparameterization_type="LSTM", encoder_hidden_size=12), 'encoder = "lstm"\nencoder_size = 12'),
    "lstm of one layer": (dict(encoder_reparameterization_type="LSTM", encoder_hidden_size=8, encoder_num_layers=1), 'encoder = "lstm"\nencoder_size = 8\nencoder_layers = 1'),
}


def input_leaves(model, rows):
    """The gradient of the mean loss with respect to the embeddings of the text."""
    leaves = [model.model.embed_tokens(torch.tensor([row])).detach().requires_grad_(True) for row in rows]
    losses = []
    for leaf, row in zip(leaves, rows):
        logits = model(inputs_embeds=leaf).logits[0]
        losses.append(F.cross_entropy(logits[:-1], torch.tensor(row[1:]), reduction="none"))
    torch.cat(losses).mean().backward()
    return torch.cat([leaf.grad[0] for leaf in leaves])


def table(folder, options, weights=""):
    weights = f'weights = "{weights}"\n' if weights else ""
    return model_table(folder, trainable=False) + f'[[llm.peft]]\nplugin = "ptuning"\ntokens = {TOKENS}\n{weights}{options}\n'


def losses_of(model, rows):
    """Every sequence alone, its first token predicted by the last virtual one, as peft's labels have it."""
    logits = [model(input_ids=torch.tensor([row])).logits[0] for row in rows]
    losses = [F.cross_entropy(out[TOKENS - 1:-1], torch.tensor(row), reduction="none") for out, row in zip(logits, rows)]
    return torch.cat(logits), torch.cat(losses)


def one(bench, name, settings, options, folder):
    rows = rows_of([13, 1, 21])
    config = PromptEncoderConfig(task_type="CAUSAL_LM", num_virtual_tokens=TOKENS, **settings)
    model = get_peft_model(LlamaForCausalLM.from_pretrained(folder), config).eval()
    encoder = model.prompt_encoder["default"]
    values = bench.new_folder() / "values.safetensors"
    save_file({f"llm.peft.0/{key}": p.detach().clone().contiguous() for key, p in encoder.named_parameters()}, values)
    logits, token_loss = losses_of(model, rows)
    with torch.no_grad():
        mean = torch.stack([model(input_ids=torch.tensor([row]), labels=torch.tensor([row])).loss * len(row) for row in rows]).sum() / sum(map(len, rows))
    token_loss.mean().backward()
    gradients = {key: p.grad for key, p in encoder.named_parameters()}
    written = bench.new_folder()
    answer, out = bench.ask("model", model=table(folder, options), ids=rows, values=values, save_adapter=written)
    bench.compare(f"ptuning {name}: logits, loss", {key: out[key] for key in ("logits", "token_loss", "loss")}, {"logits": logits, "token_loss": token_loss, "loss": mean})
    bench.check(f"ptuning {name}: lengths and places", answer["lengths"] == [TOKENS + len(row) for row in rows], answer["lengths"])
    bench.compare(f"ptuning {name}: gradients", starting(out, "grad:llm.peft.0:"), gradients, gradients=gradients)
    theirs = bench.new_folder()
    model.save_pretrained(theirs)
    bench.compare(f"ptuning {name}: what is written", load_file(written / "adapter_model.safetensors"), load_file(theirs / "adapter_model.safetensors"))
    again = PeftModel.from_pretrained(LlamaForCausalLM.from_pretrained(folder), written).eval()
    bench.compare(f"ptuning {name}: our file in peft", {"logits": losses_of(again, rows)[0]}, {"logits": logits})
    read = table(folder, 'encoder = "none"', theirs)
    _, out = bench.ask("model", model=read, ids=rows)
    bench.compare(f"ptuning {name}: peft's file in ours", {"logits": out["logits"]}, {"logits": logits})
    answers(bench, f"ptuning {name}", again, read, rows)
    bench.refused(f"ptuning {name}: peft's file, where an encoder is to be trained", 'encoder = "none"', "model", model=table(folder, options, theirs), ids=rows)


def answers(bench, name, model, table, rows):
    expected = []
    with torch.no_grad():
        for row in rows:
            x = torch.cat([model.get_prompt(1), model.get_base_model().model.embed_tokens(torch.tensor([row]))], 1)
            out = model.get_base_model().generate(inputs_embeds=x, attention_mask=torch.ones(x.shape[:2]), max_new_tokens=16, do_sample=False, eos_token_id=None, pad_token_id=0)
            expected.append(out[0].tolist())
    got, _ = bench.ask("generate", model=table, ids=rows, max_tokens=16)
    bench.check(f"{name}: 16 greedy tokens", got["tokens"] == expected)


def run(bench):
    folder = bench.new_folder()
    tiny.llama(folder)
    for name, (settings, options) in CASES.items():
        one(bench, name, settings, options, folder)
    bench.refused("ptuning cannot be merged", "cannot become part of the weights", "model", model=table(folder, ""), ids=[[1, 2]], merge=True)
