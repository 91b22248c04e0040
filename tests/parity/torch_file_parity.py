"""Files of torch.save() as torch.load() reads them, and hostile ones: torch_file_parity.py PROBE."""

import collections
import io
import json
import os
import pickle
import random
import struct
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import torch

NAMES = {torch.float32: "F32", torch.float64: "F64", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64", torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8",
         torch.bool: "BOOL", torch.float8_e4m3fn: "F8_E4M3", torch.float8_e5m2: "F8_E5M2", torch.complex64: "C64", torch.uint16: "U16"}
MUTANTS = 3000


class Probe:
    def __init__(self, program):
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def open(self, path):
        self.process.stdin.write(f"open {path}\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, f"the probe has died of {path}"
        return json.loads(line)


def expected(state):
    bytes_of = lambda tensor: tensor.detach().contiguous().flatten().view(torch.uint8).numpy().tobytes().hex() if tensor.numel() else ""
    return {name: [NAMES[tensor.dtype], list(tensor.shape), bytes_of(tensor.reshape(1) if tensor.dim() == 0 else tensor)] for name, tensor in state.items() if isinstance(tensor, torch.Tensor)}


def some_tensor(chance):
    sizes = [chance.randint(0 if chance.random() < 0.05 else 1, 6) for _ in range(chance.randint(0, 4))]
    dtype = chance.choice(list(NAMES))
    tensor = (torch.randn(sizes) * 50).to(dtype)
    view = chance.choice(["none", "transposed", "slice", "of a larger one", "parameter"])
    if view == "transposed" and tensor.dim() > 1:
        return tensor.transpose(0, -1)
    if view == "slice" and tensor.dim() and sizes[0] > 2:
        return tensor[1:]
    if view == "of a larger one" and tensor.dim():
        return torch.cat([tensor, tensor])[: sizes[0]]
    if view == "parameter" and dtype.is_floating_point and tensor.element_size() > 1:
        return torch.nn.Parameter(tensor)
    return tensor


def random_states(chance):
    for i in range(120):
        state = collections.OrderedDict() if i % 2 else {}
        for number in range(chance.randint(1, 12)):
            state[f"layers.{number}.{'ä' * (i % 3)}weight"] = some_tensor(chance)
        if i % 3 == 0:
            state["shared"] = next(iter(state.values()))
        yield state
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.LSTM(4, 5))
    yield model.state_dict()
    yield {f"a.{i}": torch.full((2,), float(i)) for i in range(3000)}  # memo places beyond 256


class Config:  # of a class that the reader has never heard of
    def __init__(self):
        self.values = [1, 2.5, None, True, "text", b"bytes", (1,), {2: 3}, 1 << 80, -5]


def check_states(probe, folder, chance):
    path, count = folder / "state.bin", 0
    for state in random_states(chance):
        for saved in (state, {"epoch": 3, "state_dict": state, "hyper": Config()}) if count % 10 == 0 else (state,):
            torch.save(saved, path, pickle_protocol=chance.choice([2, 2, 3, 4, 5]))
            answer = probe.open(path)
            assert answer.get("tensors") == expected(state), answer.get("error", "other tensors")
        count += 1
    torch.save({"weight": torch.ones(2), "version": 3, "extra": Config()}, path)
    answer = probe.open(path)
    assert list(answer["tensors"]) == ["weight"] and "2 entries hold no tensor" in answer["warnings"][0], answer
    return count


