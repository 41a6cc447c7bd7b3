"""Sound as frames of numbers: the logarithm of the power in bands of the mel scale, every ten milliseconds.

Davis, Mermelstein, "Comparison of parametric representations for monosyllabic word recognition", IEEE Trans. ASSP 28 (4), 1980; the mel scale as in
O'Shaughnessy, "Speech communication", 1987: m = 2595 log10(1 + f / 700). Deviation: bands are fixed in Hz whatever the rate of the samples, so that
recordings of several rates can be compared; what lies above half the rate is silent.
"""

from __future__ import annotations

import numpy as np

BANDS, LOWEST, HIGHEST = 40, 20.0, 8000.0  # bands, and the frequencies that the first begins and the last ends at, in Hz
WINDOW_S, STEP_S = 0.025, 0.010
SILENCE = 1e-10
"""Power that is added before the logarithm; a sine of full amplitude has 0.25 (times the share of its band)."""


def frames_of_sound(samples: int, rate: int) -> int:
    """Frames of so many samples a channel: whole windows, one at least.

    >>> frames_of_sound(16000, 16000)
    98
    """
    window, step = _lengths(rate)
    return 1 + max(0, samples - window) // step


def log_mel(samples: np.ndarray, rate: int) -> np.ndarray:
    """(n,) float in [-1, 1] at `rate` samples a second -> (T, 40) float32: log10 of the power of each band in each window of 25 ms (Hann), every 10 ms.

    Less than a window is filled up with silence. Raises ValueError for a rate below 100 or no samples.
    """
    if rate < 100 or samples.ndim != 1 or not len(samples):
        raise ValueError(f"some samples at 100 a second or more, got {samples.shape} at {rate}")
    window, step = _lengths(rate)
    values = np.pad(samples.astype(np.float64), (0, max(0, window - len(samples))))
    frames = np.lib.stride_tricks.sliding_window_view(values, window)[::step]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    size = 1 << (window - 1).bit_length()
    bands = mel_bands(rate, size)
    parts = []
    for first in range(0, len(frames), 512):  # so that an hour takes no more memory than some seconds
        power = np.abs(np.fft.rfft(frames[first : first + 512] * hann, size)) ** 2 / hann.sum() ** 2
        parts.append(np.log10(power @ bands.T + SILENCE))
    return np.concatenate(parts).astype(np.float32)


def mel_bands(rate: int, size: int) -> np.ndarray:
    """(40, size // 2 + 1): triangles over the frequencies of a Fourier transform of `size` samples, from the middle of the band before to that of the next."""
    edges = _hz(np.linspace(_mel(LOWEST), _mel(HIGHEST), BANDS + 2))
    frequencies = np.arange(size // 2 + 1) * (rate / size)
    rising = (frequencies[None] - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - frequencies[None]) / (edges[2:] - edges[1:-1])[:, None]
    return np.asarray(np.clip(np.minimum(rising, falling), 0, 1))


def _lengths(rate: int) -> tuple[int, int]:
    return max(1, round(WINDOW_S * rate)), max(1, round(STEP_S * rate))


def _mel(hz: float) -> float:
    return float(2595 * np.log10(1 + hz / 700))


def _hz(mel: np.ndarray) -> np.ndarray:
    return np.asarray(700 * (10 ** (mel / 2595) - 1))
