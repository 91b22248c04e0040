"""Encoders and connectors with the names of their linear layers, for methods of fine-tuning on each."""
import copy
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Callable

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from transformers import InternVLVisionConfig, InternVLVisionModel, LlavaNextModel, WhisperFeatureExtractor
from transformers.models.idefics3.configuration_idefics3 import Idefics3VisionConfig
from transformers.models.idefics3.modeling_idefics3 import Idefics3VisionTransformer
from transformers.models.internvl.modeling_internvl import InternVLModel
from transformers.models.qwen2_5_omni.configuration_qwen2_5_omni import Qwen2_5OmniAudioEncoderConfig
from transformers.models.qwen2_5_omni.modeling_qwen2_5_omni import Qwen2_5OmniAudioEncoder

from . import edge_towers, grid_towers, internvl, smolvlm, tiny
from .connectors import IN, OUT, layers, norm, pooled, squares, stacked
from .omni import EARS
from .salm_adapter import random_adapter, tensors_of


@dataclass
class Part:
    """`build`: writes the checkpoint into a folder. `last`: what adapters stand behind; `ends`: what they stand beside; `known`: both by default.
    Without `targets` it has no linear layers: parameters of its own alone can be trained."""
    plugin: str
    build: Callable
    forward: Callable
    x: tuple
    targets: list
    last: list
    ends: list
    chosen: list = field(default_factory=lambda: ["*norm*", "*fc1*"])
    options: str = ""
    own_targets: list = None  # by our names, if others
    rename: Callable = lambda name: name
    known: bool = True
    request: dict = field(default_factory=dict)

    def __post_init__(self):
        self.own_targets = self.own_targets or self.targets
        self.own_last = self.own_targets if self.plugin == "linear" else self.last


VIT = dict(targets=["q_proj", "out_proj", "fc1", "fc2"], last=["out_proj", "fc2"], ends=[("q_proj", "out_proj"), ("fc1", "fc2")])
PICTURE = (2, 3, 28, 28)


def plain(module, x):
    return module(x).last_hidden_state


def kept(model, folder):
    model.save_pretrained(folder)
    return model


def ears(folder):
    """Without the matrix behind it, which is a connector of ours. Pairs of its vectors lie across chunks."""
    WhisperFeatureExtractor(feature_size=EARS["num_mel_bins"], chunk_length=5).save_pretrained(folder)
    model = kept(tiny.randomise(Qwen2_5OmniAudioEncoder(Qwen2_5OmniAudioEncoderConfig(**{**EARS, "n_window": 7})), 50), folder)
    model.proj = torch.nn.Identity()
    return model


def heard(module, x):
    return torch.stack([module(one, feature_lens=torch.tensor([one.shape[1]])).last_hidden_state for one in x])


def qwen_vl(module, x):
    return torch.stack([grid_towers.reference(module, one) for one in x])


