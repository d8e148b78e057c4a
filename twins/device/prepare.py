"""What a twin takes from data before training: normalisation, ranges, start histories, the backbone."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from twins.device.backbone import higher_terms
from twins.device.history import histories_of
from twins.device.trial_drift import offsets_of
from twins.device.twin import DeviceTwin
from twins.traces import Traces, check_same_grid

_RIDGE = 1e-6  # of the normalised Gram matrix: keeps the linear model defined where a channel never moves
# Directions among the inputs quieter than this fraction of a channel's spread are not amplified to unit variance.
_WHITENING_FLOOR = 3e-3


def prepare_twin(twin: DeviceTwin, traces: Sequence[Traces], *, generator: torch.Generator) -> None:
    """Set the buffers of a twin from training data and draw its starting weights.

    After this the twin is its backbone with constant noise. Raises TracesMismatch.
    """
    _check(twin, traces)
    spec = twin.spec
    drive = np.concatenate([part.drive.reshape(-1, spec.n_drive) for part in traces])
    response = np.concatenate([part.response.reshape(-1, spec.n_response) for part in traces])
    held = np.array([[part.conditions[name] for name in spec.condition_names] for part in traces])
    with torch.no_grad():
        for name, samples in (("drive", drive), ("response", response), ("condition", held)):
            getattr(twin, f"{name}_centre").copy_(torch.from_numpy(samples.mean(0)))
            getattr(twin, f"{name}_scale").copy_(torch.from_numpy(_positive_std(samples)))
            _range(twin, name).copy_(_extremes(samples))
        _keep_starts(twin, traces)
        rows, increments = (torch.cat(parts) for parts in zip(*(step_rows(twin, part) for part in traces), strict=True))
        twin.features.copy_(_whitening(rows.double()))
        residual = _fit_backbone(twin, rows.double(), increments.double())
        if spec.trial_drift:
            _learn_trial_drift(twin, traces, generator)
        twin.nets.initialise(generator, diffusion_bias=_diffusion_bias(twin, residual))
        twin.fitted.fill_(True)


def widen_twin(twin: DeviceTwin, traces: Sequence[Traces]) -> None:
    """Let a fitted twin know of more data: ranges and start histories become theirs; weights and scales stay.

    traces: all that it is to be fitted on from now on. Raises TracesMismatch.
    """
    _check(twin, traces)
    for part in traces:
        held = np.array([[part.conditions[name] for name in twin.spec.condition_names]])
        for name, samples in (("drive", part.drive), ("response", part.response), ("condition", held)):
            flat = samples.reshape(math.prod(samples.shape[:-1]), samples.shape[-1])  # there may be no condition
            known, seen = _range(twin, name), _extremes(flat)
            known[:, 0].copy_(torch.minimum(known[:, 0], seen[:, 0]))
            known[:, 1].copy_(torch.maximum(known[:, 1], seen[:, 1]))
    _keep_starts(twin, traces)


def step_rows(twin: DeviceTwin, traces: Traces) -> tuple[Tensor, Tensor]:
    """All steps of all trials as rows: inputs (row, n_inputs) and next increments (row, response), normalised.

    Steps within the preparation count: the device obeys the same law there.
    """
    spec = twin.spec
    response = (torch.tensor(traces.response) - twin.response_centre) / twin.response_scale
    first, last = spec.n_delays, traces.n_samples - 1
    columns = [response[:, first - d : last - d] for d in range(spec.response_delays + 1)]
    columns.append(driven_inputs(twin, traces)[:, first:last])
    rows = torch.cat(columns, dim=-1).reshape(-1, spec.n_inputs)
    increments = (response[:, first + 1 : last + 1] - response[:, first:last]).reshape(-1, spec.n_response)
    return rows.to(twin.linear_weight), increments.to(twin.linear_weight)


def driven_inputs(twin: DeviceTwin, traces: Traces) -> Tensor:
    """(trial, time, drive with its delays + conditions), normalised float64; delays before the first sample repeat it."""
    spec = twin.spec
    drive = torch.tensor(traces.drive)
    before = drive[:, :1].expand(-1, spec.drive_delays, -1)
    longer, n_time = torch.cat((before, drive), dim=1), traces.n_samples
    parts = [longer[:, spec.drive_delays - d : spec.drive_delays - d + n_time] for d in range(spec.drive_delays + 1)]
    if spec.n_conditions:
        held = torch.tensor([traces.conditions[name] for name in spec.condition_names], dtype=torch.float64)
        parts.append(held.expand(traces.n_trials, n_time, -1))
    return twin.normalised_drive(torch.cat(parts, dim=-1))


def _learn_trial_drift(twin: DeviceTwin, traces: Sequence[Traces], generator: torch.Generator) -> None:
    rng = np.random.default_rng(int(torch.randint(2**31, (1,), generator=generator)))
    root, correlation = offsets_of(traces, rng)
    twin.trial_offsets.copy_(torch.from_numpy(root) / twin.response_scale.unsqueeze(-1))
    twin.trial_correlation.fill_(correlation)


def _check(twin: DeviceTwin, traces: Sequence[Traces]) -> None:
    check_same_grid(traces, varying=twin.spec.condition_names)
    for part in traces:
        twin.spec.check_traces(part)


def _keep_starts(twin: DeviceTwin, traces: Sequence[Traces]) -> None:
    spec = twin.spec
    starts = [histories_of(spec, part) for part in traces]
    held = [np.tile([part.conditions[name] for name in spec.condition_names], (part.n_trials, 1)) for part in traces]
    twin.bank_response = torch.cat([start.response for start in starts]).to(twin.response_centre)
    twin.bank_drive = torch.cat([start.drive for start in starts]).to(twin.drive_centre)
    twin.bank_conditions = torch.from_numpy(np.concatenate(held)).to(twin.condition_centre)


def _fit_backbone(twin: DeviceTwin, rows: Tensor, increments: Tensor) -> Tensor:
    """Least squares; returns the residual (row, response)."""
    higher = higher_terms(rows, twin.spec.backbone_order)
    design = torch.cat((rows, torch.ones_like(rows[:, :1]), higher), dim=1)
    gram = design.T @ design / len(design)
    gram.diagonal().add_(_RIDGE)
    solution: Tensor = torch.linalg.solve(gram, design.T @ increments / len(design))
    residual: Tensor = increments - design @ solution
    n_inputs = twin.spec.n_inputs
    twin.linear_weight.copy_(solution[:n_inputs])
    twin.linear_bias.copy_(solution[n_inputs])
    twin.higher_weight.copy_(solution[n_inputs + 1 :])
    twin.increment_scale.copy_(residual.square().mean(0).sqrt().clamp_min(1e-9))
    return residual


def _diffusion_bias(twin: DeviceTwin, residual: Tensor) -> Tensor:
    """Starting level of every output of the diffusion net, so that the noise has the residual's covariance.

    Noise columns start as its principal components: at zero they would have no gradient.
    """
    spec = twin.spec
    n, n_aux, k = spec.n_response, spec.auxiliaries, spec.noise_columns
    correlation = torch.corrcoef((residual / twin.increment_scale).T).reshape(n, n).nan_to_num(0.0)
    variance, directions = torch.linalg.eigh(correlation)
    columns = residual.new_full((n + n_aux, k), 1.0 / max(1, k) ** 0.5)
    strongest = torch.arange(n - 1, max(-1, n - 1 - k), -1)
    columns[:n] = 0.0
    columns[:n, : len(strongest)] = directions[:, strongest] * variance[strongest].clamp_min(0.0).sqrt()
    own = residual.new_ones(n + n_aux)
    own[:n] = (1.0 - columns[:n].square().sum(1)).clamp_min(0.01).sqrt()
    raw = torch.log(torch.expm1((own - spec.noise_floor).clamp_min(1e-3)))
    parts = [raw, columns.flatten()] if spec.noise_diagonal else [columns.flatten()]
    return torch.cat(parts).to(twin.linear_weight)


def _whitening(rows: Tensor) -> Tensor:
    """(input, input), symmetric: rows @ it have unit variance and no correlation, but for the floor."""
    variance, directions = torch.linalg.eigh(torch.cov(rows.T).reshape(rows.shape[1], -1))
    whitening: Tensor = directions / (variance + _WHITENING_FLOOR**2).sqrt() @ directions.T
    return whitening


def _range(twin: DeviceTwin, name: str) -> Tensor:
    return twin.get_buffer(f"{name}_range")


def _extremes(samples: np.ndarray) -> Tensor:
    return torch.from_numpy(np.stack((samples.min(0), samples.max(0)), axis=1))


def _positive_std(samples: np.ndarray) -> np.ndarray:
    std = samples.std(0)
    return np.where(std > 0, std, 1.0)  # a channel that never moved is left in its own units
