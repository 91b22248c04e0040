"""Full fine-tuning steps of two processes in transformers over Gloo that compute each batch together: with PyTorch's tensor
parallelism (DTensor; attention and MLP by columns and rows, as its tutorial shows it) or its pipelining (1F1B, half of the layers
each). The pair of `antiphon launch` with parallel.tensor and parallel.pipeline."""

import os
import time

from peer_common import arguments, emit, from_processes, llama_config, torch_with

parser = arguments(__doc__)
parser.add_argument("--batch", type=int, default=2, help="of a micro-batch")
parser.add_argument("--micro", type=int, default=1, help="micro-batches of a step")
parser.add_argument("--seq", type=int, default=128)
parser.add_argument("--procs", type=int, default=2)
parser.add_argument("--kind", choices=["tensor", "pipeline"], default="tensor")
a = parser.parse_args()
ROWS = a.batch * a.micro


def divided(model):
    """Each layer's heads and inner values among the processes; embeddings, norms and head whole."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

    plan = {**{f"self_attn.{name}_proj": ColwiseParallel() for name in "qkv"}, "self_attn.o_proj": RowwiseParallel(),
            "mlp.gate_proj": ColwiseParallel(), "mlp.up_proj": ColwiseParallel(), "mlp.down_proj": RowwiseParallel()}
    mesh = init_device_mesh("cpu", (a.procs,))
    for layer in model.model.layers:
        parallelize_module(layer, mesh, plan)
    return model


def stage_of(torch, model, rank):
    """The layers of one process, with what comes before the first and after the last."""
    layers = model.model.layers
    own = torch.nn.ModuleList(list(layers)[len(layers) * rank // a.procs : len(layers) * (rank + 1) // a.procs])

    class Stage(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layers, self.rotary = own, model.model.rotary_emb
            if rank == 0:
                self.embed = model.model.embed_tokens
            if rank + 1 == a.procs:
                self.norm, self.head = model.model.norm, model.lm_head

        def forward(self, x):
            if rank == 0:
                x = self.embed(x)
            positions = self.rotary(x, torch.arange(x.shape[1]).unsqueeze(0))
            for layer in self.layers:
                x = layer(x, position_embeddings=positions)
                x = x[0] if isinstance(x, tuple) else x
            return self.head(self.norm(x)) if rank + 1 == a.procs else x

    return Stage()


def next_token_loss(torch, logits, ids):
    return torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())


def tensor_step(torch, model, ids):
    model = divided(model)
    # Fused updates take parameters of one kind at a time.
    kinds = [[p for p in model.parameters() if (type(p.data) is torch.Tensor) == plain] for plain in (True, False)]
    optimizers = [torch.optim.AdamW(some, lr=1e-4, weight_decay=0.0, fused=True) for some in kinds if some]

    def step():
        for rows in ids.chunk(a.micro):
            (next_token_loss(torch, model(input_ids=rows).logits, rows) / a.micro).backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    return step


def pipeline_step(torch, model, ids, rank):
    from torch.distributed.pipelining import PipelineStage, Schedule1F1B

    module = stage_of(torch, model, rank)
    stage = PipelineStage(module, rank, a.procs, torch.device("cpu"))
    schedule = Schedule1F1B(stage, n_microbatches=a.micro, loss_fn=lambda logits, rows: next_token_loss(torch, logits, rows))
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-4, weight_decay=0.0, fused=True)

    def step():
        if rank == 0:
            schedule.step(ids)
        else:
            schedule.step(target=ids)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


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
    ids = torch.randint(1, model.config.vocab_size, (ROWS, a.seq))  # the same in all of them
    step = tensor_step(torch, model, ids) if a.kind == "tensor" else pipeline_step(torch, model, ids, rank)
    rates = []
    for i in range(a.warmup + a.reps):
        dist.barrier()
        begin = time.perf_counter()
        step()
        dist.barrier()
        if i >= a.warmup:
            rates.append(ROWS * a.seq / (time.perf_counter() - begin))
    if rank == 0:
        queue.put({"tokens_per_s": rates})
    dist.destroy_process_group()


if __name__ == "__main__":
    samples = from_processes(worker, a.procs, timeout=600)
    emit(a.kind, {"dtype": a.dtype, "batch": a.batch, "micro": a.micro, "seq": a.seq, "procs": a.procs}, samples)
