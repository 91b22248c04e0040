"""prefix_tuning against peft: loss, gradients, some steps, greedy answers with a cache, files in both directions; a window, packing,
beside lora."""
import torch
import torch.nn.functional as F
from peft import PeftModel, PrefixTuningConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from . import tiny
from .common import starting
from .decoders import WINDOW, model_table, rows_of
from .lora_forms import STEPS, TRAIN, adamw

TOKENS = 6
MODELS = {"llama": ("llama", {}), "llama, all heads, biases": ("llama", dict(num_key_value_heads=4, attention_bias=True)), "llama, head_dim 20": ("llama", dict(head_dim=20)), "qwen2": ("qwen2", {}), "qwen2, window": ("qwen2", WINDOW)}
NETWORK = dict(prefix_projection=True, encoder_hidden_size=10)


def table(folder, plugin="llama", options="", weights=""):
    weights = f'weights = "{weights}"\n' if weights else ""
    return model_table(folder, trainable=False, plugin=plugin) + f'[[llm.peft]]\nplugin = "prefix_tuning"\ntokens = {TOKENS}\n{weights}{options}\n'


def in_peft(folder, seed=31, **settings):
    """From numbers of our own, so that both sides begin alike."""
    torch.manual_seed(seed)
    return get_peft_model(AutoModelForCausalLM.from_pretrained(folder), PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=TOKENS, **settings)).eval()


def losses_of(model, rows):
    """Every sequence alone; its first token is predicted by nothing."""
    logits = [model(input_ids=torch.tensor([row])).logits[0] for row in rows]
    return torch.cat(logits), torch.cat([F.cross_entropy(out[:-1], torch.tensor(row[1:], dtype=torch.long), reduction="none") for out, row in zip(logits, rows)])


def values_of(bench, encoder):
    path = bench.new_folder() / "values.safetensors"
    save_file({f"llm.peft.0/{key}": p.detach().clone().contiguous() for key, p in encoder.named_parameters()}, path)
    return path


def trained(model, rows):
    optimizer = adamw(model)
    for _ in range(STEPS):
        optimizer.zero_grad()
        losses_of(model, rows)[1].mean().backward()
        optimizer.step()
    model.zero_grad()


def answers(bench, name, model, mine, rows):
    expected = []
    for row in rows:  # without a cache, token by token: what a cache must not change
        row = list(row)
        with torch.no_grad():
            for _ in range(12):
                row.append(model(input_ids=torch.tensor([row])).logits[0, -1].argmax().item())
        expected.append(row[-12:])
    got, _ = bench.ask("generate", model=mine, ids=rows, max_tokens=12)
    bench.check(f"{name}: 12 greedy tokens", got["tokens"] == expected)


def one(bench, name, settings, options, folder, plugin):
    name, rows = f"prefix_tuning, {name}", rows_of([13, 2, 21])
    model = in_peft(folder, **settings)
    encoder = model.prompt_encoder["default"]
    mine, values, written, theirs = table(folder, plugin, options), values_of(bench, encoder), bench.new_folder(), bench.new_folder()
    logits, token_loss = losses_of(model, rows)
    token_loss.mean().backward()
    gradients = {key: p.grad for key, p in encoder.named_parameters()}
    answer, out = bench.ask("model", model=mine, ids=rows, values=values)
    bench.compare(f"{name}: logits, loss", {key: out[key] for key in ("logits", "token_loss")}, {"logits": logits, "token_loss": token_loss})
    bench.check(f"{name}: no places in the sequences", answer["lengths"] == [len(row) for row in rows], answer["lengths"])
    bench.compare(f"{name}: gradients", starting(out, "grad:llm.peft.0:"), gradients, gradients=gradients)
    steps = [[1, 1, 9], [6, 1, 0], [1, 0, 1], [5, 0, 11]]
    _, cached = bench.ask("cached", model=mine, ids=rows, steps=steps, values=values)
    bench.compare(f"{name}: through the cache, in pieces", {"hidden": cached["hidden"]}, {"hidden": out["hidden"]})
    _, out = bench.ask("model", model=mine, ids=rows, values=values, steps=STEPS, train=TRAIN, save_adapter=written)
    model.zero_grad()
    trained(model, rows)
    logits = losses_of(model, rows)[0]
    bench.compare(f"{name}: {STEPS} steps", {"logits": out["logits"]}, {"logits": logits})
    model.save_pretrained(theirs)
    bench.compare(f"{name}: the file after {STEPS} steps", load_file(written / "adapter_model.safetensors"), load_file(theirs / "adapter_model.safetensors"))
    again = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(folder), written).eval()
    bench.compare(f"{name}: our file in peft", {"logits": losses_of(again, rows)[0]}, {"logits": logits})
    read = table(folder, plugin, "", theirs)
    _, out = bench.ask("model", model=read, ids=rows)
    bench.compare(f"{name}: peft's file in ours", {"logits": out["logits"]}, {"logits": logits})
    answers(bench, name, again, read, rows)
    if options:
        bench.refused(f"{name}: peft's file, where a network is to be trained", "projection = false", "model", model=table(folder, plugin, options, theirs), ids=rows)


