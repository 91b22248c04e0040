"""Records in the layouts of other programs against transformers: prompt and mask of apply_chat_template with generation
tags, of the conversation that each record means, which is written beside it here.

record_parity.py PROGRAM. `antiphon data show` gives the prompt with « and » around what is taught; the tokens are bytes, so
that equal texts are equal ids, masks and labels; an item of media is its place and its name. Each record comes in many variants, with other texts in the places of its own: 20, and 1000
with ANTIPHON_LONG (`./dev test --long`). Exit code 1 if anything differs.
"""

import base64
import functools
import json
import os
import random
import re
import shutil
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
sys.path[:0] = [str(Path(__file__).resolve().parents[1] / folder) for folder in ("e2e", "fork_server")]
import make_tiny
import forked
from tools_parity import make, visible

# Encoders of random weights, which `data show` counts vectors of and does not load.
STREAMS = """
[model.streams.image]
encoder = { plugin = "siglip", hidden_size = 16, intermediate_size = 32, num_layers = 1, num_heads = 2, patch_size = 14, image_size = 28, input_size = 28 }
connector = { plugin = "mlp" }
[model.streams.audio]
encoder = { plugin = "whisper", hidden_size = 16, intermediate_size = 32, num_layers = 1, num_heads = 2, length = "clip" }
connector = { plugin = "frame_stack", factor = 5 }
"""

# In the manner of Hermes and Qwen, and of Llama: what is learnt ends with the token that ends the turn.
TEMPLATES = {
    "qwen": ("<|im_end|>", """{%- if tools %}{{- '<|im_start|>system\\n' }}{%- if messages[0].role == 'system' %}{{- messages[0].content + '\\n' }}{%- endif %}{%- for tool in tools %}{{- tool | tojson + '\\n' }}{%- endfor %}{{- '<|im_end|>\\n' }}
{%- elif messages[0].role == 'system' %}{{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}{%- endif %}
{%- for message in messages %}
    {%- if message.role == 'user' %}{{- '<|im_start|>user\\n' + message.content + '<|im_end|>\\n' }}
    {%- elif message.role == 'assistant' %}{{- '<|im_start|>assistant\\n' }}{% generation %}{%- if message.content %}{{- message.content }}{%- endif %}{%- for call in message.tool_calls or [] %}{{- '\\n<call>' + call.function.name + ' ' }}{{- call.function.arguments | tojson }}{{- '</call>' }}{%- endfor %}{{- '<|im_end|>' }}{% endgeneration %}{{- '\\n' }}
    {%- elif message.role == 'tool' %}{{- '<|im_start|>tool\\n' + message.content + '<|im_end|>\\n' }}{%- endif %}
{%- endfor %}{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"""),
    "llama": ("<|eot|>", """{%- if tools %}{{- '<|tools|>' }}{%- for tool in tools %}{{- tool | tojson }}{%- endfor %}{{- '<|eot|>' }}{%- endif %}
{%- for message in messages %}{{- '<|start|>' + message.role + '<|end|>' }}
    {%- if message.role == 'assistant' %}{% generation %}{%- if message.content %}{{- message.content }}{%- endif %}{%- if message.tool_calls %}{{- '[CALLS]' }}{{- message.tool_calls | tojson }}{%- endif %}{{- '<|eot|>' }}{% endgeneration %}
    {%- else %}{{- message.content + '<|eot|>' }}{%- endif %}
{%- endfor %}{%- if add_generation_prompt %}{{- '<|start|>assistant<|end|>' }}{%- endif %}"""),
}


def say(role, content, **more):
    return {"role": role, "content": content, **more}


def call(name, **arguments):
    return {"type": "function", "function": {"name": name, "arguments": arguments}}


def bare(name, **arguments):
    return json.dumps({"name": name, "arguments": arguments}, ensure_ascii=False)


TOOLS = [{"type": "function", "function": {"name": "weather", "description": "tells it", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}}]
QUESTION, ANSWER = say("user", "Is it raining in Köln?"), say("assistant", "No, it is dry.")
CALL, RESULT = call("weather", city="Köln", days=1), say("tool", "dry")

