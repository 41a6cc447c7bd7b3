"""Chest X-rays, abnormal or not, five-fold cross-validation by patient: a small network is above a linear model (C1, the binary case).

Command     saccade train ../shared/data/medical/cxr_nih --folds 5 --budget 15m
Data        480 X-rays of 192x192 pixels; labels.csv names the patient, who is never in two folds
Expected    mean AUROC over the folds 0.82 to 0.95, and above plain logistic regression on the same folds by the paired tests of the
            images (DeLong over patients), combined over the folds (p < 0.05)
Measured    mean AUROC 0.885 (sd 0.040), pooled 0.874 [0.835, 0.907]; plain linear model 0.791, difference +0.094 [+0.050, +0.138],
            p < 0.001; tuned linear floor 0.841, difference +0.044 [+0.008, +0.080], p = 0.018 by the images, and p = 0.41 by the
            corrected t-test over five folds, which has little power (one thread, 15 minutes)

Two linear models are compared: scikit-learn's logistic regression as it comes (C = 1), and the floor of every saccade report, whose
strength is chosen by an inner cross-validation and which is better.
"""

from pathlib import Path

import numpy as np
from claims import data, finish, folder, hold

import saccade
from saccade import storage
from saccade.data.open import open_dataset
from saccade.data.preprocess import resized
from saccade.inference.classified import Classified
from saccade.metrics import bootstrap, paired


def plain_linear(images: Path, run: Path) -> tuple[float, paired.Paired]:
    """Mean AUROC of scikit-learn's logistic regression (C = 1, pixels at 32x32 standardised) and the network's paired test against it."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score

    dataset = open_dataset(images)
    place = {record.id: i for i, record in enumerate(dataset.records)}
    pixels = np.stack([resized(dataset.read(i, (32, 32)), (32, 32)).ravel() / 255 for i in range(len(dataset))])
    areas, tests = [], []
    for fold in sorted(run.glob("folds/*")):
        parts, network = storage.read_json(fold / "data.json")["split"], Classified.read(fold / "eval")
        train = [place[name] for name in parts["train"] + parts["val"]]
        x = (pixels - pixels[train].mean(0)) / (pixels[train].std(0) + 1e-3)
        model = LogisticRegression(max_iter=3000).fit(x[train], dataset.labels[train])
        p = model.predict_proba(x[[place[name] for name in network.ids]])[:, 1]
        areas.append(float(roc_auc_score(network.truth, p)))
        tests.append(paired.delong(network.truth == 1, network.probabilities[:, 1], p, groups=bootstrap.codes(network.groups)))
    return float(np.mean(areas)), paired.combined(tests)


def main() -> None:
    images = data("medical/cxr_nih")
    result = saccade.train(images, folds=5, budget="15m", out=folder() / "run")
    finish(*judge(images, result.path))


def judge(images: Path, run: Path) -> tuple[bool, ...]:
    """Prints the numbers of a finished cross-validation and holds them against the ranges."""
    found = storage.read_json(run / "cv.json")
    pooled, mean = found["metrics"]["auroc"], found["means"]["auroc"]
    print(f"AUROC {mean['mean']:.4f} +- {mean['std']:.4f} over the folds; pooled {pooled['value']:.4f} [{pooled['low']:.4f}, {pooled['high']:.4f}]")
    for name in ("logistic.auroc", "logistic.auroc.images"):
        test, floor = found["paired"][name], found["floors"]["logistic"]["auroc"]
        shown = f"{test['difference']:+.4f} [{test['low']:+.4f}, {test['high']:+.4f}], p = {test['p']:.4f} ({test['test']})"
        print(f"tuned linear floor {floor['mean']:.4f}: {shown}")
    area, test = plain_linear(images, run)
    print(f"plain linear model {area:.4f}: {test.difference:+.4f} [{test.low:+.4f}, {test.high:+.4f}], p = {test.p:.4f} ({test.test})")
    return hold("mean AUROC", mean["mean"], 0.82, 0.95), hold("p against the plain linear model", test.p, 0, 0.05)


if __name__ == "__main__":
    main()
