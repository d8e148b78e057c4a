"""What the evaluation of an automaton says, as plain data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from labctl.nca_words import worse_from

if TYPE_CHECKING:
    from twins.nca import Frames, NcaModel
    from twins.nca.free_run import FreeRun
    from twins.nca.healing import Regeneration
    from twins.nca.symmetry import Equivariance

_HEALED = 0.9
_MOST_DISTANCES = 64
_LONGER, _MOST_LONG, _MOST_CELL_STEPS = 10, 2, 1_000_000_000
"""Of the check that goes far beyond the data: times its length, sequences, and what it may cost."""
CAVEAT = (
    "wavelengths are spectral centroids, in cells (times pixel, in pixel_unit): they are not well defined on small or young "
    "patterns (below 128 x 128 cells and thousands of steps); hold errors against the spread that the data "
    "themselves show over their initial conditions"
)


@dataclass(frozen=True, slots=True)
class Patterns:
    """figures: of patterns. remarks: what could not be measured."""

    figures: dict[str, Any]
    remarks: tuple[str, ...] = ()


def free_run_figures(free: FreeRun, frames: Frames) -> dict[str, Any]:
    """Errors are in standard deviations of the data; by_frame are means over the sequences.

    worse_than_no_change_from: the first frame from which on, to the end of the data, predicting no change would be better.
    """
    compared = free.error.shape[1]
    ours, stays = free.nrmse.mean(axis=0).tolist(), free.no_change_nrmse.mean(axis=0).tolist()
    return {
        "sequences": frames.n_trials,
        "frames_compared": compared,
        "frames_run": free.finite.shape[1],
        "stable": free.stable,
        "stable_sequences": int(free.stable_trials.sum()),
        "kept": free.kept,
        "finite": bool(free.finite.all()),
        "lowest": float(free.lowest.min()),
        "highest": float(free.highest.max()),
        "sd_ratio_at_end_of_data": free.sd_ratio[:, compared - 1].tolist(),
        "free_run_error": free.score,
        "free_run_error_by_frame": ours,
        "no_change_error": float(np.mean(stays)),
        "no_change_error_by_frame": stays,
        "worse_than_no_change_from": worse_from(ours, stays),
        "transition_ratio_to_no_change": free.transition_ratio,
    }


def longer_figures(model: NcaModel, frames: Frames, free: FreeRun, *, generator: Any) -> dict[str, Any]:
    """How long it stays finite and within bounds, to ten times the length of the data, of the first sequences.

    left_after: the frame at which the first of them is no longer so; None where all stay. frames: how far it was looked.
    """
    import torch

    from twins.nca.metrics.stable_runs import HIGHEST, LOWEST

    inside = ((free.lowest >= LOWEST) & (free.highest <= HIGHEST) & free.finite).all(axis=0)
    if not inside.all():
        return {"frames": len(inside), "sequences": frames.n_trials, "left_after": int(np.argmin(inside)) + 1}
    few = frames.select(list(range(min(_MOST_LONG, frames.n_trials))))
    cells = few.n_trials * few.size[0] * few.size[1] * model.steps_per_frame
    n_frames = max(len(inside), min(_LONGER * (frames.n_frames - 1), _MOST_CELL_STEPS // cells))
    n_observed, left = model.automaton.spec.n_observed, None
    for number, state in enumerate(model.states(few, n_frames, generator=generator), start=1):
        seen = state[:, :n_observed]
        if not (bool(torch.isfinite(state).all()) and float(seen.min()) >= LOWEST and float(seen.max()) <= HIGHEST):
            left = number
            break
    return {"frames": n_frames, "sequences": few.n_trials, "left_after": left}


def pattern_figures(run: NDArray[np.float32], data: Frames, *, window: bool) -> Patterns:
    """Wavelength, mass, spectrum and structure function at the end of the data, of the run beside the data."""
    from twins.nca.metrics import compare, radial_spectrum, structure_function

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
    spectra = [radial_spectrum(np.moveaxis(one.values[:, 0], -1, 1), window=window) for one in (ours, theirs)]
    figures = {
        "frame": last,
        "window": window,
        "caveat": CAVEAT,
        "channels": list(data.names),
        "wavelength": list(found.wavelengths),
        "wavelength_of_data": list(found.data_wavelengths),
        "wavelength_error": list(found.wavelength_errors),
        "pixel": data.pixel,
        "pixel_unit": data.pixel_unit,
        "wavelength_spread_of_data": None if found.wavelength_spreads is None else list(found.wavelength_spreads),
        "mass": list(found.masses),
        "mass_of_data": list(found.data_masses),
        "mass_error": list(found.mass_errors),
        "mass_spread_of_data": None if found.mass_spreads is None else list(found.mass_spreads),
        "sd": list(found.sds),
        "sd_of_data": list(found.data_sds),
        "spectrum_distance": found.spectrum_distance,
        "spectrum_frequencies": spectra[0].frequencies.tolist(),
        "spectrum": spectra[0].power.mean(axis=0).tolist(),
        "spectrum_of_data": spectra[1].power.mean(axis=0).tolist(),
        "structure_distances": functions[0].distances.tolist(),
        "structure_function": functions[0].values.mean(axis=0).tolist(),
        "structure_function_of_data": functions[1].values.mean(axis=0).tolist(),
    }
    return Patterns({"patterns": figures}, _small(figures, data))


def _small(figures: dict[str, Any], data: Frames) -> tuple[str, ...]:
    """Fields that hold hardly one of the pattern's waves."""
    side = min(data.size)
    large = [name for name, cells in zip(data.names, figures["wavelength_of_data"], strict=True) if 2.0 * cells > side]
    if not large:
        return ()
    return (
        f"the field is small beside the pattern of {', '.join(large)}: {side} cells hold fewer than two of its waves, so "
        "figures of patterns, and what the automaton does on larger fields, are uncertain",
    )


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
