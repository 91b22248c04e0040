"""The pair of `antiphon_bench device`: LoRA steps and decoding of the same shape in transformers on a GPU, bf16, random
weights made on the device. peft if it is installed; else the same adapters written out in plain torch ("lora": "plain")."""

import sys

from peer_common import PROJECTIONS, arguments, emit, language_model, repeat, torch_with

parser = arguments(__doc__)
parser.add_argument("--device", default="cuda")
parser.add_argument("--part", required=True, choices=["train", "decode"])
parser.add_argument("--batch", type=int, default=1)
parser.add_argument("--seq", type=int, default=4096)
parser.add_argument("--layers", type=int, default=0)
parser.add_argument("--new", type=int, default=128)
a = parser.parse_args()
torch = torch_with(a.threads)
try:
    from transformers import LlamaConfig, LlamaForCausalLM
except ImportError:
    sys.exit("transformers is not installed: there is no peer to measure")


def config():
    llm = language_model(a.model)
    return LlamaConfig(
        vocab_size=llm["vocab_size"], hidden_size=llm["hidden_size"], intermediate_size=llm["intermediate_size"],
        num_hidden_layers=a.layers or llm["num_layers"], num_attention_heads=llm["num_heads"], num_key_value_heads=llm["num_kv_heads"],
        max_position_embeddings=llm["max_positions"], rms_norm_eps=llm["norm_eps"], tie_word_embeddings=llm.get("tie_embeddings", False),
        bos_token_id=0, eos_token_id=None, pad_token_id=0, attn_implementation="sdpa")


class PlainLora(torch.nn.Module):
    def __init__(self, base, rank=16, alpha=32):
        super().__init__()
        self.base, self.scale = base, alpha / rank
        made = {"device": base.weight.device, "dtype": torch.float32}
        self.a = torch.nn.Parameter(torch.randn(rank, base.in_features, **made) * base.in_features**-0.5)
        self.b = torch.nn.Parameter(torch.zeros(base.out_features, rank, **made))

    def forward(self, x):
        return self.base(x) + (x @ self.a.to(x.dtype).t()) @ self.b.to(x.dtype).t() * self.scale


def with_lora(model):
    try:
        import peft

        return peft.get_peft_model(model, peft.LoraConfig(r=16, lora_alpha=32, target_modules=PROJECTIONS, task_type="CAUSAL_LM")), "peft"
    except ImportError:
        model.requires_grad_(False)
        for module in list(model.modules()):
            for name, child in list(module.named_children()):
                if name in PROJECTIONS:
                    setattr(module, name, PlainLora(child))
        return model, "plain"


def synchronized(body):
    def run():
        body()
        if a.device != "cpu":
            torch.cuda.synchronize()

    return run


def train(model):
    model, lora = with_lora(model)
    model.config.use_cache = False
    multiplied = sum(p.numel() for n, p in model.named_parameters() if "embed_tokens" not in n and p.ndim == 2 and not p.requires_grad)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-5, fused=True)
    ids = torch.randint(1, config().vocab_size, (a.batch, a.seq), device=a.device)

    def step():
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    walls = repeat(synchronized(step), a.warmup, a.reps)
    tokens = a.batch * a.seq
    emit("device_train", {"dtype": a.dtype, "batch": a.batch, "seq": a.seq, "lora": lora},
         {"wall_med_s": walls, "tokens_per_s": [tokens / w for w in walls], "tflops": [4e-12 * multiplied * tokens / w for w in walls]})


def decode(model):
    model.eval()
    ids = torch.randint(1, config().vocab_size, (a.batch, a.seq), device=a.device)

    def answer(new):
        def run():
            with torch.inference_mode():
                model.generate(ids, max_new_tokens=new, min_new_tokens=new, do_sample=False, pad_token_id=0)

        return repeat(synchronized(run), a.warmup, a.reps)

    walls, first = answer(a.new), answer(1)
    ttft = sorted(first)[len(first) // 2]
    emit("device_decode", {"dtype": a.dtype, "batch": a.batch, "prompt": a.seq, "new": a.new},
         {"wall_med_s": walls, "ttft_s": first, "decode_tok_s": [a.batch * (a.new - 1) / (w - ttft) for w in walls]})


torch.manual_seed(0)
with torch.device(a.device):
    torch.set_default_dtype(torch.bfloat16 if a.dtype == "bf16" else torch.float32)
    model = LlamaForCausalLM(config())
    torch.set_default_dtype(torch.float32)
train(model) if a.part == "train" else decode(model)
