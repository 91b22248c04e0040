"""Whole models out of their directories, LLaVA-1.5, LLaVA-NeXT, Qwen2-Audio, Qwen2-VL, Qwen2.5-VL, Qwen3-VL, Gemma 3, Mistral Small 3 and Pixtral, against transformers: ids and places,
hidden states, logits, loss, every gradient, greedy answers, and the directory that ours writes."""
import copy
import json
import subprocess
import wave

import numpy as np
import torch
import torch.nn.functional as F
from peft import PeftModel, get_peft_model_state_dict
from PIL import Image
from safetensors.torch import load_file
from tokenizer_parity import make_over_characters, over_characters
from tokenizers import Tokenizer
from transformers import (GraniteConfig, GraniteForCausalLM, Gemma2Config, Gemma2ForCausalLM, Gemma3ForCausalLM, Ministral3Config, Ministral3ForCausalLM, MistralForCausalLM, Gemma3Config, Gemma3ForConditionalGeneration, Gemma3ImageProcessorPil, Gemma3Processor, Gemma3TextConfig, Mistral3Config, Mistral3ForConditionalGeneration, MistralConfig, Phi3Config, Phi3ForCausalLM, PixtralImageProcessorPil, PixtralVisionConfig, Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration, Qwen2VLConfig, Qwen2VLForConditionalGeneration, Qwen2VLImageProcessorPil, CLIPImageProcessorPil, CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration, LlavaNextConfig, LlavaNextForConditionalGeneration,
                          LlavaNextImageProcessorPil, LlavaNextProcessor, LlavaProcessor, PreTrainedTokenizerFast, Qwen2AudioConfig, Qwen2AudioForConditionalGeneration, Qwen2AudioProcessor, Qwen2Config, Qwen3Config, Qwen3ForCausalLM, Qwen3VLConfig, Qwen3VLForConditionalGeneration, Qwen3VLProcessor,
                          SiglipImageProcessorPil, SiglipVisionConfig, WhisperFeatureExtractor)

from transformers.models.qwen2_vl.video_processing_qwen2_vl import Qwen2VLVideoProcessor
from transformers.models.qwen3_vl.video_processing_qwen3_vl import Qwen3VLVideoProcessor

from . import tiny
from .common import isolated, likeliest, relative, starting
from .conversations import audio, expand, image, make_tokenizer, named, text, turns, video, write_media
from .encoder_adapters import lora_table, with_lora
from .decoders import GROWING
from .lora import plain
from .processors import PINPOINTS, picture, speech, write_wav

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


def write_video(path, frames, rate, sound=None):
    """Without loss. `sound`: a file."""
    n, height, width, _ = frames.shape
    heard = ["-i", sound, "-c:a", "pcm_s16le"] if sound else []
    subprocess.run(["ffmpeg", "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", str(rate), "-i", "-", *heard, "-c:v", "png", "-pix_fmt", "rgb24", path], input=frames.tobytes(), check=True)


