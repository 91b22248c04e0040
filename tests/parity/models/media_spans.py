"""gemma: the embeddings of a picture see each other, in full layers and in those with a window: hidden states, logits, every
gradient, sequences packed as alone, and the KV cache in pieces, against the masks that transformers makes for Gemma 3."""
import torch
import torch.nn.functional as F
from transformers.models.gemma3.modeling_gemma3 import create_masks_for_vision_model, get_block_sequence_ids_for_mask

from . import tiny
from .common import named_gradients, starting
from .decoders import logits_of, model_table, one_changed, rows_of, through_cache

VARIANTS = {
    "windows of six": {},
    "windows of two, one key head": dict(sliding_window=2, num_key_value_heads=1),
    "windows wider than the text": dict(sliding_window=64),
    "all layers full": dict(layer_types=["full_attention"] * 6),
}
LENGTHS = [19, 1, 40, 40, 7]
SPANS = [[[2, 5]], [], [[0, 9], [12, 8], [35, 5]], [[30, 10]], [[0, 7]]]
STEPS = [[7, 0, 9, 0, 0], [10, 1, 11, 29, 0], [1, 0, 1, 0, 0], [1, 0, 1, 0, 0], [0, 0, 18, 11, 7]]  # none cuts a span
BACK = [{"others": [7, 1, 9, 40, 7], "where": "row"}, STEPS[0], {"others": [12, 1, 11, 30, 7], "where": "copy"}, STEPS[1], {"others": [2, 0, 2, 11, 7], "where": "original"}, STEPS[2],
        {"others": [1, 0, 1, 1, 7], "where": "row"}, *STEPS[3:]]


def hidden(model, row, spans):
    ids, kinds = torch.tensor([row]), torch.zeros(1, len(row), dtype=torch.long)
    for begin, count in spans:
        kinds[0, begin:begin + count] = 1
    if not spans:
        return model.model(input_ids=ids).last_hidden_state[0]
    x = model.model.embed_tokens(ids)
    # By position: the cache's name is another one in transformers 5.24.
    masks = create_masks_for_vision_model(model.config, x, None, None, None, get_block_sequence_ids_for_mask(kinds))
    return model.model(inputs_embeds=x, attention_mask=masks).last_hidden_state[0]


def variant(bench, name, changes):
    folder = bench.new_folder()
    model = tiny.gemma3(folder, **changes)
    table, case, rows = model_table(folder, plugin="gemma3"), f"gemma media, {name}", rows_of(LENGTHS)
    states = [hidden(model, row, spans) for row, spans in zip(rows, SPANS)]
    logits = [logits_of(model, one) for one in states]
    token_loss = torch.cat([F.cross_entropy(one[:-1], torch.tensor(row[1:], dtype=torch.long), reduction="none") for one, row in zip(logits, rows)])
    theirs = {"hidden": torch.cat(states), "logits": torch.cat(logits), "loss": token_loss.mean(), "token_loss": token_loss}
    theirs["loss"].backward()
    gradients = named_gradients(model)
    _, out = bench.ask("model", model=table, ids=rows, media=SPANS)
    bench.compare(f"{case}: packed", {key: out[key] for key in theirs}, theirs)
    bench.compare(f"{case}: gradients", starting(out, "grad:llm:"), gradients, gradients=gradients)
    alone = [bench.ask("model", model=table, ids=[row], media=[spans])[1]["hidden"] for row, spans in zip(rows, SPANS)]
    bench.compare(f"{case}: one by one equals the batch", {"hidden": torch.cat(alone)}, {"hidden": out["hidden"]})
    one_changed(bench, case, out, rows, model=table, media=SPANS)
    through_cache(bench, case, theirs["hidden"], STEPS, BACK, model=table, ids=rows, media=SPANS)
    _, blind = bench.ask("model", model=table + "media_see_all = false\n", ids=rows, media=SPANS)
    bench.check(f"{case}: media_see_all = false sees what is before", not torch.allclose(blind["hidden"], out["hidden"], atol=1e-3))
    bench.refused(f"{case}: no piece cuts a picture", "see each other", "cached", model=table, ids=rows[:1], media=SPANS[:1], steps=[[4], [15]])


def run(bench):
    for name, changes in VARIANTS.items():
        variant(bench, name, changes)
