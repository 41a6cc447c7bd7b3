"""Model files of every release: this one reads them and gives their answers."""

import json
from pathlib import Path

import pytest
import torch

from saccade import bundle

FILES = sorted(Path(__file__).parent.glob("model-*.saccade"))


def test_there_are_files():
    assert [file.name for file in FILES][:1] == ["model-0.1.0.saccade"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_release_reads_the_files_of_those_before_it(file):
    """The answers to sixteen stripes a picture were stored when the file was written, by the same release."""
    read = bundle.read(file)
    expected = json.loads(file.with_suffix(".json").read_text())
    rows = torch.arange(16.0)
    pictures = torch.stack([(rows * k / 16 % 1).expand(1, 16, 16) for k in (0, 1, 3, 7)])
    with torch.inference_mode():
        labels = read.model.predict(pictures, torch.tensor([[16, 16]] * 4), [None] * 4)["label"]
    got = torch.stack([label.probabilities for label in labels])
    torch.testing.assert_close(got, torch.tensor(expected["probabilities"]), rtol=0, atol=1e-5)
    assert list(read.card.spaces["label"].names) == expected["names"]
    assert file.stat().st_size <= 50_000
