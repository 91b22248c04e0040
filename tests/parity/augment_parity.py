"""Changes of media in training against Pillow's ImageEnhance, HSV, crop and resize (what torchvision's transforms call for
pictures) byte for byte; of sounds at another speed, stretched, through a telephone and noise at a ratio, against their definitions; and,
if they are there, against torchvision.transforms.functional itself, torchaudio's resample and add_noise and audioop's G.711.

Usage: augment_parity.py BUILD_FOLDER
"""
import math
import sys
import warnings
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageEnhance, ImageOps

sys.path.append(str(Path(__file__).resolve().parents[2] / ".cache" / "bench-python"))
warnings.simplefilter("ignore", DeprecationWarning)
try:
    import audioop  # until Python 3.12
except ImportError:
    audioop = None
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


def vocoded(sound, rate):
    """librosa's stft, phase_vocoder and istft, as NeMo's TimeStretchPerturbation calls them, a frame at a time."""
    size = 1024 if rate < 1 else 512
    hop, window = size // 2, 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)
    padded = np.pad(sound.astype(np.float64), hop)
    frames = [np.fft.rfft(window * padded[at:at + size]) for at in range(0, len(padded) - size + 1, hop)]
    advance, phase, count = np.pi * np.arange(hop + 1), np.angle(frames[0]), math.ceil(len(frames) / rate)
    frames += [np.zeros(hop + 1)] * 2
    made, weight = np.zeros((count + 1) * hop), np.zeros((count + 1) * hop)
    for k in range(count):
        first, share = divmod(k * rate, 1)
        one, other = frames[int(first)], frames[int(first) + 1]
        made[k * hop:k * hop + size] += window * np.fft.irfft(((1 - share) * abs(one) + share * abs(other)) * np.exp(1j * phase))
        weight[k * hop:k * hop + size] += window ** 2
        ahead = np.angle(other) - np.angle(one) - advance
        phase = phase + advance + ahead - 2 * np.pi * np.round(ahead / 2 / np.pi)
    length = round(len(sound) / rate)
    return made[hop:hop + length] / weight[hop:hop + length]


def filtered(sound, hertz, above, rate=8000):
    """A Butterworth filter of second order by the bilinear transform."""
    warped = math.tan(math.pi * hertz / rate)
    scale = 1 + math.sqrt(2) * warped + warped ** 2
    first = (1 if above else warped ** 2) / scale
    b = (first, -2 * first if above else 2 * first, first)
    a = (2 * (warped ** 2 - 1) / scale, (1 - math.sqrt(2) * warped + warped ** 2) / scale)
    y = np.zeros(len(sound) + 2)
    x = np.r_[0, 0, sound]
    for i in range(2, len(x)):
        y[i] = b[0] * x[i] + b[1] * x[i - 1] + b[2] * x[i - 2] - a[0] * y[i - 1] - a[1] * y[i - 2]
    return y[2:]


def through_g711(samples, law):
    """By audioop if it is there, else by the bounds and the middles of steps that G.711's codes have."""
    whole = np.clip(np.rint(np.asarray(samples, np.float64) * 32768), -32768, 32767).astype(np.int16)
    if audioop:
        there, back = (audioop.lin2ulaw, audioop.ulaw2lin) if law == "mu" else (audioop.lin2alaw, audioop.alaw2lin)
        return np.frombuffer(back(there(whole.tobytes(), 2), 2), np.int16) / 32768
    codes = range(128)
    if law == "mu":
        lower, middle, value = [((16 + c % 16) << (c // 16 + 1)) - 33 for c in codes], [(((2 * (c % 16) + 33) << c // 16) - 33) * 4 for c in codes], np.abs(whole.astype(int) >> 2)
    else:
        lower = [2 * c if c < 32 else (16 + c % 16) << c // 16 for c in codes]
        middle, value = [(2 * (c % 16) + 1 if c < 16 else (2 * (c % 16) + 33) << (c // 16 - 1)) * 8 for c in codes], whole.astype(int) >> 3
        value = np.where(value < 0, -value - 1, value)
    return np.where(whole < 0, -1, 1) * np.array(middle)[np.searchsorted(lower, value, "right") - 1] / 32768


def telephoned(sound, law):
    line = resampled(sound * min(1, 0.8 / np.abs(sound).max()), 16000, 8000)
    line = filtered(filtered(line, 3400, False), 300, True)
    return resampled(through_g711(line, law), 8000)[:len(sound)]


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
    for rate in [0.5, 0.9, 0.95, 1.05, 1.1, 1.7]:
        ours, theirs = heard("stretch", out, folder / "speech.f32", rate), vocoded(speech, rate)
        error = np.abs(ours - theirs).max() / np.abs(theirs).max() if len(ours) == len(theirs) else 1
        check(f"stretched by {rate}: as its definition", error < 1e-5, f"{error:.1e}, {len(ours)} samples and {len(theirs)}")
    (np.arange(-32768, 32769) / np.float32(32768)).astype(np.float32).tofile(folder / "all.f32")
    for law in ["a", "mu"]:
        ours, theirs = heard("g711", out, folder / "all.f32", law), through_g711(np.arange(-32768, 32769) / 32768, law)
        check(f"G.711 of {law}-law: every sample of 16 bits", np.array_equal(ours, theirs))
        # What resamplers differ by, 1e-5 of the sound, moves few samples to the next step, which is 1/16 of them.
        ours, theirs = heard("telephone", out, folder / "speech.f32", law), telephoned(speech, law)
        apart = decibels_apart(ours, theirs) if len(ours) == len(theirs) else 0
        check(f"telephone of {law}-law: as its definition", apart < -50, f"{apart:.0f} dB apart")
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
