"""clip and siglip with `pooled`: the vector of a picture that the dual encoder compares with texts, and the gradient of
the input and of every parameter of the tower and its head."""
import shutil

import torch
from safetensors.torch import load_file, save_file
from transformers import CLIPConfig, CLIPModel, CLIPVisionConfig, CLIPVisionModelWithProjection, SiglipConfig, SiglipModel, SiglipVisionConfig

from . import tiny
from .encoders import compare

TEXT = dict(hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, vocab_size=32, max_position_embeddings=8, bos_token_id=0, eos_token_id=1)


def without_prefix(name):
    """As the towers alone are written by transformers 5."""
    return name.removeprefix("vision_model.")


def one(bench, case, plugin, model, weights, forward, size=(28, 28), rename=without_prefix):
    x = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(9))
    answer = compare(bench, case, plugin, model, weights, x, "pooled = true", forward, rename)
    bench.check(case + ", one vector a picture", answer["grid"] == [1, 1] and answer["output_size"] == forward(x).shape[-1], str(answer))


def run_clip(bench):
    whole, alone = bench.new_folder(), bench.new_folder()
    # The projection's width of a whole model is beside its halves; those of the halves mean nothing.
    model = tiny.saved(CLIPModel(CLIPConfig(text_config=TEXT, vision_config={**tiny.VIT, "projection_dim": 7}, projection_dim=20)), 31, whole)
    image = lambda x, **more: model.visual_projection(model.vision_model(x, **more).pooler_output)[:, None]
    one(bench, "encoder clip pooled, of a CLIPModel", "clip", model, whole, image)
    one(bench, "encoder clip pooled, grid 5 x 3 interpolated", "clip", model, whole, lambda x: image(x, interpolate_pos_encoding=True), (35, 21))
    tower = tiny.saved(CLIPVisionModelWithProjection(CLIPVisionConfig(**tiny.VIT, projection_dim=12)), 32, alone)
    one(bench, "encoder clip pooled, of a CLIPVisionModelWithProjection", "clip", tower, alone, lambda x: tower(x).image_embeds[:, None])
    bench.refused("encoder clip pooled refuses an inner layer", "layer = -2", "encoder", plugin="clip", weights=whole, options="pooled = true\nlayer = -2")
    bench.refused("encoder clip pooled refuses the class token beside it", "class_token = true and pooled = true", "encoder", plugin="clip", weights=whole, options="pooled = true\nclass_token = true")
    bench.refused("encoder clip pooled refuses a checkpoint without a projection", "visual_projection", "encoder", plugin="clip", weights=without(bench, whole, "visual_projection.weight"), options="pooled = true")


def without(bench, folder, name):
    """A copy of the checkpoint that lacks a tensor."""
    copy = bench.new_folder()
    shutil.copy(folder / "config.json", copy)
    tensors = load_file(folder / "model.safetensors")
    del tensors[name]
    save_file(tensors, copy / "model.safetensors")
    return copy


def run_siglip(bench):
    alone, whole, headless = bench.new_folder(), bench.new_folder(), bench.new_folder()
    tower = tiny.siglip(alone)
    one(bench, "encoder siglip pooled", "siglip", tower, alone, lambda x: tower(x).pooler_output[:, None])
    one(bench, "encoder siglip pooled, grid 5 x 3 interpolated", "siglip", tower, alone, lambda x: tower(x, interpolate_pos_encoding=True).pooler_output[:, None], (35, 21))
    model = tiny.saved(SiglipModel(SiglipConfig(text_config=TEXT, vision_config={**tiny.VIT, "hidden_act": "gelu"})), 33, whole)
    one(bench, "encoder siglip pooled, of a SiglipModel", "siglip", model, whole, lambda x: model.vision_model(x).pooler_output[:, None])
    tiny.siglip(headless, vision_use_head=False)
    bench.refused("encoder siglip pooled refuses a checkpoint without a head", "vision_use_head", "encoder", plugin="siglip", weights=headless, options="pooled = true")


def run(bench):
    run_clip(bench)
    run_siglip(bench)
