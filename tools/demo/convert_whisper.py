#!/usr/bin/env python3
"""Turns OpenAI Whisper base (multilingual, CTranslate2 fp16) into models/whisper-base, decoder included.

The weights stay fp16, as they are in the file; config.json asks for fp32 arithmetic. CTranslate2 stacks q, k and v (in
cross attention k and v) into one matrix; k has no bias in the published model, so that part must be zero. Published
names of keys: `openai/whisper-base`; `proj_out.weight` is tied to the token embeddings and not stored.
"""
import json

import numpy as np

from common import DemoError
from convert import converter_main
from ctranslate2_file import read_ctranslate2

NAME, VERSION = "whisper-base", 1
LAYERS, HEADS, WIDTH, VOCABULARY = 6, 8, 512, 51865
FIRST_TIMESTAMP, TIMESTAMPS = 50364, 1501
EXPECTED_TENSORS = 245

PREPROCESSOR = {
    "feature_extractor_type": "WhisperFeatureExtractor", "processor_class": "WhisperProcessor", "chunk_length": 30,
    "dither": 0.0, "feature_size": 80, "hop_length": 160, "n_fft": 400, "n_samples": 480000, "nb_max_frames": 3000,
    "padding_side": "right", "padding_value": 0.0, "return_attention_mask": False, "sampling_rate": 16000,
}


class Renamer:
    """Collects tensors under published names."""

    def __init__(self, variables):
        self.variables, self.tensors = variables, {}

    def copy(self, source, target):
        for kind in ("weight", "bias"):
            self.tensors[f"{target}.{kind}"] = self.variables[f"{source}/{kind}"]

    def norm(self, source, target):
        self.tensors[target + ".weight"] = self.variables[source + "/gamma"]
        self.tensors[target + ".bias"] = self.variables[source + "/beta"]

    def split(self, source, target, parts):
        weights = np.split(self.variables[source + "/weight"], len(parts))
        biases = np.split(self.variables[source + "/bias"], len(parts))
        for part, weight, bias in zip(parts, weights, biases):
            self.tensors[f"{target}.{part}_proj.weight"] = weight
            if part != "k":
                self.tensors[f"{target}.{part}_proj.bias"] = bias
            elif np.any(bias):
                raise DemoError(f"model.bin: {source}/bias has a key part that is not zero; this is not Whisper")


def rename_layer(names, source, target, has_cross_attention):
    names.norm(source + "/self_attention/layer_norm", target + ".self_attn_layer_norm")
    names.split(source + "/self_attention/linear_0", target + ".self_attn", ("q", "k", "v"))
    names.copy(source + "/self_attention/linear_1", target + ".self_attn.out_proj")
    if has_cross_attention:
        names.norm(source + "/attention/layer_norm", target + ".encoder_attn_layer_norm")
        names.split(source + "/attention/linear_0", target + ".encoder_attn", ("q",))
        names.split(source + "/attention/linear_1", target + ".encoder_attn", ("k", "v"))
        names.copy(source + "/attention/linear_2", target + ".encoder_attn.out_proj")
    names.norm(source + "/ffn/layer_norm", target + ".final_layer_norm")
    names.copy(source + "/ffn/linear_0", target + ".fc1")
    names.copy(source + "/ffn/linear_1", target + ".fc2")


def rename(variables):
    names = Renamer(variables)
    for side in ("encoder", "decoder"):
        names.tensors[f"model.{side}.embed_positions.weight"] = variables[f"{side}/position_encodings/encodings"]
        names.norm(side + "/layer_norm", f"model.{side}.layer_norm")
        for layer in range(LAYERS):
            rename_layer(names, f"{side}/layer_{layer}", f"model.{side}.layers.{layer}", side == "decoder")
    for convolution in ("conv1", "conv2"):
        names.copy("encoder/" + convolution, "model.encoder." + convolution)
    names.tensors["model.decoder.embed_tokens.weight"] = variables["decoder/embeddings/weight"]
    return names.tensors


