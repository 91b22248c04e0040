"""Tiny CLIP and SigLIP directories, and pictures with a text each: standard library, numpy and safetensors."""
import json
import random

import make_tiny
from make_tiny import Weights, byte_alphabet, png_bytes, tower_tensors, write_model

HIDDEN, WIDTH, LONGEST = 16, 12, 24
FLAGS = {"single_word": False, "lstrip": False, "rstrip": False, "special": True}
SPLIT = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


def write_tokenizer(folder, clip):
    """Bytes, each also as the end of a word, in the form of CLIP's tokenizer.json; SigLIP's has no first token."""
    letters = list(byte_alphabet().values())
    vocabulary = {token: i for i, token in enumerate([*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"])}
    start, end = len(vocabulary) - 2, len(vocabulary) - 1
    added = [{"id": start, "content": "<|startoftext|>", "normalized": True, **FLAGS}, {"id": end, "content": "<|endoftext|>", "normalized": False, **FLAGS}]
    around = {"type": "RobertaProcessing", "sep": ["<|endoftext|>", end], "cls": ["<|startoftext|>", start], "trim_offsets": False, "add_prefix_space": False}
    after = {"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "<|endoftext|>", "type_id": 0}}], "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
             "special_tokens": {"<|endoftext|>": {"id": "<|endoftext|>", "ids": [end], "tokens": ["<|endoftext|>"]}}}
    model = {"type": "BPE", "dropout": None, "unk_token": "<|endoftext|>", "continuing_subword_prefix": "", "end_of_word_suffix": "</w>", "fuse_unk": False, "byte_fallback": False, "ignore_merges": False, "vocab": vocabulary, "merges": []}
    normalizer = {"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "}, {"type": "Lowercase"}]}
    splitting = {"type": "Sequence", "pretokenizers": [{"type": "Split", "pattern": {"Regex": SPLIT}, "behavior": "Removed", "invert": True}, {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}]}
    tokenizer = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": normalizer, "pre_tokenizer": splitting,
                 "post_processor": around if clip else after, "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}, "model": model}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer, ensure_ascii=False))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>", "unk_token": "<|endoftext|>", "model_max_length": LONGEST}))
    return len(vocabulary), start, end


def text_tensors(w, kind, vocab, layers=2):
    w.normal("text_model.embeddings.token_embedding.weight", vocab, HIDDEN, std=0.5)
    w.normal("text_model.embeddings.position_embedding.weight", LONGEST, HIDDEN, std=0.3)
    for i in range(layers):
        at = f"text_model.encoder.layers.{i}."
        w.norm(at + "layer_norm1", HIDDEN)
        w.norm(at + "layer_norm2", HIDDEN)
        for name in ["q_proj", "k_proj", "v_proj", "out_proj"]:
            w.linear(at + "self_attn." + name, HIDDEN, HIDDEN)
        w.linear(at + "mlp.fc1", 2 * HIDDEN, HIDDEN)
        w.linear(at + "mlp.fc2", HIDDEN, 2 * HIDDEN)
    w.norm("text_model.final_layer_norm", HIDDEN)
    return {"model_type": f"{kind}_text_model", "vocab_size": vocab, "hidden_size": HIDDEN, "intermediate_size": 2 * HIDDEN, "num_hidden_layers": layers, "num_attention_heads": 2,
            "max_position_embeddings": LONGEST, "layer_norm_eps": 1e-5, "hidden_act": "quick_gelu" if kind == "clip" else "gelu_pytorch_tanh"}


def finish(folder, config, w):
    write_model(folder, config, w.tensors)
    (folder / "preprocessor_config.json").write_text(json.dumps({**make_tiny.PIXELS, "image_processor_type": "SiglipImageProcessor", "do_resize": True, "do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": True}))


def write_clip_model(folder, seed=21):
    import numpy

    folder.mkdir(parents=True)
    vocab, start, end = write_tokenizer(folder, clip=True)
    w = Weights(seed)
    text = {**text_tensors(w, "clip", vocab), "bos_token_id": start, "eos_token_id": end, "pad_token_id": end, "projection_dim": WIDTH}
    vision = {**tower_tensors(w, "vision_model.", "clip", HIDDEN, 2), "projection_dim": WIDTH}
    w.linear("visual_projection", WIDTH, HIDDEN, bias=False)
    w.linear("text_projection", WIDTH, HIDDEN, bias=False)
    w.tensors["logit_scale"] = numpy.array(2.6592, "float32")
    finish(folder, {"architectures": ["CLIPModel"], "model_type": "clip", "projection_dim": WIDTH, "logit_scale_init_value": 2.6592, "text_config": text, "vision_config": vision, "torch_dtype": "float32"}, w)


def write_siglip_model(folder, seed=22):
    import numpy

    folder.mkdir(parents=True)
    vocab, _, end = write_tokenizer(folder, clip=False)
    w = Weights(seed)
    text = {**text_tensors(w, "siglip", vocab), "pad_token_id": end, "eos_token_id": end, "projection_size": HIDDEN}
    vision = tower_tensors(w, "vision_model.", "siglip", HIDDEN, 2)
    w.linear("text_model.head", HIDDEN, HIDDEN)
    at = "vision_model.head."
    w.normal(at + "probe", 1, 1, HIDDEN, std=0.5)
    w.normal(at + "attention.in_proj_weight", 3 * HIDDEN, HIDDEN)
    w.normal(at + "attention.in_proj_bias", 3 * HIDDEN, std=0.02)
    w.linear(at + "attention.out_proj", HIDDEN, HIDDEN)
    w.norm(at + "layernorm", HIDDEN)
    w.linear(at + "mlp.fc1", 2 * HIDDEN, HIDDEN)
    w.linear(at + "mlp.fc2", HIDDEN, 2 * HIDDEN)
    w.tensors["logit_scale"], w.tensors["logit_bias"] = numpy.array([2.3026], "float32"), numpy.array([-10], "float32")
    finish(folder, {"architectures": ["SiglipModel"], "model_type": "siglip", "text_config": text, "vision_config": vision, "torch_dtype": "float32"}, w)


LIGHT = {"dusk": 40, "grey": 140, "noon": 235}  # of as many tokens


def write_pairs(path, names=None):
    """A picture of each of 27 colours and the text that names it."""
    noise = random.Random(7)
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = []
    for i, (r, g, b) in enumerate((r, g, b) for r in LIGHT for g in LIGHT for b in LIGHT):
        picture = f"{path.stem}_{i}.png"
        (path.parent / picture).write_bytes(png_bytes((LIGHT[r], LIGHT[g], LIGHT[b]), noise))
        text = names[i % len(names)] if names else f"{r} {g} {b}"
        rows.append({"id": f"pair-{i}", "messages": [{"role": "user", "content": [{"type": "image", "image": picture}]}, {"role": "assistant", "content": text}]})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return rows


def config_of_pairs(config, folder, write=write_clip_model, objective="contrastive"):
    """`config` with a dual encoder and pairs in place of its model and data."""
    model, data, dual = folder / "models" / "dual", folder / "data" / "pairs.jsonl", folder / "dual.toml"
    write(model)
    write_pairs(data)
    text = config.read_text()
    source = f'path = "{data}"\n'
    dual.write_text(text[:text.index("[model.llm]")] + f'[model]\nfrom = "{model}"\n\n[objective]\nplugin = "{objective}"\n\n[[data.train.sources]]\n{source}\n[[data.eval.held.sources]]\n{source}\n' + text[text.index("[data]"):])
    return dual
