"""Greedy decoding with llama.cpp, batch 1, prompt 64, 128 new tokens; and prefill of 512. Another pair of
`antiphon_bench decode`. Runs in the Python of `./setup bench-llama`."""

import statistics

from peer_common import arguments, emit, repeat

PROMPT, NEW, LONG_PROMPT = 64, 128, 512
parser = arguments(__doc__)
parser.add_argument("--gguf", required=True)
parser.add_argument("--type", default="BF16", help="what the file holds")
a = parser.parse_args()
import llama_cpp
import numpy as np

log = llama_cpp.llama_log_callback(lambda level, text, data: None)
llama_cpp.llama_log_set(log, None)
llama_cpp.llama_backend_init()
model = llama_cpp.llama_model_load_from_file(a.gguf.encode(), llama_cpp.llama_model_default_params())
assert model, f"llama.cpp cannot read {a.gguf}"
settings = llama_cpp.llama_context_default_params()
settings.n_ctx, settings.n_batch, settings.n_ubatch = 1024, LONG_PROMPT, LONG_PROMPT
if a.threads:
    settings.n_threads = settings.n_threads_batch = a.threads
context = llama_cpp.llama_init_from_model(model, settings)
vocabulary = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(model))
tokens = (llama_cpp.llama_token * LONG_PROMPT)()
chance = np.random.default_rng(0)


def take(ids):
    """The likeliest token after these."""
    tokens[:len(ids)] = ids
    assert llama_cpp.llama_decode(context, llama_cpp.llama_batch_get_one(tokens, len(ids))) == 0, "llama_decode failed"
    return int(np.ctypeslib.as_array(llama_cpp.llama_get_logits_ith(context, -1), shape=(vocabulary,)).argmax())


def generate(prompt, new):
    llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(context), True)
    token = take(prompt)
    for _ in range(new - 1):
        token = take([token])


def timed(length, new):
    prompt = chance.integers(1, vocabulary, length).tolist()
    return repeat(lambda: generate(prompt, new), a.warmup, a.reps)


walls, first, prefill = timed(PROMPT, NEW), timed(PROMPT, 1), timed(LONG_PROMPT, 1)
emit("decode", {"dtype": a.type, "prompt": PROMPT, "new": NEW, "threads": a.threads, "system": llama_cpp.llama_print_system_info().decode()},
     {"wall_med_s": walls, "decode_tok_s": [(NEW - 1) / (wall - statistics.median(first)) for wall in walls], "ttft64_s": first,
      "prefill512_tok_s": [LONG_PROMPT / wall for wall in prefill]})
