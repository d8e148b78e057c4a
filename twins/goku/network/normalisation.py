"""Scales of the channels, the drives and the time step, taken from the training data and kept with the network."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from twins.goku.series import Series


class Normalisation(nn.Module):
    """value = offset + scale · normalised, for every channel and drive; and the usual time step (s).

    how: of the channels: "none", "standardise" (mean 0, deviation 1) or "min_max" (0..1).
    """

    def __init__(self, n_channels: int, n_drives: int, how: str) -> None:
        super().__init__()
        for name, n in (("", n_channels), ("drive_", n_drives)):
            self.register_buffer(f"{name}offset", torch.zeros(n))
            self.register_buffer(f"{name}scale", torch.ones(n))
        self.register_buffer("step_s", torch.ones((), dtype=torch.float64))
        self.register_buffer("adopted", torch.zeros((), dtype=torch.bool))
        self.how = how

    def adopt(self, series: Series) -> None:
        """Take the scales from data. Drives are standardised."""
        if self.how == "standardise":
            self._set("", np.nanmean(series.values, axis=(0, 1)), np.nanstd(series.values, axis=(0, 1)))
        elif self.how == "min_max":
            low = np.nanmin(series.values, axis=(0, 1))
            self._set("", low, np.nanmax(series.values, axis=(0, 1)) - low)
        if series.drive is not None:
            self._set("drive_", series.drive.mean(axis=(0, 1)), series.drive.std(axis=(0, 1)))
        self.get_buffer("step_s").fill_(float(np.median(np.diff(series.times_s, axis=1))))
        self.get_buffer("adopted").fill_(True)

    def spread(self, series: Series) -> Float[Tensor, " channel"]:
        """Deviation of each channel, normalised; 1 where it is constant."""
        spread = torch.from_numpy(np.nanstd(series.values, axis=(0, 1))).to(self.get_buffer("scale"))
        spread = spread / self.get_buffer("scale")
        return torch.where(spread > 0, spread, 1.0)

    def normalised(self, values: Float[Tensor, "... channel"]) -> Float[Tensor, "... channel"]:
        """Of values in the channels' units."""
        if self.how == "none":
            return values
        slope = 1.0 / self.get_buffer("scale")
        return torch.addcmul(-slope * self.get_buffer("offset"), values, slope)  # one pass over what may be large

    def physical(self, normalised: Float[Tensor, "... channel"]) -> Float[Tensor, "... channel"]:
        """The inverse."""
        if self.how == "none":
            return normalised
        return torch.addcmul(self.get_buffer("offset"), normalised, self.get_buffer("scale"))

    def normalised_drive(self, drive: Float[Tensor, "... drive"] | None) -> Float[Tensor, "... drive"] | None:
        """Of a drive in its units."""
        if drive is None:
            return None
        return (drive - self.get_buffer("drive_offset")) / self.get_buffer("drive_scale")

    def log_steps(self, times_s: Float[Tensor, "trace time"]) -> Float[Tensor, "trace time"]:
        """Logarithm of every sample's time to the next, in usual steps; the last sample has the one before it."""
        steps = torch.log(times_s.diff(dim=1) / self.get_buffer("step_s"))
        return torch.cat((steps, steps[:, -1:]), dim=1)

    def _set(self, side: str, offset: np.ndarray, scale: np.ndarray) -> None:
        """A channel that never changes, or was never seen, is left as it is."""
        good = np.isfinite(offset) & np.isfinite(scale) & (scale > 0)
        self.get_buffer(f"{side}offset").copy_(torch.from_numpy(np.where(good, offset, 0.0)))
        self.get_buffer(f"{side}scale").copy_(torch.from_numpy(np.where(good, scale, 1.0)))
