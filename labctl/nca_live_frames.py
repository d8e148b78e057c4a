"""What an automaton that runs shows of itself: pictures, figures of them, and what it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.errors import CampaignError
from labctl.nca_data import NcaData

Pictures = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveSource:
    """An automaton, and where it begins.

    model: its file; of an ensemble the first member. data: sequences to begin at and to be compared with, or an equation: it
    then runs beside the automaton from the same start, and whatever is done to the automaton is done to it (but not where it
    has noise). trial: which of the sequences. begin: at which of its frames. seed: of what is drawn: cells that fire, places
    of damage.

    Raises CampaignError.
    """

    model: Path
    data: NcaData
    trial: int = 0
    begin: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.trial < 0 or self.begin < 0:
            raise CampaignError(f"sequences and frames are counted from 0, not {self.trial} and {self.begin}")


@dataclass(frozen=True, slots=True)
class LiveFacts:
    """What the automaton is. lows, highs: the range of each observed channel that it was trained on. n_frames, size: of the
    data, (rows, columns). dt_s: of a frame, in time_unit. background, seed: values of the observed channels in nothing, and in
    what is painted. beside: whether an equation runs beside it. simulated: whether its data were. told: what wants saying."""

    name: str
    names: tuple[str, ...]
    units: tuple[str, ...]
    n_hidden: int
    steps_per_frame: int
    n_frames: int
    n_trials: int
    size: tuple[int, int]
    dt_s: float
    time_unit: str
    pixel: float
    pixel_unit: str
    lows: tuple[float, ...]
    highs: tuple[float, ...]
    background: tuple[float, ...]
    seed: tuple[float, ...]
    beside: bool
    simulated: bool
    told: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LiveMetrics:
    """Figures of one picture. frame: where in the data's time. mass, sd: mean and standard deviation of each observed
    channel, in its unit. wavelength: of each, one over the spectral centroid, in pixel_unit; NaN where a channel is uniform,
    and in some pictures of large fields, where it was not measured. error: the root of the mean square distance to the
    target over all cells and channels, in standard deviations of the data; NaN where there is no target."""

    frame: float
    mass: tuple[float, ...]
    sd: tuple[float, ...]
    wavelength: tuple[float, ...]
    error: float

    def as_dict(self) -> dict[str, Any]:
        """Plain data; what is not a number is None."""
        known = {name: [_plain(one) for one in getattr(self, name)] for name in ("mass", "sd", "wavelength")}
        return {"frame": self.frame, **known, "error": _plain(self.error)}


@dataclass(frozen=True, slots=True, eq=False)
class LiveFrame:
    """One picture of a run.

    automaton, target: (y, x, observed channel) in the images' units; target None where there is none (images of another size,
    or beyond their end). Between two frames of images it is interpolated. hidden: (hidden channel, y, x), coarse. large:
    (y, x) of the hidden channel number `enlarged` in full, where one was asked for. total_steps: since the run began, over
    all resets. steps_per_s: as reached over the last second. doing: "playing", "paused", or "ran away".
    passed: figures of whole frames since the last picture, without wavelengths (the newest; of a quick run some): only there
    is the automaton trained to be like the data, what it does in between they do not say.
    """

    number: int
    total_steps: int
    frame: float
    doing: str
    steps_per_s: float
    automaton: Pictures
    target: Pictures | None
    hidden: Pictures
    enlarged: int | None
    large: Pictures | None
    metrics: LiveMetrics
    n_actions: int
    passed: tuple[LiveMetrics, ...] = ()


def _plain(value: float) -> float | None:
    return value if np.isfinite(value) else None
