"""One step of each scheme. All take the coefficients as a function of the state and the time into the step.

euler: Euler–Maruyama (Itô), strong order 0.5 in general and 1 with additive noise.
heun:  stochastic Heun (Stratonovich), strong order 1 with one noise channel or commuting noise.
rk4:   classical Runge–Kutta drift with the noise added as Euler–Maruyama does (Itô): order 4 without noise.
Kloeden and Platen, Numerical Solution of Stochastic Differential Equations (1992), chapters 10 and 11.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

# (state, time since the beginning of the step) -> (drift, diffusion or None)
Evaluate = Callable[[Tensor, float], "tuple[Tensor, Tensor | None]"]
# (diffusion or None, Wiener increment or None) -> its contribution to the state, or None
Apply = Callable[["Tensor | None", "Tensor | None"], "Tensor | None"]


def diagonal(g: Tensor | None, dW: Tensor | None) -> Tensor | None:
    """g dW, a noise channel a state."""
    return None if g is None or dW is None else g * dW


def matrix(g: Tensor | None, dW: Tensor | None) -> Tensor | None:
    """g dW with g (…, state, noise)."""
    return None if g is None or dW is None else (g @ dW.unsqueeze(-1)).squeeze(-1)


def euler(evaluate: Evaluate, apply: Apply, x: Tensor, h: float, dW: Tensor | None) -> Tensor:
    """x + f h + g dW."""
    f, g = evaluate(x, 0.0)
    return _plus(x + f * h, apply(g, dW))


def heun(evaluate: Evaluate, apply: Apply, x: Tensor, h: float, dW: Tensor | None) -> Tensor:
    """The mean of the slopes at both ends, in drift and in diffusion."""
    f0, g0 = evaluate(x, 0.0)
    kick0 = apply(g0, dW)
    f1, g1 = evaluate(_plus(x + f0 * h, kick0), h)
    kick1 = apply(g1, dW)
    mean_kick = None if kick0 is None or kick1 is None else 0.5 * (kick0 + kick1)
    return _plus(x + (f0 + f1) * (0.5 * h), mean_kick)


def rk4(evaluate: Evaluate, apply: Apply, x: Tensor, h: float, dW: Tensor | None) -> Tensor:
    """Runge–Kutta of order 4 in the drift; the diffusion at the beginning of the step."""
    k1, g = evaluate(x, 0.0)
    k2, _ = evaluate(x + k1 * (0.5 * h), 0.5 * h)
    k3, _ = evaluate(x + k2 * (0.5 * h), 0.5 * h)
    k4, _ = evaluate(x + k3 * h, h)
    return _plus(x + (k1 + 2.0 * k2 + 2.0 * k3 + k4) * (h / 6.0), apply(g, dW))


def _plus(x: Tensor, kick: Tensor | None) -> Tensor:
    return x if kick is None else x + kick
