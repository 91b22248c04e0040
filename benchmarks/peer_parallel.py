"""Full fine-tuning steps of two processes in transformers over Gloo: with PyTorch's DistributedDataParallel, and in turn the
same without any exchange (no_sync); or with its FSDP2 (fully_shard), each decoder layer a unit as its documentation shows
it. The pair of `antiphon launch` and of two `antiphon train` at once."""

import os
import resource
import time

from child import loopback_bytes
from peer_common import arguments, emit, from_processes, llama_config, torch_with

parser = arguments(__doc__)
parser.add_argument("--batch", type=int, default=2)
parser.add_argument("--seq", type=int, default=128)
parser.add_argument("--procs", type=int, default=2)
parser.add_argument("--kind", choices=["ddp", "fsdp"], default="ddp")
a = parser.parse_args()


def sharded(model):
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh("cpu", (a.procs,))
    for layer in model.model.layers:
        fully_shard(layer, mesh=mesh)
    return fully_shard(model, mesh=mesh)


def worker(rank, port, queue):
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), GLOO_SOCKET_IFNAME="lo")
    torch = torch_with(a.threads)
    import torch.distributed as dist
    import transformers

    dist.init_process_group("gloo", rank=rank, world_size=a.procs)
    torch.manual_seed(0)
    model = transformers.LlamaForCausalLM(llama_config(a.model))
    model.config.use_cache = False
    model.train()
    together = torch.nn.parallel.DistributedDataParallel(model) if a.kind == "ddp" else sharded(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.0, fused=True)
    torch.manual_seed(rank)
    ids = torch.randint(1, model.config.vocab_size, (a.batch, a.seq))

    def step():
        together(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    def timed(body):
        dist.barrier()
        before, begin = loopback_bytes(), time.perf_counter()
        body()
        dist.barrier()
        return a.procs * a.batch * a.seq / (time.perf_counter() - begin), (loopback_bytes() - before) / 2**20

    def apart():
        with together.no_sync():
            step()

    bodies = {"apart_tokens_per_s": apart, "tokens_per_s": step} if a.kind == "ddp" else {"tokens_per_s": step}
    rates = {name: [] for name in [*bodies, "sent_mib"]}
    for i in range(a.warmup + a.reps):
        for name, body in bodies.items():
            rate, sent = timed(body)
            if i >= a.warmup:
                rates[name].append(rate)
                if body is step:
                    rates["sent_mib"].append(sent)
    if rank == 0:
        queue.put(rates)
    dist.destroy_process_group()


if __name__ == "__main__":
    samples = from_processes(worker, a.procs)
    rss = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024  # of the process that needed most
    emit(a.kind, {"dtype": a.dtype, "batch": a.batch, "seq": a.seq, "procs": a.procs, "rank_rss_mib": rss}, samples)
