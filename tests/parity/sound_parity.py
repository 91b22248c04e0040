"""Lengths and samples of sounds against soundfile, or what went into the encoder where soundfile does not read it.

Usage: sound_parity.py BUILD_FOLDER
"""
import numpy as np
import soundfile

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


lengths()
finish()