# (the record, the conversation that it means, the tools that it has)
RECORDS = {
    "ShareGPT": ({"conversations": [{"from": "system", "value": "Be brief."}, {"from": "human", "value": "Hello"}, {"from": "gpt", "value": "Hi."}, {"from": "human", "value": "And <image>?"}, {"from": "gpt", "value": "Also\nhi <|im_end|>."}]},
                 [say("system", "Be brief."), say("user", "Hello"), say("assistant", "Hi."), say("user", "And <image>?"), say("assistant", "Also\nhi <|im_end|>.")], None),
    "ShareGPT, other names": ({"system": "Be brief.", "conversations": [{"from": "user", "value": "Hello"}, {"from": "assistant", "value": ""}]}, [say("system", "Be brief."), say("user", "Hello"), say("assistant", "")], None),
    "ShareGPT, tools": ({"tools": json.dumps(TOOLS), "conversations": [{"from": "human", "value": QUESTION["content"]}, {"from": "function_call", "value": bare("weather", city="Köln", days=1)}, {"from": "observation", "value": "dry"}, {"from": "gpt", "value": ANSWER["content"]}]},
                        [QUESTION, say("assistant", None, tool_calls=[CALL]), RESULT, ANSWER], TOOLS),
    "ShareGPT, several calls": ({"tools": TOOLS, "conversations": [{"from": "human", "value": QUESTION["content"]}, {"from": "gpt", "value": "I look."}, {"from": "function_call", "value": f"[{bare('weather', city='Köln', days=1)}, {bare('weather')}]"}, {"from": "observation", "value": "dry"}, {"from": "gpt", "value": ANSWER["content"]}]},
                                [QUESTION, say("assistant", "I look.", tool_calls=[CALL, call("weather")]), RESULT, ANSWER], TOOLS),
    "Alpaca": ({"instruction": "Add the numbers.", "input": "2 3", "output": "5"}, [say("user", "Add the numbers.\n2 3"), say("assistant", "5")], None),
    "Alpaca, history": ({"instruction": "And 4?", "input": "", "output": "9", "system": "Count.", "history": [["2 3", "5"], ["0", "5"]]},
                        [say("system", "Count."), say("user", "2 3"), say("assistant", "5"), say("user", "0"), say("assistant", "5"), say("user", "And 4?"), say("assistant", "9")], None),
    "query and response": ({"query": "Hello", "response": "Hi.", "history": []}, [say("user", "Hello"), say("assistant", "Hi.")], None),
    "NeMo, input and output": ({"input": "Add the numbers.", "output": "5", "system": "Be brief."}, [say("system", "Be brief."), say("user", "Add the numbers."), say("assistant", "5")], None),
    "NeMo, chats": ({"system": "Be brief.", "mask": "User", "type": "VALUE_TO_TEXT", "conversations": [{"from": "User", "value": "Hello", "label": None}, {"from": "Assistant", "value": "Hi.", "label": None}, {"from": "User", "value": "And 4?", "label": None}, {"from": "Assistant", "value": "dry", "label": None}]},
                    [say("system", "Be brief."), say("user", "Hello"), say("assistant", "Hi."), say("user", "And 4?"), say("assistant", "dry")], None),
    "ms-swift, tools": ({"tools": json.dumps(TOOLS), "messages": [QUESTION, say("assistant", "I look."), say("tool_call", bare("weather", city="Köln", days=1)), say("tool_call", bare("weather")), say("tool_response", "dry"), say("tool_response", "wet"), ANSWER]},
                        [QUESTION, say("assistant", "I look.", tool_calls=[CALL, call("weather")]), RESULT, say("tool", "wet"), ANSWER], TOOLS),
    "OpenAI, tools": ({"tools": TOOLS, "messages": [say("system", "Be brief."), say("user", [{"type": "text", "text": QUESTION["content"]}]), say("assistant", None, tool_calls=[{**CALL, "function": {"name": "weather", "arguments": json.dumps(CALL["function"]["arguments"], ensure_ascii=False)}}]), say("tool", "dry"), ANSWER]},
                      [say("system", "Be brief."), QUESTION, say("assistant", None, tool_calls=[CALL]), RESULT, ANSWER], TOOLS),
    "OpenAI, function_call": ({"tools": TOOLS, "messages": [QUESTION, say("assistant", None, function_call={"name": "weather", "arguments": json.dumps(CALL["function"]["arguments"], ensure_ascii=False)}), say("function", "dry", name="weather"), ANSWER]},
                              [QUESTION, say("assistant", None, tool_calls=[CALL]), say("tool", "dry", name="weather"), ANSWER], TOOLS),
}
CAT, DOG, TALK, OTHER = ("\2cat.png\3", "\2dog.png\3", "\2talk.wav\3", "\2a.wav\3")  # where a medium stands
WHAT, MORNING, HEARD = "What is this?", "good morning", "Transcribe the audio."
CUT = {"id": "cut-1", "start": 0, "duration": 1.0, "channel": 0, "type": "MonoCut", "recording": {"id": "talk", "sources": [{"type": "file", "channels": [0], "source": "talk.wav"}], "sampling_rate": 16000, "num_samples": 16000, "duration": 1.0}}
SAYS = {"id": "s", "recording_id": "talk", "start": 0.0, "duration": 1.0, "text": MORNING}
RECORDS |= {
    "LLaVA": ({"id": "1", "image": "cat.png", "conversations": [{"from": "human", "value": "<image>\nWhat is this?"}, {"from": "gpt", "value": "Hi."}, {"from": "human", "value": "And 4?"}, {"from": "gpt", "value": "dry"}]},
              [say("user", f"{CAT}{WHAT}"), say("assistant", "Hi."), say("user", "And 4?"), say("assistant", "dry")], None),
    "ms-swift, media": ({"messages": [say("user", "<image>Hello <audio>"), say("assistant", "Hi."), say("user", "And 4?<image>"), say("assistant", "dry")], "images": ["cat.png", "dog.png"], "audios": ["talk.wav"]},
                        [say("user", f"{CAT}Hello {TALK}"), say("assistant", "Hi."), say("user", f"And 4?{DOG}"), say("assistant", "dry")], None),
    "ms-swift, no marks": ({"messages": [say("system", "Be brief."), say("user", WHAT), say("assistant", "Hi.")], "images": ["cat.png", "dog.png"]}, [say("system", "Be brief."), say("user", CAT + DOG + WHAT), say("assistant", "Hi.")], None),
    "OpenAI, pieces": ({"messages": [say("developer", "Be brief."), say("user", [{"type": "audio", "audio": "talk.wav", "offset": 0.25, "duration": 0.5}, {"type": "text", "text": WHAT}]), say("assistant", "Hi.")]},
                       [say("system", "Be brief."), say("user", f"{TALK}{WHAT}"), say("assistant", "Hi.")], None),
    "OpenAI, parts": ({"messages": [say("user", [{"type": "text", "text": "Hello"}, {"type": "image", "image": "cat.png"}, {"type": "text", "text": WHAT}, {"type": "audio", "audio": "a.wav"}]), say("assistant", "Hi.")]},
                      [say("user", f"Hello{CAT}{WHAT}{OTHER}"), say("assistant", "Hi.")], None),
    "Alpaca, media": ({"instruction": "Add the numbers.", "input": "", "output": "5", "images": ["cat.png"]}, [say("user", f"{CAT}Add the numbers."), say("assistant", "5")], None),
    "NeMo": ({"audio_filepath": "talk.wav", "duration": 1.0, "text": MORNING, "lang": "en"}, [say("user", TALK + HEARD), say("assistant", MORNING)], None),
    "NeMo, questions": ({"audio_filepath": ["a.wav", "talk.wav"], "duration": [1.0, None], "context": WHAT, "answer": MORNING}, [say("user", OTHER + TALK + WHAT), say("assistant", MORNING)], None),
    "NeMo, pictures": ({"conversations": [{"from": "User", "type": "text", "value": WHAT}, {"from": "User", "type": "image", "value": "cat.png"}, {"from": "Assistant", "type": "text", "value": MORNING}]}, [say("user", WHAT + CAT), say("assistant", MORNING)], None),
    "NeMo, turns": ({"id": "1", "conversations": [{"from": "User", "type": "text", "value": WHAT}, {"from": "User", "type": "audio", "value": "talk.wav"}, {"from": "Assistant", "type": "text", "value": MORNING},
                                                 {"from": "User", "type": "audio", "value": "a.wav"}, {"from": "Assistant", "type": "text", "value": "dry"}]},
                    [say("user", WHAT + TALK), say("assistant", MORNING), say("user", OTHER), say("assistant", "dry")], None),
    "Lhotse": ({**CUT, "supervisions": [SAYS]}, [say("user", TALK + HEARD), say("assistant", MORNING)], None),
    "Lhotse, questions": ({**CUT, "supervisions": [SAYS], "custom": {"context": WHAT, "answer": "dry"}}, [say("user", TALK + WHAT), say("assistant", "dry")], None),
    "captions": ({"image": "cat.png", "caption": "Hi."}, [say("user", CAT), say("assistant", "Hi.")], None),
    "captions, answers": ({"images": ["cat.png", "dog.png"], "context": [f"{WHAT}<image>", "And 4? <image>"], "answers": ["Hi.", "dry"]}, [say("user", f"{WHAT}{CAT}"), say("assistant", "Hi."), say("user", f"And 4? {DOG}"), say("assistant", "dry")], None),
}
# A picture in whose base64 no text stands that is replaced below.
URL = next(url for url in ("data:image/png;base64," + base64.b64encode(make_tiny.png_bytes((30, 30, 200), random.Random(seed))).decode() for seed in range(99)) if not any(place in url for place in ("dry", "wet", "Also", "Hello")))
CLIP = "\2clip.mp4\3" * 9  # eight frames, and the sound
RECORDS |= {
    "OpenAI, data: URL": ({"messages": [say("user", [{"type": "image_url", "image_url": {"url": URL}}, {"type": "text", "text": WHAT}]), say("assistant", "Hi.")]}, [say("user", f"\2data:image/png\3{WHAT}"), say("assistant", "Hi.")], None),
    "OpenAI, video": ({"messages": [say("user", [{"type": "text", "text": "Hello"}, {"type": "video", "video": "clip.mp4"}, {"type": "text", "text": WHAT}]), say("assistant", "Hi.")]}, [say("user", f"Hello{CLIP}{WHAT}"), say("assistant", "Hi.")], None),
    "LLaVA, video": ({"video": "clip.mp4", "conversations": [{"from": "human", "value": "<image>\nWhat is this?"}, {"from": "gpt", "value": "Hi."}]}, [say("user", f"{CLIP}{WHAT}"), say("assistant", "Hi.")], None),
    "ms-swift, videos": ({"messages": [say("user", "<video>Hello<image>"), say("assistant", "Hi."), say("user", "And 4?"), say("assistant", "dry")], "videos": ["clip.mp4"], "images": ["cat.png"]},
                         [say("user", f"{CLIP}Hello{CAT}"), say("assistant", "Hi."), say("user", "And 4?"), say("assistant", "dry")], None),
}
# Documents: all of their text is learnt, and what ends a text after it; their parts in order.
DOCUMENTS = {
    "OBELICS": ({"texts": ["Hello", None, "Add the numbers.", None], "images": [None, "cat.png", None, "dog.png"]}, ["Hello", CAT, "Add the numbers.", DOG], None),
    "MMC4": ({"text_list": ["Hello", "Hi.", "dry"], "image_info": [{"image_name": "cat.png", "matched_text_index": 1}, {"image_name": "dog.png", "matched_text_index": 1}]}, ["Hello ", CAT, DOG, "Hi. dry"], None),
    "document": ({"messages": [say("document", [{"type": "image", "image": "cat.png"}, {"type": "text", "text": "Hello"}, {"type": "video", "video": "clip.mp4"}])]}, [CAT, "Hello", CLIP], None),
}
# Answers that are not learnt: the mask without theirs, which are the first.
UNLEARNT = {
    "weight": ({"messages": [say("user", "a"), say("assistant", "b", weight=0), say("user", "c"), say("assistant", "d", weight=1)]}, [say("user", "a"), say("assistant", "b"), say("user", "c"), say("assistant", "d")], None),
    "TRL, completion": ({"prompt": [say("user", "Hello"), say("assistant", "Hi."), say("user", "And 4?")], "completion": [say("assistant", "dry")]}, [say("user", "Hello"), say("assistant", "Hi."), say("user", "And 4?"), say("assistant", "dry")], None),
    "loss": ({"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b", "loss": False}, {"from": "human", "value": "c"}, {"from": "gpt", "value": "d", "loss": True}]}, [say("user", "a"), say("assistant", "b"), say("user", "c"), say("assistant", "d")], None),
}
# Answers that are compared, each with the conversation that it ends; what was said before is not learnt.
PAIRS = {
    "TRL, texts": ({"prompt": "Hello", "chosen": "Hi.", "rejected": "dry"}, [[say("user", "Hello"), say("assistant", "Hi.")], [say("user", "Hello"), say("assistant", "dry")]], None),
    "TRL, no prompt": ({"chosen": [say("system", "Be brief."), QUESTION, ANSWER], "rejected": [say("system", "Be brief."), QUESTION, say("assistant", "wet")]},
                       [[say("system", "Be brief."), QUESTION, ANSWER], [say("system", "Be brief."), QUESTION, say("assistant", "wet")]], None),
    "candidates": ({"messages": [say("user", "<image>What is this?")], "images": ["cat.png"], "candidates": [{"content": "Hi.", "score": 5}, {"content": "dry", "score": 1, "media": {"0": "dog.png"}}]},
                   [[say("user", f"{CAT}{WHAT}"), say("assistant", "Hi.")], [say("user", f"{DOG}{WHAT}"), say("assistant", "dry")]], None),
}
LATER_PAIRS = {
    "TRL, messages": ({"prompt": [say("user", "Hello"), say("assistant", "Hi."), say("user", "And 4?")], "chosen": [say("assistant", "dry")], "rejected": [say("assistant", "wet")]},
                      [[say("user", "Hello"), say("assistant", "Hi."), say("user", "And 4?"), say("assistant", word)] for word in ("dry", "wet")], None),
}
COMPARED = ["--set", "objective.plugin=preference"]

