"""linear, mlp and frame_stack against the same in torch: forward, and gradients of the features and all parameters."""
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from transformers.models.gemma3.modeling_gemma3 import Gemma3MultiModalProjector
from transformers.models.idefics3.modeling_idefics3 import Idefics3Connector
from transformers.models.internvl.modeling_internvl import InternVLModel, InternVLMultiModalProjector
from transformers.models.llava_next.modeling_llava_next import get_anyres_image_grid_shape, unpad_image
from transformers.models.mistral3.modeling_mistral3 import Mistral3MultiModalProjector

from .common import starting
from .encoders import key_bias_scales
from .salm_adapter import random_adapter, statistics_of, tensors_of

IN, OUT = 12, 20
ACTIVATIONS = {"gelu": F.gelu, "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"), "relu": F.relu, "silu": F.silu}


def layers(widths, prefix, generator):
    """name -> weights of linear layers through `widths`."""
    parameters = {}
    for i, (wide, narrow) in enumerate(zip(widths, widths[1:])):
        parameters[f"{prefix}{i}.weight"] = torch.randn(narrow, wide, generator=generator) * wide ** -0.5
        parameters[f"{prefix}{i}.bias"] = 0.3 * torch.randn(narrow, generator=generator)
    return parameters


def mlp(x, parameters, prefix, depth, activation):
    for i in range(depth):
        x = F.linear(ACTIVATIONS[activation](x) if i else x, parameters[f"{prefix}{i}.weight"], parameters[f"{prefix}{i}.bias"])
    return x


def pooled(x, rows, columns, by):
    """Means over by x by squares of the grid, over runs of `by` if there is one row; less at the far edge."""
    x = x.view(x.shape[0], rows, columns, -1)
    down = 1 if rows == 1 else by
    squares = [x[:, r:r + down, c:c + by].mean((1, 2)) for r in range(0, rows, down) for c in range(0, columns, by)]
    return torch.stack(squares, 1)


def stacked(x, factor):
    short = -x.shape[1] % factor
    x = torch.cat([x, x.new_zeros(x.shape[0], short, x.shape[2])], 1)
    return torch.stack([torch.cat([x[:, i + j] for j in range(factor)], -1) for i in range(0, x.shape[1], factor)], 1)


def compare(bench, case, plugin, options, grid, parameters, forward, expected_grid):
    generator = torch.Generator().manual_seed(31)
    x = torch.randn(2, grid[0] * grid[1], IN, generator=generator)
    leaf = x.clone().requires_grad_(True)
    leaves = {name: p.clone().requires_grad_(True) for name, p in parameters.items()}
    y = forward(leaf, leaves)
    grad = torch.randn(y.shape, generator=generator)
    y.backward(grad)
    weights = bench.new_folder() / "connector.safetensors"
    save_file(parameters, weights)
    answer, out = bench.ask("connector", {"x": x, "grad": grad}, plugin=plugin, options=options, weights=weights, input_size=IN, output_size=OUT, rows=grid[0], columns=grid[1])
    theirs = {"y": y, "y_frozen": y, "x": leaf.grad, **{name: p.grad for name, p in leaves.items()}}
    bench.compare(case, {"y": out["y"], "y_frozen": out["y_frozen"], "x": out["grad_x"], **starting(out, "grad:")}, theirs, scales=key_bias_scales(theirs), gradients=theirs.keys() - {"y", "y_frozen"})
    if answer["grid"] != expected_grid:
        bench.check(case + ": grid", False, f"expected {expected_grid}, got {answer['grid']}")


