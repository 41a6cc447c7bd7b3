"""The reader's pixels against hand-made arrays, Pillow's own decoding and a slow definition."""

import io
import threading
import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from saccade.data import pixels
from saccade.data.image import raw_range, read_image
from saccade.data.image_file import exif_orientation, open_regular, webp_size
from saccade.data.image_header import quiet
from saccade.errors import DataError, SaccadeError, UsageError
from tests.support.corpus import encoded, picture

RNG = np.random.default_rng(7)
COLOUR = RNG.integers(0, 256, (6, 9, 3), dtype=np.uint8)
GREY, ALPHA = COLOUR[..., 0], RNG.integers(0, 256, (6, 9), dtype=np.uint8)
WHITENED = np.rint(COLOUR * (ALPHA[..., None] / 255) + 255 - ALPHA[..., None].astype(float))
INKS = RNG.integers(0, 256, (6, 9, 4), dtype=np.uint8)
INKED = (255 - INKS[..., :3].astype(float)) * (255 - INKS[..., 3:].astype(float)) / 255
PALETTE = Image.frombytes("P", (9, 6), (GREY % 4).tobytes())
PALETTE.putpalette([250, 10, 20, 0, 200, 30, 5, 6, 220, 90, 90, 90])
PALETTE_COLOURS = np.array([[250, 10, 20], [0, 200, 30], [5, 6, 220], [90, 90, 90]], np.uint8)[GREY % 4]
BITS = GREY > 127

