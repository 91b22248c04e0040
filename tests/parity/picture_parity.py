"""Pictures of every format, colour and orientation, byte for byte, against Pillow and transformers.

Usage: picture_parity.py BUILD_FOLDER
"""
import io
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from transformers.image_utils import load_image
from transformers.image_transforms import convert_to_rgb

from media_oracle import ask, check, ffmpeg, finish, folder, out, picture

media = Path(__file__).resolve().parents[1] / "media"
warnings.simplefilter("ignore")  # Pillow has opinions on some of these files

def ours_of(path, *reading):
    height, width = map(int, ask("image", out, path, *reading))
    return np.fromfile(out, np.uint8).reshape(height, width, 3)


def compare(name, data, blends=True, reference=None):
    """As load_image reads the file and, with transparency = "white", as a processor takes the Pillow image of it."""
    path = folder / "picture.bin"
    path.write_bytes(data)
    theirs = np.asarray(load_image(str(path))) if reference is None else reference
    readings = [("", theirs, ())]
    if blends and reference is None:
        readings.append((", over white", convert_to_rgb(ImageOps.exif_transpose(Image.open(path)), return_numpy=True), ("white", "clip")))
    for what, theirs, reading in readings:
        ours = ours_of(path, *reading)
        difference = np.abs(ours.astype(int) - theirs).max() if ours.shape == theirs.shape else f"of shapes {ours.shape} {theirs.shape}"
        check(f"{name}{what}", difference == 0, f"largest difference {difference}")


