"""Our components and models against transformers, peft and torch, live, on tiny random checkpoints.

model_parity.py PROBE [GROUP...] [--report FILE] [--also ISA,…]

PROBE is the program model_probe; without GROUP, all groups are run. The report lists every case, for docs/models.md. --also: the kernels of
these instruction sets are held to the same limits in the same run; ANTIPHON_ISA=avx2 in front of the command asks one of them alone.

Differences are largest absolute differences in units of the largest value of the reference, tensor by tensor; the
limit is 1e-5 in float32. Exit code 1 if any case fails.
"""
import argparse
import importlib
import json
import os
import sys
import time
import traceback

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
GROUPS = ["encoders", "pooled", "nemo_archives", "processors", "decoders", "phi3", "dynamic_rope", "grid_decoders", "grid_towers", "grid_videos", "media_spans", "edge_towers", "generation", "lora", "lora_forms", "lora_tables", "lora_experts", "trainable_tokens", "unsaid", "named", "ia3", "adapters", "ptuning", "prompt_tuning", "prefix_tuning", "vera", "dropouts", "selective", "token_choice", "parallel_adapters", "curves", "media_curves", "qlora", "encoder_adapters", "methods", "connectors", "losses", "heads", "dual_encoders", "objectives", "policy_gradients", "optimizers", "voice_activity", "composed", "whole", "grid_whole", "omni", "omni_sounds", "voxtral", "tekken_prompts", "internvl", "vila", "smolvlm", "bf16"]


def main():
    import torch
    import transformers

    from models.common import Bench

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("probe")
    parser.add_argument("groups", nargs="*", metavar="GROUP")
    parser.add_argument("--report")
    parser.add_argument("--also", default="", help="avx2,baseline")
    options = parser.parse_args()
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(1)
    with Bench(options.probe, [isa for isa in options.also.split(",") if isa]) as bench:
        for group in options.groups or GROUPS:
            begin, bench.group = time.time(), group
            torch.manual_seed(7)  # what peft draws itself is the same in each run, too, of all groups and of one
            try:
                importlib.import_module("models." + group).run(bench)
            except Exception:  # the other groups are still worth knowing
                bench.check(f"{group} stops", False, traceback.format_exc())
            print(f"-- {group}: {time.time() - begin:.1f} s", flush=True)
        print(f"{bench.passed} passed, {bench.failed} failed")
        if options.report:
            with open(options.report, "w") as file:
                json.dump(bench.cases, file, indent=0)
        return 1 if bench.failed else 0


if __name__ == "__main__":
    sys.exit(main())
