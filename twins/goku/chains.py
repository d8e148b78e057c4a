"""Markov chains on a density, many chains and many rows at once, that follow its local shape.

Most moves are Langevin steps in the metric of the local information (simplified manifold MALA: Girolami and Calderhead,
J. R. Stat. Soc. B 73 (2011)), which go round bends where one covariance for all does not; every few sweeps a chain tries
the difference of two earlier places of all chains instead (differential evolution: ter Braak and Vrugt, Stat. Comput. 18
(2008)), which leads from one top to another. Split R-hat: Vehtari et al., Bayesian Anal. 16 (2021).
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from twins.goku.group_density import GroupDensity, Quadratic

_BLOCK = 60  # sweeps between two looks at the chains; the first one sets the steps' lengths
_JUMP_EVERY = 4
_WANTED_ACCEPTANCE = 0.65
_ADAPTING = 0.15


@dataclass(frozen=True, slots=True)
class Chains:
    """x: (draw, row, free) after the first block, thinned; r_hat: (row,), the largest of all coordinates; accepted: (row,),
    share of Langevin steps; sweeps: (row,), how many were done."""

    x: Float[Tensor, "draw row free"]
    r_hat: Float[Tensor, " row"]
    accepted: Float[Tensor, " row"]
    sweeps: Int64[Tensor, " row"]


def run_chains(
    density: GroupDensity,
    groups: Int64[Tensor, " row"],
    start: Float[Tensor, "draw row free"],
    *,
    n_chains: int,
    n_sweeps: int,
    n_draws: int,
    largest_r_hat: float,
    generator: torch.Generator,
) -> Generator[tuple[float, int], None, Chains]:
    """Sweeps until R-hat is small, row by row, or `n_sweeps` are done. Yields (share of sweeps done, rows under way).

    start: at least as many draws as chains, wider than the density rather than narrower; the first ones are the
    chains' starts, all are the first places that differences are taken of.
    """
    n_rows, size = start.shape[1:]
    found = Chains(
        torch.zeros(n_draws, n_rows, size, dtype=torch.float64),
        torch.full((n_rows,), torch.inf, dtype=torch.float64),
        torch.zeros(n_rows, dtype=torch.float64),
        torch.zeros(n_rows, dtype=torch.int64),
    )
    rows = torch.arange(n_rows)
    walk = _Walk(density, groups, start[:n_chains], start)
    done = 0
    while len(rows) and done < n_sweeps:
        block = min(_BLOCK, n_sweeps - done)
        for _ in range(block):
            walk.sweep(generator, adapting=done < _BLOCK)
            done += 1
            yield done / n_sweeps, len(rows)
        if done == _BLOCK and done < n_sweeps:
            walk.forget()
            continue
        x = torch.stack(walk.history)
        r_hat = split_r_hat(x)
        ended = (r_hat <= largest_r_hat) | torch.tensor(done >= n_sweeps)
        place = rows[ended]
        found.x[:, place] = _thinned(x[:, :, ended], n_draws)
        found.r_hat[place], found.sweeps[place] = r_hat[ended], done
        found.accepted[place] = walk.acceptance()[ended]
        rows = rows[~ended]
        walk = walk.only(~ended)
    return found


class _Walk:
    """Where all chains of the rows under way are, and have been."""

    def __init__(self, density: GroupDensity, groups: Tensor, x: Tensor, places: Tensor) -> None:
        self.density, self.groups, self.x = density, groups, x.clone()
        self.archive = [places]
        self.history: list[Tensor] = []
        self.here = self._look(self.x)
        self.step = torch.ones(x.shape[1], dtype=torch.float64)
        self._taken = torch.zeros(x.shape[1], dtype=torch.float64)
        self._tried = 0
        self._n = 0

    def sweep(self, generator: torch.Generator, *, adapting: bool) -> None:
        """One move of every chain."""
        self._n += 1
        if self._n % _JUMP_EVERY == 0:
            self._jump(generator)
        else:
            taken = self._langevin(generator).double().mean(0)
            self._taken += taken
            self._tried += 1
            if adapting:
                self.step *= (_ADAPTING * (taken - _WANTED_ACCEPTANCE)).exp()
                self.step.clamp_(0.02, 1.6)
        self.history.append(self.x)
        if self._n % _JUMP_EVERY == 0:
            self.archive.append(self.x)

    def acceptance(self) -> Tensor:
        """Share of Langevin steps that were taken, by row."""
        return self._taken / max(self._tried, 1)

    def forget(self) -> None:
        """Begin to count here."""
        self.archive, self.history = self.archive[len(self.archive) // 2 :], []
        self._taken.zero_()
        self._tried = 0

    def only(self, rows: Bool[Tensor, " row"]) -> _Walk:
        """With these rows alone."""
        other = object.__new__(_Walk)
        other.density, other.groups, other.x = self.density, self.groups[rows], self.x[:, rows]
        other.archive = [part[:, rows] for part in self.archive]
        other.history = [part[:, rows] for part in self.history]
        other.here = Quadratic(self.here.value[:, rows], self.here.gradient[:, rows], self.here.precision[:, rows])
        other.step, other._taken = self.step[rows], self._taken[rows]
        other._tried, other._n = self._tried, self._n
        return other

    def _look(self, x: Tensor) -> Quadratic:
        """The density around each place; all parts with the axes (chain, row)."""
        found = self.density.quadratic(x.flatten(0, 1), self.groups.repeat(len(x)))
        shape = x.shape[:2]
        return Quadratic(*(part.reshape(*shape, *part.shape[1:]) for part in (
            found.value, found.gradient, found.precision
        )))  # fmt: skip

    def _langevin(self, generator: torch.Generator) -> Tensor:
        step = self.step[:, None]
        forth = _Step.of(self.x, self.here, step)
        proposed = forth.draw(torch.randn(self.x.shape, dtype=torch.float64, generator=generator))
        there = self._look(proposed)
        back = _Step.of(proposed, there, step)
        ratio = there.value - self.here.value + back.log_density(self.x) - forth.log_density(proposed)
        return self._take(proposed, there, ratio, generator)

    def _jump(self, generator: torch.Generator) -> None:
        places = torch.cat(self.archive)
        n_chains, n_rows, size = self.x.shape
        pick = torch.randint(len(places), (2, n_chains, n_rows), generator=generator)
        row = torch.arange(n_rows)
        difference = places[pick[0], row] - places[pick[1], row]
        whole = torch.rand((n_chains, n_rows, 1), dtype=torch.float64, generator=generator) < 0.5
        scale = torch.where(whole, 1.0, 1.2 / size**0.5)
        proposed = self.x + scale * difference
        there = self._look(proposed)
        self._take(proposed, there, there.value - self.here.value, generator)

    def _take(self, proposed: Tensor, there: Quadratic, ratio: Tensor, generator: torch.Generator) -> Tensor:
        """Metropolis' rule."""
        chance = torch.rand(ratio.shape, dtype=torch.float64, generator=generator).log()
        taken = torch.isfinite(there.value) & (chance < torch.nan_to_num(ratio, nan=-torch.inf, posinf=torch.inf))
        self.x = torch.where(taken.unsqueeze(-1), proposed, self.x)
        self.here = Quadratic(
            torch.where(taken, there.value, self.here.value),
            torch.where(taken.unsqueeze(-1), there.gradient, self.here.gradient),
            torch.where(taken[..., None, None], there.precision, self.here.precision),
        )
        return taken


