"""LLaVA training steps in transformers: a frozen tower of CLIP ViT-B/32's shape, a projector of two layers, a language
model; 49 positions of each sample are its picture. What is trained besides the projector: nothing (connector), the
language model (full), LoRA r16 on it (lora). The pair of `antiphon_bench llava`."""

from peer_common import PROJECTIONS, Steps, arguments, emit, llama_config, lora_config, repeat, torch_with

parser = arguments(__doc__)
parser.add_argument("--stage", required=True, choices=["connector", "full", "lora"])
parser.add_argument("--batch", type=int, default=4)
parser.add_argument("--seq", type=int, default=256)
a = parser.parse_args()
torch = torch_with(a.threads)
from transformers import CLIPVisionConfig, LlavaConfig, LlavaForConditionalGeneration

PICTURE_AT, PATCHES = 4, 49
torch.manual_seed(0)
text = llama_config(a.model)
PICTURE_TOKEN = text.vocab_size - 1
tower = CLIPVisionConfig(hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12, image_size=224, patch_size=32)
model = LlavaForConditionalGeneration(LlavaConfig(vision_config=tower, text_config=text, image_token_index=PICTURE_TOKEN, image_seq_length=PATCHES,
                                                  vision_feature_layer=-2, vision_feature_select_strategy="default", tie_word_embeddings=text.tie_word_embeddings))
model.config.use_cache = False
model.requires_grad_(a.stage == "full")
if a.stage == "lora":
    import peft

    model = peft.get_peft_model(model, lora_config(target_modules=rf".*language_model.*\.({'|'.join(PROJECTIONS)})"))
for name, parameter in model.named_parameters():
    if "vision_tower" in name:
        parameter.requires_grad = False
    if "multi_modal_projector" in name:
        parameter.requires_grad = True
ids = torch.randint(1, PICTURE_TOKEN, (a.batch, a.seq))
ids[:, PICTURE_AT:PICTURE_AT + PATCHES] = PICTURE_TOKEN
labels = ids.clone()
labels[:, :a.seq // 2] = -100
batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "pixel_values": torch.randn(a.batch, 3, 224, 224), "labels": labels}
step = Steps(torch, model, a.dtype)
walls = repeat(lambda: step(**batch), a.warmup, a.reps)
emit("llava", {"stage": a.stage, "dtype": a.dtype, "batch": a.batch, "seq": a.seq, "supervised": int((labels != -100).sum()), **step.facts()},
     {"wall_med_s": walls, "tokens_per_s": [a.batch * a.seq / wall for wall in walls]})
