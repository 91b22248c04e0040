"""LoRA of the embedding and of the head, and rows of some tokens that are trained (trainable_token_indices), against peft: forward,
gradients, some steps of training, files in both directions, merging; and the fast start of PiSSA."""
import json

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import LlamaForCausalLM

from . import tiny
from .common import starting
from .decoders import model_table, reference, rows_of
from .lora_forms import ALPHA, RANK, STEPS, TRAIN, adamw, gradients_of, in_peft, logits_in_peft, named, ours, table, trained

EMBEDDING, HEAD = 'targets = ["q_proj", "embed_tokens"]', 'targets = ["v_proj", "lm_head"]'
TOKENS = [95, 3, 40]
# What peft is given, what ours is; whether the head is the embedding.
CASES = {
    "the embedding": (dict(target_modules=["q_proj", "embed_tokens"]), EMBEDDING, False),
    "the embedding alone, rslora, patterns": (dict(target_modules=["embed_tokens"], use_rslora=True, rank_pattern={"embed_tokens": 7}, alpha_pattern={"model.embed_tokens": 3.5}),
                                              'targets = ["embed_tokens"]\nrslora = true\nrank_pattern = { embed_tokens = 7 }\nalpha_pattern = { "model.embed_tokens" = 3.5 }', False),
    "the head": (dict(target_modules=["v_proj", "lm_head"]), HEAD, False),
    "both, by a regular expression": (dict(target_modules=r".*embed_tokens|lm_head|.*up_proj"), "targets = '.*embed_tokens|lm_head|.*up_proj'", False),
    "an embedding that is the head": (dict(target_modules=["q_proj", "embed_tokens"]), EMBEDDING, True),
    "a head that is the embedding": (dict(target_modules=["v_proj", "lm_head"]), HEAD, True),
    "tokens": (dict(target_modules=["q_proj"], trainable_token_indices=TOKENS), f'targets = ["q_proj"]\ntrainable_token_indices = {TOKENS}', False),
    "tokens of the head": (dict(target_modules=["q_proj"], trainable_token_indices={"lm_head": TOKENS}), f'targets = ["q_proj"]\ntrainable_token_indices = {{ lm_head = {TOKENS} }}', False),
    "tokens of both": (dict(target_modules=["q_proj"], trainable_token_indices={"embed_tokens": TOKENS, "lm_head": [3]}), f'targets = ["q_proj"]\ntrainable_token_indices = {{ embed_tokens = {TOKENS}, lm_head = [3] }}', False),
    "tokens of an embedding that is the head": (dict(target_modules=["q_proj"], trainable_token_indices=TOKENS), f'targets = ["q_proj"]\ntrainable_token_indices = {TOKENS}', True),
    "the same tokens of both, which are one": (dict(target_modules=["q_proj"], trainable_token_indices={"embed_tokens": TOKENS, "lm_head": TOKENS}), f'targets = ["q_proj"]\ntrainable_token_indices = {{ embed_tokens = {TOKENS}, lm_head = {TOKENS} }}', True),
    "tokens of the embedding, a change of the head": (dict(target_modules=["lm_head"], trainable_token_indices=[5, 6]), 'targets = ["lm_head"]\ntrainable_token_indices = [5, 6]', False),
}


def rows_with_tokens():
    """Each of them is read and written."""
    rows = rows_of([13, 6, 21])
    rows[0][2], rows[0][7], rows[1][3], rows[2][9], rows[2][10] = 95, 3, 40, 95, 5
    return rows


def saved(bench, model, **how):
    folder = bench.new_folder()
    model.save_pretrained(folder, **how)
    return folder


