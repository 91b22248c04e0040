"""What an encoder's process() makes of files against BitImageProcessor (the Pillow path) and WhisperFeatureExtractor."""
import json
import wave

import numpy as np
import torch
from PIL import Image
from transformers import (BitImageProcessorPil, CLIPImageProcessorPil, Gemma3ImageProcessorPil, LlavaNextImageProcessorPil, ParakeetFeatureExtractor, SiglipImageProcessorPil, ViTImageProcessorPil,
                          WhisperFeatureExtractor)

from . import tiny


def picture(height, width, seed):
    """Waves with an edge and noise."""
    y, x = np.mgrid[0:height, 0:width]
    rng = np.random.default_rng(seed)
    waves = np.stack([127 + 120 * np.sin(x / (5 + 3 * c) + y / (9 - c) + c) for c in range(3)], -1) + rng.normal(0, 6, (height, width, 3))
    waves[height // 3: height // 2, width // 4: width // 2] = 250 - waves[height // 3: height // 2, width // 4: width // 2]
    return waves.clip(0, 255).astype(np.uint8)


def write_wav(path, samples):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1), file.setsampwidth(2), file.setframerate(16000)
        file.writeframes(samples.astype("<i2").tobytes())


def speech(seconds, seed):
    """16-bit samples at 16 kHz: gliding harmonics in bursts, with noise."""
    rng = np.random.default_rng(seed)
    t = np.arange(int(seconds * 16000)) / 16000
    tone = sum(np.sin(2 * np.pi * k * (120 + 30 * np.sin(2 * t)) * t) / k for k in range(1, 9))
    return (6000 * tone * (np.sin(3 * t) > -0.3) + rng.normal(0, 80, t.shape)).clip(-32768, 32767).astype(np.int16)


def towers(bench):
    """clip and siglip: their processors' defaults, and sizes as old files write them."""
    for plugin, build, processor in [("clip", tiny.clip, CLIPImageProcessorPil(size={"shortest_edge": 30}, crop_size={"height": 28, "width": 28})), ("siglip", tiny.siglip, SiglipImageProcessorPil(size={"height": 28, "width": 28})),
                                     ("siglip", tiny.siglip, Gemma3ImageProcessorPil(size={"height": 28, "width": 28}))]:
        folder = bench.new_folder()
        build(folder)
        processor.save_pretrained(folder)
        files, expected = [], {}
        for i, size in enumerate([(97, 61), (28, 28), (40, 300), (20, 22)]):
            files.append(str(folder / f"{i}.png"))
            Image.fromarray(picture(*size, seed=i)).save(files[-1])
            expected[f"{i}.0"] = torch.tensor(processor(Image.open(files[-1]), return_tensors="np")["pixel_values"][0])
        _, out = bench.ask("process", plugin=plugin, weights=folder, media=files)
        gemma3 = isinstance(processor, Gemma3ImageProcessorPil)
        bench.compare(f"images, {plugin}{' of Gemma 3' * gemma3}", out, expected, limit=1e-6)
        if gemma3:
            bench.check("images, siglip of Gemma 3: to the bit", all(torch.equal(out[key], expected[key]) for key in expected), f"{len(expected)} pictures")
            config = json.loads((folder / "preprocessor_config.json").read_text())
            (folder / "preprocessor_config.json").write_text(json.dumps({**config, "do_pan_and_scan": True}))
            bench.refused("images, siglip refuses do_pan_and_scan", "do_pan_and_scan", "process", plugin=plugin, weights=folder, media=[])
        if plugin == "clip":
            config = json.loads((folder / "preprocessor_config.json").read_text())
            (folder / "preprocessor_config.json").write_text(json.dumps({**config, "size": 30, "crop_size": 28}))
            _, out = bench.ask("process", plugin=plugin, weights=folder, media=files)
            bench.compare("images, clip, sizes as numbers", out, expected, limit=1e-6)


PINPOINTS = [[28, 56], [56, 28], [56, 56], [84, 28], [28, 84]]


def tiled(bench):
    """The whole picture and its tiles, as LLaVA-NeXT makes them."""
    folder = bench.new_folder()
    tiny.clip(folder)
    processor = LlavaNextImageProcessorPil(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28}, image_grid_pinpoints=PINPOINTS)
    processor.save_pretrained(folder)
    files, expected = [], {}
    for i, size in enumerate([(97, 61), (28, 28), (40, 300), (300, 41), (20, 22), (56, 56), (33, 100), (57, 113)]):
        files.append(str(folder / f"{i}.png"))
        Image.fromarray(picture(*size, seed=i)).save(files[-1])
        for part, pixels in enumerate(processor(Image.open(files[-1]), return_tensors="np")["pixel_values"][0]):
            expected[f"{i}.{part}"] = torch.tensor(pixels)
    _, out = bench.ask("process", plugin="clip", weights=folder, media=files)
    bench.compare("images, clip in tiles", out, expected, limit=1e-6)


