"""The hostile corpus: image files of more than 150 odd kinds, generated from a seed, each with what the reader must say of it."""

from __future__ import annotations

import io
import os
import socket
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from PIL import Image


class Case(NamedTuple):
    """One path of the corpus. `skip`: the codes of which one must be raised, empty for a picture that is read;
    `notes`: the codes that must be among the problems of one that is read."""

    path: str
    skip: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


Contents = Iterator[tuple[str, bytes, tuple[str, ...], tuple[str, ...]]]
UNREADABLE, TRUNC, CORRUPT, BOMB, FORMAT = ("IMG-UNREADABLE",), ("IMG-TRUNC",), ("IMG-CORRUPT",), ("IMG-BOMB",), ("IMG-FORMAT",)
DAMAGED = ("IMG-TRUNC", "IMG-CORRUPT", "IMG-UNREADABLE")


def write_corpus(root: Path, seed: int = 0) -> list[Case]:
    """Writes every kind under `root` (some 2 s and 1 MB) and says what is expected of each."""
    root.mkdir(parents=True, exist_ok=True)
    rng, cases = np.random.default_rng(seed), []
    for contents in (junk(), truncated(rng), damaged(rng), formats(rng), modes(rng), oriented(rng), frames(rng), bombs(), shapes(rng), names(rng)):
        for name, data, skip, notes in contents:
            path = os.path.join(os.fspath(root), name)
            with open(path, "xb") as file:
                file.write(data)
            cases.append(Case(path, skip, notes))
    return cases + special(root, rng)


def picture(rng: np.random.Generator, height: int = 48, width: int = 64) -> Image.Image:
    """A smooth coloured picture with some noise, so that every format has something to compress."""
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    waves = np.stack([np.sin(3 * x + a) * np.cos(4 * y - a) for a in (0, 1, 2)], 2) * 100 + 128
    return Image.fromarray((waves + rng.normal(0, 6, waves.shape)).clip(0, 255).astype(np.uint8))


def encoded(image: Image.Image, name: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, name, **options)
    return stream.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a PNG file."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(kind)))


