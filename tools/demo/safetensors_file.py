"""Writes a safetensors file from numpy arrays (format: github.com/huggingface/safetensors, README, "Format")."""
import json
import os
import struct

import numpy as np

DTYPES = {np.dtype("float32"): "F32", np.dtype("float16"): "F16"}


def _header(tensors):
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name in sorted(tensors):
        array = tensors[name]
        header[name] = {"dtype": DTYPES[array.dtype], "shape": list(array.shape),
                        "data_offsets": [offset, offset + array.nbytes]}
        offset += array.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    return text + b" " * (-len(text) % 8)


def write_safetensors(path, tensors):
    """Writes the tensors in order of their names; the file appears under its name only when it is complete."""
    header = _header(tensors)
    partial = path.with_name(path.name + ".partial")
    with open(partial, "wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        for name in sorted(tensors):
            np.ascontiguousarray(tensors[name]).tofile(file)
    os.replace(partial, path)
