"""Whether an ensemble knows how wrong it is: its intervals and its spread, against frames that it has not seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from twins.errors import FramesInvalid
from twins.nca.ensemble import NcaEnsemble, NcaSpread
from twins.nca.frames import Frames


@dataclass(frozen=True, slots=True, eq=False)
class NcaCalibration:
    """By lead time: index 0 is one frame ahead. All cells, channels and trials count alike.

    levels: (level,), nominal probabilities of the intervals. coverage: (level, lead), the share of the values that lie in
    mean ± t·sd·sqrt(1 + 1/n), Student's interval for one more run; equal to the levels in an ensemble that knows itself.
    error: (lead,), root mean square of mean - data; spread: (lead,), root mean square of sd·sqrt(1 + 1/n), both in units of
    the images (of all channels together). error_by_channel, spread_by_channel: (lead, channel).
    spread_tells_error: (lead,), rank correlation over cells between sd and |mean - data|: whether the ensemble knows where
    it is wrong. NaN where either is constant.
    outside: (lead,), share of the values beyond all runs; outside_expected: 2 / (n + 1) if the data were one more run.
    """

    levels: Float[np.ndarray, " level"]
    coverage: Float[np.ndarray, "level lead"]
    error: Float[np.ndarray, " lead"]
    spread: Float[np.ndarray, " lead"]
    error_by_channel: Float[np.ndarray, "lead channel"]
    spread_by_channel: Float[np.ndarray, "lead channel"]
    spread_tells_error: Float[np.ndarray, " lead"]
    outside: Float[np.ndarray, " lead"]
    outside_expected: float

    @property
    def factor(self) -> Float[np.ndarray, " lead"]:
        """Error over spread: by how much the spread must be widened to be as large as the error. Infinite without spread."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(self.error > 0, self.error / self.spread, 1.0)


def calibration(
    ensemble: NcaEnsemble,
    frames: Frames,
    *,
    generator: torch.Generator | None = None,
    n_draws: int = 1,
    levels: Sequence[float] = (0.5, 0.8, 0.9, 0.95),
) -> NcaCalibration:
    """Run from the first of the held-out frames to the last and compare.

    generator, n_draws: as of ``NcaEnsemble.run``. Raises FramesInvalid, also where there are fewer than 2 runs.
    """
    if frames.n_frames < 2:
        raise FramesInvalid("calibration needs sequences of at least 2 frames")
    spread = ensemble.run(frames, frames.n_frames - 1, generator=generator, n_draws=n_draws)
    return calibration_of(spread, frames, levels=levels)


def calibration_of(
    spread: NcaSpread, frames: Frames, *, levels: Sequence[float] = (0.5, 0.8, 0.9, 0.95)
) -> NcaCalibration:
    """As `calibration`, for a run that was made already. Frames: those that the run is compared with, first one included."""
    from scipy.stats import t as student

    n_runs, nominal = len(spread.runs), np.asarray(levels, dtype=np.float64)
    if n_runs < 2:
        raise FramesInvalid("one run has no spread: calibration needs several members, or several draws of firing")
    if not ((nominal > 0) & (nominal < 1)).all():
        raise FramesInvalid(f"levels are probabilities between 0 and 1, not {tuple(levels)}")
    if spread.mean.values.shape != frames.values.shape:
        raise FramesInvalid(f"the run is {spread.mean.values.shape}, the frames are {frames.values.shape}")
    deviation = np.abs(frames.values.astype(np.float64) - spread.mean.values)[:, 1:]
    sd = spread.sd[:, 1:] * np.sqrt(1.0 + 1.0 / n_runs)
    quantiles = student.ppf(0.5 + nominal / 2, n_runs - 1)
    axes = (0, 2, 3, 4)
    runs = np.stack([run.values for run in spread.runs])[:, :, 1:]
    beyond = (frames.values[:, 1:] < runs.min(axis=0)) | (frames.values[:, 1:] > runs.max(axis=0))
    return NcaCalibration(
        nominal,
        np.stack([(deviation <= quantile * sd).mean(axis=axes) for quantile in quantiles]),
        _rms(deviation, axes), _rms(sd, axes), _rms(deviation, axes[:-1]), _rms(sd, axes[:-1]),
        np.array([_rank_correlation(sd[:, lead], deviation[:, lead]) for lead in range(sd.shape[1])]),
        beyond.mean(axis=axes), 2.0 / (n_runs + 1),
    )  # fmt: skip


def _rms(values: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    return np.asarray(np.sqrt(np.square(values).mean(axis=axes)))


def _rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    from scipy.stats import rankdata

    ranks = [rankdata(values.ravel()) for values in (first, second)]
    if any(np.ptp(rank) == 0 for rank in ranks):
        return float("nan")
    return float(np.corrcoef(*ranks)[0, 1])
