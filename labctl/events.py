"""Events: what a campaign says while it runs, as plain serialisable data.

A script prints them, a journal stores them, the window plots them. Every event carries the stable `key` of the step it
belongs to (`characterise/leaky`, `deploy/narma10/optimised`), so that a journal can be searched by step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened in the step `key`."""

    key: str


@dataclass(frozen=True, slots=True)
class StepStarted(Event):
    """A step begins; `title` is for people."""

    title: str


@dataclass(frozen=True, slots=True)
class StepFinished(Event):
    """A step ended well, after `seconds` of wall time; `note` says what came out."""

    title: str
    seconds: float
    note: str = ""


@dataclass(frozen=True, slots=True)
class Progress(Event):
    """`done` of `total` (same unit) of the step is behind us; `note` is one short line of figures."""

    done: float
    total: float
    note: str = ""


@dataclass(frozen=True, slots=True)
class Sampled(Event):
    """A block of samples came in: `drive` and `response` are (time, channel), from sample `start` of `trial`."""

    trial: int
    start: int
    dt_s: float
    drive_names: tuple[str, ...]
    response_names: tuple[str, ...]
    drive: NDArray[np.float64]
    response: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class FrameTaken(Event):
    """Frame `index` of `n_frames` of `trial` came in, taken `time_s` after the trial's trigger.

    `preview` is (y, x, channel), coarse, in counts, for looking at only; empty (0, 0, channel) where
    the camera lost the frame. `saturated` counts at full scale.
    """

    trial: int
    index: int
    n_frames: int
    time_s: float
    names: tuple[str, ...]
    preview: NDArray[np.float64]
    lost: bool
    saturated: int


@dataclass(frozen=True, slots=True)
class Figures(Event):
    """Numbers worth keeping while something is trained: one row of a learning curve, by name."""

    step: int
    values: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Warned(Event):
    """Something a person should know, though the campaign goes on."""

    message: str


@dataclass(frozen=True, slots=True)
class Waiting(Event):
    """Nothing to tell: the step waits for something elsewhere, and this is where Stop can act."""


@dataclass(frozen=True, slots=True)
class Paused(Event):
    """The step rests because somebody wants it to; `how` says where it rests and in what state the outputs are."""

    how: str


@dataclass(frozen=True, slots=True)
class Resumed(Event):
    """The step goes on after it has rested for `seconds`."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Acquired(Event):
    """How a recording stands: samples (or frames) measured of those wanted, whole trials, what was lost, how long it will take.

    `lost`: samples that instrument or line lost, None where that is not known; `late`: those taken later than due; `how`:
    how both are known. `sample_rate_Hz` as reached; `rate_is` says by whose clock. `left_s` is an estimate from what is done,
    None before there is any. `file`: what it is written to, of `file_bytes` (all its space is taken at once).
    """

    samples: int
    wanted: int
    trials: int
    n_trials: int
    lost: int | None
    late: int
    how: str
    sample_rate_Hz: float
    rate_is: str
    left_s: float | None
    file: str
    file_bytes: int


@dataclass(frozen=True, slots=True)
class Reported(Event):
    """The outcome of a step as plain data (numbers, texts, lists of them), and the files that hold the rest."""

    outcome: Mapping[str, Any] = field(default_factory=dict)
    files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Failed(Event):
    """How a campaign ended that was stopped or failed: the class of what it raised, and its text with its notes.

    Only the journal has it, as its last line; whoever runs the campaign gets the exception itself.
    """

    error: str
    message: str


EVENT_TYPES: dict[str, type[Event]] = {
    kind.__name__: kind
    for kind in (
        StepStarted,
        StepFinished,
        Progress,
        Sampled,
        FrameTaken,
        Figures,
        Warned,
        Waiting,
        Paused,
        Resumed,
        Acquired,
        Reported,
        Failed,
    )
}


def event_to_json(event: Event) -> dict[str, Any]:
    """The event as JSON data: its class under "event", then its fields; arrays as nested lists."""
    data: dict[str, Any] = {"event": type(event).__name__}
    for item in fields(event):
        value = getattr(event, item.name)
        data[item.name] = value.tolist() if isinstance(value, np.ndarray) else value
    return data


def event_from_json(data: Mapping[str, Any]) -> Event:
    """The event that `event_to_json` wrote; raises ValueError for a kind it does not know."""
    values = dict(data)
    name = values.pop("event", None)
    kind = EVENT_TYPES.get(str(name))
    if kind is None:
        raise ValueError(f"event {name!r} is unknown; known are {', '.join(EVENT_TYPES)}")
    for item in fields(kind):
        value = values.get(item.name)
        if item.name in ("drive", "response", "preview"):
            values[item.name] = np.asarray(value, dtype=np.float64)
        elif isinstance(value, list):
            values[item.name] = tuple(value)
    return kind(**values)
