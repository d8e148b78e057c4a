"""What a model says of each sample given the earlier ones, and how likely the samples then are."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from twins.goku.inference.trace_data import TraceData

LOG_TWO_PI = math.log(2.0 * math.pi)


@dataclass(frozen=True, slots=True)
class Prediction:
    """mean: (time, …, trace, channel); covariance: (time, …, trace, channel, channel), or None where all errors are the
    observation's, independent with `variance` (…, trace, channel). Where a channel is missing, mean and covariance are
    0 and 1, so that it counts for nothing. diverged: (…, trace)."""

    mean: Float[Tensor, "time *batch channel"]
    variance: Float[Tensor, "*batch channel"]
    covariance: Float[Tensor, "time *batch channel channel"] | None
    diverged: Bool[Tensor, "*batch"]


def log_density(data: TraceData, prediction: Prediction) -> Float[Tensor, "*batch"]:
    """Natural logarithm of the density of all samples that are there; -inf where the model diverged."""
    seen = _spread(data.seen, prediction.mean).to(prediction.mean.dtype)
    error = (_spread(data.values, prediction.mean) - prediction.mean) * seen
    count = seen.sum(dim=(0, -1))
    if prediction.covariance is None:
        squares = (error.square().sum(0) / prediction.variance).sum(-1)
        log_determinant = (seen.sum(0) * prediction.variance.log()).sum(-1)
    else:
        factor, _ = torch.linalg.cholesky_ex(prediction.covariance)
        white = torch.linalg.solve_triangular(factor, error.unsqueeze(-1), upper=False).squeeze(-1)
        squares = white.square().sum(dim=(0, -1))
        log_determinant = 2.0 * factor.diagonal(dim1=-2, dim2=-1).log().sum(dim=(0, -1))
    value = -0.5 * (squares + log_determinant + count * LOG_TWO_PI)
    return torch.where(prediction.diverged | ~torch.isfinite(value), -math.inf, value)


def _spread(observed: Tensor, like: Tensor) -> Tensor:
    """(time, trace, channel) beside (time, …, trace, channel)."""
    while observed.ndim < like.ndim:
        observed = observed.unsqueeze(1)
    return observed
