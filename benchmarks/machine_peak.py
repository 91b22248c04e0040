"""What this machine can do at best: torch.mm, a copy, a one-row linear over weights that no cache holds."""

import json
import time

from peer_common import arguments, torch_with

a = arguments(__doc__).parse_args()
torch = torch_with(a.threads)


def best(body):
    """Seconds of the quickest of some repetitions; a limit is what can be reached, so not the median. One is enough of
    what takes seconds, such as bf16 if no instruction multiplies it."""
    seconds = []
    for _ in range(a.warmup + a.reps):
        begin = time.perf_counter()
        body()
        seconds.append(time.perf_counter() - begin)
        if seconds[-1] > 2:
            break
    return min(seconds)


out = {"bench": "peak", "threads": torch.get_num_threads()}
for name, dtype in {"fp32": torch.float32, "bf16": torch.bfloat16}.items():
    x, y = torch.randn(2048, 2048).to(dtype), torch.randn(2048, 2048).to(dtype)
    out[f"mm_{name}_gflops"] = round(2 * 2048**3 / best(lambda: torch.mm(x, y)) / 1e9)
    weight, row = torch.randn(2**27 // dtype.itemsize // 4096, 4096).to(dtype), torch.randn(1, 4096).to(dtype)
    out[f"row_{name}_gb_s"] = round(2**27 / best(lambda: torch.nn.functional.linear(row, weight)) / 1e9, 1)
source = torch.ones(2**26)
target = torch.empty_like(source)
out["copy_gb_s"] = round(2 * 2**28 / best(lambda: target.copy_(source)) / 1e9, 1)
print(json.dumps(out))