GOLDEN = {
    "bilevel": (Image.fromarray(BITS), "PNG", {}, BITS[..., None] * 255),
    "bilevel_tiff": (Image.fromarray(BITS), "TIFF", {}, BITS[..., None] * 255),
    "grey": (Image.fromarray(GREY), "PNG", {}, GREY[..., None]),
    "grey_bmp": (Image.fromarray(GREY), "BMP", {}, GREY[..., None]),
    "grey_alpha": (Image.merge("LA", [Image.fromarray(GREY), Image.fromarray(ALPHA)]), "PNG", {}, WHITENED[..., :1]),
    "grey_transparent": (Image.fromarray(GREY), "PNG", {"transparency": int(GREY[0, 0])}, np.where(GREY == GREY[0, 0], 255, GREY)[..., None]),
    "palette": (PALETTE, "PNG", {}, PALETTE_COLOURS),
    "palette_gif": (PALETTE, "GIF", {}, PALETTE_COLOURS),
    "palette_transparent": (PALETTE, "PNG", {"transparency": 1}, np.where((GREY % 4 == 1)[..., None], 255, PALETTE_COLOURS)),
    "palette_alpha": (PALETTE, "PNG", {"transparency": b"\xff\x00\xff\xff"}, np.where((GREY % 4 == 1)[..., None], 255, PALETTE_COLOURS)),
    "colour": (Image.fromarray(COLOUR), "PNG", {}, COLOUR),
    "colour_bmp": (Image.fromarray(COLOUR), "BMP", {}, COLOUR),
    "colour_ppm": (Image.fromarray(COLOUR), "PPM", {}, COLOUR),
    "colour_webp": (Image.fromarray(COLOUR), "WEBP", {"lossless": True}, COLOUR),
    "colour_transparent": (Image.fromarray(COLOUR), "PNG", {"transparency": tuple(map(int, COLOUR[0, 0]))}, None),
    "colour_alpha": (Image.fromarray(np.dstack([COLOUR, ALPHA])), "PNG", {}, WHITENED),
    "colour_alpha_webp": (Image.fromarray(np.dstack([COLOUR, ALPHA])), "WEBP", {"lossless": True, "exact": True}, WHITENED),
    "colour_alpha_tiff": (Image.fromarray(np.dstack([COLOUR, ALPHA])), "TIFF", {}, WHITENED),
    "inks": (Image.frombytes("CMYK", (9, 6), INKS.tobytes()), "TIFF", {}, INKED),
    "luminance": (Image.fromarray(COLOUR).convert("YCbCr"), "TIFF", {}, np.asarray(Image.fromarray(COLOUR).convert("YCbCr").convert("RGB"))),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_every_pixel_format_becomes_what_the_rules_say(name: str, tmp_path: Path) -> None:
    image, image_format, options, expected = GOLDEN[name]
    if expected is None:
        expected = np.where((COLOUR == COLOUR[0, 0]).all(2, keepdims=True), 255, COLOUR)
    image.save(tmp_path / "file", image_format, **options)
    read = read_image(tmp_path / "file").pixels
    assert read.dtype == np.uint8 and read.shape == expected.shape
    assert np.abs(read.astype(float) - expected).max() <= 1


def test_inks_of_a_jpeg_are_read_as_pillow_reads_them(tmp_path: Path) -> None:
    image = picture(RNG).convert("CMYK")
    image.save(tmp_path / "inks.jpg", quality=95)
    with Image.open(tmp_path / "inks.jpg") as decoded:
        expected = np.asarray(decoded.convert("RGB")).astype(float)
    assert np.abs(read_image(tmp_path / "inks.jpg").pixels - expected).max() <= 1
    assert np.abs(expected - np.asarray(image.convert("RGB"))).mean() < 6  # and not the negative


DEEP = RNG.integers(0, 65536, (5, 8), dtype=np.uint16)


@pytest.mark.parametrize("name", ["png", "tiff", "big_endian.tiff", "pgm"])
def test_sixteen_bits_of_grey_are_scaled_by_their_depth_or_by_the_range_given(name: str, tmp_path: Path) -> None:
    path = tmp_path / f"deep.{name}"
    if name == "pgm":
        path.write_bytes(cv2.imencode(".pgm", DEEP)[1].tobytes())
    elif name.startswith("big"):
        Image.frombytes("I;16B", (8, 5), DEEP.astype(">u2").tobytes()).save(path, "TIFF")
    else:
        Image.fromarray(DEEP).save(path)
    assert raw_range(path) == (DEEP.min(), DEEP.max())
    assert read_image(path).pixels == pytest.approx(DEEP[..., None] / 65535, abs=1e-6)
    assert read_image(path, value_range=(1000, 30000)).pixels == pytest.approx(((DEEP[..., None] - 1000.0) / 29000).clip(0, 1), abs=1e-6)
    assert read_image(path, channels=3).pixels.shape == (5, 8, 3)


@pytest.mark.parametrize("name", ["png", "tiff", "ppm"])
def test_sixteen_bits_of_colour_are_kept(name: str, tmp_path: Path) -> None:
    deep = RNG.integers(0, 65536, (5, 8, 3), dtype=np.uint16)
    (tmp_path / name).write_bytes(cv2.imencode(f".{name}", deep[..., ::-1])[1].tobytes())
    assert read_image(tmp_path / name).pixels == pytest.approx(deep / 65535, abs=1e-6)
    luma = deep @ np.array([0.299, 0.587, 0.114]) / 65535
    assert read_image(tmp_path / name, channels=1).pixels[..., 0] == pytest.approx(luma, abs=1e-4)


def test_sixteen_bits_with_alpha_are_composited_on_white(tmp_path: Path) -> None:
    deep = RNG.integers(0, 65536, (5, 8, 4), dtype=np.uint16)
    (tmp_path / "deep.png").write_bytes(cv2.imencode(".png", deep[..., [2, 1, 0, 3]])[1].tobytes())
    values = deep / 65535
    expected = values[..., :3] * values[..., 3:] + 1 - values[..., 3:]
    assert read_image(tmp_path / "deep.png").pixels == pytest.approx(expected, abs=1e-5)


def test_integers_and_floats(tmp_path: Path) -> None:
    signed = np.array([[-(2**31), 0, 2**31 - 1]], np.int32)
    Image.fromarray(signed).save(tmp_path / "signed.tif")
    assert read_image(tmp_path / "signed.tif").pixels.ravel() == pytest.approx([0, 0.5, 1], abs=1e-6)
    for values, expected in (([0.25, 0.5], [0.25, 0.5]), ([0.0, 4.0], [0, 1]), ([-1.0, 1.0], [0, 1])):
        Image.fromarray(np.array([values], np.float32)).save(tmp_path / "float.tif")
        assert read_image(tmp_path / "float.tif").pixels.ravel() == pytest.approx(expected)
        assert raw_range(tmp_path / "float.tif") == tuple(values)


def test_eight_bits_have_no_raw_range(tmp_path: Path) -> None:
    Image.fromarray(GREY).save(tmp_path / "grey.png")
    assert raw_range(tmp_path / "grey.png") is None


def test_channels(tmp_path: Path) -> None:
    Image.fromarray(COLOUR).save(tmp_path / "colour.png")
    Image.fromarray(GREY).save(tmp_path / "grey.png")
    luma = np.rint(COLOUR @ np.array([0.299, 0.587, 0.114]))[..., None]
    assert np.abs(read_image(tmp_path / "colour.png", channels=1).pixels - luma).max() <= 1
    assert (read_image(tmp_path / "grey.png", channels=3).pixels == GREY[..., None]).all()
    assert read_image(tmp_path / "colour.png", channels=3).pixels.shape == (6, 9, 3)


def test_the_luma_of_a_jpeg_is_that_of_its_colours(tmp_path: Path) -> None:
    picture(RNG).save(tmp_path / "photo.jpg", quality=95)
    colour, grey = (read_image(tmp_path / "photo.jpg", channels=c).pixels for c in (3, 1))
    assert np.abs(pixels.with_channels(colour, 1).astype(float) - grey).mean() < 1


@pytest.mark.parametrize("options", [{"channels": 4}, {"channels": 0}, {"value_range": (1, 1)}, {"value_range": (0, float("nan"))}])
def test_options_out_of_range_are_refused(options: dict, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        read_image(tmp_path / "any", **options)
    assert caught.value.code == "USE-VALUE"
    with pytest.raises(UsageError):
        pixels.with_channels(COLOUR, 2)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("extension", ["png", "jpg", "webp", "tif"])
def test_orientations_are_applied_as_pillow_applies_them(orientation: int, extension: str, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if extension == "webp" else {}
    picture(RNG).save(tmp_path / f"turned.{extension}", exif=exif, **options)
    with Image.open(tmp_path / f"turned.{extension}") as image:
        expected = np.asarray(ImageOps.exif_transpose(image)).astype(float)
    read = read_image(tmp_path / f"turned.{extension}")
    assert read.size == expected.shape[:2] == ((48, 64) if orientation < 5 else (64, 48))
    assert np.abs(read.pixels - expected).max() <= 2


def test_a_reduced_jpeg_is_near_the_whole_one(shared_data: Path) -> None:
    path = sorted((shared_data / "detection" / "bccd_voc").rglob("*.jpg"))[0]
    reduced = read_image(path, at_least=(120, 100))
    assert reduced.size == (480, 640) and reduced.pixels.shape == (120, 160, 3)
    with Image.open(path) as image:
        exact = np.asarray(image.convert("RGB").reduce(4)).astype(float)
        whole = np.asarray(image.convert("RGB")).astype(float)
    assert psnr(reduced.pixels, exact) > 35
    assert np.abs(read_image(path).pixels - whole).max() <= 2


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.mean((a - b) ** 2)))


@pytest.mark.parametrize("orientation", [1, 6])
@given(least=st.tuples(st.integers(1, 150), st.integers(1, 150)))
def test_a_reduction_is_never_below_what_is_asked(orientation: int, least: tuple[int, int], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / f"least_{orientation}.jpg"
    if not path.exists():
        exif = Image.Exif()
        exif[0x0112] = orientation
        picture(RNG, 90, 130).save(path, exif=exif)
    read = read_image(path, at_least=least)
    assert read.size == ((90, 130) if orientation == 1 else (130, 90))
    assert all(got >= min(wanted, whole) for got, wanted, whole in zip(read.pixels.shape, least, read.size, strict=False))


@given(st.binary(max_size=80))
def test_no_exif_block_is_too_strange(block: bytes) -> None:
    assert exif_orientation(block) is None or isinstance(exif_orientation(block), int)
    for front in (b"Exif\0\0II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08"):
        assert exif_orientation(front + block) is None or isinstance(exif_orientation(front + block), int)


@given(st.integers(1, 16383), st.integers(1, 16383))
def test_the_declared_size_of_a_webp(width: int, height: int) -> None:
    extended = b"RIFF\0\0\0\0WEBPVP8X\n\0\0\0\0\0\0\0" + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    lossless = b"RIFF\0\0\0\0WEBPVP8L\n\0\0\0\x2f" + ((height - 1) << 14 | (width - 1)).to_bytes(4, "little") + bytes(5)
    lossy = b"RIFF\0\0\0\0WEBPVP8 \n\0\0\0\0\0\0\x9d\x01\x2a" + width.to_bytes(2, "little") + height.to_bytes(2, "little")
    assert webp_size(extended) == webp_size(lossless) == webp_size(lossy) == (height, width)
    assert webp_size(extended[:25]) is None


@pytest.mark.parametrize("options", [{}, {"lossless": True}, {"exif": b"Exif\0\0II*\0"}])
def test_the_declared_size_of_a_webp_that_pillow_wrote(options: dict) -> None:
    assert webp_size(encoded(picture(RNG, 31, 57), "WEBP", **options)) == (31, 57)


def test_big_pictures_are_converted_band_by_band(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    Image.fromarray(np.dstack([COLOUR, ALPHA])).save(tmp_path / "a.png")
    whole = read_image(tmp_path / "a.png").pixels
    monkeypatch.setattr(pixels, "_BAND", 10)
    assert (read_image(tmp_path / "a.png").pixels == whole).all()


def test_a_file_that_shrinks_between_its_size_and_its_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(COLOUR).save(path)

    def opened_then_cut(name: Path) -> io.BufferedReader:
        file = open_regular(name)
        size = file.seek(0, 2)
        file.seek(size // 2)
        return file  # as if the second half were all there is to read

    monkeypatch.setattr("saccade.data.image_file.open_regular", opened_then_cut)
    with pytest.raises(DataError) as caught:
        read_image(path)
    assert caught.value.code == "IMG-CHANGED"


def test_warnings_of_a_decoder_are_never_seen_nor_raised(tmp_path: Path) -> None:
    path, calls = tmp_path / "odd.tif", []
    Image.fromarray(GREY).save(path, tiffinfo={305: "x" * 40})
    data = bytearray(path.read_bytes())
    data[data.index(b"\x31\x01\x02\0") + 8 : data.index(b"\x31\x01\x02\0") + 12] = b"\xff\xff\xff\x7f"
    path.write_bytes(data)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning), Image.open(path) as image:
            calls.append(image)
        assert (read_image(path).pixels[..., 0] == GREY).all()

        @quiet
        def twice() -> int:
            calls.append("again")
            return warnings.warn("odd metadata", stacklevel=1) or len(calls)

        assert twice() == 2


def test_no_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    Image.fromarray(COLOUR).save(tmp_path / "a.png")

    def exhausted(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(pixels, "shallow", exhausted)
    with pytest.raises(DataError) as caught:
        read_image(tmp_path / "a.png")
    assert caught.value.code == "IMG-MEMORY"


def test_many_threads_read_what_one_reads(tmp_path: Path) -> None:
    paths = []
    for place, (extension, options) in enumerate([("jpg", {}), ("png", {}), ("gif", {}), ("tif", {}), ("webp", {"lossless": True})] * 4):
        paths.append(tmp_path / f"{place}.{extension}")
        picture(RNG, 100, 120).save(paths[-1], **options)
    expected = [read_image(path).pixels for path in paths]
    wrong: list[object] = []

    def work() -> None:
        for path, pixels_alone in zip(paths, expected, strict=True):
            try:
                if not (read_image(path).pixels == pixels_alone).all():
                    wrong.append(path)
            except SaccadeError as error:
                wrong.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
