"""Frames of videos against those of the ffmpeg program: turned and mirrored, of odd rates and sizes, of all ranges,
matrices and depths.

Usage: video_parity.py BUILD_FOLDER
"""
import struct
import subprocess

import numpy as np

from media_oracle import ask, check, encoders, ffmpeg, finish, folder, out, rng

EXACT = "bilinear+accurate_rnd+full_chroma_int+full_chroma_inp+bitexact"
available = encoders()


def reference(clip, chosen=None):
    """The frames as the ffmpeg program shows them; `chosen`: their numbers."""
    select = "" if chosen is None else "select=" + "+".join(f"eq(n\\,{index})" for index in chosen) + ","
    size = probe(clip, "stream=width,height")[0].split(",")
    raw = subprocess.run(["ffmpeg", "-v", "error", "-i", clip, "-vf", f"{select}scale=flags={EXACT},format=rgb24", "-vsync", "0", "-f", "rawvideo", "-"], capture_output=True, check=True).stdout
    return np.frombuffer(raw, np.uint8), [int(value) for value in size]


def probe(clip, entries):
    rows = subprocess.run(["ffprobe", "-v", "error", "-select_streams", "v", "-show_entries", entries, "-of", "csv=p=0", clip], capture_output=True, text=True, check=True).stdout
    return [row.rstrip(",") for row in rows.split()]


def decoded(clip, count=0, rate=0):
    answer = ask("video", out, clip, count, rate, 0)
    height, width, stamps = int(answer[1]), int(answer[2]), [float(v) for v in answer[4:]]
    return np.fromfile(out, np.uint8).reshape(len(stamps), height, width, 3), stamps, float(answer[0])


def clip(name, width=64, height=48, frames=12, rate=10, *options):
    """A clip whose frames all differ, none of them like its mirror image."""
    y, x = np.mgrid[0:height, 0:width]
    film = [np.stack([x * 4 + 3 * t, y * 5, (x + y + 8 * t) * 2], -1) % 256 for t in range(frames)]
    film = (np.stack(film) * 0.8 + rng.normal(20, 4, (frames, height, width, 3))).clip(0, 255).astype(np.uint8)
    (folder / "film.rgb").write_bytes(film.tobytes())
    ffmpeg("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", rate, "-i", folder / "film.rgb", *options, folder / name)
    return folder / name


