"""The default network reads handwritten digits with at most 0.6 % error, in 15 minutes on two cores.

Command     saccade train ../shared/data/classification/mnist_idx --budget 15m
Data        the 60,000 MNIST training digits; 10,000 of them, drawn at random in proportion, are kept aside for the test
Expected    test error 0.2 to 0.6 %
Measured    0.43 % (10,000 test images), 8 epochs with one thread, 13 minutes in all beside another program
"""

from claims import data, finish, folder, hold

import saccade


def main() -> None:
    result = saccade.train(data("classification/mnist_idx"), budget="15m", out=folder() / "run")
    finish(hold("test error in %", 100 * (1 - result.metrics["accuracy"]["value"]), 0.2, 0.6))


if __name__ == "__main__":
    main()