VARIANTS = 1000 if os.environ.get("ANTIPHON_LONG") else 20
# Texts of the records; each has its place in the conversation as in the record, and in the calls within them.
PLACES = ["Be brief.", "Hello", "Hi.", "And <image>?", "Also", "Köln", "I look.", "No, it is dry.", "Is it raining in", "dry", "wet", "Add the numbers.", "2 3", "tells it", "Count.", "And 4?", WHAT, MORNING]
LETTERS = "abcdefghijklmnopqrstuvwxyz  äöüßéñ日本語тест🙂.,:;!?-_()<>|&%$#@*+=/~^0123456789"  # none that JSON in JSON writes in another way


def variants(layout, record, talk, tools):
    """(record, conversation, tools): the one that is written above, then others."""
    draw = random.Random(layout)
    yield record, talk, tools
    for _ in range(VARIANTS - 1):
        text = json.dumps([record, talk, tools], ensure_ascii=False)
        for place in PLACES:
            words = "".join(draw.choices(LETTERS, k=draw.randint(1, 30))).strip() or "x"
            text = text.replace(place, words)
        yield tuple(json.loads(text))


def marked(tokenizer, talk, tools, unlearnt):
    """The prompt with « and » where the mask of assistant tokens begins and ends, without the first `unlearnt` of them."""
    out = tokenizer.apply_chat_template(talk, tools=tools, tokenize=True, return_dict=True, return_assistant_tokens_mask=True)
    pieces, before, begun, added_tokens = [], 0, 0, tokenizer.added_tokens_decoder
    for token, taught in [*zip(out["input_ids"], out["assistant_masks"]), (None, 0)]:
        begun += taught > before
        if taught != before and begun > unlearnt:
            pieces.append(b"\0" if taught else b"\1")
        before = taught
        if token is not None:
            added = added_tokens.get(token)
            pieces.append(added.content.encode() if added else bytes_of(tokenizer, token))
    return visible(b"".join(pieces).decode()).replace("\0", "«").replace("\1", "»")


