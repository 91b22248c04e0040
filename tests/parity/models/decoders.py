"""llama, qwen2, qwen3, nemotron, mistral, ministral3, granite, gemma, qwen2_moe, qwen3_moe and mixtral: hidden states, logits, loss, every gradient, the KV cache and greedy answers."""
import json
import shutil

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from transformers import LlamaForCausalLM

from . import tiny
from .common import isolated, likeliest, named_gradients, starting

LLAMA3 = {"rope_type": "llama3", "rope_theta": 500.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 32}
YARN = {"rope_type": "yarn", "rope_theta": 1000.0, "factor": 4.0, "original_max_position_embeddings": 64}
LINEAR = {"rope_type": "linear", "rope_theta": 1000.0, "factor": 2.5}
WINDOW = dict(use_sliding_window=True, sliding_window=6, max_window_layers=1)
LLAMA = {
    "grouped queries": {},
    "all heads": dict(num_key_value_heads=4, tie_word_embeddings=False),
    "tied embeddings": dict(tie_word_embeddings=True),
    "biases": dict(attention_bias=True, mlp_bias=True, num_key_value_heads=1),
    "head_dim 20": dict(head_dim=20),
    "rope llama3": dict(rope_parameters=LLAMA3),
    "rope linear": dict(rope_parameters=LINEAR),
    "rope yarn": dict(rope_parameters=YARN),
    "rope yarn, settings of its own": dict(rope_parameters={**YARN, "attention_factor": 1.3, "beta_fast": 4.0, "beta_slow": 0.5, "truncate": False, "original_max_position_embeddings": 40}),
}
QWEN2 = {
    "grouped queries": {},
    "tied embeddings, all heads": dict(num_key_value_heads=4, tie_word_embeddings=True),
    "window in the upper layers": WINDOW,
    "window in all layers": {**WINDOW, "max_window_layers": 0, "sliding_window": 2},
    "window wider than the text": {**WINDOW, "sliding_window": 64},
}
QWEN3 = {
    "grouped queries": {},
    "head_dim 12, tied embeddings, all heads": dict(head_dim=12, num_key_value_heads=4, tie_word_embeddings=True),
    "biases, head_dim 20": dict(attention_bias=True, head_dim=20),
    "rope linear": dict(rope_parameters=LINEAR),
    "rope yarn, no factor": dict(rope_parameters={**YARN, "factor": None, "original_max_position_embeddings": 48}, max_position_embeddings=192),
    "rope yarn, two scales": dict(rope_parameters={**YARN, "mscale": 0.7, "mscale_all_dim": 0.4, "factor": 16.0}),
    "window in the upper layers": WINDOW,
}
QWEN3_MOE = {
    "two of five experts": {},
    "shares add up to 1, experts in every second layer": dict(norm_topk_prob=True, decoder_sparse_step=2),
    "a dense layer, tied embeddings, biases": dict(mlp_only_layers=[1], tie_word_embeddings=True, attention_bias=True),
    "four of five experts, window": dict(num_experts_per_tok=4, use_sliding_window=True, sliding_window=6),
    "one expert a token": dict(num_experts_per_tok=1),
}
QWEN2_MOE = {
    "two of five experts and one for all": {},
    "shares add up to 1, experts in every second layer": dict(norm_topk_prob=True, decoder_sparse_step=2),
    "a dense layer, tied embeddings, no biases, all heads": dict(mlp_only_layers=[1], tie_word_embeddings=True, qkv_bias=False, num_key_value_heads=4),
}
MIXTRAL = {
    "two of four experts": {},
    "three of four experts, window": dict(num_experts_per_tok=3, sliding_window=6),
    "tied embeddings, all heads": dict(num_key_value_heads=4, tie_word_embeddings=True),
}
NEMOTRON = {
    "half of each head turned": {},
    "all of each head turned, all heads": dict(partial_rotary_factor=1.0, num_key_value_heads=4),
    "a sixth, biases, tied": dict(partial_rotary_factor=0.17, attention_bias=True, mlp_bias=True, tie_word_embeddings=True),
}
GEMMA2 = {
    "alternating windows, caps": {},
    "caps that bite, all heads": dict(attn_logit_softcapping=1.5, final_logit_softcapping=2.0, num_key_value_heads=4),
    "no caps, biases, head_dim 12": dict(attn_logit_softcapping=None, final_logit_softcapping=None, attention_bias=True, head_dim=12, num_key_value_heads=1),
    "kinds of layers as listed, rope linear": dict(layer_types=["full_attention", "sliding_attention", "sliding_attention", "full_attention"], rope_parameters=LINEAR, sliding_window=2),
}
GEMMA3 = {
    "two periods, grouped queries": {},
    "all heads, untied embeddings, biases": dict(num_key_value_heads=4, tie_word_embeddings=False, attention_bias=True),
    "one key head, head_dim 12, another scale, window of two": dict(num_key_value_heads=1, head_dim=12, query_pre_attn_scalar=5, sliding_window=2),
    "rope linear in full layers, other bases": dict(rope_parameters={"full_attention": {**LINEAR, "factor": 8.0}, "sliding_attention": {"rope_type": "default", "rope_theta": 50.0}}),
    "kinds of layers as listed, logits capped": dict(layer_types=["full_attention"] * 2 + ["sliding_attention"] * 3 + ["full_attention"], final_logit_softcapping=2.0),
    "window wider than the text": dict(sliding_window=64),
}
MISTRAL = {
    "grouped queries": {},
    "window": dict(sliding_window=6),
    "no window, head_dim 20, tied embeddings": dict(sliding_window=None, head_dim=20, tie_word_embeddings=True),
    "rope linear, window of two, all heads": dict(rope_parameters=LINEAR, sliding_window=2, num_key_value_heads=4),
}
GROWING = {**YARN, "original_max_position_embeddings": 9, "max_position_embeddings": 256, "llama_4_scaling_beta": 0.1}  # rows have up to 40 tokens
MINISTRAL3 = {
    "queries that grow": dict(rope_parameters=GROWING),
    "growing fast, two scales, window, all heads": dict(rope_parameters={**GROWING, "llama_4_scaling_beta": 0.7, "mscale": 1.0, "mscale_all_dim": 0.5}, sliding_window=6, num_key_value_heads=4),
    "its own table of angles, head_dim 20, tied embeddings": dict(head_dim=20, tie_word_embeddings=True),
}
GRANITE = {
    "all multipliers": {},
    "others, biases, tied embeddings, rope linear": dict(embedding_multiplier=12.0, attention_multiplier=0.1, residual_multiplier=0.22, logits_scaling=0.5, attention_bias=True, mlp_bias=True, tie_word_embeddings=True, rope_parameters=LINEAR),
}
READ_BY = {"gemma2": "gemma", "gemma3": "gemma", "ministral3": "mistral"}


