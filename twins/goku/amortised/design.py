"""How the traces were measured, and simulations measured in the same way."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from twins.errors import EquationInvalid, SeriesInvalid
from twins.goku.amortised.calibration import scores
from twins.goku.observation import Observation
from twins.goku.series import Series
from twins.goku.system import System
from twins.goku.trajectories import solve_guarded

_FEWEST_KEPT = 0.02  # of the simulations; with fewer, the ranges are not of this equation


@dataclass(frozen=True, slots=True, eq=False)
class Design:
    """Times, gaps and drives of the measured traces, as tensors.

    steps_s: (trace, time - 1); seen: (trace, time, channel), False where a sample is missing; drive: (trace, time,
    drive channel) or None. uniform_step_s: the sampling time, if it is one.
    """

    steps_s: Float[Tensor, "trace step"]
    seen: Bool[Tensor, "trace time channel"]
    drive: Float[Tensor, "trace time drive"] | None
    uniform_step_s: float | None

    @classmethod
    def of(cls, series: Series, system: System) -> Design:
        """Raises SeriesInvalid where the drives do not fit the equation."""
        if bool(system.drives) != (series.drive is not None):
            wanted = ", ".join(quantity.name for quantity in system.drives) or "none"
            raise SeriesInvalid(
                f"{system.name}: its drives are {wanted}; the series have {series.drive_names or 'none'}"
            )
        if series.drive is not None and len(series.drive_names) != len(system.drives):
            raise SeriesInvalid(f"{system.name} has {len(system.drives)} drives, the series {len(series.drive_names)}")
        drive = None if series.drive is None else torch.from_numpy(series.drive.copy())
        steps = torch.from_numpy(np.diff(series.times_s, axis=1))
        return cls(steps, torch.from_numpy(series.seen), drive, series.uniform_step_s)

    @property
    def n_samples(self) -> int:
        """Samples a trace."""
        return int(self.seen.shape[1])

    @property
    def n_channels(self) -> int:
        """Observed channels."""
        return int(self.seen.shape[2])

    @property
    def has_gaps(self) -> bool:
        """Whether any sample of any trace is missing."""
        return not bool(self.seen.all())

    def steps_for(self, rows: Int64[Tensor, " simulation"]) -> float | Float[Tensor, "step simulation"]:
        """The step lengths of these traces, as the solver takes them."""
        return self.steps_s[rows].T if self.uniform_step_s is None else self.uniform_step_s

    def gaps(
        self, rows: Int64[Tensor, " simulation"], generator: torch.Generator
    ) -> Bool[Tensor, "simulation time channel"]:
        """What is seen: half of the simulations have the gaps of their trace, half as many gaps at random places."""
        seen = self.seen[rows]
        if not self.has_gaps:
            return seen
        rate = seen.to(torch.float32).mean(dim=1, keepdim=True)
        scattered = torch.rand(seen.shape, generator=generator) < rate
        scattered[:, 0] |= ~scattered.any(dim=1)  # a channel that is never seen says nothing, and is no trace
        own = torch.rand((len(rows), 1, 1), generator=generator) < 0.5
        return torch.where(own, seen, scattered)


@dataclass(frozen=True, slots=True, eq=False)
class Simulations:
    """Noise-free (but for the system's own noise) observations of draws from the prior.

    clean: (simulation, time, channel); coordinates: (simulation, parameter + state), standard normal under the prior;
    rows: the measured trace whose times, gaps and drive each one has. diverged: how many more ran away.
    """

    clean: Float[Tensor, "simulation time channel"]
    coordinates: Float[Tensor, "simulation coordinate"]
    rows: Int64[Tensor, " simulation"]
    diverged: int

    def __len__(self) -> int:
        return len(self.clean)

    def take(self, index: Tensor | slice) -> Simulations:
        """Only these."""
        return replace(self, clean=self.clean[index], coordinates=self.coordinates[index], rows=self.rows[index])


@dataclass(frozen=True, slots=True, eq=False)
class Simulator:
    """An equation behind an observation, measured like `design`, with noise between two levels a channel.

    noise_low, noise_high: (channel,), standard deviations in the channels' units; drawn log-uniformly.
    """

    system: System
    observation: Observation
    design: Design
    noise_low: Float[Tensor, " channel"]
    noise_high: Float[Tensor, " channel"]
    substeps: int
    method: str | None

    @property
    def n_process(self) -> int:
        """Parameters and initial states."""
        return self.system.n_parameters + self.system.n_states

    @property
    def n_coordinates(self) -> int:
        """Parameters, initial states and noise levels."""
        return self.n_process + len(self.noise_low)

    def physical(self, coordinates: Float[Tensor, "... coordinate"]) -> tuple[Tensor, Tensor, Tensor]:
        """(parameters, initial states, noise standard deviations) of coordinates in which the prior is standard normal."""
        return *self.process(coordinates), self.noise_sd(coordinates[..., self.n_process :])

    def process(self, coordinates: Float[Tensor, "... coordinate"]) -> tuple[Tensor, Tensor]:
        """(parameters, initial states) of the first coordinates."""
        unit = torch.special.ndtr(coordinates[..., : self.n_process])
        low, high = self.system.state_range(unit)
        initial = low + (high - low) * unit[..., self.system.n_parameters :]
        return self.system.parameters_from_unit(unit[..., : self.system.n_parameters]), initial

    def noise_sd(self, coordinates: Float[Tensor, "... channel"]) -> Float[Tensor, "... channel"]:
        """Noise levels of their coordinates."""
        levels: Tensor = torch.special.ndtr(coordinates)
        return self.noise_low * (self.noise_high / self.noise_low) ** levels

    def prior(self, n: int, generator: torch.Generator) -> Float[Tensor, "simulation coordinate"]:
        """Coordinates of parameters and initial states as the system draws them. Standard normal, unless its ``draw_states``
        is not uniform in the ranges."""
        parameters, initial = self.system.draw_parameters(n, generator), self.system.draw_states(n, generator)
        low, high = self.system.state_range(initial)
        return scores(torch.cat((self.system.parameters_to_unit(parameters), (initial - low) / (high - low)), dim=-1))

    def draw(self, n: int, generator: torch.Generator) -> Simulations:
        """n draws from the prior, less those that run away. Raises EquationInvalid if nearly all do."""
        coordinates = self.prior(n, generator)
        rows = torch.randint(len(self.design.steps_s), (n,), generator=generator)
        clean, kept = self.observed(coordinates, rows, generator)
        index = kept.nonzero().squeeze(-1)
        if len(index) < max(1, _FEWEST_KEPT * n):
            raise EquationInvalid(
                f"{self.system.name}: {n - len(index)} of {n} simulations from the prior ran away; narrow the ranges"
            )
        return Simulations(clean[index], coordinates[index], rows[index], n - len(index))

    @torch.no_grad()
    def observed(
        self,
        coordinates: Float[Tensor, "simulation coordinate"],
        rows: Int64[Tensor, " simulation"],
        generator: torch.Generator,
        *,
        substeps: int | None = None,
        noisy: bool = True,
        noise: Float[Tensor, "step simulation channel"] | None = None,
    ) -> tuple[Float[Tensor, "simulation time channel"], Bool[Tensor, " simulation"]]:
        """What the channels would show without measurement noise, and which simulations did not run away.

        coordinates of noise levels may follow; they are not used. noisy: with the system's own noise, drawn
        or given as `noise` (unit variance, a row for every step of the solver).
        """
        design = self.design
        parameters, initial = self.process(coordinates)
        drive = None if design.drive is None else design.drive[rows].transpose(0, 1)[:-1]
        solved = solve_guarded(
            self.system,
            initial,
            parameters,
            step_s=design.steps_for(rows),
            n_steps=design.n_samples - 1,
            drive=drive,
            noisy=noisy,
            noise=noise,
            generator=generator,
            substeps=substeps or self.substeps,
            method=self.method,
        )
        outputs = self.system.outputs_of(solved.states, parameters)
        clean = self.observation(outputs).transpose(0, 1)
        return clean, ~solved.diverged & torch.isfinite(clean).all(-1).all(-1)

    def measured(
        self, simulations: Simulations, generator: torch.Generator
    ) -> tuple[Float[Tensor, "simulation time channel"], Float[Tensor, "simulation coordinate"]]:
        """Fresh noise levels, noise and gaps: values with NaN where missing, and all coordinates."""
        n = len(simulations)
        noise = torch.randn((n, self.design.n_channels), dtype=torch.float64, generator=generator)
        sd = self.noise_sd(noise)
        unit = torch.randn(simulations.clean.shape, dtype=simulations.clean.dtype, generator=generator)
        values = simulations.clean + sd.unsqueeze(1) * unit
        seen = self.design.gaps(simulations.rows, generator)
        values = torch.where(seen, values, torch.nan)
        return values, torch.cat((simulations.coordinates, noise), dim=-1)
