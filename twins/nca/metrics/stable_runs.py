"""Whether a run stays a pattern like the data's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from twins.errors import FramesInvalid
from twins.nca.frames import Frames
from twins.nca.scaling import Scaling

LOWEST, HIGHEST = -0.5, 1.5
"""What scaled values of a stable run lie within."""
LEAST_SD, MOST_SD = 0.5, 1.5
"""The range of a stable run's pattern standard deviation, in units of the data's."""
_NO_PATTERN = 0.01
"""Scaled standard deviation below which there is no pattern: where the data has none, a stable run has none either."""


@dataclass(frozen=True, slots=True)
class Stability:
    """finite: whether all values are. lowest, highest: the extremes in scaled units over all frames (of the finite values).
    sd_ratios: one a trial, the pattern's standard deviation in the last frame over the data's; 1 where neither has a
    pattern. stable_trials: one a trial. stable: all of them.
    """

    finite: bool
    lowest: float
    highest: float
    sd_ratios: tuple[float, ...]
    stable_trials: tuple[bool, ...]

    @property
    def stable(self) -> bool:
        """Whether every trial is stable."""
        return all(self.stable_trials)


def stability(
    run: Frames | Float[np.ndarray, "trial time y x channel"],
    data: Frames | Float[np.ndarray, "trial time y x channel"],
    *,
    scaling: Scaling | None = None,
) -> Stability:
    """Judge every trial of a run: finite, within LOWEST..HIGHEST in scaled units in all frames, and with a pattern standard
    deviation in the last frame of LEAST_SD to MOST_SD of the data's.

    The data's is that of its frame at the same place, or of its last one where the run is longer; the standard deviation is
    over cells about each channel's mean, root mean square over channels. run may be an array, which may hold values that
    are not finite. scaling: that of the training data; of `data` where not given. A field that died out or went uniform in
    the data (below 0.01) must be so in the run. Raises FramesInvalid for other numbers of trials or channels.
    """
    values, wanted = _values(run), _values(data)
    if values.ndim != 5 or wanted.ndim != 5 or (len(values), *values.shape[2:]) != (len(wanted), *wanted.shape[2:]):
        raise FramesInvalid(f"run and data must show the same trials and channels, not {values.shape}, {wanted.shape}")
    if scaling is None:
        scaling = _scaling_of(wanted)
    values, wanted = (_unit(scaling, array) for array in (values, wanted))
    finite = np.isfinite(values).all(axis=(1, 2, 3, 4))
    with np.errstate(invalid="ignore", over="ignore"):
        inside = ((values >= LOWEST) & (values <= HIGHEST)).all(axis=(1, 2, 3, 4))
        ours = _pattern_sd(values[:, -1])
    theirs = _pattern_sd(wanted[:, min(values.shape[1], wanted.shape[1]) - 1])
    none = theirs < _NO_PATTERN
    ratios = np.where(none, np.where(ours < _NO_PATTERN, 1.0, np.inf), ours / np.maximum(theirs, _NO_PATTERN))
    good = finite & inside & (ratios >= LEAST_SD) & (ratios <= MOST_SD)
    known = values[np.isfinite(values)]
    return Stability(
        finite=bool(finite.all()),
        lowest=float(known.min()) if known.size else float("nan"),
        highest=float(known.max()) if known.size else float("nan"),
        sd_ratios=tuple(ratios.tolist()),
        stable_trials=tuple(good.tolist()),
    )


def stable(
    run: Frames | Float[np.ndarray, "trial time y x channel"],
    data: Frames | Float[np.ndarray, "trial time y x channel"],
    *,
    scaling: Scaling | None = None,
) -> bool:
    """Whether every trial of ``stability`` is."""
    return stability(run, data, scaling=scaling).stable


def _values(frames: Frames | np.ndarray) -> np.ndarray:
    return np.asarray(frames.values if isinstance(frames, Frames) else frames, dtype=np.float64)


def _scaling_of(values: np.ndarray) -> Scaling:
    low, high = float(values.min()), float(values.max())
    n_channels = values.shape[-1]
    return Scaling((low,) * n_channels, (high if high > low else low + 1.0,) * n_channels)


def _unit(scaling: Scaling, values: np.ndarray) -> np.ndarray:
    low, high = np.array(scaling.lows), np.array(scaling.highs)
    return np.asarray((values - low) / (high - low))


def _pattern_sd(images: np.ndarray) -> np.ndarray:
    """(trial, y, x, channel) -> (trial,)."""
    with np.errstate(invalid="ignore", over="ignore"):
        return np.asarray(np.sqrt(images.var(axis=(1, 2)).mean(axis=-1)))