def rows_of(lengths, vocabulary=96, seed=11):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(vocabulary, (n,), generator=generator).tolist() for n in lengths]


def logits_of(model, hidden):
    """As its forward pass makes them of hidden states."""
    logits = model.lm_head(hidden) / getattr(model.config, "logits_scaling", 1)
    cap = getattr(model.config, "final_logit_softcapping", None)
    return cap * torch.tanh(logits / cap) if cap else logits


def reference(model, rows):
    """Every sequence alone: hidden states, logits, and the loss over all their positions but each first one."""
    hidden, logits, losses = [], [], []
    for row in rows:
        out = model.model(input_ids=torch.tensor([row])).last_hidden_state[0]
        hidden.append(out)
        logits.append(logits_of(model, out))
        losses.append(F.cross_entropy(logits[-1][:-1].float(), torch.tensor(row[1:], dtype=torch.long), reduction="none"))
    token_loss = torch.cat(losses)
    return {"hidden": torch.cat(hidden), "logits": torch.cat(logits), "loss": token_loss.mean(), "token_loss": token_loss}


def old_spelling(folder):
    """config.json as transformers 4 wrote it."""
    config = json.loads((folder / "config.json").read_text())
    rope = config.pop("rope_parameters")
    if "full_attention" in rope:
        config["rope_local_base_freq"] = rope["sliding_attention"]["rope_theta"]
        rope = rope["full_attention"]
        del config["layer_types"]
        config["sliding_window_pattern"] = config.pop("_sliding_window_pattern", 3)
    config["rope_theta"] = rope.pop("rope_theta")
    config["rope_scaling"] = None if rope["rope_type"] == "default" else rope
    if rope["rope_type"] == "linear" and "rope_local_base_freq" not in config:
        rope["type"] = rope.pop("rope_type")
    (folder / "config.json").write_text(json.dumps(config))


