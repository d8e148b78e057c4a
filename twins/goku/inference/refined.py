"""Put together what was found of all groups, in physical units, trace by trace."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch

from twins.goku.inference.coordinates import FreeCoordinates
from twins.goku.inference.innovations import filter_doubts
from twins.goku.inference.likelihood import TraceLikelihood
from twins.goku.inference.refine_settings import Refined, RefineSettings
from twins.goku.inference.sampler import Found
from twins.goku.inference.solver_error import solver_error
from twins.goku.posterior import Guess, Posterior

_MOST_SOLVER_ERROR = 1.0  # standard deviations


def refined_of(
    likelihood: TraceLikelihood,
    coordinates: FreeCoordinates,
    found: Sequence[Found],
    noise_sd_range: tuple[np.ndarray, np.ndarray],
    settings: RefineSettings,
) -> Refined:
    """Draws, estimates and doubts of every trace."""
    n = likelihood.n_traces
    draws = torch.zeros(n, settings.n_draws, coordinates.size, dtype=torch.float64)
    weights = torch.zeros(n, settings.n_draws, dtype=torch.float64)
    top = torch.zeros(n, coordinates.size, dtype=torch.float64)
    numbers = {name: torch.zeros(n, dtype=torch.float64) for name in ("log_evidence", "k_hat", "effective")}
    flags = {name: torch.zeros(n, dtype=torch.bool) for name in ("converged", "diverged")}
    n_diverged = torch.zeros(n, dtype=torch.int64)
    how, why = [""] * n, [""] * n
    for part in found:
        density, members = part.density, part.density.members
        draws[members] = density.by_trace(part.draws.x).permute(1, 2, 0, 3)
        weights[members] = part.draws.weights.T.unsqueeze(1).expand(-1, members.shape[1], -1)
        top[members] = density.by_trace(part.tops.x[:, 0])
        trusted = torch.tensor(
            [
                not doubt and way in ("importance", "straightened", "adapted")
                for doubt, way in zip(part.why, part.how, strict=True)
            ]
        )
        proper = trusted & bool(coordinates.bounded.all())
        numbers["log_evidence"][members] = torch.where(proper, part.draws.log_evidence, torch.nan).unsqueeze(1)
        numbers["k_hat"][members] = part.draws.k_hat.unsqueeze(1)
        numbers["effective"][members] = part.draws.effective.unsqueeze(1)
        flags["converged"][members] = (part.tops.converged & ~part.tops.diverged).unsqueeze(1)
        flags["diverged"][members] = part.tops.diverged.unsqueeze(1)
        n_diverged[members] = part.tops.n_diverged.unsqueeze(1)
        for group, traces in enumerate(members.tolist()):
            for trace in traces:
                how[trace], why[trace] = part.how[group], part.why[group]
    estimate = coordinates.split(coordinates.physical(top))
    error = solver_error(likelihood, *estimate)
    for trace in (error > _MOST_SOLVER_ERROR).nonzero().squeeze(-1).tolist():
        if not why[trace]:
            why[trace] = (
                f"{likelihood.substeps} solver steps a sample are too few: they may move the estimate by "
                f"{float(error[trace]):.1f} standard deviations; give more substeps"
            )
    for trace, doubt in enumerate(filter_doubts(likelihood, *estimate)):
        if doubt and not flags["diverged"][trace]:
            why[trace] = f"{why[trace]}; {doubt}" if why[trace] else doubt
    system = likelihood.system
    parameters, initial, noise_sd = (part.numpy() for part in coordinates.split(coordinates.physical(draws)))
    posterior = Posterior(
        system.parameter_names,
        tuple(quantity.unit for quantity in system.flat_parameters),
        parameters, initial, noise_sd, weights.numpy(),
        how="+".join(sorted(set(how))),
        trusted=np.array([not doubt for doubt in why]),
        why={trace: doubt for trace, doubt in enumerate(why) if doubt},
    )  # fmt: skip
    return Refined(
        posterior,
        Guess(*(part.numpy().copy() for part in estimate)),
        likelihood.log_likelihood(*estimate).numpy(),
        numbers["log_evidence"].numpy(), numbers["k_hat"].numpy(), numbers["effective"].numpy(),
        flags["converged"].numpy(), flags["diverged"].numpy(), n_diverged.numpy(), error.numpy(),
        likelihood.substeps, noise_sd_range, _at_edge(likelihood, coordinates, top), Counter(how),
    )  # fmt: skip


def _at_edge(
    likelihood: TraceLikelihood, coordinates: FreeCoordinates, top: torch.Tensor
) -> dict[int, tuple[str, ...]]:
    system = likelihood.system
    names = [
        *system.parameter_names,
        *(f"{quantity.name} at the first sample" for quantity in system.flat_states),
        *(f"noise of channel {channel}" for channel in range(likelihood.n_channels)),
    ]
    at_edge = coordinates.at_edge(top)
    return {
        trace: tuple(names[place] for place in places.nonzero().squeeze(-1).tolist())
        for trace, places in enumerate(at_edge)
        if bool(places.any())
    }