def one(bench, name, settings, options, folder, tied):
    rows = rows_with_tokens()
    model = in_peft(folder, **settings)
    theirs = reference(model.get_base_model(), rows)
    theirs["loss"].backward()
    gradients = gradients_of(model)
    # peft writes the base's tables beside a change of them; without them the file is the same adapter.
    for how, adapter in [("", saved(bench, model)), (" without tables of the base", saved(bench, model, save_embedding_layers=False))]:
        _, out = bench.ask("model", model=table(folder, options, adapter), ids=rows)
        bench.compare(f"lora, {name}: peft's adapter in ours{how}", {key: out[key] for key in theirs}, theirs)
    bench.compare(f"lora, {name}: gradients", ours(out), gradients, gradients=gradients)
    slot = f'[[llm.peft]]\nplugin = "lora"\nweights = "{adapter}"\n'
    _, out = bench.ask("model", model=model_table(folder, trainable=False) + slot, ids=rows)
    bench.compare(f"lora, {name}: as the folder says it was made", {"logits": out["logits"]}, {"logits": theirs["logits"]})
    written = bench.new_folder()
    _, out = bench.ask("model", model=table(folder, options, adapter), ids=rows, steps=STEPS, train=TRAIN, save_adapter=written)
    model.zero_grad()
    trained(model, rows, adamw(model))
    theirs = {"logits": reference(model.get_base_model(), rows)["logits"]}
    bench.compare(f"lora, {name}: {STEPS} steps", {"logits": out["logits"]}, theirs)
    bench.compare(f"lora, {name}: the file after {STEPS} steps", load_file(written / "adapter_model.safetensors"), load_file(saved(bench, model, save_embedding_layers=False) / "adapter_model.safetensors"))
    bench.compare(f"lora, {name}: our adapter in peft", logits_in_peft(folder, written, rows), theirs)
    if tied and "trainable_token_indices" not in settings:
        bench.refused(f"lora, {name}: it does not become part of what is both", "the head is the embedding", "model", model=table(folder, options, written), ids=rows, merge=True)
        return
    _, merged = bench.ask("model", model=table(folder, options, written), ids=rows, merge=True)
    bench.compare(f"lora, {name}: merged model", {"logits": merged["logits"]}, theirs)
    tables = ["weight:model.embed_tokens.weight"] + ([] if tied else ["weight:lm_head.weight"])
    expected = dict(model.merge_and_unload().state_dict())
    bench.compare(f"lora, {name}: merged tables", starting({key: merged[key] for key in tables}, "weight:"), {key.removeprefix("weight:"): expected[key.removeprefix("weight:")] for key in tables})


def beside_tables(bench, base, tied):
    """What peft writes if it is asked for the tables, or if tokens were added: both as they were, and of a head that is the embedding the
    rows once more. It is compared, and not read."""
    which, larger = " of an embedding that is the head" if tied else "", bench.new_folder()
    rows = rows_with_tokens()
    rows[1][2] = 98
    grown = LlamaForCausalLM.from_pretrained(base)
    grown.resize_token_embeddings(100)
    grown.save_pretrained(larger)
    q_proj = dict(target_modules=["q_proj"])
    cases = {"tables that were asked for": (base, {**q_proj, "trainable_token_indices": TOKENS}, dict(save_embedding_layers=True)),
             "tokens that were added": (larger, {**q_proj, "trainable_token_indices": [98, 3]}, {}), "the old tokens of a larger table": (larger, {**q_proj, "trainable_token_indices": TOKENS}, {}),
             "a larger table, no tokens": (larger, q_proj, {})}
    for name, (folder, settings, how) in cases.items():
        # From the smaller directory, so that peft sees that tokens were added.
        whole = LlamaForCausalLM.from_pretrained(folder)
        whole.name_or_path = whole.config._name_or_path = str(base)
        model = in_peft(folder, base=whole, **settings)
        adapter = saved(bench, model, **how)
        own = [row if folder == larger else [min(token, 95) for token in row] for row in rows]
        keys = {key.removeprefix("base_model.model.") for key in load_file(adapter / "adapter_model.safetensors") if "lora_" not in key}
        bench.check(f"lora, {name}{which}: peft writes the head", any(key.startswith("lm_head.") for key in keys), sorted(keys))
        theirs = {"logits": reference(model.get_base_model(), own)["logits"]}
        tokens = settings.get("trainable_token_indices")
        options = 'targets = ["q_proj"]' + (f"\ntrainable_token_indices = {tokens}" if tokens else "")
        slot = f'[[llm.peft]]\nplugin = "lora"\nweights = "{adapter}"\n'
        for way, of in (("peft's adapter in ours", table(folder, options, adapter)), ("as the folder says it was made", model_table(folder, trainable=False) + slot)):
            _, out = bench.ask("model", model=of, ids=own)
            bench.compare(f"lora, {name}{which}: {way}", {"logits": out["logits"]}, theirs)
        if folder == larger:
            words = "98 is not a token" if tokens == [98, 3] else "has 100 rows, one for each token, and the model's table has 96"
            bench.refused(f"lora, {name}{which}: over the smaller model", words, "model", model=table(base, options, adapter), ids=[[1, 2, 3]])
        if tied and tokens:
            file = load_file(adapter / "adapter_model.safetensors")
            file["base_model.model.lm_head.token_adapter.trainable_tokens_delta"] = file["base_model.model.lm_head.token_adapter.trainable_tokens_delta"] + 1
            save_file(file, adapter / "adapter_model.safetensors", {"format": "pt"})
            bench.refused(f"lora, {name}{which}: rows of the head that are others", "differ, and are one in this model", "model", model=table(folder, options, adapter), ids=[[1, 2, 3]])


