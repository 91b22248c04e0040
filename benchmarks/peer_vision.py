"""Qwen3-VL in transformers, of the sizes of a TOML file but with fewer blocks, a picture of 100 embeddings in each sample:
LoRA steps on the language model with the mergers trained and the tower frozen, or greedy answers of 64 tokens to a picture
and 64 tokens of text. The pair of `antiphon_bench vision`."""

import tomllib
from pathlib import Path

from peer_common import PROJECTIONS, arguments, emit, greedy_answers, lora_steps, torch_with

parser = arguments(__doc__)
parser.add_argument("--what", required=True, choices=["train", "decode"])
parser.add_argument("--batch", type=int, default=2)
parser.add_argument("--seq", type=int, default=256)
parser.add_argument("--layers", type=int, default=6)
parser.add_argument("--blocks", type=int, default=6)
a = parser.parse_args()
torch = torch_with(a.threads)
from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

PICTURE_AT, SIDE, TEXT, NEW = 4, 20, 64, 64
torch.manual_seed(0)
whole = tomllib.loads(Path(a.model).read_text())["model"]
llm, tower = whole["llm"], whole["streams"]["image"]["encoder"]
every = max(1, a.blocks // 3)
text = dict(vocab_size=llm["vocab_size"], hidden_size=llm["hidden_size"], intermediate_size=llm["intermediate_size"], num_hidden_layers=a.layers, num_attention_heads=llm["num_heads"],
            num_key_value_heads=llm["num_kv_heads"], head_dim=llm["head_size"], max_position_embeddings=llm["max_positions"], rms_norm_eps=llm["norm_eps"], tie_word_embeddings=llm["tie_embeddings"],
            rope_parameters={"rope_type": "default", "rope_theta": llm["rope_theta"], "mrope_section": llm["mrope_section"], "mrope_interleaved": True})
vision = dict(depth=a.blocks, hidden_size=tower["hidden_size"], intermediate_size=tower["intermediate_size"], num_heads=tower["num_heads"], out_hidden_size=llm["hidden_size"],
              deepstack_visual_indexes=[every * (i + 1) - 1 for i in range(3)])
marks = dict(image_token_id=llm["vocab_size"] - 1, video_token_id=llm["vocab_size"] - 2, vision_start_token_id=llm["vocab_size"] - 3, vision_end_token_id=llm["vocab_size"] - 4)
config = Qwen3VLConfig(text_config=text, vision_config=vision, tie_word_embeddings=llm["tie_embeddings"], **marks)
config._attn_implementation = "sdpa"
model = Qwen3VLForConditionalGeneration(config)
tokens = SIDE * SIDE // 4


def inputs(batch, length):
    ids = torch.randint(1, llm["vocab_size"] - 8, (batch, length))
    ids[:, PICTURE_AT:PICTURE_AT + tokens] = marks["image_token_id"]
    return dict(input_ids=ids, attention_mask=torch.ones_like(ids), mm_token_type_ids=(ids == marks["image_token_id"]).int(), pixel_values=torch.randn(batch * SIDE * SIDE, 3 * 2 * 16 * 16),
                image_grid_thw=torch.tensor([[1, SIDE, SIDE]] * batch))


facts = {"what": a.what, "dtype": a.dtype, "layers": a.layers, "blocks": a.blocks, "media_tokens": tokens}
if a.what == "train":
    of_steps, samples = lora_steps(torch, model, inputs(a.batch, a.seq), a, rf".*language_model.*\.({'|'.join(PROJECTIONS)})", ["merger"])
    emit("vision", {**facts, **of_steps}, samples)
else:
    model = model.to({"fp32": torch.float32, "bf16": torch.bfloat16}[a.dtype]).eval()
    emit("vision", {**facts, "prompt": tokens + TEXT, "new": NEW}, greedy_answers(torch, model, inputs(1, tokens + TEXT), a, NEW))
