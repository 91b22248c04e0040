"""Our media functions against Pillow, NumPy, transformers and the ffmpeg program; pictures: picture_parity.py.

Usage: media_parity.py BUILD_FOLDER     (takes build/bin/media_probe from there)
"""
import subprocess
from pathlib import Path

import numpy as np
from PIL import Image

from media_oracle import ask, check, encoders, ffmpeg, finish, folder, out, rng


def resizes():
    filters = dict(nearest=0, lanczos=1, bilinear=2, bicubic=3, box=4, hamming=5)
    raw = folder / "raw.rgb"
    worst = dict.fromkeys(filters, 0)
    for trial in range(60):
        height, width, to_height, to_width = (int(v) for v in rng.integers(1, 200, 4))
        if trial % 5 == 0:
            to_height, to_width = height, to_width if trial % 2 else width
        array = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        raw.write_bytes(array.tobytes())
        for name, number in filters.items():
            ask("resize", out, raw, height, width, to_height, to_width, number)
            ours = np.fromfile(out, np.uint8).reshape(to_height, to_width, 3).astype(int)
            theirs = np.asarray(Image.fromarray(array).resize((to_width, to_height), number)).astype(int)
            worst[name] = max(worst[name], int(np.abs(ours - theirs).max()))
    for name, difference in worst.items():
        check(f"resize {name}, 60 sizes", difference == 0, f"largest difference {difference}")
    from transformers.image_transforms import center_crop, get_resize_output_image_size, normalize, rescale

    mean, std, worst = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225], 0
    for trial in range(20):
        height, width, edge = (int(v) for v in rng.integers(20, 150, 3))
        crop = int(edge + rng.integers(-15, 15))
        array = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        raw.write_bytes(array.tobytes())
        sizes = tuple(map(int, ask("tensor", out, raw, height, width, edge, crop)))
        new_height, new_width = get_resize_output_image_size(array, edge, default_to_square=False, input_data_format="channels_last")
        theirs = np.asarray(Image.fromarray(array).resize((new_width, new_height), Image.BICUBIC))
        theirs = center_crop(theirs, (crop, crop), input_data_format="channels_last")
        theirs = normalize(rescale(theirs, 1 / 255), mean, std, input_data_format="channels_last").transpose(2, 0, 1)
        worst = max(worst, np.abs(np.fromfile(out, np.float32).reshape(sizes) - theirs).max())
    check("resize, crop, normalise as transformers, 20 sizes", worst == 0, f"largest difference {worst}")


def clips():
    time = np.arange(16000 * 31) / 16000
    yield "silence", np.zeros(8000, np.float32)
    yield "sine", (0.5 * np.sin(2 * np.pi * 440 * time[:52345])).astype(np.float32)
    yield "sweep", (0.3 * np.sin(2 * np.pi * (50 + 120 * time) * time)).astype(np.float32)
    for length in [201, 400, 1599, 16000, 123457]:
        yield f"noise of {length}", rng.normal(0, 0.1, length).astype(np.float32)
    speech = folder / "speech.wav"
    try:
        subprocess.run(["espeak-ng", "-w", speech, "The quick brown fox jumps over the lazy dog"], check=True, capture_output=True)
        ffmpeg("-i", speech, "-ar", 16000, "-f", "f32le", folder / "speech.f32")
        yield "speech", np.fromfile(folder / "speech.f32", np.float32)
    except (OSError, subprocess.CalledProcessError):
        print("      no espeak-ng here: without speech")


def mels():
    from transformers import WhisperFeatureExtractor

    for bands in [80, 128]:
        extractor = WhisperFeatureExtractor(feature_size=bands)
        sizes = tuple(map(int, ask("filters", out, bands)))
        difference = np.abs(np.fromfile(out, np.float32).reshape(sizes).T - extractor.mel_filters).max()
        check(f"mel filters {bands}", difference < 1e-8, f"largest difference {difference:.1e}")
        for name, clip in clips():
            clip.tofile(folder / "clip.f32")
            for samples in [0, 480000]:
                padding = dict(padding="max_length") if samples else dict(padding="do_not_pad", truncation=False)
                theirs = extractor(clip, sampling_rate=16000, return_tensors="np", **padding)["input_features"][0]
                sizes = tuple(map(int, ask("mel", out, folder / "clip.f32", bands, samples)))
                ours = np.fromfile(out, np.float32).reshape(sizes)
                difference = np.abs(ours - theirs).max() if ours.shape == theirs.shape else 999
                check(f"log-mel {bands}, {name}, {'30 s' if samples else 'own length'}", difference <= 1e-5, f"largest difference {difference:.1e}")


def decoded(path, rate):
    count = int(ask("audio", out, path, rate)[0])
    ours = np.fromfile(out, np.float32)
    assert len(ours) == count
    return ours


