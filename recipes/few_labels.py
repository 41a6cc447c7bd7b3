"""Few labels: features learnt without labels help most where labels are fewest, and the gap closes as they become many.

Command     saccade train UNLABELLED --task represent --model stacked_autoencoder (and autoencoder); then saccade train FEW --from RUN
Data        mnist_idx: 20,000 digits without labels for the codes; 50, 100, 500 and 1,000 other digits with labels; 5,000 more to test
Expected    with 50 and 100 labels the better of the two pre-trained classifiers is above the one from scratch by 0.01 to 0.3; with 1,000 the gap
            is smaller than with 50. All of them are the classifier `mlp` with the encoder's layers, trained as long
Measured    not yet: 0 of the 12 trainings
"""

from pathlib import Path

import cv2
from claims import data, finish, folder, hold

import saccade
from saccade.data.open import open_dataset

FEW = {50: 300, 100: 200, 500: 80, 1000: 60}  # labels, and the epochs that they are learnt for
UNLABELLED, TEST = 20_000, 5_000
LAYERS = "hidden=[1000,500,250]"


def written(place: Path, source, places: list[int]) -> Path:
    """The pictures at these places as PNG, one folder a class."""
    names = source.spaces["label"].names
    for i in places:
        file = place / names[source.records[i].targets["label"].index] / f"{i}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(file), source.read(i)[:, :, 0])
    return place


def main() -> None:
    source, place = open_dataset(data("classification/mnist_idx")), folder()
    plain = written(place / "unlabelled", source, list(range(UNLABELLED)))
    test = written(place / "test", source, list(range(len(source) - TEST, len(source))))
    options = {"task": "represent", "budget": "8m", "set": [LAYERS], "floors": False}
    codes = {name: saccade.train(plain, model=name, out=place / name, **options).path for name in ("stacked_autoencoder", "autoencoder")}
    by_class = [[i for i in range(UNLABELLED, len(source) - TEST) if source.labels[i] == k] for k in range(10)]
    table: dict[int, dict[str, float]] = {}
    for n, epochs in FEW.items():
        few = written(place / f"few{n}", source, [i for own in by_class for i in own[: n // 10]])
        common = {"model": "mlp", "set": [LAYERS], "epochs": str(epochs), "val": 0, "floors": False, "selftest": False}
        table[n] = {}
        for name, start in (("scratch", {}), *((name, {"from_": path}) for name, path in codes.items())):
            run = saccade.train(few, out=place / f"{name}{n}", **common, **start)
            table[n][name] = saccade.evaluate(run.path, test, split="all").metrics["accuracy"]["value"]
        print(f"{n} labels: " + ", ".join(f"{name} {value:.4f}" for name, value in table[n].items()), flush=True)
    gains = {n: max(row["stacked_autoencoder"], row["autoencoder"]) - row["scratch"] for n, row in table.items()}
    held = [hold(f"gain with {n} labels", gains[n], 0.01, 0.3) for n in (50, 100)]
    finish(*held, hold("gain with 50 labels less that with 1,000", gains[50] - gains[1000], 0.0, 0.3))


if __name__ == "__main__":
    main()
