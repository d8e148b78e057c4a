"""One-step likelihood: every sample of every trial is a row, its law Gaussian with the twin's mean and covariance."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from twins.device.twin import DeviceTwin

# At equal CPU time, chunks of 1024 rows beat 512 and 2048, and 8192 by far (nets of 2 x 24 and 2 x 32, one thread).
CHUNK_ROWS = 1024


def one_step_nll(
    twin: DeviceTwin, rows: Float[Tensor, "row inputs"], increments: Float[Tensor, "row response"]
) -> Float[Tensor, ""]:
    """Mean negative log likelihood a row and channel, in nats, less log(2π)/2, in units of the linear residual.

    rows and increments as device.prepare.step_rows gives them. 0.5 is what the linear model with constant noise has.
    Channels without noise (masked, or all of an ordinary differential equation) count as if theirs were the linear
    residual's: least squares. Shared noises alone leave directions without any; these count with the twin's noise_floor.
    """
    spec, unit = twin.spec, twin.increment_scale
    n = spec.n_response
    law = twin.step_law(rows)
    error = (increments - law.increment) / unit
    noisy = twin.noise_mask if spec.noisy else torch.zeros_like(unit)
    if law.columns is None:
        std = torch.ones_like(error) if law.spread is None else law.spread[:, :n] / unit
        if spec.noise_mask:
            std = torch.where(noisy > 0, std, 1.0)
        nll: Tensor = (0.5 * (error / std).square() + std.log()).mean()
        return nll
    own = torch.full_like(error, spec.noise_floor**2) if law.spread is None else (law.spread[:, :n] / unit).square()
    own = torch.where(noisy > 0, own, 1.0) if spec.noise_mask else own
    shared: Tensor = matrix_nll(error, own, law.columns[:, :n] / unit.unsqueeze(-1)).mean() / n
    return shared


def matrix_nll(
    error: Float[Tensor, "row response"],
    variance: Float[Tensor, "row response"],
    columns: Float[Tensor, "row response column"],
) -> Float[Tensor, " row"]:
    """Negative log density less n log(2π)/2 of errors with covariance diag(variance) + columns columnsᵀ.

    By the smaller of the two factorisations: with fewer columns than channels Woodbury's.
    """
    n, k = columns.shape[1:]
    if k >= n:
        root = torch.linalg.cholesky(torch.diag_embed(variance) + columns @ columns.mT)
        surprise = torch.linalg.solve_triangular(root, error.unsqueeze(-1), upper=False)
        dense: Tensor = 0.5 * surprise.square().sum((1, 2)) + root.diagonal(dim1=1, dim2=2).log().sum(1)
        return dense
    scaled = columns / variance.unsqueeze(-1)
    root = torch.linalg.cholesky(torch.eye(k).to(columns) + columns.mT @ scaled)
    explained = torch.linalg.solve_triangular(root, scaled.mT @ error.unsqueeze(-1), upper=False)
    square = (error.square() / variance).sum(1) - explained.square().sum((1, 2))
    log_det = variance.log().sum(1) + 2.0 * root.diagonal(dim1=1, dim2=2).log().sum(1)
    nll: Tensor = 0.5 * (square + log_det)
    return nll


def shuffled_chunks(n_rows: int, chunk_rows: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Row numbers in random order, in chunks of nearly equal size, at most chunk_rows."""
    order = torch.randperm(n_rows, generator=generator)
    yield from order.chunk(max(1, -(-n_rows // chunk_rows)))
