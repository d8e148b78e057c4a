"""What a twin is fitted to or judged on: traces, and where they come from, whether we recorded them or somebody else."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from labctl.errors import RecordingError
from labctl.recording import Recording, check_alike, traces_of

if TYPE_CHECKING:
    from twins import Traces


@dataclass(frozen=True, slots=True)
class TwinData:
    """Traces with their origin as plain data.

    sources: one entry a file (path, sha256 and what else is known). bench: what the first recording's provenance says
    of station and instruments; empty for outside data. treatments: in words, what was done to the data before.
    uncut: the trials that the traces are parts of, where other parts of them were kept to judge on.
    """

    traces: tuple[Traces, ...]
    sources: tuple[Mapping[str, Any], ...] = ()
    simulated: bool = False
    bench: Mapping[str, Any] = field(default_factory=dict)
    treatments: tuple[str, ...] = ()
    uncut: tuple[Traces, ...] = ()

    @classmethod
    def of(cls, recordings: Sequence[Recording]) -> TwinData:
        """Recordings of ours; conditions may differ between them. Raises RecordingError if they do not belong together."""
        traces = traces_of(recordings)
        check_same_conditions(recordings)
        return cls(
            traces=tuple(traces),
            sources=tuple(_source(recording) for recording in recordings),
            simulated=any(recording.simulated for recording in recordings),
            bench=dict(recordings[0].provenance),
            treatments=tuple(one for recording in recordings for one in _treatments(recording)),
        )

    @property
    def seconds(self) -> float:
        """Device time of all trials."""
        return float(sum(part.n_trials * part.n_samples * part.dt_s for part in self.traces))

    @property
    def conditions(self) -> dict[str, float]:
        """The conditions that all traces share; those that differ are inputs of the twin."""
        from twins.traces import same_condition

        first = self.traces[0].conditions
        return {
            name: value
            for name, value in first.items()
            if all(same_condition(part.conditions.get(name, np.inf), value) for part in self.traces)
        }

    def split(self, *, fraction: float | None, seed: int) -> tuple[TwinData, TwinData, str]:
        """(to fit to, to judge on, how in words): no sample that is judged on is in the first, nor a drive if it can be.

        See labctl.held_out_part. Raises TracesMismatch, TracesInvalid where that leaves too little.
        """
        from labctl.held_out_part import held_out_part

        fitted, judged, by_input, how = held_out_part(self.traces, fraction=fraction, seed=seed)
        uncut = () if by_input else self.traces
        return replace(self, traces=fitted, uncut=uncut), replace(self, traces=judged), how


def check_same_conditions(recordings: Sequence[Recording]) -> None:
    """Raise RecordingError unless all recordings agree in channels, sampling time and the names of their conditions."""
    check_alike(recordings)
    names = set(recordings[0].conditions)
    for recording in recordings[1:]:
        if set(recording.conditions) != names:
            raise RecordingError(
                f"recordings of different conditions cannot be mixed: {sorted(names)} and "
                f"{sorted(recording.conditions)} ({recording.path})"
            )


def _source(recording: Recording) -> dict[str, Any]:
    return {
        "path": None if recording.path is None else str(recording.path.absolute()),
        "sha256": sha256_of(recording.path),
        "started_utc": recording.started_utc,
        "trials": recording.n_trials,
        "device_seconds": recording.device_seconds,
        "seed": recording.provenance.get("seed"),
        "identities": recording.provenance.get("identities", {}),
        "station_sha256": recording.provenance.get("station", {}).get("sha256"),
        **{name: recording.provenance[name] for name in ("outside_data",) if name in recording.provenance},
    }


def _treatments(recording: Recording) -> list[str]:
    outside = recording.provenance.get("outside_data", {})
    told = [*outside.get("treatments", ()), *recording.provenance.get("treatments", ())]
    return [one if isinstance(one, str) else treatment_in_words(one) for one in told]


def treatment_in_words(treatment: Mapping[str, Any]) -> str:
    """What was done to the data, with its figures."""
    figures = ", ".join(
        f"{name.replace('_', ' ')} {_figure(value)}" for name, value in treatment.items() if name != "treatment"
    )
    what = str(treatment.get("treatment", "treated"))
    return f"Data: {what} ({figures})." if figures else f"Data: {what}."


def _figure(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return " to ".join(map(_figure, value)) if len(value) == 2 else " and ".join(map(_figure, value))
    if isinstance(value, Mapping):
        return " ".join(f"{name} {_figure(inner)}" for name, inner in value.items())
    return "not known" if value is None else str(value)


def sha256_of(path: Path | None) -> str | None:
    """The file's checksum, None for data without a file."""
    if path is None:
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
