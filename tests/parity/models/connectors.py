"""linear, mlp and frame_stack against the same in torch: forward, and gradients of the features and all parameters."""
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from transformers import ParakeetEncoderConfig
from transformers.models.idefics3.modeling_idefics3 import Idefics3Connector
from transformers.models.internvl.modeling_internvl import InternVLModel, InternVLMultiModalProjector
from transformers.models.llava_next.modeling_llava_next import get_anyres_image_grid_shape, unpad_image
from transformers.models.parakeet.modeling_parakeet import ParakeetEncoderBlock, ParakeetEncoderRelPositionalEncoding

from .common import starting
from .encoders import key_bias_scales

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
    """Means over by x by squares of the grid, over runs of `by` where there is one row; less at the far edge."""
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
        parameters = renamed(linears, {str(i): f"fc{i + 1}" for i in range(3)}) | norm(wide, "norm1", generator)
        if factor == 3:
            parameters |= norm(3 * IN, "norm2", generator)

        def forward(x, p):
            x = F.gelu(layer(normed(squares(x, *grid, factor), p, "norm1"), p, "fc1"))
            return layer(x, p, "fc2") if factor == 2 else layer(F.gelu(layer(normed(x, p, "norm2"), p, "fc2")), p, "fc3")
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


def run_conformer(bench, generator):
    """Against transformers' Conformer block, with a norm over the width in its convolution."""
    width, heads = 16, 2
    config = ParakeetEncoderConfig(hidden_size=width, num_attention_heads=heads, intermediate_size=4 * width, conv_kernel_size=5, num_hidden_layers=2)
    config._attn_implementation = "eager"
    blocks = torch.nn.ModuleList([ParakeetEncoderBlock(config, i) for i in range(2)]).eval()
    for block in blocks:
        block.conv.norm = OverWidth(width)
    parameters = {f"layers.{name}": 0.5 * torch.randn(p.shape, generator=generator) * (p.shape[-1] if p.dim() > 1 else 1) ** -0.5 for name, p in blocks.named_parameters()}
    parameters |= {f"{name}.{part}": value for name, shape in [("in_proj", (width, IN)), ("out_proj", (OUT, width))]
                   for part, value in [("weight", torch.randn(shape, generator=generator) * shape[1] ** -0.5), ("bias", torch.randn(shape[0], generator=generator))]}
    positions = ParakeetEncoderRelPositionalEncoding(config)

    def forward(x, p):
        x = F.linear(x, p["in_proj.weight"], p["in_proj.bias"]) * width ** 0.5
        table = positions(x)
        for i, block in enumerate(blocks):
            own = {name[len(f"layers.{i}."):]: value for name, value in p.items() if name.startswith(f"layers.{i}.")}
            x = torch.func.functional_call(block, own, (x,), dict(position_embeddings=table))
        return F.linear(x, p["out_proj.weight"], p["out_proj.bias"])
    compare(bench, "conformer of two blocks", "conformer", "hidden_size = 16\nnum_heads = 2\nkernel_size = 5", [1, 11], parameters, forward, [1, 11])


class OverWidth(torch.nn.LayerNorm):
    """Takes [n, width, time], as the batch norm in its place."""

    def forward(self, x):
        return super().forward(x.transpose(1, 2)).transpose(1, 2)


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
    for factor, depth, hidden, count in [(4, 2, 0, 12), (4, 2, 0, 13), (8, 1, 0, 5), (1, 2, 16, 3), (3, 3, 24, 11)]:
        parameters = layers([IN * factor] + [hidden or OUT] * (depth - 1) + [OUT], "", generator)
        compare(bench, f"frame_stack {factor}, depth {depth}, {count} frames", "frame_stack", f"factor = {factor}\ndepth = {depth}\nhidden_size = {hidden}", [1, count], parameters,
                lambda x, p: mlp(stacked(x, factor), p, "", depth, "gelu"), [1, -(-count // factor)])
