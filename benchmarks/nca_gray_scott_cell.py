"""One cell of nca_gray_scott.py: data of an equation, an automaton trained on it, and how it does where it has not been.

SIMULATED data: Gray-Scott with the automaton's own stencil, Euler steps of 1, periodic.

How the recipe was found: maze, trained on 32 × 32, one seed, 100 epochs of 192 transitions each, so that all cost the same;
transition error over that of no change on 64 × 64 (all were stable to n = 2048):

    minibatches of 8, 2e-3 falling by a cosine    0.242      minibatches of 4    0.189
    4e-3 instead                                  0.292
    a third of it on parts of frames first        0.382

and with 60 epochs: minibatches of 4 0.261, of 2 0.193.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from labctl.campaign import Campaign
from labctl.events import Progress
from twins.errors import AutomatonDiverged, FramesInvalid
from twins.nca import Automaton, FittedNca, Frames, NcaFitSettings, NcaModel, NcaSpec, fit_nca
from twins.nca.free_run import FreeRun, free_run
from twins.nca.metrics import compare
from twins.nca.pde import MAZE, MITOSIS, random_blocks, simulate

PATTERNS = {"maze": MAZE, "mitosis": MITOSIS}
STEPS_PER_FRAME = 32
AIM = {"transition_ratio_to_no_change": 0.2, "wavelength_error": 0.05, "mass_error": 0.05}
"""The largest mean over seeds; every seed must be stable beside it."""
SPEC = NcaSpec(n_channels=8, n_observed=2, kernels="ID_LAP")
_TRAINED, _JUDGED, _TESTED, _FAR = 1000, 2000, 3000, 4000
"""Seeds of the initial conditions, so that none is in two sets."""


@dataclass(frozen=True, slots=True)
class Size:
    """cells: side of the training fields. n_trained, n_judged: trials to learn from and to choose by. epochs of
    batches_per_epoch minibatches of `batch` transitions, at most max_seconds. test_cells, test_steps: side and length of
    the unseen trials. far_cells, far_steps: likewise of the test for patterns (0: none)."""

    cells: int = 64
    n_trained: int = 6
    n_judged: int = 2
    trained_steps: int = 1024
    epochs: int = 400
    batches_per_epoch: int = 48
    batch: int = 4
    learning_rate: float = 2e-3
    max_seconds: float | None = None
    test_cells: int = 64
    n_tested: int = 3
    test_steps: int = 2048
    far_cells: int = 128
    far_steps: int = 12_000
    n_far: int = 3


def frames_of(pattern: str, n: int, cells: int, n_steps: int, seed: int) -> Frames:
    """`n` trials from random blocks, a frame every 32 steps."""
    pde = PATTERNS[pattern]
    initial = random_blocks(pde, n, size=cells, generator=torch.Generator().manual_seed(seed))
    return simulate(pde, initial, n_frames=n_steps // STEPS_PER_FRAME + 1, steps_per_frame=STEPS_PER_FRAME)


def measured(pattern: str, seed: int, size: Size) -> Campaign[dict[str, Any]]:
    """Train from one seed and measure; the same data for all seeds."""
    torch.set_num_threads(1)
    trained = frames_of(pattern, size.n_trained, size.cells, size.trained_steps, _TRAINED)
    judged = frames_of(pattern, size.n_judged, size.cells, size.trained_steps, _JUDGED)
    automaton = Automaton(SPEC, generator=torch.Generator().manual_seed(seed))
    settings = NcaFitSettings(
        steps_per_frame=STEPS_PER_FRAME, epochs=size.epochs, batches_per_epoch=size.batches_per_epoch, batch=size.batch,
        learning_rate=size.learning_rate, max_seconds=size.max_seconds,
    )  # fmt: skip
    began, cpu = time.perf_counter(), time.process_time()
    events = fit_nca(automaton, trained, judged, seed=seed, settings=settings)
    result: dict[str, Any] = {"pattern": pattern, "seed": seed}
    try:
        while True:
            try:
                event = next(events)
            except StopIteration as end:
                fitted: FittedNca = end.value
                break
            yield Progress(f"{pattern}-{seed}", event.progress, 1.0, f"epoch {event.epoch}")
    except AutomatonDiverged as error:
        return {**result, "stable": False, "diverged": str(error)}
    finally:
        events.close()
    result |= {
        "training_seconds": time.perf_counter() - began, "training_cpu_seconds": time.process_time() - cpu,
        "epochs": fitted.n_epochs, "best_epoch": fitted.best_epoch, "stopped": fitted.stopped,
        "validation": fitted.validation, "n_skipped": fitted.n_skipped, "n_replaced": fitted.n_replaced,
    }  # fmt: skip
    test = frames_of(pattern, size.n_tested, size.test_cells, size.test_steps, _TESTED)
    result |= told(free_run(fitted.model, test, transitions=True))
    if size.far_cells:
        result |= far(fitted.model, frames_of(pattern, size.n_far, size.far_cells, size.far_steps, _FAR))
        result["stable"] = result["stable"] and result["far_stable"]
    return result


def told(run: FreeRun) -> dict[str, Any]:
    """Errors at n = 32, 64, 128 …, in units of the data's range, mean over trials, beside those of predicting no change."""
    n_frames = run.error.shape[1]
    at = [2**k for k in range(n_frames.bit_length()) if 2**k <= n_frames]
    steps = [STEPS_PER_FRAME * frame for frame in at]

    def by_step(errors: np.ndarray) -> dict[str, float]:
        return {str(n): float(errors[:, frame - 1].mean()) for n, frame in zip(steps, at, strict=True)}

    return {
        "stable": run.stable,
        "transition_ratio_to_no_change": run.transition_ratio,
        "transition_error": float(run.transition_error.mean()),
        "transition_no_change": float(run.transition_no_change.mean()),
        "free_run_error": by_step(run.error),
        "free_run_nrmse": by_step(run.nrmse),
        "no_change_error": by_step(run.no_change_error),
        "sd_ratio": float(run.sd_ratio[:, n_frames - 1].mean()),
        "lowest": float(run.lowest.min()),
        "highest": float(run.highest.max()),
    }


