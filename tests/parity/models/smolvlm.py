"""Idefics3 and SmolVLM2: towers, tiles, frames, what stands in the text, and whole models, against transformers."""
import json
import random

import numpy as np
import torch
from PIL import Image
from transformers import Idefics3Config, Idefics3ForConditionalGeneration, Idefics3Processor, LlamaConfig, PreTrainedTokenizerFast, SmolVLMConfig, SmolVLMForConditionalGeneration, SmolVLMProcessor
from transformers.image_utils import SizeDict
from transformers.models.idefics3.configuration_idefics3 import Idefics3VisionConfig
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil
from transformers.models.idefics3.modeling_idefics3 import Idefics3VisionTransformer
from transformers.models.smolvlm.configuration_smolvlm import SmolVLMVisionConfig
from transformers.models.smolvlm.image_processing_pil_smolvlm import SmolVLMImageProcessorPil, get_resize_output_image_size
from transformers.models.smolvlm.modeling_smolvlm import SmolVLMVisionTransformer
from transformers.models.smolvlm.processing_smolvlm import DEFAULT_CHAT_TEMPLATE, get_image_prompt_string
from transformers.models.smolvlm.video_processing_smolvlm import SmolVLMVideoProcessor
from transformers.models.smolvlm.video_processing_smolvlm import get_resize_output_image_size as frame_size
from transformers.video_utils import VideoMetadata

from . import tiny
from .conversations import named, text, turns, image, video
from .encoders import compare as compare_tower
from .processors import picture
from .whole import family
from .whole_checks import adapted, ask, compare, layout
from .whole_grids import write_video
from .whole_models import Pictures, TEMPLATE
from .whole_sizes import counted

PLUGIN = "idefics3_vision"
TOWER = dict(hidden_size=48, intermediate_size=80, num_hidden_layers=3, num_attention_heads=4, image_size=28, patch_size=7)
FAKE, WHOLE = "<fake_token_around_image>", "<global-img>"


