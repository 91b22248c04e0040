"""Tiny random checkpoints. Weights are larger than at a usual start, so that every part of a model shows."""
import torch
from transformers import (Gemma2Config, Gemma2ForCausalLM, Gemma3ForCausalLM, Gemma3TextConfig, GraniteConfig, GraniteForCausalLM, Ministral3Config, Ministral3ForCausalLM, MistralConfig, MistralForCausalLM, MixtralConfig, MixtralForCausalLM, Phi3Config, Phi3ForCausalLM, CLIPVisionConfig, CLIPVisionModel, Dinov2Config, Dinov2Model, LlamaConfig, LlamaForCausalLM, NemotronConfig, NemotronForCausalLM, ParakeetEncoder,
                          ParakeetEncoderConfig, Qwen2Config, Qwen2ForCausalLM, Qwen2MoeConfig, Qwen2MoeForCausalLM, Qwen3Config, Qwen3ForCausalLM, Qwen3MoeConfig, Qwen3MoeForCausalLM, SiglipVisionConfig, SiglipVisionModel, WhisperConfig, WhisperForConditionalGeneration)


def randomise(model, seed):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if "norm" in name and name.endswith("weight") or "lambda1" in name:
                parameter.copy_(1 + 0.3 * noise)
            elif parameter.dim() <= 1:
                parameter.copy_(0.3 * noise)
            elif "position" in name or "token" in name:  # so that tokens differ: else gradients of keys and queries cancel out
                parameter.copy_(noise)
            else:
                parameter.copy_(noise * parameter[0].numel() ** -0.5)
            parameter.requires_grad_(True)
    return model.eval()


def dinov2(folder, seed=1, **changes):
    config = Dinov2Config(**{**dict(hidden_size=48, num_hidden_layers=3, num_attention_heads=4, mlp_ratio=2, image_size=28, patch_size=7), **changes})
    model = randomise(Dinov2Model(config), seed)
    model.save_pretrained(folder)
    return model


def dinov2_old_name(name):
    """transformers 5 renamed the attention's modules and still writes the old names."""
    for new, old in {"q_proj": "attention.query", "k_proj": "attention.key", "v_proj": "attention.value", "o_proj": "output.dense"}.items():
        name = name.replace(f".attention.{new}.", f".attention.{old}.")
    return name


def whisper(folder, seed=2, whole=True, **changes):
    """The encoder; `whole`: saved with its decoder and head, else as a WhisperModel."""
    config = WhisperConfig(**{**dict(d_model=48, encoder_layers=2, decoder_layers=1, encoder_attention_heads=4, decoder_attention_heads=4,
                                     encoder_ffn_dim=96, decoder_ffn_dim=64, vocab_size=64, max_source_positions=100, num_mel_bins=80,
                                     pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=1), **changes})
    model = randomise(WhisperForConditionalGeneration(config), seed)
    (model if whole else model.model).save_pretrained(folder)
    return model.model.encoder


DECODER = dict(vocab_size=96, hidden_size=48, intermediate_size=80, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=256,
               bos_token_id=None, eos_token_id=None)


def saved(model, seed, folder):
    model = randomise(model, seed)
    model.save_pretrained(folder)
    return model


def llama(folder, seed=3, **changes):
    return saved(LlamaForCausalLM(LlamaConfig(**{**DECODER, "rms_norm_eps": 1e-5, **changes})), seed, folder)


def qwen2(folder, seed=4, **changes):
    return saved(Qwen2ForCausalLM(Qwen2Config(**{**DECODER, **changes})), seed, folder)


def qwen3(folder, seed=15, **changes):
    return saved(Qwen3ForCausalLM(Qwen3Config(**{**DECODER, "head_dim": 16, **changes})), seed, folder)


def qwen3_moe(folder, seed=16, **changes):
    experts = dict(num_experts=5, num_experts_per_tok=2, moe_intermediate_size=24)
    return saved(Qwen3MoeForCausalLM(Qwen3MoeConfig(**{**DECODER, **experts, "head_dim": 16, **changes})), seed, folder)