def within_a_larger(bench, folder):
    """Rows of a language model that was a part of another when they were trained."""
    rows, model = rows_with_tokens(), in_peft(folder, target_modules=["q_proj"], trainable_token_indices=TOKENS)
    adapter, theirs = saved(bench, model), {"logits": reference(model.get_base_model(), rows)["logits"]}
    file, config = load_file(adapter / "adapter_model.safetensors"), json.loads((adapter / "adapter_config.json").read_text())
    save_file({key.replace("base_model.model.model.", "base_model.model.model.language_model."): value for key, value in file.items()}, adapter / "adapter_model.safetensors", {"format": "pt"})
    for name in ("embed_tokens", "model.language_model.embed_tokens"):
        (adapter / "adapter_config.json").write_text(json.dumps({**config, "trainable_token_indices": {name: TOKENS}}))
        slot = f'[[llm.peft]]\nplugin = "lora"\nweights = "{adapter}"\n'
        _, out = bench.ask("model", model=model_table(folder, trainable=False) + slot, ids=rows)
        bench.compare(f"lora, tokens of {name} in a larger model", {"logits": out["logits"]}, theirs)


def starts(bench, folder):
    """What begins begins at the base; A and B of the embedding as in peft."""
    rows = rows_with_tokens()
    plain = {"logits": reference(LlamaForCausalLM.from_pretrained(folder), rows)["logits"]}
    _, out = bench.ask("model", model=table(folder, 'targets = ["embed_tokens"]\ninit = "orthogonal"', rank=3), ids=rows)
    bench.compare("lora of the embedding, orthogonal, an odd rank: it starts at the base", {"logits": out["logits"]}, plain)
    for init in ("kaiming", "gaussian", "xavier", "orthogonal"):
        written, rank = bench.new_folder(), 8
        _, out = bench.ask("model", model=table(folder, f'targets = ["embed_tokens", "lm_head"]\ninit = "{init}"', rank=rank), ids=rows, save_adapter=written)
        bench.compare(f"lora of tables, {init}: it starts at the base", {"logits": out["logits"]}, plain)
        mine = {named(name): value for name, value in load_file(written / "adapter_model.safetensors").items()}
        b = mine["model.embed_tokens.lora_embedding_B"]
        bench.check(f"lora of tables, {init}: the embedding begins as in peft", mine["model.embed_tokens.lora_embedding_A"].abs().max() == 0 and abs(b.std() - 1) < 0.15, f"{b.std():.3f}")
        bench.check(f"lora of tables, {init}: the head begins as a layer", mine["lm_head.lora_A.weight"].std() > 0.01 and (mine["lm_head.lora_B.weight"].abs().max() > 0) == (init == "orthogonal"))
    _, out = bench.ask("model", model=table(folder, f"targets = []\ntrainable_token_indices = {TOKENS}"), ids=rows, save_adapter=written)
    bench.compare("tokens alone: they start at the base", {"logits": out["logits"]}, plain)
    rows_of_base = LlamaForCausalLM.from_pretrained(folder).model.embed_tokens.weight[TOKENS]
    bench.compare("tokens alone: the file has their rows", load_file(written / "adapter_model.safetensors"), {"base_model.model.model.embed_tokens.token_adapter.trainable_tokens_delta": rows_of_base})
    bench.check("tokens alone: the configuration names them", json.loads((written / "adapter_config.json").read_text())["trainable_token_indices"] == TOKENS)


def fast(bench, folder):
    """pissa_niter_N over weights whose singular values halve: after 16 iterations what a random start leaves is 0.5 ** 33 of them."""
    model = LlamaForCausalLM.from_pretrained(folder)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "q_proj.weight" in name or "down_proj.weight" in name:
                u, s, vh = torch.linalg.svd(parameter, full_matrices=False)
                parameter.copy_(u @ torch.diag(0.5 ** torch.arange(len(s)).float()) @ vh)
    halving = bench.new_folder()
    model.save_pretrained(halving)
    rows, targets = rows_of([13, 6]), ["q_proj", "down_proj"]
    theirs = get_peft_model(LlamaForCausalLM.from_pretrained(halving), LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=targets, init_lora_weights="pissa_niter_16")).eval()
    products = {name.removesuffix(".lora_A.default.weight").removeprefix("base_model.model."): theirs.get_parameter(name.replace("lora_A", "lora_B")) @ value for name, value in theirs.named_parameters() if "lora_A" in name}
    written, mine = bench.new_folder(), f'targets = {targets}\ninit = "pissa"'
    _, out = bench.ask("model", model=table(halving, mine + "\npissa_niter = 16"), ids=rows, save_adapter=written)
    file = {named(name): value for name, value in load_file(written / "adapter_model.safetensors").items()}
    got = {site: file[f"{site}.lora_B.weight"][:, :RANK] @ file[f"{site}.lora_A.weight"][:RANK] for site in products}
    bench.compare("lora, pissa by iterations: what is trained is what it is in peft", got, products)
    bench.compare("lora, pissa by iterations: it starts at the base", {"logits": out["logits"]}, {"logits": reference(LlamaForCausalLM.from_pretrained(halving), rows)["logits"]})
    best = {}
    for site in products:
        u, s, vh = torch.linalg.svd(model.get_submodule(site).weight.detach(), full_matrices=False)
        best[site] = u[:, :RANK] @ torch.diag(s[:RANK]) @ vh[:RANK] * RANK / ALPHA
    bench.compare("lora, pissa by iterations: it is the truncated SVD", got, best)


