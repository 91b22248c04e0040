"""Whole models out of their directories, and LLaVA-1.5, LLaVA-NeXT and Qwen2-Audio as such: what transformers makes of conversations with media."""
import json
import wave

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from tokenizer_parity import make_over_characters, over_characters
from tokenizers import Tokenizer
from transformers import (
    CLIPImageProcessorPil, CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration, LlavaNextConfig, LlavaNextForConditionalGeneration,
    LlavaNextImageProcessorPil, LlavaNextProcessor, LlavaProcessor, PreTrainedTokenizerFast, Qwen2AudioConfig, Qwen2AudioForConditionalGeneration, Qwen2AudioProcessor,
    Qwen2Config, Qwen3MoeConfig, SiglipImageProcessorPil, SiglipVisionConfig, WhisperFeatureExtractor)

from . import tiny
from .common import likeliest
from .conversations import audio, expand, image, make_tokenizer, text, turns, write_media
from .processors import PINPOINTS, speech, write_wav

TEMPLATE = ("{% for message in messages %}<|im_start|>{{ message.role }}{{ '\\n' }}"
            "{% if message.role == 'assistant' %}{% generation %}{% for part in message.content %}{{ part.text }}{% endfor %}<|im_end|>{% endgeneration %}"
            "{% else %}{% for part in message.content %}{% if part.type == 'image' %}<image>{{ '\\n' }}{% elif part.type == 'audio' %}Audio: <|audio_bos|><|AUDIO|><|audio_eos|>{{ '\\n' }}"
            "{% else %}{{ part.text }}{% endif %}{% endfor %}<|im_end|>{% endif %}{{ '\\n' }}{% endfor %}"
            "{% if add_generation_prompt %}<|im_start|>assistant{{ '\\n' }}{% endif %}")
TEXT = dict(hidden_size=48, intermediate_size=80, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=2048, bos_token_id=None, eos_token_id=None)
NAMES = {"model.language_model.": "language_model.model.", "lm_head.": "language_model.lm_head.", "model.": ""}  # in memory -> on disk
EXACT, NEAR = ["ids", "positions", "supervised", "labels"], ["hidden", "logits", "token_loss", "loss"]


def samples_of(one, two):
    """0, 1, 2 and 3 media in a conversation, over one or several turns."""
    return [turns(("user", [one, text("What is this?")]), ("assistant", "A fire engine."), ("user", [text("And this: "), two]), ("assistant", "Le camion rouge.")),
            turns(("user", "No media here, and <image> or <|AUDIO|> is only a word."), ("assistant", "Yes, it is text.")),
            turns(("system", "Answer in one word."), ("user", [two, text(" match "), one, text(" or "), two, text("?")]), ("assistant", "Both.")),
            turns(("user", [one]), ("assistant", "une voix"))]


def on_disk(name, names=NAMES):
    for memory, disk in names.items():
        if name.startswith(memory):
            return disk + name[len(memory):]
    return name


