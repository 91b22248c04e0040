"""The part of the benchmark about processes that compute each batch together: beside PyTorch's, and beside one process."""

from bench import HERE, PYTHON
from parts_parallel import BATCH, PROCESSES, SEQUENCE, full_fine_tuning, side
from rows import Row

MICRO = 4  # batches of a step
DTENSOR, PIPELINING, ALONE = "PyTorch's DTensor", "PyTorch's pipelining, 1F1B", "one process"
SHAPE = """vocab_size = 8192
hidden_size = 512
intermediate_size = 1536
num_layers = 8
num_heads = 8
num_kv_heads = 4
max_positions = 512
norm_eps = 1e-5
rope_theta = 10000.0
tie_embeddings = false
"""


def axes(bench):
    """Steps of four batches: each by both processes together (tensor, context), or one after the other (pipeline)."""
    config, steps = full_fine_tuning(bench, "axes", SHAPE, BATCH * MICRO), 3 if bench.options.quick else 6

    def words(run, *more):
        return [config, "--threads", 1, *(word for value in (f"train.steps={steps}", "precision.compute=fp32", f"train.accumulate={MICRO}", f"train.output={run}", *more) for word in ("--set", value))]

    runs = {axis: bench.folder / "axes" / axis for axis in ("tensor", "context", "pipeline", "alone")}
    ours = {axis: [bench.program, "launch", *words(runs[axis], f"parallel.{axis}={PROCESSES}"), "--procs", PROCESSES] for axis in ("tensor", "context", "pipeline")}
    alone = [bench.program, "train", *words(runs["alone"])]
    peers = {kind: [PYTHON, HERE / "peer_axes.py", "--kind", kind, "--model", config, "--batch", BATCH, "--micro", MICRO, "--seq", SEQUENCE, "--procs", PROCESSES, "--threads", 1, "--reps", steps - 1] for kind in ("tensor", "pipeline")}
    bench.note(*ours.values(), alone, *peers.values())
    what, unit = "two processes of one thread, full fine-tuning, fp32", "tokens/s"
    metrics = [(Row(f"{what}, tensor", unit, "higher", peer=DTENSOR), "ours.tokens_per_s", "dtensor.tokens_per_s"),
               (Row(f"{what}, pipeline", unit, "higher", peer=PIPELINING), "pipeline.tokens_per_s", "pipelining.tokens_per_s")]
    # PyTorch's context parallelism has kernels for GPUs alone.
    metrics += [(Row(f"{what}, {axis}", unit, "higher", peer=ALONE), f"{'ours' if axis == 'tensor' else axis}.tokens_per_s", "alone.tokens_per_s") for axis in ("tensor", "context", "pipeline")]
    bench.compare({"ours": side("tensor", [ours["tensor"]], [runs["tensor"]]), "dtensor": peers["tensor"], "context": side("context", [ours["context"]], [runs["context"]]),
                   "pipeline": side("pipeline", [ours["pipeline"]], [runs["pipeline"]]), "pipelining": peers["pipeline"], "alone": side("alone", [alone], [runs["alone"]])}, metrics)
