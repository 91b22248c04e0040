"""Makes tiny models, media and data sets for the end-to-end and fault tests: standard library, numpy and safetensors.

The tokenizer in tests/e2e/tiny/tokenizer is committed; `make_tiny.py tokenizer` writes it again. Everything else is
made where a test wants it, the same each time.
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


if __name__ == "__main__":
    if sys.argv[1:] != ["tokenizer"]:
        sys.exit("usage: make_tiny.py tokenizer")
    write_tokenizer(TOKENIZER)
