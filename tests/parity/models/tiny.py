"""Tiny random checkpoints. Weights are larger than at a usual start, so that every part of a model shows."""
import torch
from transformers import Dinov2Config, Dinov2Model, LlamaConfig, LlamaForCausalLM, WhisperConfig, WhisperForConditionalGeneration


def randomise(model, seed):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if "norm" in name and name.endswith("weight") or "lambda1" in name:
                parameter.copy_(1 + 0.3 * noise)
            elif parameter.dim() == 1:
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


def llama(folder, seed=3, **changes):
    config = LlamaConfig(**{**dict(vocab_size=96, hidden_size=48, intermediate_size=80, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2,
                                   max_position_embeddings=256, rms_norm_eps=1e-5, bos_token_id=None, eos_token_id=None), **changes})
    model = randomise(LlamaForCausalLM(config), seed)
    model.save_pretrained(folder)
    return model