def conformer_sounds(bench):
    folder = bench.new_folder()
    tiny.fastconformer(folder)
    extractor = ParakeetFeatureExtractor()
    extractor.save_pretrained(folder)
    files, expected = [], {}
    for i, length in enumerate([0.7, 3.21, 0.021, 1.0]):
        samples = speech(length, i)
        files.append(str(folder / f"{i}.wav"))
        write_wav(files[-1], samples)
        out = extractor(samples.astype(np.float32) / 32768, sampling_rate=16000)
        expected[f"{i}.0"] = out["input_features"][0][out["attention_mask"][0].bool()]
    _, out = bench.ask("process", plugin="fastconformer", weights=folder, media=files)
    bench.compare("sounds, fastconformer", out, expected, limit=1e-4)
    _, out = bench.ask("process", plugin="fastconformer", weights=folder, media=files[1:2], options="window = 1.5")
    bench.check("sounds, fastconformer: windows", [out[f"0.{i}"].shape[0] for i in range(len(out))] == [150, 150, 21], sorted(out))


def stretched(bench):
    folder = bench.new_folder()
    tiny.dinov2(folder)
    processor = ViTImageProcessorPil(size={"height": 42, "width": 42}, resample=2, image_mean=[0.5] * 3, image_std=[0.5] * 3)
    processor.save_pretrained(folder)
    Image.fromarray(picture(97, 61, 5)).save(folder / "a.png")
    expected = {"0.0": torch.tensor(processor(Image.open(folder / "a.png"), return_tensors="np")["pixel_values"][0])}
    _, out = bench.ask("process", plugin="dinov2", weights=folder, media=[str(folder / "a.png")])
    bench.compare("images, dinov2 stretched to a square", out, expected, limit=1e-6)


def refusals(bench):
    """Steps of a preprocessor_config.json that ours does not take are refused, never left out."""
    whole = dict(size={"shortest_edge": 64}, crop_size={"height": 56, "width": 56}, do_center_crop=True)
    for key, value in [("do_center_crop", False), ("do_normalize", False), ("rescale_factor", 1.0), ("crop_size", {"height": 56, "width": 42})]:
        folder = bench.new_folder()
        tiny.dinov2(folder)
        (folder / "preprocessor_config.json").write_text(json.dumps({**whole, key: value}))
        bench.refused(f"images, dinov2 refuses {key} = {value}", key.split("_")[0], "process", plugin="dinov2", weights=folder, media=[])
    folder = bench.new_folder()
    tiny.dinov2(folder, hidden_act="tanh")
    bench.refused("dinov2 refuses hidden_act = tanh", 'hidden_act is "tanh"; expected one of gelu', "process", plugin="dinov2", weights=folder, media=[])


def images(bench):
    for name, settings, sizes in [
            ("defaults of DINOv2", dict(size={"shortest_edge": 256}, crop_size={"height": 224, "width": 224}), [(300, 400), (97, 61), (800, 256), (256, 256)]),
            ("bilinear, other statistics", dict(size={"shortest_edge": 64}, crop_size={"height": 56, "width": 56}, resample=2, image_mean=[0.5, 0.4, 0.3], image_std=[0.2, 0.3, 0.4]), [(57, 640), (33, 32)]),
            ("crop larger than the picture", dict(size={"shortest_edge": 40}, crop_size={"height": 56, "width": 56}), [(41, 50), (80, 79)])]:
        folder = bench.new_folder()
        tiny.dinov2(folder)
        defaults = dict(resample=3, image_mean=[0.485, 0.456, 0.406], image_std=[0.229, 0.224, 0.225])
        processor = BitImageProcessorPil(**{**defaults, **settings})
        processor.save_pretrained(folder)
        files, expected = [], {}
        for i, size in enumerate(sizes):
            files.append(str(folder / f"{i}.png"))
            Image.fromarray(picture(*size, seed=i)).save(files[-1])
            expected[f"{i}.0"] = torch.tensor(processor(Image.open(files[-1]), return_tensors="np")["pixel_values"][0])
        files.append(str(folder / "gray.png"))
        Image.fromarray(picture(90, 120, 9)[..., 0]).save(files[-1])
        expected[f"{len(sizes)}.0"] = torch.tensor(processor(Image.open(files[-1]).convert("RGB"), return_tensors="np")["pixel_values"][0])
        _, out = bench.ask("process", plugin="dinov2", weights=folder, media=files)
        bench.compare(f"images, dinov2, {name}", out, expected, limit=1e-6)


