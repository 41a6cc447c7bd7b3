"""Logistic regression on fixed Gabor filters makes less than half the errors of logistic regression on pixels (system A2).

Command     python recipes/filter_bank_mnist.py
Data        4,000 MNIST digits drawn at random from the 60,000; 3,000 to learn from, 1,000 as the test
Expected    accuracy on the filters 0.955 to 0.985; its error over that on the pixels 0.2 to 0.5
Measured    accuracy 0.966 on the filters, 0.894 on the pixels, ratio of the errors 0.32; 7 s with one thread
"""

import numpy as np
import torch
from claims import data, finish, hold

from saccade.classic.floors import Clock, fit_logistic, floors
from saccade.core import Inputs, LabelSpace
from saccade.data.open import open_dataset
from saccade.models.table import build

TRAIN, TEST, STRENGTH = 3_000, 1_000, 0.01


def main() -> None:
    dataset = open_dataset(data("classification/mnist_idx"))
    places = np.random.default_rng(0).permutation(60_000)[: TRAIN + TEST]
    images = torch.from_numpy(np.stack([dataset.read(int(i)) for i in places])).permute(0, 3, 1, 2).float() / 255
    truth = np.array([dataset.records[int(i)].targets["label"].index for i in places])
    model = build("classify", "filter_bank", Inputs(1, (28, 28), (0.13,), (0.31,)), LabelSpace(tuple("0123456789")))
    with torch.no_grad():
        parts = [model.heads["label"].pooled(model.backbone(part, torch.tensor([[28, 28]] * len(part)))) for part in images.split(100)]
    filters, pixels = torch.cat(parts).numpy(), images.flatten(1).numpy()
    weights = fit_logistic(filters[:TRAIN], truth[:TRAIN], STRENGTH, Clock(60))
    right = ((filters[TRAIN:] @ weights[:-1] + weights[-1]).argmax(1) == truth[TRAIN:]).mean()
    floor = floors(pixels[:TRAIN], truth[:TRAIN], pixels[TRAIN:], 10, clock=Clock(120))["logistic"]
    assert floor.probabilities is not None, floor.note
    plain = (floor.probabilities.argmax(1) == truth[TRAIN:]).mean()
    print(f"pixels: accuracy {plain:.4f}", flush=True)
    finish(hold("accuracy on the filters", right, 0.955, 0.985), hold("error over that on pixels", (1 - right) / (1 - plain), 0.2, 0.5))


if __name__ == "__main__":
    main()