ENCODERS = {
    "clip": Part("clip", tiny.clip, lambda module, x: module(x).last_hidden_state[:, 1:], PICTURE, **VIT, options="layer = -1\nclass_token = false"),
    "siglip": Part("siglip", lambda folder: tiny.siglip(folder, vision_use_head=False), plain, PICTURE, **VIT, options="layer = -1"),
    "dinov2": Part("dinov2", tiny.dinov2, lambda module, x: module(x).last_hidden_state[:, 1:], PICTURE, ["q_proj", "o_proj", "fc1", "fc2"], ["o_proj", "fc2"], [("q_proj", "o_proj"), ("fc1", "fc2")],
                   options="layer = -1\nclass_token = false", own_targets=["query", "output.dense", "fc1", "fc2"], rename=tiny.dinov2_old_name),
    "whisper": Part("whisper", tiny.whisper, plain, (1, 80, 200), **VIT, options="layer = -1", rename=lambda name: "model.encoder." + name),
    "qwen2_5_omni_audio": Part("qwen2_5_omni_audio", ears, heard, (2, 80, 50), **{**VIT, "targets": ["v_proj", "out_proj", "fc1", "fc2"]}),
    "fastconformer": Part("fastconformer", tiny.fastconformer, plain, (2, 77, 80), ["v_proj", "o_proj", "feed_forward1.linear1", "linear2"], ["o_proj", "feed_forward2.linear2"],
                          [("q_proj", "o_proj"), *[(f"feed_forward{i}.linear1", f"feed_forward{i}.linear2") for i in (1, 2)]], ["*norm*", "*linear1*"], rename=lambda name: "encoder." + name),
    "pixtral": Part("pixtral", edge_towers.tower, lambda module, x: torch.stack([plain(module, one)[0] for one in x]), (2, 1, 3, 20, 28), ["q_proj", "o_proj", "up_proj", "down_proj"], ["o_proj", "down_proj"],
                    [("q_proj", "o_proj"), ("up_proj", "down_proj")], ["*norm*", "*gate_proj*"], options="layer = -1"),
    "qwen2_vl_vision": Part("qwen2_vl_vision", lambda folder: grid_towers.tower(folder, *grid_towers.VARIANTS["Qwen2-VL"]), qwen_vl, (2, 1, 3, 40, 56), ["attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2"], ["attn.proj", "mlp.fc2"],
                            [("attn.qkv", "attn.proj"), ("mlp.fc1", "mlp.fc2")]),
    "qwen3_vl_vision": Part("qwen3_vl_vision", lambda folder: grid_towers.tower(folder, *grid_towers.VARIANTS["Qwen3-VL, taps"]), qwen_vl, (2, 1, 3, 40, 56), ["attn.qkv", "attn.proj", "mlp.linear_fc1", "mlp.linear_fc2"],
                            ["attn.proj", "mlp.linear_fc2"], [("attn.qkv", "attn.proj"), ("mlp.linear_fc1", "mlp.linear_fc2")], ["*norm?.*", "*mlp.linear_fc1*"]),
    "internvit": Part("internvit", lambda folder: kept(tiny.randomise(InternVLVisionModel(InternVLVisionConfig(**internvl.TOWER, attention_bias=True)), 30), folder), lambda module, x: plain(module, x)[:, 1:], PICTURE,
                      ["q_proj", "projection_layer", "fc1", "fc2"], ["projection_layer", "fc2"], [("q_proj", "projection_layer"), ("fc1", "fc2")], options="layer = -1\nclass_token = false"),
    "idefics3_vision": Part("idefics3_vision", lambda folder: kept(tiny.randomise(Idefics3VisionTransformer(Idefics3VisionConfig(**smolvlm.TOWER)), 40), folder), lambda module, x: smolvlm.vectors(module, x, -1), PICTURE, **VIT, options="layer = -1"),
}


class Layers(torch.nn.Module):
    """Linear layers, norms (without a bias: of the root of the mean square) and parameters of these names; `way`: what is computed of x and the
    function that gives one of them."""

    def __init__(self, parameters, way):
        super().__init__()
        self.way = way
        for name in [key for key in parameters if "." not in key]:
            self.register_parameter(name, torch.nn.Parameter(parameters[name].clone()))
        for name in {key.rsplit(".", 1)[0]: None for key in parameters if "." in key}:
            weight, bias = parameters[name + ".weight"], f"{name}.bias" in parameters
            layer = torch.nn.Linear(weight.shape[1], weight.shape[0], bias) if weight.dim() == 2 else torch.nn.LayerNorm(len(weight)) if bias else torch.nn.RMSNorm(len(weight), 1e-5)
            layer.load_state_dict({kind: parameters[f"{name}.{kind}"] for kind in ["weight", "bias"][:1 + bias]})
            parent = self
            for piece in name.split(".")[:-1]:
                if piece not in dict(parent.named_children()):
                    parent.add_module(piece, torch.nn.Module())
                parent = parent.get_submodule(piece)
            parent.add_module(name.rsplit(".", 1)[-1], layer)

    def forward(self, x):
        return self.way(x, lambda name: getattr(self, name) if name in self._parameters else self.get_submodule(name))


def connector(plugin, parameters, grid, way, first, last, chosen, options="", rename=lambda name: name, parts=2, **request):
    def build(folder):
        save_file({rename(key): value for key, value in parameters.items()}, folder / "connector.safetensors")
        return Layers(parameters, way).eval()
    return Part(plugin, build, lambda module, x: module(x), (parts, grid[0] * grid[1], IN), [name for name in dict.fromkeys([first, last]) if name], [last], [(first, last)] if first != last else [], chosen, options,
                ["all-linear"] if plugin == "linear" else None, rename, False, dict(input_size=IN, output_size=OUT, rows=grid[0], columns=grid[1], **request))


def tiled(x, newline):
    """A picture of 20 x 7 as a whole and in two tiles above each other, of which the columns at the sides show nothing."""
    config = SimpleNamespace(vision_config=SimpleNamespace(image_size=12, patch_size=3), image_grid_pinpoints=[[24, 12]])
    return LlavaNextModel.pack_image_features(SimpleNamespace(config=config), [x], [[20, 7]], "full", newline)[0][0][None]


