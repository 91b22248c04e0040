"""Makes tiny models, media and data sets for the end-to-end and fault tests: standard library, numpy and safetensors.

The tokenizer in tests/e2e/tiny/tokenizer is committed; `make_tiny.py tokenizer` writes it again. Everything else is
made when a test wants it, the same each time.
"""

import json
import math
import random
import struct
import sys
import wave
import zlib
from pathlib import Path

TINY = Path(__file__).resolve().parent / "tiny"
TOKENIZER = TINY / "tokenizer"
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
WORDS = ["system", "user", "assistant", "What", " colour", " is", " the", " picture", " pitch", " tone", "red", "green", "blue", "low", "high", " and"]
TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def byte_alphabet():
    """GPT-2's printable stand-ins for the 256 bytes."""
    kept = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in kept]
    return {**{b: chr(b) for b in kept}, **{b: chr(256 + i) for i, b in enumerate(others)}}


def write_tokenizer(folder):
    """All bytes, the merges that spell WORDS from the left, ChatML's control tokens."""
    letters = byte_alphabet()
    vocabulary = {letters[b]: b for b in range(256)}
    merges = []
    for word in WORDS:
        spelled = [letters[b] for b in word.encode()]
        for end in range(2, len(spelled) + 1):
            left, right = "".join(spelled[: end - 1]), spelled[end - 1]
            if left + right not in vocabulary:
                vocabulary[left + right] = len(vocabulary)
                merges.append([left, right])
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    added = [{"id": len(vocabulary) + i, "content": token, **flags} for i, token in enumerate(SPECIAL)]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    model = {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": "", "end_of_word_suffix": "",
             "fuse_unk": False, "byte_fallback": False, "ignore_merges": False, "vocab": vocabulary, "merges": merges}
    tokenizer = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": None,
                 "pre_tokenizer": byte_level, "post_processor": None, "decoder": byte_level, "model": model}
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<|im_start|>", "eos_token": "<|im_end|>",
              "pad_token": "<|im_end|>", "unk_token": "<|endoftext|>", "model_max_length": 512, "chat_template": TEMPLATE,
              "added_tokens_decoder": {str(t["id"]): {k: v for k, v in t.items() if k != "id"} for t in added}}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer, ensure_ascii=False) + "\n")
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1) + "\n")


def vocab_size():
    tokenizer = json.loads((TOKENIZER / "tokenizer.json").read_text())
    return len(tokenizer["model"]["vocab"]) + len(tokenizer["added_tokens"])



def write_model(folder, config, tensors):
    """A Hugging Face directory."""
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


class Weights:
    """Random tensors, the same for the same seed."""

    def __init__(self, seed):
        import numpy

        self.random = numpy.random.default_rng(seed)
        self.tensors = {}

    def normal(self, name, *shape, std=None):
        std = std if std is not None else 1 / math.sqrt(math.prod(shape[1:]))
        self.tensors[name] = (self.random.standard_normal(shape) * std).astype("float32")

    def linear(self, name, rows, columns, bias=True):
        self.normal(name + ".weight", rows, columns)
        if bias:
            self.normal(name + ".bias", rows, std=0.02)

    def norm(self, name, size, bias=True):
        self.normal(name + ".weight", size, std=0.05)
        self.tensors[name + ".weight"] += 1
        if bias:
            self.normal(name + ".bias", size, std=0.05)


def llama_tensors(w, prefix, hidden, layers, vocab=None, inner=None):
    vocab, inner, kv = vocab or vocab_size(), inner or 2 * hidden, hidden // 2
    w.normal(prefix + "model.embed_tokens.weight", vocab, hidden, std=0.5)
    for i in range(layers):
        at = f"{prefix}model.layers.{i}."
        w.norm(at + "input_layernorm", hidden, bias=False)
        w.norm(at + "post_attention_layernorm", hidden, bias=False)
        for name, rows, columns in [("self_attn.q_proj", hidden, hidden), ("self_attn.k_proj", kv, hidden), ("self_attn.v_proj", kv, hidden), ("self_attn.o_proj", hidden, hidden),
                                    ("mlp.gate_proj", inner, hidden), ("mlp.up_proj", inner, hidden), ("mlp.down_proj", hidden, inner)]:
            w.linear(at + name, rows, columns, bias=False)
    w.norm(prefix + "model.norm", hidden, bias=False)
    w.normal(prefix + "lm_head.weight", vocab, hidden)
    return {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": vocab, "hidden_size": hidden, "intermediate_size": inner,
            "num_hidden_layers": layers, "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 512, "rms_norm_eps": 1e-5,
            "rope_theta": 10000.0, "tie_word_embeddings": False, "hidden_act": "silu", "eos_token_id": vocab - 1, "torch_dtype": "float32"}