class QwenPictures(Pictures):
    """Pictures and videos of any size, placed by part, row and column."""
    token, names = "<|image_pad|>", {"model.language_model.": "model.", "model.visual.": "visual."}
    llm, projector, visual = "model.layers.", "visual.merger", "visual"
    specials = ["<|vision_start|>", "<|image_pad|>", "<|vision_end|>", "<|video_pad|>"]
    template = (TEMPLATE.replace("<image>{{ '\\n' }}", "<|vision_start|><|image_pad|><|vision_end|>")
                .replace("{% elif part.type == 'audio' %}", "{% elif part.type == 'video' %}<|vision_start|><|video_pad|><|vision_end|>{% elif part.type == 'audio' %}"))
    samples = Pictures.samples + [
        turns(("user", [video("v.mov"), text("What is this?")]), ("assistant", "A fire engine.")),
        turns(("user", [text("First "), image("a.png"), text(" then "), video("w.mov"), text(" and "), video("v.mov"), image("b.png")]), ("assistant", "Both."), ("user", "Are you sure?"), ("assistant", "Yes!"))]
    sections = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [1, 2, 3]}
    rule, tied = 'llm.after_medium = "grid"\n', False

    def __init__(self, bench):
        # Sizes that need no resizing, which rounds otherwise there; one with an odd number of frames.
        self.videos = {"v.mov": (np.stack([picture(24, 40, seed=i) for i in range(9)]), 3.0), "w.mov": (np.stack([picture(32, 16, seed=20 + i) for i in range(5)]), 2.0)}
        super().__init__(bench)
        for name, (frames, rate) in self.videos.items():
            write_video(self.folder / name, frames, rate)
        self.video_processor.save_pretrained(self.folder)
        self.video_id = self.tokenizer.convert_tokens_to_ids("<|video_pad|>")

    def image_processor(self):
        return Qwen2VLImageProcessorPil(patch_size=4, size={"shortest_edge": 256, "longest_edge": 2500})

    def make_processor(self):
        self.video_processor = self.make_video_processor()
        return self.image_processor()

    def make_video_processor(self):
        return Qwen2VLVideoProcessor(patch_size=4, size={"shortest_edge": 256, "longest_edge": 2500}, fps=2, do_sample_frames=True)

    def token_ids(self):
        return {f"{name}_token_id": self.tokenizer.convert_tokens_to_ids(f"<|{word}|>") for name, word in (("image", "image_pad"), ("video", "video_pad"), ("vision_start", "vision_start"), ("vision_end", "vision_end"))}

    def make_model(self, changes):
        return self.architecture(self.config(text_config=dict(changes, rope_parameters=self.sections), vision_config=self.tower, **self.token_ids(), **({"tie_word_embeddings": True} if self.tied else {})))

    def encode_media(self, media):
        """The model's inputs, and the embeddings of each mark in turn."""
        inputs, counts = {}, []
        pictures = [Image.open(self.folder / part["image"]) for part in media if part["type"] == "image"]
        if pictures:
            inputs.update(self.processor(images=pictures, return_tensors="pt"))
        clips = [self.videos[part["video"]] for part in media if part["type"] == "video"]
        if clips:
            out = self.video_processor(videos=[frames for frames, _ in clips], video_metadata=[dict(total_num_frames=len(frames), fps=rate) for frames, rate in clips], return_metadata=True, return_tensors="pt")
            self.video_inputs = out
            inputs.update({name: out[name] for name in ("pixel_values_videos", "video_grid_thw")})
            inputs.update(self.timed(out))
        grids = {kind: iter(inputs.get(f"{kind}_grid_thw", [])) for kind in ("image", "video")}
        for part in media:
            counts += self.counts_of(part["type"], [int(n) for n in next(grids[part["type"]])])
        return inputs, counts

    def counts_of(self, kind, grid):
        return [grid[0] * grid[1] * grid[2] // 4]

    def timed(self, out):
        return {}

    def prepare(self, sample, answer=False):
        messages, media = self.guarded(sample, answer)
        inputs, counts = self.encode_media(media)
        ids, mask = self.encode(self.timed_messages(messages), answer)
        marks = [token for token in ids if token in (self.media_id, self.video_id)]
        ids, supervised, spans = expand(ids, mask, counts, self.media_id, self.video_id)
        whole = ids.clone()
        for mark, (begin, count) in zip(marks, spans, strict=True):
            whole[begin:begin + count] = mark
        self.check_text(messages, whole, answer)
        if spans:
            inputs["mm_token_type_ids"] = ((whole == self.media_id) + 2 * (whole == self.video_id)).int()[None]
        return ids, supervised, [[self.stream, *span] for span in spans], {"input_ids": whole[None], **inputs}

    def timed_messages(self, messages):
        return messages

    def check_text(self, messages, ids, answer):
        pass

    def positions(self, inputs):
        ids = inputs["input_ids"]
        if "mm_token_type_ids" not in inputs:
            return torch.arange(ids.shape[1]).expand(3, -1)
        more = {name: inputs.get(name) for name in ("image_grid_thw", "video_grid_thw", "second_per_grid_ts") if name in inputs}
        return self.model.model.get_rope_index(ids, inputs["mm_token_type_ids"], **more)[0][:, 0]

    def table(self, trainable=True, more=""):
        return super().table(trainable, self.rule + more)


class Qwen2Vl(QwenPictures):
    sites = ["qkv", "fc1"]
    name, architecture, config = "qwen2_vl", Qwen2VLForConditionalGeneration, Qwen2VLConfig
    tower = dict(depth=2, embed_dim=32, hidden_size=48, num_heads=2, patch_size=4, mlp_ratio=2)


class Qwen25Vl(QwenPictures):
    sites = ["qkv", "gate_proj"]
    name, architecture, config = "qwen2_5_vl", Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLConfig
    tower = dict(depth=3, hidden_size=32, intermediate_size=48, num_heads=2, patch_size=4, window_size=16, out_hidden_size=48, fullatt_block_indexes=[1], tokens_per_second=3)

    def timed(self, out):
        return {"second_per_grid_ts": torch.tensor([2 / metadata.sampled_fps for metadata in out["video_metadata"]])}


class Qwen25VlTied(Qwen25Vl):
    """One head of keys, tied embeddings, windows of three squares, other sections."""
    name = "qwen2_5_vl, tied"
    tower = {**Qwen25Vl.tower, "window_size": 24, "fullatt_block_indexes": [0, 2], "num_heads": 4}

    def make_model(self, changes):
        return super().make_model(dict(changes, num_key_value_heads=1, tie_word_embeddings=True))


class Qwen3Vl(QwenPictures):
    """Two taps; the last of three blocks is one."""
    sites = ["qkv"]
    name, architecture, config = "qwen3_vl", Qwen3VLForConditionalGeneration, Qwen3VLConfig
    names, llm, projector, rule = {}, "model.language_model.layers.", "merger", ""
    tower = dict(depth=3, hidden_size=32, intermediate_size=48, num_heads=2, patch_size=4, out_hidden_size=48, num_position_embeddings=49, deepstack_visual_indexes=[0, 2])
    sections = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [4, 2, 2], "mrope_interleaved": True}

    def image_processor(self):
        return Qwen2VLImageProcessorPil(patch_size=4, size={"shortest_edge": 256, "longest_edge": 2500}, image_mean=[0.5] * 3, image_std=[0.5] * 3)

    def make_video_processor(self):
        return Qwen3VLVideoProcessor(patch_size=4, size={"shortest_edge": 256, "longest_edge": 20000}, fps=2)

    def make_model(self, changes):
        return super().make_model(dict(changes, head_dim=16))

    def counts_of(self, kind, grid):
        return [grid[1] * grid[2] // 4] * grid[0]

    def timed_messages(self, messages):
        """Each patch of frames is a video with its time before it."""
        number, out = 0, []
        for message in messages:
            content = []
            for part in message["content"]:
                if part["type"] != "video":
                    content.append(part)
                    continue
                metadata = self.video_inputs["video_metadata"][number]
                for time in Qwen3VLProcessor._calculate_timestamps(None, [int(n) for n in metadata.frames_indices], metadata.fps, 2):
                    content += [text(f"<{time:.1f} seconds>"), part]
                number += 1
            out.append({**message, "content": content})
        return out

    def check_text(self, messages, ids, answer):
        """What the processor writes in place of a video and the marks around it, as up to transformers 4.57."""
        if not any(part["type"] == "video" for message in messages for part in message["content"]):
            return
        processor = Qwen3VLProcessor(self.image_processor(), self.tokenizer, self.video_processor)
        written, number = self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=answer), 0
        while "<|vision_start|><|video_pad|><|vision_end|>" in written:
            timed = processor.replace_video_token(self.video_inputs, number).replace("<|video_pad|>", "<|video_PAD|>").replace("<|vision_start|>", "<|vision_START|>")
            written, number = written.replace("<|vision_start|><|video_pad|><|vision_end|>", timed, 1), number + 1
        tokens = self.tokenizer(written.replace("PAD", "pad").replace("START", "start"), add_special_tokens=False)["input_ids"]
        pictures = [token for token in tokens if token == self.media_id]
        assert [token for token in tokens if token not in pictures] == [int(token) for token in ids if token != self.media_id], "the processor writes something else"


