"""Markov chains on a density, many chains and many rows at once, with moves that adapt themselves.

A chain moves along differences of earlier places of all chains of its row (differential evolution with an archive), in
some or all coordinates: no scales need to be known. Sources: ter Braak and Vrugt, Stat. Comput. 18 (2008); Vrugt et
al., Int. J. Nonlinear Sci. Numer. Simul. 10 (2009); split R-hat: Vehtari et al., Bayesian Anal. 16 (2021).
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from twins.goku.group_density import GroupDensity

_REMEMBERED_EVERY = 5
_JUMP_SHARE = 0.1  # of moves with the whole difference, which leads from one top to another
_NUDGE = 1e-3


@dataclass(frozen=True, slots=True)
class Chains:
    """x: (sweep, chain, row, free), the later half of all sweeps; r_hat: (row,), the largest of all coordinates;
    accepted: (row,), share of moves."""

    x: Float[Tensor, "sweep chain row free"]
    r_hat: Float[Tensor, " row"]
    accepted: Float[Tensor, " row"]


def run_chains(
    density: GroupDensity,
    groups: Int64[Tensor, " row"],
    start: Float[Tensor, "draw row free"],
    *,
    n_chains: int,
    n_sweeps: int,
    largest_r_hat: float,
    generator: torch.Generator,
) -> Generator[float, None, Chains]:
    """Sweeps until every row's R-hat is small, or `n_sweeps` are done. Yields the share of sweeps done.

    start: at least as many draws as chains, wider than the density rather than narrower; the first ones are the
    chains' starts, all are the first archive.
    """
    x = start[:n_chains].clone()
    value = density.value(x, groups)
    archive = [start]
    places = start
    history, accepted = [], torch.zeros(x.shape[1], dtype=torch.float64)
    block = max(50, n_sweeps // 8)
    for sweep in range(n_sweeps):
        proposed = x + _moves(places, x, generator)
        there = density.value(proposed, groups)
        chance = torch.rand(value.shape, dtype=torch.float64, generator=generator).log()
        taken = chance < there - value
        x = torch.where(taken.unsqueeze(-1), proposed, x)
        value = torch.where(taken, there, value)
        accepted += taken.double().mean(0)
        history.append(x)
        if (sweep + 1) % _REMEMBERED_EVERY == 0:
            archive.append(x)
        if (sweep + 1) % block == 0:
            places = torch.cat(archive[1 + len(archive) // 3 :] if sweep + 1 >= 2 * block else archive)
            yield (sweep + 1) / n_sweeps
            later = torch.stack(history[len(history) // 2 :])
            if sweep + 1 >= 2 * block and bool((split_r_hat(later) <= largest_r_hat).all()):
                break
    later = torch.stack(history[len(history) // 2 :])
    return Chains(later, split_r_hat(later), accepted / len(history))


def _moves(places: Tensor, x: Tensor, generator: torch.Generator) -> Tensor:
    n_chains, n_rows, _ = x.shape
    pick = torch.randint(len(places), (2, n_chains, n_rows), generator=generator)
    row = torch.arange(n_rows)
    difference = places[pick[0], row] - places[pick[1], row]
    whole = torch.rand((n_chains, n_rows, 1), dtype=x.dtype, generator=generator)
    share = torch.randint(1, 4, (n_chains, n_rows, 1), generator=generator) / 3.0
    moved = torch.rand(x.shape, dtype=x.dtype, generator=generator) < share
    moved |= ~moved.any(-1, keepdim=True)
    scale = 2.38 / (2.0 * moved.sum(-1, keepdim=True)).sqrt()
    jump = whole < _JUMP_SHARE
    scale = torch.where(jump, 1.0, scale)
    spread = places.std(0) * _NUDGE
    nudge = spread * torch.randn(x.shape, dtype=x.dtype, generator=generator)
    return torch.where(moved | jump, scale * difference, 0.0) + nudge


def split_r_hat(x: Float[Tensor, "sweep chain row free"]) -> Float[Tensor, " row"]:
    """Spread between half-chains beside that within, the largest of all coordinates; 1 where they agree."""
    half = len(x) // 2
    split = torch.cat((x[:half], x[half : 2 * half]), dim=1)
    within = split.var(0).mean(0)
    between = split.mean(0).var(0)
    return (((half - 1) / half * within + between) / within.clamp(min=1e-300)).sqrt().amax(-1)