class Whole:
    """The reference: a directory, its model and its processor. Every sample goes through alone."""
    template, names, seed = TEMPLATE, NAMES, 71
    llm, projector = "language_model.", "multi_modal_projector"  # on disk
    tower_prefix = ""  # before the names of a tower alone
    whole_parts = False  # the cache takes pictures only as a whole
    read_blocks = None  # which of the tower's are read, if not all; peft knows only of all
    textual, plain_template = "language_model", TEMPLATE  # the text model's attribute; the template of text that says "<image>"
    specials = ["<image>", "<|audio_bos|>", "<|AUDIO|>", "<|audio_eos|>"]

    def __init__(self, bench):
        self.new_folder = bench.new_folder
        self.folder = bench.new_folder()
        write_media(self.folder)
        self.tokenizer = self.make_tokenizer()
        self.tokenizer.add_special_tokens({"additional_special_tokens": self.specials})
        self.tokenizer.chat_template = self.template
        self.tokenizer.save_pretrained(self.folder)
        self.media_id = self.tokenizer.convert_tokens_to_ids(self.token)
        self.processor = self.make_processor()
        self.processor.save_pretrained(self.folder)
        self.image_processor().save_pretrained(self.folder)
        self.model = self.randomised(self.make_model(dict(TEXT, vocab_size=len(self.tokenizer) + 7)))
        self.model.save_pretrained(self.folder)

    def make_tokenizer(self):
        return make_tokenizer(self.folder)

    def randomised(self, model):
        return tiny.randomise(model, self.seed)

    def prepare(self, sample, answer=False):
        """(ids with 0 for media, supervised, spans, the model's inputs)"""
        messages, media = self.guarded(sample, answer)
        ids, mask = self.encode(messages, answer)
        inputs, counts = self.encode_media(media)
        ids, supervised, spans = self.expanded(ids, mask, counts)
        whole = ids.clone()
        for begin, count in spans:
            of_item = whole[begin:begin + count]
            of_item[of_item == 0] = self.media_id
        return ids, supervised, [[self.stream, *span] for span in spans], {"input_ids": whole[None], **inputs}

    def expanded(self, ids, mask, counts):
        return expand(ids, mask, counts, self.media_id)

    def guarded(self, sample, answer):
        """The messages, in whose text "<" is another character, and their media."""
        messages, media = [], []
        for message in sample["messages"][:-1] if answer else sample["messages"]:
            content = message["content"] if isinstance(message["content"], list) else [text(message["content"])]
            media += [part for part in content if part["type"] != "text"]
            guarded = [{**part, "text": part["text"].replace("<", "\ufdd0")} if "text" in part else part for part in content]
            messages.append({"role": message["role"], "content": guarded})
        return messages, media

    def encode(self, messages, answer):
        """Text that says "<image>" stays text: it is tokenised with its first character apart, as ours does it."""
        if not any("\ufdd0" in part.get("text", "") for message in messages for part in message["content"]):
            out = self.tokenizer.apply_chat_template(messages, tokenize=True, return_dict=True, return_assistant_tokens_mask=not answer, add_generation_prompt=answer)
            return out["input_ids"], out.get("assistant_masks")
        plain = self.tokenizer.__class__(tokenizer_object=self.plain_tokenizer(), chat_template=self.plain_template)
        messages = [{**m, "content": [{**p, "text": p["text"].replace("\ufdd0", "<")} for p in m["content"]]} for m in messages]
        out = plain.apply_chat_template(messages, tokenize=True, return_dict=True, return_assistant_tokens_mask=not answer, add_generation_prompt=answer)
        return out["input_ids"], out.get("assistant_masks")

    def plain_tokenizer(self):
        """The same without media tokens."""
        file = json.loads(self.tokenizer.backend_tokenizer.to_str())
        file["added_tokens"] = [token for token in file["added_tokens"] if token["content"].startswith("<|im_")]
        return Tokenizer.from_str(json.dumps(file))

    def run(self, samples):
        parts = {name: [] for name in EXACT + NEAR[:-1]}
        media, lengths = [], []
        for sample in samples:
            ids, supervised, spans, inputs = self.prepare(sample)
            hidden = self.model.model(**inputs).last_hidden_state[0]
            rows = supervised[1:].nonzero()[:, 0]
            media += [[stream, sum(lengths) + begin, count] for stream, begin, count in spans]
            logits = self.model.lm_head(hidden)
            for name, value in dict(ids=ids, positions=self.positions(inputs), supervised=rows + sum(lengths), labels=ids[rows + 1], hidden=hidden, logits=logits,
                                    token_loss=F.cross_entropy(logits[rows], ids[rows + 1], reduction="none")).items():
                parts[name].append(value)
            lengths.append(len(ids))
        theirs = {name: torch.cat(values, -1 if name == "positions" else 0) for name, values in parts.items()}
        return {**theirs, "loss": theirs["token_loss"].mean()}, media, lengths

    def positions(self, inputs):
        """[axes, tokens]"""
        return torch.arange(inputs["input_ids"].shape[1])[None]

    def greedy(self, samples, answers):
        """What is likeliest at each place of these answers."""
        out = []
        with torch.no_grad():
            for sample, answer in zip(samples, answers, strict=True):
                self.model.model.rope_deltas = None  # a grid's, of the conversation before
                asked = self.model(**self.prepare(sample, answer=True)[3], use_cache=True)
                # By themselves: an answer may have tokens that stand for media in a prompt.
                written = self.model(input_ids=torch.tensor([answer[:-1]]), past_key_values=asked.past_key_values)
                out.append(likeliest(torch.cat([asked.logits[0, -1:], written.logits[0]]), 1))
        return out

    def answers(self, samples, **how):
        out = []
        with torch.no_grad():
            for sample in samples:
                inputs = self.prepare(sample, answer=True)[3]
                ids = self.model.generate(**inputs, attention_mask=torch.ones_like(inputs["input_ids"]), max_new_tokens=32, do_sample=False, eos_token_id=None, pad_token_id=0, **how)
                out.append(ids[0, inputs["input_ids"].shape[1]:].tolist())
        return out

    def parts(self, model):
        """Those that are adapted: the text model and the tower."""
        return getattr(model.model, self.textual), getattr(model.model, self.visual)

    def rename(self, adapter):
        """What peft wrote, by the names of the directory's own form."""

    def table(self, trainable=True, more=""):
        on = str(trainable).lower()
        return f'from = "{self.folder}"\nllm.trainable = {on}\nstreams.{self.stream}.encoder.trainable = {on}\n{more}'


