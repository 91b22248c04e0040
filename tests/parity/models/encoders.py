"""dinov2, clip, siglip, whisper and fastconformer: features and the gradient of the input and of every parameter."""
import shutil

import torch
from safetensors.torch import load_file, save_file
from transformers import CLIPModel, SiglipModel

from . import tiny
from .common import named_gradients, starting


def key_bias_scales(names):
    """A shift of all keys changes no attention weight, so the gradient of a key bias is zero and its rounding is
    measured by that of its weight."""
    return {name: name[:-4] + "weight" for name in names if name.endswith(("key.bias", "k_proj.bias"))}


def both(bench, plugin, model, weights, x, options, forward, rename, dtype):
    """Answer, ours, theirs: features and gradients, both sides in `dtype`."""
    model.to(dtype).zero_grad()
    leaf = x.to(dtype, copy=True).requires_grad_(True)
    expected = forward(leaf)
    grad = torch.randn(expected.shape, generator=torch.Generator().manual_seed(5))
    expected.backward(grad.to(dtype))
    answer, out = bench.ask("encoder", {"x": x, "grad": grad}, plugin=plugin, weights=weights, options=options, dtype={torch.float64: "fp64"}.get(dtype, "fp32"))
    theirs = {"y": expected, "y_frozen": expected, "x": leaf.grad, **named_gradients(model, rename)}
    return answer, {"y": out["y"], "y_frozen": out["y_frozen"], "x": out["grad_x"], **starting(out, "grad:")}, theirs


def compare(bench, case, plugin, model, weights, x, options, forward, rename=lambda name: name):
    answer, ours, theirs = both(bench, plugin, model, weights, x, options, forward, rename, torch.float32)
    bench.compare(case, ours, theirs, scales=key_bias_scales(theirs), gradients=theirs.keys() - {"y", "y_frozen"})
    return answer


def compare_exactly(bench, case, plugin, model, weights, x, options, forward, rename=lambda name: name):
    """In float64, where nothing hides, and once more in float32: there either side's gradients of queries and keys of
    relative attention, whose terms nearly cancel, are up to 1e-5 off, and are measured by those of the values."""
    _, ours, theirs = both(bench, plugin, model, weights, x, options, forward, rename, torch.float64)
    exact = {name: name.replace(".k_proj.bias", ".k_proj.weight") for name in theirs}
    bench.compare(case + ", fp64", ours, theirs, limit=1e-10, scales=exact, gradients=theirs.keys() - {"y", "y_frozen"})
    _, ours, theirs = both(bench, plugin, model, weights, x, options, forward, rename, torch.float32)
    cancelling = ("q_proj.weight", "q_proj.bias", "k_proj.weight", "k_proj.bias", "self_attn.bias_u", "self_attn.bias_v")
    values = {name: name[:name.index("self_attn.")] + "self_attn.v_proj.weight" for name in theirs if name.endswith(cancelling)}
    bench.compare(case, ours, theirs, scales=values, gradients=theirs.keys() - {"y", "y_frozen"})


def run_dinov2(bench):
    folder = bench.new_folder()
    model = tiny.dinov2(folder)
    renamed = bench.new_folder()
    shutil.copy(folder / "config.json", renamed)
    save_file(model.state_dict(), renamed / "model.safetensors")
    generator = torch.Generator().manual_seed(4)

    def one(name, size, layer, class_token, weights=folder):
        def forward(x):
            out = model(x, output_hidden_states=True)
            y = out.last_hidden_state if layer == -1 else out.hidden_states[layer]
            return y if class_token else y[:, 1:]
        x = torch.randn(2, 3, *size, generator=generator)
        options = f"layer = {layer}\nclass_token = {str(class_token).lower()}"
        answer = compare(bench, f"dinov2 {name}", "dinov2", model, weights, x, options, forward, tiny.dinov2_old_name)
        rows, columns = size[0] // 7, size[1] // 7
        if answer["grid"] != ([1, rows * columns + 1] if class_token else [rows, columns]):
            bench.check(f"dinov2 {name}: grid", False, answer["grid"])

    one("native grid, layer -1", (28, 28), -1, False)
    one("native grid, layer -1, class token", (28, 28), -1, True)
    one("layer -2", (28, 28), -2, False)
    one("layer -2, class token", (28, 28), -2, True)
    one("layer 0", (28, 28), 0, True)
    one("layer 3 (no final norm)", (28, 28), 3, False)
    one("grid 5 x 5 interpolated", (35, 35), -1, True)
    one("grid 3 x 6 interpolated", (21, 42), -1, False)
    one("grid 2 x 1, picture no multiple of a patch", (20, 9), -2, False)
    one("names of transformers 5 in memory", (28, 28), -1, False, renamed)


