"""One step of each scheme. All take the coefficients as a function of the state and the fraction of the step gone by.

Which equation a scheme solves, and how fast the error of a single path falls with the step ("strong order"; the order
of means, "weak", is 1 for all of these):

========================  ================  ===========================================================================
scheme                    solves            strong order
========================  ================  ===========================================================================
euler                     Itô               0.5; 1 with additive noise (Euler–Maruyama)
milstein                  Itô, Stratonovich 1 with scalar, additive, diagonal noise whose g_i depends on x_i alone, and
                                            general noise that commutes; all else is refused, see ``calculus``
heun                      Stratonovich      1 where the noise commutes (one channel, diagonal as above), else 0.5.
                                            This is NADO's "RK2".
rk4                       Itô               as euler with noise; 4 without: Runge–Kutta drift, noise as Euler adds it
stochastic_rk4            Stratonovich      as heun with noise; 4 without: Runge–Kutta on drift and diffusion, the
                                            step's one Gaussian draw held in all stages
nado_rk4                  neither           NADO's "RK4" as published: as stochastic_rk4, but the half-way stages are
                                            kicked by sqrt(h/2) ξ instead of sqrt(h)/2 ξ. With noise that depends on
                                            the state it converges to the Itô equation with the drift f + 0.638 g g'
                                            (Stratonovich would be 0.5); the same as stochastic_rk4 in the limit of
                                            additive noise. Only to repeat their results.
========================  ================  ===========================================================================

Sources: Kloeden and Platen, Numerical Solution of Stochastic Differential Equations (1992), chapters 10 and 11;
Rümelin, SIAM J. Numer. Anal. 19 (1982), for Runge–Kutta schemes with one draw; NADO's public code, SDE_Int_Methods.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from twins.solver.calculus import milstein_term

# (state, fraction of the step gone by) -> (drift, diffusion or None)
Evaluate = Callable[[Tensor, float], "tuple[Tensor, Tensor | None]"]
Step = Callable[["Evaluate", Tensor, float, "Tensor | None", "Scheme"], Tensor]


@dataclass(frozen=True, slots=True)
class Scheme:
    """What a step has to know besides its numbers."""

    sde_type: str
    noise_type: str

    def plus(self, x: Tensor, g: Tensor | None, dW: Tensor | None, weight: float = 1.0) -> Tensor:
        """x + weight · g dW, in as few operations as there are."""
        if g is None or dW is None:
            return x
        if self.noise_type == "diagonal":
            return torch.addcmul(x, g, dW, value=weight)
        return torch.add(x, (g @ dW.unsqueeze(-1)).squeeze(-1), alpha=weight)


def euler(evaluate: Evaluate, x: Tensor, h: float, dW: Tensor | None, scheme: Scheme) -> Tensor:
    """x + f h + g dW."""
    f, g = evaluate(x, 0.0)
    return scheme.plus(torch.add(x, f, alpha=h), g, dW)


def milstein(evaluate: Evaluate, x: Tensor, h: float, dW: Tensor | None, scheme: Scheme) -> Tensor:
    """Euler's step and the second iterated integrals, with derivatives of g by automatic differentiation."""
    if dW is None or scheme.noise_type == "additive":
        return euler(evaluate, x, h, dW, scheme)
    f, g = evaluate(x, 0.0)
    assert g is not None
    second = milstein_term(lambda y: evaluate(y, 0.0)[1], x, g, h, dW, scheme.sde_type, scheme.noise_type)
    return scheme.plus(torch.add(x, f, alpha=h), g, dW) + second


def heun(evaluate: Evaluate, x: Tensor, h: float, dW: Tensor | None, scheme: Scheme) -> Tensor:
    """The mean of the slopes at both ends, in drift and in diffusion."""
    f0, g0 = evaluate(x, 0.0)
    f1, g1 = evaluate(scheme.plus(torch.add(x, f0, alpha=h), g0, dW), 1.0)
    mean = None if g0 is None or g1 is None else g0 + g1
    return scheme.plus(torch.add(x, f0 + f1, alpha=0.5 * h), mean, dW, 0.5)


def rk4(evaluate: Evaluate, x: Tensor, h: float, dW: Tensor | None, scheme: Scheme) -> Tensor:
    """Runge–Kutta of order 4 in the drift; the diffusion at the beginning of the step."""
    k1, g = evaluate(x, 0.0)
    k2, _ = evaluate(torch.add(x, k1, alpha=0.5 * h), 0.5)
    k3, _ = evaluate(torch.add(x, k2, alpha=0.5 * h), 0.5)
    k4, _ = evaluate(torch.add(x, k3, alpha=h), 1.0)
    return scheme.plus(torch.add(x, k1 + 2.0 * (k2 + k3) + k4, alpha=h / 6.0), g, dW)


def stochastic_rk4(evaluate: Evaluate, x: Tensor, h: float, dW: Tensor | None, scheme: Scheme) -> Tensor:
    """Runge–Kutta of order 4 along f h + g dW, with dW the same in all stages."""
    return _held_rk4(evaluate, x, h, dW, scheme, half=0.5)


def nado_rk4(evaluate: Evaluate, x: Tensor, h: float, dW: Tensor | None, scheme: Scheme) -> Tensor:
    """The same as NADO has it: the kick half-way is sqrt(h/2) ξ."""
    return _held_rk4(evaluate, x, h, dW, scheme, half=math.sqrt(0.5))


def _held_rk4(evaluate: Evaluate, x: Tensor, h: float, dW: Tensor | None, scheme: Scheme, *, half: float) -> Tensor:
    f1, g1 = evaluate(x, 0.0)
    f2, g2 = evaluate(scheme.plus(torch.add(x, f1, alpha=0.5 * h), g1, dW, half), 0.5)
    f3, g3 = evaluate(scheme.plus(torch.add(x, f2, alpha=0.5 * h), g2, dW, half), 0.5)
    f4, g4 = evaluate(scheme.plus(torch.add(x, f3, alpha=h), g3, dW), 1.0)
    drifted = torch.add(x, f1 + 2.0 * (f2 + f3) + f4, alpha=h / 6.0)
    if g1 is None or g2 is None or g3 is None or g4 is None:
        return drifted
    return scheme.plus(drifted, g1 + 2.0 * (g2 + g3) + g4, dW, 1.0 / 6.0)


METHODS: dict[str, Step] = {
    "euler": euler,
    "milstein": milstein,
    "heun": heun,
    "rk4": rk4,
    "stochastic_rk4": stochastic_rk4,
    "nado_rk4": nado_rk4,
}

# Equations each solves where noise depends on the state; with additive or no noise the two readings agree.
SOLVES: dict[str, tuple[str, ...]] = {
    "euler": ("ito",),
    "milstein": ("ito", "stratonovich"),
    "heun": ("stratonovich",),
    "rk4": ("ito",),
    "stochastic_rk4": ("stratonovich",),
    "nado_rk4": ("stratonovich",),  # the nearer one
}