def model_table(folder, trainable=True, plugin="llama"):
    return f'[llm]\nplugin = "{READ_BY.get(plugin, plugin)}"\nweights = "{folder}"\ntrainable = {str(trainable).lower()}\n'


# Some tokens of each row; and others in their place, which are taken back, or written into a copy, or after one was made.
STEPS = [[7, 0, 20, 1, 0], [10, 1, 15, 0, 3]] + [[1, 0, 1, 0, 1]] * 2 + [[0, 0, 3, 39, 1]] + [[0, 0, 0, 0, 1]]
BACK = [{"others": [3, 1, 8, 40, 2], "where": "row"}, [7, 0, 20, 1, 0], {"others": [12, 1, 20, 5, 7], "where": "copy"}, [10, 1, 15, 0, 3], {"others": [2, 0, 5, 39, 4], "where": "original"},
        [1, 0, 1, 0, 1], {"others": [1, 0, 1, 1, 1], "where": "row"}, [1, 0, 4, 39, 3]]


def one_changed(bench, case, out, rows, changed=2, **asked):
    """Other tokens in one row of a packed batch."""
    others = [[(token + 17) % 96 for token in row] if i == changed else row for i, row in enumerate(rows)]
    answer, after = bench.ask("model", ids=others, **asked)
    isolated(bench, case, (out, answer["lengths"]), (after, answer["lengths"]), changed)


def through_cache(bench, case, hidden, steps, back, **asked):
    for name, how in (("cache in pieces", steps), ("cache, rows copied and taken back", back)):
        bench.compare(f"{case}: {name}", bench.ask("cached", steps=how, **asked)[1], {"hidden": hidden})


def variant(bench, plugin, name, changes):
    title = f"{READ_BY[plugin]} as {plugin}, {name}" if plugin in READ_BY else f"{plugin} {name}"
    folder = bench.new_folder()
    model = getattr(tiny, plugin)(folder, **changes)
    table = model_table(folder, plugin=plugin)
    rows = rows_of([19, 1, 40, 40, 7])
    theirs = reference(model, rows)
    theirs["loss"].backward()
    gradients = by_expert(named_gradients(model), plugin)
    for spelling in ["new", "old"] if "rope" in name or not changes else ["new"]:
        if spelling == "old":
            old_spelling(folder)
        _, out = bench.ask("model", model=table, ids=rows)
        case = title + (" (config of transformers 4)" if spelling == "old" else "")
        bench.compare(f"{case}: packed", {key: out[key] for key in theirs}, theirs)
        bench.compare(f"{case}: gradients", starting(out, "grad:llm:"), gradients, gradients=gradients)
    one_changed(bench, title, out, rows, model=table)
    through_cache(bench, title, theirs["hidden"], STEPS, BACK, model=table, ids=rows)
    answers(bench, title, model, table)
    export(bench, title, model, table, rows)
    if "moe" in plugin or plugin == "mixtral":
        as_in_memory(bench, title, model, folder, plugin, rows)
        balance(bench, title, model, folder, plugin, rows)


def as_in_memory(bench, title, model, folder, plugin, rows):
    """A file in which the experts of a layer are one tensor, as transformers has them in memory."""
    other = bench.new_folder()
    shutil.copy(folder / "config.json", other)
    tensors = {name: tensor.clone() for name, tensor in model.state_dict().items() if not (name == "lm_head.weight" and model.config.tie_word_embeddings)}
    bench.check(f"{title}: transformers has its experts in one tensor", any(name.endswith(".mlp.experts.gate_up_proj") for name in tensors))
    save_file(tensors, other / "model.safetensors", metadata={"format": "pt"})
    _, out = bench.ask("model", model=model_table(other, plugin=plugin), ids=rows)
    bench.compare(f"{title}: experts in one tensor", {"logits": out["logits"]}, {"logits": reference(model, rows)["logits"]})


