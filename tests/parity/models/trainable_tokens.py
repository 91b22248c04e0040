"""trainable_tokens against peft: forward, gradients, some steps of training, files in both directions, merging; of an embedding that is the
head, too."""
import json

import torch
from peft import PeftModel, TrainableTokensConfig, get_peft_model
from safetensors.torch import load_file
from transformers import LlamaForCausalLM

from . import tiny
from .common import starting
from .decoders import model_table, reference
from .lora_forms import STEPS, TRAIN, adamw, trained, written_by
from .lora_tables import TOKENS, rows_with_tokens

# What peft is given, what ours is, and whether the head is the embedding.
CASES = {
    "the embedding": (None, "", False),
    "the head": (["lm_head"], 'tables = ["lm_head"]', False),
    "both": (["embed_tokens", "lm_head"], 'tables = ["embed_tokens", "lm_head"]', False),
    "an embedding that is the head": (["embed_tokens"], "", True),
    "a head that is the embedding": (["lm_head"], 'tables = ["lm_head"]', True),
}


def table(folder, options, weights="", tokens=TOKENS):
    weights = f'weights = "{weights}"\n' if weights else ""
    return model_table(folder, trainable=False) + f'[[llm.peft]]\nplugin = "trainable_tokens"\ntoken_indices = {tokens}\n{weights}{options}\n'


def in_peft(folder, targets, seed=47):
    model = get_peft_model(LlamaForCausalLM.from_pretrained(folder), TrainableTokensConfig(token_indices=list(TOKENS), target_modules=targets)).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return model


def by_table(tensors):
    """Behind the name of ours may stand which tokens these are."""
    return {name.partition("#")[0].replace("base_model.model.", "").replace(".default", ""): value for name, value in tensors.items()}


def one(bench, name, targets, options, tied, folder):
    rows = rows_with_tokens()
    model = in_peft(folder, targets)
    adapter, written = written_by(bench, model), bench.new_folder()
    theirs = reference(model.get_base_model(), rows)
    theirs["loss"].backward()
    gradients = by_table({key: p.grad for key, p in model.named_parameters() if p.requires_grad})
    _, out = bench.ask("model", model=table(folder, options, adapter), ids=rows)
    bench.compare(f"trainable_tokens, {name}: peft's rows in ours", {key: out[key] for key in theirs}, theirs)
    bench.compare(f"trainable_tokens, {name}: gradients", by_table(starting(out, "grad:llm.peft.0:")), gradients, gradients=gradients)
    slot = f'[[llm.peft]]\nplugin = "trainable_tokens"\nweights = "{adapter}"\n'
    _, out = bench.ask("model", model=model_table(folder, trainable=False) + slot, ids=rows)
    bench.compare(f"trainable_tokens, {name}: as the folder says it was made", {"logits": out["logits"]}, {"logits": theirs["logits"]})
    _, out = bench.ask("model", model=table(folder, options, adapter), ids=rows, steps=STEPS, train=TRAIN, save_adapter=written)
    model.zero_grad()
    trained(model, rows, adamw(model))
    theirs = {"logits": reference(model.get_base_model(), rows)["logits"]}
    bench.compare(f"trainable_tokens, {name}: {STEPS} steps", {"logits": out["logits"]}, theirs)
    bench.compare(f"trainable_tokens, {name}: the file after {STEPS} steps", load_file(written / "adapter_model.safetensors"), load_file(written_by(bench, model) / "adapter_model.safetensors"))
    again = PeftModel.from_pretrained(LlamaForCausalLM.from_pretrained(folder), written).eval()
    bench.compare(f"trainable_tokens, {name}: our rows in peft", {"logits": reference(again.get_base_model(), rows)["logits"]}, theirs)
    if tied and targets == ["lm_head"]:
        bench.refused(f"trainable_tokens, {name}: it does not become part of what is both", "the head is the embedding", "model", model=table(folder, options, written), ids=rows, merge=True)
        return
    _, merged = bench.ask("model", model=table(folder, options, written), ids=rows, merge=True)
    bench.compare(f"trainable_tokens, {name}: merged model", {"logits": merged["logits"]}, theirs)
    tables = ["model.embed_tokens.weight"] + ([] if tied else ["lm_head.weight"])
    expected = dict(model.merge_and_unload().state_dict())
    bench.compare(f"trainable_tokens, {name}: merged tables", {key: merged[f"weight:{key}"] for key in tables}, {key: expected[key] for key in tables})


def starts(bench, folder):
    rows, written = rows_with_tokens(), bench.new_folder()
    model = LlamaForCausalLM.from_pretrained(folder)
    _, out = bench.ask("model", model=table(folder, ""), ids=rows, save_adapter=written)
    bench.compare("trainable_tokens: they start at the base", {"logits": out["logits"]}, {"logits": reference(model, rows)["logits"]})
    bench.compare("trainable_tokens: the file has their rows", load_file(written / "adapter_model.safetensors"), {"base_model.model.model.embed_tokens.trainable_tokens_delta": model.model.embed_tokens.weight[TOKENS]})
    config = json.loads((written / "adapter_config.json").read_text())
    bench.check("trainable_tokens: the configuration names them", [config[key] for key in ("peft_type", "token_indices", "target_modules")] == ["TRAINABLE_TOKENS", TOKENS, ["embed_tokens"]])


def refusals(bench, folder):
    rows, adapter = [[1, 2, 3]], written_by(bench, in_peft(folder, None))
    for name, how, word in [("other tokens than were trained", dict(tokens=TOKENS[::-1], weights=adapter), "token_indices"), ("a token that is not there", dict(tokens=[96]), "96 is not a token"), ("a token twice", dict(tokens=[3, 3]), "there twice"),
                            ("no tokens", dict(tokens=[]), "expected a list of ids"), ("no table", dict(options="tables = []"), "names none"), ("a table that is not there", dict(options='tables = ["norm"]'), "no table of tokens 'norm'")]:
        bench.refused(f"trainable_tokens refuses {name}", word, "model", model=table(folder, how.pop("options", ""), **how), ids=rows)


def run(bench):
    folder, tied = bench.new_folder(), bench.new_folder()
    tiny.llama(folder, tie_word_embeddings=False)
    tiny.llama(tied, tie_word_embeddings=True)
    for name, (targets, options, is_tied) in CASES.items():
        one(bench, name, targets, options, is_tied, tied if is_tied else folder)
    starts(bench, folder)
    refusals(bench, folder)
