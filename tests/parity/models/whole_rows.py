"""Gemma 3, Mistral Small 3 and Pixtral as whole models: pictures whose rows or squares are marked."""
import numpy as np
import torch
from PIL import Image
from transformers import (
    Gemma3Config, Gemma3ForConditionalGeneration, Gemma3ImageProcessorPil, Gemma3Processor, Gemma3TextConfig, LlavaConfig, LlavaForConditionalGeneration,
    Ministral3Config, Mistral3Config, Mistral3ForConditionalGeneration, MistralConfig, PixtralImageProcessorPil, PixtralVisionConfig, PreTrainedTokenizerFast,
    SiglipVisionConfig)

from . import tiny
from .conversations import text
from .decoders import GROWING
from .whole_models import Pictures, TEMPLATE


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
