"""Tell traces that look like none of the simulations: what a network says of them means nothing."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from twins.goku.amortised.design import Simulator

_NEIGHBOUR = 5
_RARE = 0.002  # of the simulations themselves are told to be odd
MISFIT_DRAWS = 12
"""Of a trace's posterior, that are solved to see whether any explains it."""


@dataclass(frozen=True, slots=True, eq=False)
class TrustReference:
    """What the simulations look like.

    summaries: (simulation, number), of simulations to find neighbours among; distances, misfits: (simulation,), of other
    simulations, rising: how far they lie from their neighbours, and how well draws of their posterior explain them
    (logarithm of the mean squared residual in units of the drawn noise).
    """

    summaries: Float[Tensor, "simulation number"]
    distances: Float[Tensor, " simulation"]
    misfits: Float[Tensor, " simulation"]

    def why_not(self, summaries: Float[Tensor, "trace number"], misfits: Float[Tensor, " trace"]) -> dict[int, str]:
        """Why a trace is not like the simulations, by trace; those that are like them are not in it."""
        reasons: dict[int, str] = {}
        far = neighbour_distance(summaries, self.summaries)
        for trace in range(len(summaries)):
            found = []
            if _p_value(far[trace], self.distances) <= _RARE or not bool(torch.isfinite(far[trace])):
                found.append("its mean, spread or roughness is unlike that of any simulation from the ranges")
            if _p_value(misfits[trace], self.misfits) <= _RARE or not bool(torch.isfinite(misfits[trace])):
                found.append("no draw of its posterior explains it as well as the simulations are explained")
            if found:
                reasons[trace] = "; ".join(found)
        return reasons


def neighbour_distance(
    summaries: Float[Tensor, "trace number"], reference: Float[Tensor, "simulation number"]
) -> Float[Tensor, " trace"]:
    """Distance to the fifth nearest simulation."""
    distances = torch.cdist(summaries.to(torch.float64), reference.to(torch.float64))
    return distances.kthvalue(min(_NEIGHBOUR, len(reference)), dim=-1).values


def misfit(
    simulator: Simulator,
    values: Float[Tensor, "trace time channel"],
    draws: Float[Tensor, "trace draw coordinate"],
    rows: Int64[Tensor, " trace"],
    generator: torch.Generator,
) -> Float[Tensor, " trace"]:
    """Of the best of a few posterior draws: log mean squared residual, in units of the drawn noise.

    `rows` are the traces of the simulator's design, to whose times and drive the values belong.
    """
    n = min(MISFIT_DRAWS, draws.shape[1])
    flat = draws[:, :n].reshape(-1, draws.shape[-1])
    expected, kept = simulator.observed(flat, rows.repeat_interleave(n), generator)
    sd = simulator.noise_sd(flat[:, simulator.n_process :]).unsqueeze(1)
    residual = (values.repeat_interleave(n, dim=0) - expected) / sd
    worth = torch.log(residual.square().nanmean(dim=(1, 2)))
    worth = torch.where(kept, worth, torch.inf).reshape(-1, n)
    return worth.min(dim=1).values


def _p_value(value: Tensor, reference: Tensor) -> float:
    above = len(reference) - int(torch.searchsorted(reference, value.to(reference)))
    return (1 + above) / (len(reference) + 1)