def vectors(model, x, layer, mask=None):
    """Of a feature layer; `mask`: which patches are there."""
    if mask is None:
        mask = torch.ones(len(x), x.shape[2] // model.config.patch_size, x.shape[3] // model.config.patch_size, dtype=torch.bool)
    if layer == -1:
        return model(x, patch_attention_mask=mask).last_hidden_state
    h = model.embeddings(pixel_values=x, patch_attention_mask=mask)
    for block in model.encoder.layers[:layer if layer >= 0 else layer + 1]:
        h = block(h, None)
    return h


def towers(bench):
    """Grids of the table's size and others; pictures of a padded batch as alone."""
    generator = torch.Generator().manual_seed(23)
    for seed, (name, kind, config) in enumerate([("Idefics3", Idefics3VisionTransformer, Idefics3VisionConfig), ("SmolVLM2", SmolVLMVisionTransformer, SmolVLMVisionConfig)]):
        folder = bench.new_folder()
        model = tiny.randomise(kind(config(**TOWER)), 40 + seed)
        model.save_pretrained(folder)
        for layer, size in [(-1, (28, 28)), (-2, (28, 28)), (0, (28, 28)), (3, (28, 28)), (-1, (35, 21)), (-1, (7, 42)), (2, (20, 31)), (-1, (56, 49))]:
            x = torch.randn(2, 3, *size, generator=generator)
            compare_tower(bench, f"{PLUGIN}, {name}, layer {layer}, {size[0]} x {size[1]}", PLUGIN, model, folder, x, f"layer = {layer}", lambda x: vectors(model, x, layer))
        for rows, columns in [(4, 3), (1, 4), (5, 1)]:
            x, canvas, mask = torch.randn(1, 3, 7 * rows, 7 * columns, generator=generator), torch.zeros(1, 3, 35, 28), torch.zeros(1, 5, 4, dtype=torch.bool)
            canvas[..., :7 * rows, :7 * columns], mask[:, :rows, :columns] = x, True
            _, out = bench.ask("encoder", {"x": x}, plugin=PLUGIN, weights=folder)
            theirs = vectors(model, canvas, -1, mask).view(1, 5, 4, -1)[:, :rows, :columns].flatten(1, 2)
            bench.compare(f"{PLUGIN}, {name}, {rows} x {columns} patches of a padded batch", {"y": out["y"]}, {"y": theirs})


def places(bench):
    """Tables of published sizes, and of 25 and 50: rounding in float32 puts some patches a place lower, there in the table's own grid, too."""
    lower = 0
    for side in (14, 25, 26, 27, 32, 50, 70):
        folder = bench.new_folder()
        model = tiny.randomise(SmolVLMVisionTransformer(SmolVLMVisionConfig(**{**TOWER, "num_hidden_layers": 1, "image_size": 2 * side, "patch_size": 2})), side)
        model.save_pretrained(folder)
        for rows, columns in [(side, 1), (1, side), (side - 1, 3), (2, side + 5)]:
            x = torch.randn(1, 3, 2 * rows, 2 * columns, generator=torch.Generator().manual_seed(rows))
            y = vectors(model, x, 0)
            _, out = bench.ask("encoder", {"x": x}, plugin=PLUGIN, weights=folder, options="layer = 0")
            bench.compare(f"{PLUGIN}, a table of {side} x {side}, {rows} x {columns} patches", {"y": out["y"]}, {"y": y})
            if rows == side:
                plain = model.embeddings.patch_embedding(x).flatten(2).transpose(1, 2) + model.embeddings.position_embedding.weight[::side]
                lower += not torch.allclose(y, plain, atol=1e-4)
    bench.check(f"{PLUGIN}: of two of the tables places of their own grid are lower", lower == 2, lower)


class Shapes(SmolVLMImageProcessorPil):
    """Without pixels."""

    def resize(self, image, size, resample=None, **more):
        height, width = get_resize_output_image_size(image, size.longest_edge) if size.longest_edge else (size.height, size.width)
        return np.broadcast_to(np.uint8(0), (3, height, width))

    def tiles(self, height, width, longest, edge):
        seen = self.resize(np.broadcast_to(np.uint8(0), (3, height, width)), SizeDict(longest_edge=longest))
        return self.split_images(self.resize_for_vision_encoder(seen, edge), {"longest_edge": edge})[1:]


def tiles(bench):
    """How many there are of pictures of 5,000 sizes, and to the bit what they are."""
    generator, shapes = random.Random(3), Shapes()
    sizes = [[1, 1], [1, 200], [201, 1], [1, 4000], [364, 364], [363, 365], [365, 364], [512, 512], [1000, 1250], [1536, 512], [455, 1820], [456, 1820]]
    sizes += [[int(10 ** generator.uniform(0, 3.5)), int(10 ** generator.uniform(0, 3.5))] for _ in range(5000 - len(sizes))]
    for longest, edge in [(1456, 364), (2048, 512), (1536, 384), (112, 28), (100, 28), (28, 28), (20, 28)]:
        got = bench.ask("tiles", plugin=PLUGIN, connector="pixel_shuffle", options=f"longest_edge = {longest}\ntile_size = {edge}\npatch_size = {edge // 4}\nimage_size = {edge}\n", sizes=sizes)[0]["tiles"]
        expected = [[rows, columns, 4 * (1 + rows * columns)] for rows, columns in (shapes.tiles(*size, longest, edge) for size in sizes)]
        wrong = [case for case in zip(sizes, got, expected) if case[1] != case[2]]
        bench.check(f"{PLUGIN}, tiles of {len(sizes)} pictures, {longest} in tiles of {edge}", not wrong, wrong[:3] or "")
    whole = bench.ask("tiles", plugin=PLUGIN, connector="pixel_shuffle", options="split = false\ntile_size = 28\npatch_size = 7\nimage_size = 28\n", sizes=[[40, 300]])[0]["tiles"]
    bench.check(f"{PLUGIN}, split = false: the whole alone", whole == [[0, 0, 4]], whole)


def pixels(bench):
    folder = bench.new_folder()
    SmolVLMVisionTransformer(SmolVLMVisionConfig(**TOWER)).save_pretrained(folder)
    for kind, settings in [(SmolVLMImageProcessorPil, dict(size={"longest_edge": 112})), (Idefics3ImageProcessorPil, dict(size={"longest_edge": 100}, image_mean=[0.1, 0.2, 0.3], image_std=[0.5, 0.4, 0.3], resample=3)),
                           (SmolVLMImageProcessorPil, dict(size={"longest_edge": 61}, do_image_splitting=False)), (Idefics3ImageProcessorPil, dict(size={"longest_edge": 28}))]:
        processor = kind(max_image_size={"longest_edge": 28}, **settings)
        processor.save_pretrained(folder)
        files, expected = [], {}
        for i, size in enumerate([(97, 61), (28, 28), (40, 300), (300, 41), (20, 22), (56, 56), (33, 100), (57, 113), (1, 1), (1, 40), (40, 1)]):
            files.append(str(folder / f"{i}.png"))
            Image.fromarray(picture(*size, seed=i)).save(files[-1])
            parts = torch.tensor(np.asarray(processor(Image.open(files[-1]), return_tensors="np")["pixel_values"]))[0]
            expected |= {f"{i}.{k}": part for k, part in enumerate(parts.roll(1, 0))}  # there the whole comes last
        _, out = bench.ask("process", plugin=PLUGIN, weights=folder, media=files)
        bench.check(f"{PLUGIN}, {kind.__name__}, tiles to the bit, {settings}", sorted(out) == sorted(expected) and all(torch.equal(out[name], expected[name]) for name in expected), f"{len(expected)} parts")
    written = json.loads((folder / "preprocessor_config.json").read_text())
    for key, value, word in [("size", {"height": 28, "width": 28}, "longest_edge"), ("max_image_size", {"longest_edge": 0}, "longest_edge"), ("size", {"longest_edge": 5000}, "4096"), ("do_resize", False, "do_resize"), ("do_rescale", False, "do_rescale"), ("rescale_factor", 1.0, "rescale_factor"),
                             ("image_processor_type", "SiglipImageProcessor", "image_processor_type"), ("resample", 0, "resample"), ("image_std", [1, 0, 1], "image_std")]:
        (folder / "preprocessor_config.json").write_text(json.dumps({**written, key: value}))
        bench.refused(f"{PLUGIN} refuses {key} = {value}", word, "process", plugin=PLUGIN, weights=folder, media=[])


def directory(bench, **settings):
    """A tower with files of pictures and videos; (folder, the video processor)."""
    folder = bench.new_folder()
    SmolVLMVisionTransformer(SmolVLMVisionConfig(**TOWER)).save_pretrained(folder)
    SmolVLMImageProcessorPil(size={"longest_edge": 112}, max_image_size={"longest_edge": 28}).save_pretrained(folder)
    processor = SmolVLMVideoProcessor(max_image_size={"longest_edge": 28}, **settings)
    processor.save_pretrained(folder)
    return folder, processor


def length_of(frames, rate):
    return VideoMetadata(total_num_frames=frames, fps=rate, duration=frames / rate)


def frames(bench):
    """Which of 500 videos, by number and by time, and of which size; files of both forms, and what they may not say."""
    folder, processor = directory(bench, size={"longest_edge": 61}, num_frames=12, fps=2)
    generator = random.Random(5)
    videos = [[int(10 ** generator.uniform(0, 3.7)), generator.choice([1, 2, 12.5, 23.976, 24, 25, 30000 / 1001, 60]), int(10 ** generator.uniform(0.5, 3)), int(10 ** generator.uniform(0.5, 3))] for _ in range(500)]
    for wish, named_so in [({}, dict(num_frames=12, fps=2)), ({"frames_per_second": 0.7}, dict(num_frames=12, fps=0.7)), ({"frames_per_second": 30}, dict(num_frames=12, fps=30)), ({"frames": 7}, dict(num_frames=7, fps=2))]:
        got = bench.ask("frames", plugin=PLUGIN, weights=folder, videos=videos, **wish)[0]["choices"]
        wrong, compared = [], 0
        for one, choice in zip(videos, got, strict=True):
            if "frames" in wish and (round(2 * one[0] / one[1]) < 7 or one[0] < 7):  # there fewer, as two a second are no more
                continue
            theirs = {"numbers": processor.sample_frames(length_of(*one[:2]), **named_so).tolist(), "step": 1}
            theirs["height"], theirs["width"] = frame_size(torch.empty(1, 3, *one[2:], device="meta"), 61)
            compared += 1
            if choice != theirs:
                wrong.append((one, choice, theirs))
        bench.check(f"{PLUGIN}, frames and sizes of {compared} videos, {wish or 'by default'}", not wrong and compared > 250, wrong[:2] or "")
    short = bench.ask("frames", plugin=PLUGIN, weights=folder, videos=[[3, 25, 40, 56], [0, 25, 40, 56], [3, 0, 40, 56], [3, 25, 0, 56]], frames=7)[0]["choices"]
    bench.check(f"{PLUGIN}, a video with fewer frames than are asked for gives all; one without frames, rate or size is refused", short[0]["numbers"] == [0, 1, 2] and short[1:] == [None] * 3, short)
    written = json.loads((folder / "video_preprocessor_config.json").read_text())
    for key, value in [("image_mean", [0.1, 0.2, 0.3]), ("max_image_size", {"longest_edge": 56}), ("video_processor_type", "Qwen3VLVideoProcessor"), ("do_resize", False), ("rescale_factor", 1.0), ("size", {"height": 28, "width": 28}), ("fps", -1)]:
        (folder / "video_preprocessor_config.json").write_text(json.dumps({**written, key: value}))
        bench.refused(f"{PLUGIN} refuses {key} = {value} of videos", key, "frames", plugin=PLUGIN, weights=folder, videos=[])
    # As it was published: one file, in which the rate stands in a table of its own and the size of pictures goes before that.
    (folder / "video_preprocessor_config.json").unlink()
    pictures = json.loads((folder / "preprocessor_config.json").read_text())
    for form, edge in [({"video_sampling": {"fps": 2, "max_frames": 12, "video_size": {"longest_edge": 50}}}, 112), ({"size": None, "video_sampling": {"fps": 2, "max_frames": 12, "video_size": {"longest_edge": 50}}}, 50)]:
        (folder / "preprocessor_config.json").write_text(json.dumps({**pictures, **form}))
        got = bench.ask("frames", plugin=PLUGIN, weights=folder, videos=videos[:50])[0]["choices"]
        wanted = [(processor.sample_frames(length_of(*one[:2]), num_frames=12, fps=2).tolist(), *frame_size(torch.empty(1, 3, *one[2:], device="meta"), edge)) for one in videos[:50]]
        bench.check(f"{PLUGIN}, video_sampling, a longest edge of {edge}", [(one["numbers"], one["height"], one["width"]) for one in got] == wanted)


def texts(bench, reference):
    """What the processor writes for videos of many lengths, and what frames become."""
    processor, single = reference.full_processor(), get_image_prompt_string(0, 0, 4, FAKE, "<image>", WHOLE)
    folder, own = directory(bench, size={"longest_edge": 28}, num_frames=12, fps=2)
    for count, rate in [(1, 25.0), (2, 0.5), (12, 1.0), (19, 0.3), (21, 0.5), (90, 30.0), (100, 24.0), (101, 0.01), (119, 0.001), (600, 25.0), (1000, 0.004), (1001, 25.0), (1234, 12.5)]:
        clip = torch.from_numpy(np.stack([picture(4, 4, seed=i % 7) for i in range(count)]))
        answer, out = bench.ask("video", {"frames": clip}, plugin=PLUGIN, weights=folder, per_second=rate, frames=count)
        metadata = VideoMetadata(total_num_frames=count, fps=rate, duration=count / rate, frames_indices=list(answer["choice"]["numbers"]))
        written = processor.replace_video_token({"pixel_values": torch.empty(1, count, 3, 1, 1, device="meta"), "video_metadata": [metadata]}, 0)
        ours = single.join(answer["texts"])
        bench.check(f"{PLUGIN}, the text of {count} frames, {rate} a second", ours == written and len(out) == count, "" if ours == written else (ours[:200], written[:200]))
    for height, width, edge in [(28, 28, 28), (37, 61, 50), (90, 33, 100), (8, 8, 61)]:
        folder, own = directory(bench, size={"longest_edge": edge}, num_frames=12, fps=2)
        clip = np.stack([picture(height, width, seed=i) for i in range(5)])
        answer, out = bench.ask("video", {"frames": torch.from_numpy(clip)}, plugin=PLUGIN, weights=folder, per_second=2.0)
        like = SmolVLMImageProcessorPil(size={"longest_edge": edge}, max_image_size={"longest_edge": 28}, do_image_splitting=False)
        expected = {f"{i}.0": torch.tensor(np.asarray(like(Image.fromarray(clip[number]), return_tensors="np")["pixel_values"]))[0, 0] for i, number in enumerate(answer["choice"]["numbers"])}
        bench.check(f"{PLUGIN}, frames of {width} x {height} as pictures that are not cut", sorted(out) == sorted(expected) and all(torch.equal(out[name], expected[name]) for name in expected), f"{len(expected)} frames")
        if (height, width) == (28, 28):  # torchvision of that version resizes by another filter
            theirs = own(videos=[clip[answer["choice"]["numbers"]]], return_tensors="pt")["pixel_values"][0]
            bench.compare(f"{PLUGIN}, frames that need no resizing", {"y": torch.stack([out[f"{i}.0"] for i in range(len(theirs))])}, {"y": theirs})


class SmolVlm(Pictures):
    """Pictures in up to 2 x 2 tiles of four vectors; videos."""
    name, architecture, token = "smolvlm", SmolVLMForConditionalGeneration, "<image>"
    specials = ["<image>", FAKE, WHOLE, *(f"<row_{row}_col_{column}>" for row in (1, 2) for column in (1, 2))]
    names, llm, projector, visual, textual = {}, "model.text_model.", "modality_projection", "vision_model", "text_model"
    template = TEMPLATE.replace("<image>{{ '\\n' }}", "<image>").replace("{% elif part.type == 'audio' %}", "{% elif part.type == 'video' %}<video>{% elif part.type == 'audio' %}")
    samples = Pictures.samples + [
        turns(("user", [video("v.mov"), text("What is this?")]), ("assistant", "A fire engine.")),
        turns(("user", [text("First "), image("a.png"), text(" then "), video("v.mov"), image("b.png")]), ("assistant", "Both."), ("user", "Are you sure?"), ("assistant", "Yes!"))]
    config, vision_config, pictures = SmolVLMConfig, SmolVLMVisionConfig, SmolVLMImageProcessorPil
    tower, scale, longest, edge, split, tied, more = TOWER, 2, 56, 28, True, False, {}
    published = None  # the template that the processor is given, if that is not the directory's

    def __init__(self, bench):
        self.clip = np.stack([picture(28, 28, seed=i) for i in range(9)])
        self.video_processor = SmolVLMVideoProcessor(size={"longest_edge": 28}, max_image_size={"longest_edge": self.edge}, num_frames=4, fps=1)
        super().__init__(bench)
        write_video(self.folder / "v.mov", self.clip, 3)
        self.video_processor.save_pretrained(self.folder)

    def image_processor(self):
        return self.pictures(size={"longest_edge": self.longest}, max_image_size={"longest_edge": self.edge}, do_image_splitting=self.split)

    def make_processor(self):
        return self.image_processor()

    def full_processor(self):
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=self.tokenizer.backend_tokenizer, chat_template=self.template)
        return SmolVLMProcessor(self.image_processor(), tokenizer, self.video_processor, image_seq_len=4, chat_template=self.template)

    def make_model(self, changes):
        text_config = LlamaConfig(**{**changes, "rms_norm_eps": 1e-5, "tie_word_embeddings": self.tied, "pad_token_id": None, **self.more})
        return self.architecture(self.config(vision_config=self.vision_config(**self.tower), text_config=text_config, image_token_id=self.media_id, scale_factor=self.scale, tie_word_embeddings=self.tied))

    def numbers(self):
        return self.video_processor.sample_frames(length_of(len(self.clip), 3.0), num_frames=4, fps=1).tolist()

    def timed(self):
        """A video as its frames with what is written before them, and after the last."""
        numbers = self.numbers()
        metadata = VideoMetadata(total_num_frames=len(self.clip), fps=3.0, duration=len(self.clip) / 3.0, frames_indices=numbers)
        written = self.full_processor().replace_video_token({"pixel_values": torch.empty(1, len(numbers), 3, 1, 1), "video_metadata": [metadata]}, 0)
        *before, after = written.split(get_image_prompt_string(0, 0, 4, FAKE, "<image>", WHOLE))
        return [one for number, words in zip(numbers, before, strict=True) for one in (text(words), {"type": "image", "frame": number})] + [text(after)]

    def guarded(self, sample, answer):
        messages, _ = super().guarded(sample, answer)
        messages = [{**message, "content": [one for part in message["content"] for one in (self.timed() if part["type"] == "video" else [part])]} for message in messages]
        return messages, [part for message in messages for part in message["content"] if part["type"] != "text"]

    def encode_media(self, media):
        """The tiles of all in one row, and what is written for each."""
        pixels, written = [], []
        for part in media:
            one = Image.fromarray(self.clip[part["frame"]]) if "frame" in part else Image.open(self.folder / part["image"])
            how = {"do_image_splitting": False, "size": {"longest_edge": 28}} if "frame" in part else {}
            out = self.processor(images=[[one]], return_row_col_info=True, return_tensors="pt", **how)
            pixels.append(out["pixel_values"])
            written.append(get_image_prompt_string(out["rows"][0][0], out["cols"][0][0], 4, FAKE, "<image>", WHOLE))
        return ({"pixel_values": torch.cat(pixels, 1)} if pixels else {}), written

    def expanded(self, ids, mask, counts):
        """Texts among embeddings stand between special tokens, and become tokens by themselves; the last one is text of the prompt."""
        out, supervised, spans, written = [], [], [], iter(counts)
        for token, on in zip(ids, mask or [0] * len(ids)):
            new = [token]
            if token == self.media_id:
                new = [0 if one == self.media_id else one for one in self.tokenizer(next(written), add_special_tokens=False)["input_ids"]]
                spans.append([len(out), len(new) - 1])
            out += new
            supervised += [on] * len(new)
        return torch.tensor(out), torch.tensor(supervised).bool(), spans

    def processed(self, sample):
        """Ids as the family's processor makes them of what the directory's template writes, with 0 for media."""
        processor = self.full_processor()
        media = [part for message in sample["messages"] if isinstance(message["content"], list) for part in message["content"] if part["type"] != "text"]
        messages = [{**message, "content": message["content"] if isinstance(message["content"], list) else [text(message["content"])]} for message in sample["messages"]]
        written = processor.tokenizer.apply_chat_template(messages, tokenize=False, chat_template=self.published)
        given = {}
        if any(part["type"] == "image" for part in media):
            given["images"] = [[Image.open(self.folder / part["image"]) for part in media if part["type"] == "image"]]
        if any(part["type"] == "video" for part in media):
            given |= dict(videos=[self.clip for part in media if part["type"] == "video"], video_metadata=[dict(total_num_frames=len(self.clip), fps=3.0, duration=len(self.clip) / 3.0)], do_sample_frames=True, num_frames=4, fps=1)
        ids = torch.as_tensor(processor(text=[written], return_tensors="pt", **given)["input_ids"]).flatten()
        return torch.where(ids == self.media_id, 0, ids)


