"""How qwen2_vl_vision and qwen3_vl_vision take videos, against transformers' video processors on frames given as arrays:
which frames, their sizes, the parts that they become, where these stand in time, and the text before them."""
import json
import random
import types

import numpy as np
import torch
from PIL import Image
from transformers import Qwen3VLProcessor
from transformers.image_utils import SizeDict
from transformers.models.qwen2_vl.video_processing_qwen2_vl import Qwen2VLVideoProcessor, smart_resize
from transformers.models.qwen3_vl.video_processing_qwen3_vl import Qwen3VLVideoProcessor
from transformers.models.qwen3_vl.video_processing_qwen3_vl import smart_resize as smart_resize_of_clip
from transformers.video_utils import VideoMetadata

from . import grid_towers
from .processors import picture

SMALL = dict(patch_size=4, do_sample_frames=True)
KINDS = {  # plugin -> tower, processor, a few settings
    "qwen2_vl_vision": ("Qwen2.5-VL, windows", Qwen2VLVideoProcessor, {"bounds": dict(fps=2, size={"shortest_edge": 256, "longest_edge": 4096}),
                                                                       "few frames, capped": dict(fps=3, min_frames=2, max_frames=9, cap_pixels_per_frame=True, max_video_tokens=40, size={"shortest_edge": 64, "longest_edge": 9000}),
                                                                       "by number": dict(num_frames=6, size={"shortest_edge": 64, "longest_edge": 2000})}),
    "qwen3_vl_vision": ("Qwen3-VL, taps", Qwen3VLVideoProcessor, {"bounds": dict(fps=2, size={"shortest_edge": 256, "longest_edge": 40960}),
                                                                   "few frames, capped": dict(fps=3, min_frames=2, max_frames=9, cap_pixels_per_frame=True, max_video_tokens=12, size={"shortest_edge": 64, "longest_edge": 9000}),
                                                                   "by number": dict(fps=None, num_frames=6, size={"shortest_edge": 64, "longest_edge": 8000})}),
}


def directory(bench, plugin, settings):
    tower, kind, _ = KINDS[plugin]
    folder = bench.new_folder()
    grid_towers.tower(folder, *grid_towers.VARIANTS[tower])
    config = json.loads((folder / "config.json").read_text())
    if "tokens_per_second" in config:
        (folder / "config.json").write_text(json.dumps({**config, "tokens_per_second": 3}))
    processor = kind(**SMALL, **settings)
    processor.save_pretrained(folder)
    return folder, processor


def some_videos(generator, count):
    """[frames, frames a second, height, width]"""
    rates = [1, 2, 5, 10, 12.5, 15, 23.976, 24, 24000 / 1001, 25, 29.97, 30, 30000 / 1001, 50, 59.94, 60]
    videos = [[n, rate, 40, 56] for n in range(2, 12) for rate in (1, 2, 3.2, 25)]
    while len(videos) < count:
        videos.append([int(10 ** generator.uniform(0.35, 3.4)), generator.choice(rates), int(10 ** generator.uniform(0.5, 3)), int(10 ** generator.uniform(0.5, 3))])
    return videos


def expected_of(processor, plugin, video, wish):
    """Frames, height and width; None if it refuses the video."""
    frames, rate, height, width = video
    metadata = VideoMetadata(total_num_frames=frames, fps=rate)
    try:
        own = {"fps": processor.fps, "num_frames": processor.num_frames}
        if wish:
            processor.fps = processor.num_frames = None
        numbers = processor.sample_frames(metadata=metadata, **(wish or own))
        processor.fps, processor.num_frames = own["fps"], own["num_frames"]
        numbers = [int(number) for number in numbers]
        if numbers[-1] >= frames:
            raise ValueError("its steps, rounded down, make one more, which the video does not have")
        seen = types.SimpleNamespace(shape=(1, len(numbers), 3, height, width))
        sizes = []
        inner = type(processor).__mro__[1].resize
        type(processor).__mro__[1].resize = lambda self, image, size, resample, **more: sizes.append((size.height, size.width))
        try:
            processor.resize(seen, size=SizeDict(shortest_edge=processor.size["shortest_edge"], longest_edge=processor.size["longest_edge"]), resample=3, factor=8, temporal_factor=2, cap_pixels_per_frame=processor.cap_pixels_per_frame)
        finally:
            type(processor).__mro__[1].resize = inner
        return {"numbers": numbers, "height": sizes[0][0], "width": sizes[0][1]}
    except (ValueError, ZeroDivisionError):
        processor.fps, processor.num_frames = own["fps"], own["num_frames"]
        return None


