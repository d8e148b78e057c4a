"""diagnose: from recordings to what kind of noise, memory and drift the device has."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from twins.diagnosis.alignment import Alignment, drive_alignment
from twins.diagnosis.channel import N_LAGS, ChannelData, diagnose_channel
from twins.diagnosis.channel_checks import (
    clipping_warning,
    constant_channels,
    quantisation_warning,
    sampling_warning,
)
from twins.diagnosis.drift import drift_over_repeats, trial_offsets
from twins.diagnosis.figures import QUIET, ChannelDiagnosis, Diagnosis, Drift
from twins.diagnosis.free_runs import FreeRuns, free_runs
from twins.diagnosis.multistability import multistable_share
from twins.diagnosis.one_step import LAGS, OneStep, one_step_models
from twins.diagnosis.repeats import Repeats, find_repeats
from twins.diagnosis.segments import MIN_SAMPLES, Segments, cut_segments, n_stretches
from twins.diagnosis.separate import Separation
from twins.errors import TracesInvalid
from twins.traces import Traces, check_same_grid, same_condition

_BUDGET, _QUICK_BUDGET = 10_000, 4_000  # samples of a channel that the filter sees
_THOROUGH_CHANNELS = 8  # more are diagnosed quickly
_FEW_INPUTS = 4
_MIN_PIECES = 4  # of data, some to learn from and some held out
_SCAN = 8_000  # samples of a channel that choose memory and nonlinearity
_SCANNED = 4  # channels that do; the others take their neighbour's


def diagnose(traces: Traces | Sequence[Traces], *, seed: int = 0, drive_held: bool = False) -> Diagnosis:
    """Say what noise, memory, nonlinearity and drift a device's recordings show, with standard errors.

    Works with repeats of inputs and without. Trials are taken to be in the order of recording. seed: of the stretches
    chosen and of resampling; the outcome follows from it and the data. drive_held: it is known that drive[k] acts between
    samples k and k + 1, as in recordings of labctl; else the data are asked, and a warning says so if it looks otherwise.

    Raises TracesMismatch, and TracesInvalid for trials shorter than 24 samples, fewer than 96 samples in all, or data
    that never change.
    """
    parts = [traces] if isinstance(traces, Traces) else list(traces)
    check_same_grid(parts, varying=tuple(parts[0].conditions) if parts else ())
    _check_lengths(parts)
    constant = constant_channels(parts, "response")
    varying = [i for i in range(len(parts[0].response_names)) if i not in constant]
    if not varying:
        raise TracesInvalid("no response channel ever changes: nothing can be learnt; check the wiring and the ranges")
    repeats = find_repeats(parts)
    drifts, responses, deviations, autocorrelations = _without_drift(parts, repeats, np.random.default_rng(seed))
    split = multistable_share(repeats) if repeats else None
    drives = _drives(parts)
    channels, separations, cut = [], [], []
    scanned = {varying[k] for k in np.linspace(0, len(varying) - 1, min(_SCANNED, len(varying))).astype(int)}
    one_steps: dict[int, OneStep] = {}
    for i in varying:
        segments = _segments(responses, drives, i, seed)
        if i in scanned:
            one_steps[i] = one_step_models(segments.fewer(_SCAN, np.random.default_rng(seed)), drives[0].shape[2])
        one_step = one_steps[min(one_steps, key=lambda known, i=i: abs(known - i))]  # type: ignore[misc]
        data = ChannelData(
            name=parts[0].response_names[i],
            unit=parts[0].response_units[i],
            responses=[one[..., i] for one in responses],
            drives=drives,
            deviations=[one[..., i] for one in deviations] if repeats and repeats.source == "repeats" else [],
            n_free=repeats.n_free if repeats else 0,
            n_inputs=_n_stretches(parts),
            multistable=bool(split),
            drift=drifts[i] if drifts else None,
            autocorrelation=tuple(float(value) for value in autocorrelations[1:, i]) if repeats else None,
        )
        thorough = len(varying) <= _THOROUGH_CHANNELS
        channel, separation = diagnose_channel(
            data, segments, one_step, n_most=_BUDGET if thorough else _QUICK_BUDGET, thorough=thorough, seed=seed
        )
        channels.append(channel)
        separations.append(separation)
        cut.append(segments)
    alignment = None if drive_held else drive_alignment([one[..., varying] for one in responses], drives, seed=seed)
    unexplained, source = _unexplained(repeats, deviations, separations, varying)
    cross, adjacent, rank = _across(unexplained)
    return Diagnosis(
        dt_s=parts[0].dt_s,
        n_inputs=_n_inputs(parts),
        n_stretches=_n_stretches(parts),
        n_trials=sum(part.n_trials for part in parts),
        n_samples=sum(part.n_trials * part.n_samples for part in parts),
        n_repeats=max(int(np.unique(part.inputs, return_counts=True)[1].max()) for part in parts),
        n_drive=drives[0].shape[2],
        channels=tuple(channels),
        cross_correlation=cross,
        adjacent_correlation=adjacent,
        noise_rank=rank,
        source=source,
        response_delays=max(one.n_response for one in one_steps.values()) - 1,
        drive_delays=max(one.n_drive for one in one_steps.values()) - 1,
        polynomial_order=max(one.polynomial_order for one in one_steps.values()),
        multistable_share=split,
        warnings=(
            *_alignment_warning(alignment, channels),
            *_warnings(parts, constant, channels, varying, cut, split, repeats),
        ),
        drive_errors=None if alignment is None else alignment.errors,
        free_runs=_free_runs(responses, drives, varying, channels, one_steps.values(), seed),
    )


def _check_lengths(parts: Sequence[Traces]) -> None:
    for number, part in enumerate(parts):
        if part.n_samples < MIN_SAMPLES:
            raise TracesInvalid(
                f"traces {number} have trials of {part.n_samples} samples; a diagnosis needs at least {MIN_SAMPLES}"
            )
    n_pieces = sum(part.n_trials * (part.n_samples // MIN_SAMPLES) for part in parts)
    if n_pieces < _MIN_PIECES:
        raise TracesInvalid(
            f"the recordings hold {n_pieces} stretches of {MIN_SAMPLES} samples; a diagnosis needs {_MIN_PIECES}: record more"
        )


def _n_inputs(parts: Sequence[Traces]) -> int:
    return sum(len(np.unique(part.inputs)) for part in parts)


def _n_stretches(parts: Sequence[Traces]) -> int:
    return sum(n_stretches(len(np.unique(part.inputs)), part.n_samples) for part in parts)


def _without_drift(
    parts: Sequence[Traces], repeats: Repeats | None, rng: np.random.Generator
) -> tuple[tuple[Drift, ...] | None, list[np.ndarray], list[np.ndarray], np.ndarray]:
    """(drift of each channel, responses, deviations of unbiased size, their autocorrelation (lag, channel))."""
    responses = [part.response for part in parts]
    if repeats is None:
        return None, responses, [], np.zeros((0, responses[0].shape[2]))
    drifts = drift_over_repeats(repeats, rng)
    offsets = trial_offsets(repeats, drifts)
    shift = np.zeros((sum(part.n_trials for part in parts), responses[0].shape[2]))
    for places, offset in zip(repeats.trials, offsets, strict=True):
        shift[places] = offset
    edges = np.cumsum([part.n_trials for part in parts])[:-1]
    responses = [one - move[:, None] for one, move in zip(responses, np.split(shift, edges), strict=True)]
    left = Repeats(
        tuple(group - offset[:, None] for group, offset in zip(repeats.groups, offsets, strict=True)),
        repeats.trials,
        repeats.source,
    )
    covariances = left.covariances(N_LAGS)
    power = np.where(covariances[0] > 0, covariances[0], 1.0)
    return drifts, responses, left.unbiased(), covariances / power


def _drives(parts: Sequence[Traces]) -> list[np.ndarray]:
    """The drives, with conditions that differ between the traces as further, constant channels."""
    varying = [
        name
        for name, value in parts[0].conditions.items()
        if any(not same_condition(part.conditions.get(name, np.inf), value) for part in parts)
    ]
    held = [np.array([part.conditions[name] for name in varying]) for part in parts]
    return [
        np.concatenate((part.drive, np.broadcast_to(values, (*part.drive.shape[:2], len(values)))), axis=-1)
        for part, values in zip(parts, held, strict=True)
    ]


def _segments(responses: Sequence[np.ndarray], drives: Sequence[np.ndarray], channel: int, seed: int) -> Segments:
    return cut_segments(
        [one[..., channel] for one in responses],
        drives,
        n_drive_lags=max(LAGS),
        n_most=2 * _BUDGET,
        rng=np.random.default_rng(seed),  # the same stretches for all channels
    )


def _unexplained(
    repeats: Repeats | None, deviations: Sequence[np.ndarray], separations: Sequence[Separation], varying: Sequence[int]
) -> tuple[np.ndarray, str]:
    """(sample, channel) of what neither the inputs nor one-step models foresee."""
    if repeats is not None and repeats.source == "repeats":
        return np.concatenate([one.reshape(-1, one.shape[-1]) for one in deviations])[:, varying], "repeats"
    shapes = {one.innovation.shape for one in separations}
    if len(shapes) == 1:
        return np.stack([one.innovation.reshape(-1) for one in separations], axis=-1), "one-step"
    n_time = min(shape[1] for shape in shapes)
    return np.stack([one.innovation[:, -n_time:].reshape(-1) for one in separations], axis=-1), "one-step"


def _across(unexplained: np.ndarray) -> tuple[float, float, int]:
    """(root mean square correlation between channels, mean of neighbours, components of 90 % of the variance)."""
    n = unexplained.shape[1]
    if n == 1:
        return 0.0, 0.0, 1
    covariance = np.cov(unexplained.T)
    spread = np.sqrt(np.maximum(np.diag(covariance), 1e-300))
    correlation = covariance / spread[:, None] / spread
    apart = correlation[~np.eye(n, dtype=bool)]
    # whitened by channel: a loud channel must not hide the rest
    values = np.linalg.eigvalsh(correlation)[::-1]
    rank = 1 + int(np.searchsorted(values.cumsum() / values.sum(), 0.9))
    return float(np.sqrt((apart**2).mean())), float(np.diag(correlation, 1).mean()), rank


def _free_runs(
    responses: Sequence[np.ndarray],
    drives: Sequence[np.ndarray],
    varying: Sequence[int],
    channels: Sequence[ChannelDiagnosis],
    one_steps: Iterable[OneStep],
    seed: int,
) -> FreeRuns | None:
    if max(one.process_share for one in channels) >= QUIET:
        return None
    order = max(one.polynomial_order for one in one_steps)
    return free_runs([one[..., varying] for one in responses], drives, order=order, seed=seed)


def _alignment_warning(alignment: Alignment | None, channels: Sequence[ChannelDiagnosis]) -> list[str]:
    if alignment is None or not alignment.plain:
        return []
    before, after = alignment.errors
    return [
        f"{channels[alignment.channel].name}: the drive one sample ahead foresees it {before / after:.2g} times as well "
        f"(held-out one-step error {after:.3g} of its spread instead of {before:.3g}): drive and response were sampled "
        "together, and the drive was not held between samples; take drive[k + 1] as drive[k] (--drive-ahead 1 where data of "
        "other programs are read)"
    ]


def _warnings(
    parts: Sequence[Traces],
    constant: Sequence[int],
    channels: Sequence[ChannelDiagnosis],
    varying: Sequence[int],
    cut: Sequence[Segments],
    split: float | None,
    repeats: Repeats | None,
) -> list[str]:
    said = [f"{parts[0].response_names[i]}: never changes; leave it out of the twin" for i in constant]
    said += [f"{parts[0].drive_names[i]}: never changes; leave it out" for i in constant_channels(parts, "drive")]
    said += _grouped([clipping_warning(parts, i) for i in varying])
    said += _grouped([quantisation_warning(parts, one, i) for i, one in zip(varying, channels, strict=True)])
    said += _grouped(
        [sampling_warning(one.response * one.scale, channel) for one, channel in zip(cut, channels, strict=True)]
    )
    if _n_stretches(parts) < _FEW_INPUTS:
        said.append(
            f"{_n_inputs(parts)} different inputs, fewer than {_FEW_INPUTS}: memory, nonlinearity and a twin's response to new "
            "drives cannot be judged; record more inputs"
        )
    if split:
        said.append(
            f"repeats of {100 * split:.0f} % of the inputs part into clusters: the device remembers a state that the "
            "preparation does not set (two wells, hysteresis); prepare it with a pulse into a known state"
        )
    if repeats is None:
        said.append("nothing was repeated: slow drift between trials and clusters of repeats cannot be seen")
    elif repeats.source == "preparation":
        said.append("no input was repeated: drift and clusters are judged in the preparation that all trials share")
    return said


def _grouped(found: Sequence[str | None]) -> list[str]:
    """One sentence for all channels with the same complaint."""
    words = [one for one in found if one]
    if len(words) < 2:
        return words
    return [
        f"{words[0]} ({len(words) - 1} more channels like it: {', '.join(one.split(':')[0] for one in words[1:6])} …)"
    ]
