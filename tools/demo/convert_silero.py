#!/usr/bin/env python3
"""Writes models/silero-vad from silero_vad_16k_op15.onnx: float32, 16 kHz. The .safetensors file beside it in the
package holds other, older weights."""
import re

from common import DemoError
from convert import converter_main

NAME, VERSION = "silero-vad", 1
EXPECTED_TENSORS = 15
# The ONNX graph's names, and those of the package's .safetensors file, which we keep.
RULES = [(r"model\.stft\.forward_basis_buffer", "stft_conv.weight"),
         (r"model\.encoder\.(\d)\.reparam_conv\.(\w+)", lambda m: f"conv{int(m[1]) + 1}.{m[2]}"),
         (r"model\.decoder\.rnn\.(\w+)", r"lstm_cell.\1"), (r"model\.decoder\.decoder\.2\.(\w+)", r"final_conv.\1")]


def renamed(name):
    for pattern, replacement in RULES:
        if re.fullmatch(pattern, name):
            return re.sub(pattern, replacement, name)
    return None


def build(folder):
    import onnx
    from onnx import numpy_helper
    graph = onnx.load(folder / "silero_vad_16k_op15.onnx").graph
    tensors = {renamed(tensor.name): numpy_helper.to_array(tensor) for tensor in graph.initializer if renamed(tensor.name)}
    if len(tensors) != EXPECTED_TENSORS:
        raise DemoError(f"silero_vad_16k_op15.onnx gave {len(tensors)} tensors, expected {EXPECTED_TENSORS}")
    return tensors, {"config.json": {"model_type": "silero_vad"}}


if __name__ == "__main__":
    converter_main(NAME, VERSION, build)
