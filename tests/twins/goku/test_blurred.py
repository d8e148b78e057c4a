"""First states by their means: the likelihood of the mean, and the states that are drawn from it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from twins.goku.inference.blurred import _first_states, blurred
from twins.goku.inference.kalman import first_kick, predict_filtered
from twins.goku.inference.likelihood import TraceLikelihood
from twins.goku.quantity import Quantity, Values
from twins.goku.simulated.generate import Design, generate
from twins.goku.system import System


class Wandering(System):
    """A linear equation with additive noise."""

    states = (Quantity("x", "V", -1.0, 1.0), Quantity("y", "V", -1.0, 1.0))
    parameters = (Quantity("rate", "1/s", 0.2, 2.0), Quantity("noise", "V", 0.1, 1.0, scale="log"))
    noise = "additive"

    def drift(self, z: Values, p: Any, u: Values) -> object:
        return -p.rate * z.x, z.x - 0.5 * z.y

    def diffusion(self, z: Values, p: Any, u: Values) -> object:
        return p.noise, 0.3 * p.noise


def made() -> tuple[TraceLikelihood, tuple[torch.Tensor, ...]]:
    design = Design(times_s=0.1 * np.arange(12), noise_sd=0.05, substeps=4)
    data = generate(Wandering(), 1, design, seed=1)
    parameters, initial = torch.from_numpy(data.parameters), torch.from_numpy(data.initial)
    return TraceLikelihood(Wandering(), None, data.series), (parameters, initial, torch.full((1, 2), 0.05).double())


def test_the_compiled_filter_begins_with_the_same_uncertainty() -> None:
    likelihood, numbers = made()
    copies = [part.unsqueeze(0) for part in numbers]
    one, other = (
        predict_filtered(
            likelihood.system,
            likelihood.observation,
            likelihood.data,
            *copies,
            substeps=2,
            blurred=True,
            backend=backend,
        )
        for backend in ("loop", "auto")
    )
    torch.testing.assert_close(one.covariance, other.covariance, rtol=1e-10, atol=1e-14)
    assert one.covariance is not None
    kick = first_kick(likelihood.system, likelihood.data, *numbers[:2])
    torch.testing.assert_close(one.covariance[0, 0, 0].diagonal(), kick[0] + 0.05**2, rtol=1e-4, atol=0.0)


def test_first_states_drawn_from_means_have_the_distribution_that_the_trace_gives_them() -> None:
    """For a linear equation: the mean is N(top, 1/J + V) given the trace, the first state N(top, 1/J)."""
    likelihood, (parameters, initial, noise_sd) = made()
    slope, information = likelihood.by_first_state(parameters, initial, noise_sd)
    spread = torch.linalg.inv(information[0])
    top = initial + (spread @ slope[0]).unsqueeze(0)
    of_mean = blurred(likelihood).by_first_state(parameters, top, noise_sd)
    kick = first_kick(likelihood.system, likelihood.data, parameters, top)[0].diag()
    torch.testing.assert_close(torch.linalg.inv(of_mean[1][0]), spread + kick, rtol=1e-3, atol=1e-6)
    n, generator = 6000, torch.Generator().manual_seed(0)
    normal = torch.randn((n, 1, 2), generator=generator, dtype=torch.float64)
    means = top + normal @ torch.linalg.cholesky(spread + kick).mT
    expanded = [part.expand(n, *part.shape) for part in (parameters, noise_sd)]
    many = likelihood.select(torch.zeros(n, dtype=torch.int64))
    drawn = _first_states(many, expanded[0], means, expanded[1], generator)[:, 0]
    torch.testing.assert_close(drawn.mean(0), top[0], rtol=0.0, atol=float(4.0 * spread.max().sqrt() / n**0.5))
    torch.testing.assert_close(torch.cov(drawn.mT), spread, rtol=0.1, atol=0.05 * float(spread.max()))