def far(model: NcaModel, data: Frames) -> dict[str, Any]:
    """Larger and longer than in training: wavelength and mass at the end, beside the equation's own spread."""
    run = free_run(model, data)
    result: dict[str, Any] = {"far_stable": run.stable, "far_sd_ratio": float(run.sd_ratio[:, -1].mean())}
    try:
        ended = model.run(data, data.n_frames - 1)
    except FramesInvalid:
        return {**result, "wavelength_error": math.inf, "mass_error": math.inf}
    compared = compare(ended, data)
    return result | {
        name: getattr(compared, name)
        for name in (
            "wavelength_error", "mass_error", "wavelength_spread", "mass_spread", "wavelengths", "data_wavelengths",
            "masses", "data_masses", "spectrum_distance",
        )
    }  # fmt: skip


def summary(cells: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Over the seeds of one pattern, or over all: means, and the largest where an aim must hold for every seed.

    Means are over the seeds that stayed finite; diverged_seeds names the others, with which no aim is met.
    """
    finite = [cell for cell in cells if "diverged" not in cell]
    figures: dict[str, Any] = {
        "seeds": len(cells),
        "stable_seeds": sum(bool(cell["stable"]) for cell in cells),
        "diverged_seeds": [f"{cell['pattern']}-{cell['seed']}" for cell in cells if "diverged" in cell],
        "transition_ratio_to_no_change": _mean(finite, "transition_ratio_to_no_change"),
        "transition_ratio_sd": _sd(finite, "transition_ratio_to_no_change"),
    }
    for name in ("free_run_error", "free_run_nrmse", "no_change_error"):
        figures[name] = {
            n: float(np.mean([_value(cell[name][n]) for cell in finite])) for n in (finite[0][name] if finite else ())
        }
    for name in ("wavelength_error", "mass_error", "wavelength_spread", "mass_spread"):
        if finite and all(name in cell for cell in finite):
            figures[name] = _mean(finite, name)
            figures[f"{name}_largest"] = float(np.max([_value(cell[name]) for cell in finite]))
    return figures | {"aim_met": _aim_met(figures)}


def _aim_met(figures: Mapping[str, Any]) -> dict[str, bool]:
    """Every aim that was measured; all are missed where a seed was lost or there is none."""
    whole = figures["seeds"] > 0 and not figures["diverged_seeds"]
    met = {"stable": whole and figures["stable_seeds"] == figures["seeds"]}
    return met | {name: whole and figures[name] <= aim for name, aim in AIM.items() if name in figures}


def _mean(cells: Sequence[Mapping[str, Any]], name: str) -> float:
    return float(np.mean([_value(cell[name]) for cell in cells])) if cells else math.nan


def _sd(cells: Sequence[Mapping[str, Any]], name: str) -> float:
    return float(np.std([_value(cell[name]) for cell in cells], ddof=1)) if len(cells) > 1 else math.nan


def _value(given: float | None) -> float:
    """What ran away is null in the file."""
    return math.inf if given is None else given
