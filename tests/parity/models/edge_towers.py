"""pixtral: vectors and every gradient, what its processor makes of pictures, and how many embeddings pictures of 5,000
sizes have. Pictures of several sizes in one call are tested by whole.py."""
import json
import random

import numpy as np
import torch
from PIL import Image
from transformers import PixtralImageProcessorPil, PixtralVisionConfig, PixtralVisionModel
from transformers.models.pixtral.image_processing_pil_pixtral import get_resize_output_image_size

from . import tiny
from .common import named_gradients
from .processors import picture

SMALL = dict(hidden_size=32, intermediate_size=40, num_hidden_layers=3, num_attention_heads=2, image_size=64, patch_size=4)
VARIANTS = {
    "two heads": {},
    "four heads, silu": dict(num_attention_heads=4, hidden_act="silu"),
    "other frequencies, patches of seven": dict(rope_parameters={"rope_type": "axial", "rope_theta": 50.0}, patch_size=7, image_size=70),
}


def tower(folder, **changes):
    model = tiny.randomise(PixtralVisionModel(PixtralVisionConfig(**{**SMALL, **changes})), 24)
    model.save_pretrained(folder)
    return model


def vectors(bench, name, changes):
    folder = bench.new_folder()
    model = tower(folder, **changes)
    step, generator = model.config.patch_size, torch.Generator().manual_seed(6)
    for count, rows, columns in [(2, 5, 7), (1, 1, 1), (1, 1, 6), (3, 4, 4)]:
        for layer in (-1, 2):
            x = torch.randn(count, 3, rows * step, columns * step, generator=generator).requires_grad_(True)
            model.zero_grad()
            y = torch.stack([model(one[None], output_hidden_states=True).hidden_states[layer][0] for one in x])
            grad = torch.randn(y.shape, generator=generator)
            y.backward(grad)
            answer, out = bench.ask("encoder", {"x": x[:, None], "grad": grad}, plugin="pixtral", weights=folder, options=f"layer = {layer}")
            case = f"pixtral {name}, {count} of {rows} x {columns} patches, layer {layer}"
            gradients = {"grad_x": x.grad[:, None], **{f"grad:{key}": value for key, value in named_gradients(model).items()}}
            bench.compare(case, {"y": out["y"], "y_frozen": out["y_frozen"]}, {"y": y, "y_frozen": y})
            # A single patch sees itself alone, whatever its query and its key are: their gradients are rounding.
            scales = {key: key.replace(name, ".v_proj.") for key in gradients for name in (".q_proj.", ".k_proj.") if name in key and rows * columns == 1}
            bench.compare(f"{case}: gradients", {key: value for key, value in out.items() if key.startswith("grad")}, gradients, scales=scales, gradients=gradients)
            bench.check(f"{case}: grid", answer["grid"] == [rows, columns], answer["grid"])
    config = json.loads((folder / "config.json").read_text())
    config["rope_theta"] = config.pop("rope_parameters")["rope_theta"]
    (folder / "config.json").write_text(json.dumps(config))
    _, old = bench.ask("encoder", {"x": x.detach()[:, None]}, plugin="pixtral", weights=folder, options="layer = 2")
    bench.compare(f"pixtral {name} (config of transformers 4)", {"y": old["y"]}, {"y": y})


def pixels(bench):
    """Real pictures, of odd sizes, smaller and larger than the longest edge, for patches and for squares of them."""
    folder = bench.new_folder()
    tower(folder)
    sizes = [(97, 61), (28, 28), (40, 300), (300, 41), (1, 1), (1, 40), (40, 1), (63, 64), (64, 64), (12, 20), (41, 40), (40, 41), (513, 700)]
    files = []
    for i, size in enumerate(sizes):
        files.append(str(folder / f"{i}.png"))
        Image.fromarray(picture(*size, seed=i)).save(files[-1])
    files.append(str(folder / "gray.png"))
    Image.fromarray(picture(90, 120, 9)[..., 0]).save(files[-1])
    for name, merge, settings in [("longest edge 40", 1, dict(size={"longest_edge": 40})), ("squares of patches, bilinear, other statistics", 2, dict(size={"height": 50, "width": 50}, resample=2, image_mean=[0.5, 0.4, 0.3], image_std=[0.2, 0.3, 0.4]))]:
        processor = PixtralImageProcessorPil(patch_size={"height": 4, "width": 4}, **settings)
        processor.save_pretrained(folder)
        expected = {}
        for i, file in enumerate(files):
            out = processor(Image.open(file).convert("RGB"), patch_size={"height": 4 * merge, "width": 4 * merge}, return_tensors="pt")
            expected[f"{i}.0"] = out["pixel_values"][0][None]
        _, out = bench.ask("process", plugin="pixtral", weights=folder, media=files, options=f"merge_size = {merge}")
        bench.check(f"images, pixtral, {name}: to the bit", out.keys() == expected.keys() and all(torch.equal(out[key], expected[key]) for key in expected), f"{len(expected)} pictures")
    config = json.loads((folder / "preprocessor_config.json").read_text())
    Image.fromarray(picture(1, 60, 3)).save(folder / "thin.png")
    (folder / "preprocessor_config.json").write_text(json.dumps({**config, "size": {"longest_edge": 40}}))
    bench.refused("images, pixtral refuses 60 x 1", "no pixel left", "process", plugin="pixtral", weights=folder, media=[str(folder / "thin.png")])
    for key, value in [("patch_size", 6), ("size", {"height": 40, "width": 50}), ("do_resize", False), ("rescale_factor", 1.0), ("do_center_crop", True), ("image_processor_type", "CLIPImageProcessor")]:
        (folder / "preprocessor_config.json").write_text(json.dumps({**config, key: value}))
        bench.refused(f"images, pixtral refuses {key} = {value}", key, "process", plugin="pixtral", weights=folder, media=[])


