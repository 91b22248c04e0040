"""Greedy decoding by generate(), batch 1, prompt 64, 128 new tokens, KV cache; and prefill of 512. The pair of
`antiphon_bench decode`."""

import statistics

from peer_common import arguments, emit, llama_config, repeat, torch_with

PROMPT, NEW, LONG_PROMPT = 64, 128, 512
a = arguments(__doc__).parse_args()
torch = torch_with(a.threads)
import transformers

torch.manual_seed(0)
model = transformers.LlamaForCausalLM(llama_config(a.model))
model = model.to({"fp32": torch.float32, "bf16": torch.bfloat16}[a.dtype]).eval()


@torch.inference_mode()
def generate(prompt, new):
    model.generate(input_ids=prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=new, min_new_tokens=new, do_sample=False, use_cache=True, pad_token_id=0)


def timed(length, new):
    prompt = torch.randint(1, model.config.vocab_size, (1, length))
    return repeat(lambda: generate(prompt, new), a.warmup, a.reps)


walls, first, prefill = timed(PROMPT, NEW), timed(PROMPT, 1), timed(LONG_PROMPT, 1)
emit("decode", {"dtype": a.dtype, "prompt": PROMPT, "new": NEW},
     {"wall_med_s": walls, "decode_tok_s": [(NEW - 1) / (wall - statistics.median(first)) for wall in walls], "ttft64_s": first,
      "prefill512_tok_s": [LONG_PROMPT / wall for wall in prefill]})
