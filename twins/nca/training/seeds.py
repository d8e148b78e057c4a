"""fit_seeds: the same training from several seeds. One seed proves nothing: the spread says what a rule owes to luck."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from twins.errors import AutomatonDiverged, AutomatonInvalid
from twins.nca.automaton import Automaton
from twins.nca.frames import Frames
from twins.nca.scaling import Scaling
from twins.nca.spec import NcaSpec
from twins.nca.training.events import FittedNca, NcaEvent
from twins.nca.training.fit import fit_nca
from twins.nca.training.settings import NcaFitSettings


@dataclass(frozen=True, slots=True)
class SeedEvent:
    """An event of the training from one seed; `number` counts from 0."""

    seed: int
    number: int
    n_seeds: int
    event: NcaEvent


@dataclass(frozen=True, slots=True, eq=False)
class FittedSeeds:
    """fits: one a seed that stayed finite, in their order. diverged: the seeds that did not."""

    fits: tuple[FittedNca, ...]
    diverged: tuple[int, ...]

    @property
    def best(self) -> FittedNca:
        """A stable one before all others, then one whose pattern lasts beyond the data, then the least error of free runs."""
        return min(self.fits, key=lambda fit: (not fit.stable, not fit.kept, fit.validation))

    @property
    def stable_seeds(self) -> int:
        """How many are stable on what they were judged by."""
        return sum(fit.stable for fit in self.fits)

    @property
    def validation_mean(self) -> float:
        """Of the errors of free runs, over the seeds that stayed finite."""
        return float(np.mean([fit.validation for fit in self.fits]))

    @property
    def validation_sd(self) -> float:
        """Likewise; NaN of fewer than two."""
        return float(np.std([fit.validation for fit in self.fits], ddof=1)) if len(self.fits) > 1 else float("nan")


def fit_seeds(
    spec: NcaSpec,
    frames: Frames,
    validation: Frames | None = None,
    *,
    seeds: Sequence[int],
    settings: NcaFitSettings | None = None,
    scaling: Scaling | None = None,
) -> Generator[SeedEvent, None, FittedSeeds]:
    """Train a new automaton from each seed, one after another; yields their events, returns all of them.

    A seed draws the weights, the batches, and which trials are held out where there are no validation frames. max_seconds of
    the settings is for each. Raises as fit_nca does, AutomatonDiverged only if no seed stayed finite.
    """
    if not seeds or len(set(seeds)) != len(seeds):
        raise AutomatonInvalid(f"seeds must be different numbers, at least one, not {tuple(seeds)}")
    fits, diverged, error = [], [], None
    for number, seed in enumerate(seeds):
        automaton = Automaton(spec, generator=torch.Generator().manual_seed(seed))
        events = fit_nca(automaton, frames, validation, seed=seed, settings=settings, scaling=scaling)
        try:
            fits.append((yield from _labelled(events, seed, number, len(seeds))))
        except AutomatonDiverged as happened:
            diverged.append(seed)
            error = happened
    if error is not None and not fits:
        raise error
    return FittedSeeds(tuple(fits), tuple(diverged))


def _labelled(
    events: Generator[NcaEvent, None, FittedNca], seed: int, number: int, n_seeds: int
) -> Generator[SeedEvent, None, FittedNca]:
    try:
        while True:
            try:
                event = next(events)
            except StopIteration as finished:
                fitted: FittedNca = finished.value
                return fitted
            yield SeedEvent(seed, number, n_seeds, event)
    finally:
        events.close()
