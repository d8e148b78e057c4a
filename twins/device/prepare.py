"""What a twin takes from data before training: normalisation, ranges, start histories, the linear model."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from twins.device.history import histories_of
from twins.device.twin import DeviceTwin
from twins.traces import Traces, check_same_grid

_RIDGE = 1e-6  # of the normalised Gram matrix: keeps the linear model defined where a channel never moves
# Directions among the inputs quieter than this fraction of a channel's spread are not amplified to unit variance.
_WHITENING_FLOOR = 3e-3


def prepare_twin(twin: DeviceTwin, traces: Sequence[Traces], *, generator: torch.Generator) -> None:
    """Set the buffers of a twin from training data and draw its starting weights.

    After this the twin is a linear model with constant noise. Raises TracesMismatch.
    """
    check_same_grid(traces)
    spec = twin.spec
    for part in traces:
        spec.check_traces(part)
    drive = np.concatenate([part.drive.reshape(-1, spec.n_drive) for part in traces])
    response = np.concatenate([part.response.reshape(-1, spec.n_response) for part in traces])
    starts = [histories_of(spec, part) for part in traces]
    with torch.no_grad():
        twin.drive_centre.copy_(torch.from_numpy(drive.mean(0)))
        twin.drive_scale.copy_(torch.from_numpy(_positive_std(drive)))
        twin.response_centre.copy_(torch.from_numpy(response.mean(0)))
        twin.response_scale.copy_(torch.from_numpy(_positive_std(response)))
        twin.drive_range.copy_(torch.from_numpy(np.stack((drive.min(0), drive.max(0)), axis=1)))
        twin.response_range.copy_(torch.from_numpy(np.stack((response.min(0), response.max(0)), axis=1)))
        twin.bank_response = torch.cat([start.response for start in starts]).to(twin.linear_weight)
        twin.bank_drive = torch.cat([start.drive for start in starts]).to(twin.linear_weight)
        rows, increments = (torch.cat(parts) for parts in zip(*(step_rows(twin, part) for part in traces), strict=True))
        twin.features.copy_(_whitening(rows.double()))
        _fit_linear(twin, rows.double(), increments.double())
        twin.nets.initialise(generator, diffusion_bias=math.log(math.expm1(1.0 - spec.noise_floor)))
        twin.fitted.fill_(True)


def step_rows(twin: DeviceTwin, traces: Traces) -> tuple[Tensor, Tensor]:
    """All steps of all trials as rows: inputs (row, n_inputs) and next increments (row, response), normalised.

    Steps within the preparation count: the device obeys the same law there.
    """
    spec = twin.spec
    response = (torch.tensor(traces.response) - twin.response_centre) / twin.response_scale
    drive = (torch.tensor(traces.drive) - twin.drive_centre) / twin.drive_scale
    first, last = spec.n_history, traces.n_samples - 1
    columns = [response[:, first - d : last - d] for d in range(spec.response_delays + 1)]
    columns += [drive[:, first - d : last - d] for d in range(spec.drive_delays + 1)]
    rows = torch.cat(columns, dim=-1).reshape(-1, spec.n_inputs)
    increments = (response[:, first + 1 : last + 1] - response[:, first:last]).reshape(-1, spec.n_response)
    return rows.to(twin.linear_weight), increments.to(twin.linear_weight)


def _fit_linear(twin: DeviceTwin, rows: Tensor, increments: Tensor) -> None:
    design = torch.cat((rows, torch.ones_like(rows[:, :1])), dim=1)
    gram = design.T @ design / len(design)
    gram.diagonal().add_(_RIDGE)
    solution = torch.linalg.solve(gram, design.T @ increments / len(design))
    residual = increments - design @ solution
    twin.linear_weight.copy_(solution[:-1])
    twin.linear_bias.copy_(solution[-1])
    twin.increment_scale.copy_(residual.square().mean(0).sqrt().clamp_min(1e-9))


def _whitening(rows: Tensor) -> Tensor:
    """(input, input), symmetric: rows @ it have unit variance and no correlation, but for the floor."""
    variance, directions = torch.linalg.eigh(torch.cov(rows.T).reshape(rows.shape[1], -1))
    whitening: Tensor = directions / (variance + _WHITENING_FLOOR**2).sqrt() @ directions.T
    return whitening


def _positive_std(samples: np.ndarray) -> np.ndarray:
    std = samples.std(0)
    return np.where(std > 0, std, 1.0)  # a channel that never moved is left in its own units