def png(width: int, height: int, *between: bytes, depth: int = 8, colour: int = 0, pixels: bytes | None = b"") -> bytes:
    """A PNG file with that header, these chunks and those compressed pixels (None: no pixel chunk at all)."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    body = b"" if pixels is None else chunk(b"IDAT", pixels)
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(between) + body + chunk(b"IEND", b"")


def zeros(rows: int, row: int) -> bytes:
    """So many rows of zeros, compressed without ever being held."""
    packer, block = zlib.compressobj(1), bytes(row)
    return b"".join(packer.compress(block) for _ in range(rows)) + packer.flush()


def junk() -> Contents:
    yield "zero.jpg", b"", ("IMG-EMPTY",), ()
    yield "one_byte.png", b"\xff", UNREADABLE, ()
    yield "text.jpg", b"this is no picture\n" * 20, UNREADABLE, ()
    yield "not_found.jpg", b"<!DOCTYPE html><html><body>404 Not Found</body></html>", UNREADABLE, ()
    yield "vector.png", b'<svg xmlns="http://www.w3.org/2000/svg"><rect width="9" height="9"/></svg>', UNREADABLE, ()
    yield "document.jpg", b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n1 0 obj << >> endobj\n%%EOF", UNREADABLE, ()
    yield "postscript.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n", UNREADABLE, ()
    yield "archive.jpg", b"PK\x03\x04" + bytes(60), UNREADABLE, ()
    yield "nulls.png", bytes(5000), UNREADABLE, ()
    yield "pickle.png", b"\x80\x04\x95\x1a" + bytes(40), UNREADABLE, ()
    yield "stub.jpg", b"\xff\xd8\xff", TRUNC, ()
    yield "stub.png", b"\x89PNG\r\n\x1a\n", DAMAGED, ()
    yield "stub.gif", b"GIF89a", DAMAGED, ()
    yield "stub.bmp", b"BM", DAMAGED, ()
    yield "stub.tif", b"II*\0", DAMAGED, ()
    yield "stub.ppm", b"P6 ", DAMAGED, ()


SAVED = {"jpg": ("JPEG", {"quality": 90}), "png": ("PNG", {}), "gif": ("GIF", {}), "bmp": ("BMP", {}), "tif": ("TIFF", {}), "webp": ("WEBP", {})}


def truncated(rng: np.random.Generator) -> Contents:
    for extension, (name, options) in SAVED.items():
        whole = encoded(picture(rng), name, **options)
        for percent in (1, 10, 50, 90):
            yield f"keeps_{percent}_percent.{extension}", whole[: max(12, len(whole) * percent // 100)], DAMAGED, ()
        tolerant = extension in ("jpg", "png", "gif")
        yield f"tail_missing.{extension}", whole[:-1] if extension == "gif" else whole[:-2], () if tolerant else DAMAGED, ("IMG-TAIL",) if tolerant else ()
    progressive = encoded(picture(rng), "JPEG", progressive=True)
    yield "keeps_half_progressive.jpg", progressive[: len(progressive) // 2], TRUNC, ()
    yield "keeps_half.ppm", encoded(picture(rng), "PPM")[:4000], TRUNC, ()
    wide = b"P6 8 8 65535\n" + bytes(100)
    yield "keeps_part_16bit.ppm", wide, TRUNC, ()


def damaged(rng: np.random.Generator) -> Contents:
    jpeg, portable = encoded(picture(rng), "JPEG", quality=95), encoded(picture(rng), "PNG")
    place = portable.index(b"IDAT")
    yield "bad_checksum_pixels.png", portable[:-20] + bytes([portable[-20] ^ 1]) + portable[-19:], CORRUPT, ()
    yield "bad_checksum_only.png", portable[:-13] + bytes([portable[-13] ^ 1]) + portable[-12:], CORRUPT, ()
    yield "bad_checksum_header.png", portable[:29] + b"\0\0\0\0" + portable[33:], DAMAGED, ()
    yield "noise_body.png", portable[: place + 4] + rng.bytes(len(portable) - place - 20) + portable[-16:], CORRUPT, ()
    scan = jpeg.index(b"\xff\xda") + 20
    noise = bytes(b for b in rng.bytes(len(jpeg) - scan - 2) if b != 0xFF)
    yield "noise_body.jpg", jpeg[:scan] + noise + b"\xff\xd9", CORRUPT, ()
    yield "noise_body.webp", encoded(picture(rng), "WEBP")[:40] + rng.bytes(900), DAMAGED, ()
    yield "extra_bytes.jpg", jpeg[:-2] + b"\x11\x22\x33" + b"\xff\xd9", (), ("IMG-DAMAGED",)
    yield "trailing_bytes.jpg", jpeg + rng.bytes(200), (), ()
    yield "trailing_bytes.png", portable + rng.bytes(200), (), ()


def formats(rng: np.random.Generator) -> Contents:
    small = picture(rng)
    yield "jpeg_named.png", encoded(small, "JPEG"), (), ("IMG-EXT",)
    yield "png_named.jpg", encoded(small, "PNG"), (), ("IMG-EXT",)
    yield "png_named.webp", encoded(small, "PNG"), (), ("IMG-EXT",)
    yield "gif_named.jp2", encoded(small, "GIF"), (), ("IMG-EXT",)
    yield "no_extension", encoded(small, "PNG"), (), ()
    yield "upper_case.JPG", encoded(small, "JPEG"), (), ()
    yield "progressive.jpg", encoded(small, "JPEG", progressive=True), (), ()
    yield "lossless.webp", encoded(small, "WEBP", lossless=True), (), ()
    yield "deflated.tif", encoded(small, "TIFF", compression="tiff_adobe_deflate"), (), ()
    yield "jpeg_2000.jp2", encoded(small, "JPEG2000"), FORMAT, ()
    yield "jpeg_2000_named.jpg", encoded(small, "JPEG2000"), FORMAT, ()
    yield "avif.avif", b"\0\0\0\x20ftypavif\0\0\0\0avifmif1miafMA1B" + bytes(200), FORMAT, ()
    yield "heic.jpg", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200), FORMAT, ()
    yield "icon.png", encoded(small, "ICO"), FORMAT, ()
    yield "direct_draw.png", encoded(small, "DDS"), FORMAT, ()
    yield "photoshop.jpg", b"8BPS\0\1" + bytes(60), FORMAT, ()
    yield "lab.tif", encoded(Image.new("LAB", (8, 8)), "TIFF"), FORMAT, ()


def modes(rng: np.random.Generator) -> Contents:
    small, deep = picture(rng), rng.integers(0, 65536, (12, 16, 3), dtype=np.uint16)
    alpha = Image.fromarray(rng.integers(0, 256, (small.height, small.width), dtype=np.uint8))
    yield "bilevel.png", encoded(small.convert("1"), "PNG"), (), ()
    yield "grey.jpg", encoded(small.convert("L"), "JPEG"), (), ()
    yield "grey_alpha.png", encoded(Image.merge("LA", (small.convert("L"), alpha)), "PNG"), (), ("IMG-ALPHA",)
    yield "grey_transparent.png", encoded(Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)), "PNG", transparency=5), (), ("IMG-ALPHA",)
    yield "palette.png", encoded(small.quantize(16), "PNG"), (), ()
    yield "palette_alpha.png", encoded(small.quantize(16), "PNG", transparency=bytes(range(0, 256, 16))), (), ("IMG-ALPHA",)
    yield "colour_alpha.png", encoded(Image.merge("RGBA", (*small.split(), alpha)), "PNG"), (), ("IMG-ALPHA",)
    yield "colour_opaque.png", encoded(small.convert("RGBA"), "PNG"), (), ()
    yield "alpha.webp", encoded(Image.merge("RGBA", (*small.split(), alpha)), "WEBP"), (), ("IMG-ALPHA",)
    yield "cmyk.jpg", encoded(small.convert("CMYK"), "JPEG"), (), ()
    yield "cmyk.tif", encoded(small.convert("CMYK"), "TIFF"), (), ()
    yield "ycbcr.tif", encoded(small.convert("YCbCr"), "TIFF"), (), ()
    yield "grey16.png", encoded(Image.fromarray(deep[..., 0]), "PNG"), (), ("IMG-DEPTH",)
    yield "grey16.tif", encoded(Image.fromarray(deep[..., 0]), "TIFF"), (), ("IMG-DEPTH",)
    yield "grey16_big_endian.tif", encoded(Image.frombytes("I;16B", (16, 12), deep[..., 0].astype(">u2").tobytes()), "TIFF"), (), ("IMG-DEPTH",)
    yield "integers.tif", encoded(Image.fromarray(deep[..., 0].astype(np.int32)), "TIFF"), (), ("IMG-DEPTH",)
    yield "floats.tif", encoded(Image.fromarray(rng.random((12, 16), dtype=np.float32)), "TIFF"), (), ("IMG-DEPTH",)
    yield "floats_nan.tif", encoded(Image.fromarray(np.full((9, 9), np.nan, np.float32)), "TIFF"), CORRUPT, ()
    for extension in ("png", "tiff", "ppm"):
        yield f"colour16.{extension}", cv2.imencode(f".{extension}", deep)[1].tobytes(), (), ("IMG-DEPTH",)
    yield "grey16.pgm", cv2.imencode(".pgm", deep[..., 0])[1].tobytes(), (), ("IMG-DEPTH",)
    yield "plain.pbm", b"P1\n# a comment\n3 2\n1 0 1\n0 1 0\n", (), ()


def oriented(rng: np.random.Generator) -> Contents:
    small = picture(rng)
    for orientation in (*range(1, 9), 0, 99):
        exif = Image.Exif()
        exif[0x0112] = orientation
        notes = () if orientation == 1 else ("IMG-EXIF",) if 1 < orientation < 9 else ("IMG-EXIF-BAD",)
        yield f"exif_{orientation}.jpg", encoded(small, "JPEG", exif=exif), (), notes
    turned = Image.Exif()
    turned[0x0112] = 6
    for extension, name in (("png", "PNG"), ("webp", "WEBP"), ("tif", "TIFF")):
        yield f"exif_6.{extension}", encoded(small, name, exif=turned), (), ("IMG-EXIF",)
    yield "exif_garbage.jpg", encoded(small, "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff"), (), ("IMG-EXIF-BAD",)


def frames(rng: np.random.Generator) -> Contents:
    several: dict[str, Any] = {"save_all": True, "append_images": [picture(rng), picture(rng)]}
    for extension, name in (("gif", "GIF"), ("png", "PNG"), ("webp", "WEBP"), ("tif", "TIFF"), ("mpo", "MPO")):
        yield f"frames.{extension}", encoded(picture(rng), name, **several), (), ("IMG-FRAMES",)
    animated = encoded(picture(rng), "GIF", **several)
    yield "frames_cut.gif", animated[: len(animated) - 300], (), ("IMG-FRAMES", "IMG-TAIL")


def bombs() -> Contents:
    yield "13000_real.png", png(13000, 13000, pixels=zeros(13000, 13001)), BOMB, ()
    yield "13000_header.png", png(13000, 13000, colour=2, pixels=zeros(1, 10)), BOMB, ()
    yield "largest_header.png", png(2**31 - 1, 2**31 - 1, colour=6, pixels=zeros(1, 10)), BOMB, ()
    yield "9000_grey.png", png(9000, 9000, pixels=zeros(9000, 9001)), (), ()
    yield "no_pixels_8000.png", png(8000, 8000, colour=2, pixels=zeros(1, 10)), DAMAGED, ()
    huge = bytearray(encoded(Image.new("RGB", (16, 16)), "JPEG"))
    place = huge.index(b"\xff\xc0") + 5
    huge[place : place + 4] = struct.pack(">HH", 65500, 65500)
    yield "65500_header.jpg", bytes(huge), BOMB, ()
    yield "declared.bmp", encoded(Image.new("RGB", (4, 4)), "BMP")[:18] + struct.pack("<iiHH", 2000000, 3000000, 1, 24) + bytes(60), BOMB, ()
    yield "declared.gif", b"GIF89a" + struct.pack("<HH", 65535, 65535) + b"\0\0\0,\0\0\0\0" + struct.pack("<HH", 65535, 65535) + b"\0\2\2L\1\0;", BOMB, ()
    yield "declared.ppm", b"P6 2000000000 2000000000 255\n" + bytes(100), BOMB, ()
    for name, side in (("declared", 16384), ("declared_121_megapixels", 11000)):
        canvas = 2 * (side - 1).to_bytes(3, "little")
        yield f"{name}.webp", b"RIFF\x40\0\0\0WEBPVP8X\n\0\0\0\0\0\0\0" + canvas + b"VP8L" + bytes(40), BOMB, ()
    tags = [(256, 4, 1, 60000), (257, 4, 1, 60000), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, 8), (278, 4, 1, 60000), (279, 4, 1, 100)]
    directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *t) for t in tags) + bytes(4)
    yield "declared.tif", b"II*\0\x08\0\0\0" + directory + bytes(100), BOMB, ()
    packed = zeros(300, 1_000_000)
    yield "text_bomb.png", png(8, 8, chunk(b"zTXt", b"Comment\0\0" + packed), pixels=zeros(8, 9)), BOMB, ()
    yield "profile_bomb.png", png(8, 8, chunk(b"iCCP", b"profile\0\0" + packed), pixels=zeros(8, 9)), BOMB, ()
    scans = encoded(picture(np.random.default_rng(0)), "JPEG", progressive=True)
    last = scans.rindex(b"\xff\xda")
    yield "many_scans.jpg", scans[:-2] + scans[last:-2] * 600 + b"\xff\xd9", BOMB, ()


def shapes(rng: np.random.Generator) -> Contents:
    yield "one_pixel.png", encoded(Image.new("RGB", (1, 1)), "PNG"), (), ()
    yield "one_pixel.jpg", encoded(Image.new("L", (1, 1)), "JPEG"), (), ()
    yield "wide.png", encoded(Image.new("L", (60000, 1)), "PNG"), (), ()
    yield "tall.jpg", encoded(Image.new("RGB", (1, 60000)), "JPEG"), (), ()
    yield "no_width.png", png(0, 5, pixels=zeros(5, 1)), DAMAGED, ()
    yield "no_height.gif", b"GIF89a\x05\0\0\0\0\0\0;", DAMAGED, ()
    yield "no_size.ppm", b"P6 0 0 255\n", DAMAGED, ()
    yield "negative.ppm", b"P6 -4 4 255\n" + bytes(60), DAMAGED, ()


def names(rng: np.random.Generator) -> Contents:
    data = encoded(picture(rng, 6, 8), "PNG")
    odd = ("new\nline.png", "escape\x1b[31m.png", os.fsdecode(b"bad_\xff.png"), "-rf.png", "con.png", "ends.png ", "ends.", "right\u202eto_left.png")
    for name in odd:
        yield name, data, (), ("IMG-NAME",)
    for name in ("caf\u00e9.png", "cafe\u0301.png", "smile_\U0001f600.png", "quotes\"'.png", "spaces in it.png", "=1+1.png", "%41#?.png", "A.png", "a.png"):
        yield name, data, (), ()
    yield "n" * 251 + ".png", data, (), ()


def special(root: Path, rng: np.random.Generator) -> list[Case]:
    """What is no file: links, folders, pipes, sockets, devices, huge holes."""
    (root / "folder.jpg").mkdir()
    os.mkfifo(root / "pipe.jpg")
    os.symlink("loop_b.jpg", root / "loop_a.jpg")
    os.symlink("loop_a.jpg", root / "loop_b.jpg")
    os.symlink("nowhere.jpg", root / "dangling.jpg")
    os.symlink("/dev/zero", root / "device.jpg")
    (root / "target.png").write_bytes(encoded(picture(rng), "PNG"))
    os.symlink("target.png", root / "link.png")
    folder = os.open(root, os.O_RDONLY)  # the path of a socket may have 107 bytes at most
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"/proc/self/fd/{folder}/socket.jpg")
    os.close(folder)
    for name, start in (("hole.jpg", b"\xff\xd8\xff\xe0"), ("hole.webp", b"RIFF\x40\0\0\0WEBPVP8L")):
        with open(root / name, "wb") as file:
            file.write(start)
            file.truncate(1 << 36)  # takes no room on the disk
    skips: dict[str, tuple[str, ...]] = {
        **dict.fromkeys(("folder.jpg", "pipe.jpg", "loop_a.jpg", "device.jpg", "socket.jpg"), ("IMG-SPECIAL",)),
        **dict.fromkeys(("dangling.jpg", "absent.png", "nul\0.png", "long" * 70 + ".png"), ("IMG-MISSING",)),
        **dict.fromkeys(("hole.jpg", "hole.webp"), BOMB),
    }
    return [*(Case(os.path.join(os.fspath(root), name), skip) for name, skip in skips.items()), Case(os.fspath(root / "link.png"))]
