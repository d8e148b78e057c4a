"""Refine what is known of single traces: from a guess to the likelihood's top, and to draws of the posterior."""

from __future__ import annotations

from collections.abc import Generator

import numpy as np
import torch
from torch import Tensor

from twins.errors import SeriesInvalid
from twins.goku.inference.blurred import blurred, sharpened
from twins.goku.inference.coordinates import FreeCoordinates, noise_sd_range_from
from twins.goku.inference.deadline import Deadline
from twins.goku.inference.group_density import GroupDensity
from twins.goku.inference.likelihood import TraceLikelihood
from twins.goku.inference.refine_settings import Refined, RefineEvent, RefineSettings
from twins.goku.inference.refined import refined_of
from twins.goku.inference.sampler import sample_where_needed
from twins.goku.inference.solver_error import enough_substeps, with_substeps
from twins.goku.inference.starts import Tops, find_tops
from twins.goku.observation import Observation
from twins.goku.posterior import Guess, Posterior
from twins.goku.series import Series
from twins.goku.system import System

_GUESSES = 64  # draws of a posterior that starts are chosen from


def refine(
    system: System,
    observation: Observation | None,
    series: Series,
    guess: Guess | Posterior | None = None,
    *,
    seed: int,
    settings: RefineSettings | None = None,
) -> Generator[RefineEvent, None, Refined]:
    """Parameters, initial state and noise level of every trace by its likelihood, with a posterior; one generator of events.

    The prior is uniform over the system's ranges (see RefineSettings for noise and initial states). Traces of one
    ``series.group`` share their parameters; their initial states and noise levels are their own. The observation is
    used as it is. guess: where to begin, best a network's posterior (its mean, and the likeliest of its draws); None:
    from draws of the prior.

    Fisher scoring to the top, Gaussian there; importance draws from it against the exact likelihood; where these fail,
    along the density's bends, then from proposals fitted to the draws; Markov chains where all of these fail.
    Every step is one batch over all traces. Raises SeriesInvalid, EquationInvalid.
    """
    settings = settings or RefineSettings()
    if settings.sampler == "emcee":
        from twins.goku.inference.emcee_sampler import require_emcee

        require_emcee()
    out_of_time = Deadline(settings.max_seconds)
    generator = torch.Generator().manual_seed(seed)
    noise_range = noise_sd_range_from(settings.noise_sd_range, series)
    coordinates = FreeCoordinates(system, noise_range, initial=settings.initial)
    likelihood = TraceLikelihood(system, observation, series, substeps=settings.substeps or 1)
    free, drawn = _free_guesses(guess, series, coordinates, generator)
    if settings.substeps is None:
        at = coordinates.draw(likelihood.n_traces, generator) if free is None else free
        substeps = enough_substeps(likelihood, *coordinates.split(coordinates.physical(at)))
        likelihood = with_substeps(likelihood, substeps)
    climbed = []
    for members in _groups_by_size(series):
        shared = system.stochastic and members.shape[1] > 1
        density = GroupDensity(blurred(likelihood) if shared else likelihood, coordinates, members)
        start = None if free is None else density.joined(free[members])
        guesses = None if drawn is None else density.joined(drawn[:, members])
        tops = yield from find_tops(density, start, settings, generator, out_of_time, guesses=guesses)
        climbed.append((density, tops))
    if settings.substeps is None:
        fewest = max(_substeps_at(*pair) for pair in climbed)
        likelihood = with_substeps(likelihood, min(likelihood.substeps, fewest))
    found = []
    for before, tops in climbed:
        here = with_substeps(before.likelihood, likelihood.substeps)
        density = GroupDensity(here, coordinates, before.members)
        part = yield from sample_where_needed(density, tops, settings, generator, out_of_time)
        found.append(sharpened(part, generator) if here.blurred else part)
    return refined_of(likelihood, coordinates, found, noise_range, settings)


def _substeps_at(density: GroupDensity, tops: Tops) -> int:
    """As many as do at the tops: fewer than at starts from all over the ranges, often."""
    order = density.members.flatten()
    at = density.coordinates.physical(density.by_trace(tops.x[:, 0])).flatten(0, 1)
    return enough_substeps(density.likelihood.select(order), *density.coordinates.split(at))


def _free_guesses(
    guess: Guess | Posterior | None, series: Series, coordinates: FreeCoordinates, generator: torch.Generator
) -> tuple[Tensor | None, Tensor | None]:
    """(the guess (trace, free), draws around it (draw, trace, free)), as far as there are any."""
    if not isinstance(guess, Posterior):
        return None if guess is None else coordinates.free(_joined_guess(guess, series, coordinates)), None
    mean = coordinates.free(_joined_guess(Guess.of(guess), series, coordinates))
    weights = torch.as_tensor(guess.weights)
    which = torch.multinomial(weights, _GUESSES, replacement=True, generator=generator).numpy()
    row = np.arange(guess.n_traces)
    parts = [
        Guess(guess.parameters[row, draw], guess.initial[row, draw], guess.noise_sd[row, draw]) for draw in which.T
    ]
    return mean, torch.stack([coordinates.free(_joined_guess(part, series, coordinates)) for part in parts])


def _joined_guess(guess: Guess, series: Series, coordinates: FreeCoordinates) -> Tensor:
    parts = [np.asarray(part, dtype=np.float64) for part in (guess.parameters, guess.initial, guess.noise_sd)]
    wanted = [(series.n_traces, size) for size in coordinates.sizes]
    if [part.shape for part in parts] != wanted:
        raise SeriesInvalid(
            f"a guess needs parameters, initial and noise_sd of shapes {wanted} for this series, "
            f"not {[part.shape for part in parts]}"
        )
    joined = np.concatenate(parts, axis=1)
    if not np.isfinite(joined).all():
        raise SeriesInvalid(f"the guess of trace {int(np.argwhere(~np.isfinite(joined))[0, 0])} is not finite")
    return torch.from_numpy(joined)


def _groups_by_size(series: Series) -> list[Tensor]:
    """(group, member) traces, one tensor for each number of members."""
    by_size: dict[int, list[np.ndarray]] = {}
    for group in np.unique(series.groups):
        traces = np.flatnonzero(series.groups == group)
        by_size.setdefault(len(traces), []).append(traces)
    return [torch.from_numpy(np.stack(members)) for _, members in sorted(by_size.items())]


__all__ = ["RefineEvent", "RefineSettings", "Refined", "refine"]