def check_folder(probe, folder):
    parts = [{"a": torch.ones(2, 3)}, {"b": torch.zeros(4), "c": torch.ones(1)}]
    (folder / "shards").mkdir()
    for i, part in enumerate(parts):
        torch.save(part, folder / "shards" / f"pytorch_model-{i}.bin")
    index = {"metadata": {"total_size": 44}, "weight_map": {"a": "pytorch_model-0.bin", "b": "pytorch_model-1.bin", "c": "pytorch_model-1.bin"}}
    (folder / "shards" / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    answer = probe.open(folder / "shards")
    assert answer == {"warnings": [], "tensors": expected({**parts[0], **parts[1]})}, answer
    index["weight_map"]["c"] = "pytorch_model-0.bin"
    (folder / "shards" / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    assert "which does not have it" in probe.open(folder / "shards")["error"]


def archive(pickled, members={}, compression=zipfile.ZIP_STORED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as file:
        file.writestr("archive/data.pkl", pickled)
        for name, content in members.items():
            file.writestr(f"archive/{name}", content)
    return out.getvalue()


def tensor_pickle(offset=0, sizes=(2,), strides=(1,), storage="FloatStorage", key="0", call="torch._utils\n_rebuild_tensor_v2"):
    """{"w": a tensor}, opcode by opcode."""
    number = lambda value: b"\x8a\x08" + struct.pack("<q", value)
    text = lambda value: b"X" + struct.pack("<I", len(value)) + value.encode()
    tuple_of = lambda values: b"(" + b"".join(map(number, values)) + b"t"
    known_by = b"(" + text("storage") + f"ctorch\n{storage}\n".encode() + text(key) + text("cpu") + number(2) + b"tQ"
    return b"\x80\x02}" + text("w") + b"c" + call.encode() + b"\n(" + known_by + number(offset) + tuple_of(sizes) + tuple_of(strides) + b"\x89" + b"ccollections\nOrderedDict\n)R" + b"tRs."


class Runs:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def check_hostile(probe, folder):
    path, storage = folder / "hostile.pt", {"data/0": bytes(8)}
    touched = folder / "touched"
    torch.save({"weight": torch.ones(2), "run": Runs(touched)}, path)
    assert list(probe.open(path)["tensors"]) == ["weight"] and not touched.exists()

    def refused(content, *words):
        path.write_bytes(content)
        error = probe.open(path).get("error", "")
        assert all(word in error for word in words), (words, error)

    path.write_bytes(archive(tensor_pickle(), storage))
    assert probe.open(path)["tensors"] == {"w": ["F32", [2], "00" * 8]}
    refused(archive(pickle.dumps(Runs(touched), protocol=2)), "not a dict of tensors")
    assert not touched.exists()
    refused(pickle.dumps({"a": 1}, protocol=2), "bare Python pickles")
    refused(archive(pickle.dumps({"a": 1}, protocol=2)), "none of 1 entries is a tensor")
    refused(archive(tensor_pickle(), storage, zipfile.ZIP_DEFLATED), "compressed")
    refused(archive(tensor_pickle(), {**storage, "byteorder": "big"}), "big-endian")
    refused(archive(tensor_pickle(offset=1), storage), "'w' takes 2 numbers from number 1 on of a storage of 2")
    refused(archive(tensor_pickle(offset=-1), storage), "'w'")
    refused(archive(tensor_pickle(sizes=(1 << 40, 1 << 40), strides=(1, 1)), storage), "too large")
    refused(archive(tensor_pickle(sizes=(1 << 40,), strides=(0,)), storage), "the same number at several places")
    refused(archive(tensor_pickle(sizes=(-2,)), storage), "negative")
    refused(archive(tensor_pickle(sizes=(1,) * 65, strides=(1,) * 65), storage), "65 dimensions")
    refused(archive(tensor_pickle(sizes=(2, 1)), storage), "strides for other dimensions")
    refused(archive(tensor_pickle(key="7"), storage), "data/7", "not there")
    refused(archive(tensor_pickle(key="../0"), storage), "not there")
    refused(archive(tensor_pickle(storage="QInt8Storage"), storage), "QInt8Storage", "not read")
    refused(archive(tensor_pickle(call="torch._utils\n_rebuild_sparse_tensor"), storage), "_rebuild_sparse_tensor")
    refused(archive(b"\x80\x02" + b")\x85" * 200000 + b"."), "not a dict of tensors")  # so deep that a walk would overflow
    refused(archive(b"\x80\x02]q\x00h\x00a."), "not a dict")  # a list in itself
    refused(archive(b"\x80\x02\xff."), "byte 2: opcode 0xff")
    refused(archive(b"\x80\x02}"), "cut off")
    refused(archive(b"\x80\x02."), "stack is empty")
    refused(archive(b"\x80\x02X\xff\xff\xff\xff"), "cut off")
    whole = archive(tensor_pickle(), storage)
    for cut in range(0, len(whole), 7):
        refused(whole[:cut], "hostile.pt")


def check_mutants(probe, folder, chance):
    good = io.BytesIO()
    torch.save({"a.weight": torch.arange(6.0).view(2, 3), "b": torch.nn.Parameter(torch.ones(2)), "c": torch.ones(3, dtype=torch.bfloat16)}, good)
    good, path, taken = good.getvalue(), folder / "mutant.pt", 0
    for _ in range(MUTANTS):
        content = bytearray(good)
        for _ in range(chance.randint(1, 4)):
            place = chance.randrange(len(content))
            content[place] = chance.choice([0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)])
        if chance.random() < 0.1:
            del content[chance.randrange(len(content)):]
        path.write_bytes(content)
        taken += "tensors" in probe.open(path)
    assert 0 < taken < MUTANTS
    return taken


def main():
    chance, probe = random.Random(5), Probe(sys.argv[1])
    torch.manual_seed(5)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        count = check_states(probe, folder, chance)
        check_folder(probe, folder)
        check_hostile(probe, folder)
        taken = check_mutants(probe, folder, chance)
    print(f"{count} files as torch.load() reads them; {MUTANTS} damaged ones, {MUTANTS - taken} of them refused")


if __name__ == "__main__":
    main()
