"""Whether Markov chains have run long enough: split R-hat and the effective sample size."""

from __future__ import annotations

import torch
from torch import Tensor


def _halves(draws: Tensor) -> Tensor:
    """(2 chains, n // 2, ...) float64: each chain cut in the middle, so that a drift shows as well."""
    if draws.ndim < 2 or draws.shape[1] < 4:
        raise ValueError(f"draws are (chains, n, ...) with at least 4 of each chain, got {tuple(draws.shape)}")
    half = draws.shape[1] // 2
    return torch.cat([draws[:, :half], draws[:, -half:]]).to(torch.float64)


def split_r_hat(draws: Tensor) -> Tensor:
    """(chains, n, ...) -> (...): the spread of all over the spread within half chains, 1 when they have mixed; above 1.01 they have not.

    Gelman et al., Bayesian Data Analysis, 3rd edition, equations 11.1 to 11.4. 1 for what never moves in any chain, inf where the halves stand still apart.
    """
    halves = _halves(draws)
    n = halves.shape[1]
    within = halves.var(1).mean(0)
    between = halves.mean(1).var(0)
    ratio = torch.where(within > 0, between / torch.where(within > 0, within, 1.0), torch.where(between > 0, float("inf"), 1.0 / n))
    return ((n - 1) / n + ratio).sqrt()


def effective_sample_size(draws: Tensor) -> Tensor:
    """(chains, n, ...) -> (...): how many independent draws would tell the mean as well.

    From the autocorrelations of the half chains, combined with their spread, summed in pairs until a pair is negative and never rising
    (Geyer 1992; Vehtari et al. 2021, section 3.2). At most all draws times log10 of their number; nan for what never moves.
    """
    halves = _halves(draws)
    m, n = halves.shape[:2]
    centred = halves - halves.mean(1, keepdim=True)
    spectrum = torch.fft.rfft(centred, 2 * n, 1)
    covariance = torch.fft.irfft(spectrum.abs() ** 2, 2 * n, 1)[:, :n].mean(0) / n  # (n, ...): biased, the mean of the chains
    within = covariance[0] * n / (n - 1)
    overall = covariance[0] + halves.mean(1).var(0)
    rho = 1 - (within - covariance * n / (n - 1)) / torch.where(overall > 0, overall, 1.0)
    rho[0] = 1.0
    pairs = rho[: n // 2 * 2].reshape(n // 2, 2, *rho.shape[1:]).sum(1)
    positive = (pairs > 0).to(pairs.dtype).cumprod(0)
    falling = pairs.clamp_min(0).cummin(0).values * positive
    time = (2 * falling.sum(0) - 1).clamp_min(1 / torch.log10(torch.tensor(float(m * n))))
    return torch.where(overall > 0, m * n / time, float("nan"))