def write_llama(folder, seed=1, hidden=32, layers=2):
    w = Weights(seed)
    write_model(folder, llama_tensors(w, "", hidden, layers), w.tensors)
    copy_tokenizer(folder)


def write_phi3(folder, seed=15, hidden=32, layers=2):
    """Matrices joined as its files have them, and LongRoPE."""
    import numpy

    w = Weights(seed)
    config = llama_tensors(w, "", hidden, layers)
    for i in range(layers):
        for name, parts in [("self_attn.qkv_proj", ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"]), ("mlp.gate_up_proj", ["mlp.gate_proj", "mlp.up_proj"])]:
            w.tensors[f"model.layers.{i}.{name}.weight"] = numpy.concatenate([w.tensors.pop(f"model.layers.{i}.{part}.weight") for part in parts])
    factors = {"short_factor": [1.0, 1.1, 1.3, 2.0], "long_factor": [1.0, 3.0, 9.0, 40.0]}
    config.update(architectures=["Phi3ForCausalLM"], model_type="phi3", original_max_position_embeddings=64, sliding_window=None, rope_scaling={"type": "longrope", **factors})
    write_model(folder, config, w.tensors)
    copy_tokenizer(folder)


def copy_tokenizer(folder):
    for name in ["tokenizer.json", "tokenizer_config.json"]:
        (folder / name).write_bytes((TOKENIZER / name).read_bytes())


def tower_tensors(w, prefix, kind, hidden, layers, image_size=28, projections=("q_proj", "k_proj", "v_proj", "out_proj")):
    """The vision half of CLIP or SigLIP; pictures in patches of 14. Projections are drawn in the order given."""
    clip = kind == "clip"
    if clip:
        w.normal(prefix + "embeddings.class_embedding", hidden, std=0.1)
        w.norm(prefix + "pre_layrnorm", hidden)
    w.normal(prefix + "embeddings.patch_embedding.weight", hidden, 3, 14, 14)
    if not clip:
        w.normal(prefix + "embeddings.patch_embedding.bias", hidden, std=0.02)
    w.normal(prefix + "embeddings.position_embedding.weight", (image_size // 14) ** 2 + clip, hidden, std=0.1)
    for i in range(layers):
        at = f"{prefix}encoder.layers.{i}."
        w.norm(at + "layer_norm1", hidden)
        w.norm(at + "layer_norm2", hidden)
        for name in projections:
            w.linear(at + "self_attn." + name, hidden, hidden)
        w.linear(at + "mlp.fc1", 2 * hidden, hidden)
        w.linear(at + "mlp.fc2", hidden, 2 * hidden)
    w.norm(prefix + "post_layernorm", hidden)
    return {"model_type": f"{kind}_vision_model", "hidden_size": hidden, "intermediate_size": 2 * hidden, "num_hidden_layers": layers, "num_attention_heads": 2,
            "image_size": image_size, "patch_size": 14, "layer_norm_eps": 1e-5, "hidden_act": "quick_gelu" if clip else "gelu_pytorch_tanh"}


PIXELS = {"size": {"height": 28, "width": 28}, "do_center_crop": False, "resample": 3, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}


def write_siglip(folder, seed=5, hidden=16, layers=2):
    w = Weights(seed)
    write_model(folder, tower_tensors(w, "", "siglip", hidden, layers), w.tensors)
    (folder / "preprocessor_config.json").write_text(json.dumps(PIXELS))


def write_clip(folder, seed=6, hidden=16, layers=2):
    w = Weights(seed)
    write_model(folder, tower_tensors(w, "vision_model.", "clip", hidden, layers), w.tensors)


def write_llava(folder, seed=4, hidden=32, vision=16, layers=2):
    """A whole model: CLIP, a projector of two layers, Llama. Its chat template knows pictures as "<image>"."""
    w = Weights(seed)
    text = llama_tensors(w, "language_model.", hidden, layers)
    tower = tower_tensors(w, "vision_tower.", "clip", vision, layers)
    w.linear("multi_modal_projector.linear_1", hidden, vision)
    w.linear("multi_modal_projector.linear_2", hidden, hidden)
    image_id = text["vocab_size"]
    write_model(folder, {"architectures": ["LlavaForConditionalGeneration"], "model_type": "llava", "text_config": {**text, "vocab_size": image_id + 1}, "vision_config": tower,
                         "image_token_index": image_id, "projector_hidden_act": "gelu", "vision_feature_layer": -2, "vision_feature_select_strategy": "default",
                         "tie_word_embeddings": False, "torch_dtype": "float32"}, with_row(w))
    copy_tokenizer(folder)
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["added_tokens"].append({"id": image_id, "content": "<image>", "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True})
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    config = json.loads((folder / "tokenizer_config.json").read_text())
    config["chat_template"] = ("{% for m in messages %}<|im_start|>{{ m.role }}{{ '\\n' }}{% for part in m.content %}{% if part.type == 'image' %}<image>{{ '\\n' }}"
                               "{% else %}{{ part.text }}{% endif %}{% endfor %}<|im_end|>{{ '\\n' }}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant{{ '\\n' }}{% endif %}")
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    (folder / "preprocessor_config.json").write_text(json.dumps(PIXELS))


def write_qwen2_5_vl(folder, seed=7, hidden=32, vision=16, layers=2):
    """A whole model: a tower over pictures of any size, of whose blocks the first sees windows, a merger, Qwen2."""
    w = Weights(seed)
    text = llama_tensors(w, "", hidden, layers)
    for i in range(layers):
        for name, rows in [("q_proj", hidden), ("k_proj", hidden // 2), ("v_proj", hidden // 2)]:
            w.normal(f"model.layers.{i}.self_attn.{name}.bias", rows, std=0.1)
    w.normal("visual.patch_embed.proj.weight", vision, 3, 2, 14, 14)
    for i in range(layers):
        at = f"visual.blocks.{i}."
        w.norm(at + "norm1", vision, bias=False)
        w.norm(at + "norm2", vision, bias=False)
        for name, rows, columns in [("attn.qkv", 3 * vision, vision), ("attn.proj", vision, vision), ("mlp.gate_proj", 2 * vision, vision), ("mlp.up_proj", 2 * vision, vision), ("mlp.down_proj", vision, 2 * vision)]:
            w.linear(at + name, rows, columns)
    w.norm("visual.merger.ln_q", vision, bias=False)
    w.linear("visual.merger.mlp.0", 4 * vision, 4 * vision)
    w.linear("visual.merger.mlp.2", hidden, 4 * vision)
    marks = with_marks(w, text, ["model.embed_tokens.weight", "lm_head.weight"])
    write_model(folder, {**text, "architectures": ["Qwen2_5_VLForConditionalGeneration"], "model_type": "qwen2_5_vl", **marks, "rope_scaling": {"type": "mrope", "mrope_section": [1, 1, 2]},
                         "vision_config": {"depth": layers, "hidden_size": vision, "intermediate_size": 2 * vision, "num_heads": 2, "patch_size": 14, "window_size": 56, "out_hidden_size": hidden,
                                           "fullatt_block_indexes": [1], "tokens_per_second": 2}}, w.tensors)
    with_template(folder, text["vocab_size"])
    (folder / "preprocessor_config.json").write_text(json.dumps({"image_processor_type": "Qwen2VLImageProcessor", "min_pixels": 3136, "max_pixels": 20000, "patch_size": 14, "temporal_patch_size": 2,
                                                                 "merge_size": 2, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}))


def write_qwen3_vl(folder, seed=8, hidden=32, vision=16, layers=2, taps=(0,)):
    """A whole model: a tower with a table of positions, some of whose blocks are tapped, mergers, Qwen3."""
    w = Weights(seed)
    text = llama_tensors(w, "", hidden, layers)
    w.tensors = {name.replace("model.", "model.language_model.", 1): tensor for name, tensor in w.tensors.items()}
    for i in range(layers):
        for name in ("q_norm", "k_norm"):
            w.norm(f"model.language_model.layers.{i}.self_attn.{name}", hidden // 4, bias=False)
    w.linear("model.visual.patch_embed.proj", vision, 3 * 2 * 14 * 14)
    w.tensors["model.visual.patch_embed.proj.weight"] = w.tensors["model.visual.patch_embed.proj.weight"].reshape(vision, 3, 2, 14, 14)
    w.normal("model.visual.pos_embed.weight", 16, vision, std=0.3)
    for i in range(layers):
        at = f"model.visual.blocks.{i}."
        w.norm(at + "norm1", vision)
        w.norm(at + "norm2", vision)
        for name, rows, columns in [("attn.qkv", 3 * vision, vision), ("attn.proj", vision, vision), ("mlp.linear_fc1", 2 * vision, vision), ("mlp.linear_fc2", vision, 2 * vision)]:
            w.linear(at + name, rows, columns)
    for at, norm in (("model.visual.merger.", vision), *((f"model.visual.deepstack_merger_list.{i}.", 4 * vision) for i in range(len(taps)))):
        w.norm(at + "norm", norm)
        w.linear(at + "linear_fc1", 4 * vision, 4 * vision)
        w.linear(at + "linear_fc2", hidden, 4 * vision)
    marks = with_marks(w, text, ["model.language_model.embed_tokens.weight", "lm_head.weight"])
    own = {key: value for key, value in text.items() if key not in ("architectures", "torch_dtype")}
    write_model(folder, {"architectures": ["Qwen3VLForConditionalGeneration"], "model_type": "qwen3_vl", **{key: value for key, value in marks.items() if key != "vocab_size"}, "tie_word_embeddings": False,
                         "text_config": {**own, "model_type": "qwen3_vl_text", "vocab_size": marks["vocab_size"], "head_dim": hidden // 4, "attention_bias": False,
                                         "rope_scaling": {"rope_type": "default", "mrope_interleaved": True, "mrope_section": [2, 1, 1]}},
                         "vision_config": {"model_type": "qwen3_vl", "depth": layers, "hidden_size": vision, "intermediate_size": 2 * vision, "num_heads": 2, "patch_size": 14, "out_hidden_size": hidden,
                                           "num_position_embeddings": 16, "deepstack_visual_indexes": list(taps)}}, w.tensors)
    with_template(folder, text["vocab_size"])
    pixels = {"patch_size": 14, "temporal_patch_size": 2, "merge_size": 2, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    (folder / "preprocessor_config.json").write_text(json.dumps({"image_processor_type": "Qwen2VLImageProcessorFast", "size": {"shortest_edge": 3136, "longest_edge": 20000}, **pixels}))
    (folder / "video_preprocessor_config.json").write_text(json.dumps({"video_processor_type": "Qwen3VLVideoProcessor", "size": {"shortest_edge": 3136, "longest_edge": 60000}, **pixels}))


MARKS = ["<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]


def with_marks(w, text, matrices):
    """Four more rows in the embedding and the head; what config.json says of the marks."""
    first = text["vocab_size"]
    for name in matrices:
        w.tensors[name] = w.tensors[name][[*range(first), 0, 0, 0, 0]]
    return {"vocab_size": first + 4, "vision_start_token_id": first, "vision_end_token_id": first + 1, "image_token_id": first + 2, "video_token_id": first + 3}


def with_template(folder, first):
    """The tokenizer with the marks, and a template that writes them."""
    copy_tokenizer(folder)
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["added_tokens"] += [{"id": first + i, "content": mark, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True} for i, mark in enumerate(MARKS)]
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    config = json.loads((folder / "tokenizer_config.json").read_text())
    config["chat_template"] = ("{% for m in messages %}<|im_start|>{{ m.role }}{{ '\\n' }}{% for part in m.content %}{% if part.type == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
                               "{% elif part.type == 'video' %}<|vision_start|><|video_pad|><|vision_end|>{% else %}{{ part.text }}{% endif %}{% endfor %}<|im_end|>{{ '\\n' }}{% endfor %}"
                               "{% if add_generation_prompt %}<|im_start|>assistant{{ '\\n' }}{% endif %}")
    (folder / "tokenizer_config.json").write_text(json.dumps(config))


def add_marks(folder, first, marks, picture):
    """More tokens, from this id on, and a chat template that writes `picture` for one."""
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["added_tokens"] += [{"id": first + i, "content": mark, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True} for i, mark in enumerate(marks)]
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    config = json.loads((folder / "tokenizer_config.json").read_text())
    config["chat_template"] = ("{% for m in messages %}<|im_start|>{{ m.role }}{{ '\\n' }}{% for part in m.content %}{% if part.type == 'image' %}" + picture +
                               "{% else %}{{ part.text }}{% endif %}{% endfor %}<|im_end|>{{ '\\n' }}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant{{ '\\n' }}{% endif %}")
    (folder / "tokenizer_config.json").write_text(json.dumps(config))


def write_gemma3(folder, seed=12, hidden=32, vision=16, layers=2):
    """A whole model: SigLIP, four of whose patches see each other in Gemma 3's text model, a layer with a window and one without."""
    w = Weights(seed)
    text = llama_tensors(w, "language_model.", hidden, layers)
    del w.tensors["language_model.lm_head.weight"]
    for i in range(layers):
        at = f"language_model.model.layers.{i}."
        for name in ["pre_feedforward_layernorm", "post_feedforward_layernorm"]:
            w.norm(at + name, hidden, bias=False)
        for name in ["self_attn.q_norm", "self_attn.k_norm"]:
            w.norm(at + name, hidden // 4, bias=False)
    tower = tower_tensors(w, "vision_tower.vision_model.", "siglip", vision, layers)
    w.normal("multi_modal_projector.mm_input_projection_weight", vision, hidden)
    w.norm("multi_modal_projector.mm_soft_emb_norm", vision, bias=False)
    first, marks = text["vocab_size"], ["<start_of_image>", "<end_of_image>", "<image_soft_token>"]
    embedding = "language_model.model.embed_tokens.weight"
    w.tensors[embedding] = w.tensors[embedding][[*range(first), 0, 0, 0]]
    text = {key: value for key, value in text.items() if key not in ("hidden_act", "architectures", "tie_word_embeddings")}
    write_model(folder, {"architectures": ["Gemma3ForConditionalGeneration"], "model_type": "gemma3", "mm_tokens_per_image": 4, "boi_token_index": first, "eoi_token_index": first + 1, "image_token_index": first + 2,
                         "text_config": {**text, "model_type": "gemma3_text", "vocab_size": first + len(marks), "head_dim": hidden // 4, "hidden_activation": "gelu_pytorch_tanh", "query_pre_attn_scalar": 8,
                                         "sliding_window": 4, "sliding_window_pattern": 2, "rope_theta": 1e6, "rope_local_base_freq": 1e4},
                         "vision_config": tower, "torch_dtype": "float32"}, w.tensors)
    copy_tokenizer(folder)
    add_marks(folder, first, marks, "<start_of_image>")
    (folder / "preprocessor_config.json").write_text(json.dumps({**PIXELS, "resample": 2, "image_processor_type": "Gemma3ImageProcessor", "do_pan_and_scan": None}))


def write_mistral3(folder, seed=10, hidden=32, vision=16, layers=2):
    """A whole model: Pixtral's tower, squares of its vectors joined, Mistral, tokens between the rows of a picture."""
    w = Weights(seed)
    text = llama_tensors(w, "language_model.", hidden, layers)
    w.normal("vision_tower.patch_conv.weight", vision, 3, 14, 14)
    w.norm("vision_tower.ln_pre", vision, bias=False)
    for i in range(layers):
        at = f"vision_tower.transformer.layers.{i}."
        for name in ["attention_norm", "ffn_norm"]:
            w.norm(at + name, vision, bias=False)
        for name, rows, columns in [(f"attention.{one}_proj", vision, vision) for one in "qkvo"] + [("feed_forward.gate_proj", 2 * vision, vision), ("feed_forward.up_proj", 2 * vision, vision), ("feed_forward.down_proj", vision, 2 * vision)]:
            w.linear(at + name, rows, columns, bias=False)
    w.norm("multi_modal_projector.norm", vision, bias=False)
    w.linear("multi_modal_projector.patch_merger.merging_layer", vision, 4 * vision, bias=False)
    w.linear("multi_modal_projector.linear_1", hidden, vision, bias=False)
    w.linear("multi_modal_projector.linear_2", hidden, hidden, bias=False)
    first, marks = text["vocab_size"], ["[IMG]", "[IMG_BREAK]", "[IMG_END]"]
    for name in ["model.embed_tokens.weight", "lm_head.weight"]:
        w.tensors["language_model." + name] = w.tensors["language_model." + name][[*range(first), 0, 0, 0]]
    write_model(folder, {"architectures": ["Mistral3ForConditionalGeneration"], "model_type": "mistral3", "image_token_index": first, "spatial_merge_size": 2, "vision_feature_layer": -1, "tie_word_embeddings": False,
                         "text_config": {**text, "model_type": "mistral", "vocab_size": first + len(marks), "sliding_window": None},
                         "vision_config": {"model_type": "pixtral", "hidden_size": vision, "intermediate_size": 2 * vision, "num_hidden_layers": layers, "num_attention_heads": 2, "image_size": 84, "patch_size": 14, "hidden_act": "gelu", "rope_theta": 10000.0},
                         "torch_dtype": "float32"}, w.tensors)
    copy_tokenizer(folder)
    add_marks(folder, first, marks, "[IMG]")
    (folder / "preprocessor_config.json").write_text(json.dumps({"image_processor_type": "PixtralImageProcessor", "size": {"longest_edge": 84}, "patch_size": {"height": 14, "width": 14}, "resample": 3, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}))


def write_internvl(folder, seed=13, hidden=32, vision=16, layers=2):
    """A whole model: InternViT, squares of whose vectors are joined, Qwen2; pictures in up to four tiles."""
    w = Weights(seed)
    text = llama_tensors(w, "language_model.", hidden, layers)
    for i in range(layers):
        for name, rows in [("q_proj", hidden), ("k_proj", hidden // 2), ("v_proj", hidden // 2)]:
            w.normal(f"language_model.model.layers.{i}.self_attn.{name}.bias", rows, std=0.1)
    w.normal("vision_tower.embeddings.cls_token", 1, 1, vision, std=0.1)
    w.normal("vision_tower.embeddings.position_embeddings", 1, 5, vision, std=0.1)
    w.normal("vision_tower.embeddings.patch_embeddings.projection.weight", vision, 3, 14, 14)
    w.normal("vision_tower.embeddings.patch_embeddings.projection.bias", vision, std=0.02)
    for i in range(layers):
        at = f"vision_tower.encoder.layer.{i}."
        for name in ["layernorm_before", "layernorm_after"]:
            w.norm(at + name, vision)
        for name in ["lambda_1", "lambda_2"]:
            w.normal(at + name, vision, std=0.5)
        for name, rows, columns in [(f"attention.{one}", vision, vision) for one in ("q_proj", "k_proj", "v_proj", "projection_layer")] + [("mlp.fc1", 2 * vision, vision), ("mlp.fc2", vision, 2 * vision)]:
            w.linear(at + name, rows, columns)
    w.norm("multi_modal_projector.layer_norm", 4 * vision)
    w.linear("multi_modal_projector.linear_1", hidden, 4 * vision)
    w.linear("multi_modal_projector.linear_2", hidden, hidden)
    first, marks = text["vocab_size"], ["<IMG_CONTEXT>", "<img>", "</img>", "<video>"]
    for name in ["model.embed_tokens.weight", "lm_head.weight"]:
        w.tensors["language_model." + name] = w.tensors["language_model." + name][[*range(first), 0, 0, 0, 0]]
    write_model(folder, {"architectures": ["InternVLForConditionalGeneration"], "model_type": "internvl", "image_token_id": first, "downsample_ratio": 0.5, "image_seq_length": 1, "vision_feature_layer": -1, "tie_word_embeddings": False,
                         "text_config": {**text, "model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"], "vocab_size": first + len(marks)},
                         "vision_config": {"model_type": "internvl_vision", "hidden_size": vision, "intermediate_size": 2 * vision, "num_hidden_layers": layers, "num_attention_heads": 2, "image_size": [28, 28], "patch_size": [14, 14], "attention_bias": True},
                         "torch_dtype": "float32"}, w.tensors)
    copy_tokenizer(folder)
    add_marks(folder, first, marks, "<IMG_CONTEXT>{{ '\\n' }}{% elif part.type == 'video' %}<video>{{ '\\n' }}")
    (folder / "preprocessor_config.json").write_text(json.dumps({"image_processor_type": "GotOcr2ImageProcessorFast", "size": {"height": 28, "width": 28}, "crop_to_patches": False, "min_patches": 1, "max_patches": 4, "resample": 3, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}))


def write_vila(folder, seed=14, hidden=32, vision=16, layers=2, aspect="dynamic"):
    """A whole model in folders: SigLIP, squares of whose vectors are joined, Llama."""
    text, tower, projector = Weights(seed), Weights(seed + 100), Weights(seed + 200)
    wide = vision * (3 if aspect == "dynamic_s2" else 1)
    projector.norm("layers.1", 4 * wide)
    projector.linear("layers.2", hidden, 4 * wide)
    projector.linear("layers.4", hidden, hidden)
    parts = {"llm": (llama_tensors(text, "", hidden, layers), text), "vision_tower": (tower_tensors(tower, "vision_model.", "siglip", vision, layers), tower),
             "mm_projector": ({"model_type": "v2l_projector", "mm_projector_type": "mlp_downsample"}, projector)}
    for name, (config, w) in parts.items():
        write_model(folder / name, config, w.tensors)
    copy_tokenizer(folder / "llm")
    (folder / "vision_tower" / "preprocessor_config.json").write_text(json.dumps(PIXELS))
    (folder / "config.json").write_text(json.dumps({"architectures": ["LlavaLlamaModel"], "model_type": "llava_llama", "image_aspect_ratio": aspect, "min_tiles": 1, "max_tiles": 12 if aspect == "dynamic_s2" else 4, "mm_vision_select_layer": -2, "mm_vision_select_feature": "cls_patch",
                                                    "mm_use_im_start_end": False, "mm_use_im_patch_token": False, "dynamic_s2": aspect == "dynamic_s2", "s2_scales": "28,56,84", "s2_resize_output_to_scale_idx": -1,
                                                    "image_encoder": json.dumps({"_target_": "llava.model.encoders.BasicImageEncoder"}), **{f"{name}_cfg": config for name, (config, _) in parts.items()}}, indent=1))


def write_smolvlm(folder, seed=15, hidden=32, vision=16, layers=2):
    """A whole model: SigLIP over pictures in up to 2 x 2 tiles, squares of whose vectors are joined, Llama; videos as frames with their times."""
    w = Weights(seed)
    text = llama_tensors(w, "", hidden, layers)
    w.tensors = {name.replace("model.", "model.text_model.", 1): tensor for name, tensor in w.tensors.items()}
    tower = tower_tensors(w, "model.vision_model.", "siglip", vision, layers)
    w.normal("model.vision_model.embeddings.patch_embedding.weight", vision, 3, 7, 7)
    w.normal("model.vision_model.embeddings.position_embedding.weight", 16, vision, std=0.1)
    w.linear("model.connector.modality_projection.proj", hidden, 16 * vision, bias=False)
    first, marks = text["vocab_size"], ["<image>", "<fake_token_around_image>", "<global-img>", *(f"<row_{row}_col_{column}>" for row in (1, 2) for column in (1, 2))]
    for name in ["model.text_model.embed_tokens.weight", "lm_head.weight"]:
        w.tensors[name] = w.tensors[name][[*range(first), *[0] * len(marks)]]
    own = {key: value for key, value in text.items() if key not in ("architectures", "torch_dtype")}
    write_model(folder, {"architectures": ["SmolVLMForConditionalGeneration"], "model_type": "smolvlm", "image_token_id": first, "scale_factor": 4, "tie_word_embeddings": False, "text_config": {**own, "vocab_size": first + len(marks)},
                         "vision_config": {**tower, "model_type": "smolvlm_vision", "patch_size": 7, "max_image_size": {"longest_edge": 28}, "size": {"longest_edge": 56}}, "torch_dtype": "float32"}, w.tensors)
    copy_tokenizer(folder)
    add_marks(folder, first, marks, "<image>")
    (folder / "preprocessor_config.json").write_text(json.dumps({"image_processor_type": "SmolVLMImageProcessor", "size": {"longest_edge": 56}, "max_image_size": {"longest_edge": 28}, "do_image_splitting": True, "do_pad": True, "resample": 1,
                                                                 "image_mean": [0.5] * 3, "image_std": [0.5] * 3, "video_sampling": {"fps": 1, "max_frames": 4, "video_size": {"longest_edge": 56}}}))


def with_row(w):
    """One more row in the embedding and the head, for <image>."""
    import numpy

    for name in ["language_model.model.embed_tokens.weight", "language_model.lm_head.weight"]:
        w.tensors[name] = numpy.concatenate([w.tensors[name], w.tensors[name][:1]])
    return w.tensors


def write_dinov2(folder, seed=2, hidden=16, layers=2):
    w = Weights(seed)
    w.normal("embeddings.cls_token", 1, 1, hidden, std=0.1)
    w.normal("embeddings.mask_token", 1, hidden, std=0.1)
    w.normal("embeddings.position_embeddings", 1, 5, hidden, std=0.1)
    w.normal("embeddings.patch_embeddings.projection.weight", hidden, 3, 14, 14)
    w.normal("embeddings.patch_embeddings.projection.bias", hidden, std=0.02)
    for i in range(layers):
        at = f"encoder.layer.{i}."
        w.norm(at + "norm1", hidden)
        w.norm(at + "norm2", hidden)
        for name in ["query", "key", "value"]:
            w.linear(at + "attention.attention." + name, hidden, hidden)
        w.linear(at + "attention.output.dense", hidden, hidden)
        w.normal(at + "layer_scale1.lambda1", hidden, std=1)
        w.normal(at + "layer_scale2.lambda1", hidden, std=1)
        w.linear(at + "mlp.fc1", 4 * hidden, hidden)
        w.linear(at + "mlp.fc2", hidden, 4 * hidden)
    w.norm("layernorm", hidden)
    write_model(folder, {"architectures": ["Dinov2Model"], "model_type": "dinov2", "hidden_size": hidden, "num_hidden_layers": layers, "num_attention_heads": 2,
                         "mlp_ratio": 4, "image_size": 28, "patch_size": 14, "layer_norm_eps": 1e-6, "hidden_act": "gelu"}, w.tensors)


def write_whisper(folder, seed=3, hidden=16, layers=2):
    w = Weights(seed)
    w.normal("model.encoder.conv1.weight", hidden, 80, 3)
    w.normal("model.encoder.conv1.bias", hidden, std=0.02)
    w.normal("model.encoder.conv2.weight", hidden, hidden, 3)
    w.normal("model.encoder.conv2.bias", hidden, std=0.02)
    w.normal("model.encoder.embed_positions.weight", 50, hidden, std=0.1)
    for i in range(layers):
        at = f"model.encoder.layers.{i}."
        w.norm(at + "self_attn_layer_norm", hidden)
        w.norm(at + "final_layer_norm", hidden)
        for name in ["q_proj", "k_proj", "v_proj", "out_proj"]:
            w.linear(at + "self_attn." + name, hidden, hidden, bias=name != "k_proj")
        w.linear(at + "fc1", 2 * hidden, hidden)
        w.linear(at + "fc2", hidden, 2 * hidden)
    w.norm("model.encoder.layer_norm", hidden)
    write_model(folder, {"architectures": ["WhisperForConditionalGeneration"], "model_type": "whisper", "d_model": hidden, "encoder_layers": layers,
                         "encoder_attention_heads": 2, "encoder_ffn_dim": 2 * hidden, "num_mel_bins": 80, "max_source_positions": 50, "activation_function": "gelu"}, w.tensors)


COLOURS = {"red": (220, 30, 30), "green": (30, 200, 40), "blue": (30, 40, 220)}
PITCHES = {"low": 250, "high": 2000}


def png_bytes(rgb, noise, size=32):
    """A picture of one colour with noise, as an 8-bit RGB png."""
    return png_of([[[min(255, max(0, c + noise.randrange(-25, 26))) for c in rgb] for _ in range(size)] for _ in range(size)])


def png_of(pixels):
    """Rows of pixels of three numbers, as an 8-bit RGB png."""
    rows = b"".join(b"\0" + bytes(value for pixel in row for value in pixel) for row in pixels)  # no filter

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", len(pixels[0]), len(pixels), 8, 2, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def write_wav(path, hertz, noise, seconds=0.2, rate=16000):
    start = noise.random() * 6.28
    samples = [int(12000 * math.sin(start + 2 * math.pi * hertz * i / rate) + noise.randrange(-800, 801)) for i in range(int(seconds * rate))]
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(struct.pack(f"<{len(samples)}h", *samples))


def message(role, *parts):
    return {"role": role, "content": list(parts)}


def sample(number, folder, noise, kind):
    """Writes the media of one sample and returns its record: a colour, a pitch, or both are asked for; or, of text, a colour by its number."""
    colour, pitch = noise.choice(list(COLOURS)), noise.choice(list(PITCHES))
    parts, answer, question = [], [], []
    if kind in ("image", "both"):
        path = f"{folder.name}_{number}.png"
        (folder.parent / path).write_bytes(png_bytes(COLOURS[colour], noise))
        parts.append({"type": "image", "image": path})
        answer.append(colour)
        question.append("What colour is the picture?")
    if kind in ("audio", "both"):
        path = f"{folder.name}_{number}.wav"
        write_wav(folder.parent / path, PITCHES[pitch] * (1 + 0.1 * noise.random()), noise)
        parts.append({"type": "audio", "audio": path})
        answer.append(pitch)
        question.append("What pitch is the tone?")
    if kind == "text":
        question.append(f"What is colour {list(COLOURS).index(colour)}?")
        answer.append(colour)
    parts.append({"type": "text", "text": " ".join(question)})
    return {"id": f"{kind}-{number}", "task": kind, "messages": [message("user", *parts), message("assistant", {"type": "text", "text": " and ".join(answer)})]}


def write_set(path, count, seed, kinds=("image", "audio", "both")):
    """A manifest of `count` samples; the media lie beside it."""
    noise = random.Random(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    records = [sample(i, path.with_suffix(""), noise, kinds[i % len(kinds)]) for i in range(count)]
    path.write_text("".join(json.dumps(r) + "\n" for r in records))
    return records


CONFIG = """
[model.llm]
plugin = "llama"
weights = "{root}/models/llama"
trainable = false

[[model.llm.peft]]
plugin = "lora"
rank = 4
alpha = 8
dropout = 0.1
targets = ["q_proj", "v_proj", "down_proj"]

[model.streams.image]
encoder = {{ plugin = "dinov2", weights = "{root}/models/dinov2", fit = "stretch", input_size = 28 }}
connector = {{ plugin = "mlp" }}

[model.streams.audio]
encoder = {{ plugin = "whisper", weights = "{root}/models/whisper", length = "clip" }}
connector = {{ plugin = "frame_stack", factor = 5 }}

[[data.train.sources]]
path = "{root}/data/train.jsonl"

[[data.eval.held.sources]]
path = "{root}/data/held.jsonl"

[data]
feature_cache = ""
threads = 2
prefetch = 8

[train]
steps = 40
tokens_per_batch = 256
checkpoint_every = 5

[train.optimizer]
lr = 3e-3

[train.schedule]
warmup_steps = 4

[precision]
compute = "fp32"

[eval]
max_tokens = 8
resamples = 1000

[generate]
max_tokens = 8
"""


def write_all(root, train=24, held=12):
    """Models, data and tiny.toml below `root`; returns the path of the TOML file."""
    root = Path(root)
    write_llama(root / "models" / "llama")
    write_dinov2(root / "models" / "dinov2")
    write_whisper(root / "models" / "whisper")
    write_set(root / "data" / "train.jsonl", train, seed=11)
    write_set(root / "data" / "held.jsonl", held, seed=12)
    path = root / "tiny.toml"
    path.write_text(CONFIG.format(root=root))
    return path



if __name__ == "__main__":
    if sys.argv[1:] == ["tokenizer"]:
        write_tokenizer(TOKENIZER)
    elif len(sys.argv) == 2:
        print(write_all(sys.argv[1]))
    else:
        sys.exit("usage: make_tiny.py FOLDER | make_tiny.py tokenizer")
