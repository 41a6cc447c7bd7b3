"""How long and by how many images a step is trained when nothing is said: found by trial on validation parts, never on test parts."""

from __future__ import annotations


def enough_epochs(n: int) -> int:
    """As many epochs as help: small sets are seen often, large ones less.

    >>> [enough_epochs(n) for n in (200, 1_000, 10_000, 60_000)]
    [152, 80, 37, 21]
    """
    return max(10, round(80 * (1_000 / n) ** (0.4 if n < 1_000 else 0.33)))


def batch_size(n: int) -> int:
    """Images a step: small sets need many steps.

    >>> [batch_size(n) for n in (300, 1_000, 5_000, 60_000)]
    [32, 32, 64, 128]
    """
    return 32 if n < 3_000 else 64 if n < 20_000 else 128


def test_images(n: int) -> int:
    """Images kept aside for the final numbers where the data name no test part: a sixth, at most 10,000; none of a set below 5,000.

    >>> test_images(1_000), test_images(12_000), test_images(60_000)
    (0, 2000, 10000)
    """
    return 0 if n < 5_000 else min(10_000, n // 6)


def validation_share(n: int) -> float:
    """Images to choose by: 15 %, but no more than 5,000.

    >>> validation_share(1_000), validation_share(60_000)
    (0.15, 5000)
    """
    return 0.15 if 0.15 * n <= 5_000 else 5_000