def qwen2_moe(folder, seed=18, **changes):
    experts = dict(num_experts=5, num_experts_per_tok=2, moe_intermediate_size=24, shared_expert_intermediate_size=40)
    return saved(Qwen2MoeForCausalLM(Qwen2MoeConfig(**{**DECODER, **experts, **changes})), seed, folder)


def mixtral(folder, seed=17, **changes):
    return saved(MixtralForCausalLM(MixtralConfig(**{**DECODER, "num_local_experts": 4, **changes})), seed, folder)


def around_zero(model, names=("norm",)):
    """Norms hold weight - 1."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if any(part in name for part in names) and "norm" in name and name.endswith("weight"):
                parameter -= 1
    return model


def nemotron(folder, seed=5, **changes):
    model = around_zero(randomise(NemotronForCausalLM(NemotronConfig(**{**DECODER, **changes})), seed))
    model.save_pretrained(folder)
    return model


GEMMA = {**DECODER, "head_dim": 16, "num_hidden_layers": 4, "sliding_window": 6, "query_pre_attn_scalar": 24, "pad_token_id": None}


def gemma2(folder, seed=20, **changes):
    config = Gemma2Config(**{**GEMMA, **changes})
    config._attn_implementation = "eager"  # the others pass over the cap of scores
    model = around_zero(randomise(Gemma2ForCausalLM._from_config(config), seed))
    model.save_pretrained(folder)
    return model


def gemma3(folder, seed=21, **changes):
    """Two periods of its layers."""
    model = around_zero(randomise(Gemma3ForCausalLM(Gemma3TextConfig(**{**GEMMA, "num_hidden_layers": 6, "sliding_window_pattern": 3, **changes})), seed))
    model.save_pretrained(folder)
    return model


def phi3(folder, seed=24, **changes):
    return saved(Phi3ForCausalLM(Phi3Config(**{**DECODER, "pad_token_id": None, **changes})), seed, folder)


def mistral(folder, seed=22, **changes):
    return saved(MistralForCausalLM(MistralConfig(**{**DECODER, **changes})), seed, folder)


def ministral3(folder, seed=25, **changes):
    return saved(Ministral3ForCausalLM(Ministral3Config(**{**DECODER, "head_dim": 12, "pad_token_id": None, **changes})), seed, folder)


def granite(folder, seed=23, **changes):
    scales = dict(embedding_multiplier=3.0, attention_multiplier=0.4, residual_multiplier=0.6, logits_scaling=5.0)
    return saved(GraniteForCausalLM(GraniteConfig(**{**DECODER, **scales, "pad_token_id": None, **changes})), seed, folder)


VIT = dict(hidden_size=48, intermediate_size=80, num_hidden_layers=3, num_attention_heads=4, image_size=28, patch_size=7)


def clip(folder, seed=6, **changes):
    return saved(CLIPVisionModel(CLIPVisionConfig(**{**VIT, **changes})), seed, folder)


def siglip(folder, seed=7, **changes):
    return saved(SiglipVisionModel(SiglipVisionConfig(**{**VIT, **changes})), seed, folder)


def fastconformer(folder, seed=8, **changes):
    config = ParakeetEncoderConfig(**{**dict(hidden_size=48, num_hidden_layers=2, num_attention_heads=4, intermediate_size=80, conv_kernel_size=5, num_mel_bins=80, subsampling_conv_channels=8), **changes})
    model = randomise(ParakeetEncoder(config), seed)
    generator = torch.Generator().manual_seed(seed + 100)
    for name, buffer in model.named_buffers():
        if name.endswith("running_mean"):
            buffer.copy_(0.3 * torch.randn(buffer.shape, generator=generator))
        elif name.endswith("running_var"):
            buffer.copy_(0.5 + torch.rand(buffer.shape, generator=generator))
    model.save_pretrained(folder)
    return model
