"""What a twin is fitted to or judged on: traces, and where they come from, whether we recorded them or somebody else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from labctl.errors import RecordingError
from labctl.recording import Recording, check_alike, traces_of

if TYPE_CHECKING:
    from twins import Traces

LEAST_INPUTS = 5
"""With fewer inputs than this, those to judge on are cut from the ends of the trials instead."""
LEAST_TRIALS = 12
"""On fewer than this hardly anything can be judged."""
SHORTEST = 48  # samples of a stretch that is judged on
_SEGMENTS = 12  # of the fit and of what is judged on, where trials are cut


@dataclass(frozen=True, slots=True)
class TwinData:
    """Traces with their origin as plain data.

    sources: one entry a file (path, sha256 and what else is known). bench: what the first recording's provenance says
    of station and instruments; empty for outside data. treatments: in words, what was done to the data before.
    """

    traces: tuple[Traces, ...]
    sources: tuple[Mapping[str, Any], ...] = ()
    simulated: bool = False
    bench: Mapping[str, Any] = field(default_factory=dict)
    treatments: tuple[str, ...] = ()

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

    def split(self, *, fraction: float, seed: int) -> tuple[TwinData, TwinData, str]:
        """(to fit to, to judge on, how in words): no drive that is judged on is in the first.

        Whole inputs are held out where there are at least five, a random `fraction` of them, cut into shorter stretches
        where they would be too few to judge on; else the last `fraction` of
        every trial, and both parts are cut into segments. Raises TracesMismatch, TracesInvalid where that leaves too little.
        """
        from twins.fitting.held_out import split_by_input

        n_inputs = sum(len(np.unique(part.inputs)) for part in self.traces)
        if n_inputs >= LEAST_INPUTS:
            split = split_by_input(self.traces, fraction=fraction, rng=np.random.default_rng([seed, 2]))
            told = f"{len(split.held_out_inputs)} of {n_inputs} inputs, drawn at random"
            held, cut = _enough(split.held_out)
            return replace(self, traces=split.train), replace(self, traces=held), told + cut
        first, last = [], []
        for part in self.traces:
            edge = part.n_samples - round(fraction * (part.n_samples - part.n_prepare))
            first.append(_cut(part.span(0, edge)))
            last.append(_cut(part.span(edge, part.n_samples)))
        told = f"the last {100 * fraction:.0f} % of every trial, since there are only {n_inputs} inputs"
        return replace(self, traces=tuple(first)), replace(self, traces=tuple(last)), told


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


def _enough(held: Sequence[Traces]) -> tuple[tuple[Traces, ...], str]:
    """The same in shorter stretches, if that makes enough of them, and that in words."""
    n_trials = sum(part.n_trials for part in held)
    pieces = -(-LEAST_TRIALS // n_trials)
    lengths = [(part.n_samples - part.n_prepare) // pieces for part in held]
    if pieces == 1 or min(lengths) < SHORTEST:
        return tuple(held), ""
    cut = tuple(part.segments(length) for part, length in zip(held, lengths, strict=True))
    return cut, f", each in {pieces} stretches of {min(lengths)} samples"


def _cut(part: Traces) -> Traces:
    """Segments of a length that gives some twelve of all trials together."""
    n_samples = part.n_samples - part.n_prepare
    n_segments = max(1, round(_SEGMENTS / part.n_trials))
    return part.segments(max(2, n_samples // n_segments))


def _source(recording: Recording) -> dict[str, Any]:
    return {
        "path": None if recording.path is None else str(recording.path),
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
    return [one if isinstance(one, str) else json.dumps(one) for one in outside.get("treatments", ())]


def sha256_of(path: Path | None) -> str | None:
    """The file's checksum, None for data without a file."""
    if path is None:
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
