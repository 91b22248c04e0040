"""LoRA r16 on the 7 projections in transformers + peft: all positions supervised, fused AdamW. The pair of
`antiphon_bench train`. bf16 is fp32 weights under torch.autocast, as the Trainer's bf16=True does."""

from peer_common import PROJECTIONS, arguments, emit, llama_config, repeat, torch_with

parser = arguments(__doc__)
parser.add_argument("--batch", type=int, default=4)
parser.add_argument("--seq", type=int, default=256)
a = parser.parse_args()
torch = torch_with(a.threads)
import peft
import transformers

torch.manual_seed(0)
model = transformers.LlamaForCausalLM(llama_config(a.model))
model.config.use_cache = False
model = peft.get_peft_model(model, peft.LoraConfig(r=16, lora_alpha=32, lora_dropout=0.0, task_type="CAUSAL_LM", target_modules=PROJECTIONS))
model.train()
trained = [p for p in model.parameters() if p.requires_grad]
optimizer = torch.optim.AdamW(trained, lr=1e-4, weight_decay=0.0, fused=True)
ids = torch.randint(1, model.config.vocab_size, (a.batch, a.seq))
losses = []


def step():
    with torch.autocast("cpu", torch.bfloat16, enabled=a.dtype == "bf16"):
        loss = model(input_ids=ids, labels=ids).loss
    loss.backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    losses.append(loss.item())


walls = repeat(step, a.warmup, a.reps)
emit("train", {"dtype": a.dtype, "batch": a.batch, "seq": a.seq, "trainable": sum(p.numel() for p in trained), "loss0": losses[0], "loss_last": losses[-1],
               "torch": torch.__version__, "transformers": transformers.__version__, "peft": peft.__version__},
     {"wall_med_s": walls, "tokens_per_s": [a.batch * a.seq / wall for wall in walls]})