class Qwen3VlTied(Qwen3Vl):
    """Tied embeddings, one head of keys, no taps, squares of two of a table of one."""
    name = "qwen3_vl, tied"
    tied = True
    tower = {**Qwen3Vl.tower, "deepstack_visual_indexes": [], "num_position_embeddings": 1, "num_heads": 4}

    def make_model(self, changes):
        return super().make_model(dict(changes, num_key_value_heads=1, tie_word_embeddings=True))


class Gemma3Pictures(Pictures):
    """SigLIP's patches averaged to four vectors, which see each other; text around them that joins with what is beside it."""
    name, architecture, token = "gemma3", Gemma3ForConditionalGeneration, "<image_soft_token>"
    specials = ["<start_of_image>", "<image_soft_token>", "<end_of_image>"]
    template = TEMPLATE.replace("<image>{{ '\\n' }}", "<start_of_image>")
    more, whole_parts = dict(sliding_window=3, sliding_window_pattern=2, num_hidden_layers=4), True

    def __init__(self, bench):
        super().__init__(bench)
        self.tokenizer.chat_template = TEMPLATE.replace("<image>", "{{ '\\n\\n' }}<start_of_image><image_soft_token><end_of_image>{{ '\\n' }}")

    def make_tokenizer(self):
        tokenizer = super().make_tokenizer()
        tokenizer.add_tokens(["\n\n\n"])
        return tokenizer

    def image_processor(self):
        return Gemma3ImageProcessorPil(size={"height": 28, "width": 28})

    def make_processor(self):
        return self.image_processor()

    def randomised(self, model):
        return tiny.around_zero(super().randomised(model), ("language_model", "mm_soft_emb_norm"))

    def make_model(self, changes):
        number = self.tokenizer.convert_tokens_to_ids
        text = Gemma3TextConfig(**{**changes, "head_dim": 16, "query_pre_attn_scalar": 20, "pad_token_id": None, **self.more})
        return self.architecture(Gemma3Config(text_config=text, vision_config=SiglipVisionConfig(**tiny.VIT, vision_use_head=False), mm_tokens_per_image=4, image_token_index=self.media_id,
                                              boi_token_index=number("<start_of_image>"), eoi_token_index=number("<end_of_image>"), tie_word_embeddings=text.tie_word_embeddings))

    def encode_media(self, media):
        if not media:
            return {}, []
        out = self.processor(images=[Image.open(self.folder / part["image"]) for part in media], return_tensors="pt")
        return {"pixel_values": out["pixel_values"]}, [4] * len(media)

    def prepare(self, sample, answer=False):
        ids, supervised, spans, inputs = super().prepare(sample, answer)
        inputs["token_type_ids"] = (inputs["input_ids"] == self.media_id).long()
        return ids, supervised, spans, inputs

    def processed(self, sample):
        """Ids as Gemma3Processor makes them of what the directory's template writes, with 0 for media."""
        saved = {"boi_token": "<start_of_image>", "eoi_token": "<end_of_image>", "image_token": "<image_soft_token>"}
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=self.tokenizer.backend_tokenizer, extra_special_tokens=saved, chat_template=self.template)
        media = [part for message in sample["messages"] if isinstance(message["content"], list) for part in message["content"] if part["type"] == "image"]
        messages = [{**message, "content": message["content"] if isinstance(message["content"], list) else [text(message["content"])]} for message in sample["messages"]]
        written = tokenizer.apply_chat_template(messages, tokenize=False)
        processor = Gemma3Processor(self.image_processor(), tokenizer, image_seq_length=4)
        ids = torch.as_tensor(processor(images=[Image.open(self.folder / part["image"]) for part in media], text=written)["input_ids"]).flatten()
        return torch.where(ids == self.media_id, 0, ids)


