"""Series as networks want them: centred, scaled, without gaps, in float32."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float32, Float64
from torch import Tensor

from twins.errors import SeriesInvalid
from twins.goku.series import Series


@dataclass(frozen=True, slots=True, eq=False)
class Frames:
    """values: scaled, gaps filled by lines between what was seen. drive: scaled, of width 0 where there is none.

    steps: (trace, time - 1), in typical steps. Slices of traces and of time are taken by ``window``.
    """

    values: Float32[Tensor, "trace time channel"]
    seen: Bool[Tensor, "trace time channel"]
    drive: Float32[Tensor, "trace time drive"]
    steps: Float32[Tensor, "trace step"]

    @property
    def shape(self) -> tuple[int, int]:
        """(traces, samples)."""
        return self.values.shape[0], self.values.shape[1]

    def window(self, traces: Tensor, starts: Tensor, n_samples: int) -> Frames:
        """From each of these traces n_samples samples, beginning at its start."""
        rows, columns = traces[:, None], starts[:, None] + torch.arange(n_samples)
        return Frames(
            self.values[rows, columns],
            self.seen[rows, columns],
            self.drive[rows, columns],
            self.steps[rows, columns[:, :-1]],
        )


@dataclass(frozen=True, slots=True, eq=False)
class Scaling:
    """Centre of every channel; one scale for all where they share a unit, so that small channels stay small."""

    centre: Float64[np.ndarray, " channel"]
    scale: Float64[np.ndarray, " channel"]
    drive_centre: Float64[np.ndarray, " drive"]
    drive_scale: Float64[np.ndarray, " drive"]
    step_s: float

    @classmethod
    def of(cls, series: Series) -> Scaling:
        """From training data. Raises SeriesInvalid for a channel that was never seen."""
        centre = np.nanmean(series.values, axis=(0, 1)) if series.seen.any(axis=(0, 1)).all() else None
        if centre is None:
            never = int(np.flatnonzero(~series.seen.any(axis=(0, 1)))[0])
            raise SeriesInvalid(f"channel {series.names[never]!r} was never seen; leave it away")
        scale = np.sqrt(np.nanmean(np.square(series.values - centre), axis=(0, 1)))
        if len(set(series.units)) == 1:
            scale = np.full_like(scale, np.sqrt(np.mean(np.square(scale))))
        drive = np.zeros((1, 1, 0)) if series.drive is None else series.drive
        return cls(
            centre, _positive(scale), drive.mean(axis=(0, 1)), _positive(drive.std(axis=(0, 1))),
            float(np.median(np.diff(series.times_s, axis=1))),
        )  # fmt: skip

    def frames(self, series: Series) -> Frames:
        """Raises SeriesInvalid for other channels than those of the training data."""
        n_drives = 0 if series.drive is None else series.drive.shape[-1]
        if (series.n_channels, n_drives) != (len(self.centre), len(self.drive_centre)):
            raise SeriesInvalid(
                f"fitted on {len(self.centre)} channels and {len(self.drive_centre)} drives, "
                f"asked with {series.n_channels} and {n_drives}"
            )
        values = (filled(series) - self.centre) / self.scale
        drive = np.zeros((*series.values.shape[:2], 0)) if series.drive is None else series.drive
        return Frames(
            torch.tensor(values, dtype=torch.float32),
            torch.tensor(series.seen),
            self.drive(drive),
            torch.tensor(np.diff(series.times_s, axis=1) / self.step_s, dtype=torch.float32),
        )

    def drive(self, drive: Float64[np.ndarray, "trace time drive"]) -> Float32[Tensor, "trace time drive"]:
        """Scaled."""
        return torch.tensor((drive - self.drive_centre) / self.drive_scale, dtype=torch.float32)

    def values(self, scaled: Float32[Tensor, "... channel"]) -> Float64[np.ndarray, "... channel"]:
        """Back to the channels' units."""
        values: np.ndarray = scaled.double().numpy() * self.scale + self.centre
        return values


def filled(series: Series) -> Float64[np.ndarray, "trace time channel"]:
    """Values with gaps bridged by straight lines in time, channel by channel; beyond the ends, the nearest value seen.

    A channel that was never seen in a trace is filled with its mean over the other traces (0 if there is none).
    """
    if bool(series.seen.all()):
        return series.values
    values = series.values.copy()
    for trace, channel in np.argwhere(np.isnan(values).any(axis=1)):
        column, times = values[trace, :, channel], series.times_s[trace]
        seen = ~np.isnan(column)
        if seen.any():
            column[~seen] = np.interp(times[~seen], times[seen], column[seen])
        else:
            others = series.values[:, :, channel]
            column[:] = np.nanmean(others) if bool((~np.isnan(others)).any()) else 0.0
    return values


def _positive(scale: np.ndarray) -> np.ndarray:
    return np.where(scale > 0.0, scale, 1.0)  # a constant stays where it is
