"""What fitting says while it runs, and at its end: plain data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Epoch:
    """A part of the fit is done.

    phase: the name of the phase; epoch counts on through all. train_loss: mean over the epoch, nats a sample
    (likelihood; 0.5 is the linear model's) or a score. free_run_score: the latest held-out free-run CRPS, in units of
    the response's spread. best: the twin was just scored and is kept as the best so far (within chance, see
    FitResult). progress: 0..1 of this phase.
    """

    phase: str
    epoch: int
    train_loss: float
    free_run_score: float
    seconds: float
    best: bool
    progress: float


FitEvent = Epoch


@dataclass(frozen=True, slots=True)
class FitResult:
    """What was fitted: the kept checkpoint and how it was found.

    The kept checkpoint is the last whose held-out free run was not worse than the lowest by more than two standard
    errors.
    best_phase: "linear" (or "warm start") if training improved nothing. linear_free_run_score: of the start, which is
    the backbone alone unless it was warm. held_out_inputs: (number of the traces, input id).
    """

    seed: int
    best_phase: str
    best_epoch: int
    free_run_score: float
    linear_free_run_score: float
    n_epochs: int
    seconds: float
    n_train_samples: int
    held_out_inputs: tuple[tuple[int, int], ...]