def choices(bench):
    """500 videos each: lengths, rates and sizes; and what is asked for instead."""
    for plugin, (_, _, settings) in KINDS.items():
        for name, setting in settings.items():
            folder, processor = directory(bench, plugin, setting)
            videos = some_videos(random.Random(name), 500)
            for wish in ({}, {"fps": 4.0}, {"num_frames": 8}):
                wanted = [expected_of(processor, plugin, video, wish) for video in videos]
                asked = {"frames_per_second": wish["fps"]} if "fps" in wish else {"frames": wish["num_frames"]} if wish else {}
                got = bench.ask("frames", plugin=plugin, weights=folder, videos=videos, **asked)[0]["choices"]
                # Ours also takes a video that has fewer frames than are asked for, and each of them once.
                pairs = [(video, one, other) for video, one, other in zip(videos, got, wanted) if other and len(set(other["numbers"])) == len(other["numbers"])]
                wrong = [pair for pair in pairs if not pair[1] or {key: pair[1][key] for key in pair[2]} != pair[2]]
                bench.check(f"videos, {plugin}, {name}{', ' if wish else ''}{wish or ''}: frames and sizes of {len(pairs)}, {len(videos) - len(pairs)} are too short there", not wrong and len(pairs) > 200, wrong[:2])
                if plugin == "qwen2_vl_vision":
                    steps = [float(torch.tensor(3) * torch.tensor(2 / VideoMetadata(total_num_frames=video[0], fps=video[1], frames_indices=other["numbers"]).sampled_fps)) for video, _, other in pairs]
                    wrong = [pair[0] for pair, step in zip(pairs, steps) if pair[1]["step"] != step]
                    bench.check(f"videos, {plugin}, {name}{', ' if wish else ''}{wish or ''}: seconds between parts", not wrong, wrong[:3])
                else:
                    bench.check(f"videos, {plugin}, {name}{', ' if wish else ''}{wish or ''}: parts are their own media", all(pair[1]["step"] == 1 for pair in pairs))
            refused = bench.ask("frames", plugin=plugin, weights=folder, videos=[[8, 2, 8, 8 * 201], [8, 2, 0, 8], [0, 2, 8, 8], [8, 0, 8, 8], [8, -1, 8, 8]])[0]["choices"]
            bench.check(f"videos, {plugin}, {name}: too long a shape, no frames, no rate are refused", refused == [None] * 5, refused)


def pixels(bench):
    """Frames of arrays: those of the processor, exactly if they need no resizing; else those that Pillow resizes, exactly, as torchvision rounds otherwise on the way."""
    for plugin, (_, _, settings) in KINDS.items():
        for name, setting in settings.items():
            folder, processor = directory(bench, plugin, setting)
            for count, rate, height, width in [(9, 3.0, 24, 40), (5, 2.0, 16, 24), (7, 2.0, 37, 61), (30, 30.0, 90, 33), (2, 25.0, 8, 8)]:
                array = np.stack([picture(height, width, seed=i) for i in range(count)])
                try:
                    theirs = processor(videos=[array], video_metadata=[dict(total_num_frames=count, fps=rate)], return_metadata=True, return_tensors="pt")
                except (ValueError, ZeroDivisionError):
                    continue  # fewer frames than are asked for
                if len(set(map(int, theirs["video_metadata"][0].frames_indices))) < len(theirs["video_metadata"][0].frames_indices):
                    continue
                answer, out = bench.ask("video", {"frames": torch.from_numpy(array)}, plugin=plugin, weights=folder, per_second=rate)
                t, rows, columns = theirs["video_grid_thw"][0].tolist()
                patches = theirs["pixel_values_videos"].view(t, rows * columns, 3, 2, 4, 4)[:, grid_towers.squares_first(rows, columns, 2).argsort()]
                wanted = patches.view(t, rows, columns, 3, 2, 4, 4).permute(0, 4, 3, 1, 5, 2, 6).reshape(t, 2, 3, 4 * rows, 4 * columns)
                ours = torch.stack([out[f"0.{i}"] if plugin == "qwen2_vl_vision" else out[f"{i}.0"] for i in range(t)])
                same = (answer["choice"]["height"], answer["choice"]["width"]) == (height, width)
                mean, std = (torch.tensor(values).view(3, 1, 1) * 255 for values in (processor.image_mean, processor.image_std))
                far = ((ours - wanted).abs() * std).mean().item() if ours.shape == wanted.shape else float("inf")
                if not same:
                    taken = [int(number) for number in theirs["video_metadata"][0].frames_indices]
                    resized = [torch.from_numpy(np.asarray(Image.fromarray(array[n]).resize((4 * columns, 4 * rows), Image.BICUBIC)).copy()).permute(2, 0, 1) for n in taken + taken[-1:] * (len(taken) % 2)]
                    wanted = ((torch.stack(resized) - mean) / std).view(t, 2, 3, 4 * rows, 4 * columns)
                off = ((ours - wanted).abs() * std).max().item() if ours.shape == wanted.shape else float("inf")
                case = f"videos, {plugin}, {name}, {count} frames of {width} x {height} at {rate} a second: {t} x {rows} x {columns}"
                bench.check(case, len(out) == t and off <= 1e-3 and far <= 0.3, f"off by {off:.4f} of 255, from the processor by {far:.3f} in the mean")
                if plugin == "qwen3_vl_vision":
                    said = Qwen3VLProcessor._calculate_timestamps(None, [int(n) for n in theirs["video_metadata"][0].frames_indices], rate, 2)
                    bench.check(f"{case}: times", answer["texts"] == [f"<{time:.1f} seconds>" for time in said], answer["texts"])
                else:
                    bench.check(f"{case}: one medium without a text", answer["texts"] == [""])


