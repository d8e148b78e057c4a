"""What candidates may see of held-out data, and what is judged."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64, Int64

from twins.errors import SeriesInvalid
from twins.goku.posterior import Guess
from twins.goku.series import Series


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """whole: all samples; visible: the same traces with the judged samples missing. judged: the traces with judged samples;
    n_judged: how many each of them has (of all channels together)."""

    whole: Series
    visible: Series
    judged: Int64[np.ndarray, " judged"]
    n_judged: Float64[np.ndarray, " judged"]

    def guess(self, guess: Guess, training: Series) -> Guess:
        """Of all traces: other traces than those of training begin as the first training trace of their group."""
        if len(guess.parameters) == self.whole.n_traces:
            return guess
        source = [int(np.flatnonzero(training.groups == group)[0]) for group in self.whole.groups]
        source[: training.n_traces] = list(range(training.n_traces))
        return Guess(guess.parameters[source], guess.initial[source], guess.noise_sd[source])


def split_in_time(series: Series, fraction: float = 0.7) -> tuple[Series, Series]:
    """(training, held out): the first part of every trace, and its continuation."""
    cut = round(fraction * series.n_samples)
    if not 2 <= cut <= series.n_samples - 2:
        raise SeriesInvalid(f"a fraction of {fraction} leaves no two samples on each side of {series.n_samples}")
    return series.span(0, cut), series.span(cut, series.n_samples)


def shown_of(training: Series, held_out: Series, warm_up: int) -> Shown:
    """Continuations are put behind their traces; other traces beside them, their first samples visible.

    Raises SeriesInvalid where channels or drives differ, or a held-out trace shares its parameters with none.
    """
    same = ("names", "units", "drive_names", "drive_units")
    different = [name for name in same if getattr(training, name) != getattr(held_out, name)]
    if different:
        raise SeriesInvalid(
            f"training and held-out series differ in {different[0]}: {getattr(training, different[0])} and "
            f"{getattr(held_out, different[0])}"
        )
    if _continues(training, held_out):
        whole = _behind(training, held_out)
        hidden = np.zeros(whole.values.shape, dtype=bool)
        hidden[:, training.n_samples :] = True
    else:
        whole, hidden = _beside(training, held_out, warm_up)
    return _shown(whole, hidden)


def _shown(whole: Series, hidden: np.ndarray) -> Shown:
    counts = (hidden & whole.seen).sum(axis=(1, 2))
    judged = np.flatnonzero(counts)
    if not len(judged):
        raise SeriesInvalid("no held-out sample is there to be judged; hold more out")
    visible = replace(whole, values=np.where(hidden, np.nan, whole.values))
    return Shown(whole, visible, judged, counts[judged].astype(np.float64))


def _continues(training: Series, held_out: Series) -> bool:
    if training.n_traces != held_out.n_traces or not np.array_equal(training.groups, held_out.groups):
        return False
    return bool((held_out.times_s[:, 0] > training.times_s[:, -1]).all())


def _behind(training: Series, held_out: Series) -> Series:
    drive = None
    if training.drive is not None and held_out.drive is not None:
        drive = np.concatenate((training.drive, held_out.drive), axis=1)
    return replace(
        training,
        values=np.concatenate((training.values, held_out.values), axis=1),
        times_s=np.concatenate((training.times_s, held_out.times_s), axis=1),
        drive=drive,
    )


def _beside(training: Series, held_out: Series, warm_up: int) -> tuple[Series, np.ndarray]:
    alone = sorted(set(held_out.groups.tolist()) - set(training.groups.tolist()))
    if alone:
        raise SeriesInvalid(
            f"the held-out traces of group {alone[0]} share their parameters with no training trace; give traces "
            "series.group that says which belong together, or hold out the later part of each (split_in_time)"
        )
    if held_out.n_samples <= warm_up:
        raise SeriesInvalid(f"held-out traces of {held_out.n_samples} samples are used up by a warm-up of {warm_up}")
    n_samples = max(training.n_samples, held_out.n_samples)
    parts = [_padded(part, n_samples) for part in (training, held_out)]
    drive = None
    if parts[0].drive is not None and parts[1].drive is not None:
        drive = np.concatenate((parts[0].drive, parts[1].drive))
    whole = replace(
        training,
        values=np.concatenate([part.values for part in parts]),
        times_s=np.concatenate([part.times_s for part in parts]),
        drive=drive,
        group=np.concatenate([part.groups for part in parts]),
    )
    hidden = np.zeros(whole.values.shape, dtype=bool)
    hidden[training.n_traces :, warm_up:] = True
    return whole, hidden


def _padded(series: Series, n_samples: int) -> Series:
    """With missing samples behind; the drive stays at its last value."""
    more = n_samples - series.n_samples
    if not more:
        return series
    last = np.diff(series.times_s[:, -2:], axis=1)
    times = np.concatenate((series.times_s, series.times_s[:, -1:] + last * np.arange(1, more + 1)), axis=1)
    values = np.pad(series.values, ((0, 0), (0, more), (0, 0)), constant_values=np.nan)
    drive = None if series.drive is None else np.pad(series.drive, ((0, 0), (0, more), (0, 0)), mode="edge")
    return replace(series, values=values, times_s=times, drive=drive)
