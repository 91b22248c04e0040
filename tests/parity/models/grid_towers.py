"""qwen2_vl_vision and qwen3_vl_vision: vectors and every gradient over pictures and frames, what its processor makes of pictures, and how many
embeddings pictures of 5,000 sizes have. Pictures of several sizes in one call are tested by whole.py."""
import json
import random

import torch
from PIL import Image
from safetensors.torch import save_file
from transformers import Qwen2VLImageProcessorPil, Qwen3VLVisionModel
from transformers.models.qwen2_5_vl.configuration_qwen2_5_vl import Qwen2_5_VLVisionConfig
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VisionTransformerPretrainedModel
from transformers.models.qwen2_vl.configuration_qwen2_vl import Qwen2VLVisionConfig
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize
from transformers.models.qwen2_vl.modeling_qwen2_vl import Qwen2VisionTransformerPretrainedModel
from transformers.models.qwen3_vl.configuration_qwen3_vl import Qwen3VLVisionConfig
from transformers.vision_utils import get_vision_window_index

from . import tiny
from .common import named_gradients
from .processors import picture

OLD, NEW = (Qwen2VLVisionConfig, Qwen2VisionTransformerPretrainedModel), (Qwen2_5_VLVisionConfig, Qwen2_5_VisionTransformerPretrainedModel)
SMALL = dict(depth=3, num_heads=2, patch_size=4)
WINDOWED = dict(SMALL, hidden_size=32, intermediate_size=40, out_hidden_size=24, window_size=16, fullatt_block_indexes=[1])
NEWEST, TAPPED = (Qwen3VLVisionConfig, Qwen3VLVisionModel), dict(SMALL, hidden_size=32, intermediate_size=40, out_hidden_size=24, num_position_embeddings=36, deepstack_visual_indexes=[0, 1])
VARIANTS = {
    "Qwen3-VL, taps": (*NEWEST, TAPPED),
    "Qwen3-VL, the last block tapped, a table of one, four heads": (*NEWEST, dict(TAPPED, num_position_embeddings=1, deepstack_visual_indexes=[2], num_heads=4)),
    "Qwen3-VL, no taps, squares of three, a large table, one frame a patch": (*NEWEST, dict(TAPPED, num_position_embeddings=400, deepstack_visual_indexes=[], spatial_merge_size=3, temporal_patch_size=1, hidden_act="gelu")),
    "Qwen2-VL": (*OLD, dict(SMALL, embed_dim=32, hidden_size=24, mlp_ratio=2)),
    "Qwen2-VL, four heads, gelu, one frame a patch": (*OLD, dict(SMALL, embed_dim=48, hidden_size=24, mlp_ratio=3, num_heads=4, hidden_act="gelu", temporal_patch_size=1)),
    "Qwen2.5-VL, windows": (*NEW, WINDOWED),
    "Qwen2.5-VL, all blocks see all": (*NEW, dict(WINDOWED, fullatt_block_indexes=[0, 1, 2])),
    "Qwen2.5-VL, squares of three, windows of one square, other frequencies": (*NEW, dict(WINDOWED, spatial_merge_size=3, window_size=12, fullatt_block_indexes=[2], rope_parameters={"rope_type": "axial", "rope_theta": 100.0})),
}


def tower(folder, config_class, model_class, changes):
    config = config_class(**changes)
    config._attn_implementation = "eager"
    model = tiny.randomise(model_class._from_config(config), 19)
    save_file({name: tensor.detach() for name, tensor in model.named_parameters()}, folder / "model.safetensors", {"format": "pt"})
    (folder / "config.json").write_text(json.dumps(config.to_dict()))
    return model


