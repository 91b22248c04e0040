"""A tiny Voxtral as it is published: windows of a second, tekken.json and no other file of a tokenizer."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "parity"))
import json

from make_tiny import Weights, llama_tensors, write_model
import tekken

WORDS = ["What", " colour", " is", " the", " pitch", " tone", "low", "high", " and", "lang", "fr"]
VOCABULARY = len(tekken.words_of(WORDS)) + 40


def write_voxtral(folder, seed=17, hidden=32, width=16, layers=2):
    w = Weights(seed)
    text = llama_tensors(w, "language_model.", hidden, layers)
    vocab = VOCABULARY
    w.normal("language_model.model.embed_tokens.weight", vocab, hidden, std=0.5)
    w.normal("language_model.lm_head.weight", vocab, hidden)
    w.normal("audio_tower.conv1.weight", width, 80, 3)
    w.normal("audio_tower.conv1.bias", width, std=0.02)
    w.normal("audio_tower.conv2.weight", width, width, 3)
    w.normal("audio_tower.conv2.bias", width, std=0.02)
    w.normal("audio_tower.embed_positions.weight", 52, width, std=0.1)
    for i in range(layers):
        at = f"audio_tower.layers.{i}."
        w.norm(at + "self_attn_layer_norm", width)
        w.norm(at + "final_layer_norm", width)
        for name, rows, columns in [*((f"self_attn.{one}", width, width) for one in ("q_proj", "k_proj", "v_proj", "out_proj")), ("fc1", 4 * width, width), ("fc2", width, 4 * width)]:
            w.linear(at + name, rows, columns, bias="k_proj" not in name)
    w.norm("audio_tower.layer_norm", width)
    w.linear("multi_modal_projector.linear_1", hidden, 4 * width, bias=False)
    w.linear("multi_modal_projector.linear_2", hidden, hidden, bias=False)
    own = {key: value for key, value in text.items() if key not in ("architectures", "torch_dtype", "tie_word_embeddings", "eos_token_id")}
    write_model(folder, {"architectures": ["VoxtralForConditionalGeneration"], "model_type": "voxtral", "audio_token_id": 24, "projector_hidden_act": "gelu", "hidden_size": hidden, "vocab_size": vocab, "torch_dtype": "float32",
                         "text_config": {**own, "vocab_size": vocab, "head_dim": hidden // 4},
                         "audio_config": {"model_type": "voxtral_encoder", "hidden_size": width, "intermediate_size": 4 * width, "num_hidden_layers": layers, "num_attention_heads": 2, "num_mel_bins": 80, "max_source_positions": 52,
                                          "activation_function": "gelu", "scale_embedding": False, "vocab_size": 51866}}, w.tensors)
    tekken.write(folder / "tekken.json", words=WORDS, window=1.04, size=vocab)
    (folder / "generation_config.json").write_text(json.dumps({"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 11}))
    (folder / "preprocessor_config.json").write_text(json.dumps({
        "feature_extractor_type": "WhisperFeatureExtractor", "feature_size": 80, "chunk_length": 1, "hop_length": 160, "n_fft": 400, "n_samples": 16000, "nb_max_frames": 100, "sampling_rate": 16000,
        "padding_side": "right", "padding_value": 0.0, "return_attention_mask": False, "dither": 0.0, "processor_class": "VoxtralProcessor"}))
