"""The table of formats in docs/data.md: each is made here, then read as Pillow or soundfile or the ffmpeg program read
it, or refused in words.

Usage: format_parity.py BUILD_FOLDER
"""
import io
import re
import struct
import subprocess
import warnings
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image
from transformers.image_utils import load_image

from media_oracle import ask, check, encoders, ffmpeg, finish, folder, out, picture, rng

warnings.simplefilter("ignore")
available = encoders()
seen = set()
whole = {}  # a file of each kind that is read, and as what


def saved(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def same_picture(kind, name, data):
    seen.add(kind)
    whole[kind] = "image", data
    path = folder / "picture.bin"
    path.write_bytes(data)
    theirs = np.asarray(load_image(str(path)))
    height, width = map(int, ask("image", out, path))
    ours = np.fromfile(out, np.uint8).reshape(height, width, 3)
    check(f"{kind}, {name}", ours.shape == theirs.shape and bool((ours == theirs).all()))


def refused(kind, name, data, words, request="image"):
    seen.add(kind)
    path = folder / "refused.bin"
    path.write_bytes(data)
    try:
        ask(request, out, path, *([16000] if request == "audio" else []))
        check(f"{kind}, {name} is refused", False)
    except RuntimeError as error:
        check(f"{kind}, {name} is refused", str(error).startswith("error data error: ") and words in str(error), str(error))


def pictures():
    alpha = Image.fromarray(picture(41, 57, 4))
    color, gray = alpha.convert("RGB"), alpha.convert("L")
    few = color.quantize(40)
    for name, image in {"1 bit": gray.convert("1"), "gray": gray, "40 colours": few, "2 colours": color.quantize(2), "16 colours": color.quantize(16), "RGB": color, "RGBA": alpha}.items():
        same_picture("BMP", name, saved(image, "BMP"))
    upside = bytearray(saved(color, "BMP"))
    struct.pack_into("<i", upside, 22, -41)
    same_picture("BMP", "upper row first", bytes(upside))
    color.save(folder / "color.png")
    for layout in ["rgb555le", "rgb565le", "bgra", "pal8", "monob"]:
        ffmpeg("-i", folder / "color.png", "-pix_fmt", layout, folder / "a.bmp")
        same_picture("BMP", f"ffmpeg's {layout}", (folder / "a.bmp").read_bytes())
    gray16 = Image.fromarray(np.asarray(gray).astype(np.uint16) * 5)
    for name, image in {"1 bit": gray.convert("1"), "gray": gray, "palette": few, "gray+alpha": alpha.convert("LA"), "RGB": color, "RGBA": alpha, "16-bit gray": gray16}.items():
        for packing in [None, "tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "packbits"]:
            same_picture("TIFF", f"{name}, {packing}", saved(image, "TIFF", compression=packing))
    for layout in ["rgb48le", "rgba64le", "gray16le", "gray16be", "ya8", "monow"]:
        for packing in ["raw", "packbits", "lzw", "deflate"]:
            ffmpeg("-i", folder / "color.png", "-pix_fmt", layout, "-compression_algo", packing, folder / "a.tiff")
            same_picture("TIFF", f"ffmpeg's {layout}, {packing}", (folder / "a.tiff").read_bytes())
    for value in range(1, 9):
        tag = Image.Exif()
        tag[0x0112] = value
        same_picture("TIFF", f"turned {value}", saved(color, "TIFF", exif=tag))
    same_picture("TIFF", "of two pages", saved(color, "TIFF", save_all=True, append_images=[color.rotate(90)]))
    whole = saved(color, "TIFF")
    for name, data in {"JPEG inside": saved(color, "TIFF", compression="jpeg"), "CMYK": saved(color.convert("CMYK"), "TIFF"), "YCbCr": saved(color.convert("YCbCr"), "TIFF"), "floats": saved(gray.convert("F"), "TIFF"), "fax": saved(gray.convert("1"), "TIFF", compression="group4")}.items():
        refused("TIFF", name, data, "the TIFF's")
    for name, data in {"TIFF": whole, "BMP": saved(color, "BMP")}.items():
        refused(name, "cut short", data[: len(data) // 2], "cut short" if name == "BMP" else "")
    same_picture("WebP", "animated", saved(color, "WEBP", save_all=True, append_images=[color.rotate(90)]))
    unread(alpha, color, gray, few)


def unread(alpha, color, gray, few):
    """Each is told by its name."""
    named = lambda kind, name, data, said=None: refused(kind, name, data, f"the kind {said or kind} are not read")
    named("AVIF", "AVIF", saved(color, "AVIF"))
    for brand in ["heic", "heix", "heim", "heis", "hevc", "hevx", "mif1", "mif2", "msf1"]:
        named("HEIC", brand, b"\0\0\0\x18ftyp" + brand.encode() + bytes(8), "HEIC" if brand[0] == "h" else "HEIF")
    named("JPEG 2000", "JPEG 2000", saved(color, "JPEG2000"))
    named("JPEG XL", "JPEG XL", b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(40))
    named("BigTIFF", "of Pillow", saved(color, "TIFF", big_tiff=True))
    named("BigTIFF", "its first byte the highest", b"MM\0+\0\x08\0\0" + bytes(40))
    for name, image in {"PPM": color, "PGM": gray, "PBM": gray.convert("1")}.items():
        named("PPM, PGM, PBM", name, saved(image, "PPM"), "PPM, PGM or PBM")
    named("PPM, PGM, PBM", "as text", b"P2 2 1 9\n0 9\n", "PPM, PGM or PBM")
    for packing in [None, "tga_rle"]:
        for name, image in {"gray": gray, "40 colours": few, "RGB": color, "RGBA": alpha}.items():
            named("TGA", f"{name}, {packing}", saved(image, "TGA", compression=packing))
    named("ICO", "ICO", saved(alpha, "ICO"))
    for name, image in {"1 bit": gray.convert("1"), "gray": gray, "40 colours": few, "RGB": color}.items():
        named("PCX", name, saved(image, "PCX"))
    named("QOI", "QOI", saved(alpha, "QOI"))
    for name, data in {"text": b"Pillow\n" * 20, "zeros": bytes(200), "a line feed": b"\n" * 200}.items():
        refused("HEIC", name, data, "unknown format")


def heard(path, rate):
    count = int(ask("audio", out, path, rate)[0])
    return np.fromfile(out, np.float32)[:count]


def sounds():
    rate = 44100
    stereo = np.stack([0.3 * np.sin(2 * np.pi * f * np.arange(rate + 77) / rate) for f in (440, 700)], -1) + rng.normal(0, 0.02, (rate + 77, 2))
    soundfile.write(folder / "source.wav", stereo.astype(np.float32), rate, subtype="FLOAT")
    for kind, ending in [("AIFF", "aiff"), ("AU", "au"), ("CAF", "caf"), ("W64", "w64")]:
        seen.add(kind)
        for subtype in ["PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW", "PCM_S8", "PCM_U8", "ALAC_16", "ALAC_24", "ALAC_32"]:
            if not soundfile.check_format(kind, subtype):
                continue
            path = folder / f"a.{ending}"
            soundfile.write(path, stereo, rate, subtype=subtype, format=kind)
            whole[kind] = "audio", path.read_bytes()
            theirs = soundfile.read(path, dtype="float32")[0].mean(1)
            ours = heard(path, rate)
            error = np.abs(ours - theirs).max() if len(ours) == len(theirs) else 9
            check(f"{kind}, {subtype}", error < 1e-6, f"{len(ours)} samples, {len(theirs)} expected, error {error:.1e}")
    for kind, subtype, words in [("CAF", "ALAC_20", "ALAC of 20 bits"), ("NIST", "PCM_16", "the kind NIST SPHERE are not read"), ("NIST", "ULAW", "the kind NIST SPHERE are not read"),
                                 ("WAV", "NMS_ADPCM_16", "NMS ADPCM"), ("WAV", "NMS_ADPCM_32", "NMS ADPCM"), ("WAV", "G721_32", "adpcm_g726"), ("AU", "G721_32", "adpcm_g726"), ("AU", "G723_24", "adpcm_g726"), ("AU", "G723_40", "adpcm_g726")]:
        soundfile.write(folder / "packed.bin", stereo if kind in ("CAF", "NIST") else stereo[:, :1], rate, subtype=subtype, format=kind)
        refused({"NIST": "NIST SPHERE"}.get(kind, kind), subtype, (folder / "packed.bin").read_bytes(), words, "audio")
    telephone(stereo)
    for kind, ending, encoder in [("WMA", "wma", "wmav2"), ("WMA", "wma", "wmav1")]:
        if encoder in available:
            ffmpeg("-i", folder / "source.wav", "-c:a", encoder, folder / f"a.{ending}")
            as_ffmpeg(kind, encoder, folder / f"a.{ending}", rate, 2)
    for kind, rate, mark, frame in [("AMR", 8000, b"#!AMR\n", b"\x3c" + bytes(31)), ("AMR", 16000, b"#!AMR-WB\n", b"\x44" + bytes(60))]:
        frames = [frame[:1] + rng.integers(0, 256, len(frame) - 1, dtype=np.uint8).tobytes() for _ in range(50)]
        (folder / "a.amr").write_bytes(mark + b"".join(frames))
        as_ffmpeg(kind, f"at {rate} Hz", folder / "a.amr", rate)


def telephone(stereo):
    """Packed sounds that soundfile reads a little otherwise, by how much; GSM has whole blocks at its end."""
    for kind, ending, subtype, channels, apart in [(kind, ending, *packed) for kind, ending in [("WAV", "wav"), ("W64", "w64"), ("AIFF", "aiff")]
                                                   for packed in [("IMA_ADPCM", 1, 0.02), ("IMA_ADPCM", 2, 0.02), ("MS_ADPCM", 1, 0.04), ("MS_ADPCM", 2, 0.04), ("GSM610", 1, 1e-6)]]:
        if not soundfile.check_format(kind, subtype):
            continue
        path, rate = folder / f"a.{ending}", 8000
        soundfile.write(path, stereo[:, :channels], rate, subtype=subtype, format=kind)
        as_ffmpeg(kind, f"{subtype} of {channels}", path, rate, channels)
        ours = heard(path, rate)
        theirs = soundfile.read(path, dtype="float32", always_2d=True)[0].mean(1)
        both = min(len(ours), len(theirs))
        error = np.abs(ours[:both] - theirs[:both]).max()
        check(f"{kind}, {subtype} of {channels} beside soundfile", abs(len(ours) - len(theirs)) <= (320 if subtype == "GSM610" else 0) and error < apart, f"{len(ours)} samples, {len(theirs)} expected, error {error:.1e}")


def as_ffmpeg(kind, name, path, rate, channels=1):
    seen.add(kind)
    whole[kind] = "audio", path.read_bytes()
    raw = subprocess.run(["ffmpeg", "-v", "error", "-i", path, "-af", "aformat=fltp,pan=mono|c0=0.5*c0+0.5*c1" if channels == 2 else "anull", "-f", "f32le", "-"], capture_output=True, check=True).stdout
    theirs, ours = np.frombuffer(raw, np.float32), heard(path, rate)
    error = np.abs(ours - theirs).max() if len(ours) == len(theirs) else 9
    check(f"{kind}, {name}", error < 1e-6, f"{len(ours)} samples, {len(theirs)} expected, error {error:.1e}")


def playlists():
    for text in ["#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1/a.ts\n", "ffconcat version 1.0\nfile a.wav\n", '<ASX version="3.0"><Entry><Ref href="file:///etc/passwd"/></Entry></ASX>', "[Reference]\nRef1=http://127.0.0.1/a.asf\n"]:
        refused("Playlists", text.split("\n")[0][:20], text.encode(), "", "audio")


def survives(request, data):
    """Whether it is decoded or refused in words, and nothing else is opened; a probe that has died answers neither."""
    path = folder / "damaged.bin"
    path.write_bytes(data)
    try:
        ask(request, out, path, *([16000] if request == "audio" else []))
        return True
    except RuntimeError as error:
        return str(error).startswith("error data error: ") and not re.search("0x[0-9a-f]{5,}", str(error))


def damaged():
    """Cut short, and with bytes changed, half of the times near the beginning."""
    try:
        print("SKIPPED, nothing watches what is opened:", *ask("beside", out, folder / "damaged.bin"))
    except RuntimeError as error:
        check("what is opened beside a file is told", str(error) == f"error internal error: opens {folder}/damaged.bin.beside", str(error))
    for kind, (request, data) in sorted(whole.items()):
        data = data[:20000]
        points = [data[: i * len(data) // 60] for i in range(60)]
        for i in range(120):
            changed = bytearray(data)
            for place in rng.integers(0, len(data) if i % 2 else 64, 1 + i % 4):
                changed[place] = rng.integers(0, 256)
            points.append(bytes(changed))
        check(f"{kind}, damaged", all(survives(request, point) for point in points))


def table():
    """Every row of the table was looked at, and every format that was looked at has its row."""
    page = (Path(__file__).resolve().parents[2] / "docs/data.md").read_text()
    rows = re.findall(r"^\| ([A-Za-z0-9 ,]+) \| (?:read|refused)", page, re.M)
    check("the table of docs/data.md", set(rows) == seen, f"rows {sorted(set(rows) - seen)} without a test, tests {sorted(seen - set(rows))} without a row")


for part in [pictures, sounds, playlists, damaged, table]:
    part()
finish()
