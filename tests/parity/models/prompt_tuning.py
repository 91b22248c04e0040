"""prompt_tuning against peft: loss, gradients, some steps, greedy answers, a start that is random and one that is a text, files in
both directions."""
import torch
from peft import PeftModel, PromptTuningConfig, get_peft_model
from safetensors.torch import load_file
from transformers import LlamaForCausalLM

from . import tiny
from .common import starting
from .conversations import make_tokenizer
from .decoders import model_table, rows_of
from .lora_forms import STEPS, TRAIN, adamw
from .ptuning import TOKENS, answers, losses_of

TEXTS = {"a short text, again and again": "cat", "a long text, cut off": "Listen, then look, then answer in one word."}


def table(folder, options="", weights=""):
    weights = f'weights = "{weights}"\n' if weights else ""
    return model_table(folder, trainable=False) + f'[[llm.peft]]\nplugin = "prompt_tuning"\ntokens = {TOKENS}\n{weights}{options}\n'


def one(bench, name, folder, settings, options):
    """`options`: of ours, from a start; none: from peft's file."""
    rows = rows_of([13, 1, 21])
    model = get_peft_model(LlamaForCausalLM.from_pretrained(folder), PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=TOKENS, **settings)).eval()
    theirs, written = bench.new_folder(), bench.new_folder()
    model.save_pretrained(theirs)
    mine = table(folder, options) if options else table(folder, "", theirs)
    logits, token_loss = losses_of(model, rows)
    token_loss.mean().backward()
    gradients = {"embedding.weight": model.prompt_encoder["default"].embedding.weight.grad}
    answer, out = bench.ask("model", model=mine, ids=rows)
    bench.compare(f"prompt_tuning, {name}: logits, loss", {key: out[key] for key in ("logits", "token_loss")}, {"logits": logits, "token_loss": token_loss})
    bench.check(f"prompt_tuning, {name}: lengths", answer["lengths"] == [TOKENS + len(row) for row in rows], answer["lengths"])
    bench.compare(f"prompt_tuning, {name}: gradients", starting(out, "grad:llm.peft.0:"), gradients, gradients=gradients)
    _, out = bench.ask("model", model=mine, ids=rows, steps=STEPS, train=TRAIN, save_adapter=written)
    optimizer = adamw(model)
    for _ in range(STEPS):
        optimizer.zero_grad()
        losses_of(model, rows)[1].mean().backward()
        optimizer.step()
    logits = losses_of(model, rows)[0]
    bench.compare(f"prompt_tuning, {name}: {STEPS} steps", {"logits": out["logits"]}, {"logits": logits})
    model.save_pretrained(theirs)
    bench.compare(f"prompt_tuning, {name}: the file after {STEPS} steps", load_file(written / "adapter_model.safetensors"), load_file(theirs / "adapter_model.safetensors"))
    again = PeftModel.from_pretrained(LlamaForCausalLM.from_pretrained(folder), written).eval()
    bench.compare(f"prompt_tuning, {name}: our file in peft", {"logits": losses_of(again, rows)[0]}, {"logits": logits})
    read = table(folder, "", theirs)
    _, out = bench.ask("model", model=read, ids=rows)
    bench.compare(f"prompt_tuning, {name}: peft's file in ours", {"logits": out["logits"]}, {"logits": logits})
    answers(bench, f"prompt_tuning, {name}", again, read, rows)


def with_lora(bench, folder):
    """Virtual tokens before a language model whose layers are changed, too."""
    from .lora_forms import in_peft, written_by

    rows = rows_of([13, 6])
    changed = in_peft(folder, target_modules=["v_proj"])
    lora, merged, prompt = written_by(bench, changed), bench.new_folder(), bench.new_folder()
    changed.merge_and_unload().save_pretrained(merged)
    model = get_peft_model(LlamaForCausalLM.from_pretrained(merged), PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=TOKENS)).eval()
    model.save_pretrained(prompt)
    mine = table(folder, "", prompt) + f'[[llm.peft]]\nplugin = "lora"\nrank = 4\nalpha = 12\ntargets = ["v_proj"]\nweights = "{lora}"\n'
    _, out = bench.ask("model", model=mine, ids=rows)
    bench.compare("prompt_tuning beside lora", {"logits": out["logits"]}, {"logits": losses_of(model, rows)[0]})


def run(bench):
    folder = bench.new_folder()
    make_tokenizer(folder)
    tiny.llama(folder, vocab_size=360)
    one(bench, "random", folder, {}, "")
    for name, text in TEXTS.items():
        one(bench, name, folder, dict(prompt_tuning_init="TEXT", prompt_tuning_init_text=text, tokenizer_name_or_path=str(folder)), f'init = "text"\ninit_text = "{text}"\ntokenizer = "{folder}"')
    with_lora(bench, folder)
    written = bench.new_folder()
    bench.ask("model", model=table(folder), ids=[[1, 2]], save_adapter=written)
    values = load_file(written / "adapter_model.safetensors")["prompt_embeddings"]
    bench.check("prompt_tuning, random: normal numbers", values.std().sub(1).abs() < 0.15 and values.mean().abs() < 0.15, values.std())
    bench.refused("prompt_tuning refuses a text without a tokenizer", "its tokenizer", "model", model=table(folder, 'init = "text"\ninit_text = "a cat"'), ids=[[1, 2]])
    bench.refused("prompt_tuning refuses a text beside a random start", "no effect", "model", model=table(folder, f'init_text = "a cat"\ntokenizer = "{folder}"'), ids=[[1, 2]])
    bench.refused("prompt_tuning cannot be merged", "cannot become part of the weights", "model", model=table(folder), ids=[[1, 2]], merge=True)