def saved(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def images():
    for height, width in [(61, 83), (1, 1), (64, 48), (5, 2)]:
        size = f"{width}x{height}"
        rgb, alpha = picture(height, width), picture(height, width, 4)
        color, gray = Image.fromarray(rgb), Image.fromarray(rgb[..., 0])
        compare(f"png rgb {size}", saved(color, "PNG"))
        compare(f"png rgba {size}", saved(Image.fromarray(alpha), "PNG"))
        for values in [rgb[..., 0].astype(np.uint16) * 257 - 100, rgb[..., 0].astype(np.uint16) * 2]:
            compare(f"png 16-bit gray {size}", saved(Image.fromarray(values), "PNG"))
        compare(f"png gray {size}", saved(gray, "PNG"))
        compare(f"png gray+alpha {size}", saved(Image.merge("LA", [gray, Image.fromarray(alpha[..., 3])]), "PNG"))
        compare(f"png palette {size}", saved(color.quantize(40), "PNG"))
        compare(f"png 1 bit {size}", saved(gray.convert("1"), "PNG"))
        compare(f"png palette of 4 colours {size}", saved(color.quantize(4), "PNG", bits=2))
        compare(f"png palette with transparency {size}", saved(color.quantize(40), "PNG", transparency=bytes(range(0, 240, 6))))
        compare(f"png rgb with a transparent colour {size}", saved(color, "PNG", transparency=tuple(map(int, rgb[0, 0]))))
        compare(f"png 1 bit, transparent {size}", saved(gray.convert("1"), "PNG", transparency=0), blends=False)
        compare(f"png gray with a transparent value {size}", saved(gray, "PNG", transparency=100))
        for subsampling in ["4:4:4", "4:2:2", "4:2:0"]:
            for progressive in [False, True]:
                data = saved(color, "JPEG", quality=85, subsampling=subsampling, progressive=progressive)
                compare(f"jpeg {subsampling} progressive={progressive} {size}", data)
        compare(f"jpeg gray {size}", saved(gray, "JPEG", quality=90))
        compare(f"jpeg cmyk {size}", saved(color.convert("CMYK"), "JPEG", quality=95))
        compare(f"jpeg without a colour transform {size}", saved(color, "JPEG", keep_rgb=True))
        for quality in [30, 90]:
            compare(f"webp lossy {quality} {size}", saved(color, "WEBP", quality=quality))
        compare(f"webp lossy with alpha {size}", saved(Image.fromarray(alpha), "WEBP", quality=80))
        compare(f"webp lossless {size}", saved(color, "WEBP", lossless=True))
        compare(f"webp lossless with alpha {size}", saved(Image.fromarray(alpha), "WEBP", lossless=True, exact=True))
    for path in sorted((media / "jpeg").glob("*.jpg")):  # samplings and colours that neither Pillow nor ffmpeg writes
        compare(f"jpeg {path.stem}", path.read_bytes())
    wide = picture(20, 30, 4).astype(np.uint16) * 257 - 77  # 16 bits, which Pillow cannot write
    for name, kind, array in [("rgb", "rgb48be", wide[..., :3]), ("rgba", "rgba64be", wide), ("gray+alpha", "ya16be", wide[..., :2])]:
        (folder / "wide.raw").write_bytes(array.astype(">u2").tobytes())
        ffmpeg("-f", "rawvideo", "-pix_fmt", kind, "-s", "30x20", "-i", folder / "wide.raw", "-frames:v", 1, folder / "wide.png")
        compare(f"png 16-bit {name}", (folder / "wide.png").read_bytes())
    values = np.arange(600, dtype=np.uint16).reshape(20, 30) * 100
    (folder / "gray16.png").write_bytes(saved(Image.fromarray(values), "PNG"))
    check("png 16-bit gray, scaled", bool((ours_of(folder / "gray16.png", "drop", "scale") == (values >> 8)[..., None]).all()))


def animations():
    color, alpha = Image.fromarray(picture(40, 56)), Image.fromarray(picture(40, 56, 4))
    few, gray = color.quantize(40), color.convert("L")
    noise = Image.fromarray(picture(300, 200)[..., 0] * np.uint8(77))
    for name, data in [("gif", saved(few, "GIF")), ("gif gray", saved(gray, "GIF")), ("gif of two colours", saved(color.quantize(2), "GIF")), ("gif of noise", saved(noise, "GIF")), ("gif transparent", saved(few, "GIF", transparency=5)),
                       ("gif not interlaced", saved(few, "GIF", interlace=0)), ("gif animated", saved(few, "GIF", save_all=True, append_images=[few.rotate(90), few.rotate(180)]))]:
        compare(name, data)
        for screen in [(80, 70), (20, 10)]:
            compare(f"{name}, on a screen of {screen}", data[:6] + struct.pack("<HH", *screen) + data[10:])
    canvas = Image.new("RGBA", (90, 80), (0, 0, 0, 0))
    canvas.paste(alpha, (20, 10))
    for options in [dict(lossless=True), dict(quality=80), dict(lossless=True, exact=True)]:
        for name, frame in [("RGB", color), ("RGBA", alpha), ("RGBA in a corner", canvas)]:
            compare(f"webp animated {name} {options}", saved(frame, "WEBP", save_all=True, append_images=[frame.rotate(90), frame.rotate(180)], **options))


def tiff(value, order="<", kind=3, count=1, tag=0x0112):
    return {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(order + "IHHHI", 8, 1, tag, kind, count) + struct.pack(order + {1: "B", 3: "H", 4: "I"}[kind], value).ljust(4, b"\0") + bytes(4)


def tiff_picture(order, image, *more):
    """Uncompressed RGB, with `more` entries: tag, kind and bytes."""
    pack = lambda letter, *values: struct.pack(order + letter * len(values), *values)
    after, pixels = b"", image.tobytes()
    entries = sorted([(256, 4, pack("I", image.width)), (257, 4, pack("I", image.height)), (258, 3, pack("H", 8, 8, 8)), (259, 3, pack("H", 1)), (262, 3, pack("H", 2)), (277, 3, pack("H", 3)), (278, 4, pack("I", image.height)), (279, 4, pack("I", len(pixels))), *more, (273, 4, pack("I", 8))])
    directory = b""
    for tag, kind, content in entries:
        size = {1: 1, 3: 2, 4: 4, 7: 1}[kind]
        place = content.ljust(4, b"\0") if len(content) <= 4 else pack("I", 8 + len(pixels) + len(after))
        after += b"" if len(content) <= 4 else content
        directory += pack("H", tag, kind) + pack("I", len(content) // size) + place
    return {"<": b"II*\0", ">": b"MM\0*"}[order] + pack("I", 8 + len(pixels) + len(after)) + pixels + after + pack("H", len(entries)) + directory + bytes(4)


def in_jpeg(data, *segments):
    return data[:2] + b"".join(b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment for segment in segments) + data[2:]


def in_png(data, name, content, late):
    at = len(data) - 12 if late else 33
    return data[:at] + struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content)) + data[at:]


def orientations():
    """EXIF and XMP in every place where Pillow looks for them."""
    color = Image.fromarray(picture(20, 28))
    jpeg, png, exif_mark, xmp_mark = saved(color, "JPEG"), saved(color, "PNG"), b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"
    for value in range(10):
        xmps = [f'<x tiff:Orientation="{value}"/>'.encode(), f"<x><tiff:Orientation>{value}</tiff:Orientation></x>".encode()]
        exif, segments = tiff(value), {}
        for order, kind, count in [("<", 3, 1), (">", 3, 1), ("<", 4, 1), (">", 4, 1), ("<", 1, 1), (">", 3, 2)]:
            segments[f"exif {order}{kind} {count}"] = [exif_mark + tiff(value, order, kind, count)]
        segments |= {f"xmp {number}": [xmp_mark + xmp] for number, xmp in enumerate(xmps)}
        segments |= {"exif 0 and xmp": [exif_mark + tiff(0), xmp_mark + xmps[0]], "other exif and xmp": [exif_mark + tiff(3, tag=0x0100), xmp_mark + xmps[0]], "exif in two": [exif_mark + exif[:12], exif_mark + exif[12:]], "xmp twice": [xmp_mark + xmps[0].replace(b"%d" % value, b"3"), xmp_mark + xmps[0]]}
        for name, parts in segments.items():
            compare(f"jpeg, {name}, {value}", in_jpeg(jpeg, *parts), blends=False)
        raw = exif_mark + exif
        profile = b"\nexif\n%8d\n" % len(raw) + raw.hex().encode() + b"\n"
        chunks = {"eXIf": (b"eXIf", exif), "XMP": (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmps[0]), "XMP, packed": (b"iTXt", b"XML:com.adobe.xmp\0\1\0en\0k\0" + zlib.compress(xmps[1])), "XMP in zTXt": (b"zTXt", b"XML:com.adobe.xmp\0\0" + zlib.compress(xmps[0])),
                  "raw profile": (b"tEXt", b"Raw profile type exif\0" + profile), "raw profile, packed": (b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(profile))}
        for name, (chunk, content) in chunks.items():
            for late in [False, True]:
                compare(f"png, {name}, {'after' if late else 'before'} the pixels, {value}", in_png(png, chunk, content, late), blends=False)
        for order in "<>":
            turned = (274, 3, struct.pack(order + "H", value))
            notes = {f"xmp {number}, kind {kind}": [(700, kind, xmp)] for number, xmp in enumerate(xmps) for kind in (1, 7)}
            notes |= {"exif": [turned], "exif and xmp": [turned, (700, 1, xmps[0].replace(b"%d" % value, b"3"))], "exif 0 and xmp": [(274, 3, bytes(2)), (700, 1, xmps[0])], "short xmp": [(700, 1, b"6")]}
            for name, more in notes.items():
                compare(f"tiff, {order}, {name}, {value}", tiff_picture(order, color, *more), blends=False)
        tag = Image.Exif()
        tag[0x0112] = value
        for name, options in [("exif", dict(exif=tag)), ("xmp", dict(xmp=xmps[0])), ("exif, animated", dict(exif=tag, save_all=True, append_images=[color.rotate(90)]))]:
            compare(f"webp, {name}, {value}", saved(color, "WEBP", lossless=True, **options), blends=False)


for part in [images, animations, orientations]:
    part()
finish()
