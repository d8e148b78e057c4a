"""What the evaluation of an automaton says, as plain data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from twins.nca import Frames
    from twins.nca.free_run import FreeRun
    from twins.nca.healing import Regeneration
    from twins.nca.symmetry import Equivariance

_HEALED = 0.9
_MOST_DISTANCES = 64


@dataclass(frozen=True, slots=True)
class Patterns:
    """figures: of patterns. remarks: what could not be measured."""

    figures: dict[str, Any]
    remarks: tuple[str, ...] = ()


def free_run_figures(free: FreeRun, frames: Frames) -> dict[str, Any]:
    """Errors are in standard deviations of the data; by_frame are means over the sequences."""
    compared = free.error.shape[1]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        spread = free.error / np.maximum(free.nrmse, 1e-300)
        no_change = np.nanmean(
            np.where(np.isfinite(spread) & (spread > 0), free.no_change_error / spread, np.nan), axis=0
        )
    return {
        "sequences": frames.n_trials,
        "frames_compared": compared,
        "frames_run": free.finite.shape[1],
        "stable": free.stable,
        "stable_sequences": int(free.stable_trials.sum()),
        "finite": bool(free.finite.all()),
        "lowest": float(free.lowest.min()),
        "highest": float(free.highest.max()),
        "sd_ratio_at_end_of_data": free.sd_ratio[:, compared - 1].tolist(),
        "free_run_error": free.score,
        "free_run_error_by_frame": free.nrmse.mean(axis=0).tolist(),
        "no_change_error_by_frame": no_change.tolist(),
        "transition_ratio_to_no_change": free.transition_ratio,
    }


def pattern_figures(run: NDArray[np.float32], data: Frames, *, window: bool) -> Patterns:
    """Wavelength, mass, spectrum and structure function at the end of the data, of the run beside the data."""
    from twins.nca.metrics import compare, structure_function

    last = data.n_frames - 1
    shown = run[:, min(last, run.shape[1] - 1)]
    if last >= run.shape[1]:
        last = run.shape[1] - 1
    if not np.isfinite(shown).all():
        words = f"patterns were not compared: the run is not finite at frame {last}"
        return Patterns({"patterns": None}, (words,))
    ours, theirs = (replace(data, values=values) for values in (shown[:, None], data.values[:, last : last + 1]))
    found = compare(ours, theirs, window=window)
    largest = min(_MOST_DISTANCES, min(data.size) // 2)
    functions = [
        structure_function(np.moveaxis(one.values[:, 0], -1, 1), periodic=not window, largest=largest)
        for one in (ours, theirs)
    ]
    figures = {
        "frame": last,
        "window": window,
        "channels": list(data.names),
        "wavelength": list(found.wavelengths),
        "wavelength_of_data": list(found.data_wavelengths),
        "wavelength_error": list(found.wavelength_errors),
        "wavelength_spread_of_data": None if found.wavelength_spreads is None else list(found.wavelength_spreads),
        "mass": list(found.masses),
        "mass_of_data": list(found.data_masses),
        "mass_error": list(found.mass_errors),
        "mass_spread_of_data": None if found.mass_spreads is None else list(found.mass_spreads),
        "sd": list(found.sds),
        "sd_of_data": list(found.data_sds),
        "spectrum_distance": found.spectrum_distance,
        "structure_distances": functions[0].distances.tolist(),
        "structure_function": functions[0].values.mean(axis=0).tolist(),
        "structure_function_of_data": functions[1].values.mean(axis=0).tolist(),
    }
    return Patterns({"patterns": figures})


def symmetry_figures(found: Equivariance) -> dict[str, Any]:
    """The largest difference of turned and reflected runs from the straight one, over its largest value."""
    return {
        "largest": found.largest,
        "turns": dict(found.turns),
        "translations": {f"{rows},{columns}": value for (rows, columns), value in found.translations.items()},
        "steps": found.n_steps,
    }


def regeneration_figures(found: Regeneration, steps_per_frame: int) -> dict[str, Any]:
    """Share of the damage that is healed, by frame after it, and how strong the pattern is again."""
    recovered = found.recovered
    changed = ~np.isnan(recovered[..., -1])
    if not changed.any():
        return {"holes": 0, "why": "no hole changed anything: there is no pattern where it was"}
    curves = recovered[changed]
    return {
        "holes": int(changed.sum()),
        "frames": (found.steps / steps_per_frame).tolist(),
        "recovered": np.median(curves, axis=0).tolist(),
        "recovered_at_end": curves[:, -1].tolist(),
        "share_recovered": float((curves[:, -1] >= _HEALED).mean()),
        "sd_ratio_at_end": found.sd_ratio[changed][:, -1].tolist(),
    }
