"""Features of traces that a dense network learns slowly: spectra, linear predictions, spreads."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

_LONGEST_PREDICTION = 8  # samples from which the next one is predicted
_LARGEST_SPECTRUM = 512  # frequencies a channel; longer spectra are averaged down
_SMALLEST = 1e-10  # power, against 1 of the simulations' spread


def filled_gaps(
    values: Float[Tensor, "trace time channel"], steps_s: Float[Tensor, "trace step"]
) -> Float[Tensor, "trace time channel"]:
    """Straight lines over missing samples (NaN); the nearest seen value before the first and after the last."""
    seen = ~torch.isnan(values)
    if bool(seen.all()):
        return values
    n = values.shape[1]
    place = torch.arange(n).reshape(1, n, 1).expand_as(values)
    before = torch.where(seen, place, -1).cummax(dim=1).values
    after = torch.where(seen, place, n).flip(1).cummin(dim=1).values.flip(1)
    before, after = torch.where(before < 0, after, before), torch.where(after >= n, before, after)
    before, after = before.clamp(0, n - 1), after.clamp(0, n - 1)  # a channel without any sample: NaN becomes 0 below
    times = functional.pad(steps_s.cumsum(dim=1), (1, 0)).unsqueeze(-1).expand_as(values)
    left, right = values.gather(1, before), values.gather(1, after)
    begin, end = times.gather(1, before), times.gather(1, after)
    weight = torch.where(end > begin, (times - begin) / torch.where(end > begin, end - begin, 1.0), 0.0)
    filled = torch.where(seen, values, left + weight * (right - left))
    return torch.where(seen.any(dim=1, keepdim=True), filled, 0.0)


def trace_summary(scaled: Float[Tensor, "trace time channel"]) -> Float[Tensor, "trace number"]:
    """Mean, and logarithms of the spread of the values, of their differences and of their second differences."""
    first, second = scaled.diff(dim=1), scaled.diff(dim=1).diff(dim=1)
    spreads = [scaled.std(dim=1), first.square().mean(dim=1).sqrt(), second.square().mean(dim=1).sqrt()]
    if scaled.shape[1] < 3:
        spreads[2] = spreads[1]
    return torch.cat((scaled.mean(dim=1), *(torch.log(spread + 1e-6) for spread in spreads)), dim=-1)


def all_features(scaled: Float[Tensor, "trace time channel"]) -> Float[Tensor, "trace number"]:
    """``trace_summary``, ``log_spectrum`` and ``linear_prediction``, side by side."""
    return torch.cat((trace_summary(scaled), log_spectrum(scaled), linear_prediction(scaled)), dim=-1)


def n_features(n_samples: int, n_channels: int) -> int:
    """How many numbers ``all_features`` gives."""
    return int(all_features(torch.randn((2, n_samples, n_channels), generator=torch.Generator())).shape[-1])


def log_spectrum(scaled: Float[Tensor, "trace time channel"]) -> Float[Tensor, "trace number"]:
    """Logarithm of the power at each frequency, under a Hann window: what noise and phase leave of an oscillation."""
    n = scaled.shape[1]
    window = torch.hann_window(n + 2, periodic=False, dtype=scaled.dtype)[1:-1].unsqueeze(-1)
    moved = (scaled - scaled.mean(dim=1, keepdim=True)) * window
    power = torch.fft.rfft(moved, dim=1).abs().square() / window.square().sum()
    if power.shape[1] > _LARGEST_SPECTRUM:
        power = functional.adaptive_avg_pool1d(power.mT, _LARGEST_SPECTRUM).mT
    return torch.log(power + _SMALLEST).flatten(1)


def linear_prediction(scaled: Float[Tensor, "trace time channel"]) -> Float[Tensor, "trace number"]:
    """Each channel's next sample from all channels' last ones, by least squares: coefficients, and log spread of the rest.

    Frequencies and dampings are in the coefficients, the noise is in the rest.
    """
    _, n, n_channels = scaled.shape
    order = max(1, min(_LONGEST_PREDICTION, n // (4 * n_channels)))
    lags = torch.stack([scaled[:, order - 1 - lag : n - 1 - lag] for lag in range(order)], dim=-1)
    past = functional.pad(lags.flatten(2), (0, 1), value=1.0).to(torch.float64)
    now = scaled[:, order:].to(torch.float64)
    gram = past.mT @ past
    ridge = 1e-6 * gram.diagonal(dim1=-2, dim2=-1).mean(-1) + _SMALLEST
    gram = gram + ridge[:, None, None] * torch.eye(gram.shape[-1], dtype=gram.dtype)
    coefficients = torch.linalg.solve(gram, past.mT @ now)
    rest = torch.log((now - past @ coefficients).square().mean(dim=1) + _SMALLEST)
    return torch.cat((coefficients.flatten(1), rest), dim=-1).to(scaled.dtype)
