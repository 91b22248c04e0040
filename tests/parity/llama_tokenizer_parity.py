"""Ids of Llama tokenizers against transformers' AutoTokenizer, for each model type, `legacy` and `add_prefix_space`.

llama_tokenizer_parity.py PROBE
"""

import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ.update(TRANSFORMERS_VERBOSITY="error", HF_HUB_OFFLINE="1")
import transformers
from tokenizers import AddedToken

import tokenizer_parity

ADDED = [AddedToken("<|im_start|>", special=True, normalized=False), AddedToken("<image>", special=True, normalized=False), AddedToken("<L>", lstrip=True, normalized=False)]
TEXTS = ["Hello world", " Hello", "  two", "<|im_start|>user\nHi", "<s>[INST] hi [/INST] yes</s><s>[INST]", "a<image>\nWhat", "x <image> y", "", " ", "\n", "▁x", "a<L> b", "é 世界 👍", "</s> x</s>y",
         "USER: <image>\nWhat is this? ASSISTANT: A bird.</s>USER: And? ASSISTANT:"]
NOTHING = object()


def settings():
    """Each setting of Llama's class; that class in other models; other classes."""
    every = [(legacy, prefix) for legacy in [True, False, None, NOTHING] for prefix in [True, False, NOTHING]]
    cases = [("llama", "LlamaTokenizer", *flags) for flags in every] + [(None, "LlamaTokenizer", True, NOTHING), (None, "LlamaTokenizerFast", False, False)]
    cases += [(model, "LlamaTokenizerFast", legacy, NOTHING) for model in ["llama", "mistral", "llava", "nemotron"] for legacy in [True, NOTHING]]
    cases += [("llama", NOTHING, NOTHING, NOTHING), ("llama", NOTHING, True, NOTHING), ("llama", "PreTrainedTokenizerFast", True, NOTHING), ("mistral", NOTHING, NOTHING, NOTHING)]
    for model, name, legacy, prefix in cases:
        config = {"tokenizer_class": name, "legacy": legacy, "add_prefix_space": prefix, "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
        yield model, {key: value for key, value in config.items() if value is not NOTHING}


def check(probe, text, model, config, strings):
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "tokenizer.json").write_text(text)
        Path(folder, "tokenizer_config.json").write_text(json.dumps(config))
        if model:
            Path(folder, "config.json").write_text(json.dumps({"model_type": model}))
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        done = subprocess.run([probe, folder], input="".join(json.dumps(s) + "\n" for s in strings), capture_output=True, text=True)
        assert done.returncode == 0, f"{model} {config}: {done.stderr}"
        for string, line in zip(strings, done.stdout.splitlines(), strict=True):
            got, ids = json.loads(line), tokenizer.encode(string, add_special_tokens=False)
            wanted = {"ids": ids, "text": tokenizer.backend_tokenizer.decode(ids, skip_special_tokens=False)}
            assert got == wanted, f"{model} {config} ({type(tokenizer).__name__}): {ascii(string)}\n  expected {ascii(wanted)}\n  got      {ascii(got)}"


def main(probe):
    rng, words = random.Random(3), [word for line in tokenizer_parity.SENTENCES for word in line.split(" ")]
    count = 0
    for kind in ["llama2", "mistral"]:
        text = tokenizer_parity.make_over_characters(*tokenizer_parity.over_characters()[kind], ADDED)
        for model, config in settings():
            strings = TEXTS + [" ".join(rng.choices(words + ["<image>", "</s>", "<L>", ""], k=6)) for _ in range(20)]
            check(probe, text, model, config, strings)
            count += 1
    print(f"{count} settings of Llama's tokenizer agree with transformers {transformers.__version__}")


if __name__ == "__main__":
    main(sys.argv[1])
