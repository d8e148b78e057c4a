"""The drive that is to come, as forecasts take it."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from twins.errors import SeriesInvalid
from twins.goku.series import Series


def checked_drive(
    series: Series, n_samples: int, drive: np.ndarray | None
) -> Float64[np.ndarray, "trace time drive"] | None:
    """(trace, n_samples, drive channel) at the samples to forecast, or None for series without a drive.

    Raises SeriesInvalid for a drive that is missing, not wanted, of a wrong shape, or not finite.
    """
    if n_samples < 1:
        raise SeriesInvalid(f"a forecast needs at least one sample, not {n_samples}")
    if series.drive is None:
        if drive is not None:
            raise SeriesInvalid("these series have no drive, so a forecast takes none either")
        return None
    wanted = (series.n_traces, n_samples, series.drive.shape[-1])
    if drive is None:
        raise SeriesInvalid(
            f"these series are driven: hand over the drive at the {n_samples} samples to forecast, {wanted}"
        )
    drive = np.asarray(drive, dtype=np.float64)
    if drive.shape != wanted or not bool(np.isfinite(drive).all()):
        raise SeriesInvalid(
            f"the drive of the forecast must be finite, (trace, time, drive channel) = {wanted}, not {drive.shape}"
        )
    return drive
