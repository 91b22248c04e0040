"""An encoder's forward pass in transformers, random weights and inputs. The pair of `antiphon_bench encode`."""

from peer_common import arguments, emit, repeat, torch_with

parser = arguments(__doc__)
parser.add_argument("--what", required=True, choices=["whisper", "clip", "siglip"])
parser.add_argument("--batch", type=int, default=1)
a = parser.parse_args()
torch = torch_with(a.threads)
from transformers import CLIPVisionConfig, CLIPVisionModel, SiglipVisionConfig, SiglipVisionModel, WhisperConfig
from transformers.models.whisper.modeling_whisper import WhisperEncoder

VIT = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12, "image_size": 224, "attn_implementation": "sdpa"}


def whisper():
    return WhisperEncoder(WhisperConfig(d_model=512, encoder_layers=6, encoder_attention_heads=8, encoder_ffn_dim=2048, num_mel_bins=80, max_source_positions=1500, attn_implementation="sdpa"))


def clip():
    return CLIPVisionModel(CLIPVisionConfig(**VIT, patch_size=32))


def siglip():
    """Without the pooling head, which language models do not use."""
    return SiglipVisionModel(SiglipVisionConfig(**VIT, patch_size=16, vision_use_head=False))


torch.manual_seed(0)
dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[a.dtype]
model = {"whisper": whisper, "clip": clip, "siglip": siglip}[a.what]().eval().to(dtype)
inputs = torch.randn(a.batch, *((80, 3000) if a.what == "whisper" else (3, 224, 224))).to(dtype)
with torch.inference_mode():
    walls = repeat(lambda: model(inputs), a.warmup, a.reps)
    outputs = model(inputs).last_hidden_state.numel()
emit("encode", {"what": a.what, "dtype": a.dtype, "batch": a.batch, "outputs": outputs}, {"wall_med_s": walls, "items_per_s": [a.batch / wall for wall in walls]})
