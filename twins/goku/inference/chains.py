"""Markov chains on a density, many chains and many rows at once, that follow its local shape.

Three kinds of moves take turns. Langevin steps in the metric of the local information (simplified manifold MALA:
Girolami and Calderhead, J. R. Stat. Soc. B 73 (2011)) go round bends where one covariance for all does not. The
difference of two earlier places of all chains (differential evolution: ter Braak and Vrugt, Stat. Comput. 18 (2008))
leads from one top to another. A draw from a mixture fitted beforehand (the independence chain of Tierney, Ann. Stat. 22
(1994)) leads out of where the metric changes within a step, as where a noise level can be told from 0 or not. The latter
two need no slopes and cost little. Split R-hat: Vehtari et al., Bayesian Anal. 16 (2021).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Generator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from twins.goku.inference.deadline import NEVER, Deadline
from twins.goku.inference.funnel import Funnel
from twins.goku.inference.group_density import GroupDensity, Quadratic
from twins.goku.inference.importance import Mixture

_BLOCK = 60  # sweeps between two looks at the chains; the first one sets the steps' lengths
_MOVES = ("langevin", "langevin", "langevin", "mixture", "jump", "mixture", "jump", "jump")
_ARCHIVE_EVERY = 4
_WANTED_ACCEPTANCE = 0.65
_ADAPTING = 0.15


@dataclass(frozen=True, slots=True)
class Chains:
    """x: (draw, row, free), the last two thirds after the first block, thinned;
    r_hat: (row,), the largest of all coordinates; accepted: (row,),
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
    mixture: Mixture | None = None,
    funnel: Funnel | None = None,
    out_of_time: Deadline = NEVER,
) -> Generator[tuple[float, int], None, Chains]:
    """Sweeps until R-hat is small, row by row, or `n_sweeps` are done. Yields (share of sweeps done, rows under way).

    start: at least as many draws as chains, wider than the density rather than narrower; the first ones are the
    chains' starts, all are the first places that differences are taken of. mixture: that
    draws are tried from. funnel: in whose coordinates the mixture is, and differences are taken.
    """
    n_rows, size = start.shape[1:]
    found = Chains(
        torch.zeros(n_draws, n_rows, size, dtype=torch.float64),
        torch.full((n_rows,), torch.inf, dtype=torch.float64),
        torch.zeros(n_rows, dtype=torch.float64),
        torch.zeros(n_rows, dtype=torch.int64),
    )
    rows = torch.arange(n_rows)
    walk = _Walk(density, groups, start[:n_chains], start, mixture, funnel)
    done = 0
    while len(rows) and done < n_sweeps:
        block = min(_BLOCK, n_sweeps - done)
        for _ in range(block):
            walk.sweep(generator, adapting=done < _BLOCK)
            done += 1
            yield done / n_sweeps, len(rows)
            if out_of_time():
                break
        late = out_of_time()
        if done == _BLOCK and done < n_sweeps and not late:
            walk.forget()
            continue
        x = torch.stack(walk.history[len(walk.history) // 3 :])  # the first part may still remember the starts
        r_hat = split_r_hat(x) if done > _BLOCK or done >= n_sweeps else torch.full((len(rows),), torch.inf)
        ended = (r_hat <= largest_r_hat) | torch.tensor(done >= n_sweeps or late)
        place = rows[ended]
        found.x[:, place] = _thinned(x[:, :, ended], n_draws)
        found.r_hat[place], found.sweeps[place] = r_hat[ended], done
        found.accepted[place] = walk.acceptance()[ended]
        rows = rows[~ended]
        walk = walk.only(~ended)
    return found


class _Walk:
    """Where all chains of the rows under way are, and have been."""

    def __init__(
        self,
        density: GroupDensity,
        groups: Tensor,
        x: Tensor,
        places: Tensor,
        mixture: Mixture | None,
        funnel: Funnel | None,
    ) -> None:
        self.density, self.groups, self.x = density, groups, x.clone()
        self.mixture, self.funnel = mixture, funnel
        self.archive = [self._into(places)[0]]
        self._looked = True  # slopes are those of the present places
        self.history: list[Tensor] = []
        self.here = self._look(self.x)
        self.step = torch.ones(x.shape[1], dtype=torch.float64)
        self._taken = torch.zeros(x.shape[1], dtype=torch.float64)
        self._tried = 0
        self._n = 0

    def sweep(self, generator: torch.Generator, *, adapting: bool) -> None:
        """One move of every chain."""
        move = _MOVES[self._n % len(_MOVES)]
        self._n += 1
        if move == "langevin":
            if not self._looked:
                self.here, self._looked = self._look(self.x), True
            taken = self._langevin(generator).double().mean(0)
            self._taken += taken
            self._tried += 1
            if adapting:
                self.step *= (_ADAPTING * (taken - _WANTED_ACCEPTANCE)).exp()
                self.step.clamp_(0.02, 1.6)
        elif move == "mixture" and self.mixture is not None:
            self._independent(self.mixture, generator)
        else:
            self._jump(generator)
        self.history.append(self.x)
        if self._n % _ARCHIVE_EVERY == 0:
            self.archive.append(self._into(self.x)[0])

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
        other._tried, other._n, other._looked = self._tried, self._n, self._looked
        mixed, other.funnel = self.mixture, self.funnel
        other.mixture = mixed and Mixture(mixed.centre[rows], mixed.factor[rows], mixed.share[rows])
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
        here, log_slope = self._into(self.x)
        proposed, new_log_slope = self._out(here + scale * difference)
        value = self.density.value(proposed, self.groups)
        self._move(proposed, value, value + new_log_slope - self.here.value - log_slope, generator)

    def _independent(self, mixture: Mixture, generator: torch.Generator) -> None:
        proposed = mixture.draw(len(self.x), generator)
        proposed = proposed[torch.randperm(len(self.x), generator=generator)]  # each part is drawn from in turn
        here, log_slope = self._into(self.x)
        ratio = mixture.log_density(here) - mixture.log_density(proposed) - self.here.value - log_slope
        proposed, new_log_slope = self._out(proposed)
        value = self.density.value(proposed, self.groups)
        self._move(proposed, value, ratio + value + new_log_slope, generator)

    def _into(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return (x, torch.zeros_like(x[..., 0])) if self.funnel is None else self.funnel.into(x, self.groups)

    def _out(self, w: Tensor) -> tuple[Tensor, Tensor]:
        return (w, torch.zeros_like(w[..., 0])) if self.funnel is None else self.funnel.out(w, self.groups)

    def _move(self, proposed: Tensor, value: Tensor, ratio: Tensor, generator: torch.Generator) -> None:
        """Metropolis' rule without slopes, which are looked at where they are needed next."""
        taken = _accepted(value, ratio, generator)
        self.x = torch.where(taken.unsqueeze(-1), proposed, self.x)
        self.here = dataclasses.replace(self.here, value=torch.where(taken, value, self.here.value))
        self._looked = False

    def _take(self, proposed: Tensor, there: Quadratic, ratio: Tensor, generator: torch.Generator) -> Tensor:
        """Metropolis' rule."""
        taken = _accepted(there.value, ratio, generator)
        self.x = torch.where(taken.unsqueeze(-1), proposed, self.x)
        self.here = Quadratic(
            torch.where(taken, there.value, self.here.value),
            torch.where(taken.unsqueeze(-1), there.gradient, self.here.gradient),
            torch.where(taken[..., None, None], there.precision, self.here.precision),
        )
        return taken


def _accepted(value: Tensor, ratio: Tensor, generator: torch.Generator) -> Bool[Tensor, "chain row"]:
    chance = torch.rand(ratio.shape, dtype=torch.float64, generator=generator).log()
    return torch.isfinite(value) & (chance < torch.nan_to_num(ratio, nan=-torch.inf, posinf=torch.inf))


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
