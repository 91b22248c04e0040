"""Reads a CTranslate2 `model.bin` (binary version 6; format: OpenNMT/CTranslate2, src/models/model.cc)."""
import struct

import numpy as np

from common import DemoError

DTYPES = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}


class _Reader:
    def __init__(self, data, name):
        self.data, self.name, self.at = data, name, 0

    def take(self, count):
        if self.at + count > len(self.data):
            raise DemoError(f"{self.name} ends at byte {len(self.data)}, expected {count} more at {self.at}: it is "
                            "incomplete; remove it and call the demo again")
        self.at += count
        return self.data[self.at - count:self.at]

    def number(self, code):
        return struct.unpack("<" + code, self.take(struct.calcsize("<" + code)))[0]

    def string(self):
        return bytes(self.take(self.number("H"))).rstrip(b"\0").decode()


def _variable(reader):
    name = reader.string()
    shape = [reader.number("I") for _ in range(reader.number("B"))]
    kind, size = reader.number("B"), reader.number("I")
    if kind not in DTYPES or size != int(np.prod(shape)) * np.dtype(DTYPES[kind]).itemsize:
        raise DemoError(f"{reader.name}: variable {name} has type {kind}, shape {shape} and {size} bytes, which do not "
                        "fit together")
    return name, np.frombuffer(reader.take(size), DTYPES[kind]).reshape(shape)


def read_ctranslate2(path):
    """Returns {variable name: array}; aliases are entered under both names."""
    reader = _Reader(memoryview(path.read_bytes()), path.name)
    version, spec, revision = reader.number("I"), reader.string(), reader.number("I")
    if version != 6 or spec != "WhisperSpec" or revision != 3:
        raise DemoError(f"{path.name} is {spec} revision {revision} in binary version {version}, expected WhisperSpec "
                        "revision 3 in version 6")
    variables = dict(_variable(reader) for _ in range(reader.number("I")))
    for _ in range(reader.number("I")):
        alias, name = reader.string(), reader.string()
        variables[alias] = variables[name]
    if reader.at != len(reader.data):
        raise DemoError(f"{path.name} has {len(reader.data) - reader.at} bytes after its end")
    return variables