class Pictures(Whole):
    visual, sites = "vision_tower", ["q_proj", "fc1"]  # for LoRA: the tower's attribute, and layers of it
    token, stream, samples = "<image>", "image", samples_of(image("a.png"), image("b.png"))

    def encode_media(self, media):
        pictures = [Image.open(self.folder / part["image"]) for part in media]
        if not pictures:
            return {}, []
        inputs = self.processor(images=pictures, text=self.token * len(pictures), return_tensors="pt")
        counts = [int((self.processor(images=[p], text=self.token, return_tensors="pt")["input_ids"] == self.media_id).sum()) for p in pictures]
        return {name: inputs[name] for name in self.inputs}, counts

    def vision(self):
        return CLIPVisionConfig(**tiny.VIT)

    def image_processor(self):
        return CLIPImageProcessorPil(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28})

    def text(self, changes):
        return LlamaConfig(**changes)


class Llava(Pictures):
    name, inputs, architecture = "llava", ["pixel_values"], LlavaForConditionalGeneration
    layer, select, read_blocks = -2, "default", "01"

    def make_processor(self):
        return LlavaProcessor(self.image_processor(), self.tokenizer, patch_size=7, vision_feature_select_strategy=self.select, num_additional_image_tokens=1, chat_template=self.template)

    def make_model(self, changes):
        return LlavaForConditionalGeneration(LlavaConfig(vision_config=self.vision(), text_config=self.text(changes), image_token_index=self.media_id, vision_feature_layer=self.layer, vision_feature_select_strategy=self.select))


class LlavaClassToken(Llava):
    name, layer, select, read_blocks = "llava, Qwen2, class token, last layer", -1, "full", None

    def text(self, changes):
        return Qwen2Config(**changes)


class LlavaExperts(LlavaClassToken):
    name = "llava, Qwen3-MoE"

    def text(self, changes):
        return Qwen3MoeConfig(**changes, head_dim=12, moe_intermediate_size=20, num_experts=4, num_experts_per_tok=2, norm_topk_prob=True)


class LlavaSiglip(Llava):
    name, layer, select, read_blocks = "llava on siglip, last layer", -1, "full", "012"  # not the pool behind them

    def vision(self):
        return SiglipVisionConfig(**tiny.VIT)

    def make_processor(self):
        return LlavaProcessor(self.image_processor(), self.tokenizer, patch_size=7, vision_feature_select_strategy="full", num_additional_image_tokens=0, chat_template=TEMPLATE)

    def image_processor(self):
        return SiglipImageProcessorPil(size={"height": 28, "width": 28})


