"""Rivals of a twin that know less of its noise: the same drift without any, or with noise of a constant size.

They show what knowing the noise is worth: whatever is optimised on them is optimised on the same mean behaviour. Both
are ordinary fitted DeviceTwins, with the ranges, normalisation and start histories of the twin they come from, and so
can be saved, stacked and asked like any other.

The drift is taken as it is rather than fitted anew to free runs without noise, so that a comparison shows what the noise
is worth and not two fits' errors. Which of the two equations is the better rival differs from case to case:
benchmarks/noise_matters.py optimises on both, and reports the better.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, overload

import numpy as np
import torch
from torch import Tensor

from twins.device.filtering import filtered_starts
from twins.device.prepare import step_rows
from twins.device.spec import DeviceTwinSpec
from twins.device.stacked_starts import is_hidden
from twins.device.twin import DeviceTwin
from twins.ensemble import AnyTwin, TwinEnsemble
from twins.errors import TracesMismatch
from twins.objectives.filter import Recordings, filter_nll
from twins.traces import Traces, check_same_grid

_KEPT = (
    "drive_centre", "drive_scale", "response_centre", "response_scale", "condition_centre", "condition_scale",
    "increment_scale", "features", "drive_range", "response_range", "condition_range",
)  # fmt: skip
_NO_MEASUREMENT: dict[str, Any] = {
    "observation": False, "observation_columns": 0, "trial_drift": False, "warm_up": 0,
}  # fmt: skip
_CHUNK_ROWS = 8192
_FLOOR = 1e-9  # of constant noise there is nothing to hold up
_MOST_COLUMNS = 64  # of a DeviceTwinSpec
_SEED = 0  # the windows are a choice like any other: the rival follows from twin and traces alone
_N_WINDOWS, _N_SCORED = 64, 32  # of recordings, and samples of each, that tell the noise of a hidden state
_SMALLEST_FACTOR, _N_NARROWINGS = 0.02, 14  # of the one-step residual; golden sections leave 0.5 % of it open
_GOLDEN = 0.5 * (math.sqrt(5.0) - 1.0)


@overload
def ode_twin(twin: DeviceTwin) -> DeviceTwin: ...
@overload
def ode_twin(twin: AnyTwin) -> AnyTwin: ...
def ode_twin(twin: AnyTwin) -> AnyTwin:
    """The same drift, and nothing at random: no process noise, auxiliaries (at their mean, 0), measurement noise or offsets.

    Starts are as measured; where measurement noise hides the state they are the means of what the twin's filter makes of
    them, so that a noisy sample does not count as the state. Delays, ranges and normalisation are the twin's. Of an
    ensemble, each member's. Raises TwinNotFitted.
    """
    if isinstance(twin, TwinEnsemble):
        return TwinEnsemble([ode_twin(member) for member in twin.members])
    twin.require_fitted()
    spec = replace(
        twin.spec, noise_diagonal=False, noise_columns=0, noise_mask=(), auxiliaries=0, diffusion_hidden=None,
        **_NO_MEASUREMENT,
    )  # fmt: skip
    return _same_drift(twin, spec, _sharp_starts(twin))


@overload
def constant_noise_twin(twin: DeviceTwin, traces: Sequence[Traces]) -> DeviceTwin: ...
@overload
def constant_noise_twin(twin: AnyTwin, traces: Sequence[Traces]) -> AnyTwin: ...
def constant_noise_twin(twin: AnyTwin, traces: Sequence[Traces]) -> AnyTwin:
    """The same drift with white Gaussian process noise of one size, whatever state and drive: the likeliest for `traces`.

    Where the state is seen, that is the root mean square of the one-step residuals, a channel each; the full covariance
    if the twin's channels share noise. Auxiliaries are left out: what they push counts as white. A twin with an
    observation head, or with offsets from trial to trial, keeps these (they are constant and Gaussian as well), and the
    process noise is the multiple of the residuals' covariance that is likeliest under its filter, for one-step residuals
    would count measurement noise as process noise. Channels that carry no process noise carry none here. Of an ensemble,
    each member's.

    Raises TwinNotFitted, TracesMismatch for traces that are not this twin's.
    """
    if isinstance(twin, TwinEnsemble):
        return TwinEnsemble([constant_noise_twin(member, traces) for member in twin.members])
    twin.require_fitted()
    check_same_grid(traces, varying=twin.spec.condition_names)
    for part in traces:
        twin.spec.check_traces(part)
    covariance = _residual_covariance(twin, traces)
    shared = twin.spec.noise_columns > 0 and twin.spec.n_response > 1
    root = _root(covariance) if shared else covariance.diagonal().sqrt()
    if not bool((root.abs().sum() > 0) & torch.isfinite(root).all()):
        raise TracesMismatch("the drift foresees every sample of these traces exactly: there is no noise to fit")
    if not _seen_through_noise(twin):
        return _constant(twin, root, 1.0)
    windows = _windows(twin, traces)
    return _constant(twin, root, _likeliest_factor(twin, root, windows))


def _constant(twin: DeviceTwin, root: Tensor, factor: float) -> DeviceTwin:
    """The rival whose process noise is factor · root: (response,) standard deviations, or a (response, response) root."""
    ratio = (factor * root / (twin.increment_scale.unsqueeze(1) if root.ndim == 2 else twin.increment_scale)).double()
    n_columns = root.shape[1] if root.ndim == 2 else 0
    spec = replace(
        twin.spec, noise_diagonal=not n_columns, noise_columns=n_columns, noise_floor=_FLOOR, auxiliaries=0,
        diffusion_hidden=None, warm_up=twin.spec.warm_up if _seen_through_noise(twin) else 0,
    )  # fmt: skip
    rival = _same_drift(twin, spec, twin.bank_response)
    level = ratio.flatten() if n_columns else _inverse_softplus((ratio - _FLOOR).clamp_min(_FLOOR))
    with torch.no_grad():
        rival.nets.biases[-1][1, 0, : len(level)] = level.to(rival.linear_weight)
    return rival


def _same_drift(twin: DeviceTwin, spec: DeviceTwinSpec, starts: Tensor) -> DeviceTwin:
    """A twin of this spec with the drift of another; starts (entry, sample, response), newest first, are cut to fit."""
    other = DeviceTwin(spec).to(device=twin.linear_weight.device)
    if twin.linear_weight.dtype == torch.float64:  # not .to(dtype): buffers may be more exact than the nets
        other = other.double()
    with torch.no_grad():
        for name in _KEPT:
            other.get_buffer(name).copy_(twin.get_buffer(name))
        for name in ("linear_weight", "linear_bias", "higher_weight"):
            other.get_parameter(name).copy_(twin.get_parameter(name))
        _copy_drift_net(twin, other)
        if spec.observation:
            other.observation_log_std.copy_(twin.observation_log_std)
            other.observation_patterns.copy_(twin.observation_patterns)
        if spec.trial_drift:
            other.trial_offsets.copy_(twin.trial_offsets)
            other.trial_correlation.copy_(twin.trial_correlation)
        other.bank_response = starts[:, : spec.warm_up + spec.response_delays + 1].clone()
        other.bank_drive = twin.bank_drive[:, : spec.warm_up + spec.drive_delays].clone()
        other.bank_conditions = twin.bank_conditions.clone()
        other.fitted.fill_(True)
    return other


def _copy_drift_net(twin: DeviceTwin, other: DeviceTwin) -> None:
    """Into the first of the paired nets; the second stays zero, but for what its last biases are set to."""
    n, last = twin.spec.n_response, twin.nets.n_drift_layers - 1
    layers = zip(twin.nets.weights, twin.nets.biases, other.nets.weights, other.nets.biases, strict=False)
    for number, (weight, bias, own_weight, own_bias) in enumerate(layers):
        if number > last:
            return
        wanted = slice(n) if number == last else slice(None)  # the last layer is as wide as the wider net needs
        own_weight[0, :, wanted] = weight[0, :, wanted]
        own_bias[0, :, wanted] = bias[0, :, wanted]


def _sharp_starts(twin: DeviceTwin) -> Tensor:
    """(entry, delays + 1, response), newest first, in physical units: as measured, or the filter's means."""
    if not is_hidden(twin):
        return twin.bank_response
    belief, _ = filtered_starts(twin, twin.bank.pick(range(len(twin.bank_response))), twin.bank_conditions)
    spec = twin.spec
    means = belief.mean[:, : spec.n_state_inputs].reshape(-1, spec.response_delays + 1, spec.n_response)
    return means.to(twin.response_scale) * twin.response_scale + twin.response_centre