def bytes_of(tokenizer, token):
    return bytes(byte_of_letter()[letter] for letter in tokenizer.convert_ids_to_tokens(token))


@functools.cache
def byte_of_letter():
    """The alphabet that byte-level tokens are spelled in."""
    letters = {chr(n): n for n in [*range(33, 127), *range(161, 173), *range(174, 256)]}
    others = [n for n in range(256) if n not in letters.values()]
    return letters | {chr(256 + i): n for i, n in enumerate(others)}


def shown(program, directory, records, each=1, options=()):
    """What is shown of each record, `each` times if it has as many answers."""
    (directory / "talk.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    done = forked.run(program, "data", "show", "model.toml", "--source", "talk.jsonl", "--count", len(records), *options, cwd=directory)
    begins = [match for match in re.finditer(r"(?m)^talk\.jsonl:(\d+) .*\n", done.stdout)]
    if [int(match[1]) for match in begins] != [number for number in range(1, len(records) + 1) for _ in range(each)]:
        return [done.stdout + done.stderr] * each * len(records)
    ends = [match.start() for match in begins[1:]] + [len(done.stdout)]
    blocks = [done.stdout[match.end():end] for match, end in zip(begins, ends)]
    return [MEDIUM.sub("\2\\1\3", block[:block.rfind("\n", 0, block.rfind(" tokens, "))].strip("\n")) for block in blocks]


MEDIUM = re.compile(r"\[(?:image|audio) \d+: (\S+) [^\]]*\]")  # as `data show` writes it


def write_media(directory):
    noise = random.Random(3)
    for name in ("cat.png", "dog.png"):
        (directory / name).write_bytes(make_tiny.png_bytes((200, 30, 30), noise))
    for name in ("a.wav", "talk.wav"):
        make_tiny.write_wav(directory / name, 400, noise, seconds=1.0)
    shutil.copy(Path(__file__).resolve().parents[1] / "media" / "clip.mp4", directory)
    with open(directory / "model.toml", "a") as file:
        file.write(STREAMS)


def of_document(parts, end):
    """As `data show` has it."""
    last = [] if parts[-1].startswith("\2") else [parts[-1] + end]
    pieces = parts[:-1] + last if last else parts + [end]
    return "".join(part if part.startswith("\2") else f"«{visible(part)}»" for part in pieces)


def documents(directory, layout, written, end):
    """(expected, got) of each variant."""
    all_of = list(variants(layout, *written))
    return [(of_document(parts, end).strip("\n"), one) for (_, parts, _), one in zip(all_of, shown(sys.argv[1], directory, [record for record, _, _ in all_of]), strict=True)]


def compared(tokenizer, directory, layout, written, unlearnt, pairs):
    """(expected, got) of each variant, and of each of its answers if these are compared."""
    all_of = list(variants(layout, *written))
    got = shown(sys.argv[1], directory, [record for record, _, _ in all_of], 2 if pairs else 1, COMPARED if pairs else ())
    talks = [(talk, tools) for _, said, tools in all_of for talk in (said if pairs else [said])]
    return [(marked(tokenizer, talk, tools, unlearnt).strip("\n"), one) for (talk, tools), one in zip(talks, got, strict=True)]


def main():
    wrong, sets = 0, [(RECORDS, 0, False), (UNLEARNT, 1, False), (PAIRS, 0, True), (LATER_PAIRS, 1, True)]
    for style, (end, template) in TEMPLATES.items():
        with tempfile.TemporaryDirectory() as name:
            directory = Path(name)
            tokenizer = make(template, end, directory)
            write_media(directory)
            found = {layout: compared(tokenizer, directory, layout, written, unlearnt, pairs) for records, unlearnt, pairs in sets for layout, written in records.items()}
            found |= {layout: documents(directory, layout, written, end) for layout, written in DOCUMENTS.items()}
            for layout, pairs in found.items():
                differ = [(want, got) for want, got in pairs if want != got or "«" not in want]
                wrong += len(differ)
                for want, got in differ[:1]:
                    at = max(0, len(os.path.commonprefix([want, got])) - 60)
                    print(f"{style}, {layout}:\n  expected …{ascii(want[at:at + 200])}\n  got      …{ascii(got[at:at + 200])}")
        print(f"{style}: {len(found)} layouts, {VARIANTS} records of each, {wrong} differ so far", flush=True)
    return wrong


if __name__ == "__main__":
    sys.exit(1 if main() else 0)
