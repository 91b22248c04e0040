"""Dual encoders out of CLIPModel and SiglipModel directories: logits, loss and the gradient of every parameter; both
losses in pieces and for some of the rows."""
import json

import torch
import torch.nn.functional as F
from transformers import CLIPConfig, CLIPModel, SiglipConfig, SiglipModel

from . import tiny
from .common import starting
from .encoder_adapters import ALPHA, RANK, lora_table
from .lora import plain, with_random_lora
from .whole_sizes import counted

TEXT = dict(hidden_size=40, intermediate_size=56, num_hidden_layers=3, num_attention_heads=4, vocab_size=96, max_position_embeddings=12)
START, END = 1, 95  # of CLIP's texts; the end is the largest id


def pixels(n, size=28):
    return torch.randn(n, 3, size, size, generator=torch.Generator().manual_seed(41))


def padded(rows, length, filler):
    return torch.tensor([row + [filler] * (length - len(row)) for row in rows])


def texts(lengths, begin=(), end=()):
    generator = torch.Generator().manual_seed(43)
    return [[*begin, *torch.randint(2, 90, (n,), generator=generator).tolist(), *end] for n in lengths]


def halves(scores):
    return scores.chunk(2, 1)


def part_of(parameter, family):
    """The component that computes with it: gradients are counted for the part."""
    if parameter.startswith(("vision_model.", "visual_projection.")):
        return f"encoder {family}"
    return "pair" if parameter.startswith(("text_projection.", "text_model.head.", "logit_")) else f"{family}_text"


def compare(bench, family, how, model, folder, rows, ids, objective, x, loss):
    model.zero_grad()
    out = model(input_ids=ids, pixel_values=x)
    expected = loss(out.logits_per_image)
    expected.backward()
    answer, ours = bench.ask("pairs", {"pixels": x}, model=f'from = "{folder}"', ids=rows, objective=objective)
    media, written = halves(ours["scores"])
    logits = media @ written.T
    bench.compare(f"model_family {family}{how}: logits and loss", {"logits": logits, "loss": ours["loss"]}, {"logits": out.logits_per_image, "loss": expected})
    gradients = {name: p.grad.reshape(p.shape or 1) for name, p in model.named_parameters()}
    mine = {name.split(":", 1)[1]: grad for name, grad in starting(ours, "grad:").items()}
    scales = {name: name[:-4] + "weight" for name in gradients if name.endswith("k_proj.bias")}
    scales |= {name: name[:-4] + "weight" for name in gradients if name.endswith("in_proj_bias")}
    for part in (f"encoder {family}", f"{family}_text", "pair"):
        own = [{name: grad for name, grad in each.items() if part_of(name, family) == part} for each in (mine, gradients)]
        bench.compare(f"{part} in a whole {family}{how}: gradients", *own, scales={name: scales[name] for name in own[1] if name in scales}, gradients=own[1])


def clip_loss(logits):
    """transformers: models/clip/modeling_clip.py, clip_loss."""
    labels = torch.arange(len(logits))
    return (F.cross_entropy(logits, labels) + F.cross_entropy(logits.T, labels)) / 2


def siglip_loss(logits):
    """transformers: models/siglip/modeling_siglip.py, SiglipModel.forward with return_loss."""
    yes = 2 * torch.eye(len(logits)) - 1
    return -F.logsigmoid(yes * logits.T).sum(-1).mean()


def clip(bench):
    for how, end in (("", END), (" with eos_token_id = 2", 2)):
        folder = bench.new_folder()
        config = CLIPConfig(text_config={**TEXT, "eos_token_id": end, "bos_token_id": START}, vision_config=tiny.VIT, projection_dim=24)
        model = tiny.saved(CLIPModel(config), 51, folder)
        with torch.no_grad():
            model.logit_scale.fill_(2.1)
        model.save_pretrained(folder)
        rows = texts([5, 1, 9, 3, 10], [START], [END])
        compare(bench, "clip", how, model, folder, rows, padded(rows, 12, END), "contrastive", pixels(5), clip_loss)
    adapted(bench, "clip", model, folder, rows, padded(rows, 12, END), "contrastive", pixels(5), clip_loss, ["q_proj", "out_proj", "fc2"])
    bench.refused("clip_text refuses a decoder's graph", "writes none", "pairs", model=f'llm = {{ plugin = "clip_text", weights = "{folder}", part = "text_model" }}', ids=[], objective="contrastive")
    bench.refused("dual_encoder refuses to be without a head", "needs a head", "pairs", model=f'graph = "dual_encoder"\nllm = {{ plugin = "clip_text", weights = "{folder}", part = "text_model" }}', ids=[], objective="contrastive")
    bench.refused("identity refuses vectors of another width than the texts'", "identity", "pairs", model=f'from = "{folder}"\nhead.projection_dim = 9', ids=[], objective="contrastive")


def siglip(bench):
    folder = bench.new_folder()
    config = SiglipConfig(text_config={**TEXT, "pad_token_id": 1, "projection_size": 48}, vision_config=tiny.VIT)
    model = tiny.saved(SiglipModel(config), 52, folder)
    with torch.no_grad():
        model.logit_scale.fill_(1.3), model.logit_bias.fill_(-2.5)
    model.save_pretrained(folder)
    rows = texts([5, 1, 12, 3])
    compare(bench, "siglip", "", model, folder, rows, padded(rows, 12, 1), "sigmoid_pairs", pixels(4), siglip_loss)
    adapted(bench, "siglip", model, folder, rows, padded(rows, 12, 1), "sigmoid_pairs", pixels(4), siglip_loss, ["v_proj", "fc1"])