def run_whisper(bench):
    generator = torch.Generator().manual_seed(6)

    def one(name, encoder, weights, frames, layer, mels=80):
        def forward(x):
            out = encoder(x, output_hidden_states=True)
            return out.last_hidden_state if layer == -1 else out.hidden_states[layer]
        x = 2.5 * torch.rand(1, mels, frames, generator=generator) - 1  # as log-mels are
        prefix = "model.encoder."
        answer = compare(bench, f"whisper {name}", "whisper", encoder, weights, x, f"layer = {layer}", forward, lambda key: prefix + key)
        if answer["grid"] != [1, frames // 2]:
            bench.check(f"whisper {name}: grid", False, answer["grid"])

    folder = bench.new_folder()
    encoder = tiny.whisper(folder)
    for layer in (-1, -2, 0):
        one(f"window of 2 s, layer {layer}", encoder, folder, 200, layer)
    bare = bench.new_folder()
    encoder = tiny.whisper(bare, whole=False, num_mel_bins=128)
    one("saved without head, 128 mels", encoder, bare, 200, -1, mels=128)
    # On a clip's own length: the reference is an encoder whose position table is cut to it.
    cut = tiny.whisper(bench.new_folder(), max_source_positions=37)
    state = tiny.whisper(folder).state_dict()
    state["embed_positions.weight"] = state["embed_positions.weight"][:37]
    cut.load_state_dict(state)
    x = torch.randn(1, 80, 74, generator=generator)
    _, out = bench.ask("encoder", {"x": x}, plugin="whisper", weights=folder, options='length = "clip"')
    bench.compare("whisper clip's own length", out, {"y": cut(x).last_hidden_state})
    long = bench.new_folder()
    one("window of 30 s", tiny.whisper(long, max_source_positions=1500), long, 3000, -1)


def run_towers(bench):
    """clip and siglip, saved as transformers 5 and as 4 name their tensors, or with the text's half beside."""
    generator = torch.Generator().manual_seed(7)

    def one(plugin, name, model, weights, size, layer, class_token=None):
        def forward(x):
            out = model(x, output_hidden_states=True, interpolate_pos_encoding=size != (28, 28))
            y = out.last_hidden_state if layer == -1 else out.hidden_states[layer]
            return y[:, 1:] if class_token is False else y
        x = torch.randn(2, 3, *size, generator=generator)
        options = f"layer = {layer}" + ("" if class_token is None else f"\nclass_token = {str(class_token).lower()}")
        compare(bench, f"encoder {plugin} {name}", plugin, model, weights, x, options, forward)

    for plugin, build, whole, keep in [("clip", tiny.clip, CLIPModel, (False, True)), ("siglip", tiny.siglip, SiglipModel, (None,))]:
        folder, old = bench.new_folder(), bench.new_folder()
        model = build(folder)
        shutil.copy(folder / "config.json", old)
        save_file({"vision_model." + name: tensor for name, tensor in load_file(folder / "model.safetensors").items()}, old / "model.safetensors")
        for class_token in keep:
            for layer in (-1, -2, 0, 3):
                one(plugin, f"layer {layer}" + (", class token" if class_token else ""), model, folder, (28, 28), layer, class_token)
        one(plugin, "names of transformers 4", model, old, (28, 28), -2, keep[0])
        one(plugin, "grid 5 x 3 interpolated", model, folder, (35, 21), -1, keep[0])
        both = bench.new_folder()
        text = dict(hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, vocab_size=32, max_position_embeddings=8, bos_token_id=0, eos_token_id=1)
        pair = whole(whole.config_class(text_config=text, vision_config=model.config.to_dict()))
        pair.vision_model.load_state_dict(model.state_dict())
        pair.save_pretrained(both)
        one(plugin, "beside its text half", model, both, (28, 28), -2, keep[0])


def run_fastconformer(bench):
    generator = torch.Generator().manual_seed(8)
    within = lambda name: "encoder." + name  # ours writes it as part of a model with a head
    for name, changes, frames in [("77 frames", {}, 77), ("one vector", {}, 5), ("128 bands, four times shorter, no biases", dict(num_mel_bins=128, subsampling_factor=4, attention_bias=False, convolution_bias=False), 64),
                                  ("input not scaled, kernel 9", dict(scale_input=False, conv_kernel_size=9, num_hidden_layers=1), 200)]:
        folder = bench.new_folder()
        model = tiny.fastconformer(folder, **changes)
        x = torch.randn(1, frames, changes.get("num_mel_bins", 80), generator=generator)
        compare_exactly(bench, f"fastconformer {name}", "fastconformer", model, folder, x, "", lambda x: model(x).last_hidden_state, within)
    # Every option away from its default, alone and with others, over odd and even lengths down to one vector.
    for factor, frames in [(2, 1), (2, 33), (4, 34), (4, 2), (8, 8), (8, 9), (8, 121), (16, 1), (16, 200), (16, 333)]:
        for number, changes in enumerate([dict(hidden_act="relu", scale_input=False), dict(hidden_act="gelu", attention_bias=False, conv_kernel_size=3, num_attention_heads=2),
                                          dict(convolution_bias=False, num_mel_bins=64, conv_kernel_size=15, subsampling_conv_channels=4, hidden_size=32)]):
            folder, changes = bench.new_folder(), {**changes, "subsampling_factor": factor}
            model = tiny.fastconformer(folder, seed=30 + factor + number, **changes)
            x = torch.randn(2 if number else 1, frames, changes.get("num_mel_bins", 80), generator=generator)
            options = ", ".join(f"{key} {value}" for key, value in changes.items())
            compare_exactly(bench, f"fastconformer {frames} frames, {options}", "fastconformer", model, folder, x, "", lambda x: model(x).last_hidden_state, within)
    folder = bench.new_folder()
    model = tiny.fastconformer(folder, scale_input=False, conv_kernel_size=9, num_hidden_layers=1)
    x = torch.randn(1, 200, 80, generator=generator)
    inner = lambda x: model(x, output_hidden_states=True).hidden_states
    for layer in (0, 1):
        compare_exactly(bench, f"fastconformer layer {layer}", "fastconformer", model, folder, x, f"layer = {layer}", lambda x: inner(x)[layer], within)
    # A batch of several lengths with masks is what each clip gives alone.
    lengths = [40, 200, 123]
    x = torch.randn(3, 200, 80, generator=generator) * (torch.arange(200)[None] < torch.tensor(lengths)[:, None])[..., None]
    batch = model.float()(x, attention_mask=torch.arange(200)[None] < torch.tensor(lengths)[:, None])
    for i, length in enumerate(lengths):
        _, out = bench.ask("encoder", {"x": x[i:i + 1, :length]}, plugin="fastconformer", weights=folder)
        vectors = int(batch.attention_mask[i].sum())
        bench.compare(f"fastconformer alone, and in a masked batch: {length} frames", out, {"y": batch.last_hidden_state[i:i + 1, :vectors]})


def run(bench):
    run_dinov2(bench)
    run_towers(bench)
    run_whisper(bench)
    run_fastconformer(bench)
