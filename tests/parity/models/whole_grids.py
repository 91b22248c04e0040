"""Qwen2-VL, Qwen2.5-VL and Qwen3-VL as whole models: pictures and videos of any size, placed by part, row and column."""
import subprocess

import numpy as np
import torch
from PIL import Image
from transformers import (
    Qwen2VLConfig, Qwen2VLForConditionalGeneration, Qwen2VLImageProcessorPil, Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration, Qwen3VLConfig,
    Qwen3VLForConditionalGeneration, Qwen3VLProcessor)
from transformers.models.qwen2_vl.video_processing_qwen2_vl import Qwen2VLVideoProcessor
from transformers.models.qwen3_vl.video_processing_qwen3_vl import Qwen3VLVideoProcessor

from .conversations import expand, image, text, turns, video
from .processors import picture
from .whole_models import Pictures, TEMPLATE


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