def run_mlp(bench, generator):
    for name, depth, hidden, activation, norm, pool, grid, out_grid in [
            ("depth 1", 1, 0, "gelu", False, 1, [3, 4], [3, 4]), ("depth 2", 2, 0, "gelu", False, 1, [3, 4], [3, 4]),
            ("depth 3, width 32, relu", 3, 32, "relu", False, 1, [1, 7], [1, 7]), ("silu, norm", 2, 0, "silu", True, 1, [2, 2], [2, 2]),
            ("gelu_tanh, pool 2, even grid", 2, 0, "gelu_tanh", False, 2, [4, 6], [2, 3]), ("norm, pool 2, odd grid", 2, 0, "gelu", True, 2, [5, 3], [3, 2]),
            ("pool 3, grid 7 x 8", 1, 0, "gelu", False, 3, [7, 8], [3, 3]), ("pool 4 of a sequence of 10", 2, 0, "gelu", False, 4, [1, 10], [1, 3]),
            ("pool larger than the grid", 1, 0, "gelu", False, 5, [2, 3], [1, 1])]:
        parameters = layers([IN] + [hidden or OUT] * (depth - 1) + [OUT], "layers.", generator)
        if norm:
            parameters |= {"norm.weight": 1 + 0.3 * torch.randn(IN, generator=generator), "norm.bias": torch.randn(IN, generator=generator)}

        def forward(x, p):
            x = F.layer_norm(x, (IN,), p["norm.weight"], p["norm.bias"]) if norm else x
            return mlp(pooled(x, *grid, pool) if pool > 1 else x, p, "layers.", depth, activation)
        options = f'depth = {depth}\nhidden_size = {hidden}\nactivation = "{activation}"\npool = {pool}\nnorm = "{"layer_norm" if norm else "none"}"'
        compare(bench, f"mlp {name}", "mlp", options, grid, parameters, forward, out_grid)


def squares(x, rows, columns, by):
    """Squares of vectors side by side, zeros past the far edges: written out."""
    x = x.view(x.shape[0], rows, columns, -1)
    at = lambda r, c: x[:, r, c] if r < rows and c < columns else torch.zeros_like(x[:, 0, 0])
    return torch.stack([torch.cat([at(r + i, c + j) for i in range(by) for j in range(by)], -1) for r in range(0, rows, by) for c in range(0, columns, by)], 1)


def norm(width, name, generator):
    return {f"{name}.weight": 1 + 0.3 * torch.randn(width, generator=generator), f"{name}.bias": 0.3 * torch.randn(width, generator=generator)}


def renamed(parameters, names):
    return {names[key.rsplit(".", 1)[0]] + "." + key.rsplit(".", 1)[1]: value for key, value in parameters.items()}


def run_downsample(bench, generator):
    normed = lambda x, p, name: F.layer_norm(x, x.shape[-1:], p[name + ".weight"], p[name + ".bias"])
    layer = lambda x, p, name: F.linear(x, p[name + ".weight"], p[name + ".bias"])
    for factor, grid, out_grid in [(2, [4, 6], [2, 3]), (2, [3, 5], [2, 3]), (2, [1, 1], [1, 1]), (3, [6, 3], [2, 1]), (3, [7, 5], [3, 2]), (3, [4, 8], [2, 3])]:
        wide = IN * factor * factor
        widths = [wide, OUT, OUT] if factor == 2 else [wide, 3 * IN, OUT, OUT]
        linears = layers(widths, "", generator)
        places = {2: [2, 4], 3: [2, 5, 7]}[factor]
        parameters = renamed(linears, {str(i): f"layers.{place}" for i, place in enumerate(places)}) | norm(wide, "layers.1", generator)
        if factor == 3:
            parameters |= norm(3 * IN, "layers.4", generator)

        def forward(x, p):
            x = F.gelu(layer(normed(squares(x, *grid, factor), p, "layers.1"), p, "layers.2"))
            return layer(x, p, "layers.4") if factor == 2 else layer(F.gelu(layer(normed(x, p, "layers.4"), p, "layers.5")), p, "layers.7")
        compare(bench, f"downsample_mlp {factor} x {factor}, grid {grid}", "downsample_mlp", f"factor = {factor}", grid, parameters, forward, out_grid)

        def by_columns(x, p):
            return forward(x, p).view(x.shape[0], *out_grid, -1).transpose(1, 2).flatten(1, 2)
        compare(bench, f"downsample_mlp {factor} x {factor} by columns, grid {grid}", "downsample_mlp", f"factor = {factor}\ncolumn_major = true", grid, parameters, by_columns, out_grid[::-1])