def joined(x, rows, columns, by):
    """Squares of vectors, the values of a channel side by side."""
    return F.unfold(x.transpose(1, 2).reshape(len(x), -1, rows, columns), by, stride=by).transpose(1, 2)


def scaled(x, weight):
    return x * (x.square().mean(-1, keepdim=True) + 1e-6).rsqrt() * (1 + weight)


def conformer():
    adapter = random_adapter(torch.Generator().manual_seed(36), IN, OUT, 16, 2, 2, 5).eval()

    def build(folder):
        save_file(tensors_of(adapter), folder / "connector.safetensors")
        return copy.deepcopy(adapter)
    lengths = [11, 4, 1]
    return Part("conformer", build, lambda module, x: module(x[0].split(lengths))[None], (1, sum(lengths), IN), ["v_proj", "o_proj", "in_proj", "linear2"], ["o_proj", "feed_forward2.linear2"], ENCODERS["fastconformer"].ends,
                ["*norm*", "*linear1*"], "hidden_size = 16\nnum_heads = 2\nkernel_size = 5", known=True, request=dict(input_size=IN, output_size=OUT, rows=1, columns=1, lengths=lengths))


def connectors():
    generator = torch.Generator().manual_seed(35)
    between = lambda names, act=F.gelu: lambda x, at: at(names[1])(act(at(names[0])(x)))
    two = lambda wide, prefix="layers.": layers([wide, OUT, OUT], prefix, generator)
    both = ("layers.0", "layers.1")
    matrix = lambda out, wide: torch.randn(out, wide, generator=generator) * wide ** -0.5
    behind = {key.replace("layers.0", "layers.2").replace("layers.1", "layers.4"): value for key, value in two(4 * IN).items()}
    return {part.plugin: part for part in [
        connector("linear", {key.replace(".0.", "."): value for key, value in layers([IN, OUT], "projector.", generator).items()}, (3, 5), lambda x, at: at("projector")(x), "projector", "projector", ["*weight"],
                  rename=lambda name: name.removeprefix("projector.")),
        connector("mlp", two(IN) | norm(IN, "norm", generator), (4, 6), lambda x, at: between(both)(pooled(at("norm")(x), 4, 6, 2), at), *both, ["norm.*", "layers.0.bias"], 'pool = 2\nnorm = "layer_norm"'),
        connector("frame_stack", two(4 * IN, ""), (1, 13), lambda x, at: between(("0", "1"))(stacked(x, 4), at), "0", "1", ["*bias"], "factor = 4"),
        connector("downsample_mlp", behind | norm(4 * IN, "layers.1", generator), (3, 5), lambda x, at: between(("layers.2", "layers.4"))(at("layers.1")(squares(x, 3, 5, 2)), at), "layers.2", "layers.4", ["layers.1.*", "layers.2.weight"], "factor = 2"),
        connector("pixel_shuffle", two(4 * IN) | norm(4 * IN, "norm", generator), (4, 6), lambda x, at: between(both)(at("norm")(InternVLModel.pixel_shuffle(None, x.view(len(x), 4, 6, IN), 0.5).flatten(1, 2)), at), *both, ["norm.*", "layers.1.weight"]),
        conformer(),
        connector("anyres_mlp", two(IN) | {"newline": torch.randn(OUT, generator=generator)}, (4, 4), lambda x, at: tiled(between(both)(x, at), at("newline")), *both, ["newline", "layers.1.weight"], parts=3, tiling=[2, 1, 20, 7]),
        connector("patch_merger", {key: value for key, value in two(IN).items() if "bias" not in key} | {"norm.weight": 1 + 0.3 * torch.randn(IN, generator=generator), "merging_layer.weight": matrix(IN, 4 * IN)}, (4, 6),
                  lambda x, at: between(both)(at("merging_layer")(joined(at("norm")(x), 4, 6, 2)), at), "merging_layer", "layers.1", ["norm.*", "layers.0.weight"]),
        connector("average_pool", {"scale": 0.3 * torch.randn(IN, generator=generator), "projection": matrix(IN, OUT)}, (4, 6), lambda x, at: scaled(pooled(x, 4, 6, 2), at("scale")) @ at("projection"), "", "", ["*"], "pool = 2",
                  rename=lambda name: name.replace("scale", "norm.weight")),
    ]}
