"""One cell of the sweep of nca_loss_vs_t.py: data, training and test of one (t, loss, seed), and predicting no change."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from twins.errors import TwinError
from twins.nca import (
    Automaton,
    FittedNca,
    Frames,
    NcaFitSettings,
    NcaSpec,
    Scaling,
    finished,
    fit_nca,
    loss_named,
    simulate,
)
from twins.nca.free_run import FreeRun, free_run
from twins.nca.pde import MAZE, blocks, random_blocks

STATE_WEIGHT = 0.01
"""Of the overshoot beyond [0, 1] beside the Euclidean loss; beside another in the same proportion to "no change"."""
N_TEST, N_COMPARED = 3, 64
NO_CHANGE_T = (1, 2, 4, 8, 16, 32, 64)


@dataclass(frozen=True)
class Size:
    """n_cells: of a side. horizon: steps of the training sequences. updates: in every epoch, whatever t."""

    n_cells: int
    horizon: int
    epochs: int
    updates: int
    learning_rate: float


def cell(t: int, loss: str, seed: int, size: Size) -> dict[str, Any]:
    """Train and test one; `failed` says why, where that was not possible."""
    torch.set_num_threads(1)
    began = time.process_time()
    training, validation, test = data(t, seed, size)
    still = no_change(training, loss, seed)
    weight = STATE_WEIGHT * still / no_change(training, "euclidean", seed)
    settings = NcaFitSettings(
        steps_per_frame=t, epochs=size.epochs, warm_start=0.0, batch=max(1, 4 * (size.horizon // t) // size.updates),
        learning_rate=size.learning_rate, schedule="cosine", loss=loss, state_weight=weight,
        validate_every=max(1, size.epochs // 20), beyond=1.0,
    )  # fmt: skip
    spec = NcaSpec(n_channels=8, n_observed=2, kernels="ID_LAP")
    automaton = Automaton(spec, generator=torch.Generator().manual_seed(seed))
    known = {"t": t, "loss": loss, "seed": seed, "no_change_loss": still, "failed": None}
    try:
        fitted = finished(fit_nca(automaton, training, validation, seed=seed, settings=settings))
    except TwinError as error:  # a loss that cannot be computed or a training that ran away is a finding
        return known | {"failed": f"{type(error).__name__}: {error}", "cpu_seconds": time.process_time() - began}
    return known | trained(fitted, still) | tested(fitted, test, t, size) | {"cpu_seconds": time.process_time() - began}


def data(t: int, seed: int, size: Size) -> tuple[Frames, Frames, Frames]:
    """Training on the publication's four blocks; validation and test (to twice the horizon) on blocks drawn at random."""
    generator = torch.Generator().manual_seed(1000 + seed)
    drawn = random_blocks(MAZE, 1 + N_TEST, size=size.n_cells, generator=generator)
    once = {"n_frames": size.horizon // t + 1, "steps_per_frame": t}
    twice = {"n_frames": 2 * size.horizon // t + 1, "steps_per_frame": t}
    training = simulate(MAZE, blocks(MAZE, size=size.n_cells), **once)
    return training, simulate(MAZE, drawn[:1], **once), simulate(MAZE, drawn[1:], **twice)


def no_change(frames: Frames, loss: str, seed: int) -> float:
    """The loss of predicting that nothing changes, mean over transitions (at most N_COMPARED of them, evenly spread)."""
    values = torch.from_numpy(Scaling.of(frames).to_unit(frames.values)).permute(0, 1, 4, 2, 3)
    before, after = values[:, :-1].flatten(0, 1), values[:, 1:].flatten(0, 1)
    some = torch.linspace(0, len(before) - 1, min(N_COMPARED, len(before))).round().long()
    return float(loss_named(loss)(before[some], after[some], generator=torch.Generator().manual_seed(seed)).mean())


def trained(fitted: FittedNca, still: float) -> dict[str, Any]:
    """How the training ended."""
    return {
        "trained_loss": fitted.train_loss,
        "trained_loss_to_no_change": fitted.train_loss / still,
        "stopped": fitted.stopped,
        "best_epoch": fitted.best_epoch,
        "validation_nrmse": fitted.validation,
    }


def tested(fitted: FittedNca, test: Frames, t: int, size: Size) -> dict[str, Any]:
    """Transitions and free runs on initial conditions that were not seen, within and beyond the horizon; Euclidean errors
    in units of the range of the training data, mean over the initial conditions."""
    whole = free_run(fitted.model, test, transitions=True)
    within = free_run(fitted.model, test.span(0, size.horizon // t + 1))
    at = [size.horizon // 4, size.horizon // 2, size.horizon, 2 * size.horizon]
    return {
        "transition_ratio_to_no_change": whole.transition_ratio,
        "free_run_error": {str(n): float(whole.error[:, n // t - 1].mean()) for n in at},
        "free_run_no_change": {str(n): float(whole.no_change_error[:, n // t - 1].mean()) for n in at},
        "stable_within": within.stable,
        "stable_beyond": whole.stable,
        "stable_trials_beyond": int(whole.stable_trials.sum()),
        "ran_away_at": _first_not_finite(whole, t),
    }


def no_change_table(n_cells: int = 64, n_steps: int = 1024) -> dict[str, Any]:
    """Predicting no change on the publication's four blocks: Euclidean norm per transition by t, and the pattern's norm
    about its mean at the end, both in units of the range."""
    frames = simulate(MAZE, blocks(MAZE, size=n_cells), n_frames=n_steps + 1, steps_per_frame=1)
    unit = Scaling.of(frames).to_unit(frames.values).astype(np.float64)
    by_t = {}
    for t in NO_CHANGE_T:
        changes = np.diff(unit[:, ::t], axis=1)
        by_t[str(t)] = float(np.sqrt(np.square(changes).sum(axis=(2, 3, 4))).mean())
    last = unit[:, -1] - unit[:, -1].mean(axis=(1, 2), keepdims=True)
    return {"per_transition": by_t, "pattern_norm": float(np.sqrt(np.square(last).sum(axis=(1, 2, 3))).mean())}


def _first_not_finite(run: FreeRun, t: int) -> int | None:
    broken = np.flatnonzero(~run.finite.all(axis=0))
    return t * (int(broken[0]) + 1) if len(broken) else None