def run_pixel_shuffle(bench, generator):
    """Against InternVL's and Idefics3's own modules."""
    text, vision = dict(hidden_size=OUT), dict(hidden_size=IN)
    intern = InternVLModel.pixel_shuffle
    projector = InternVLMultiModalProjector(SimpleNamespace(vision_config=SimpleNamespace(**vision), text_config=SimpleNamespace(**text), downsample_ratio=0.5, projector_hidden_act="gelu"))
    parameters = renamed(layers([4 * IN, OUT, OUT], "layers.", generator), {"layers.0": "layers.0", "layers.1": "layers.1"}) | norm(4 * IN, "norm", generator)

    def internvl(x, p):
        theirs = {{"norm": "layer_norm", "layers.0": "linear_1", "layers.1": "linear_2"}[key.rsplit(".", 1)[0]] + "." + key.rsplit(".", 1)[1]: value for key, value in p.items()}
        return torch.func.functional_call(projector, theirs, intern(None, x.view(x.shape[0], 4, 6, IN), 0.5).flatten(1, 2))
    compare(bench, "pixel_shuffle as InternVL", "pixel_shuffle", "", [4, 6], parameters, internvl, [2, 3])
    connector = Idefics3Connector(SimpleNamespace(scale_factor=3, vision_config=SimpleNamespace(**vision), text_config=SimpleNamespace(**text)))
    weight = {"layers.0.weight": torch.randn(OUT, 9 * IN, generator=generator)}
    compare(bench, "pixel_shuffle as Idefics3", "pixel_shuffle", 'factor = 3\ndepth = 1\nnorm = "none"\nbias = false', [6, 6], weight,
            lambda x, p: torch.func.functional_call(connector, {"modality_projection.proj.weight": p["layers.0.weight"]}, x), [2, 2])
    save_file(parameters, bench.folder / "shuffle.safetensors")
    save_file({"x": torch.zeros(1, 12, IN)}, bench.folder / "x.safetensors")
    bench.refused("pixel_shuffle refuses an odd grid", "cannot be cut", "connector", plugin="pixel_shuffle", options="", weights=bench.folder / "shuffle.safetensors", inputs=str(bench.folder / "x.safetensors"), input_size=IN, output_size=OUT, rows=3, columns=4)


def run_average_pool(bench, generator):
    """Against Gemma 3's own module, which takes square pictures; and written out for others."""
    parameters = {"norm.weight": 0.3 * torch.randn(IN, generator=generator), "projection": torch.randn(IN, OUT, generator=generator) * IN ** -0.5}
    for side, tokens, edge in [(4, 4, 2), (6, 4, 2), (3, 9, 3), (5, 4, 2)]:
        vision = SimpleNamespace(hidden_size=IN, layer_norm_eps=1e-3, image_size=7 * side, patch_size=7)
        projector = Gemma3MultiModalProjector(SimpleNamespace(vision_config=vision, text_config=SimpleNamespace(hidden_size=OUT), mm_tokens_per_image=tokens))
        theirs = lambda x, p: torch.func.functional_call(projector, {"mm_soft_emb_norm.weight": p["norm.weight"], "mm_input_projection_weight": p["projection"]}, x)
        compare(bench, f"average_pool as Gemma 3, {side} x {side} patches to {tokens} vectors", "average_pool", f"pool = {side // edge}\nnorm_eps = 1e-3", [side, side], parameters, theirs, [edge, edge])

    def written_out(x, p):
        x = F.avg_pool2d(x.transpose(1, 2).reshape(x.shape[0], IN, 4, 7), 2).flatten(2).transpose(1, 2)
        return x * (x.square().mean(-1, keepdim=True) + 1e-6).rsqrt() * (1 + p["norm.weight"]) @ p["projection"]
    compare(bench, "average_pool, a picture that is not a square", "average_pool", "pool = 2", [4, 7], parameters, written_out, [2, 3])


