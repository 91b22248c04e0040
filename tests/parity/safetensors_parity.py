"""The safetensors reader and writer against the `safetensors` package: safetensors_parity.py PROBE.

Accept and reject agree on the hand-made table and on mutated files, but for the rules of the format's README that
the package does not enforce; for those, an independent look at the header must confirm the reason.
"""

import json
import pathlib
import random
import re
import subprocess
import sys
import tempfile

import safetensors
import torch
from safetensors.torch import load_file, save_file

HERE = pathlib.Path(__file__).resolve().parent
MUTANTS = 6000
DTYPES = ["BOOL", "F4", "F6_E2M3", "U8", "I8", "F8_E5M2", "F8_E4M3", "I16", "U16", "F16", "BF16", "I32", "F32", "C64", "F64", "I64", "U64", "f32", ""]
NUMBERS = ["0", "1", "2", "3", "4", "7", "8", "16", "-1", "-0", "1.0", "1e2", "255", "4294967296", "9223372036854775808", "18446744073709551615",
           "18446744073709551616", "1e999", "01", "null", "[]", '"1"']
SNIPPETS = [b" ", b"\n", b"\t", b"\x00", b",", b":", b"{", b"}", b"[", b"]", b'"', b"\\", b"\\u0061", b"\\ud800", b"\xff", b"\xc3\xa9",
            b'"x":[1.5e3,{"y":null}],', b'"__metadata__":{"k":"v"},', b'"__metadata__":null,', b'"e":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},']


def case_bytes(case):
    if "raw_hex" in case:
        return bytes.fromhex(case["raw_hex"])
    header = case["header"].encode() if "header" in case else bytes.fromhex(case["header_hex"])
    length = int(case.get("length", len(header)))
    return length.to_bytes(8, "little") + header + b"\x01" * case["data"]


def package_view(data):
    """The tensors as the package sees them, or None if it rejects the file."""
    try:
        tensors = safetensors.deserialize(data)
    except safetensors.SafetensorError:
        return None
    return {name: [t["dtype"], list(t["shape"]), bytes(t["data"]).hex()] for name, t in tensors}


class Duplicate(Exception):
    pass


def stricter_reason(data):
    """The README's rule (or accident of the package) by which a file that the package takes may be refused."""
    header = data[8 : 8 + int.from_bytes(data[:8], "little")]
    if not header.startswith(b"{"):
        return "blanks before '{'"

    def unique(pairs):
        if len({k for k, _ in pairs}) != len(pairs):
            raise Duplicate
        return dict(pairs)

    try:
        parsed = json.loads(header, object_pairs_hook=unique)
    except Duplicate:
        return "duplicate key"
    for name, info in parsed.items():
        if name != "__metadata__" and isinstance(info, list):
            return "tensor as an array"
        if name != "__metadata__" and isinstance(info["dtype"], dict):
            return "dtype as an object"
    return None


def mutate_header(rng, header):
    kind = rng.randrange(8)
    at = rng.randrange(len(header) + 1)
    if kind == 0:
        return header[:at] + rng.choice(SNIPPETS) + header[at:]
    if kind == 1:
        return header[:at] + header[at + rng.randint(1, 3) :]
    if kind == 2 and at < len(header):
        return header[:at] + bytes([header[at] ^ (1 << rng.randrange(8))]) + header[at + 1 :]
    if kind == 3:
        spots = list(re.finditer(rb"\d+", header))
        if spots:
            spot = rng.choice(spots)
            return header[: spot.start()] + rng.choice(NUMBERS).encode() + header[spot.end() :]
    if kind == 4:
        spots = list(re.finditer(rb'"dtype"\s*:\s*"(\w*)"', header))
        if spots:
            spot = rng.choice(spots)
            return header[: spot.start(1)] + rng.choice(DTYPES).encode() + header[spot.end(1) :]
    if kind == 5:
        spots = list(re.finditer(rb'[\[{,:]', header))
        if spots:
            end = rng.choice(spots).end()
            return header[:end] + rng.choice([b" ", b"\t\r\n ", b"  "] + SNIPPETS[-4:]) + header[end:]
    if kind == 6:
        spots = list(re.finditer(rb'"\w+"', header))
        if spots:
            a, b = rng.choice(spots), rng.choice(spots)
            return header[: a.start()] + b.group() + header[a.end() :]
    return header + rng.choice([b" ", b"\n", b"        ", b"\x00", b"x", b"}", b"{}"])


def mutate(rng, data):
    size = int.from_bytes(data[:8], "little")
    header, body = data[8 : 8 + size], data[8 + size :]
    for _ in range(rng.choice([0, 1, 1, 1, 1, 2, 3])):
        header = mutate_header(rng, header)
    body += b"\x05" * rng.choice([0] * 12 + [1, 4, 8])
    body = body[: len(body) - rng.choice([0] * 12 + [1, 2, 4])]
    length = len(header)
    if rng.random() < 0.05:
        length = rng.choice([0, 1, length - 1, length + 1, length + len(body), 100_000_000, 100_000_001, 1 << 62, (1 << 64) - 1, (1 << 64) - 8])
    return max(0, length).to_bytes(8, "little") + header + body


