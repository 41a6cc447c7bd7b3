"""Exact and near duplicates on real pictures: copies are found, different pictures of one class are not."""

import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from saccade.data.image import content_hash, near, near_pairs, read_image, tiny
from saccade.data.likeness import NEAR
from saccade.errors import DataError


def again(pixels: np.ndarray, *, quality: int | None = None, factor: float = 1.0) -> np.ndarray:
    """The picture encoded as JPEG, or with another size."""
    image = Image.fromarray(pixels if pixels.shape[2] == 3 else pixels[..., 0])
    if quality:
        stream = io.BytesIO()
        image.save(stream, "JPEG", quality=quality)
        image = Image.open(stream)
    if factor != 1.0:
        image = image.resize((round(image.width * factor), round(image.height * factor)), Image.Resampling.BICUBIC)
    array = np.asarray(image)
    return array.reshape(*array.shape[:2], -1)


def test_the_content_hash_is_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 3_000_000)
    assert content_hash(tmp_path / "a") == content_hash(b"x" * 3_000_000) == hashlib.blake2b(b"x" * 3_000_000, digest_size=16).hexdigest()
    with pytest.raises(DataError) as caught:
        content_hash(tmp_path)
    assert caught.value.code == "IMG-SPECIAL"


def test_the_area_average_is_that_of_its_definition() -> None:
    rng = np.random.default_rng(3)
    pixels = rng.integers(0, 256, (21, 50, 3), dtype=np.uint8)
    fine = pixels.mean(2).repeat(16, 0).repeat(16, 1)  # every cell of 16 x 16 is then whole pixels
    small = fine.reshape(16, 21, 16, 50).mean((1, 3)).ravel()
    small -= small.mean()
    assert tiny(pixels) == pytest.approx(small / np.linalg.norm(small), abs=1e-5)
    assert tiny(pixels.astype(np.float32) / 255) == pytest.approx(tiny(pixels), abs=1e-5)


def test_pictures_of_one_colour_are_never_near() -> None:
    flat = tiny(np.full((9, 9, 1), 7, np.uint8))
    assert not flat.any() and not near(flat, flat)
    assert list(near_pairs(np.stack([flat, flat]))) == []


def test_pairs_are_those_of_the_double_loop() -> None:
    rng = np.random.default_rng(5)
    base = rng.normal(size=(40, 256))
    copies = np.concatenate([base, base[:10] + rng.normal(size=(10, 256)) * np.linspace(0.02, 0.12, 10)[:, None]]).astype(np.float32)
    copies /= np.linalg.norm(copies, axis=1, keepdims=True)
    slow = [(i, j) for i in range(50) for j in range(i + 1, 50) if near(copies[i], copies[j])]
    assert sorted(near_pairs(copies, block=7)) == slow and 2 < len(slow) < 10


def test_brightness_and_contrast_do_not_matter() -> None:
    pixels = np.random.default_rng(1).integers(0, 200, (60, 60, 3), dtype=np.uint8)
    assert near(tiny(pixels), tiny((pixels * 0.7 + 30).astype(np.uint8)))


def test_small_digits_differ_and_their_copies_do_not() -> None:
    digits = [(image * 255 / 16).astype(np.uint8)[..., None] for image in load_digits().images]
    assert list(near_pairs(np.stack([tiny(d) for d in digits]))) == []
    assert all(near(tiny(d), tiny(again(d, quality=92))) for d in digits[:100])


@pytest.mark.parametrize("folder, pattern, known", [("mnist_png", "*/*.png", 0), ("sign_digits", "*/*.JPG", 0), ("caltech7", "*/*.jpg", 1)])
def test_different_real_pictures_differ(folder: str, pattern: str, known: int, shared_data: Path) -> None:
    paths = sorted((shared_data / "classification" / folder).glob(pattern))
    pairs = list(near_pairs(np.stack([tiny(read_image(path, at_least=(64, 64)).pixels) for path in paths])))
    assert len(paths) > 300 and len(pairs) == known


@pytest.mark.parametrize("folder, pattern", [("mnist_png", "*/*.png"), ("sign_digits", "*/*.JPG"), ("caltech7", "*/*.jpg")])
def test_copies_of_real_pictures_are_found(folder: str, pattern: str, shared_data: Path) -> None:
    paths = sorted((shared_data / "classification" / folder).glob(pattern))[::7][:60]
    for pixels in (read_image(path).pixels for path in paths):
        copies = [again(pixels, quality=85), again(pixels, factor=2.0)] + ([again(pixels, factor=0.6), again(pixels, quality=50)] if len(pixels) > 64 else [])
        assert max(np.linalg.norm(tiny(pixels) - tiny(copy)) for copy in copies) <= NEAR