def run_patch_merger(bench, generator):
    """Against Mistral Small 3's own module."""
    for factor, bias, activation, grid in [(2, False, "gelu", (4, 6)), (1, True, "silu", (2, 3)), (3, False, "gelu", (3, 6))]:
        vision, text = SimpleNamespace(hidden_size=IN, patch_size=1), SimpleNamespace(hidden_size=OUT, rms_norm_eps=1e-3)
        projector = Mistral3MultiModalProjector(SimpleNamespace(vision_config=vision, text_config=text, spatial_merge_size=factor, vision_feature_layer=-1, multimodal_projector_bias=bias, projector_hidden_act=activation))
        names = {"norm.weight": "norm.weight", "patch_merger.merging_layer.weight": "merging_layer.weight", **{f"linear_{i + 1}.{kind}": f"layers.{i}.{kind}" for i in range(2) for kind in ["weight", "bias"][:1 + bias]}}
        shapes = dict(projector.named_parameters())
        parameters = {ours: 0.3 * torch.randn(shapes[theirs].shape, generator=generator) for theirs, ours in names.items()}

        def merged(x, p):
            each = [torch.func.functional_call(projector, {theirs: p[ours] for theirs, ours in names.items()}, (one, [grid])) for one in x]
            return torch.stack(each)
        compare(bench, f"patch_merger as Mistral Small 3, factor {factor}, {activation}", "patch_merger", f'factor = {factor}\nbias = {str(bias).lower()}\nactivation = "{activation}"\nnorm_eps = 1e-3', list(grid), parameters, merged, [grid[0] // factor, grid[1] // factor])


def run_anyres(bench):
    """Tiles and embeddings of pictures of many sizes, as LLaVA-NeXT's own code counts them; among the sizes those for
    which its processor and its model disagree: the model's count is the one that the embeddings have."""
    pinpoints = [[336, 672], [672, 336], [672, 672], [1008, 336], [336, 1008]]
    generator = torch.Generator().manual_seed(33)
    sizes = torch.randint(1, 1400, (3000, 2), generator=generator).tolist() + [[336, 336], [480, 640], [1080, 1920], [672, 672], [100, 1000], [55, 176], [396, 704]]
    expected = []
    for size in sizes:
        rows, columns = get_anyres_image_grid_shape(size, pinpoints, 336)
        shown = unpad_image(torch.empty(1, rows * 24, columns * 24, device="meta"), size)
        expected.append([rows, columns, 576 + shown.shape[1] * (shown.shape[2] + 1)])
    options = "patch_size = 14\ninput_size = 336\nimage_size = 336\nshortest_edge = 336\ntile_resolutions = " + str([f"{h}x{w}" for h, w in pinpoints])
    answer, _ = bench.ask("tiles", plugin="clip", connector="anyres_mlp", options=options, sizes=sizes)
    wrong = [(size, got, want) for size, got, want in zip(sizes, answer["tiles"], expected) if got != want]
    bench.check("anyres_mlp: tiles and embeddings of pictures of 3007 sizes", not wrong, wrong[:3] or "")
    bench.check("anyres_mlp: the examples", [tokens for _, _, tokens in answer["tiles"][3000:3005]] == [1176, 2340, 1948, 2928, 1160])


def zero_gradients(names):
    """What a batch norm takes out again has a gradient of zero: its rounding is measured by that of the kernel beside it."""
    return {name: name[:-4] + "weight" for name in names if name.endswith("depthwise_conv.bias")}


def run_conformer(bench, generator):
    """Against NeMo's adapter in torch: evaluated; and as in training, in batches of several lengths, with the same values
    dropped, since both draw from LibTorch's generator in the same order. After training, evaluated by the statistics
    that it left."""
    dropouts = dict(dropout=0.1, input_dropout=0.2, attention_dropout=0.3)
    none = dict.fromkeys(dropouts, 0.0)
    for case, training, options, lengths in [("evaluated", False, dropouts, [11, 11]), ("evaluated, several lengths", False, dropouts, [11, 4, 11, 1]), ("in training", True, none, [11, 11]),
                                             ("in training, several lengths", True, none, [11, 4, 11, 1]), ("in training with dropout", True, dropouts, [7, 13, 2])]:
        adapter = random_adapter(generator, IN, OUT, 16, 2, 2, 5, **options).train(training)
        weights = bench.new_folder() / "connector.safetensors"
        save_file(tensors_of(adapter), weights)
        x = torch.randn(1, sum(lengths), IN, generator=generator)
        leaf = x.clone().requires_grad_(True)
        torch.manual_seed(77)
        y = adapter(leaf[0].split(lengths))[None]
        grad = torch.randn(y.shape, generator=generator)
        y.backward(grad)
        gradients = {"x": leaf.grad, **{name: p.grad for name, p in adapter.named_parameters()}}
        after = {"y": y, "y_frozen": adapter.eval()(x[0].split(lengths))[None], **{"fixed:" + name: value for name, value in statistics_of(adapter).items()}}
        text = "hidden_size = 16\nnum_heads = 2\nkernel_size = 5\n" + "\n".join(f"{key} = {value}" for key, value in options.items())
        _, out = bench.ask("connector", {"x": x, "grad": grad}, plugin="conformer", options=text, weights=weights, input_size=IN, output_size=OUT, rows=1, columns=1, lengths=lengths, training=training, seed=77)
        ours = {"x": out["grad_x"], **starting(out, "grad:"), **{name: out[name] for name in after}}
        scales = key_bias_scales(gradients) | (zero_gradients(gradients) if training else {})
        bench.compare(f"conformer {case}", ours, gradients | after, scales=scales, gradients=gradients)


def run(bench):
    generator = torch.Generator().manual_seed(32)
    weight, bias = torch.randn(OUT, IN, generator=generator), torch.randn(OUT, generator=generator)
    compare(bench, "linear", "linear", "", [3, 5], {"weight": weight, "bias": bias}, lambda x, p: F.linear(x, p["weight"], p["bias"]), [3, 5])
    compare(bench, "linear without bias", "linear", "bias = false", [1, 5], {"weight": weight}, lambda x, p: F.linear(x, p["weight"]), [1, 5])
    compare(bench, "linear with log-softmax", "linear", "log_softmax = true", [1, 4], {"weight": weight, "bias": bias}, lambda x, p: F.log_softmax(F.linear(x, p["weight"], p["bias"]), -1), [1, 4])
    run_anyres(bench)
    run_conformer(bench, generator)
    run_mlp(bench, generator)
    run_downsample(bench, generator)
    run_pixel_shuffle(bench, generator)
    run_average_pool(bench, generator)
    run_patch_merger(bench, generator)
    for factor, depth, hidden, count in [(4, 2, 0, 12), (4, 2, 0, 13), (8, 1, 0, 5), (1, 2, 16, 3), (3, 3, 24, 11)]:
        parameters = layers([IN * factor] + [hidden or OUT] * (depth - 1) + [OUT], "", generator)
        compare(bench, f"frame_stack {factor}, depth {depth}, {count} frames", "frame_stack", f"factor = {factor}\ndepth = {depth}\nhidden_size = {hidden}", [1, count], parameters,
                lambda x, p: mlp(stacked(x, factor), p, "", depth, "gelu"), [1, -(-count // factor)])
    parameters = {name: value for name, value in layers([IN * 4, OUT, OUT], "", generator).items() if name.endswith("weight")}
    compare(bench, "frame_stack 4 without biases", "frame_stack", "factor = 4\nbias = false", [1, 12], parameters, lambda x, p: F.gelu(stacked(x, 4) @ p["0.weight"].T) @ p["1.weight"].T, [1, 3])
