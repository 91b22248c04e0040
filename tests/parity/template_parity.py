"""Chat templates against jinja2 in the environment of transformers' apply_chat_template.

template_parity.py PROBE: PROBE is the program template_probe. Pieces of templates (template_snippets.py), and templates in
the styles of many model families (template_styles.py) over conversations of several shapes; those that take tools with a
list of them, too. With ANTIPHON_LONG=1 the templates of models that llama.cpp's source ships, too (./setup llama-source).
Exit code 1 if anything differs.
"""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
from template_snippets import REFUSED, SNIPPETS
from template_styles import CONVERSATIONS, STYLES, TOOL_TALKS, TOOLS
from transformers.utils.chat_template_utils import _compile_jinja_template

SOURCE = Path(__file__).resolve().parents[2] / ".cache" / "llama-cpp-source" / "tree"
MODELS = 40  # that the long form compares at least
TOKENS = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
MESSAGES = [
    {"role": "system", "content": "You are “terse”.\n"},
    {"role": "user", "content": "  Hi <b>ö</b> 😀  "},
    {"role": "assistant", "content": "<think>\nhm\n</think>\n\nYo \"q\" 'r' \\ {x}"},
    {"role": "user", "content": "line\nbreak\ttab\u00a0"},
]


def expected(template, messages, generation):
    try:
        compiled = _compile_jinja_template(template)
        return compiled.render(messages=messages, tools=None, documents=None, add_generation_prompt=generation, **TOKENS)
    except Exception as error:  # whatever Jinja refuses must be refused
        return error


def ask(probe, requests, *arguments):
    feed = "".join(json.dumps(request) + "\n" for request in requests)
    done = subprocess.run([probe, *arguments], input=feed.encode(), stdout=subprocess.PIPE, check=True)
    return [json.loads(line) for line in done.stdout.decode().split("\n")[:-1]]


def compare(probe, name, cases):
    """cases: (template, messages, generation)"""
    requests = [{"template": t, "messages": m, "tokens": TOKENS, "generation": g, "now": int(time.time())} for t, m, g in cases]
    wrong = refused = 0
    for (template, messages, generation), answer in zip(cases, ask(probe, requests)):
        want = expected(template, messages, generation)
        refused += isinstance(want, Exception)
        if ("error" in answer) if isinstance(want, Exception) else answer.get("text") == want:
            continue
        wrong += 1
        if wrong <= 20:
            print(f"{name}: {ascii(template[:600])}\n  expected {ascii(want)}\n  got      {ascii(answer)}")
    print(f"{name}: {len(cases)} compared, {refused} refused by both, {wrong} differ", flush=True)
    return wrong


def compare_refused(probe):
    wrong = 0
    for (template, words), answer in zip(REFUSED, ask(probe, [{"template": t, "messages": MESSAGES} for t, _ in REFUSED])):
        if words not in answer.get("error", ""):
            wrong += 1
            print(f"refused: {template}: {answer}, expected an error with {words!r}")
    print(f"refused: {len(REFUSED)} compared, {wrong} differ")
    return wrong


def compare_model(probe, name, template):
    """(how many differ, whether tools are shown)"""
    cases = lambda source, talks: [(source, talk, generation) for talk in talks for generation in (False, True)]
    wrong = compare(probe, name, cases(template, CONVERSATIONS))
    if not re.search(r"\btools\b", template):
        return wrong, False
    # The probe passes no tools, so they stand in front, as values that Jinja reads like Python.
    with_tools = f"{{% set tools = {TOOLS!r} %}}{template}"
    shown = TOOLS[1]["function"]["description"] in str(expected(with_tools, TOOL_TALKS[0], False))
    return wrong + compare(probe, f"{name}, tools", cases(with_tools, TOOL_TALKS)), shown


def compare_models(probe, templates, least):
    """`least`: how many of them must show tools."""
    done = [compare_model(probe, name, template) for name, template in templates.items()]
    shown = sum(shows for _, shows in done)
    print(f"{len(done)} templates, {shown} show tools; expected {least} or more", flush=True)
    return sum(wrong for wrong, _ in done) + (shown < least)


def shipped_elsewhere():
    """The templates of models that llama.cpp's tests use, out of the source that ./setup llama-source fetches."""
    folder = SOURCE / "vendor" / "llama.cpp" / "models" / "templates"
    found = {path.name: path.read_text() for path in sorted(folder.glob("*.jinja"))}
    if len(found) < MODELS:
        sys.exit(f"{folder} holds {len(found)} templates; expected {MODELS} or more: ./setup llama-source fetches them")
    return found


def main():
    probe = sys.argv[1]
    wrong = compare(probe, "snippets", [(snippet, MESSAGES, True) for snippet in SNIPPETS])
    wrong += compare_refused(probe)
    wrong += compare_models(probe, STYLES, 5)
    if os.environ.get("ANTIPHON_LONG"):
        wrong += compare_models(probe, shipped_elsewhere(), MODELS)
    return wrong


if __name__ == "__main__":
    sys.exit(1 if main() else 0)