def by_expert(gradients, plugin):
    """As checkpoints name them: transformers keeps the experts of a layer in two tensors."""
    place = ("block_sparse_moe", "w1", "w3", "w2") if plugin == "mixtral" else ("mlp", "gate_proj", "up_proj", "down_proj")
    named = {}
    for name, tensor in gradients.items():
        head, _, kind = name.partition(".mlp.experts.")
        if not kind:
            named[name.replace(".mlp.gate.", f".{place[0]}.gate.")] = tensor
            continue
        halves = list(zip(place[1:3], tensor.chunk(2, dim=1))) if kind == "gate_up_proj" else [(place[3], tensor)]
        for last, part in halves:
            for expert, one in enumerate(part):
                named[f"{head}.{place[0]}.experts.{expert}.{last}.weight"] = one
    return named


def balance(bench, case, model, folder, plugin, rows):
    """The load-balancing loss over all tokens, and the gradient of the sum of both losses, for a part of a step."""
    from transformers.models.mixtral.modeling_mixtral import load_balancing_loss_func

    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "output_router_logits": True, "router_aux_loss_coef": 0.3}))
    model.zero_grad()
    outputs = [model.model(input_ids=torch.tensor([row]), output_router_logits=True) for row in rows]
    layers = tuple(torch.cat([out.router_logits[i] for out in outputs]) for i in range(len(outputs[0].router_logits)))
    auxiliary = load_balancing_loss_func(layers, model.num_experts, model.num_experts_per_tok)
    share = 0.25
    (reference(model, rows)["loss"] + 0.3 * share * auxiliary).backward()
    gradients = by_expert(named_gradients(model), plugin)
    _, out = bench.ask("model", model=model_table(folder, plugin=plugin), ids=rows, share=share)
    bench.compare(f"{case}: load balance", {"value": out["auxiliary:load_balance"]}, {"value": auxiliary})
    bench.compare(f"{case}: gradients with the load balance", starting(out, "grad:llm:"), gradients, gradients=gradients)


def export(bench, case, model, table, rows):
    """transformers loads what ours writes, with no key missing or left, and computes the same."""
    target = bench.new_folder()
    bench.ask("model", model=table, ids=rows[:1], save=target)
    loaded, info = type(model).from_pretrained(target, output_loading_info=True, attn_implementation=model.config._attn_implementation)
    wrong = {key: names for key, names in info.items() if names}
    bench.check(f"{case}: export, no key missing or left", not wrong, wrong or "")
    with torch.no_grad():
        bench.compare(f"{case}: export, logits", {"logits": loaded.eval()(torch.tensor([rows[0]])).logits}, {"logits": model(torch.tensor([rows[0]])).logits})


def in_one_pass(model, prompt, answer):
    with torch.no_grad():
        return likeliest(model(torch.tensor([prompt + answer[:-1]])).logits[0], len(prompt))


def answers(bench, case, model, table, greedy=in_one_pass):
    """`greedy`: what is likeliest after a prompt and each beginning of an answer to it."""
    prompts = rows_of([9, 1, 23, 4], seed=12)
    ask = lambda prompts, **more: bench.ask("generate", model=table, ids=prompts, max_tokens=32, **more)[0]["tokens"]
    got = ask(prompts)
    expected = [greedy(model, prompt, answer) for prompt, answer in zip(prompts, got)]
    bench.check(f"{case}: 32 greedy tokens, 4 prompts together", got == expected and {len(answer) for answer in got} == {32})
    bench.check(f"{case}: 32 greedy tokens, one by one", [ask([prompt])[0] for prompt in prompts] == expected)
    end = expected[2][9]  # some answers end early, and the others go on
    ended = [answer[:answer.index(end)] if end in answer else answer for answer in expected]
    bench.check(f"{case}: answers that end early", ask(prompts, stop=[end]) == ended, f"lengths {[len(a) for a in ended]}")