def sounds():
    rate, seconds = 44100, 1.5
    time = np.arange(int(rate * seconds)) / rate
    wave = 0.4 * np.sin(2 * np.pi * 440 * time)
    wave.astype(np.float32).tofile(folder / "a.f32")
    source = ["-f", "f32le", "-ar", rate, "-ac", 1, "-i", folder / "a.f32"]
    for name, options, limit in [("s16.wav", ["-c:a", "pcm_s16le"], 2e-5), ("s24.wav", ["-c:a", "pcm_s24le"], 2e-7), ("u8.wav", ["-c:a", "pcm_u8"], 5e-3),
                                 ("f32.wav", ["-c:a", "pcm_f32le"], 0), ("a.flac", [], 2e-5), ("pcm.mkv", ["-c:a", "pcm_s16le"], 2e-5)]:
        ffmpeg(*source, *options, folder / name)
        ours = decoded(folder / name, rate)
        check(f"sound {name}, own rate", len(ours) == len(wave) and np.abs(ours - wave.astype(np.float32)).max() <= limit)
        for to in [8000, 16000, 22050, 48000]:
            ours = decoded(folder / name, to)
            ideal = 0.4 * np.sin(2 * np.pi * 440 * np.arange(len(ours)) / to)
            error = np.abs(ours - ideal)[200:-200].max()
            expected = -(-len(wave) * to // rate)
            check(f"sound {name} at {to} Hz", len(ours) == expected and error < max(2e-4, 1.5 * limit), f"{len(ours)} samples, {expected} expected, error {error:.1e}")
    high = 0.4 * np.sin(2 * np.pi * 9500 * time)  # above what 16 kHz can hold: must vanish
    high.astype(np.float32).tofile(folder / "a.f32")
    ffmpeg(*source, "-c:a", "pcm_f32le", folder / "high.wav")
    level = np.abs(decoded(folder / "high.wav", 16000))[300:-300].max()
    check("sound above the band vanishes", level < 4e-4, f"what is left: {20 * np.log10(level / 0.4 + 1e-12):.0f} dB")
    wave.astype(np.float32).tofile(folder / "a.f32")
    available = encoders()
    for name, encoder, limit in [("a.ogg", "libvorbis", 0.02), ("a.opus", "libopus", 0.02), ("a.mp3", "libmp3lame", 0.03), ("a.m4a", "aac", 0.02), ("a.webm", "libopus", 0.02)]:
        if encoder not in available:
            print(f"      this ffmpeg has no {encoder}: without {name}")
            continue
        ffmpeg(*source, "-c:a", encoder, "-b:a", "128k", folder / name)
        ours = decoded(folder / name, 16000)
        n = min(len(ours), 24000)
        error = np.abs(ours[:n] - 0.4 * np.sin(2 * np.pi * 440 * np.arange(n) / 16000))[1500:-1500].max()
        check(f"sound {name}: begins where it should", error < limit and abs(len(ours) - 24000) <= 700, f"{len(ours)} samples, error {error:.1e}")
    ffmpeg(*source, "-ar", 16000, "-f", "g722", folder / "a.g722")
    ours = decoded(folder / "a.g722", 16000)
    lag = int(np.argmax([np.dot(ours[200 + k : 8200 + k], np.sin(2 * np.pi * 440 * np.arange(200, 8200) / 16000)) for k in range(36)]))
    check("sound a.g722", abs(len(ours) - 24000) <= 2 and abs(np.abs(ours[2000:20000]).max() - 0.4) < 0.03, f"{len(ours)} samples, {lag} late")
    stereo = np.stack([wave, 0.5 * wave, -0.25 * wave], -1).astype(np.float32)
    for channels, mean in [(2, 0.75), (3, 1.25 / 3)]:
        np.ascontiguousarray(stereo[:, :channels]).tofile(folder / "b.f32")
        ffmpeg("-f", "f32le", "-ar", rate, "-ac", channels, "-i", folder / "b.f32", "-c:a", "pcm_f32le", folder / "b.wav")
        error = np.abs(decoded(folder / "b.wav", rate) - mean * wave).max()
        check(f"sound of {channels} channels: their mean", error < 1e-6, f"error {error:.1e}")


def videos():
    frames, height, width, fps = 40, 48, 64, 10
    shade = (np.arange(frames) * 5 + 30).astype(np.uint8)  # each frame one shade, which tells which it is
    raw = np.repeat(shade, height * width * 3).tobytes()
    (folder / "v.rgb").write_bytes(raw)
    time = np.arange(int(16000 * 4)) / 16000
    (0.4 * np.sin(2 * np.pi * 440 * time)).astype(np.float32).tofile(folder / "v.f32")
    source = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", fps, "-i", folder / "v.rgb", "-f", "f32le", "-ar", 16000, "-ac", 1, "-i", folder / "v.f32"]
    available = encoders()
    kinds = [("mpeg4.mp4", "mpeg4", ["-g", 7, "-bf", 2, "-c:a", "aac"]), ("x264.mp4", "libx264", ["-g", 7, "-bf", 2, "-pix_fmt", "yuv420p", "-c:a", "aac"]),
             ("x264.mkv", "libx264", ["-g", 12, "-x264-params", "open-gop=1", "-pix_fmt", "yuv420p", "-c:a", "flac"]), ("vp9.webm", "libvpx-vp9", ["-g", 9, "-c:a", "libopus"]),
             ("mpeg4.avi", "mpeg4", ["-g", 7, "-c:a", "pcm_s16le"]), ("mjpeg.mov", "mjpeg", ["-c:a", "pcm_s16le"]), ("mpeg1.mpg", "mpeg1video", ["-r", 25, "-g", 7, "-bf", 2, "-c:a", "mp2"]), ("a.gif", "gif", ["-an", "-pix_fmt", "gray"])]
    for name, encoder, options in kinds:
        if encoder not in available:
            print(f"      this ffmpeg has no {encoder}: without {name}")
            continue
        ffmpeg(*source, "-c:v", encoder, "-q:v", 2, *options, folder / name)
        for request in [(1, 0), (5, 0), (60, 0), (0, 3), (0, 10)]:
            answer = ask("video", out, folder / name, *request, 16000)
            duration, samples, stamps = float(answer[0]), int(answer[3]), [float(v) for v in answer[4:]]
            n = request[0]
            wanted = np.linspace(0, duration, n + 2)[1:-1] if n else np.arange(0, duration - 1e-9, 1 / request[1])
            pixels = np.fromfile(out, np.uint8)[: len(stamps) * height * width * 3].reshape(len(stamps), height, width, 3)
            seen = (np.median(pixels.reshape(len(stamps), -1), 1) - 30) / 5
            expected = np.floor(wanted * fps + 1e-6).clip(0, frames - 1)
            # 25 frames a second show a frame of the tenth of a second somewhat earlier or later
            slack = 0.6 if "mpeg1" not in name else 1.4
            right = len(stamps) == len(wanted) and np.abs(seen - expected).max() <= slack
            sound = samples == 0 if name.endswith("gif") else abs(samples - 64000) < 1600
            check(f"video {name} {request}", bool(right and sound and abs(duration - 4) < 0.15), f"{duration:.3f} s, {len(stamps)} frames, {samples} samples, off by {np.abs(seen - expected).max() if len(seen) == len(expected) else -1:.2f}")


def frame_times(clip):
    rows = subprocess.run(["ffprobe", "-v", "error", "-select_streams", "v", "-show_entries", "frame=best_effort_timestamp_time", "-of", "csv=p=0", clip], capture_output=True, text=True, check=True).stdout
    return np.array([float(row.rstrip(",")) for row in rows.split() if "N/A" not in row])


def real_clips():
    """Published films: the frames that the ffmpeg program gives at those times, and its sound."""
    clips = sorted((Path(__file__).resolve().parents[2] / ".cache/demo/clips").glob("*.m*"))
    if not clips:
        print("      real clips: not there (tools/demo/clips.py fetches them)")
    for clip in clips:
        size = subprocess.run(["ffprobe", "-v", "error", "-select_streams", "v", "-show_entries", "stream=width,height", "-of", "csv=p=0", clip], capture_output=True, text=True, check=True).stdout
        width, height = (int(value) for value in size.strip().strip(",").split(","))
        times = frame_times(clip)
        answer = ask("video", out, clip, 6, 0, 16000)
        duration, samples, stamps = float(answer[0]), int(answer[3]), [float(v) for v in answer[4:]]
        pixels = np.fromfile(out, np.uint8)[: len(stamps) * height * width * 3].reshape(len(stamps), height, width, 3)
        wanted = times[0] + np.linspace(0, duration, 8)[1:-1]
        chosen = np.searchsorted(times, wanted + 1e-6, side="right") - 1
        select = "+".join(f"eq(n\\,{index})" for index in chosen)
        raw = subprocess.run(["ffmpeg", "-v", "error", "-i", clip, "-vf", f"select={select}", "-vsync", "0", "-sws_flags", "accurate_rnd+full_chroma_int+bilinear", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"], capture_output=True, check=True).stdout
        expected = np.frombuffer(raw, np.uint8).reshape(-1, height, width, 3)
        off = np.abs(pixels.astype(int) - expected) if pixels.shape == expected.shape else np.array([255])
        in_time = len(stamps) == 6 and np.abs(np.array(stamps) - (times[chosen] - times[0])).max() < 2e-3
        check(f"real clip {clip.name}: frames", in_time and off.mean() < 1.5, f"{duration:.2f} s, mean {off.mean():.2f}, largest {off.max()}")
        has_sound = bool(subprocess.run(["ffprobe", "-v", "error", "-select_streams", "a", "-show_entries", "stream=channels", "-of", "csv=p=0", clip], capture_output=True, text=True, check=True).stdout.strip())
        check(f"real clip {clip.name}: sound", abs(samples / 16000 - duration) < 1 if has_sound else samples == 0, f"{samples / 16000:.2f} s")


for part in [resizes, mels, sounds, videos, real_clips]:
    part()
print("milliseconds: resize 640x480 to 224 bilinear, bicubic; log-mel of 30 s:", *ask("times", out))
finish()
