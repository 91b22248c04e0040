"""Classes of processors: what ATen, oneDNN, MKL, llama.cpp and Antiphon may use on this machine."""

import os
from pathlib import Path

# MKL takes the variable on Intel's processors only; on AMD's it uses AVX2 in any case.
ENVIRONMENTS = {
    "avx2": {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2", "ANTIPHON_ISA": "avx2"},
    "avx512": {"ATEN_CPU_CAPABILITY": "avx512", "ONEDNN_MAX_CPU_ISA": "AVX512_CORE_VNNI", "MKL_ENABLE_INSTRUCTIONS": "AVX512", "ANTIPHON_ISA": "avx512"},
    "amx": {},  # all that a processor with AMX has; it has a table of its own
}
LESSER = ("avx2", "avx512")


def is_here(isa):
    return isa != "amx" or " amx_bf16 " in Path("/proc/cpuinfo").read_text()


def limit(isa):
    """This process and those that it starts."""
    os.environ.update(ENVIRONMENTS.get(isa, {}))


def llama_python(root, isa):
    """llama.cpp is compiled for a class: `./setup bench-llama [avx2|avx512]`."""
    isa = isa if isa in LESSER else ""
    return Path(os.environ.get("ANTIPHON_LLAMA_PYTHON", root / f".cache/llama-cpp{'-' if isa else ''}{isa}/bin/python"))
