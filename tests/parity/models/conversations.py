"""A small tokenizer with a chat template, media files, and conversations that mix them."""
import json

import torch
from PIL import Image
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from .processors import picture, speech, write_wav

TEMPLATE = ("{% for message in messages %}<|im_start|>{{ message.role }}{{ '\\n' }}"
            "{% if message.role == 'assistant' %}{% generation %}{{ message.content }}<|im_end|>{% endgeneration %}"
            "{% else %}{{ message.content }}<|im_end|>{% endif %}{{ '\\n' }}{% endfor %}"
            "{% if add_generation_prompt %}<|im_start|>assistant{{ '\\n' }}{% endif %}")
CORPUS = ["What is this? This is a fire engine.", "Say in English what you hear: le camion rouge.", "Do picture and sound match? Yes, both are a cat.",
          "user assistant system", "Listen, then look, then answer in one word."]


def text(words):
    return {"type": "text", "text": words}


def image(name):
    return {"type": "image", "image": name}


def video(name):
    return {"type": "video", "video": name}


def audio(name):
    return {"type": "audio", "audio": name}


def turns(*pairs):
    return {"messages": [{"role": role, "content": content} for role, content in pairs]}


SAMPLES = [
    turns(("user", [image("a.png"), text("What is this?")]), ("assistant", "A fire engine."),
          ("user", [text("And this: "), audio("a.wav")]), ("assistant", "Le camion rouge, it says.")),
    turns(("user", "No media here, and <image> is only a word."), ("assistant", "Yes, it is text.")),
    turns(("system", "Answer in one word."), ("user", [image("b.png"), text(" match "), audio("long.wav"), text(" or "), image("a.png"), text("?")]), ("assistant", "Both.")),
    turns(("user", [audio("a.wav")]), ("assistant", "une voix")),
    turns(("user", [text("Look: "), image("b.png")]), ("assistant", "A cat\n\nand more  "), ("user", "Are you sure?"), ("assistant", "Yes!")),
]


def write_media(folder):
    Image.fromarray(picture(40, 55, 1)).save(folder / "a.png")
    Image.fromarray(picture(90, 31, 2)).save(folder / "b.png")
    write_wav(folder / "a.wav", speech(1.3, 3))
    write_wav(folder / "long.wav", speech(2.9, 4))


def make_tokenizer(folder):
    """Written to the folder; returned with one more token <media>, which ours does not need."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(CORPUS * 3, trainers.BpeTrainer(vocab_size=340, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    tokenizer.add_special_tokens([AddedToken("<|im_start|>", special=True, normalized=False), AddedToken("<|im_end|>", special=True, normalized=False)])
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|im_end|>", chat_template=TEMPLATE)
    fast.save_pretrained(folder)
    fast.add_special_tokens({"additional_special_tokens": ["<media>"]})
    return fast


def tokenise(tokenizer, sample, answer=False):
    """(ids, assistant mask, media in order); <media> stands for each item. `answer`: without the last turn, opened."""
    messages, media = [], []
    for message in sample["messages"][:-1] if answer else sample["messages"]:
        content = message["content"]
        if not isinstance(content, str):
            media += [part for part in content if part["type"] != "text"]
            content = "".join(part.get("text", "<media>") for part in content)
        messages.append({"role": message["role"], "content": content})
    out = tokenizer.apply_chat_template(messages, tokenize=True, return_dict=True, return_assistant_tokens_mask=not answer, add_generation_prompt=answer)
    return out["input_ids"], out.get("assistant_masks"), media


def expand(ids, mask, counts, *media_ids):
    """Ids with 0 in the place of media, mask, and the media's spans [begin, count]."""
    out, supervised, spans = [], [], []
    counts = iter(counts)
    for token, on in zip(ids, mask or [0] * len(ids)):
        n = 1
        if token in media_ids:
            token, n = 0, next(counts)
            spans.append([len(out), n])
        out += [token] * n
        supervised += [on] * n
    return torch.tensor(out), torch.tensor(supervised).bool(), spans


def named(samples):
    return [{"id": str(i), **json.loads(json.dumps(sample))} for i, sample in enumerate(samples)]
