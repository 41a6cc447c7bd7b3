"""PCA of 60,000 x 784 in parts over scikit-learn's default on the whole, 50 components, in one run:  python benchmarks/streaming_pca.py

Rows as IDX files hold them (bytes) and as float32, from a memory map: ours sees 4,096 rows at a time, scikit-learn's all. Ratios are medians over pairs
measured in turn, of processor time with one thread; memory is the peak of what Python's arrays take beyond the rows. Variances are held against float64.
"""

from __future__ import annotations

import statistics
import tempfile
import time
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.decomposition import PCA as Theirs
from threadpoolctl import threadpool_limits

from saccade.classic.pca import PCA

ROWS, WIDTH, COMPONENTS, PAIRS = 60_000, 784, 50, 7


def made(place: Path, dtype: type) -> np.ndarray:
    """Rows of slowly falling variances, half of their values 0, as in pictures of digits; in a memory map."""
    chance = np.random.default_rng(0)
    mixing = np.linalg.qr(chance.normal(size=(WIDTH, WIDTH)))[0] * np.geomspace(60, 0.5, WIDTH)
    rows = np.memmap(place / np.dtype(dtype).name, dtype=dtype, mode="w+", shape=(ROWS, WIDTH))
    for start in range(0, ROWS, 5000):
        values = np.clip(chance.normal(size=(5000, WIDTH)) @ mixing.T, 0, 255).astype(np.uint8)
        rows[start : start + 5000] = values if dtype is np.uint8 else values / np.float32(255)
    return rows


def measured(estimator: Any, rows: np.ndarray) -> tuple[float, Any]:
    began = time.process_time()
    found = estimator.fit(rows)
    return time.process_time() - began, found


def peak(estimator: Any, rows: np.ndarray) -> float:
    """MB of arrays at most."""
    tracemalloc.start()
    estimator.fit(rows)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most / 1e6


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, threadpool_limits(1):
        for dtype in (np.uint8, np.float32):
            rows = made(Path(folder), dtype)
            ratios, own = [], []
            for _ in range(PAIRS):
                ours, a = measured(PCA(COMPONENTS), rows)
                theirs, b = measured(Theirs(COMPONENTS), rows)
                ratios.append(theirs / ours)
                own.append(ours)
            truth = Theirs(COMPONENTS, svd_solver="covariance_eigh").fit(np.asarray(rows, np.float64)).explained_variance_
            off = [np.abs(found.explained_variance_ / truth - 1).max() for found in (a, b)]
            print(
                f"{np.dtype(dtype).name}: {statistics.median(own):.2f} s, theirs / ours {statistics.median(ratios):.2f}; "
                f"memory {peak(PCA(COMPONENTS), rows):.0f} MB against {peak(Theirs(COMPONENTS), rows):.0f} MB; "
                f"variances off by {off[0]:.1e} against {off[1]:.1e} of those in float64"
            )


if __name__ == "__main__":
    main()
