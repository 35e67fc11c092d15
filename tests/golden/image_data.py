"""Writes images/ and images.json: small files of every kind that is read, and the colours that PIL makes of them.

    python -m pip install pillow==13.0.0 numpy
    python tests/golden/image_data.py

Colours are those of `ImageOps.exif_transpose(image).convert("RGB")`, row by row; of 16-bit files, which PIL clips or
does not open, the high byte of what was written, as OpenCV reads them. `tolerance` is how far a decoder may be from
another: 0 but for lossy files.
"""

import io
import json
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

FOLDER = Path(__file__).resolve().parent / "images"
WIDTH, HEIGHT = 13, 7


def picture(channels: int, peak: int = 255) -> np.ndarray:
    """Smooth, and different in every corner and channel: [height, width, channels]."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    planes = [x / (WIDTH - 1), y / (HEIGHT - 1), (x + 2 * y) / (WIDTH + 2 * HEIGHT - 3), 1 - x / (2 * WIDTH)]
    return np.round(np.stack(planes[:channels], axis=-1) * peak).astype(np.int64)


def packed(rows: np.ndarray, depth: int) -> bytes:
    """PNG's scan lines of [height, width, channels], each behind filter 0."""
    result = b""
    for row in rows.reshape(rows.shape[0], -1):
        if depth == 16:
            line = row.astype(">u2").tobytes()
        elif depth == 8:
            line = row.astype(np.uint8).tobytes()
        else:
            bits = "".join(format(int(value), f"0{depth}b") for value in row)
            bits += "0" * (-len(bits) % 8)
            line = bytes(int(bits[start : start + 8], 2) for start in range(0, len(bits), 8))
        result += b"\0" + line
    return result


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def png(
    values: np.ndarray,
    color: int,
    depth: int,
    palette: list | None = None,
    alpha: bytes = b"",
    interlaced: bool = False,
    before: bytes = b"",
    after: bytes = b"",
) -> bytes:
    height, width = values.shape[:2]
    data = b"\x89PNG\r\n\x1a\n"
    data += chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, int(interlaced)))
    if palette is not None:
        data += chunk(b"PLTE", bytes(value for entry in palette for value in entry))
    if alpha:
        data += chunk(b"tRNS", alpha)
    data += before
    if interlaced:
        passes = [values[y::dy, x::dx] for x, y, dx, dy in ADAM7]
        lines = b"".join(packed(part, depth) for part in passes if part.size)
    else:
        lines = packed(values, depth)
    return data + chunk(b"IDAT", zlib.compress(lines, 9)) + after + chunk(b"IEND", b"")


def exif(orientation: int) -> bytes:
    """A directory of one tag."""
    return b"MM\0*\0\0\0\x08\0\x01" + struct.pack(">HHIHH", 0x0112, 3, 1, orientation, 0) + b"\0\0\0\0"