def sounds(bench):
    for seconds, mels in [(2, 80), (2, 128), (30, 80)]:
        folder = bench.new_folder()
        tiny.whisper(folder, max_source_positions=seconds * 50, num_mel_bins=mels)
        extractor = WhisperFeatureExtractor(feature_size=mels, chunk_length=seconds)
        files, windows, clips = [], {}, {}
        for i, length in enumerate([0.7, seconds, seconds * 2 + 0.53, 0.0131 + seconds]):
            samples = speech(length, i)
            files.append(str(folder / f"{i}.wav"))
            write_wav(files[-1], samples)
            sound = samples.astype(np.float32) / 32768
            for part, begin in enumerate(range(0, len(sound), seconds * 16000)):
                piece = sound[begin: begin + seconds * 16000]
                windows[f"{i}.{part}"] = torch.tensor(extractor(piece, sampling_rate=16000, return_tensors="np")["input_features"][0])
                own = dict(padding="longest", pad_to_multiple_of=320, truncation=False)
                if len(piece) < 640:  # the shortest clip is two vectors
                    piece = np.pad(piece, (0, 640 - len(piece)))
                clips[f"{i}.{part}"] = torch.tensor(extractor(piece, sampling_rate=16000, return_tensors="np", **own)["input_features"][0])
        for length, expected in [("window", windows), ("clip", clips)]:
            answer, out = bench.ask("process", plugin="whisper", weights=folder, media=files, options=f'length = "{length}"')
            bench.compare(f"sounds, whisper, windows of {seconds} s, {mels} mels, length {length}", out, expected)
            counts = {f"{i}.{j}": tensor.shape[1] // 2 for i, grids in enumerate(answer["grids"]) for j, tensor in enumerate([expected[f"{i}.{j}"] for j in range(len(grids))])}
            announced = {f"{i}.{j}": grid[0] * grid[1] for i, grids in enumerate(answer["grids"]) for j, grid in enumerate(grids)}
            bench.check(f"sounds, whisper, windows of {seconds} s, {mels} mels, length {length}: counts", counts == announced)


def very_short(bench):
    """Down to one sample: each as many vectors as 0.08 s, the values transformers' own for as much sound and silence."""
    from transformers import Qwen2AudioEncoder
    theirs = lambda frames: int(Qwen2AudioEncoder._get_feat_extract_output_lengths(None, torch.tensor(frames))[1])
    folder = bench.new_folder()
    tiny.whisper(folder, max_source_positions=1500)
    extractor = WhisperFeatureExtractor()
    seconds = [1 / 16000, 0.01, 0.03, 0.05, 0.069, 0.07, 0.08, 0.12]
    sounds = [speech(2, 9)[8000:][:round(length * 16000)] for length in seconds]
    files = [str(folder / f"{i}.wav") for i in range(len(sounds))]
    for file, samples in zip(files, sounds):
        write_wav(file, samples)
    answer, out = bench.ask("process", plugin="whisper", weights=folder, media=files, options='length = "masked"\npool = 2')
    counts = [grid[0][0] * grid[0][1] for grid in answer["grids"]]
    own = [theirs(-(-len(samples) // 160)) for samples in sounds]
    bench.check("sounds, whisper, masked: up to 0.06 s two vectors, where transformers has one or none", counts == [max(2, n) for n in own] and own[:5] == [0, 0, 1, 1, 2] and own[5:] == [2, 2, 3], (counts, own))
    mels = [extractor(samples.astype(np.float32) / 32768, sampling_rate=16000, return_tensors="np")["input_features"][0] for samples in sounds]
    bench.compare("sounds, whisper, masked: very short ones", out, {f"{i}.0": torch.tensor(mel[:, :out[f"{i}.0"].shape[1]]) for i, mel in enumerate(mels)})


def very_long(bench):
    """Over 30 s: windows one after the other, of which the extractor keeps the first."""
    folder = bench.new_folder()
    tiny.whisper(folder, max_source_positions=1500)
    extractor = WhisperFeatureExtractor()
    for seconds, windows in [(30.0, 1), (30.0001, 2), (61.7, 3)]:
        samples = speech(seconds, 3)
        write_wav(folder / "a.wav", samples)
        _, out = bench.ask("process", plugin="whisper", weights=folder, media=[str(folder / "a.wav")])
        sound = samples.astype(np.float32) / 32768
        cut = torch.tensor(extractor(sound, sampling_rate=16000, return_tensors="np")["input_features"][0])
        bench.check(f"sounds, whisper, {seconds} s: windows", sorted(out) == [f"0.{i}" for i in range(windows)] and cut.shape[1] == 3000, sorted(out))
        bench.compare(f"sounds, whisper, {seconds} s: the first window is what transformers keeps", {"mel": out["0.0"]}, {"mel": cut})
        rest = {f"0.{i}": torch.tensor(extractor(sound[i * 480000:], sampling_rate=16000, return_tensors="np")["input_features"][0]) for i in range(1, windows)}
        if rest:
            bench.compare(f"sounds, whisper, {seconds} s: the others are those of what is left", {name: out[name] for name in rest}, rest)


def run(bench):
    images(bench)
    very_short(bench)
    very_long(bench)
    stretched(bench)
    refusals(bench)
    sounds(bench)
    towers(bench)
    tiled(bench)
    conformer_sounds(bench)