@torch.no_grad()
def _residual_covariance(twin: DeviceTwin, traces: Sequence[Traces]) -> Tensor:
    """Mean outer product of what the drift misses in a step, (response, response), normalised units, float64."""
    n, count = twin.spec.n_response, 0
    covariance = torch.zeros(n, n, dtype=torch.float64, device=twin.linear_weight.device)
    for part in traces:
        rows, increments = step_rows(twin, part)
        for seen, change in zip(torch.split(rows, _CHUNK_ROWS), torch.split(increments, _CHUNK_ROWS), strict=True):
            residual = (change - twin.step_law(seen).increment).double()
            covariance += residual.T @ residual
            count += len(residual)
    mask = twin.noise_mask.double()
    return covariance / count * torch.outer(mask, mask)


def _root(covariance: Tensor) -> Tensor:
    """A square root of a covariance that may be singular, (response, column): as many columns as a twin may have."""
    variance, directions = torch.linalg.eigh(covariance)
    columns: Tensor = directions * variance.clamp_min(0.0).sqrt()
    return columns[:, -_MOST_COLUMNS:]


def _windows(twin: DeviceTwin, traces: Sequence[Traces]) -> tuple[Tensor, Tensor]:
    n_samples = twin.spec.response_delays + 1 + twin.spec.warm_up + _N_SCORED
    return Recordings.of(twin, traces).windows(_N_WINDOWS, n_samples, np.random.default_rng(_SEED))


@torch.no_grad()
def _likeliest_factor(twin: DeviceTwin, root: Tensor, windows: tuple[Tensor, Tensor]) -> float:
    """By golden sections on a logarithm: the likelihood of a single scale has one maximum."""
    burn_in = min(twin.spec.warm_up, windows[0].shape[1] - twin.spec.response_delays - 2)

    def nll(log_factor: float) -> float:
        return float(filter_nll(_constant(twin, root, math.exp(log_factor)), *windows, burn_in=burn_in))

    low, high = math.log(_SMALLEST_FACTOR), math.log(2.0)
    inner, outer = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_inner, at_outer = nll(inner), nll(outer)
    for _ in range(_N_NARROWINGS):
        if at_inner < at_outer:
            high, outer, at_outer = outer, inner, at_inner
            inner = high - _GOLDEN * (high - low)
            at_inner = nll(inner)
        else:
            low, inner, at_inner = inner, outer, at_outer
            outer = low + _GOLDEN * (high - low)
            at_outer = nll(outer)
    return math.exp(0.5 * (low + high))


def _seen_through_noise(twin: DeviceTwin) -> bool:
    return twin.spec.observation or twin.spec.trial_drift


def _inverse_softplus(value: Tensor) -> Tensor:
    return value + torch.log(-torch.expm1(-value))
