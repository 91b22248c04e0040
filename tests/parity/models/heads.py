"""Reward models against transformers' …ForSequenceClassification: scores of sequences, and all gradients of Bradley-Terry."""
import json

import torch
import torch.nn.functional as F
from transformers import LlamaConfig, LlamaForSequenceClassification, Qwen2Config, Qwen2ForSequenceClassification

from . import tiny
from .common import starting
from .decoders import rows_of

SHAPE = dict(vocab_size=96, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64, pad_token_id=0)


def table(plugin, folder, head, trainable):
    return f"""graph = "reward_model"
llm = {{ plugin = "{plugin}", weights = "{folder}", tie_embeddings = true, trainable = {str(trainable).lower()} }}
head = {{ plugin = "scalar"{head} }}
"""


def one(bench, plugin, config, architecture, outputs):
    torch.manual_seed(5)
    model = architecture(config(**SHAPE, num_labels=outputs)).eval()
    folder = bench.new_folder()
    model.save_pretrained(folder)
    if outputs == 2:  # as older versions left it out
        config_file = folder / "config.json"
        written = json.loads(config_file.read_text())
        config_file.write_text(json.dumps({key: value for key, value in written.items() if key not in ("id2label", "label2id", "num_labels")}))
    rows = [[token or 1 for token in row] for row in rows_of([9, 4, 17, 3])]
    scores = torch.cat([model(input_ids=torch.tensor([row])).logits for row in rows])
    name = f"scalar on {plugin}, {outputs} number(s)"
    answer, out = bench.ask("score", model=table(plugin, folder, f', weights = "{folder}"', True), ids=rows)
    bench.check(f"{name}: read from the directory", answer["scores"] == outputs, answer["scores"])
    if outputs > 1:
        return bench.compare(f"{name}: scores", {"scores": out["scores"]}, {"scores": scores})
    pairs = scores.view(-1, 2)
    (-F.logsigmoid(pairs[:, 0] - pairs[:, 1])).mean().backward()
    gradients = {key: p.grad for key, p in model.named_parameters()}
    bench.compare(f"{name}: scores", {"scores": out["scores"]}, {"scores": scores})
    ours = {**starting(out, "grad:llm:"), **starting(out, "grad:head:")}
    bench.compare(f"{name}: gradients", ours, gradients, gradients=gradients)
    _, out = bench.ask("score", model=table(plugin, folder, "", False), ids=rows)
    bench.check(f"{name}: only a new head learns", set(starting(out, "grad:")) == {"head:score.weight"}, sorted(starting(out, "grad:")))


def run(bench):
    one(bench, "llama", LlamaConfig, LlamaForSequenceClassification, 1)
    for outputs in (2, 3):
        one(bench, "llama", LlamaConfig, LlamaForSequenceClassification, outputs)
    one(bench, "qwen2", Qwen2Config, Qwen2ForSequenceClassification, 1)
    folder = bench.new_folder()
    tiny.llama(folder)
    bench.refused("scalar: a directory without a head", "score", "score", model=table("llama", folder, f', weights = "{folder}"', True), ids=rows_of([4, 5]))
    bench.refused("scalar: a head beside graph multimodal_lm", "[model.head] is read by", "score", model=table("llama", folder, "", True).replace("reward_model", "multimodal_lm"), ids=rows_of([4, 5]))
