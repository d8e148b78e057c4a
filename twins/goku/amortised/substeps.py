"""How many solver steps a sample the simulations of an amortised posterior need."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from twins.goku.amortised.design import Simulator
from twins.goku.simulated.substeps import FEWEST_WITH_NOISE, MOST_SUBSTEPS, fewest_steps, substeps_for
from twins.goku.trajectories import drawn_noise
from twins.solver import draw_noise

_HIDDEN = 0.3  # of the smallest noise: an error of the solver below this is not seen
_SHARE = 0.9  # of the draws
_FIRST_LIMIT = 32  # steps a sample; beyond them the error of single samples is looked at as well
_CHAOTIC = 1e-4  # of each state's spread: the error of one sample that is allowed where paths part whatever the steps
_BEYOND = 4  # times as many steps as single samples need
_DRAWS, _FEWEST_DRAWS = 128, 16
_MOST_NOISE = 1 << 24  # numbers

Observed = tuple[Float[Tensor, "simulation time channel"], Bool[Tensor, " simulation"]]


def enough_substeps(simulator: Simulator, generator: torch.Generator) -> int:
    """The fewest solver steps a sample (a power of two) whose error the smallest observation noise hides.

    Judged by twice as many, with the system's own noise the same in both, on nine of ten draws from the prior. Equations
    with noise of their own get at least 4, as their likelihood does. Where 32 do not hide it, as many as ``substeps_for``
    finds for single samples; without noise, up to four times as many, until paths agree. If they part even then, they are
    chaotic, and no number of steps suits all. Raises EquationInvalid where 1024 are not accurate within a single sample.
    """
    noisy = simulator.system.stochastic
    judged = _Judged.of(simulator, generator)
    fewest = FEWEST_WITH_NOISE if noisy else 1
    steps = fewest_steps(judged.solve, judged.change, tolerance=_HIDDEN, fewest=fewest, most=_FIRST_LIMIT)
    if steps.enough:
        return steps.substeps
    needed = max(_FIRST_LIMIT, judged.of_single_samples())
    if noisy:  # what the steps change of its law is then hidden by its own noise, if not by that of the observation
        return needed
    most = min(MOST_SUBSTEPS, _BEYOND * needed)
    return fewest_steps(judged.solve, judged.change, tolerance=_HIDDEN, fewest=2 * _FIRST_LIMIT, most=most).substeps


@dataclass(slots=True)
class _Judged:
    """The same draws and the same noise, solved by different numbers of steps."""

    simulator: Simulator
    generator: torch.Generator
    coordinates: Tensor
    rows: Int64[Tensor, " simulation"]
    noise: Tensor | None = None

    @classmethod
    def of(cls, simulator: Simulator, generator: torch.Generator) -> _Judged:
        """From the prior; fewer draws where their noise would fill the memory."""
        system, design = simulator.system, simulator.design
        numbers = 2 * _FIRST_LIMIT * design.n_samples * system.n_states if system.stochastic else 1
        n = min(_DRAWS, max(_FEWEST_DRAWS, _MOST_NOISE // numbers))
        rows = torch.randint(len(design.steps_s), (n,), generator=generator)
        return cls(simulator, generator, simulator.prior(n, generator), rows)

    def solve(self, substeps: int) -> Observed:
        """By so many steps a sample, each time as many as before or twice as many."""
        return self.simulator.observed(
            self.coordinates, self.rows, self.generator, substeps=substeps, noise=self._noise(substeps)
        )

    def change(self, coarse: Observed, fine: Observed) -> float:
        """In units of the smallest observation noise, of the worst channel: what nine of ten draws stay below. Draws that
        run away in both do not count."""
        (here, kept), (finer, also) = coarse, fine
        error = (here - finer).square().mean(dim=1).sqrt() / self.simulator.noise_low
        error = torch.where(kept & also, error.amax(dim=-1), torch.inf)[kept | also]
        return float(error.quantile(_SHARE, interpolation="higher")) if len(error) else math.inf

    def of_single_samples(self) -> int:
        """What ``substeps_for`` finds for these draws."""
        design, system = self.simulator.design, self.simulator.system
        parameters, initial = self.simulator.process(self.coordinates)
        return substeps_for(
            system,
            initial,
            parameters,
            step_s=float(design.steps_s.max()),
            n_steps=design.n_samples - 1,
            drive=self._drive(),
            noisy=system.stochastic,
            tolerance=_CHAOTIC,
        )

    def _noise(self, substeps: int) -> Tensor | None:
        """Each number of a step gives two of half the length, whose increments add up to its own (Lévy's construction)."""
        system, n_steps = self.simulator.system, self.simulator.design.n_samples - 1
        if not system.stochastic:
            return None
        if self.noise is None:
            parameters, initial = self.simulator.process(self.coordinates)
            self.noise = drawn_noise(system, initial, parameters, self._drive(), n_steps, substeps, self.generator)
        elif len(self.noise) != n_steps * substeps:
            apart = draw_noise(tuple(self.noise.shape), self.noise, self.generator)
            halves = torch.stack((self.noise + apart, self.noise - apart), dim=1) / math.sqrt(2.0)
            self.noise = halves.flatten(0, 1)
        return self.noise

    def _drive(self) -> Tensor | None:
        drive = self.simulator.design.drive
        return None if drive is None else drive[self.rows].transpose(0, 1)[:-1]
