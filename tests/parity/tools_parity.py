"""Prompts of records with tools, calls and results against transformers' apply_chat_template, as `antiphon data show` has them.

tools_parity.py PROGRAM. Templates in the styles of model families that take tools (template_styles.py). Exit code 1 if
anything differs.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
from template_parity import TOKENS
from template_styles import STYLES, TOOL_TALKS, TOOLS
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

CONTROL = re.compile(r"<\|[^|'\"]+\|>|\[/?[A-Z_]{4,}\]")
# What ends a turn.
ENDS = {"llama32": "<|eot_id|>", "mistral_nemo": "</s>", "qwen3": "<|im_end|>", "hermes_tools": "<|im_end|>", "granite": "<|end_of_text|>"}
# Talks that cannot be divided into turns: the tools stand before the last question, so another question moves them; a
# result is closed in another way when nothing follows.
UNDIVIDED = {"mistral_nemo": [2], "hermes_tools": [1, 2, 3]}


def make(template, end, directory):
    """A tokenizer of bytes and the template's control tokens."""
    tokenizer = Tokenizer(models.BPE(vocab={letter: i for i, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in sorted({*CONTROL.findall(template), *TOKENS.values()})])
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **{**TOKENS, "eos_token": end})
    fast.chat_template = template
    fast.save_pretrained(directory / "tokenizer")
    (directory / "model.toml").write_text(f'[model.llm]\nplugin = "llama"\ntokenizer = "tokenizer"\nvocab_size = {len(fast)}\n')
    return fast


def show(program, directory, talk):
    """(the prompt with « and » around what is taught, "") or ("", why it is refused)"""
    (directory / "talk.jsonl").write_text(json.dumps({"tools": TOOLS, "messages": talk}) + "\n")
    done = subprocess.run([program, "data", "show", "model.toml", "--source", "talk.jsonl"], cwd=directory, capture_output=True, text=True)
    found = re.search(r"\Atalk\.jsonl:1 .*\n((?s:.*?))\n+\d+ tokens, ", done.stdout)
    return found[1] if found else "", done.stderr


def visible(text):
    return text.replace(" ", "·").replace("\n", "↵\n").replace("\t", "⇥")


def expected(tokenizer, talk):
    """(the prompt, "") or ("", why it is refused)"""
    try:
        return visible(tokenizer.apply_chat_template(talk, tools=TOOLS, tokenize=False)), ""
    except Exception as error:  # what the template refuses must be refused
        return "", str(error)


def taught_right(talk, got):
    """As many parts as there are answers, and what each says within its own."""
    said = [visible(message["content"] or message["tool_calls"][-1]["function"]["name"]) for message in talk if message["role"] == "assistant"]
    taught = re.findall("«(.*?)»", got, re.S)
    return len(said) == len(taught) and all(words in part for words, part in zip(said, taught))


def compare(program, name, directory):
    template = STYLES[name]
    tokenizer = make(template, ENDS[name], directory)
    wrong = refused = 0
    for number, talk in enumerate(TOOL_TALKS):
        if "tool_calls" not in template and any("tool_calls" in message for message in talk):
            continue
        want, reason = expected(tokenizer, talk)
        if number in UNDIVIDED.get(name, []):
            want, reason = "", "cannot be split into turns"
        got, message = show(program, directory, talk)
        refused += not want
        plain = re.sub("[«»]", "", got)
        if plain.strip() == want.strip() and (taught_right(talk, got) if want else reason in message):
            continue
        wrong += 1
        at = max(0, len(os.path.commonprefix([want, plain])) - 60)
        print(f"{name}: {ascii(talk)}\n  expected …{ascii(want[at:at + 300])} {reason}\n  got      …{ascii(plain[at:at + 300])} {message}\n  taught   {ascii(re.findall('«(.*?)»', got, re.S))}")
    print(f"{name}: {len(TOOL_TALKS)} talks, {refused} refused, {wrong} differ", flush=True)
    return wrong


def main():
    wrong = 0
    for name in ENDS:
        with tempfile.TemporaryDirectory() as directory:
            wrong += compare(sys.argv[1], name, Path(directory))
    return wrong


if __name__ == "__main__":
    sys.exit(1 if main() else 0)
