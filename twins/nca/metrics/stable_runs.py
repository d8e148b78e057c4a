"""Whether a run stays a pattern like the data's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from twins.errors import FramesInvalid
from twins.nca.frames import Frames
from twins.nca.scaling import Scaling

LOWEST, HIGHEST = -0.5, 1.5
"""What scaled values of a stable run lie within."""
LEAST_SD, MOST_SD = 0.5, 1.5
"""The range of a stable run's pattern standard deviation, in units of the data's."""
NO_PATTERN = 0.01
"""Scaled standard deviation below which there is no pattern, and as which it counts: where the data has none, a stable run
has none either."""
_FLAT = 0.1
"""Of the strength of all channels: one below it is beside them as good as flat."""


@dataclass(frozen=True, slots=True)
class Stability:
    """finite: whether all values are. lowest, highest: the extremes in scaled units over all frames (of the finite values).
    sd_ratios: one a trial, the pattern's standard deviation over the data's, in the last frame that both have; 1 where
    neither has a pattern. stable_trials: one a trial. stable: all of them.
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
    deviation of LEAST_SD to MOST_SD of the data's in the last frame that both have. This is what "stable" means everywhere.

    The frames of run and data are at the same times. Beyond the data nobody knows how strong a pattern should be: it may
    grow, or decay as heat does; there a run must only stay finite and within the limits. For the standard deviation see
    ``sd_ratio``. run may be an array, which may hold values that are not finite. scaling: that of the training data; of
    `data` where not given. Raises FramesInvalid for other numbers of trials or channels.
    """
    values, wanted = _values(run), _values(data)
    if values.ndim != 5 or wanted.ndim != 5 or (len(values), *values.shape[2:]) != (len(wanted), *wanted.shape[2:]):
        raise FramesInvalid(f"run and data must show the same trials and channels, not {values.shape}, {wanted.shape}")
    if scaling is None:
        scaling = _scaling_of(wanted)
    values, wanted = (_unit(scaling, array) for array in (values, wanted))
    finite = np.isfinite(values).all(axis=(1, 2, 3, 4))
    with np.errstate(invalid="ignore", over="ignore"):
        lowest, highest = (extreme(values, axis=(1, 2, 3, 4)) for extreme in (np.min, np.max))
        last = min(values.shape[1], wanted.shape[1]) - 1
        ratios = sd_ratio(values[:, last].std(axis=(1, 2)), wanted[:, last].std(axis=(1, 2)))
    good = are_stable(finite, lowest, highest, ratios)
    known = values[np.isfinite(values)]
    return Stability(
        finite=bool(finite.all()),
        lowest=float(known.min()) if known.size else float("nan"),
        highest=float(known.max()) if known.size else float("nan"),
        sd_ratios=tuple(ratios.tolist()),
        stable_trials=tuple(good.tolist()),
    )


def sd_ratio(
    ours: Float[np.ndarray, "*place channel"],
    theirs: Float[np.ndarray, "*place channel"],
    *,
    growth: Float[np.ndarray, "*place channel"] | float = 0.0,
) -> Float[np.ndarray, "*place"]:
    """A pattern's standard deviation over that of the data's, of the channel that is farthest off.

    Both are given over cells and in scaled units. All channels together would hide a weak one that has died. A channel with
    less than a tenth of the data's root mean square over channels, or with less than 0.01, is flat: both count as that
    tenth, so that there a run may hold next to nothing either.
    growth: logarithm of what may have become of the data's pattern since: from `theirs` to exp(growth) times that, the ratio
    is 1.
    """
    ours, theirs = np.asarray(ours, dtype=np.float64), np.asarray(theirs, dtype=np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        flat = np.maximum(NO_PATTERN, _FLAT * np.sqrt(np.square(theirs).mean(axis=-1, keepdims=True)))
        least = np.maximum(theirs * np.exp(np.minimum(growth, 0.0)), flat)
        most = np.maximum(theirs * np.exp(np.maximum(growth, 0.0)), flat)
        strong = np.maximum(ours, flat)
        ratios = strong / np.clip(strong, least, most)
        off = np.nan_to_num(np.abs(np.log(ratios)), nan=np.inf)
    farthest = off.argmax(axis=-1)
    return np.asarray(np.take_along_axis(ratios, farthest[..., None], axis=-1)[..., 0])


def like_the_data(sd_ratios: Float[np.ndarray, "*place"]) -> Bool[np.ndarray, "*place"]:
    """Whether a pattern is as strong as the data's, from half to one and a half times."""
    return np.asarray((sd_ratios >= LEAST_SD) & (sd_ratios <= MOST_SD))


def are_stable(
    finite: Bool[np.ndarray, " trial"],
    lowest: Float[np.ndarray, " trial"],
    highest: Float[np.ndarray, " trial"],
    sd_ratios: Float[np.ndarray, " trial"],
) -> Bool[np.ndarray, " trial"]:
    """From the extremes in scaled units over all frames, and the ratio where the data end: see ``stability``."""
    within = (lowest >= LOWEST) & (highest <= HIGHEST)
    return np.asarray(finite & within & like_the_data(sd_ratios))


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
