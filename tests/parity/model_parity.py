"""Our components and models against transformers, peft and torch, live, on tiny random checkpoints.

model_parity.py PROBE [GROUP...]     PROBE is the program model_probe; without GROUP, all groups are run.

Differences are largest absolute differences in units of the largest value of the reference, tensor by tensor; the
limit is 1e-5 in float32. Exit code 1 where any case fails.
"""
import importlib
import os
import sys
import time

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
GROUPS = ["encoders", "processors", "llama", "lora", "connectors", "losses", "composed", "bf16"]


def main():
    import torch
    import transformers

    from models.common import Bench

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(1)
    with Bench(sys.argv[1]) as bench:
        for group in sys.argv[2:] or GROUPS:
            begin = time.time()
            importlib.import_module("models." + group).run(bench)
            print(f"-- {group}: {time.time() - begin:.1f} s", flush=True)
        print(f"{bench.passed} passed, {bench.failed} failed")
        return 1 if bench.failed else 0


if __name__ == "__main__":
    sys.exit(main())
