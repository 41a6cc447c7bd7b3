"""Folders of small pictures with label files of text, for the tests of the formats that have one a picture."""

from pathlib import Path

from saccade.data.dataset import ImageDataset
from saccade.data.formats import FORMATS
from saccade.data.formats.pictures import Pictures
from saccade.data.open import open_dataset
from tests.support.json_files import pictures


def laid_out(root: Path, files: dict[str, str | bytes], *names: str) -> Path:
    """Pictures of 40 x 30 pixels with these names, and these files."""
    pictures(root, *names)
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def opened(root: Path, files: dict[str, str | bytes], *names: str) -> ImageDataset:
    return open_dataset(laid_out(root, files, *names))


def written(dataset: ImageDataset, out: Path, format: str) -> tuple[ImageDataset, list[str]]:
    """The data set as it opens again, and what was lost by name."""
    out.mkdir(parents=True)
    losses = FORMATS[format].save(dataset, out, Pictures(dataset, out))
    return open_dataset(out), [f"{problem.code} {problem.where} {problem.got}" for problem in losses]


def splits(dataset: ImageDataset) -> dict[str, str | None]:
    return {record.id: record.split for record in dataset.records}


def boxes(dataset: ImageDataset, image: str, head: str = "boxes") -> list[list[float]]:
    """x1 y1 x2 y2 and the class of each object of an image."""
    target = next(record for record in dataset.records if record.id == image).targets[head]
    held = target if head == "boxes" else target.boxes
    return [[round(v, 6) for v in xyxy] + [k] for xyxy, k in zip(held.xyxy.tolist(), held.classes.tolist(), strict=True)]
