"""Honest widths for a network's posterior: it is asked about simulations of what it says itself, whose truth is known.

An evidence lower bound asks for widths that fit the trace, not for those that hold the encoder's own error: a network that
is not yet exact is too sure. So after the fit parameters and initial states are drawn from what it infers of the traces,
traces are simulated from them (one trajectory each, with process and observation noise, the same times, gaps and drive), and
the widths are multiplied, a factor for each quantity, until 90 % intervals hold 90 % of the truth
(compare Talts et al., "Validating Bayesian inference algorithms with simulation-based calibration", 2018).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from twins.goku.network.batch import Batch, chunks, repeated
from twins.goku.network.model import GokuNet
from twins.goku.network.shooting import Windows, solve_windows

_Z90 = 1.6448536269514722
_FEWEST = 50
_ROUNDS = 4


@dataclass(frozen=True, slots=True)
class Widened:
    """Coverage of 90 % intervals in simulations, mean over the parameters, before and after; factors: on the widths."""

    n_simulations: int
    coverage90_before: float
    coverage90_after: float
    factors: tuple[float, ...]


def widen(net: GokuNet, batch: Batch, *, n_simulations: int, generator: torch.Generator) -> Widened | None:
    """Set the factors of a network with posterior = "physical".

    n_simulations: of each round. Wider posteriors draw from a wider population, in which the network errs otherwise: so a few
    rounds, and fresh simulations to judge the last one. None, and nothing set, where fewer than 50 did not diverge.
    """
    net.latents.narrow()
    coverage = []
    for _ in range(_ROUNDS):
        parameters, states = _simulated(net, batch, n_simulations, generator)
        if len(parameters) < _FEWEST:
            net.latents.narrow()
            return None
        coverage.append(float((parameters <= _Z90).double().mean()))
        net.latents.widen(parameters.quantile(0.9, dim=0) / _Z90, states.quantile(0.9, dim=0) / _Z90)
    judged, _ = _simulated(net, batch, n_simulations, generator)
    factors = tuple(float(factor) for factor in net.latents.get_buffer("parameter_widening"))
    return Widened(n_simulations, coverage[0], float((judged <= _Z90).double().mean()), factors)


def _simulated(net: GokuNet, batch: Batch, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Sizes of the deviations of n simulations, in widths."""
    with torch.no_grad():
        parts = [_deviations(net, part, generator) for part in chunks(repeated(batch, n))]
    parameters, states = (torch.cat(side).abs() for side in zip(*parts, strict=True))
    return parameters, states


def _deviations(
    net: GokuNet, batch: Batch, generator: torch.Generator
) -> tuple[Float[Tensor, "trace parameter"], Float[Tensor, "trace state"]]:
    """(truth - mean) / width of parameters (as logits) and initial states, where the simulation did not diverge."""
    whole = Windows(batch.values.shape[1], None)
    drawn, logits = net.draw_with_logits(batch, generator)
    states, diverged = solve_windows(
        net.system, whole, drawn.initial[:, :1], drawn.parameters, batch.times_s, batch.drive,
        substeps=net.spec.substeps, noisy=net.system.stochastic, generator=generator,
    )  # fmt: skip
    values = net.observe(states[:, 0], drawn.parameters)
    values = values + net.noise_sd * torch.randn(values.shape, generator=generator, dtype=values.dtype)
    moments = net.moments(Batch(values, batch.seen, batch.times_s, batch.drive, batch.shared))
    kept = ~diverged.any(1)
    of_groups = kept if batch.shared is None else ~batch.shared.any(~kept)
    width = moments.factor.square().sum(-1).sqrt()
    of_states = (net.latents.scaled(drawn.initial[:, 0]) - moments.state_mean[:, 0]) / moments.state_sd[:, 0]
    return ((logits - moments.logits) / width)[of_groups], of_states[kept]