def refusals(bench):
    """What a plugin does not compute is refused, never computed as something else."""
    for plugin, key, value, word in [("llama", "rope_parameters", {**YARN, "rope_theta": 1.0}, "rope_theta = 1"), ("llama", "rope_scaling", {"type": "proportional", "factor": 2.0}, "proportional"),
                                     ("llama", "hidden_act", "gelu", "gelu"), ("llama", "model_type", "mistral", "mistral"), ("nemotron", "hidden_act", "silu", "relu2"),
                                     ("nemotron", "partial_rotary_factor", 0.25, "even number"), ("qwen2", "layer_types", ["sliding_attention"] * 3, "layer_types"), ("qwen3", "layer_types", ["sliding_attention"] * 3, "layer_types"),
                                     ("gemma3", "attn_logit_softcapping", 5.0, "attn_logit_softcapping"), ("gemma3", "use_bidirectional_attention", True, "use_bidirectional_attention"), ("gemma3", "sliding_window", None, "sliding_window"),
                                     ("gemma3", "layer_types", ["full_attention"] * 5, "kind of each of 6 layers"), ("gemma2", "layer_types", ["chunked_attention"] * 4, "layer_types"), ("gemma2", "hidden_activation", "silu", "hidden_activation"),
                                     ("gemma3", "rope_parameters", {"full_attention": {"rope_type": "proportional", "rope_theta": 1e4, "factor": 4.0}, "sliding_attention": {"rope_type": "default", "rope_theta": 1e4}}, "proportional"),
                                     ("gemma3", "rope_parameters", {"full_attention": {"rope_type": "default", "rope_theta": 1e4}, "sliding_attention": {"rope_type": "linear", "rope_theta": 1e4, "factor": 2.0}}, "rope_type"),
                                     ("granite", "hidden_act", "gelu", "gelu"), ("mistral", "hidden_act", "gelu", "gelu")]:
        folder = bench.new_folder()
        getattr(tiny, plugin)(folder)
        if key == "rope_scaling":
            old_spelling(folder)
        config = json.loads((folder / "config.json").read_text())
        if key == "partial_rotary_factor":
            config["rope_parameters"][key] = value
        (folder / "config.json").write_text(json.dumps({**config, key: value}))
        bench.refused(f"{READ_BY.get(plugin, plugin)} refuses {key} {value}", word, "model", model=model_table(folder, plugin=plugin), ids=[[1, 2, 3]])


def padding_row(bench):
    """A token that config.json calls padding, within a text: its embedding learns like any other, where transformers leaves it."""
    folder, rows = bench.new_folder(), [[3, 7, 11, 7, 5], [7, 9, 2]]
    tiny.llama(folder, pad_token_id=7, tie_word_embeddings=False)
    found = {}
    for padding in (7, None):
        model = LlamaForCausalLM.from_pretrained(folder)
        bench.check("llama, padding token: transformers has it", model.model.embed_tokens.padding_idx == 7)
        model.model.embed_tokens.padding_idx = padding
        reference(model, rows)["loss"].backward()
        found[padding] = named_gradients(model)
    _, out = bench.ask("model", model=model_table(folder), ids=rows)
    bench.compare("llama, padding token: gradients as of any other token", starting(out, "grad:llm:"), found[None], gradients=found[None])
    row = lambda gradients: gradients["model.embed_tokens.weight"][7].abs().max().item()
    bench.check("llama, padding token: its row learns, which it does not in transformers", row(found[7]) == 0 and row(found[None]) > 0)


def run(bench):
    refusals(bench)
    padding_row(bench)
    for plugin, variants in [("llama", LLAMA), ("qwen2", QWEN2), ("qwen3", QWEN3), ("nemotron", NEMOTRON), ("mistral", MISTRAL), ("ministral3", MINISTRAL3), ("granite", GRANITE), ("gemma2", GEMMA2), ("gemma3", GEMMA3), ("qwen2_moe", QWEN2_MOE), ("qwen3_moe", QWEN3_MOE), ("mixtral", MIXTRAL)]:
        for name, changes in variants.items():
            variant(bench, plugin, name, changes)
