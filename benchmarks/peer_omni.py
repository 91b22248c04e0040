"""Qwen2.5-Omni's thinker in transformers, of the sizes of a TOML file but with fewer blocks, a picture and a sound of 100 embeddings
each in every sample: LoRA steps on the language model with the merger and the projection of sounds trained and the towers frozen,
or greedy answers of 64 tokens to both and 64 tokens of text. The pair of `antiphon_bench omni`."""

import tomllib
from pathlib import Path

from peer_common import PROJECTIONS, arguments, emit, greedy_answers, lora_steps, torch_with

parser = arguments(__doc__)
parser.add_argument("--what", required=True, choices=["train", "decode"])
parser.add_argument("--batch", type=int, default=2)
parser.add_argument("--seq", type=int, default=384)
parser.add_argument("--layers", type=int, default=6)
parser.add_argument("--blocks", type=int, default=6)
a = parser.parse_args()
torch = torch_with(a.threads)
from transformers import Qwen2_5OmniThinkerConfig, Qwen2_5OmniThinkerForConditionalGeneration

MEDIA_AT, BETWEEN, SIDE, FRAMES, TEXT, NEW = 4, 4, 20, 400, 64, 64
torch.manual_seed(0)
whole = tomllib.loads(Path(a.model).read_text())["model"]
llm, tower, ears = whole["llm"], whole["streams"]["image"]["encoder"], whole["streams"]["audio"]["encoder"]
text = dict(vocab_size=llm["vocab_size"], hidden_size=llm["hidden_size"], intermediate_size=llm["intermediate_size"], num_hidden_layers=a.layers, num_attention_heads=llm["num_heads"],
            num_key_value_heads=llm["num_kv_heads"], max_position_embeddings=llm["max_positions"], rms_norm_eps=llm["norm_eps"],
            rope_parameters={"rope_type": "default", "rope_theta": llm["rope_theta"], "mrope_section": llm["mrope_section"]})
vision = dict(depth=a.blocks, hidden_size=tower["hidden_size"], intermediate_size=tower["intermediate_size"], num_heads=tower["num_heads"], out_hidden_size=llm["hidden_size"],
              window_size=tower["window_size"], fullatt_block_indexes=[a.blocks - 1])
audio = dict(d_model=ears["hidden_size"], encoder_layers=a.blocks, encoder_attention_heads=ears["num_heads"], encoder_ffn_dim=ears["intermediate_size"], num_mel_bins=ears["num_mels"], n_window=ears["n_window"],
             output_dim=llm["hidden_size"])
marks = {name: llm["vocab_size"] - 1 - i for i, name in enumerate(["image_token_index", "video_token_index", "audio_token_index", "audio_start_token_id", "audio_end_token_id", "vision_start_token_id", "vision_end_token_id"])}
config = Qwen2_5OmniThinkerConfig(text_config=text, vision_config=vision, audio_config=audio, tie_word_embeddings=llm["tie_embeddings"], **marks)
config._attn_implementation = "sdpa"
model = Qwen2_5OmniThinkerForConditionalGeneration(config)
seen, heard = SIDE * SIDE // 4, FRAMES // 4


def inputs(batch, length):
    ids = torch.randint(1, llm["vocab_size"] - 8, (batch, length))
    ids[:, MEDIA_AT:MEDIA_AT + seen] = marks["image_token_index"]
    ids[:, MEDIA_AT + seen + BETWEEN:MEDIA_AT + seen + BETWEEN + heard] = marks["audio_token_index"]
    return dict(input_ids=ids, attention_mask=torch.ones_like(ids), pixel_values=torch.randn(batch * SIDE * SIDE, 3 * 2 * 14 * 14), image_grid_thw=torch.tensor([[1, SIDE, SIDE]] * batch),
                input_features=torch.randn(batch, ears["num_mels"], FRAMES), feature_attention_mask=torch.ones(batch, FRAMES, dtype=torch.long))


facts = {"what": a.what, "dtype": a.dtype, "layers": a.layers, "blocks": a.blocks, "media_tokens": seen + heard}
DTYPE = {"fp32": torch.float32, "bf16": torch.bfloat16}[a.dtype]
if a.what == "train":
    of_steps, samples = lora_steps(torch, model, inputs(a.batch, a.seq), a, rf"(?!.*(visual|audio_tower)).*\.({'|'.join(PROJECTIONS)})", ["merger", "audio_tower.proj."])
    emit("omni", {**facts, **of_steps}, samples)
else:
    batch = inputs(1, seen + heard + TEXT)
    batch.update(pixel_values=batch["pixel_values"].to(DTYPE), input_features=batch["input_features"].to(DTYPE))
    emit("omni", {**facts, "prompt": seen + heard + TEXT, "new": NEW}, greedy_answers(torch, model.to(DTYPE).eval(), batch, a, NEW))
