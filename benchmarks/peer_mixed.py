"""LoRA on samples of many lengths in transformers + peft, as its Trainer batches them by default: so many samples in
order, padded on the right to the longest, with a mask, no loss on padding. The pair of `antiphon_bench mixed`."""

from peer_common import Steps, arguments, emit, llama_config, lora_config, repeat, torch_with

parser = arguments(__doc__)
parser.add_argument("--batch", type=int, default=4)
parser.add_argument("--lengths", required=True, help="tokens of each sample, with commas")
a = parser.parse_args()
torch = torch_with(a.threads)
import peft
import transformers

IGNORED = -100
lengths = [int(word) for word in a.lengths.split(",")]
torch.manual_seed(0)
model = transformers.LlamaForCausalLM(llama_config(a.model))
model.config.use_cache = False
model = peft.get_peft_model(model, lora_config(task_type="CAUSAL_LM"))


def padded(samples):
    def pad(rows, value):
        return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=value)

    return {"input_ids": pad(samples, 0), "attention_mask": pad([torch.ones_like(ids) for ids in samples], 0), "labels": pad(samples, IGNORED)}


samples = [torch.randint(1, model.config.vocab_size, (length,)) for length in lengths]
batches = [padded(samples[i:i + a.batch]) for i in range(0, len(samples), a.batch)]
step = Steps(torch, model, a.dtype)


def epoch():
    for batch in batches:
        step(**batch)


walls = repeat(epoch, a.warmup, a.reps)
emit("mixed", {"dtype": a.dtype, "sequences": len(samples), "batches": len(batches), "tokens": sum(lengths), "computed": sum(batch["input_ids"].numel() for batch in batches), **step.facts()},
     {"wall_med_s": walls, "tokens_per_s": [sum(lengths) / wall for wall in walls]})
