"""Changes of media in training against Pillow's ImageEnhance, HSV, crop and resize (what torchvision's transforms call for
pictures) byte for byte; of sounds at another speed and noise at a ratio, against their definitions; and, if they are there, against
torchvision.transforms.functional itself and torchaudio's resample and add_noise.

Usage: augment_parity.py BUILD_FOLDER
"""
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageEnhance, ImageOps

sys.path.append(str(Path(__file__).resolve().parents[2] / ".cache" / "bench-python"))
try:
    import torchaudio
except ImportError:
    torchaudio = None
try:
    import torchvision.transforms.functional as transforms
except (ImportError, RuntimeError):
    transforms = None

from media_oracle import ask, check, finish, folder, out, picture, rng


def changed(image, *words):
    image.tofile(folder / "image.rgb")
    height, width = map(int, ask(words[0], out, folder / "image.rgb", *image.shape[:2], *words[1:]))
    return np.fromfile(out, np.uint8).reshape(height, width, 3)


def turned(image, turn):
    hue, saturation, value = Image.fromarray(image).convert("HSV").split()
    hue = Image.fromarray(np.asarray(hue) + np.int32(turn * 255).astype(np.uint8))
    return np.asarray(Image.merge("HSV", (hue, saturation, value)).convert("RGB"))


def pictures():
    every_colour = np.stack(np.meshgrid(*[np.r_[0:256:11, 254, 255]] * 3), -1).astype(np.uint8).reshape(-1, 26, 3)
    enhancers = {"brightness": ImageEnhance.Brightness, "contrast": ImageEnhance.Contrast, "saturation": ImageEnhance.Color}
    for shown, image in [("a picture", picture(61, 83)), ("every colour", every_colour), ("noise", rng.integers(0, 256, (40, 50, 3), dtype=np.uint8))]:
        for name, enhancer in enhancers.items():
            for factor in [0, 0.37, 0.8, 1, 1.15, 1.9]:
                theirs = np.asarray(enhancer(Image.fromarray(image)).enhance(factor))
                check(f"{name} {factor} of {shown}", np.array_equal(changed(image, "colour", name, factor), theirs))
                if transforms:
                    theirs = np.asarray(getattr(transforms, f"adjust_{name}")(Image.fromarray(image), factor))
                    check(f"{name} {factor} of {shown}, torchvision", np.array_equal(changed(image, "colour", name, factor), theirs))
        for turn in [-0.5, -0.21, -0.01, 0, 0.1, 0.333, 0.5]:
            ours = changed(image, "colour", "hue", turn)
            check(f"hue {turn} of {shown}", np.array_equal(ours, turned(image, turn)))
            if transforms:
                check(f"hue {turn} of {shown}, torchvision", np.array_equal(ours, np.asarray(transforms.adjust_hue(Image.fromarray(image), turn))))
        check(f"flip of {shown}", np.array_equal(changed(image, "colour", "flip", 0), np.asarray(ImageOps.mirror(Image.fromarray(image)))))
    image = picture(97, 130)
    for top, left, height, width in [(0, 0, 97, 130), (10, 20, 50, 60), (96, 129, 1, 1), (3, 0, 94, 13)]:
        theirs = Image.fromarray(image).crop((left, top, left + width, top + height)).resize((130, 97), Image.Resampling.BILINEAR)
        ours = changed(image, "crop", top, left, height, width)
        check(f"crop {width}x{height} at {left},{top}", np.array_equal(ours, np.asarray(theirs)))
        if transforms:
            theirs = transforms.resized_crop(Image.fromarray(image), top, left, height, width, [97, 130])
            check(f"crop {width}x{height} at {left},{top}, torchvision", np.array_equal(ours, np.asarray(theirs)))


def heard(*words):
    count = int(ask(*words)[0])
    return np.fromfile(out, np.float32)[:count]


def resampled(sound, source, target=16000, width=64, rolloff=0.97, beta=14.77):
    """Each sample as the sum over those of the source, times a sinc in a Kaiser window (Smith, Digital Audio Resampling), as
    torchaudio's resample has its parameters."""
    count, band = -(-target * len(sound) // source), min(source, target) * rolloff
    reach = int(np.ceil(width * source / band))
    taps, made = np.arange(-reach, reach + 1), np.arange(count)
    centre = made * source // target
    places = centre[:, None] + taps
    apart = (places / source - made[:, None] / target) * band
    inside = np.abs(apart) < width
    window = np.i0(beta * np.sqrt(np.clip(1 - (apart / width) ** 2, 0, None))) / np.i0(beta)
    padded = np.pad(sound.astype(np.float64), reach)
    return (padded[np.clip(places + reach, 0, len(padded) - 1)] * np.sinc(apart) * window * inside).sum(1) * band / source


def with_noise(sound, noise, snr):
    """The noise brought to a power of 10^(-snr / 10) of the sound's."""
    sound, noise = sound.astype(np.float64), noise.astype(np.float64)
    return sound + noise * np.sqrt((sound ** 2).sum() / (noise ** 2).sum() / 10 ** (snr / 10))


def decibels_apart(ours, theirs):
    middle = slice(len(ours) // 8, -len(ours) // 8)
    return 20 * np.log10(np.std(ours[middle] - theirs[middle]) / np.std(theirs[middle]))


def sounds():
    time = np.arange(32000) / 16000
    speech = sum(np.sin(2 * np.pi * k * 350 * time + k * k) / k for k in range(1, 18)).astype(np.float32) * 0.1
    speech.tofile(folder / "speech.f32")
    for rate in [0.9, 0.95, 1.05, 1.1]:
        ours = heard("speed", out, folder / "speech.f32", 16000, rate)
        all_of = {"its definition": resampled(speech, int(rate * 16000))}
        if torchaudio:
            all_of["torchaudio's resample"] = torchaudio.functional.resample(torch.tensor(speech), int(rate * 16000), 16000, lowpass_filter_width=64, rolloff=0.97, resampling_method="sinc_interp_kaiser", beta=14.77).numpy()
        for what, theirs in all_of.items():
            apart = decibels_apart(ours, theirs) if len(ours) == len(theirs) else 0
            check(f"speed {rate}: as {what} at a filter of that length", apart < -90, f"{apart:.0f} dB apart, {len(ours)} samples and {len(theirs)}")
    noise = rng.normal(0, 0.3, len(speech)).astype(np.float32)
    noise.tofile(folder / "noise.f32")
    for snr in [-5, 0, 10.5, 40]:
        ours = heard("noise", out, folder / "speech.f32", folder / "noise.f32", 0, snr)
        all_of = {"its definition": with_noise(speech, noise, snr)}
        if torchaudio:
            all_of["torchaudio's add_noise"] = torchaudio.functional.add_noise(torch.tensor(speech)[None], torch.tensor(noise)[None], torch.tensor([float(snr)]))[0].numpy()
        for what, theirs in all_of.items():
            error = np.abs(ours - theirs).max() / np.abs(theirs).max()
            check(f"noise at {snr} dB: as {what}", error < 1e-5, f"{error:.1e}")


pictures()
sounds()
finish()
