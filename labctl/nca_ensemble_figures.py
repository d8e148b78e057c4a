"""What an ensemble of automata says of sequences, as plain data: errors, spread, calibration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from twins.nca import Frames
    from twins.nca.ensemble import NcaSpread

LEVELS = (0.5, 0.8, 0.9, 0.95)
_CELLS = 3


def ensemble_figures(names: Sequence[str], spread: NcaSpread, frames: Frames) -> dict[str, Any]:
    """Errors are in standard deviations of the data; by_frame begin one frame ahead. coverage: by level, then by frame.

    bands: of a few cells of the first sequence and channel, the data, the mean, and the 90 % interval.
    """
    from twins.nca.ensemble_calibration import calibration_of

    found = calibration_of(spread, frames, levels=LEVELS)
    scale = _spread_of(frames)
    members = np.unique(spread.members)
    alone = [
        float(
            np.mean(
                [_error(run, frames) for run, own in zip(spread.runs, spread.members, strict=True) if own == member]
            )
        )
        for member in members
    ]
    coverage = found.coverage
    return {
        "members": list(names),
        "runs": len(spread.runs),
        "sequences": frames.n_trials,
        "frames_compared": frames.n_frames - 1,
        "error": _error(spread.mean, frames) / scale,
        "error_of_members": [one / scale for one in alone],
        "no_change_error": _no_change(frames) / scale,
        "error_by_frame": (found.error / scale).tolist(),
        "spread_by_frame": (found.spread / scale).tolist(),
        "error_over_spread": found.factor.tolist(),
        "spread_tells_error": found.spread_tells_error.tolist(),
        "levels": list(LEVELS),
        "coverage": coverage.tolist(),
        "coverage_90": float(coverage[LEVELS.index(0.9)].mean()),
        "outside_all_runs": found.outside.tolist(),
        "outside_expected": found.outside_expected,
        "bands": _bands(spread, frames),
    }


def _spread_of(frames: Frames) -> float:
    values = frames.values.astype(np.float64)
    return float(np.sqrt(np.square(values - values.mean(axis=(1, 2, 3), keepdims=True)).mean())) or 1.0


def _no_change(frames: Frames) -> float:
    values = frames.values.astype(np.float64)
    return float(np.sqrt(np.square(values[:, :1] - values[:, 1:]).mean()))


def _error(run: Frames, frames: Frames) -> float:
    return float(np.sqrt(np.square(run.values[:, 1:].astype(np.float64) - frames.values[:, 1:]).mean()))


def _bands(spread: NcaSpread, frames: Frames) -> list[dict[str, Any]]:
    """Cells of little, middling and much spread at the end."""
    from scipy.stats import t as student

    n_runs = len(spread.runs)
    wide = float(student.ppf(0.95, n_runs - 1)) * np.sqrt(1.0 + 1.0 / n_runs)
    last = spread.sd[0, -1, :, :, 0]
    order = np.argsort(last, axis=None)
    places = [order[round(share * (order.size - 1))] for share in np.linspace(0.05, 0.95, _CELLS)]
    cells = [tuple(int(one) for one in np.unravel_index(place, last.shape)) for place in places]
    return [
        {
            "row": row, "column": column, "data": frames.values[0, :, row, column, 0].tolist(),
            "mean": spread.mean.values[0, :, row, column, 0].tolist(),
            "half_width_90": (wide * spread.sd[0, :, row, column, 0]).tolist(),
        }
        for row, column in cells
    ]  # fmt: skip
