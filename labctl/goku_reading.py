"""Measured traces from recordings and from files of other programs; recordings that were interrupted count as far as they go."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from labctl.errors import RecordingError
from labctl.goku_series import Channels, Measured, Trace
from labctl.recording import Recording
from labctl.twin_data import sha256_of, treatment_in_words

if TYPE_CHECKING:
    from labctl.outside_data.loose import LooseData


def of_recordings(recordings: Sequence[Recording]) -> Measured:
    """The scored part of every trial of recordings of one device. Raises RecordingError."""
    parts = [_of_recording(number, recording) for number, recording in enumerate(recordings)]
    return joined(parts)


def of_loose(number: int, data: LooseData) -> Measured:
    """A file of another program, as labctl.outside_data.loose reads it."""
    name, many = data.path.name, len(data.trials) > 1
    traces = tuple(
        Trace(
            label=f"{name}, {trial.name}" if many else name,
            values=np.asarray(trial.response),
            times_s=np.asarray(trial.time_s),
            drive=np.asarray(trial.drive),
            conditions=dict(trial.conditions),
            trial=(number, index),
            is_test=trial.is_test,
        )
        for index, trial in enumerate(data.trials)
        if len(trial) > 1 and np.isfinite(trial.response).any()
    )
    if not traces:
        raise RecordingError(f"{data.path}: no stretch of two samples with a measured value; nothing to infer from")
    source = {"path": str(data.path), "sha256": data.provenance["sha256"], "outside_data": dict(data.provenance)}
    told = tuple(treatment_in_words(one) for one in data.provenance["treatments"])
    channels = Channels(data.response_names, data.response_units, data.drive_names, data.drive_units)
    return Measured(traces, channels, (source,), data.simulated, treatments=told)


def joined(parts: Sequence[Measured]) -> Measured:
    """Traces of several files. Raises RecordingError where channels or units differ."""
    if not parts:
        raise RecordingError("no data were given")
    first = parts[0]
    for part in parts[1:]:
        if part.channels != first.channels:
            raise RecordingError(
                f"data of different channels cannot be taken together: {first.channels} ({first.traces[0].label}) and "
                f"{part.channels} ({part.traces[0].label})"
            )
    return Measured(
        traces=tuple(trace for part in parts for trace in part.traces),
        channels=first.channels,
        sources=tuple(source for part in parts for source in part.sources),
        simulated=any(part.simulated for part in parts),
        bench=first.bench,
        treatments=tuple(dict.fromkeys(text for part in parts for text in part.treatments)),
    )


def _of_recording(number: int, recording: Recording) -> Measured:
    drive, response = recording.scored()
    name = "a recording" if recording.path is None else recording.path.name
    traces, told = [], []
    for trial in range(recording.n_trials):
        n_samples = int(recording.valid_samples[trial]) - recording.n_prepare
        if n_samples < response.shape[1]:
            told.append(
                f"Data: {name}, trial {trial}: {max(n_samples, 0)} of {response.shape[1]} samples were measured."
            )
        if n_samples < 2 or not np.isfinite(response[trial, :n_samples]).any():
            continue
        traces.append(
            Trace(
                label=f"{name}, trial {trial}",
                values=response[trial, :n_samples],
                times_s=np.arange(n_samples, dtype=np.float64) * recording.dt_s,
                drive=drive[trial, :n_samples],
                conditions=dict(recording.conditions),
                trial=(number, trial),
            )
        )
    if not traces:
        raise RecordingError(f"{name}: no trial has two measured samples; nothing to infer from")
    channels = Channels(
        recording.response_names, recording.response_units, recording.drive_names, recording.drive_units
    )
    return Measured(
        tuple(traces), channels, (_source(recording),), recording.simulated, dict(recording.provenance), tuple(told)
    )


def _source(recording: Recording) -> dict[str, Any]:
    return {
        "path": None if recording.path is None else str(recording.path.absolute()),
        "sha256": sha256_of(recording.path),
        "started_utc": recording.started_utc,
        "trials": recording.n_trials,
        "device_seconds": recording.device_seconds,
        "conditions": dict(recording.conditions),
        "seed": recording.provenance.get("seed"),
        "identities": recording.provenance.get("identities", {}),
        "station_sha256": recording.provenance.get("station", {}).get("sha256"),
    }