def squares_first(rows, columns, edge):
    """[rows * columns]: the patch, counted row by row, at each place of the order square by square."""
    return torch.arange(rows * columns).view(rows // edge, edge, columns // edge, edge).transpose(1, 2).flatten()


def patches(x, config):
    """[frames or 1, 3, height, width] -> the rows that transformers' processors make, and their grid."""
    size, edge, frames = config.patch_size, config.spatial_merge_size, config.temporal_patch_size
    rows, columns = x.shape[2] // size, x.shape[3] // size
    cut = x.expand(frames, -1, -1, -1).reshape(frames, 3, rows, size, columns, size).permute(2, 4, 1, 0, 3, 5).reshape(rows * columns, -1)
    return cut[squares_first(rows, columns, edge)], torch.tensor([[1, rows, columns]])


def reference(model, x):
    """Row by row, as ours gives them."""
    config = model.config
    rows, grid = patches(x, config)
    taps, hooks = [], [model.blocks[i].register_forward_hook(lambda module, given, out: taps.append(out)) for i in getattr(config, "deepstack_visual_indexes", [])]
    hidden = torch.cat([model(rows, grid_thw=grid).last_hidden_state, *taps], -1)
    for hook in hooks:
        hook.remove()
    order = squares_first(int(grid[0, 1]), int(grid[0, 2]), config.spatial_merge_size)
    if hasattr(config, "window_size"):
        windows, _ = get_vision_window_index(grid, config.spatial_merge_size, config.window_size, config.patch_size)
        order = order.view(-1, config.spatial_merge_size ** 2)[windows].flatten()
    return hidden[order.argsort()]


def vectors(bench, name, config_class, model_class, changes):
    folder = bench.new_folder()
    model = tower(folder, config_class, model_class, changes)
    plugin = "qwen3_vl_vision" if config_class is Qwen3VLVisionConfig else "qwen2_vl_vision"
    step = model.config.patch_size * model.config.spatial_merge_size
    generator = torch.Generator().manual_seed(5)
    for number, (count, height, width) in enumerate([(2, 5, 7), (1, 1, 1), (1, 1, 6), (1, 4, 4)]):
        for frames in sorted({1, model.config.temporal_patch_size}):
            x = torch.randn(count, frames, 3, height * step, width * step, generator=generator).requires_grad_(True)
            model.zero_grad()
            y = torch.stack([reference(model, one) for one in x])
            grad = torch.randn(y.shape, generator=generator)
            y.backward(grad)
            answer, out = bench.ask("encoder", {"x": x, "grad": grad}, plugin=plugin, weights=folder)
            case = f"{plugin} {name}, {count} of {height} x {width} squares, {frames} frame(s)"
            gradients = {**{"grad_x": x.grad}, **{f"grad:{key}": value for key, value in named_gradients(model).items()}}
            ours = {key: value for key, value in out.items() if key.startswith("grad")}
            bench.compare(case, {"y": out["y"], "y_frozen": out["y_frozen"]}, {"y": y, "y_frozen": y})
            bench.compare(f"{case}: gradients", ours, {key: value for key, value in gradients.items() if "merger" not in key}, gradients=gradients)
            bench.check(f"{case}: grid", answer["grid"] == [height * model.config.spatial_merge_size, width * model.config.spatial_merge_size], answer["grid"])


def pixels(bench):
    """Real pictures, of odd sizes, smaller and larger than the bounds; and sizes as old files write them."""
    folder = bench.new_folder()
    tower(folder, *VARIANTS["Qwen2.5-VL, windows"])
    sizes = [(97, 61), (28, 28), (40, 300), (300, 41), (1, 1), (1, 200), (200, 1), (63, 64), (64, 64), (12, 20), (36, 36), (20, 12), (513, 700)]
    files = []
    for i, size in enumerate(sizes):
        files.append(str(folder / f"{i}.png"))
        Image.fromarray(picture(*size, seed=i)).save(files[-1])
    files.append(str(folder / "gray.png"))
    Image.fromarray(picture(90, 120, 9)[..., 0]).save(files[-1])
    for name, settings in [("bounds of files", dict(size={"shortest_edge": 256, "longest_edge": 4096})), ("bilinear, other statistics", dict(size={"shortest_edge": 64, "longest_edge": 20000}, resample=2, image_mean=[0.5, 0.4, 0.3], image_std=[0.2, 0.3, 0.4]))]:
        processor = Qwen2VLImageProcessorPil(patch_size=4, **settings)
        expected = {}
        for i, file in enumerate(files):
            out = processor(Image.open(file).convert("RGB"), return_tensors="pt")
            rows, columns = out["image_grid_thw"][0, 1:].tolist()
            flat = out["pixel_values"][squares_first(rows, columns, 2).argsort()].view(rows, columns, 3, 2, 4, 4)
            assert torch.equal(flat[:, :, :, 0], flat[:, :, :, 1])
            expected[f"{i}.0"] = flat[:, :, :, 0].permute(2, 0, 3, 1, 4).reshape(1, 3, 4 * rows, 4 * columns)
        processor.save_pretrained(folder)
        _, out = bench.ask("process", plugin="qwen2_vl_vision", weights=folder, media=files)
        bench.compare(f"images, qwen2_vl_vision, {name}", out, expected, limit=1e-6)
        bench.check(f"images, qwen2_vl_vision, {name}: to the bit", all(torch.equal(out[key], expected[key]) for key in expected), f"{len(expected)} pictures")
        config = json.loads((folder / "preprocessor_config.json").read_text())
        bounds = config.pop("size")
        for form in [{"min_pixels": bounds["shortest_edge"], "max_pixels": bounds["longest_edge"]}, {"size": {"min_pixels": bounds["shortest_edge"], "max_pixels": bounds["longest_edge"]}},
                     {"size": {"shortest_edge": 1, "longest_edge": 100}, "min_pixels": bounds["shortest_edge"], "max_pixels": bounds["longest_edge"]}]:
            (folder / "preprocessor_config.json").write_text(json.dumps({**config, **form}))
            _, old = bench.ask("process", plugin="qwen2_vl_vision", weights=folder, media=files)
            bench.check(f"images, qwen2_vl_vision, {name}: {' and '.join(form)}", all(torch.equal(old[key], out[key]) for key in out))
    Image.fromarray(picture(1, 201, 3)).save(folder / "long.png")
    bench.refused("images, qwen2_vl_vision refuses 1 x 201", "at most 200 times", "process", plugin="qwen2_vl_vision", weights=folder, media=[str(folder / "long.png")])
    for key, value in [("patch_size", 14), ("merge_size", 4), ("temporal_patch_size", 1), ("do_resize", False), ("rescale_factor", 1.0), ("image_processor_type", "CLIPImageProcessor")]:
        (folder / "preprocessor_config.json").write_text(json.dumps({**config, "size": bounds, key: value}))
        bench.refused(f"images, qwen2_vl_vision refuses {key} = {value}", key, "process", plugin="qwen2_vl_vision", weights=folder, media=[])


def counts(bench):
    """5,000 sizes: random ones, the smallest and longest, and around the bounds."""
    generator = random.Random(3)
    edges = [1, 2, 13, 14, 15, 27, 28, 29, 41, 42, 43, 55, 56, 57, 70, 98, 200, 201]
    sizes = [(h, w) for h in edges for w in edges]
    for root in (56, 64, 256, 1003):  # halves of a multiple, and areas about the bounds
        sizes += [(root + d, root + e) for d in range(-1, 2) for e in range(-1, 2)]
    sizes += [(14 * generator.randrange(1, 200), 14 * generator.randrange(1, 200)) for _ in range(1000)]
    while len(sizes) < 5000:
        sizes.append((int(10 ** generator.uniform(0, 4)), int(10 ** generator.uniform(0, 4))))
    for plugin, factor, bounds in [("qwen2_vl_vision", 28, (56 * 56, 28 * 28 * 1280)), ("qwen2_vl_vision", 28, (4 * 28 * 28, 16384 * 28 * 28)), ("qwen2_vl_vision", 28, (3136, 4000)),
                                   ("qwen3_vl_vision", 32, (65536, 16777216)), ("qwen3_vl_vision", 32, (4 * 32 * 32, 1280 * 32 * 32)), ("qwen3_vl_vision", 32, (4096, 5000))]:
        expected = []
        for height, width in sizes:
            try:
                expected.append(list(smart_resize(height, width, factor, *bounds)))
            except ValueError:
                expected.append(None)
        got = bench.ask("native_sizes", sizes=sizes, multiple=factor, min_pixels=bounds[0], max_pixels=bounds[1])[0]["sizes"]
        wrong = [size for size, one, other in zip(sizes, got, expected) if one != other]
        bench.check(f"images, {plugin}, {bounds[0]} to {bounds[1]} pixels: {len(sizes)} sizes, {expected.count(None)} refused", not wrong and None in expected, wrong[:5])


def plugin_counts(bench):
    """The same through plugin and merger, of 5,000 small pictures."""
    generator = random.Random(8)
    sizes = [(1, 1), (1, 200), (1, 201), (201, 1), (8, 8), (7, 9), (12, 12), (20, 20), (28, 4), (77, 78), (76, 80)]
    sizes += [(int(10 ** generator.uniform(0, 2.6)), int(10 ** generator.uniform(0, 2.6))) for _ in range(5000 - len(sizes))]
    for plugin, more in [("qwen2_vl_vision", "window_size = 16\nfull_attention_layers = [0]\n"), ("qwen3_vl_vision", "positions = 4\ntaps = []\n")]:
        for least, most in [(64, 6000), (640, 1000)]:
            processor = Qwen2VLImageProcessorPil(patch_size=4, merge_size=2, size={"shortest_edge": least, "longest_edge": most})
            expected = []
            for size in sizes:
                try:
                    expected.append([1, processor.get_number_of_image_patches(*size, {}) // 4])
                except ValueError:
                    expected.append(None)
            options = f"hidden_size = 16\nintermediate_size = 24\nnum_layers = 1\nnum_heads = 2\npatch_size = 4\nmin_pixels = {least}\nmax_pixels = {most}\n{more}"
            got = bench.ask("part_counts", plugin=plugin, options=options, shapes=sizes, connector="patch_merger", connector_options="factor = 2\n")[0]["counts"]
            wrong = [case for case in zip(sizes, got, expected) if case[1] != case[2]]
            bench.check(f"{plugin}, embeddings of {len(sizes)} pictures of {least} to {most} pixels, {expected.count(None)} refused", not wrong and None in expected, wrong[:3] or "")


def refusals(bench):
    for key, value, word in [("hidden_act", "tanh", "hidden_act"), ("in_channels", 4, "in_channels"), ("window_size", 4, "holds no square"), ("num_heads", 3, "4 * num_heads"), ("fullatt_block_indexes", [3], "no block 3"),
                             ("model_type", "clip_vision_model", "model_type"), ("rope_parameters", {"rope_type": "default", "rope_theta": 1.0}, "rope_type")]:
        folder = bench.new_folder()
        tower(folder, *VARIANTS["Qwen2.5-VL, windows"])
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, key: value}))
        bench.refused(f"qwen2_vl_vision refuses {key} = {value}", word, "process", plugin="qwen2_vl_vision", weights=folder, media=[])
    for key, value, word in [("num_position_embeddings", 35, "square"), ("deepstack_visual_indexes", [3], "no block 3"), ("deepstack_visual_indexes", [1, 0], "do not rise"), ("deepstack_visual_indexes", [1, 1], "do not rise"), ("model_type", "qwen2_vl_vision", "model_type")]:
        folder = bench.new_folder()
        tower(folder, *VARIANTS["Qwen3-VL, taps"])
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, key: value}))
        bench.refused(f"qwen3_vl_vision refuses {key} = {value}", word, "process", plugin="qwen3_vl_vision", weights=folder, media=[])


def run(bench):
    refusals(bench)
    counts(bench)
    plugin_counts(bench)
    pixels(bench)
    for name, (config_class, model_class, changes) in VARIANTS.items():
        vectors(bench, name, config_class, model_class, changes)