class Gemma3Untied(Gemma3Pictures):
    """One head of keys, a window as wide as a picture, a head of its own, scaled frequencies."""
    name = "gemma3, untied"
    more = dict(sliding_window=4, sliding_window_pattern=3, num_hidden_layers=3, num_key_value_heads=1, tie_word_embeddings=False,
                rope_parameters={"full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e4}, "sliding_attention": {"rope_type": "default", "rope_theta": 100.0}})


class Rows(Pictures):
    """Pictures of any shape, row by row with tokens between the rows."""
    sites = ["q_proj", "gate_proj"]
    token, specials, merge = "[IMG]", ["[IMG]", "[IMG_BREAK]", "[IMG_END]"], 1
    template = TEMPLATE.replace("<image>{{ '\\n' }}", "[IMG]")
    tower = dict(hidden_size=32, intermediate_size=40, num_hidden_layers=2, num_attention_heads=2, image_size=64, patch_size=4)

    def image_processor(self):
        return PixtralImageProcessorPil(patch_size={"height": 4, "width": 4}, size={"longest_edge": 30})

    def make_processor(self):
        return self.image_processor()

    def encode_media(self, media):
        if not media:
            return {}, []
        edge = 4 * self.merge
        out = self.processor(images=[Image.open(self.folder / part["image"]) for part in media], patch_size={"height": edge, "width": edge}, return_tensors="pt")
        sizes = torch.as_tensor(np.array(out["image_sizes"]))
        return {"pixel_values": out["pixel_values"], "image_sizes": sizes}, [(height // edge, width // edge) for height, width in sizes.tolist()]

    def expanded(self, ids, mask, counts):
        """As PixtralProcessor.replace_image_token has it, which needs torchvision."""
        rest, end = [self.tokenizer.convert_tokens_to_ids(token) for token in self.specials[1:]]
        out, supervised, spans, grids = [], [], [], iter(counts)
        for token, on in zip(ids, mask or [0] * len(ids)):
            new = [token]
            if token == self.media_id:
                rows, columns = next(grids)
                new = ([0] * columns + [rest]) * rows
                spans.append([len(out), len(new) - 1])
                new[-1] = end
            out += new
            supervised += [on] * len(new)
        return torch.tensor(out), torch.tensor(supervised).bool(), spans


class Mistral3Pictures(Rows):
    """Seed: of 71 to 74 the one whose gradients move least, 1.5e-6, if each weight is changed by half of fp32's last bit; of 71 they
    move by 4.3e-6, so that two exact programs may differ by 1e-5."""
    seed = 74
    name, architecture, merge = "mistral3", Mistral3ForConditionalGeneration, 2
    more, layer = dict(sliding_window=None, tie_word_embeddings=False, rms_norm_eps=1e-3), -1

    def make_model(self, changes):
        text = MistralConfig(**{**changes, **self.more})
        return self.architecture(Mistral3Config(text_config=text, vision_config=PixtralVisionConfig(**self.tower), image_token_index=self.media_id, spatial_merge_size=self.merge, vision_feature_layer=self.layer,
                                                tie_word_embeddings=text.tie_word_embeddings))


class Mistral3Window(Mistral3Pictures):
    """A window, tied embeddings, a layer before the last, other frequencies."""
    name, layer, read_blocks = "mistral3, window", -2, "0"
    more = dict(sliding_window=5, tie_word_embeddings=True, head_dim=16)
    tower = {**Rows.tower, "hidden_act": "silu", "num_attention_heads": 4, "rope_parameters": {"rope_type": "axial", "rope_theta": 50.0}}


class Ministral3Pictures(Mistral3Pictures):
    """Whose text model's queries grow with their position."""
    name = "mistral3, Ministral 3"
    more = dict(tie_word_embeddings=False, head_dim=16, rope_parameters=GROWING, pad_token_id=None)

    def make_model(self, changes):
        text = Ministral3Config(**{**changes, **self.more})
        return self.architecture(Mistral3Config(text_config=text, vision_config=PixtralVisionConfig(**self.tower), image_token_index=self.media_id, spatial_merge_size=self.merge, vision_feature_layer=self.layer, tie_word_embeddings=False))


class Pixtral(Rows):
    name, architecture = "llava on pixtral", LlavaForConditionalGeneration

    def make_model(self, changes):
        return self.architecture(LlavaConfig(vision_config=PixtralVisionConfig(**self.tower), text_config=MistralConfig(**changes, sliding_window=None), image_token_index=self.media_id,
                                             vision_feature_layer=-1, vision_feature_select_strategy="full"))


def ask(bench, reference, samples, **more):
    return bench.ask("model", model=reference.table(), samples=named(samples), folder=reference.folder, **more)


def compare(bench, case, reference, samples):
    reference.model.zero_grad()
    theirs, media, lengths = reference.run(samples)
    theirs["loss"].backward()
    answer, out = ask(bench, reference, samples)
    bench.check(f"{case}: ids, places and labels", all(torch.equal(out[name], theirs[name]) for name in EXACT) and answer["media"] == media and answer["lengths"] == lengths,
                f"{len(theirs['ids'])} tokens, {len(media)} media")
    bench.compare(f"{case}: hidden, logits, loss", {name: out[name] for name in NEAR}, {name: theirs[name] for name in NEAR})
    gradients = {on_disk(name, reference.names): p.grad for name, p in reference.model.named_parameters() if p.grad is not None}
    ours = {name.split(":", 1)[1]: grad for name, grad in starting(out, "grad:").items()}
    ours = {name: grad for name, grad in ours.items() if name in gradients or grad.abs().max() > 0}
    scales = {name: name[:-4] + "weight" for name in gradients if name.endswith("k_proj.bias")}
    bench.compare(f"{case}: gradients", ours, gradients, scales=scales, gradients=gradients)
    return out


LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def lora_on(reference, model, folder, of_text):
    """LoRA of peft, no factor of which is zero, on parts of a model, which has it from then on: (each by its slot, our table of them)"""
    text, tower = reference.parts(model)
    of_tower = reference.sites if reference.read_blocks is None else rf"(.*\.)?[{reference.read_blocks}]\..*({'|'.join(reference.sites)})"
    adapters, table = {}, ""
    for slot, part, ours, theirs, seed in [("llm", text, of_text, of_text, 81), (f"streams.{reference.stream}.encoder", tower, reference.sites, of_tower, 82)]:
        adapters[slot] = with_lora(part, theirs, seed)
        adapters[slot].save_pretrained(folder / slot)
        reference.rename(folder / slot / "adapter_model.safetensors")
        table += f"{slot}.peft = {lora_table(folder / slot, ours)}\n"
    return adapters, table


def exports(reference, forward):
    """(case, more of our table, logits) of what is written: the model itself, and with adapters on it that change much. `forward`: logits of a model."""
    changed = copy.deepcopy(reference.model).eval()
    _, table = lora_on(reference, changed, reference.new_folder(), LINEAR)
    with torch.no_grad():
        plain, folded = forward(reference.model), forward(changed)
    assert relative(folded, plain) > 1e-2
    return [("", "", plain), (", LoRA folded in", table, folded)]


def export(bench, reference):
    """transformers loads what ours writes, with no key missing or left, and computes the same; adapters are folded in."""
    sample = [reference.samples[-1 if isinstance(reference, QwenPictures) else 2]]
    inputs = reference.prepare(sample[0])[3]
    for case, more, expected in exports(reference, lambda model: model(**inputs).logits[0]):
        target = bench.new_folder()
        _, out = bench.ask("model", model=reference.table(trainable=False, more=more), samples=named(sample), folder=reference.folder, merge=bool(more), export=target)
        model, info = reference.architecture.from_pretrained(target, output_loading_info=True)
        wrong = {name: keys for name, keys in info.items() if keys}
        with torch.no_grad():
            logits = model.eval()(**inputs).logits[0]
        bench.check(f"{reference.name} export{case}: no key missing or left", not wrong, wrong or "")
        bench.compare(f"{reference.name} export{case}: logits", {"ours": out["logits"], "read by transformers": logits}, {"ours": expected, "read by transformers": expected})


def old_form(bench, reference, batch):
    """config.json as it was up to transformers 4.51: the language model's keys beside those of the whole, the tower's without a type."""
    path = reference.folder / "config.json"
    written = path.read_text()
    new = json.loads(written)
    text, tower = new["text_config"], new["vision_config"]
    rope = text.pop("rope_parameters")
    tower.pop("model_type"), tower.pop("rope_parameters")
    if isinstance(reference, Qwen3Vl):  # as it was published: the tower's table has the whole's type
        old = {**new, "text_config": {**text, "rope_theta": rope.pop("rope_theta"), "rope_scaling": rope}, "vision_config": {**tower, "model_type": "qwen3_vl"}}
    else:
        old = {**text, "rope_theta": rope.pop("rope_theta"), "rope_scaling": {"type": "mrope", "mrope_section": rope["mrope_section"]}, **{k: v for k, v in new.items() if k != "text_config"},
           "vision_config": {**tower, "in_chans": tower.pop("in_channels"), "spatial_patch_size": 4}}
    path.write_text(json.dumps(old))
    _, out = ask(bench, reference, reference.samples)
    bench.compare(f"{reference.name}: config.json of transformers 4.51", {"hidden": out["hidden"]}, {"hidden": batch["hidden"]})
    path.write_text(written)


def in_pieces(bench, reference):
    """Conversations with their media through the cache, so many tokens of each at a time: hidden states as of all at once."""
    asked = dict(model=reference.table(trainable=False), samples=named(reference.samples), folder=reference.folder, whole_parts=reference.whole_parts)
    hidden = bench.ask("model", **asked)[1]["hidden"]
    for piece in (1, 7, 64):
        bench.compare(f"{reference.name}: cache in pieces of {piece}", bench.ask("in_pieces", piece=piece, **asked)[1], {"hidden": hidden})


OTHERS = {"a.png": "b.png", "b.png": "a.png", "v.mov": "w.mov", "w.mov": "v.mov", "a.wav": "long.wav", "long.wav": "short.wav", "short.wav": "a.wav"}


def another(sample, folder):
    """Its texts read backwards, and other media."""
    def changed(part):
        if part["type"] == "text":
            return text(part["text"][::-1])
        other = OTHERS[part[part["type"]]]
        return {**part, part["type"]: other} if (folder / other).exists() else part
    content = lambda one: one[::-1] if isinstance(one, str) else [changed(part) for part in one]
    return {"messages": [{**message, "content": content(message["content"])} for message in sample["messages"]]}


def one_changed(bench, reference, batch, lengths):
    """Other media and texts in one conversation of a packed batch; and another with videos in its place."""
    for changed, source in ((2, 2), (4, 5)):
        if source >= len(reference.samples):
            continue
        samples = list(reference.samples)
        samples[changed] = another(samples[source], reference.folder)
        answer, after = ask(bench, reference, samples)
        isolated(bench, f"{reference.name}, {changed}", (batch, lengths), (after, answer["lengths"]), changed)


def read_again(bench, reference, samples=(0, 5)):
    """Conversations that grow over one cache, media included: each turn is computed once, and answers are those of all of it at once."""
    turns_of = lambda n: [{"messages": reference.samples[i]["messages"][:n] + [{"role": "assistant", "content": "x"}]} for i in samples]
    for i in range(len(samples)):
        grown = [turns_of(1)[i], turns_of(3)[i]]
        got, _ = bench.ask("read_again", model=reference.table(trainable=False), samples=named(grown), folder=reference.folder, max_tokens=16)
        whole, _ = bench.ask("generate", model=reference.table(trainable=False), samples=named(grown), folder=reference.folder, max_tokens=16)
        bench.check(f"{reference.name}: a conversation read turn by turn, {i}", got["tokens"] == whole["tokens"] and got["computed"][1] < got["lengths"][1] - got["lengths"][0] + 8, f"{got['computed']} of {got['lengths']} tokens computed")


def peft_export(bench, reference):
    """LoRA and a connector that were trained here, as one adapter on the model that transformers has: it computes what was trained."""
    case, sample, target = f"{reference.name}: adapter for PEFT", [reference.samples[2]], bench.new_folder()
    _, tables = lora_on(reference, copy.deepcopy(reference.model), bench.new_folder(), LINEAR)
    asked = dict(model=reference.table(trainable=False, more=tables), samples=named(sample), folder=reference.folder)
    _, before = bench.ask("model", **asked)
    _, out = bench.ask("model", **asked, steps=2, train='optimizer = { name = "sgd", lr = 0.02 }\n', export_adapter=target)
    model = PeftModel.from_pretrained(reference.architecture.from_pretrained(reference.folder), target).eval()
    kept, written = get_peft_model_state_dict(model), load_file(target / "adapter_model.safetensors")
    same = kept.keys() == written.keys() and all(torch.equal(kept[name], value) for name, value in written.items())
    bench.check(f"{case}: PEFT has each tensor of the file, and no other", same, sorted(kept.keys() ^ written.keys())[:4] or f"{len(written)} tensors")
    connectors = [name for name in written if ".lora_" not in name]
    bench.check(f"{case}: LoRA on both parts, the connector, and training changed what comes out", connectors and relative(out["logits"], before["logits"]) > 1e-3, f"{len(connectors)} of the connector")
    with torch.no_grad():
        bench.compare(f"{case}: logits", {"logits": out["logits"]}, {"logits": model(**reference.prepare(sample[0])[3]).logits[0]})
    _, back = bench.ask("model", model=f'from = "{target}"\n', samples=named(sample), folder=reference.folder)
    bench.compare(f"{case}: read back into all slots: logits", {"logits": back["logits"]}, {"logits": out["logits"]})


def adapted(bench, reference):
    """LoRA of peft on the text model and on the tower; changes the reference."""
    samples = reference.samples
    if isinstance(getattr(reference, "architecture", None), type):  # transformers has the model
        peft_export(bench, reference)
    adapters, tables = lora_on(reference, reference.model, reference.folder, LINEAR)
    reference.model.zero_grad()
    theirs = reference.run(samples)[0]
    theirs["loss"].backward()
    _, out = bench.ask("model", model=reference.table(trainable=False, more=tables), samples=named(samples), folder=reference.folder)
    bench.compare(f"lora on {reference.name}: hidden, logits, loss", {name: out[name] for name in NEAR}, {name: theirs[name] for name in NEAR})
    gradients = {f"{slot}.peft.0:{'model.' if slot == 'llm' else reference.tower_prefix}{plain(name)}": p.grad for slot, model in adapters.items() for name, p in model.named_parameters() if "lora_" in name}
    ours = {name: grad for name, grad in starting(out, "grad:").items() if ".peft." in name}
    bench.compare(f"lora on {reference.name}: gradients", ours, gradients, gradients=gradients)
    still = sorted(name for name, grad in ours.items() if not grad.any())
    bench.check(f"lora on {reference.name}: each of {len(ours)} matrices has a gradient", not still, still[:3] or "")


TEXT_3B = dict(hidden_size=2048, intermediate_size=11008, num_hidden_layers=36, num_attention_heads=16, num_key_value_heads=2, vocab_size=151936)
TEXT_7B = dict(hidden_size=3584, intermediate_size=18944, num_hidden_layers=28, num_attention_heads=28, num_key_value_heads=4, vocab_size=152064)
TEXT_2B = dict(hidden_size=1536, intermediate_size=8960, num_hidden_layers=28, num_attention_heads=12, num_key_value_heads=2, vocab_size=151936)


def counted(bench, name, config, architecture, published=None):
    """Without values: as many parameters as in transformers, and in the published model."""
    with torch.device("meta"):
        model = architecture(config)
    model.tie_weights()
    count = sum(p.numel() for p in model.parameters())
    folder = bench.new_folder()
    config.save_pretrained(folder)
    answer, _ = bench.ask("parameters", model=f'from = "{folder}"\n')
    bench.check(f"{name}: {count} parameters", answer["parameters"] == count, answer)
    if published:
        bench.check(f"{name} has the parameters of the published model", answer["parameters"] == published, published)


def text_sizes(bench):
    """At the sizes of published models."""
    granite = dict(vocab_size=49155, num_hidden_layers=40, num_attention_heads=32, num_key_value_heads=8, tie_word_embeddings=True)
    qwen = dict(vocab_size=151936, num_key_value_heads=8)
    turned = {"rope_type": "default", "rope_theta": 1e4, "partial_rotary_factor": 0.75}
    counted(bench, "phi3, Phi-3-mini", Phi3Config(), Phi3ForCausalLM, 3_821_079_552)
    counted(bench, "phi3, Phi-4-mini", Phi3Config(vocab_size=200064, num_attention_heads=24, num_key_value_heads=8, tie_word_embeddings=True, rope_parameters=turned, pad_token_id=None), Phi3ForCausalLM, 3_836_021_760)
    counted(bench, "granite, Granite-3.1-2B", GraniteConfig(**granite, hidden_size=2048, intermediate_size=8192), GraniteForCausalLM, 2_533_531_648)
    counted(bench, "granite, Granite-3.1-8B", GraniteConfig(**granite, hidden_size=4096, intermediate_size=12800), GraniteForCausalLM, 8_170_848_256)
    counted(bench, "qwen3, Qwen3-0.6B", Qwen3Config(**qwen, hidden_size=1024, intermediate_size=3072, num_hidden_layers=28, num_attention_heads=16, tie_word_embeddings=True), Qwen3ForCausalLM, 596_049_920)
    counted(bench, "qwen3, Qwen3-8B", Qwen3Config(**qwen, hidden_size=4096, intermediate_size=12288, num_hidden_layers=36, num_attention_heads=32), Qwen3ForCausalLM, 8_190_735_360)
    counted(bench, "mistral, Mistral-7B", MistralConfig(), MistralForCausalLM, 7_241_732_096)
    counted(bench, "mistral, Ministral-3-8B", Ministral3Config(), Ministral3ForCausalLM)
    counted(bench, "gemma, Gemma-2-2B", Gemma2Config(), Gemma2ForCausalLM, 2_614_341_888)
    counted(bench, "gemma, Gemma-3-1B", Gemma3TextConfig(vocab_size=262144, hidden_size=1152, intermediate_size=6912, num_attention_heads=4, num_key_value_heads=1, sliding_window=512, max_position_embeddings=32768), Gemma3ForCausalLM, 999_885_952)


def more_sizes(bench):
    text = dict(hidden_size=2560, intermediate_size=10240, num_hidden_layers=34, sliding_window=1024, rope_parameters={"full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6}, "sliding_attention": {"rope_type": "default", "rope_theta": 1e4}})
    so400m = SiglipVisionConfig(hidden_size=1152, image_size=896, intermediate_size=4304, num_attention_heads=16, num_hidden_layers=27, patch_size=14, vision_use_head=False)
    counted(bench, "gemma3, Gemma-3-4B", Gemma3Config(text_config=Gemma3TextConfig(**text), vision_config=so400m), Gemma3ForConditionalGeneration, 4_300_079_472)
    small = MistralConfig(hidden_size=5120, intermediate_size=32768, num_hidden_layers=40, head_dim=128, sliding_window=None, vocab_size=131072, rms_norm_eps=1e-5)
    seeing = dict(hidden_size=1024, intermediate_size=4096, num_hidden_layers=24, num_attention_heads=16)
    counted(bench, "mistral3, Mistral-Small-3.1-24B", Mistral3Config(text_config=small, vision_config=PixtralVisionConfig(**seeing, image_size=1540, patch_size=14), tie_word_embeddings=False), Mistral3ForConditionalGeneration, 24_011_361_280)
    nemo = MistralConfig(hidden_size=5120, num_hidden_layers=40, head_dim=128, sliding_window=None, vocab_size=131072, rms_norm_eps=1e-5)
    counted(bench, "llava on pixtral, Pixtral-12B", LlavaConfig(text_config=nemo, vision_config=PixtralVisionConfig(**seeing, hidden_act="silu"), vision_feature_layer=-1, vision_feature_select_strategy="full"), LlavaForConditionalGeneration)


def sizes(bench):
    """At the sizes of published models."""
    windowed = dict(hidden_size=1280, intermediate_size=3420, num_heads=16)
    newer, large = dict(num_position_embeddings=2304), dict(TEXT_7B, hidden_size=4096, intermediate_size=12288, num_hidden_layers=36, num_attention_heads=32, num_key_value_heads=8, vocab_size=151936)
    below = dict(newer, depth=24, hidden_size=1024, intermediate_size=4096, deepstack_visual_indexes=[5, 11, 17])
    for name, kind, text, tower, tied, published in [("Qwen3-VL-2B", Qwen3Vl, dict(TEXT_2B, hidden_size=2048, intermediate_size=6144, num_attention_heads=16, num_key_value_heads=8), dict(below, out_hidden_size=2048), True, 2_127_532_032),
                                                     ("Qwen3-VL-4B", Qwen3Vl, dict(large, hidden_size=2560, intermediate_size=9728, head_dim=128), dict(below, out_hidden_size=2560), True, 4_437_815_808),
                                                     ("Qwen3-VL-8B", Qwen3Vl, large, dict(newer, out_hidden_size=4096), False, 8_767_123_696),
                                                     ("Qwen2-VL-2B", Qwen2Vl, TEXT_2B, dict(hidden_size=1536), True, 2_208_985_600), ("Qwen2-VL-7B", Qwen2Vl, TEXT_7B, dict(hidden_size=3584), False, 8_291_375_616),
                                                     ("Qwen2.5-VL-3B", Qwen25Vl, TEXT_3B, dict(windowed, out_hidden_size=2048), True, 3_754_622_976), ("Qwen2.5-VL-7B", Qwen25Vl, TEXT_7B, dict(windowed, out_hidden_size=3584), False, 8_292_166_656)]:
        sections = {"mrope_section": [24, 20, 20], "mrope_interleaved": True} if kind is Qwen3Vl else {"mrope_section": [16, 24, 24]}
        config = kind.config(text_config={**text, "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, **sections}}, vision_config=tower, tie_word_embeddings=tied)
        counted(bench, f"{kind.name}, {name}", config, kind.architecture, published)


def greedy(bench, reference, samples):
    got = bench.ask("generate", model=reference.table(trainable=False), samples=named(samples), folder=reference.folder, max_tokens=32)[0]["tokens"]
    bench.check(f"{reference.name}: 32 greedy tokens for each conversation", got == reference.greedy(samples, got) and {len(answer) for answer in got} == {32})


def vicuna(bench):
    reference = LlavaVicuna(bench)
    samples = [sample for sample in reference.samples if "<image>" not in str(sample)]
    _, out = ask(bench, reference, samples)
    expected = torch.cat([reference.processed(sample, False)[0] for sample in samples])
    bench.check(f"{reference.name}: ids of whole conversations", torch.equal(out["ids"], expected), f"{len(expected)} tokens")
    greedy(bench, reference, samples)


def layout(bench, reference):
    """Ids of conversations with 0 to 3 pictures, as the family's own processor makes them."""
    samples = [sample for sample in reference.samples if "<image>" not in str(sample)]
    _, out = ask(bench, reference, samples)
    expected = torch.cat([reference.processed(sample) for sample in samples])
    bench.check(f"{reference.name}: ids as its processor makes them", torch.equal(out["ids"], expected), f"{len(expected)} tokens")


def run(bench):
    sizes(bench)
    text_sizes(bench)
    more_sizes(bench)
    vicuna(bench)
    for kind in (Llava, LlavaClassToken, LlavaSiglip, LlavaNext, Qwen2Audio, Gemma3Pictures, Gemma3Untied, Mistral3Pictures, Mistral3Window, Ministral3Pictures, Pixtral):
        reference = family(bench, kind)
        if isinstance(reference, Gemma3Pictures):
            layout(bench, reference)
        if kind in (Llava, LlavaSiglip, Qwen2Audio, Gemma3Pictures, Mistral3Pictures, Pixtral):
            adapted(bench, reference)


def grids(bench):
    for kind in (Qwen2Vl, Qwen25Vl, Qwen25VlTied, Qwen3Vl, Qwen3VlTied):
        reference = family(bench, kind)
        for what, index in (("a video", 4), ("pictures and videos", 5)):
            compare(bench, f"{reference.name}, {what}", reference, [reference.samples[index]])
        if kind in (Qwen2Vl, Qwen25Vl, Qwen3Vl):
            adapted(bench, reference)


def family(bench, kind):
    reference = kind(bench)
    samples = reference.samples
    batch = compare(bench, f"{reference.name}, mixed batch", reference, samples)
    for count, index in ((0, 1), (1, 3), (3, 2)):
        compare(bench, f"{reference.name}, {count} media", reference, [samples[index]])
    alone = [ask(bench, reference, [sample])[1] for sample in samples]
    bench.compare(f"{reference.name}: one by one equals the batch", {"hidden": torch.cat([out["hidden"] for out in alone])}, {"hidden": batch["hidden"]})
    one_changed(bench, reference, batch, [len(out["ids"]) for out in alone])
    in_pieces(bench, reference)
    read_again(bench, reference, (0, 5) if len(samples) > 5 else (0,))
    greedy(bench, reference, samples)
    beams = dict(num_beams=3, length_penalty=0.5, repetition_penalty=1.0)
    # generate() repeats each sound by itself, which mixes up several, and fails for media of a Qwen3-VL without taps.
    few = [samples[1], samples[3]] if issubclass(kind, Qwen2Audio) else [samples[1]] if kind is Qwen3VlTied else samples[:4]
    got, _ = bench.ask("generate", model=reference.table(trainable=False), samples=named(few), folder=reference.folder, max_tokens=32, **beams)
    bench.check(f"{reference.name}: 32 tokens of 3 beams for each conversation", got["tokens"] == reference.answers(few, **beams))
    export(bench, reference)
    if isinstance(reference, QwenPictures):
        old_form(bench, reference, batch)
    return reference