def beside_lora(bench, folder):
    """Keys and values before those of a language model whose layers are changed, too."""
    from .lora_forms import in_peft as lora_in_peft, written_by

    rows = rows_of([13, 6])
    changed = lora_in_peft(folder, target_modules=["k_proj", "v_proj"])
    lora, merged, prefix = written_by(bench, changed), bench.new_folder(), bench.new_folder()
    changed.merge_and_unload().save_pretrained(merged)
    model = in_peft(merged)
    model.save_pretrained(prefix)
    mine = table(folder, "llama", "", prefix) + f'[[llm.peft]]\nplugin = "lora"\nrank = 4\nalpha = 12\ntargets = ["k_proj", "v_proj"]\nweights = "{lora}"\n'
    _, out = bench.ask("model", model=mine, ids=rows)
    bench.compare("prefix_tuning beside lora", {"logits": out["logits"]}, {"logits": losses_of(model, rows)[0]})


def run(bench):
    folders = {}
    for name, (plugin, changes) in MODELS.items():
        folder = folders[name] = bench.new_folder()
        getattr(tiny, plugin)(folder, **changes)
        for how, (settings, options) in {"": ({}, ""), ", a network": (NETWORK, "projection = true\nencoder_size = 10")}.items():
            one(bench, name + how, settings, options, folder, plugin)
    folder = folders["llama"]
    beside_lora(bench, folder)
    for how, options in {"": 'init = "zero"', ", a network": 'init = "zero"\nprojection = true'}.items():
        rows = rows_of([5, 9])
        model = in_peft(folder, init_weights="zero", prefix_projection=bool(how))
        _, out = bench.ask("model", model=table(folder, "llama", options), ids=rows)
        bench.compare(f"prefix_tuning, zero{how}: as peft's", {"logits": out["logits"]}, {"logits": losses_of(model, rows)[0]})
    written = bench.new_folder()
    bench.ask("model", model=table(folder), ids=[[1, 2]], save_adapter=written)
    values = load_file(written / "adapter_model.safetensors")["prompt_embeddings"]
    bench.check("prefix_tuning, random: normal numbers", values.std().sub(1).abs() < 0.15 and values.mean().abs() < 0.15, values.std())
    other = bench.new_folder()
    in_peft(folders["llama, all heads, biases"]).save_pretrained(other)
    for name, mine, word in [("another model's file", table(folder, "llama", "", other), "num_attention_heads"), ("a width without a network", table(folder, "llama", "encoder_size = 4"), "no effect"),
                             ("more than the model's positions", table(folder).replace(f"tokens = {TOKENS}", "tokens = 65536"), "positions")]:
        bench.refused(f"prefix_tuning refuses {name}", word, "model", model=mine, ids=[[1, 2]])
    bench.refused("prefix_tuning cannot be merged", "cannot become part of the weights", "model", model=table(folder), ids=[[1, 2]], merge=True)