def with_matrix(source, name, a, b, c, d):
    """The film with another display matrix in its track header."""
    data = bytearray(source.read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    assert data[at : at + 4] == struct.pack(">i", 1 << 16)
    struct.pack_into(">9i", data, at, a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
    (folder / name).write_bytes(data)
    return folder / name


def same(name, path, limit=0):
    """Six frames, evenly spread, equal the ffmpeg program's at those times."""
    ours, stamps, duration = decoded(path, 6)
    times = np.array([float(v) for v in probe(path, "frame=best_effort_timestamp_time") if v != "N/A"])
    wanted = times[0] + np.linspace(0, duration, 8)[1:-1]
    chosen = np.searchsorted(times, wanted + 1e-6, side="right") - 1
    theirs, _ = reference(path, sorted(set(chosen)))
    if theirs.size != len(set(chosen)) * ours[0].size:
        return check(name, False, f"{ours[0].shape} here, {theirs.size // len(set(chosen))} bytes there")
    theirs = theirs.reshape(-1, *ours.shape[1:])[np.searchsorted(sorted(set(chosen)), chosen)]
    off = np.abs(ours.astype(int) - theirs)
    late = np.abs(np.array(stamps) - (times[chosen] - times[0])).max()
    check(name, off.max() <= limit and late < 2e-3, f"largest difference {off.max()}, mean {off.mean():.3f}, {1000 * late:.1f} ms")


def turned():
    """All eight matrices of a track. Chroma as large as luma: the ffmpeg program turns before it widens chroma."""
    plain = clip("plain.mp4", 64, 48, 12, 10, "-c:v", "libx264", "-pix_fmt", "yuv444p")
    upright = decoded(plain, 6)[0]
    transposed = upright.transpose(0, 2, 1, 3)
    means = {(1, 0, 0, 1): upright, (-1, 0, 0, 1): upright[:, :, ::-1], (-1, 0, 0, -1): upright[:, ::-1, ::-1], (1, 0, 0, -1): upright[:, ::-1],
             (0, 1, 1, 0): transposed, (0, 1, -1, 0): transposed[:, :, ::-1], (0, -1, -1, 0): transposed[:, ::-1, ::-1], (0, -1, 1, 0): transposed[:, ::-1]}
    for matrix, expected in means.items():
        path = with_matrix(plain, "turned.mp4", *matrix)
        ours = decoded(path, 6)[0]
        check(f"display matrix {matrix}", ours.shape == expected.shape and bool((ours == expected).all()))
        same(f"display matrix {matrix}, as ffmpeg shows it", path)


def kinds():
    """Sizes, rates, depths, ranges and matrices."""
    x264 = ["-c:v", "libx264", "-g", 5, "-bf", 2]
    for width, height in [(63, 47), (62, 46), (18, 130), (16, 16), (5, 3), (130, 34)]:
        subsampling = "yuv444p" if width % 2 else "yuv420p"
        same(f"H.264 {width}x{height}", clip("size.mp4", width, height, 12, 10, *x264, "-pix_fmt", subsampling))
    same("MPEG-4 63x47, 4:2:0", clip("odd.mp4", 63, 47, 12, 10, "-c:v", "mpeg4", "-q:v", 3))
    same("H.264 cropped by its header", clip("crop.mp4", 64, 48, 12, 10, *x264, "-pix_fmt", "yuv420p", "-bsf:v", "h264_metadata=crop_left=4:crop_right=6:crop_top=2:crop_bottom=8"))
    for rate in ["24000/1001", "30000/1001", "15/2", "60", "1", "1/3"]:
        same(f"{rate} frames a second", clip("rate.mp4", 64, 48, 12, rate, *x264, "-pix_fmt", "yuv420p"))
    plain = clip("plain.mkv", 64, 48, 24, 10, *x264, "-pix_fmt", "yuv420p")
    ffmpeg("-i", plain, "-vf", "select='not(mod(n\\,5))+eq(mod(n\\,7)\\,3)',setpts=PTS*1.37", "-vsync", "vfr", *x264, folder / "vfr.mkv")
    same("frames at uneven times", folder / "vfr.mkv")
    ffmpeg("-ss", "0.75", "-i", plain, "-c", "copy", folder / "cut.mp4")
    same("cut by an edit list", folder / "cut.mp4")
    same("interlaced H.264", clip("interlaced.mp4", 64, 64, 12, 10, *x264, "-pix_fmt", "yuv420p", "-flags", "+ildct+ilme", "-x264-params", "tff=1"))
    same("interlaced MPEG-2", clip("interlaced.mpg", 64, 64, 12, 25, "-c:v", "mpeg2video", "-flags", "+ildct+ilme", "-q:v", 2))
    for layout in ["yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "yuv444p10le", "gray"]:
        same(f"H.264 {layout}", clip("layout.mp4", 64, 48, 12, 10, *x264, "-pix_fmt", layout))
    for matrix in ["bt709", "smpte170m", "bt470bg", "bt2020nc", "fcc", "smpte240m"]:
        for reach in ["tv", "pc"]:
            same(f"matrix {matrix}, range {reach}", clip("matrix.mp4", 64, 48, 12, 10, *x264, "-pix_fmt", "yuv420p", "-colorspace", matrix, "-color_range", reach))
    same("Motion JPEG, full range", clip("mjpeg.avi", 64, 48, 12, 10, "-c:v", "mjpeg", "-pix_fmt", "yuvj420p", "-q:v", 2))
    for encoder, options in [("libx265", ["-pix_fmt", "yuv420p10le", "-x265-params", "log-level=error"]), ("libx265", ["-pix_fmt", "yuv420p", "-x265-params", "log-level=error"]), ("libvpx-vp9", ["-pix_fmt", "yuv444p"]),
                             ("libaom-av1", ["-cpu-used", 8]), ("libvpx", []), ("libtheora", ["-q:v", 8])]:
        if encoder in available:
            same(f"{encoder} {' '.join(map(str, options[:2]))}", clip("other.mkv", 64, 48, 12, 10, "-c:v", encoder, *options))


if "libx264" in available:
    turned()
    kinds()
else:
    print("      this ffmpeg has no libx264: nothing was compared")
finish()