def counts(bench):
    """5,000 sizes: random ones, the smallest and longest, and around the bounds."""
    generator = random.Random(4)
    edges = [1, 2, 13, 14, 15, 16, 17, 27, 28, 29, 55, 56, 57, 98, 200, 201, 1023, 1024, 1025, 1539, 1540, 1541]
    sizes = [(h, w) for h in edges for w in edges]
    while len(sizes) < 5000:
        sizes.append((int(10 ** generator.uniform(0, 4)), int(10 ** generator.uniform(0, 4))))
    for longest, multiple in [(1024, 16), (1540, 28), (40, 4)]:
        expected = []
        for height, width in sizes:
            size = get_resize_output_image_size(np.broadcast_to(np.uint8(0), (3, height, width)), size=(longest, longest), patch_size=(multiple, multiple), input_data_format="channels_first")
            expected.append(list(size) if min(size) else None)
        got = bench.ask("edge_sizes", sizes=sizes, longest_edge=longest, multiple=multiple)[0]["sizes"]
        wrong = [(size, one, other) for size, one, other in zip(sizes, got, expected) if one != other]
        bench.check(f"images, pixtral, longest edge {longest}, multiples of {multiple}: {len(sizes)} sizes, {expected.count(None)} refused", not wrong and None in expected, wrong[:5])
    small = [(h, w) for h in edges[:12] for w in edges[:12]]
    small += [(int(10 ** generator.uniform(0, 2.6)), int(10 ** generator.uniform(0, 2.6))) for _ in range(5000 - len(small))]
    for longest, merge in [(40, 1), (64, 2)]:
        expected = []
        for height, width in small:
            size = get_resize_output_image_size(np.broadcast_to(np.uint8(0), (3, height, width)), size=(longest, longest), patch_size=(4 * merge, 4 * merge), input_data_format="channels_first")
            expected.append([1, size[0] * size[1] // (4 * merge) ** 2] if min(size) else None)
        options = f"hidden_size = 16\nintermediate_size = 24\nnum_layers = 1\nnum_heads = 2\npatch_size = 4\nlongest_edge = {longest}\nmerge_size = {merge}\n"
        got = bench.ask("part_counts", plugin="pixtral", options=options, shapes=small, connector="patch_merger", connector_options=f"factor = {merge}\n")[0]["counts"]
        wrong = [case for case in zip(small, got, expected) if case[1] != case[2]]
        bench.check(f"pixtral, embeddings of {len(small)} pictures, longest edge {longest}, squares of {merge}: {expected.count(None)} refused", not wrong and None in expected, wrong[:3] or "")


def refusals(bench):
    for key, value, word in [("hidden_act", "tanh", "hidden_act"), ("num_channels", 4, "num_channels"), ("num_attention_heads", 3, "4 * num_heads"), ("model_type", "clip_vision_model", "model_type"),
                             ("rope_parameters", {"rope_type": "linear", "rope_theta": 1.0}, "rope_type")]:
        folder = bench.new_folder()
        tower(folder)
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, key: value}))
        bench.refused(f"pixtral refuses {key} = {value}", word, "process", plugin="pixtral", weights=folder, media=[])


def run(bench):
    refusals(bench)
    counts(bench)
    pixels(bench)
    for name, changes in VARIANTS.items():
        vectors(bench, name, changes)