def make_config(source):
    side = {"attention_heads": HEADS, "ffn_dim": 4 * WIDTH, "layerdrop": 0.0, "layers": LAYERS}
    return {
        "architectures": ["WhisperForConditionalGeneration"], "model_type": "whisper", "activation_dropout": 0.0,
        "activation_function": "gelu", "attention_dropout": 0.0, "begin_suppress_tokens": source["suppress_ids_begin"],
        "bos_token_id": 50257, "d_model": WIDTH, "decoder_start_token_id": 50258, "dropout": 0.0,
        **{f"{name}_{key}": value for name in ("encoder", "decoder") for key, value in side.items()},
        "eos_token_id": 50257, "init_std": 0.02, "is_encoder_decoder": True, "max_source_positions": 1500,
        "max_target_positions": 448, "num_hidden_layers": LAYERS, "num_mel_bins": 80, "pad_token_id": 50257,
        "scale_embedding": False, "suppress_tokens": source["suppress_ids"], "torch_dtype": "float32",
        "use_cache": True, "vocab_size": VOCABULARY,
    }


def make_generation_config(source, ids):
    names = {index: token for token, index in ids.items()}
    return {
        "alignment_heads": source["alignment_heads"], "begin_suppress_tokens": source["suppress_ids_begin"],
        "bos_token_id": 50257, "decoder_start_token_id": 50258, "eos_token_id": 50257, "is_multilingual": True,
        "lang_to_id": {names[index]: index for index in source["lang_ids"]}, "max_initial_timestamp_index": 50,
        "max_length": 448, "no_timestamps_token_id": ids["<|notimestamps|>"], "pad_token_id": 50257,
        "prev_sot_token_id": ids["<|startofprev|>"], "return_timestamps": False,
        "suppress_tokens": source["suppress_ids"],
        "task_to_id": {"transcribe": ids["<|transcribe|>"], "translate": ids["<|translate|>"]},
    }


def added_token(index, content, special):
    return {"id": index, "content": content, "single_word": False, "lstrip": False, "rstrip": False,
            "normalized": not special, "special": special}


def repair_tokenizer(tokenizer):
    """Restores what one of the sources lost: the first merge (a header line was skipped) and the time stamps."""
    merges = [merge.split(" ") if isinstance(merge, str) else merge for merge in tokenizer["model"]["merges"]]
    if ["\u0120", "t"] not in merges:
        merges.insert(0, ["\u0120", "t"])
    tokenizer["model"]["merges"] = merges
    known = {token["id"] for token in tokenizer["added_tokens"]}
    for step in range(TIMESTAMPS):
        if FIRST_TIMESTAMP + step not in known:
            tokenizer["added_tokens"].append(added_token(FIRST_TIMESTAMP + step, f"<|{step * 0.02:.2f}|>", False))
    return tokenizer


def make_tokenizer_config(tokenizer):
    end = "<|endoftext|>"
    return {
        "add_bos_token": False, "add_prefix_space": False, "bos_token": end, "eos_token": end, "pad_token": end,
        "unk_token": end, "clean_up_tokenization_spaces": True, "errors": "replace", "model_max_length": 1024,
        "processor_class": "WhisperProcessor", "return_attention_mask": False, "tokenizer_class": "WhisperTokenizer",
        "additional_special_tokens": [token["content"] for token in tokenizer["added_tokens"] if token["special"]],
        "added_tokens_decoder": {str(token["id"]): {key: value for key, value in token.items() if key != "id"}
                                 for token in tokenizer["added_tokens"]},
    }


def build(folder):
    source = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    tokenizer = repair_tokenizer(json.loads((folder / "tokenizer.json").read_text(encoding="utf-8")))
    tensors = rename(read_ctranslate2(folder / "model.bin"))
    if len(tensors) != EXPECTED_TENSORS:
        raise DemoError(f"model.bin gave {len(tensors)} tensors, expected {EXPECTED_TENSORS}")
    ids = {token["content"]: token["id"] for token in tokenizer["added_tokens"]}
    return tensors, {"config.json": make_config(source), "generation_config.json": make_generation_config(source, ids),
                     "preprocessor_config.json": PREPROCESSOR, "tokenizer.json": tokenizer,
                     "tokenizer_config.json": make_tokenizer_config(tokenizer)}


if __name__ == "__main__":
    converter_main(NAME, VERSION, build)
