"""The state at a trace's first sample, known only up to a step's noise of the system: what makes noise levels comparable.

Where the first state is an unknown number, the first sample can be met exactly by it, and a density that is highest where
the noise of observation is nothing has a neck there: no top, no Gaussian and no chain finds the way out of many of them.
So for traces that share parameters the unknown is the mean m of a Gaussian that the first state is drawn from, with the
variance V of the noise that enters in one step. What is uniform before the data stays so, but for V at the ends of a range;
the likelihood of the parameters is the same. The first state itself is then drawn given m and the whole trace: a Gaussian
with precision 1/V + J and mean m + slope/(1/V + J), with slope and information J of the likelihood at a first state of m
(exact where drift and observation are linear; V is small).
"""

from __future__ import annotations

import copy
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from twins.goku.inference.group_density import GroupDensity
from twins.goku.inference.kalman import first_kick
from twins.goku.inference.likelihood import TraceLikelihood
from twins.goku.inference.sampler import Found
from twins.goku.inference.small_matrices import lower_factor, solve_lower

_NEXT_TO_THE_END = 1e-9  # of a range
_MOST_TRACES = 20_000


def blurred(likelihood: TraceLikelihood) -> TraceLikelihood:
    """The likelihood by the mean of each first state."""
    other = copy.copy(likelihood)
    other.blurred = True
    return other


def sharpened(found: Found, generator: torch.Generator) -> Found:
    """What was found by means of first states, with first states: drawn for the draws, the most probable one for the tops."""
    density = found.density
    likelihood = copy.copy(density.likelihood)
    likelihood.blurred = False
    sharp = GroupDensity(likelihood, density.coordinates, density.members)
    tops, draws = found.tops, found.draws
    alive = (~tops.diverged).nonzero().squeeze(-1)
    if not len(alive):
        return replace(found, density=sharp)
    top, x = tops.x.clone(), draws.x.clone()
    top[alive, 0] = _states_for(sharp, tops.x[alive, 0].unsqueeze(0), alive, None)[0]
    x[:, alive] = _states_for(sharp, draws.x[:, alive], alive, generator)
    return replace(found, density=sharp, tops=replace(tops, x=top), draws=replace(draws, x=x))


def _states_for(
    density: GroupDensity, x: Float[Tensor, "draw row free"], groups: Tensor, generator: torch.Generator | None
) -> Float[Tensor, "draw row free"]:
    """x with first states in place of their means."""
    coordinates = density.coordinates
    physical = coordinates.physical(density.by_trace(x))
    parameters, mean, noise_sd = (part.flatten(1, 2) for part in coordinates.split(physical))
    likelihood = density.likelihood.select(density.members[groups].flatten())
    each = max(1, _MOST_TRACES // likelihood.n_traces)
    pieces = zip(*(torch.split(part, each) for part in (parameters, mean, noise_sd)), strict=True)
    states = torch.cat([
        _first_states(likelihood.select(torch.arange(likelihood.n_traces).repeat(len(m))), p, m, sd, generator)
        for p, m, sd in pieces
    ])  # fmt: skip
    n = coordinates.n_parameters
    physical[..., n : n + states.shape[-1]] = states.reshape(*physical.shape[:-1], -1)
    free = coordinates.free(physical, inside=_NEXT_TO_THE_END)
    by_trace = density.by_trace(x).clone()
    by_trace[..., n : n + states.shape[-1]] = free[..., n : n + states.shape[-1]]
    return density.joined(by_trace)


def _first_states(
    likelihood: TraceLikelihood, parameters: Tensor, mean: Tensor, noise_sd: Tensor, generator: torch.Generator | None
) -> Float[Tensor, "copy trace state"]:
    """Drawn, or the mean of what would be drawn."""
    shape = mean.shape
    p, m, s = (part.flatten(0, 1) for part in (parameters, mean, noise_sd))
    sd = first_kick(likelihood.system, likelihood.data, p, m).sqrt()
    gradient, information = likelihood.by_first_state(p, m, s)
    unit = torch.eye(m.shape[-1], dtype=m.dtype)
    precision = unit + information * sd.unsqueeze(-1) * sd.unsqueeze(-2)
    factor = lower_factor(precision)
    white = solve_lower(factor, (gradient * sd).unsqueeze(-1))
    if generator is not None:
        white = white + torch.randn(white.shape, dtype=m.dtype, generator=generator)
    moved = torch.linalg.solve_triangular(factor.mT, white, upper=True).squeeze(-1) * sd
    return (m + torch.nan_to_num(moved)).reshape(shape)
