"""A posterior for any trace of a known equation, learned from simulations: neural posterior estimation.

Papamakarios and Murray, "Fast ε-free inference of simulation models with Bayesian conditional density estimation"
(NeurIPS 2016); Greenberg, Nonnenmacher, Macke, "Automatic posterior transformation" (ICML 2019). Parameters, initial
states and noise levels are drawn from their ranges, traces are simulated and measured as the design was, and a network
learns the density of the first given the second. Training needs no measured values, and one network serves any number
of traces.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from twins.errors import SeriesInvalid
from twins.goku.amortised.calibration import LevelMap, calibrated_draws
from twins.goku.amortised.design import Design, Simulator
from twins.goku.amortised.membership import unlike_design
from twins.goku.amortised.mixture import Mixture
from twins.goku.amortised.network import PosteriorNetwork
from twins.goku.amortised.trust import TrustReference, misfit
from twins.goku.posterior import Posterior
from twins.goku.series import Series

_AT_ONCE = 1024  # traces


@dataclass(frozen=True, slots=True, eq=False)
class AmortisedPosterior:
    """What ``fit_amortised`` gives. Traces that share parameters (groups) are inferred one by one, as if they did not.

    names, units: of the channels. coverage90_before, coverage90_after: by coordinate name (parameters, initial states,
    noise levels), of 90 % intervals on held-out simulations, before and after calibration. n_simulations and n_diverged
    count what training drew.
    """

    simulator: Simulator
    network: PosteriorNetwork
    level_map: LevelMap
    trust: TrustReference
    names: tuple[str, ...]
    units: tuple[str, ...]
    coverage90_before: Mapping[str, float]
    coverage90_after: Mapping[str, float]
    n_simulations: int
    n_diverged: int
    held_out_loss: float
    seconds: float

    @torch.no_grad()
    def infer(self, series: Series, n_draws: int = 1000, *, generator: torch.Generator) -> Posterior:
        """Draws for every trace. Raises SeriesInvalid for other channels or another number of samples.

        A trace is not trusted where it is unlike the simulations, or was measured unlike the design.
        """
        self._check(series)
        parts = [
            self._infer(series.select(np.arange(start, min(start + _AT_ONCE, series.n_traces))), n_draws, generator)
            for start in range(0, series.n_traces, _AT_ONCE)
        ]
        coordinates = torch.cat([part for part, _ in parts])
        why = {
            _AT_ONCE * number + trace: reason
            for number, (_, told) in enumerate(parts)
            for trace, reason in told.items()
        }
        return self._posterior(coordinates, why)

    def density(self, series: Series) -> Mixture:
        """The network's own density, before calibration, in coordinates in which the prior is standard normal."""
        self._check(series)
        design = Design.of(series, self.simulator.system)
        with torch.no_grad():
            mixture: Mixture = self.network(torch.from_numpy(series.values.copy()), design.steps_s, design.drive)
        return mixture.to(torch.float64)

    def coordinate_names(self) -> tuple[str, ...]:
        """Parameters, then "initial NAME", then "noise of CHANNEL"."""
        return coordinate_names(self.simulator, self.names)

    def _check(self, series: Series) -> None:
        shape = self.network.shape
        if (series.n_samples, series.n_channels) != (shape.n_samples, shape.n_channels):
            raise SeriesInvalid(
                f"this posterior was trained for {shape.n_samples} samples of {shape.n_channels} channels, "
                f"the series have {series.n_samples} of {series.n_channels}; take as many, or train for these"
            )
        if (series.names, series.units) != (self.names, self.units):
            raise SeriesInvalid(
                f"this posterior was trained for the channels {self.names} in {self.units}, "
                f"the series have {series.names} in {series.units}"
            )

    def _infer(self, series: Series, n_draws: int, generator: torch.Generator) -> tuple[Tensor, dict[int, str]]:
        own = replace(self.simulator, design=Design.of(series, self.simulator.system))
        values = torch.from_numpy(series.values.copy())
        mixture = self.network(values, own.design.steps_s, own.design.drive).to(torch.float64)
        drawn = calibrated_draws(mixture, mixture.draw(n_draws, generator), self.level_map)
        fits = misfit(own, values, drawn, torch.arange(series.n_traces), generator)
        summaries = self.network.summary(self.network.scaled(values, own.design.steps_s))
        why = self.trust.why_not(summaries, fits)
        why.update(unlike_design(self.simulator.design, own.design, self.network.shape.varying))
        return drawn, why

    def _posterior(self, coordinates: Float[Tensor, "trace draw coordinate"], why: dict[int, str]) -> Posterior:
        parameters, initial, noise_sd = self.simulator.physical(coordinates)
        system = self.simulator.system
        n_traces, n_draws = coordinates.shape[:2]
        trusted = np.ones(n_traces, dtype=bool)
        trusted[list(why)] = False
        return Posterior(
            parameter_names=system.parameter_names,
            parameter_units=tuple(quantity.unit for quantity in system.flat_parameters),
            parameters=parameters.numpy(),
            initial=initial.numpy(),
            noise_sd=noise_sd.numpy(),
            weights=np.full((n_traces, n_draws), 1.0 / n_draws),
            how="amortised",
            trusted=trusted,
            why=why,
        )


def coordinate_names(simulator: Simulator, channels: tuple[str, ...]) -> tuple[str, ...]:
    """Names of parameters, initial states and noise levels, in the order of the coordinates."""
    states = (f"initial {quantity.name}" for quantity in simulator.system.flat_states)
    return (*simulator.system.parameter_names, *states, *(f"noise of {name}" for name in channels))
