"""One-step likelihood: every sample of every trial is a row, its law Gaussian with the twin's mean and spread."""

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
    """
    mean, std = twin.normalised_rows(rows)
    error = (increments - mean) / std
    return (0.5 * error.square() + (std / twin.increment_scale).log()).mean()


def shuffled_chunks(n_rows: int, chunk_rows: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Row numbers in random order, in chunks of nearly equal size, at most chunk_rows."""
    order = torch.randperm(n_rows, generator=generator)
    yield from order.chunk(max(1, -(-n_rows // chunk_rows)))