CHAT = ("<|im_start|>{% for message in messages %}{% if message['role'] == 'assistant' %}Assistant:{% generation %}{{ ' ' }}{% for line in message['content'] %}{{ line['text'] }}{% endfor %}<|im_end|>{% endgeneration %}"
        "{% else %}{{ message['role'] | capitalize }}{% if message['content'][0]['type'] == 'image' %}{{ ':' }}{% else %}{{ ': ' }}{% endif %}"
        "{% for line in message['content'] %}{% if line['type'] == 'text' %}{{ line['text'] }}{% elif line['type'] == 'image' %}{{ '<image>' }}{% elif line['type'] == 'video' %}{{ '<video>' }}{% endif %}{% endfor %}<|im_end|>{% endif %}"
        "{{ '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}")


class SmolVlmWhole(SmolVlm):
    """As SmolVLM2 writes conversations; pictures that are not cut, one head of keys."""
    name, split, more = "smolvlm, whole pictures", False, dict(num_key_value_heads=1)
    template = plain_template = CHAT
    published = DEFAULT_CHAT_TEMPLATE.replace("<end_of_utterance>", "<|im_end|>")


class Idefics3(SmolVlm):
    """Tied, as many heads of keys, up to 3 x 3 tiles, of which some have no token of their own, squares of three; no videos."""
    name, architecture, config, vision_config, pictures = "idefics3", Idefics3ForConditionalGeneration, Idefics3Config, Idefics3VisionConfig, Idefics3ImageProcessorPil
    tower, scale, longest, edge, tied, more = dict(TOWER, image_size=56, num_attention_heads=2), 3, 126, 42, True, dict(num_key_value_heads=4, head_dim=16)
    samples = Pictures.samples

    def full_processor(self):
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=self.tokenizer.backend_tokenizer, chat_template=self.template)
        return Idefics3Processor(self.image_processor(), tokenizer, image_seq_len=4, chat_template=self.template)


