"""The JPEG header reader against Pillow's, and the rules for damaged and incomplete pixel data."""

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from saccade.data.image import header, read_image
from saccade.data.image_file import directory_value
from saccade.data.jpeg import MODES, decode, read_header, scans_all
from saccade.errors import DataError
from tests.support.corpus import encoded, picture

PHOTO = picture(np.random.default_rng(2), 64, 96)
PLAIN, PROGRESSIVE = encoded(PHOTO, "JPEG"), encoded(PHOTO, "JPEG", progressive=True)


def test_headers_are_those_that_pillow_reads(shared_data: Path) -> None:
    paths = [p for p in shared_data.rglob("*") if p.suffix.lower() in (".jpg", ".jpeg", ".mpo")]
    compared = 0
    for path in paths[:: max(1, len(paths) // 300)] + sorted((shared_data / "formats").rglob("*.jpg")):
        if path.read_bytes()[:3] != b"\xff\xd8\xff":
            continue
        with Image.open(path) as image:
            found = header(path)
            turned = found.orientation >= 5
            assert (found.size[::-1] if not turned else found.size, found.mode) == (image.size, image.mode), path
            assert found.frames == getattr(image, "n_frames", 1), path
            exif = image.getexif().get(0x0112, 1) if "exif" in image.info else 1
            assert found.orientation == (exif if exif in range(1, 9) else 1), path
            with path.open("rb") as file:
                assert read_header(file).progressive == ("progressive" in image.info)
        compared += 1
    assert compared > 200


@given(st.binary(max_size=60), st.integers(0, len(PLAIN) - 1))
def test_no_header_is_too_strange(noise: bytes, place: int) -> None:
    for data in (b"\xff\xd8" + noise, PLAIN[:place] + noise + PLAIN[place:], PLAIN[:place]):
        try:
            found = read_header(io.BytesIO(data))
        except (EOFError, ValueError) as error:
            assert str(error)
        else:
            assert len(found.size) == 2 and data[found.scan : found.scan + 2] == b"\xff\xda"


def test_fill_bytes_and_a_little_junk_between_segments_are_passed_over(tmp_path: Path) -> None:
    place = PLAIN.index(b"\xff\xdb")
    filled = PLAIN[:place] + b"\xff\xff\xff" + PLAIN[place:]
    assert read_header(io.BytesIO(filled)).size == (64, 96)
    (tmp_path / "junk.jpg").write_bytes(PLAIN[:place] + b"junk" + PLAIN[place:])
    read = read_image(tmp_path / "junk.jpg")
    assert [p.code for p in read.problems] == ["IMG-DAMAGED"] and read.size == (64, 96)
    assert np.abs(read.pixels.astype(float) - np.asarray(Image.open(io.BytesIO(PLAIN)))).max() <= 2
    assert read_image(tmp_path / "junk.jpg", at_least=(16, 24)).pixels.shape == (16, 24, 3)
    with pytest.raises(ValueError, match="no marker"):
        read_header(io.BytesIO(PLAIN[:place] + b"j" * 70000 + PLAIN[place:]))


@pytest.mark.parametrize(
    "change, code",
    [
        (lambda d: d.replace(b"\xff\xc0\0\x11\x08", b"\xff\xc0\0\x11\x0c"), "IMG-UNREADABLE"),  # 12 bits
        (lambda d: d.replace(b"\xff\xc0", b"\xff\xe9"), "IMG-CORRUPT"),  # no frame header
        (lambda d: d[:2] + b"\xff\xd9" + d[2:], "IMG-CORRUPT"),
        (lambda d: d[:20], "IMG-TRUNC"),
    ],
)
def test_headers_that_are_refused(change: object, code: str, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(change(PLAIN))  # type: ignore[operator]
    for function in (header, read_image):
        with pytest.raises(DataError) as caught:
            function(tmp_path / "a.jpg")
        assert caught.value.code == code


def test_a_second_size_is_refused() -> None:
    found = read_header(io.BytesIO(PLAIN))
    with pytest.raises(DataError, match="declared as"):
        decode(PLAIN, found._replace(size=(9, 9)), "a.jpg")


@pytest.mark.parametrize("data", [PLAIN, PROGRESSIVE, encoded(PHOTO.convert("L"), "JPEG"), encoded(PHOTO.convert("CMYK"), "JPEG", progressive=True)])
def test_what_may_be_missing_at_the_end(data: bytes, tmp_path: Path) -> None:
    found = read_header(io.BytesIO(data))
    assert scans_all(data, found) and MODES[found.components] in ("L", "RGB", "CMYK")
    whole, none = decode(data, found, "")
    without_end, notes = decode(data[:-2], found, "")
    assert whole is not None and without_end is not None and (whole == without_end).all()
    assert not none and [note.code for note in notes] == ["IMG-TAIL"]
    for keep in range(found.scan + 2, len(data) - 8, 5):
        (tmp_path / "cut.jpg").write_bytes(data[:keep])
        with pytest.raises(DataError) as caught:
            read_image(tmp_path / "cut.jpg")
        assert caught.value.code in ("IMG-TRUNC", "IMG-CORRUPT")


def test_a_progressive_picture_cut_between_two_scans_is_not_complete() -> None:
    found, places = read_header(io.BytesIO(PROGRESSIVE)), []
    place = found.scan
    while place >= 0:
        places.append(place)
        place = PROGRESSIVE.find(b"\xff\xda", place + 2)
    assert len(places) == 10
    for place in places[1:]:
        assert not scans_all(PROGRESSIVE[:place], found)


def test_the_value_of_a_tag() -> None:
    block = b"MM\0*\0\0\0\x08\0\x02" + b"\x01\x00\0\x03\0\0\0\x01\0\x07\0\0" + b"\x01\x01\0\x02\0\0\0\x01\0\0\0\0"
    assert directory_value(block, 0x0100) == 7 and directory_value(block, 0x0101) is None
    assert directory_value(block, 0x0999) is None and directory_value(block, 0x0999, missing=3) == 3 and directory_value(b"XX" + block, 1, 5) is None
