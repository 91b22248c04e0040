"""Lengths and samples of sounds against soundfile, or what went into the encoder if soundfile does not read it; other
rates against sines and torchaudio.

Usage: sound_parity.py BUILD_FOLDER
"""
import sys
from pathlib import Path

import numpy as np
import soundfile
import torch

sys.path.append(str(Path(__file__).resolve().parents[2] / ".cache" / "bench-python"))
try:
    import torchaudio
except ImportError:
    torchaudio = None

from media_oracle import ask, check, encoders, ffmpeg, finish, folder, out, rng

available = encoders()


def decoded(path, rate):
    count = int(ask("audio", out, path, rate)[0])
    return np.fromfile(out, np.float32)[:count]


def made(count, rate):
    wave = (0.3 * np.sin(2 * np.pi * 440 * np.arange(count) / rate) + rng.normal(0, 0.05, count)).astype(np.float32)
    soundfile.write(folder / "source.wav", wave, rate, subtype="FLOAT")
    return wave


def same(name, path, rate):
    theirs, own = soundfile.read(path, dtype="float32", always_2d=True)
    ours, theirs = decoded(path, rate), theirs.mean(1)
    expected = -(-len(theirs) * rate // own)
    error = np.abs(ours - theirs).max() if own == rate and len(ours) == len(theirs) else 0  # soundfile reads some Opus at other rates
    check(name, len(ours) == expected and error < 3e-6, f"{len(ours)} samples, {expected} expected, error {error:.1e}")


def lengths():
    kinds = [("libvorbis", "ogg", []), ("libopus", "opus", []), ("flac", "flac", []), ("libmp3lame", "mp3", []), ("libmp3lame", "mp3", ["-write_xing", 0]), ("pcm_s16le", "wav", [])]
    for rate in [16000, 44100, 48000]:
        for count in [1000, 4096, rate + 37]:
            made(count, rate)
            for encoder, ending, options in kinds:
                few = options and count < rate  # two or three bare MP3 frames are not told from other data
                if encoder in available and not few:
                    ffmpeg("-i", folder / "source.wav", "-c:a", encoder, *options, folder / f"a.{ending}")
                    same(f"{encoder} {' '.join(map(str, options))} of {count} at {rate}", folder / f"a.{ending}", 48000 if ending == "opus" else rate)
            for encoder, ending in [("aac", "m4a"), ("aac", "mov"), ("alac", "m4a"), ("aac", "mp4")]:
                ffmpeg("-i", folder / "source.wav", "-c:a", encoder, folder / f"a.{ending}")
                ours = decoded(folder / f"a.{ending}", rate)
                check(f"{encoder} in {ending} of {count} at {rate}", len(ours) == count, f"{len(ours)} samples")
    for encoding, ending in [("VORBIS", "ogg"), ("OPUS", "ogg"), (None, "mp3")]:  # other encoders than ffmpeg's
        wave = made(48000 + 123, 48000)
        soundfile.write(folder / f"b.{ending}", wave, 48000, subtype=encoding)
        same(f"soundfile's own {encoding or ending}", folder / f"b.{ending}", 48000)


def resampled(wave, rate, to):
    soundfile.write(folder / "r.wav", wave.astype(np.float32), rate, subtype="FLOAT")
    return decoded(folder / "r.wav", to)


def torchaudios(wave, rate, to):
    """With a Kaiser window of 64 zero crossings, as long as our filter."""
    theirs = torchaudio.functional.resample(torch.tensor(wave), rate, to, lowpass_filter_width=64, rolloff=0.97, resampling_method="sinc_interp_kaiser", beta=14.77)
    return theirs.numpy()


def amplitude(wave, rate, frequency):
    """Of a sine in the middle of the sound, away from where it begins and ends."""
    phase = 2 * np.pi * frequency * np.arange(len(wave)) / rate
    middle = slice(len(wave) // 4, -len(wave) // 4)
    both = np.stack([np.sin(phase), np.cos(phase)], 1)[middle]
    return np.hypot(*np.linalg.lstsq(both, wave[middle].astype(np.float64), rcond=None)[0])


def decibels(ratio):
    return 20 * np.log10(max(ratio, 1e-12))


def resampling():
    for rate, to in [(48000, 16000), (44100, 16000), (22050, 16000), (8000, 16000), (16000, 24000), (11025, 16000)]:
        band, time = min(rate, to) / 2, np.arange(2 * rate) / rate
        sine = lambda frequency: resampled(0.5 * np.sin(2 * np.pi * frequency * time), rate, to)
        kept = {share: decibels(amplitude(sine(share * band), to, share * band) / 0.5) for share in (0.02, 0.25, 0.5, 0.75, 0.9)}
        check(f"{rate} to {to} Hz: what is in the band keeps its loudness", all(abs(gain) < (0.05 if share > 0.75 else 0.005) for share, gain in kept.items()), {share: f"{gain:.3f} dB" for share, gain in kept.items()})
        if to < rate:
            left = {share: decibels(np.sqrt(2 * np.mean(sine(share * band)[to // 4: -to // 4] ** 2)) / 0.5) for share in (1.1, 1.25, 1.8) if share * band < rate / 2}
            check(f"{rate} to {to} Hz: what is above it is gone", max(left.values()) < -90, {share: f"{gain:.0f} dB" for share, gain in left.items()})
        speech = sum(np.sin(2 * np.pi * k * 0.05 * band * time + k * k) / k for k in range(1, 18)) * 0.2  # up to 0.85 of the band
        if not torchaudio:
            print("      torchaudio is not there: without it")
            continue
        ours, theirs = resampled(speech, rate, to), torchaudios(speech, rate, to)
        middle = slice(len(ours) // 8, -len(ours) // 8)
        apart = decibels(np.std(ours[middle] - theirs[: len(ours)][middle]) / np.std(theirs[middle]))
        check(f"{rate} to {to} Hz: as torchaudio", len(ours) == len(theirs) and apart < -100, f"{apart:.0f} dB apart, {len(ours)} samples and {len(theirs)}")


lengths()
resampling()
finish()