def saved(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def tiff(strips: list[bytes], **tags: int | list[int]) -> bytes:
    """A little-endian TIFF of strips or, with a tile width (`t322`), tiles; tags by number, of 16 bits each."""
    data = b"II*\0" + bytes(4)
    places = []
    for strip in strips:
        places.append(len(data))
        data += strip + b"\0" * (len(strip) % 2)
    entries = {int(name[1:]): (3, value if isinstance(value, list) else [value]) for name, value in tags.items()}
    offsets, counts = (324, 325) if 322 in entries else (273, 279)
    entries |= {offsets: (4, places), counts: (4, [len(strip) for strip in strips])}
    directory, after = struct.pack("<H", len(entries)), b""
    for tag, (kind, values) in sorted(entries.items()):
        value = struct.pack("<" + "HI"[kind == 4] * len(values), *values)
        if len(value) > 4:
            place = len(data) + 2 + 12 * len(entries) + 4 + len(after)
            value, after = struct.pack("<I", place), after + value
        directory += struct.pack("<HHI", tag, kind, len(values)) + value.ljust(4, b"\0")
    return data[:4] + struct.pack("<I", len(data)) + data[8:] + directory + bytes(4) + after


def described(channels: int, bits: int, photometric: int) -> dict[str, int | list[int]]:
    """The tags of an uncompressed picture."""
    return {
        "t256": WIDTH, "t257": HEIGHT, "t258": [bits] * channels, "t259": 1, "t262": photometric, "t277": channels,
        "t278": HEIGHT,
    }


def segment(data: bytes) -> bytes:
    """An application segment of JPEG."""
    return b"\xff\xe1" + struct.pack(">H", len(data) + 2) + data


def tiff_16(values: np.ndarray) -> bytes:
    """An uncompressed TIFF of 16 bits a channel, which PIL writes of one channel alone."""
    height, width, channels = values.shape
    pixels = values.astype("<u2").tobytes()
    after = 8 + len(pixels)
    bits = struct.pack("<" + "H" * channels, *[16] * channels)
    entries = [
        (256, 3, 1, width), (257, 3, 1, height), (258, 3, channels, after if channels > 1 else 16), (259, 3, 1, 1),
        (262, 3, 1, 2 if channels >= 3 else 1), (273, 4, 1, 8), (277, 3, 1, channels), (278, 3, 1, height),
        (279, 4, 1, len(pixels)),
    ]
    directory = struct.pack("<H", len(entries))
    directory += b"".join(struct.pack("<HHII", *entry) for entry in entries) + struct.pack("<I", 0)
    return b"II*\0" + struct.pack("<I", after + len(bits)) + pixels + bits + directory


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    rgb = picture(3).astype(np.uint8)
    rgba = picture(4).astype(np.uint8)
    rgba[:2, :, 3] = 0
    image, transparent = Image.fromarray(rgb), Image.fromarray(rgba)
    palette = [[(37 * index) % 256, (101 * index) % 256, (191 * index) % 256] for index in range(256)]
    indices = lambda depth: (np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH, 1) * 5) % (1 << depth)
    high = lambda values: (values >> 8).astype(np.uint8)
    grey = lambda values: np.repeat(values[..., :1], 3, axis=-1)

    files: dict[str, tuple[bytes, np.ndarray | None, int]] = {}

    def add(name: str, data: bytes, expected: np.ndarray | None = None, tolerance: int = 0) -> None:
        files[name] = (data, expected, tolerance)

    for depth in [1, 2, 4, 8]:
        add(f"grey{depth}.png", png(indices(depth), 0, depth))
        add(f"palette{depth}.png", png(indices(depth), 3, depth, palette[: 1 << depth]))
    add("palette_transparent.png", png(indices(4), 3, 4, palette[:16], bytes(range(0, 160, 10))))
    add("grey_alpha.png", png(picture(2), 4, 8))
    add("rgb.png", png(rgb, 2, 8))
    add("rgba.png", png(rgba, 6, 8))
    add("rgb_key.png", png(rgb, 2, 8, alpha=struct.pack(">HHH", *[int(value) for value in rgb[0, 0]])))
    for name, color, channels in [("grey", 0, 1), ("grey_alpha", 4, 2), ("rgb", 2, 3), ("rgba", 6, 4)]:
        wide = picture(channels, 65535)
        expected = high(grey(wide) if channels < 3 else wide[..., :3])
        add(f"{name}16.png", png(wide, color, 16), expected)
    add("rgb_interlaced.png", png(rgb, 2, 8, interlaced=True))
    add("grey2_interlaced.png", png(indices(2), 0, 2, interlaced=True))
    add("palette4_interlaced.png", png(indices(4), 3, 4, palette[:16], interlaced=True))
    add("turned6.png", png(rgb, 2, 8, before=chunk(b"eXIf", exif(6))))
    add("turned8_after.png", png(rgb, 2, 8, after=chunk(b"eXIf", exif(8))))

    # Large enough for whole blocks of subsampled colours.
    large = image.resize((48, 32), Image.Resampling.BICUBIC)
    add("rgb444.jpg", saved(large, "JPEG", quality=95, subsampling=0), tolerance=3)
    add("rgb420.jpg", saved(large, "JPEG", quality=95, subsampling=2), tolerance=6)
    add("progressive.jpg", saved(large, "JPEG", quality=95, progressive=True, subsampling=0), tolerance=3)
    add("grey.jpg", saved(large.convert("L"), "JPEG", quality=95), tolerance=2)
    add("cmyk.jpg", saved(large.convert("CMYK"), "JPEG", quality=95), tolerance=5)
    for orientation in range(1, 9):
        info = b"Exif\0\0" + exif(orientation)
        data = saved(large, "JPEG", quality=95, subsampling=0, exif=info)
        add(f"turned{orientation}.jpg", data, tolerance=3)

    add("rgb.webp", saved(image, "WEBP", lossless=True))
    add("rgba.webp", saved(transparent, "WEBP", lossless=True, exact=True))
    add("lossy.webp", saved(large, "WEBP", quality=95), tolerance=8)
    add("turned6.webp", saved(image, "WEBP", lossless=True, exif=b"Exif\0\0" + exif(6)))

    add("rgb.tif", saved(image, "TIFF"))
    add("lzw.tif", saved(image, "TIFF", compression="tiff_lzw"))
    add("deflate.tif", saved(image, "TIFF", compression="tiff_adobe_deflate"))
    add("rgba.tif", saved(transparent, "TIFF"))
    add("grey.tif", saved(image.convert("L"), "TIFF"))
    add("bits.tif", saved(image.convert("1"), "TIFF"))
    add("cmyk.tif", saved(image.convert("CMYK"), "TIFF"), tolerance=1)
    add("turned6.tif", saved(image, "TIFF", tiffinfo={274: 6}))
    wide = picture(3, 65535)
    add("rgb16.tif", tiff_16(wide), high(wide))
    add("grey16.tif", tiff_16(wide[..., :1]), high(grey(wide)))

    associated = described(4, 8, 2) | {"t338": 1}
    add("associated.tif", tiff([transparent.tobytes()], **associated))
    add("grey_alpha.tif", tiff([picture(2).astype(np.uint8).tobytes()], **described(2, 8, 1), t338=2))
    wide = picture(2, 65535)
    add("grey_alpha16.tif", tiff([wide.astype("<u2").tobytes()], **described(2, 16, 1), t338=2), high(grey(wide)))

    strips = [rgb[start : start + 3, :, channel].tobytes() for channel in range(3) for start in range(0, HEIGHT, 3)]
    add("planes.tif", tiff(strips, **described(3, 8, 2) | {"t278": 3}, t284=2))

    # The orientation in other places and forms.
    mark, plain = b"Exif\0\0", saved(large, "JPEG", quality=95, subsampling=0)
    long = b"MM\0*\0\0\0\x08\0\x01" + struct.pack(">HHII", 0x0112, 4, 1, 6) + b"\0\0\0\0"
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    xmp += b'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
    space = b"http://ns.adobe.com/xap/1.0/\0"
    for name, segments in [
        ("turned6_before1", segment(mark + exif(6)) + segment(mark + exif(1))),
        ("turned1_before6", segment(mark + exif(1)) + segment(mark + exif(6))),
        ("turned6_long", segment(mark + long)),
        ("turned6_xmp", segment(space + xmp)),
        ("turned1_xmp", segment(space + xmp) + segment(mark + exif(1))),
    ]:
        add(f"{name}.jpg", plain[:2] + segments + plain[2:], tolerance=3)
    profile = (mark + exif(6)).hex()
    lines = [profile[start : start + 72] for start in range(0, len(profile), 72)]
    profile = "\n".join(["", "exif", f"{len(profile) // 2:8}", *lines, ""]).encode()
    keyword = b"Raw profile type exif\0"
    add("turned6_profile.png", png(rgb, 2, 8, before=chunk(b"zTXt", keyword + b"\0" + zlib.compress(profile))))
    add("turned6_profile_plain.png", png(rgb, 2, 8, before=chunk(b"tEXt", keyword + profile)))
    add("turned6_xmp.png", png(rgb, 2, 8, before=chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp)))

    add("rgb.bmp", saved(image, "BMP"))
    add("palette.bmp", saved(image.quantize(16), "BMP"))
    add("bits.bmp", saved(image.convert("1"), "BMP"))
    add("grey.bmp", saved(image.convert("L"), "BMP"))
    add("rgba.bmp", saved(transparent, "BMP"))

    expectations = {}
    for name, (data, expected, tolerance) in files.items():
        (FOLDER / name).write_bytes(data)
        if expected is None:
            expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))
        expectations[name] = {
            "width": expected.shape[1],
            "height": expected.shape[0],
            "tolerance": tolerance,
            "rgb": expected.astype(np.uint8).tobytes().hex(),
        }
    # Of kinds that are refused.
    (FOLDER / "refused.gif").write_bytes(saved(image.quantize(16), "GIF"))
    (FOLDER / "refused_palette.tif").write_bytes(saved(image.quantize(16), "TIFF"))
    (FOLDER / "refused_float.tif").write_bytes(saved(Image.fromarray(rgb[..., 0].astype(np.float32)), "TIFF"))
    swapped = bytes(int(f"{byte:08b}"[::-1], 2) for byte in rgb.tobytes())
    grey_alpha = Image.fromarray(picture(2).astype(np.uint8), "LA")
    (FOLDER / "refused_grey_alpha.tif").write_bytes(saved(grey_alpha, "TIFF", compression="jpeg"))
    (FOLDER / "refused_fill_order.tif").write_bytes(tiff([swapped], **described(3, 8, 2), t266=2))
    padded = np.zeros((16, 16, 3), np.uint8)
    padded[:HEIGHT, :WIDTH] = rgb
    tiles = [padded[..., channel].tobytes() for channel in range(3)]
    (FOLDER / "refused_planes.tif").write_bytes(tiff(tiles, **described(3, 8, 2), t284=2, t322=16, t323=16))
    (FOLDER.parent / "images.json").write_text(json.dumps(expectations, indent=1) + "\n")


if __name__ == "__main__":
    main()
