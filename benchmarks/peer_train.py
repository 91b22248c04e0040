"""Training steps in transformers, all positions supervised: LoRA r16 on the 7 projections with peft, or all parameters.
The pair of `antiphon_bench train`. bf16 is fp32 weights under torch.autocast, as the Trainer's bf16=True does."""

from peer_common import Steps, arguments, emit, llama_config, lora_config, repeat, torch_with

parser = arguments(__doc__)
parser.add_argument("--batch", type=int, default=4)
parser.add_argument("--seq", type=int, default=256)
parser.add_argument("--full", action="store_true", help="train all parameters")
parser.add_argument("--recompute", action="store_true", help="with gradient checkpointing")
a = parser.parse_args()
torch = torch_with(a.threads)
import transformers

torch.manual_seed(0)
model = transformers.LlamaForCausalLM(llama_config(a.model))
model.config.use_cache = False
if a.recompute:
    model.gradient_checkpointing_enable({"use_reentrant": False})
if not a.full:
    import peft

    model = peft.get_peft_model(model, lora_config(task_type="CAUSAL_LM"))
ids = torch.randint(1, model.config.vocab_size, (a.batch, a.seq))
step = Steps(torch, model, a.dtype)
walls = repeat(lambda: step(input_ids=ids, labels=ids), a.warmup, a.reps)
emit("train", {"dtype": a.dtype, "full": a.full, "recompute": a.recompute, "batch": a.batch, "seq": a.seq, **step.facts()},
     {"wall_med_s": walls, "tokens_per_s": [a.batch * a.seq / wall for wall in walls]})