def old_form(bench, reference):
    """The files as they were published: the tower's table with the whole's type, or none, keys that are not read, one file of processing."""
    hidden = ask(bench, reference, reference.samples)[1]["hidden"]
    config, pictures = (json.loads((reference.folder / f"{name}.json").read_text()) for name in ("config", "preprocessor_config"))
    own = reference.folder / "video_preprocessor_config.json"
    videos = own.read_text()
    text_config = {**config["text_config"], "is_llama_config": True, "perceiver_config": {"model_type": "vllama3"}, "pixel_shuffle_factor": 2, "qk_layer_norms": False, "use_resampler": False, "rope_interleaved": False, "neftune_noise_alpha": 0.0}
    for type in (config["model_type"], None):
        tower = {**config["vision_config"], "model_type": type, "max_image_size": {"longest_edge": 28}, "size": {"longest_edge": 56}, "use_base_siglip": False}
        (reference.folder / "config.json").write_text(json.dumps({**config, "text_config": text_config, "vision_config": tower, "use_reentrant_checkpointing": False, "image_seq_len": 4}))
        (reference.folder / "preprocessor_config.json").write_text(json.dumps({**pictures, "video_sampling": {"fps": 1, "max_frames": 4, "video_size": {"longest_edge": 28}}}))
        own.unlink(missing_ok=True)
        samples = [sample for sample in reference.samples if "v.mov" not in str(sample)]  # whose frames are of another size
        _, out = ask(bench, reference, samples)
        bench.compare(f"{reference.name}: files as they were published, the tower's type {type}", {"hidden": out["hidden"]}, {"hidden": hidden[:len(out["hidden"])]})
    for name, written in (("config", config), ("preprocessor_config", pictures)):
        (reference.folder / f"{name}.json").write_text(json.dumps(written))
    own.write_text(videos)


