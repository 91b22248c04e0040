"""Prompts of directories that have tekken.json and no chat template, with pictures, tools, calls and results: ids as mistral_common lays
them out."""
import base64
import json
from unittest import mock

import numpy as np
import torch
from mistral_common.protocol.instruct.request import ChatCompletionRequest
from mistral_common.protocol.instruct.validator import ValidationMode
from mistral_common.tokens.tokenizers import image as pictures
from mistral_common.tokens.tokenizers.mistral import MistralTokenizer

import tekken
from .conversations import image, named, text, turns
from .whole_rows import Mistral3Pictures

LAYOUTS = [
    turns(("user", [image("a.png"), text("What is this?")]), ("assistant", "A fire engine.  "), ("user", [text("And this: "), image("b.png")]), ("assistant", "one word")),
    turns(("user", [text("Is "), image("b.png"), text(" like "), image("a.png")]), ("assistant", "No: [IMG], <s> and [TOOL_CALLS] are words.")),
    turns(("user", [image("a.png")]), ("assistant", "one")),
    turns(("system", "Answer in one word."), ("user", "No picture: [INST] 1234, naïve."), ("assistant", "Le camion rouge.")),
    turns(("system", "Answer in one word."), ("user", [image("b.png"), text("What?")]), ("assistant", "engine")),
    turns(("system", "Answer in one word."), ("user", "What?"), ("assistant", "engine"), ("user", "Which?"), ("assistant", "fire")),
]
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}, "description": "Der Himmel: naïve, [INST]", "strict": True}}
TOOLS = [WEATHER, {"type": "function", "function": {"name": "clock", "parameters": {"type": "object", "properties": {}}}}]
IDS = ("abcdefgh1", "abcdefgh2")


def call(number, name, **arguments):
    return {"id": IDS[number], "type": "function", "function": {"name": name, "arguments": arguments}}


def result(number, content):
    return {"role": "tool", "tool_call_id": IDS[number], "content": content}


def said(content, *calls):
    return {"role": "assistant", "content": content, **({"tool_calls": list(calls)} if calls else {})}


ASKED = {"role": "user", "content": "Is it dry?"}
BOTH = said("", call(0, "weather", city="Bonn [ARGS]", days=[1, 2.5, None, True]), call(1, "clock"))
RESULTS = [result(0, '{"dry":  true} [/TOOL_RESULTS]'), result(1, "noon")]
TALKS = [
    [{"role": "system", "content": "Be brief."}, ASKED, BOTH, *RESULTS, said("Yes.")],
    [ASKED, said("One word. ", call(0, "weather", city="naïve")), result(0, "dry"), said("Yes."), {"role": "user", "content": "Sure?"}, said("Yes!")],
    [{"role": "user", "content": [image("a.png"), text("Where?")]}, BOTH],
    [{"role": "user", "content": "Hello"}, said("Hi.")],
]
REVERSED = [ASKED, BOTH, *RESULTS[::-1], said("Yes.")]
AGAIN = [ASKED, BOTH, *RESULTS, said("Yes."), {"role": "user", "content": "Sure?"}, said("Yes!")]


def as_request(folder, sample):
    """In OpenAI's form."""
    def part_of(part):
        return {"type": "image_url", "image_url": {"url": "data:image/png;base64," + base64.b64encode((folder / part["image"]).read_bytes()).decode()}} if part["type"] == "image" else part

    messages = json.loads(json.dumps(sample["messages"]))
    for message in messages:
        if isinstance(message["content"], list):
            message["content"] = [part_of(part) for part in message["content"]]
        for one in message.get("tool_calls", []):
            one["function"]["arguments"] = json.dumps(one["function"]["arguments"])
    return ChatCompletionRequest.from_openai(messages, tools=sample.get("tools"))


def expected(folder, samples):
    """Ids with 0 for media. Only the size of a picture matters, for which mistral_common would load OpenCV."""
    theirs = MistralTokenizer.from_file(str(folder / "tekken.json"), mode=ValidationMode.finetuning)
    with mock.patch.object(pictures, "transform_image", lambda picture, size: np.zeros((3, *size[::-1]), np.float32)):
        ids = torch.cat([torch.tensor(theirs.encode_chat_completion(as_request(folder, sample)).tokens) for sample in samples])
    return torch.where(ids == tekken.CONTROLS.index("[IMG]"), 0, ids)


def agree(bench, case, reference, samples):
    ids = expected(reference.folder, samples)
    lines = [json.dumps(sample) for sample in named(samples)]  # the keys of tools stay in their order
    _, out = bench.ask("model", model=reference.table(), samples=lines, folder=reference.folder)
    bench.check(f"{case}: ids as mistral_common's", torch.equal(out["ids"], ids), f"{len(ids)} tokens")
    answers = sum(message["role"] == "assistant" for sample in samples for message in sample["messages"])
    bench.check(f"{case}: answers are supervised with the token that ends them", sum(int(label == 2) for label in out["labels"]) == answers)


def run(bench):
    reference = Mistral3Pictures(bench)
    folder = reference.folder
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja", "added_tokens.json"):
        (folder / name).unlink(missing_ok=True)
    seen = {"image_patch_size": 4, "max_image_size": 30, "spatial_merge_size": reference.merge}
    with_tools = lambda *talks: [{"messages": talk, "tools": TOOLS} for talk in talks]
    refused = lambda case, word, *samples: bench.refused(f"mistral3: {case}", word, "model", model=reference.table(), samples=named(samples), folder=folder)
    for version in ("v3", "v7", "v11", "v13"):
        document = tekken.document(tekken.words_of(tekken.WORDS), size=reference.model.config.text_config.vocab_size, version=version, **{"image" if version == "v13" else "multimodal": seen})
        (folder / "tekken.json").write_text(json.dumps(document))
        agree(bench, f"mistral3: pictures, {version}", reference, LAYOUTS)
        if version == "v3":
            refused("tools in v3", "no place before v7", *with_tools(TALKS[3]))
            refused("calls in v3", "no place before v7", {"messages": TALKS[0]})
            refused("an answer first in v3", "before the first question", {"messages": [said("Hi."), *TALKS[3]]})
            continue
        agree(bench, f"mistral3: tools, calls and results, {version}", reference, with_tools(*TALKS))
        refused(f"more results than calls, {version}", "more results than calls", *with_tools([*TALKS[0][:-1], result(0, "no"), said("Yes.")]))
        if version == "v7":
            agree(bench, f"mistral3: results in another order, {version}", reference, with_tools(REVERSED))
        else:
            refused(f"results in another order, {version}", "order of their calls", *with_tools(REVERSED))
        if version == "v13":
            agree(bench, f"mistral3: a question after calls without text, {version}", reference, with_tools(AGAIN))
        else:
            refused(f"a question after calls without text moves the tools, {version}", "cannot be split into turns", *with_tools(AGAIN))
            refused(f"an id of another length, {version}", "nine letters", *with_tools([ASKED, said("", {**call(1, "clock"), "id": "c1"})]))
            refused(f"a result without its id, {version}", "no tool_call_id", *with_tools([ASKED, said("", call(1, "clock")), {"role": "tool", "content": "noon"}, said("Yes.")]))
