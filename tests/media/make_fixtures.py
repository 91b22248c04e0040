"""Makes the small media files beside it with Pillow and the ffmpeg program. They are kept in the repository, so that
the unit tests need neither; run it again only to change them."""
import struct
import subprocess
from pathlib import Path

import numpy as np
from PIL import Image

here = Path(__file__).parent
y, x = np.mgrid[0:24, 0:32]
rgba = np.stack([x * 8, y * 10, 255 - x * 8, 60 + y * 8], -1).clip(0, 255).astype(np.uint8)
color = Image.fromarray(rgba[..., :3])
Image.fromarray(rgba).save(here / "rgba.png")
color.save(here / "progressive.jpg", quality=85, progressive=True)
color.save(here / "baseline.jpg", quality=90, subsampling="4:4:4")
Image.fromarray(rgba).save(here / "lossy_alpha.webp", quality=80)
color.save(here / "lossless.webp", lossless=True)
color.quantize(32).save(here / "first.gif")


def ffmpeg(*arguments):
    subprocess.run(["ffmpeg", "-v", "error", "-y", *map(str, arguments)], check=True)


tone = ["-f", "lavfi", "-i", "aevalsrc=0.5*sin(2*PI*500*t):s=16000:d=0.5"]
for name in ["tone.wav", "tone.flac", "tone.ogg", "tone.mp3", "tone.g722", "tone.m4a"]:
    ffmpeg(*tone, "-map_metadata", -1, "-fflags", "+bitexact", here / name)
# Ten frames of 0.1 s, of rising brightness.
(here / "frames.rgb").write_bytes(np.repeat((np.arange(10) * 20 + 30).astype(np.uint8), 24 * 32 * 3).tobytes())
video = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", "32x24", "-r", 10, "-i", here / "frames.rgb", "-f", "lavfi", "-i", "aevalsrc=0.5*sin(2*PI*500*t):s=16000:d=1", "-fflags", "+bitexact"]
ffmpeg(*video, "-c:v", "libx264", "-g", 4, "-bf", 2, "-pix_fmt", "yuv420p", "-c:a", "aac", here / "clip.mp4")
ffmpeg(*video, "-c:v", "libvpx-vp9", "-g", 4, "-c:a", "libopus", here / "clip.webm")
ffmpeg(*video, "-c:v", "mpeg1video", "-r", 25, "-g", 4, "-c:a", "mp2", here / "clip.mpg")
(here / "frames.rgb").unlink()

# A movie whose samples are said to lie in another file, by an alias record with an absolute path of 64 characters
# (Apple's file aliases; the demuxer reads them in QuickTime data references).
path = b"@" * 64
alias = bytes(10) + bytes([1]) + b"v".ljust(27, b"\0") + bytes(12) + bytes([1]) + b"f".ljust(63, b"\0") + bytes(16) + struct.pack(">hh", 1, 1) + bytes(16)
alias += struct.pack(">HH", 18, len(path)) + path + struct.pack(">HH", 2, len(path)) + path + struct.pack(">H", 0xFFFF) + bytes(2)
entry = struct.pack(">I4sI", 12 + len(alias), b"alis", 0) + alias


def replace(data, boxes):
    """`data` with the first data reference below each path of boxes replaced by `entry`."""
    out, at = b"", 0
    while at + 8 <= len(data):
        size, name = struct.unpack(">I4s", data[at : at + 8])
        content = data[at + 8 : at + size]
        if name == b"dref":
            content = content[:8] + entry
        elif name in boxes:
            content = replace(content, boxes)
        out += struct.pack(">I4s", 8 + len(content), name) + content
        at += size
    return out


ffmpeg("-i", here / "clip.mp4", "-c", "copy", "-fflags", "+bitexact", here / "plain.mov")
(here / "reference.mov").write_bytes(replace((here / "plain.mov").read_bytes(), {b"moov", b"trak", b"mdia", b"minf", b"dinf"}))
(here / "plain.mov").unlink()