def adapted(bench, case, model, folder, rows, ids, objective, x, loss, sites):
    """LoRA of peft on both towers; changes the model."""
    table, adapters = f'from = "{folder}"\n', {}
    for seed, (slot, tower, name) in enumerate([("llm", model.text_model, "text_model"), ("streams.image.encoder", model.vision_model, "vision_model")]):
        adapters[slot] = with_random_lora(tower, dict(target_modules=sites), RANK, ALPHA, seed=91 + seed)
        adapters[slot].save_pretrained(folder / slot)
        table += f"{slot}.trainable = false\n{slot}.peft = {lora_table(folder / slot, sites)}\n"
    model.zero_grad()
    out = model(input_ids=ids, pixel_values=x)
    expected = loss(out.logits_per_image)
    expected.backward()
    _, ours = bench.ask("pairs", {"pixels": x}, model=table, ids=rows, objective=objective)
    media, written = halves(ours["scores"])
    bench.compare(f"lora on {case}: logits and loss", {"logits": media @ written.T, "loss": ours["loss"]}, {"logits": out.logits_per_image, "loss": expected})
    gradients = {f"{slot}.peft.0:{plain(name)}": p.grad for slot, tower in adapters.items() for name, p in tower.named_parameters() if "lora_" in name}
    bench.compare(f"lora on {case}: gradients", {name: grad for name, grad in starting(ours, "grad:").items() if ".peft." in name}, gradients, gradients=gradients)


def sizes(bench):
    """At the sizes of published models."""
    counted(bench, "model_family clip, ViT-B/32", CLIPConfig(), CLIPModel, 151_277_313)
    large = dict(text_config=dict(hidden_size=768, intermediate_size=3072, num_attention_heads=12), vision_config=dict(hidden_size=1024, intermediate_size=4096, num_attention_heads=16, num_hidden_layers=24, patch_size=14))
    counted(bench, "model_family clip, ViT-L/14", CLIPConfig(**large, projection_dim=768), CLIPModel, 427_616_513)
    counted(bench, "model_family siglip, base-patch16-224", SiglipConfig(), SiglipModel, 203_155_970)
    so400m = dict(hidden_size=1152, intermediate_size=4304, num_attention_heads=16, num_hidden_layers=27)
    counted(bench, "model_family siglip, so400m-patch14-384", SiglipConfig(text_config=so400m, vision_config=dict(so400m, patch_size=14, image_size=384)), SiglipModel)


def parts(bench, plugin, loss):
    """Pieces of any size, and of some rows their part of the loss with the gradient of the whole."""
    scores = torch.randn(13, 10, generator=torch.Generator().manual_seed(7))
    leaf = scores.clone().requires_grad_(True)
    media, written = halves(leaf)
    expected = loss(media @ written.T)
    expected.backward()
    for chunk in (1, 4, 13, 100):
        _, ours = bench.ask("objective", {"scores": scores, "counts": torch.ones(13, dtype=torch.long)}, plugin=plugin, options=f"chunk = {chunk}", groups=[1] * 13, own_sequences=13)
        bench.compare(f"{plugin} in pieces of {chunk}", ours, {"loss": expected, "grad": leaf.grad}, gradients=("grad",))
    total = 0
    for first, own in ((0, 5), (5, 0), (5, 7), (12, 1)):
        _, ours = bench.ask("objective", {"scores": scores, "counts": torch.ones(13, dtype=torch.long)}, plugin=plugin, options="chunk = 3", groups=[1] * 13, first_own=first, own_sequences=own)
        total = total + ours["loss"]
        rows = slice(first, first + own)
        wanted = torch.zeros_like(leaf.grad)
        wanted[rows] = leaf.grad[rows]
        bench.compare(f"{plugin}: the gradient of {own} rows from {first}", {"grad": ours["grad"]}, {"grad": wanted}, gradients=("grad",))
    bench.compare(f"{plugin}: parts add up", {"loss": total}, {"loss": expected})


def hits(bench):
    scores = torch.randn(9, 8, generator=torch.Generator().manual_seed(8))
    media, written = halves(scores)
    logits, right = media @ written.T, torch.arange(9)
    answer, _ = bench.ask("objective", {"scores": scores, "counts": torch.ones(9, dtype=torch.long)}, plugin="contrastive", options="chunk = 2", groups=[1] * 9, own_sequences=9)
    expected = {"media_to_text/accuracy": (logits.argmax(1) == right).float().mean(), "text_to_media/accuracy": (logits.argmax(0) == right).float().mean(), "scale": media[:, :3].norm(dim=1).mean()}
    bench.check("contrastive: metrics", all(abs(answer["metrics"][name] - float(value)) < 1e-5 for name, value in expected.items()), json.dumps(answer["metrics"]))


def run(bench):
    sizes(bench)
    clip(bench)
    siglip(bench)
    parts(bench, "contrastive", clip_loss)
    parts(bench, "sigmoid_pairs", siglip_loss)
    hits(bench)
