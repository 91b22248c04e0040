"""512 MB of float32 tensors of 4 MiB to the disk and back: torch.distributed.checkpoint, asynchronous, as in a run of
one process; safetensors. The pair of `antiphon_bench checkpoint` and `antiphon_bench load`."""

import os
import shutil
import time
from pathlib import Path

from peer_common import arguments, emit, repeat, torch_with

parser = arguments(__doc__)
parser.add_argument("--what", required=True, choices=["checkpoint", "load"])
parser.add_argument("--folder", required=True, type=Path)
a = parser.parse_args()
torch = torch_with(a.threads)

TENSORS, EDGE = 122, 1024
tensors = {f"layers.{i}.weight": torch.randn(EDGE, EDGE) for i in range(TENSORS)}
gigabytes = sum(tensor.numel() for tensor in tensors.values()) * 4 / 1e9


def clear():
    shutil.rmtree(a.folder, ignore_errors=True)
    a.folder.mkdir(parents=True)


def raw_write():
    with open(a.folder / "raw", "wb", buffering=0) as out:
        for tensor in tensors.values():
            out.write(tensor.numpy().data)
        os.fsync(out.fileno())


def checkpoint():
    import torch.distributed as dist
    import torch.distributed.checkpoint as dcp

    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    blocked = []

    def save():
        begin = time.perf_counter()
        future = dcp.async_save(tensors, checkpoint_id=a.folder / "dcp")
        blocked.append(time.perf_counter() - begin)
        future.result()

    total = repeat(save, a.warmup, a.reps, clear)
    emit("checkpoint", {"gigabytes": gigabytes}, {"async_total_s": total, "async_blocked_s": blocked[a.warmup:], "raw_write_s": repeat(raw_write, a.warmup, a.reps, clear)})
    os._exit(0)  # its threads may outlive the interpreter


def load():
    from safetensors.torch import load_file, save_file

    file = str(a.folder / "weights.safetensors")
    save_file(tensors, file)
    own = repeat(lambda: {name: tensor.clone() for name, tensor in load_file(file).items()}, a.warmup, a.reps)
    emit("load", {"gigabytes": gigabytes}, {"own_gb_s": [gigabytes / wall for wall in own], "mapped_s": repeat(lambda: load_file(file), a.warmup, a.reps)})


{"checkpoint": checkpoint, "load": load}[a.what]()
