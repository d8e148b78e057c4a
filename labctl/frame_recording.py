"""What a camera saw: `FrameBlock` while it films, `FrameRecording` when it is over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from labctl.errors import RecordingError

if TYPE_CHECKING:
    from twins.nca import Frames

NOT_TAKEN, TAKEN, LOST = 0, 1, 2
"""Status of a frame: not measured, measured, or lost by the camera (its counts stay 0 and mean nothing)."""


@dataclass(frozen=True, slots=True)
class FrameHeader:
    """All that is known of a recording of frames before its first frame; written to the file first.

    `shape` is (trial, time, y, x). Counts are from 0 to `full_scale`, `black_level` of them without light. `conditions`
    (trial, condition) are the set-points planned for each trial. `seeds` (trial,) began each trial by the station's start
    `start` ("" for none). `light` is False for dark frames. A pixel is `pixel` `pixel_unit` wide, after binning.
    """

    shape: tuple[int, int, int, int]
    interval_s: float
    names: tuple[str, ...]
    full_scale: int
    black_level: float
    condition_names: tuple[str, ...]
    condition_units: tuple[str, ...]
    conditions: NDArray[np.float64]
    start: str
    seeds: NDArray[np.int64]
    light: bool
    simulated: bool
    pixel: float = 1.0
    pixel_unit: str = "px"
    started_utc: str = ""
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if min(self.shape) < 1 or not self.names:
            raise RecordingError(f"a recording of frames of shape {self.shape} with the channels {self.names}")
        if not (np.isfinite(self.interval_s) and self.interval_s > 0.0):
            raise RecordingError(f"interval_s must be a positive number of seconds, not {self.interval_s!r}")
        n_trials = self.shape[0]
        if np.shape(self.conditions) != (n_trials, len(self.condition_names)) or np.shape(self.seeds) != (n_trials,):
            raise RecordingError(
                f"conditions of shape {np.shape(self.conditions)} and seeds of shape {np.shape(self.seeds)} for {n_trials} "
                f"trials and the conditions {self.condition_names}"
            )


@dataclass(frozen=True, slots=True)
class FrameBlock:
    """One frame of one trial. counts: (y, x, channel), None if the camera lost it. time_s: since the trial's trigger."""

    trial: int
    index: int
    counts: NDArray[np.uint16] | None
    time_s: float
    saturated: int
    light: float


@dataclass(frozen=True, slots=True)
class FrameRecording:
    """A finished or interrupted recording of frames; arrays are read-only.

    counts: (trial, time, y, x, channel), as the camera sent them; 0 where there is no frame. status: (trial, time), one of
    NOT_TAKEN, TAKEN, LOST. time_s: (trial, time), since the trial's trigger by the camera's clock, NaN where not measured.
    saturated: (trial, time), counts at full scale. light: (trial, time), the lamp monitor, relative, NaN without one.
    conditions: (trial, condition) as read back, NaN for trials that did not begin.
    """

    header: FrameHeader
    counts: NDArray[np.uint16]
    status: NDArray[np.int8]
    time_s: NDArray[np.float64]
    saturated: NDArray[np.int64]
    light: NDArray[np.float64]
    conditions: NDArray[np.float64]
    complete: bool
    path: Path | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        wanted = (*self.header.shape, len(self.header.names))
        if self.counts.shape != wanted:
            raise RecordingError(f"counts have shape {self.counts.shape}, not {wanted}")
        for name in ("status", "time_s", "saturated", "light"):
            if getattr(self, name).shape != wanted[:2]:
                raise RecordingError(f"{name} has shape {getattr(self, name).shape}, not {wanted[:2]}")
        for name in ("counts", "status", "time_s", "saturated", "light", "conditions"):
            getattr(self, name).setflags(write=False)

    @property
    def interval_s(self) -> float:
        """Time from one frame to the next (s), as set."""
        return self.header.interval_s

    @property
    def names(self) -> tuple[str, ...]:
        """The channels of each image."""
        return self.header.names

    @property
    def simulated(self) -> bool:
        """Whether the bench was a simulated one."""
        return self.header.simulated

    @property
    def n_trials(self) -> int:
        """Trials planned."""
        return self.header.shape[0]

    @property
    def n_frames(self) -> int:
        """Frames of a trial, as planned."""
        return self.header.shape[1]

    @property
    def valid_frames(self) -> NDArray[np.int64]:
        """(trial,): how far each trial went, lost frames counted."""
        return np.asarray((self.status != NOT_TAKEN).sum(axis=1), dtype=np.int64)

    @property
    def lost(self) -> list[tuple[int, int]]:
        """(trial, frame) of every frame that the camera lost."""
        return [(int(trial), int(index)) for trial, index in np.argwhere(self.status == LOST)]

    @property
    def whole_trials(self) -> NDArray[np.int64]:
        """Trials that went to their end without a lost frame."""
        return np.flatnonzero((self.status == TAKEN).all(axis=1)).astype(np.int64)

    def signal(self, part: tuple[slice, ...] = ()) -> NDArray[np.float32]:
        """(trial, time, y, x, channel): counts above the black level as a share of full scale; NaN where there is no frame.

        part: slices of these axes, the first ones; nothing else is read from the file.
        """
        header = self.header
        span = header.full_scale - header.black_level
        values = (self.counts[part].astype(np.float32) - np.float32(header.black_level)) / np.float32(span)
        values[self.status[part[:2]] != TAKEN] = np.nan
        return values

    def frames(
        self,
        *,
        dark: FrameRecording | None = None,
        flat: FrameRecording | None = None,
        drift: Literal["none", "monitor", "mean"] = "none",
        binning: int = 1,
        trials: Literal["all", "whole"] = "all",
        conditions: Literal["varied", "all", "none"] = "varied",
    ) -> Frames:
        """The frames as the twins' plain `Frames`, in shares of full scale above black. Nothing is corrected unless asked for.

        dark: frames without light; their mean at each pixel is taken off instead of the camera's black level. flat: frames of
        something uniform; each pixel is divided by their mean there (scaled to 1 on average, so that levels stay). drift:
        "monitor" divides by the lamp monitor's reading; "mean" brings every frame's mean to that of its trial, which also
        takes away what really changes of the mean. binning: means of so many pixels a side. trials: "all" refuses a
        recording with lost or missing frames, "whole" leaves such trials out. conditions: "varied" hands over those that
        differ between these trials (one that never changes teaches nothing); give "all" to join several recordings.

        Raises RecordingError.
        """
        from labctl.frame_corrections import corrected

        return corrected(self, dark=dark, flat=flat, drift=drift, binning=binning, trials=trials, conditions=conditions)