def refusals(bench, reference):
    path = reference.folder / "config.json"
    written = json.loads(path.read_text())
    for key, value, word in [("scale_factor", 3, "another shape"), ("scale_factor", 0, "scale_factor"), ("use_resampler", True, "use_resampler"), ("text_config", {**written["text_config"], "qk_layer_norms": True}, "qk_layer_norms"),
                             ("text_config", {**written["text_config"], "model_type": "bloom"}, "which no language_model plugin reads"), ("vision_config", {**written["vision_config"], "model_type": "siglip2"}, "which no encoder plugin reads")]:
        path.write_text(json.dumps({**written, key: value}))
        bench.refused(f"smolvlm refuses {key} = {str(value)[:20]}", word, "model", model=reference.table(), samples=named(reference.samples[3:4]), folder=reference.folder)
    path.write_text(json.dumps(written))
    bench.refused("texts of tiles want parts that are apart", "tile_begin", "model", model=reference.table(more='streams.image.row_break = "<image>"\n'), samples=named(reference.samples[3:4]), folder=reference.folder)


def sizes(bench):
    """At the sizes of published models."""
    base = dict(hidden_size=768, image_size=512, num_attention_heads=12, patch_size=16)
    so400m = dict(hidden_size=1152, image_size=384, intermediate_size=4304, num_attention_heads=16, num_hidden_layers=27, patch_size=14)
    small = dict(vocab_size=49280, head_dim=64, rms_norm_eps=1e-5, pad_token_id=2)
    for name, kind, tower, language, scale in [("SmolVLM2-256M", SmolVlm, base, LlamaConfig(**small, hidden_size=576, intermediate_size=1536, num_hidden_layers=30, num_attention_heads=9, num_key_value_heads=3), 4),
                                               ("SmolVLM2-500M", SmolVlm, base, LlamaConfig(**small, hidden_size=960, intermediate_size=2560, num_hidden_layers=32, num_attention_heads=15, num_key_value_heads=5), 4),
                                               ("SmolVLM2-2.2B", SmolVlm, so400m, LlamaConfig(**small, hidden_size=2048, intermediate_size=8192, num_hidden_layers=24, num_attention_heads=32, num_key_value_heads=32), 3),
                                               ("Idefics3-8B", Idefics3, {**so400m, "image_size": 364}, LlamaConfig(vocab_size=128259, hidden_size=4096, intermediate_size=14336, num_hidden_layers=32, num_attention_heads=32, num_key_value_heads=8, pad_token_id=128002), 2)]:
        published = {"SmolVLM2-256M": 256_484_928, "SmolVLM2-500M": 507_482_304}.get(name)
        counted(bench, f"{kind.name}, {name}", kind.config(vision_config=kind.vision_config(**tower), text_config=language, scale_factor=scale, tie_word_embeddings=False), kind.architecture, published)


def run(bench):
    towers(bench)
    places(bench)
    tiles(bench)
    pixels(bench)
    frames(bench)
    sizes(bench)
    for kind in (SmolVlm, SmolVlmWhole, Idefics3):
        reference = family(bench, kind)
        layout(bench, reference)
        if kind is SmolVlm:
            compare(bench, "smolvlm, a video", reference, [reference.samples[4]])
            texts(bench, reference)
            old_form(bench, reference)
            refusals(bench, reference)
        adapted(bench, reference)