class LlavaVicuna(Llava):
    """LLaVA-1.5 as it is published: a tokenizer over characters, "<s>" from the processor, no token that ends a turn."""
    name = "llava, Vicuna's prompt"
    template = ("{% for message in messages %}{% if message.role != 'system' %}{{ message.role.upper() + ': ' }}{% endif %}"
                "{% for part in message.content | selectattr('type', 'equalto', 'image') %}{{ '<image>\n' }}{% endfor %}"
                "{% for part in message.content | selectattr('type', 'equalto', 'text') %}{{ part.text + ' ' }}{% endfor %}{% endfor %}{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}")

    def make_tokenizer(self):
        return PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(make_over_characters(*over_characters()["llama2"], added=[])), bos_token="<s>", eos_token="</s>", unk_token="<unk>")

    def processed(self, sample, answer):
        """What transformers' processor makes of a conversation: ids with 0 for media, and the model's inputs."""
        messages = [{"role": m["role"], "content": m["content"] if isinstance(m["content"], list) else [text(m["content"])]} for m in sample["messages"][:-1 if answer else None]]
        media = [part for message in messages for part in message["content"] if part["type"] == "image"]
        inputs = self.processor(images=[Image.open(self.folder / part["image"]) for part in media] or None, text=self.processor.apply_chat_template(messages, add_generation_prompt=answer), return_tensors="pt")
        return torch.where(inputs["input_ids"][0] == self.media_id, 0, inputs["input_ids"][0]), {name: inputs[name] for name in ("input_ids", "pixel_values") if name in inputs}

    def prepare(self, sample, answer=False):
        return None, None, None, self.processed(sample, answer)[1]


class LlavaNext(Pictures):
    name, inputs, architecture = "llava_next", ["pixel_values", "image_sizes"], LlavaNextForConditionalGeneration
    read_blocks = "01"

    def image_processor(self):
        return LlavaNextImageProcessorPil(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28}, image_grid_pinpoints=PINPOINTS)

    def make_processor(self):
        return LlavaNextProcessor(self.image_processor(), self.tokenizer, patch_size=7, vision_feature_select_strategy="default", num_additional_image_tokens=1, chat_template=TEMPLATE)

    def make_model(self, changes):
        return LlavaNextForConditionalGeneration(LlavaNextConfig(vision_config=self.vision(), text_config=self.text(changes), image_token_index=self.media_id, image_grid_pinpoints=PINPOINTS))


class Qwen2Audio(Whole):
    token, stream, samples = "<|AUDIO|>", "audio", samples_of(audio("a.wav"), audio("short.wav"))
    name, architecture = "qwen2_audio", Qwen2AudioForConditionalGeneration
    visual, sites, tower_prefix = "audio_tower", ["q_proj", "v_proj"], "model.encoder."  # for LoRA

    def __init__(self, bench):
        super().__init__(bench)
        write_wav(self.folder / "short.wav", speech(0.731, 8))

    def image_processor(self):
        return WhisperFeatureExtractor(feature_size=80, chunk_length=2)

    def make_processor(self):
        return Qwen2AudioProcessor(self.image_processor(), self.tokenizer, chat_template=TEMPLATE)

    def make_model(self, changes):
        tower = dict(model_type="qwen2_audio_encoder", d_model=48, encoder_layers=2, encoder_attention_heads=4, encoder_ffn_dim=96, num_mel_bins=80, max_source_positions=100)
        return Qwen2AudioForConditionalGeneration(Qwen2AudioConfig(audio_config=tower, text_config=Qwen2Config(**changes), audio_token_index=self.media_id))

    def encode_media(self, media):
        sounds = []
        for part in media:
            with wave.open(str(self.folder / part["audio"])) as file:
                sounds.append(np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 32768)
        if not sounds:
            return {}, []
        out = self.processor(audio=sounds, text=self.token * len(sounds), return_tensors="pt", sampling_rate=16000)
        lengths = out["feature_attention_mask"].sum(-1)
        return {name: out[name] for name in ("input_features", "feature_attention_mask")}, [(((int(n) - 1) // 2 + 1) - 2) // 2 + 1 for n in lengths]