def fallback(bench):
    """Without a file of its own, a video has the bounds of pictures, by any of their names; what differs from pictures is refused."""
    folder, _ = directory(bench, "qwen2_vl_vision", dict(fps=2))
    video = json.loads((folder / "video_preprocessor_config.json").read_text())
    (folder / "video_preprocessor_config.json").unlink()
    base = {"patch_size": 4, "image_processor_type": "Qwen2VLImageProcessor"}
    for form in [{"min_pixels": 640, "max_pixels": 1920}, {"size": {"shortest_edge": 640, "longest_edge": 1920}}, {"size": {"shortest_edge": 1, "longest_edge": 70}, "min_pixels": 640, "max_pixels": 1920}]:
        (folder / "preprocessor_config.json").write_text(json.dumps({**base, **form}))
        got = bench.ask("frames", plugin="qwen2_vl_vision", weights=folder, videos=[[4, 2, 100, 70], [4, 2, 10, 14]])[0]["choices"]
        wanted = [list(smart_resize(*size, 8, 640, 1920)) for size in ((100, 70), (10, 14))]
        bench.check(f"videos, bounds of pictures, {' and '.join(form)}", [[one["height"], one["width"]] for one in got] == wanted, got)
    nested = {"image_processor": {**base, "min_pixels": 64, "max_pixels": 6400}, "video_processor": {**video, "size": {"shortest_edge": 640, "longest_edge": 1920}}}
    (folder / "processor_config.json").write_text(json.dumps(nested))
    got = bench.ask("frames", plugin="qwen2_vl_vision", weights=folder, videos=[[4, 2, 100, 70]])[0]["choices"]
    bench.check("videos, bounds of processor_config.json", [got[0]["height"], got[0]["width"]] == list(smart_resize(100, 70, 8, 640, 1920)), got)
    (folder / "processor_config.json").unlink()
    for key, value in [("image_mean", [0.1, 0.2, 0.3]), ("resample", 2), ("patch_size", 14), ("video_processor_type", "Qwen3VLVideoProcessor"), ("do_resize", False), ("fps", -1), ("rescale_factor", 1.0)]:
        (folder / "video_preprocessor_config.json").write_text(json.dumps({**video, key: value}))
        bench.refused(f"videos, qwen2_vl_vision refuses {key} = {value}", key, "frames", plugin="qwen2_vl_vision", weights=folder, videos=[])
    small = smart_resize_of_clip(4, 5, 90, temporal_factor=2, factor=8, min_pixels=64, max_pixels=9000)
    folder, _ = directory(bench, "qwen3_vl_vision", dict(fps=2, size={"shortest_edge": 64, "longest_edge": 9000}))
    got = bench.ask("frames", plugin="qwen3_vl_vision", weights=folder, videos=[[4, 2, 5, 90]])[0]["choices"][0]
    bench.check("videos, qwen3_vl_vision: frames lower than a square", (got["height"], got["width"]) == small, got)


def run(bench):
    choices(bench)
    pixels(bench)
    fallback(bench)