@dataclass(frozen=True, slots=True)
class _Step:
    """The Gaussian that a Langevin step is drawn from: mean, and factor of its precision (without the length)."""

    mean: Tensor
    factor: Tensor
    length: Tensor

    @classmethod
    def of(cls, x: Tensor, here: Quadratic, length: Tensor) -> _Step:
        factor, failed = torch.linalg.cholesky_ex(here.precision)
        unit = torch.eye(x.shape[-1], dtype=x.dtype)
        factor = torch.where((failed > 0)[..., None, None], unit, factor)
        uphill = torch.cholesky_solve(here.gradient.unsqueeze(-1), factor).squeeze(-1)
        return cls(x + 0.5 * length.square() * uphill, factor, length)

    def draw(self, normal: Tensor) -> Tensor:
        white: Tensor = torch.linalg.solve_triangular(self.factor.mT, normal.unsqueeze(-1), upper=True).squeeze(-1)
        return self.mean + self.length * white

    def log_density(self, x: Tensor) -> Tensor:
        """But for a constant that is the same forth and back."""
        white = (self.factor.mT @ (x - self.mean).unsqueeze(-1)).squeeze(-1) / self.length
        return self.factor.diagonal(dim1=-2, dim2=-1).log().sum(-1) - 0.5 * white.square().sum(-1)


def _thinned(x: Float[Tensor, "sweep chain row free"], n: int) -> Float[Tensor, "draw row free"]:
    flat: Tensor = x.flatten(0, 1)
    at = torch.linspace(0, len(flat) - 1, n).round().to(torch.int64)
    kept: Tensor = flat[at]
    return kept


def split_r_hat(x: Float[Tensor, "sweep chain row free"]) -> Float[Tensor, " row"]:
    """Spread between half-chains beside that within, the largest of all coordinates; 1 where they agree."""
    half = len(x) // 2
    split = torch.cat((x[:half], x[half : 2 * half]), dim=1)
    within = split.var(0).mean(0)
    between = split.mean(0).var(0)
    ratio = ((half - 1) / half * within + between) / within.clamp(min=1e-300)
    largest: Tensor = ratio.sqrt().amax(-1)
    return largest