def refusals(bench, folder, tied):
    rows = [[1, 2, 3]]
    model = in_peft(folder, target_modules=["embed_tokens"])
    other = saved(bench, model)
    file = load_file(other / "adapter_model.safetensors")
    copy = "base_model.model.model.embed_tokens.base_layer.weight"
    bench.check("peft writes the embedding beside its change", copy in file)
    file[copy] = file[copy] + 1
    save_file(file, other / "adapter_model.safetensors", {"format": "pt"})
    bench.refused("lora refuses another embedding beside a change of it", "has other values than the model", "model", model=table(folder, 'targets = ["embed_tokens"]', other), ids=rows)
    together = saved(bench, in_peft(tied, target_modules=["embed_tokens"]), save_embedding_layers=False)
    config = json.loads((together / "adapter_config.json").read_text())
    (together / "adapter_config.json").write_text(json.dumps({**config, "ensure_weight_tying": True}))
    bench.refused("lora refuses a change of both that peft ties", "ensure_weight_tying", "model", model=table(tied, 'targets = ["embed_tokens"]', together), ids=rows)
    tokens = saved(bench, in_peft(folder, target_modules=["q_proj"], trainable_token_indices=[3, 4]))
    for name, options, weights, word in [
            ("other tokens than were trained", 'targets = ["q_proj"]\ntrainable_token_indices = [4, 3]', tokens, "trainable_token_indices"),
            ("a token that is not there", 'targets = ["q_proj"]\ntrainable_token_indices = [96]', "", "96 is not a token"), ("a token twice", 'targets = ["q_proj"]\ntrainable_token_indices = [3, 3]', "", "there twice"),
            ("tokens of no table", 'targets = ["q_proj"]\ntrainable_token_indices = { norm = [3] }', "", "no table of tokens 'norm'"),
            ("tokens of a table that changes", 'targets = ["embed_tokens"]\ntrainable_token_indices = [3]', "", "among the targets"),
            ("tokens of an embedding that is trained", 'targets = ["q_proj"]\nmodules_to_save = ["embed_tokens"]\ntrainable_token_indices = [3]', "", "among modules_to_save"),
            ("dora of the embedding", 'targets = ["embed_tokens"]\ndora = true', "", "with dora"), ("pissa of the head", 'targets = ["lm_head"]\ninit = "pissa"', "", "pissa"),
            ("layers beside a table", 'targets = ["q_proj", "embed_tokens"]\nlayers_to_transform = [0]', "", "layers_to_transform beside model.embed_tokens"),
            ("iterations without pissa", 'targets = ["q_proj"]\npissa_niter = 4', "", "pissa_niter")]:
        bench.refused(f"lora refuses {name}", word, "model", model=table(folder, options, weights), ids=rows)
    media = table(folder, 'targets = ["embed_tokens"]\nonly = "media"')
    bench.refused("lora refuses a change of the embedding for media alone", "only", "model", model=media, ids=rows)
    bench.refused("other methods do not know the embedding", "no site matches the target embed_tokens", "model", model=model_table(folder, False) + '[[llm.peft]]\nplugin = "ia3"\ntargets = ["embed_tokens"]\n', ids=rows)


def run(bench):
    folder, tied = bench.new_folder(), bench.new_folder()
    tiny.llama(folder, tie_word_embeddings=False)
    tiny.llama(tied, tie_word_embeddings=True)
    for name, (settings, options, is_tied) in CASES.items():
        one(bench, name, settings, options, tied if is_tied else folder, is_tied)
    beside_tables(bench, folder, False)
    beside_tables(bench, tied, True)
    within_a_larger(bench, folder)
    starts(bench, folder)
    fast(bench, folder)
    refusals(bench, folder, tied)