def valid_seeds(rng, count):
    """Well-formed files with several tensors, shuffled in the header."""
    bits = {"BOOL": 8, "U8": 8, "F16": 16, "BF16": 16, "F32": 32, "I64": 64, "F4": 4, "F8_E4M3": 8}
    for _ in range(count):
        entries, offset = [], 0
        for i in range(rng.randint(1, 4)):
            dtype = rng.choice(list(bits))
            shape = [rng.choice([0, 1, 2, 2, 4]) for _ in range(rng.randint(0 if dtype != "F4" else 1, 3))]
            elements = 2 if dtype == "F4" else 1
            for n in shape:
                elements *= n
            if dtype == "F4":
                shape.append(2)
            end = offset + elements * bits[dtype] // 8
            entries.append((f"t{i}.w", {"dtype": dtype, "shape": shape, "data_offsets": [offset, end]}))
            offset = end
        rng.shuffle(entries)
        header = dict(entries)
        if rng.random() < 0.5:
            header["__metadata__"] = {"format": "pt"}
        text = json.dumps(header, separators=rng.choice([(",", ":"), (", ", ": ")])).encode()
        yield len(text).to_bytes(8, "little") + text + rng.randbytes(offset)


def ask(probe, commands):
    done = subprocess.run([probe], input="".join(c + "\n" for c in commands), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"the probe ended with {done.returncode}: {done.stderr[-2000:]}"
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(commands)
    return answers


def check_agreement(probe, folder, files, label):
    for i, data in enumerate(files):
        (folder / f"{i}.safetensors").write_bytes(data)
    answers = ask(probe, [f"read {folder}/{i}.safetensors" for i in range(len(files))])
    accepted, stricter = 0, {}
    for i, (data, answer) in enumerate(zip(files, answers)):
        package = package_view(data)
        ours = answer.get("tensors")
        if package is not None and ours is None:
            reason = stricter_reason(data)
            assert reason, f"{label} {i}: the package takes {data!r}, we do not: {answer['error']}"
            stricter[reason] = stricter.get(reason, 0) + 1
            continue
        assert (package is None) == (ours is None), f"{label} {i}: the package rejects {data!r}, we take it"
        if ours is None:
            continue
        accepted += 1
        assert package.keys() == ours.keys(), f"{label} {i}: names differ for {data!r}"
        for name, (dtype, shape, content) in ours.items():
            expected = package[name]
            assert [dtype, shape] == expected[:2] and content in (None, expected[2]), f"{label} {i}: '{name}' differs for {data!r}"
    print(f"{label}: {len(files)} files, {accepted} taken by both, stricter: {stricter}")
    return accepted, stricter


def check_table(probe, folder):
    cases = json.loads((HERE / "safetensors_cases.json").read_text())
    files = [case_bytes(c) for c in cases]
    check_agreement(probe, folder, files, "table")
    for case, data in zip(cases, files):
        takes = case["error"] is None or case.get("package_accepts", False)
        assert (package_view(data) is not None) == takes, f"the package changed its mind on '{case['name']}'"
    return [data for case, data in zip(cases, files) if len(data) < 1000 and int.from_bytes(data[:8], "little") <= len(data) - 8]


def header_items(data):
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return header.pop("__metadata__"), list(header.items())


def check_round_trips(probe, folder):
    types = [torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.uint16, torch.uint32, torch.uint64, torch.float16,
             torch.bfloat16, torch.float32, torch.float64, torch.complex64, torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e4m3fnuz, torch.float8_e5m2fnuz]
    generator = torch.Generator().manual_seed(0)
    tensors = {}
    for dtype in types:
        for shape in [(), (0,), (3,), (2, 0, 5), (2, 3, 4)]:
            value = torch.randint(0, 2, shape, generator=generator, dtype=torch.int32) if dtype == torch.bool else torch.randn(shape, generator=generator) * 5
            tensors[f"{dtype}.é\"{shape}"] = value.abs().to(dtype) if str(dtype).startswith("torch.uint") else value.to(dtype)
    commands = []
    for i, metadata in enumerate([None, {"format": "pt"}, {"a": "\u0001\"é😀", "b": ""}]):
        save_file(tensors, folder / f"py{i}.safetensors", metadata)
        commands.append(f"copy {folder}/py{i}.safetensors {folder}/cpp{i}.safetensors")
    for i, answer in enumerate(ask(probe, commands)):
        assert "error" not in answer, answer
        back = load_file(folder / f"cpp{i}.safetensors")
        assert back.keys() == tensors.keys()
        for name, value in tensors.items():
            assert back[name].dtype == value.dtype and back[name].shape == value.shape, name
            raw = lambda t: t.reshape(-1).view(torch.uint8)
            assert torch.equal(raw(back[name]), raw(value)), name
        ours, theirs = ((folder / f"{who}{i}.safetensors").read_bytes() for who in ("cpp", "py"))
        if i == 2:  # the package orders several metadata entries at random
            ours, theirs = header_items(ours), header_items(theirs)
        assert ours == theirs, "the bytes differ from the package's"
    print(f"round trips: {len(tensors)} tensors of {len(types)} types, bytes as the package writes them")


def main():
    probe = sys.argv[1]
    rng = random.Random(20260512)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        seeds = check_table(probe, folder) + list(valid_seeds(rng, 200))
        accepted, stricter = check_agreement(probe, folder, [mutate(rng, rng.choice(seeds)) for _ in range(MUTANTS)], "mutants")
        assert accepted > MUTANTS // 10 and MUTANTS - accepted > MUTANTS // 10, "the mutants test one side only"
        assert sum(stricter.values()) < MUTANTS // 20
        check_round_trips(probe, folder)


main()
