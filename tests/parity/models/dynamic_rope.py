"""Dynamic NTK: texts on both sides of max_position_embeddings, whose frequencies grow with their length, and what is written across it."""
import json

import torch

from . import phi3, tiny
from .common import named_gradients, starting
from .decoders import READ_BY, answers, export, model_table, old_spelling, one_changed, reference, rows_of

LIMIT = 20
DYNAMIC = dict(max_position_embeddings=LIMIT, rope_parameters={"rope_type": "dynamic", "rope_theta": 500.0, "factor": 3.0})
CASES = [("llama", "rope dynamic", {}), ("llama", "rope dynamic, another factor, head_dim 20", dict(head_dim=20, rope_parameters={**DYNAMIC["rope_parameters"], "factor": 4.5})),
         ("nemotron", "rope dynamic, half of each head turned", dict(rope_parameters={**DYNAMIC["rope_parameters"], "partial_rotary_factor": 0.5})),
         ("qwen2", "rope dynamic, window in the upper layers", dict(use_sliding_window=True, sliding_window=6, max_window_layers=1)),
         ("gemma3", "rope dynamic in full layers", dict(rope_parameters={"full_attention": DYNAMIC["rope_parameters"], "sliding_attention": {"rope_type": "default", "rope_theta": 50.0}}))]
PIECES = [[7, 1, 20, 21, 15, 7], [12, 0, 0, 9, 5, 0], [0, 0, 0, 10, 20, 0]]  # of texts of 19, 1, 20, 40, 40 and 7 tokens
BACK = [{"others": [3, 1, 8, 40, 2, 3], "where": "row"}, PIECES[0], {"others": [12, 0, 0, 5, 7, 0], "where": "copy"}, PIECES[1], {"others": [0, 0, 0, 3, 4, 0], "where": "original"}, PIECES[2]]


def forgotten(model):
    """transformers goes on with the frequencies of the longest text so far until a text is shorter than the limit."""
    with torch.no_grad():
        model(torch.tensor([[1]]))


def generated(model, prompt, answer):
    """With its cache: a token's key stays as it was turned at the length that the text then had."""
    forgotten(model)
    return phi3.generated(model, prompt, answer)


def in_pieces(model, rows):
    hidden = []
    for row, pieces in zip(rows, zip(*PIECES)):
        forgotten(model)
        cache, begin = None, 0
        for n in filter(None, pieces):
            out = model.model(input_ids=torch.tensor([row[begin:begin + n]]), past_key_values=cache, use_cache=True)
            cache, begin = out.past_key_values, begin + n
            hidden.append(out.last_hidden_state[0])
    return torch.cat(hidden)


def variant(bench, plugin, name, changes):
    title, folder = f"{plugin} {name}", bench.new_folder()
    model = getattr(tiny, plugin)(folder, **{**DYNAMIC, **changes})
    table, rows = model_table(folder, plugin=plugin), rows_of([19, 1, LIMIT, LIMIT + 1, 40, 40, 7])
    theirs = reference(model, rows)
    theirs["loss"].backward()
    gradients = named_gradients(model)
    for spelling in ["new", "old"] if plugin != "nemotron" else ["new"]:
        if spelling == "old":
            old_spelling(folder)
        _, out = bench.ask("model", model=table, ids=rows)
        case = title + (" (config of transformers 4)" if spelling == "old" else "")
        bench.compare(f"{case}: packed", {key: out[key] for key in theirs}, theirs)
        bench.compare(f"{case}: gradients", starting(out, "grad:llm:"), gradients, gradients=gradients)
    one_changed(bench, title, out, rows, changed=4, model=table)
    rows = rows_of([19, 1, 20, 40, 40, 7], seed=13)
    with torch.no_grad():
        hidden = in_pieces(model, rows)
    for how, steps in (("cache in pieces", PIECES), ("cache, rows copied and taken back", BACK)):
        bench.compare(f"{title}: {how}", bench.ask("cached", steps=steps, model=table, ids=rows)[1], {"hidden": hidden})
    answers(bench, title, model, table, generated)
    forgotten(model)
    export(bench, title, model, table, rows[3:])


def room(bench):
    """Texts may be longer by the factor, and no longer."""
    folder = bench.new_folder()
    tiny.llama(folder, **DYNAMIC)
    whole = bench.ask("generate", model=model_table(folder), ids=rows_of([30]), max_tokens=64)[0]["tokens"][0]
    bench.check("llama rope dynamic: room for three times as many tokens", len(whole) == 3 * LIMIT - 30, len(whole))


def refusals(bench):
    for plugin, changes, word in [("llama", dict(rope_parameters={"rope_type": "dynamic", "rope_theta": 500.0}), "factor"), ("llama", dict(head_dim=2), "one frequency"),
                                  ("ministral3", dict(rope_parameters={**DYNAMIC["rope_parameters"], "llama_4_scaling_beta": 0.1}), "query_temperature")]:
        folder = bench.new_folder()
        getattr(tiny, plugin)(folder)
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, **DYNAMIC, **changes}))
        bench.refused(f"{READ_BY.get(plugin, plugin)} refuses dynamic NTK with {next(iter(changes))} {str(next(iter(changes.values())))[:40]}", word, "model", model=model_table(folder, plugin=plugin), ids=[[1, 2, 3]])


def run(bench):
    for case in CASES:
        variant(bench, *case)
    room(bench)
    refusals(bench)
