"""t-SNE keeps neighbours: trustworthiness at least 0.98 on the 8x8 digits, and 60,000 MNIST codes are mapped in at most 3 minutes.

Command     saccade map RUN digits/; saccade map RUN mnist_idx
Data        scikit-learn's 1,797 digits by PCA with 40 codes; mnist_idx by PCA with 30 codes, all 60,000 of them
Expected    trustworthiness (12 neighbours) 0.98 to 1 on the digits; reading, coding, mapping and drawing of 60,000 together at most 180 s on two idle cores
Measured    digits 0.9917; placing 183 of them anew on the map leaves 0.9862; 60,000 codes: not yet
"""

import time

from claims import data, finish, folder, hold

import saccade
from saccade.jobs.demo import write_digits


def main() -> None:
    place = folder()
    digits = write_digits(place / "digits")
    run = saccade.train(digits, task="represent", model="pca", set=["codes=40"], out=place / "run", floors=False)
    found = saccade.map(run.path, digits, out=place / "map")
    print(found.text())
    mnist = data("classification/mnist_idx")
    run = saccade.train(mnist, task="represent", model="pca", out=place / "mnist", floors=False)
    began = time.monotonic()
    large = saccade.map(run.path, mnist, out=place / "mnist_map", batch=512)
    seconds = time.monotonic() - began
    print(large.text())
    finish(hold("trustworthiness on the digits", found.kept["trustworthiness"], 0.98, 1.0), hold("seconds for 60,000 codes", seconds, 1.0, 180.0))


if __name__ == "__main__":
    main()
