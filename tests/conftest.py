"""What every test may use: the shared data sets (skipped with a reason where absent) and small real data."""

from pathlib import Path

import numpy as np
import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    if not SHARED.is_dir():
        pytest.skip("the shared data sets are not beside this checkout")
    return SHARED


@pytest.fixture(scope="session")
def digits_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real handwritten digits (scikit-learn's, 8x8) as a folder a class: 30 images of each of the ten classes, PNG."""
    from PIL import Image
    from sklearn.datasets import load_digits

    digits, root = load_digits(), tmp_path_factory.mktemp("digits")
    for label in range(10):
        folder = root / str(label)
        folder.mkdir()
        for place, image in enumerate(digits.images[digits.target == label][:30]):
            Image.fromarray((image * 255 / 16).astype(np.uint8)).save(folder / f"{place:03d}.png")
    return root
