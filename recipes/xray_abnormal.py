"""Chest X-rays, abnormal or not, five-fold cross-validation by patient: a small network is above a linear model (C1, the binary case).

Command     saccade train ../shared/data/medical/cxr_nih --folds 5 --budget 15m
Data        480 X-rays of 192x192 pixels; labels.csv names the patient, who is never in two folds
Expected    mean AUROC over the folds 0.82 to 0.95, and above logistic regression by the paired tests of the images (DeLong), combined over the folds (p < 0.05)
Measured    see docs/measured.md
"""

from claims import data, finish, folder, hold

import saccade
from saccade import storage


def main() -> None:
    result = saccade.train(data("medical/cxr_nih"), folds=5, budget="15m", out=folder() / "run")
    found = storage.read_json(result.path / "cv.json")
    pooled = found["metrics"]["auroc"]
    print(f"pooled AUROC {pooled['value']:.4f} [{pooled['low']:.4f}, {pooled['high']:.4f}]; floors {found['floors']}")
    for name in ("logistic.auroc", "logistic.auroc.images"):
        test = found["paired"][name]
        print(f"{name}: {test['difference']:+.4f} [{test['low']:+.4f}, {test['high']:+.4f}], p = {test['p']:.4f} ({test['test']})")
    finish(hold("mean AUROC", found["means"]["auroc"]["mean"], 0.82, 0.95), hold("p against logistic regression", test["p"], 0, 0.05))


if __name__ == "__main__":
    main()
