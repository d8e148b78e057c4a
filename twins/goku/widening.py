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

from twins.goku.batch import Batch, chunks, repeated
from twins.goku.model import GokuNet
from twins.goku.shooting import Windows, solve_windows

_Z90 = 1.6448536269514722
_FEWEST = 50
_CHUNK = 256


@dataclass(frozen=True, slots=True)
class Widened:
    """Coverage of 90 % intervals in simulations, mean over the parameters, before and after; factors: on the widths."""

    n_simulations: int
    coverage90_before: float
    coverage90_after: float
    factors: tuple[float, ...]


def widen(net: GokuNet, batch: Batch, *, n_simulations: int, generator: torch.Generator) -> Widened | None:
    """Set the factors of a network with posterior = "physical"; half of the simulations judge what the others say.

    None, and nothing set, where fewer than 50 simulations of each half did not diverge.
    """
    net.latents.narrow()
    with torch.no_grad():
        parts = [
            _deviations(net, part, generator)
            for part in chunks(repeated(batch, n_simulations), min(_CHUNK, n_simulations))
        ]
    parameters, states = (torch.cat(side) for side in zip(*parts, strict=True))
    half = len(parameters) // 2
    if half < _FEWEST:
        return None
    of_parameters, of_states = (side[:half].abs().quantile(0.9, dim=0) / _Z90 for side in (parameters, states))
    net.latents.widen(of_parameters, of_states)
    judged = parameters[half:].abs()
    return Widened(
        len(parameters),
        float((judged <= _Z90).double().mean()),
        float((judged <= _Z90 * of_parameters).double().mean()),
        tuple(float(factor) for factor in of_parameters),
    )


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
    moments = net.moments(Batch(values, batch.seen, batch.times_s, batch.drive))
    kept = ~diverged.any(1)
    width = moments.factor.square().sum(-1).sqrt()
    of_states = (net.latents.scaled(drawn.initial[:, 0]) - moments.state_mean[:, 0]) / moments.state_sd[:, 0]
    return ((logits - moments.logits) / width)[kept], of_states[kept]
