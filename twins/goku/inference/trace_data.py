"""Observed series as tensors, time first, in the form a likelihood takes them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from twins.errors import SeriesInvalid
from twins.goku.series import Series
from twins.goku.system import System


@dataclass(frozen=True, slots=True)
class TraceData:
    """values: (time, trace, channel), 0 where missing; seen: the same shape, False where missing; step_s: one length for
    all steps, or (time - 1, trace); drive: (time - 1, trace, drive channel), held over its step, or None. float64."""

    values: Float[Tensor, "time trace channel"]
    seen: Bool[Tensor, "time trace channel"]
    step_s: float | Float[Tensor, "step trace"]
    drive: Float[Tensor, "step trace drive"] | None

    @classmethod
    def of(cls, series: Series, system: System) -> TraceData:
        """Raises SeriesInvalid where the series' drives are not the system's."""
        n_drives = len(system.drives) and sum(quantity.size for quantity in system.drives)
        given = 0 if series.drive is None else series.drive.shape[2]
        if given != n_drives:
            wanted = ", ".join(quantity.name for quantity in system.drives) or "no drive"
            raise SeriesInvalid(
                f"{system.name} takes {wanted}; the series has {', '.join(series.drive_names) or 'none'}. Give the "
                "series the drives that the equation names, in their order"
            )
        step = series.uniform_step_s
        return cls(
            torch.from_numpy(np.nan_to_num(series.values).swapaxes(0, 1).copy()),
            torch.from_numpy(series.seen.swapaxes(0, 1).copy()),
            torch.from_numpy(np.diff(series.times_s, axis=1).T.copy()) if step is None else step,
            None if series.drive is None else torch.from_numpy(series.drive[:, :-1].swapaxes(0, 1).copy()),
        )

    @property
    def n_samples(self) -> int:
        """Of every trace."""
        return len(self.values)

    @property
    def n_traces(self) -> int:
        """Traces."""
        return self.values.shape[1]

    def select(self, traces: Int64[Tensor, " chosen"]) -> Self:
        """These traces; one may come several times."""
        step = self.step_s[:, traces] if isinstance(self.step_s, Tensor) else self.step_s
        drive = None if self.drive is None else self.drive[:, traces]
        return replace(self, values=self.values[:, traces], seen=self.seen[:, traces], step_s=step, drive=drive)

    def first(self, n_samples: int) -> Self:
        """The first samples only."""
        step = self.step_s[: n_samples - 1] if isinstance(self.step_s, Tensor) else self.step_s
        drive = None if self.drive is None else self.drive[: n_samples - 1]
        return replace(self, values=self.values[:n_samples], seen=self.seen[:n_samples], step_s=step, drive=drive)
