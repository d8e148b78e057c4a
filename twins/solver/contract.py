"""What the solver asks of an equation: torchsde's contract, and a little more.

An equation has the attributes ``sde_type`` ("ito" or "stratonovich") and ``noise_type`` ("diagonal", "scalar",
"additive" or "general" as torchsde defines them, or "none": no noise at all), and one of

- ``f(t, x)`` and ``g(t, x)``: drift (…, state) and diffusion, (…, state) if diagonal, else (…, state, noise);
- ``f_u(x, u)`` and ``g_u(x, u)``: the same under a drive u (…, channel) that is held over the step;
- ``f_and_g_u(x, u)`` or ``f_and_g(t, x)``: both at once, where that saves work.

``n_delays`` (default 0) asks for history: x is then (…, n_delays + 1, state), newest first, one step apart.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from twins.errors import SolverRefused

NOISE_TYPES = ("none", "diagonal", "scalar", "additive", "general")
SDE_TYPES = ("ito", "stratonovich")

Coefficients = Callable[[float, Tensor, "Tensor | None"], "tuple[Tensor, Tensor | None]"]


def checked_types(sde: Any) -> tuple[str, str]:
    """(sde_type, noise_type) of an equation. Raises SolverRefused if it declares none that we know."""
    sde_type, noise_type = getattr(sde, "sde_type", None), getattr(sde, "noise_type", None)
    if sde_type not in SDE_TYPES or noise_type not in NOISE_TYPES:
        raise SolverRefused(
            f"{type(sde).__name__} must declare sde_type in {SDE_TYPES} and noise_type in {NOISE_TYPES}, "
            f"not {sde_type!r} and {noise_type!r}"
        )
    return sde_type, noise_type


def coefficients(sde: Any, *, driven: bool) -> Coefficients:
    """One call (t, x, u) -> (drift, diffusion or None), whichever functions the equation has."""
    noisy = sde.noise_type != "none"
    needed = (("f_u", "g_u") if driven else ("f", "g"))[: 1 + noisy]
    if driven and noisy and hasattr(sde, "f_and_g_u"):
        return lambda _t, x, u: sde.f_and_g_u(x, u)
    if not driven and noisy and hasattr(sde, "f_and_g"):
        return lambda t, x, _u: sde.f_and_g(t, x)
    missing = [name for name in needed if not hasattr(sde, name)]
    if missing:
        reason = "a drive u was given" if driven else "no drive u was given"
        raise SolverRefused(f"{reason}, but {type(sde).__name__} has no {' and no '.join(missing)}")
    if driven:
        return lambda _t, x, u: (sde.f_u(x, u), sde.g_u(x, u) if noisy else None)
    return lambda t, x, _u: (sde.f(t, x), sde.g(t, x) if noisy else None)


def bind(sde: Any, u: Tensor, dt: float, *, t0: float = 0.0, drive: str = "held") -> nn.Module:
    """A plain torchsde module f(t, y), g(t, y) with the drive u (time, batch, channel) built in.

    drive: "held" over each step, or "interpolated" between samples (then with a sample at the end of the last step).

    The step is found by rounding t/dt in float64 up to a millionth of a step, because int(t/dt) is often one too
    small. At t_{k+1} itself the next input acts, so schemes with a stage there see it half a step early:
    ``solve(…, backend="torchsde")`` holds the input in every scheme, this module only in Euler's.
    """
    checked_types(sde)
    if drive not in ("held", "interpolated"):
        raise SolverRefused(f"drive must be held or interpolated, not {drive!r}")
    if int(getattr(sde, "n_delays", 0)):
        raise SolverRefused("an equation with delays has no torchsde form; use solve(…, backend='torchsde')")
    return _BoundSDE(sde, u, dt, t0, interpolated=drive == "interpolated")


class _BoundSDE(nn.Module):
    """An equation with its drive, as torchsde wants it."""

    def __init__(self, sde: Any, u: Tensor, dt: float, t0: float, *, interpolated: bool) -> None:
        super().__init__()
        self._interpolated = interpolated
        self.sde, self.u, self.dt, self.t0 = sde, u, dt, t0
        self.sde_type = sde.sde_type
        self.noise_type = "diagonal" if sde.noise_type == "none" else sde.noise_type
        self._evaluate = coefficients(sde, driven=True)

    def f_and_g(self, t: Tensor | float, y: Tensor) -> tuple[Tensor, Tensor]:
        """Drift and diffusion at time t (s) and state y (batch, state)."""
        drift, diffusion = self._evaluate(float(t), y, self._input(float(t)))
        return drift, torch.zeros_like(y) if diffusion is None else diffusion

    def _input(self, t: float) -> Tensor:
        steps = (t - self.t0) / self.dt
        last = len(self.u) - 1
        step = min(max(int(steps + 1e-6), 0), last)
        if not self._interpolated:
            return self.u[step]
        return torch.lerp(self.u[step], self.u[min(step + 1, last)], min(max(steps - step, 0.0), 1.0))

    def f(self, t: Tensor | float, y: Tensor) -> Tensor:
        """Drift."""
        return self.f_and_g(t, y)[0]

    def g(self, t: Tensor | float, y: Tensor) -> Tensor:
        """Diffusion."""
        return self.f_and_g(t, y)[1]
