"""The network of network_case.py by torchsde.sdeint: Euler over the delay-embedded state, gradients through the solver.

The state of a row (a node in a trial) is its last samples, newest first; a step is a unit of time. All nodes of a layer are
one batch of rows with one noise each (noise type "scalar"), increments are drawn beforehand, drift and diffusion come
from one fused product, and steps are counted, not looked up by a rounded time.
"""

from __future__ import annotations

from typing import Any

import torch
import torchsde
from network_rivals_torch import Driven, net_outputs, spread
from torch import Tensor, nn
from torch.nn.functional import pad


class EmbeddedSDE(nn.Module):
    """One layer as torchsde takes it."""

    sde_type, noise_type = "ito", "scalar"

    def __init__(self, driven: Driven, *, fused: bool) -> None:
        super().__init__()
        self._hidden, self._linear = driven.hidden.unbind(0), driven.linear.unbind(0)
        self._nets = driven.nets
        if fused:
            self.f_and_g_prod = self._drift_and_kick

    def _outputs(self, t: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """(drift (row, delay), spread (row, 1))."""
        step = int(t)
        mean, raw = net_outputs(self._hidden[step], y.expand(2, *y.shape), self._nets)
        following = torch.addmm(self._linear[step], y, self._nets["linear_x"]) + mean
        return torch.cat((following, y[:, :-1]), dim=1) - y, spread(raw, self._nets)

    def _drift_and_kick(self, t: Tensor, y: Tensor, increment: Tensor) -> tuple[Tensor, Tensor]:
        drift, loud = self._outputs(t, y)
        return drift, pad(loud * increment, (0, y.shape[1] - 1))

    def f(self, t: Tensor, y: Tensor) -> Tensor:
        """Drift: the next window less this one."""
        return self._outputs(t, y)[0]

    def g(self, t: Tensor, y: Tensor) -> Tensor:
        """Diffusion (row, delay, 1): only the newest sample has noise."""
        return pad(self._outputs(t, y)[1], (0, y.shape[1] - 1)).unsqueeze(-1)


class Drawn:
    """Increments drawn beforehand, (step, row), handed out in their order."""

    levy_area_approximation = "none"

    def __init__(self, noise: Tensor) -> None:
        self.shape, self.dtype, self.device = (noise.shape[1], 1), noise.dtype, noise.device
        self._next = iter(noise.unsqueeze(-1).unbind(0))

    def __call__(self, _ta: Any, _tb: Any) -> Tensor:
        """The next increment."""
        return next(self._next)


def _solve(driven: Driven, start: Tensor, noise: Tensor, *, fused: bool, drawn: bool) -> Tensor:
    times = torch.arange(len(noise) + 1, dtype=torch.float64)  # float32 times would go astray
    motion: Any = Drawn(noise)
    if not drawn:  # entropy from the noise that others would use: as random, and a seed repeats it
        entropy = int(noise[0, 0].abs() * 1e6)
        size = (noise.shape[1], 1)
        motion = torchsde.BrownianInterval(0.0, float(times[-1]), size=size, dt=1.0, entropy=entropy)
    path = torchsde.sdeint(EmbeddedSDE(driven, fused=fused), start, times, bm=motion, method="euler", dt=1.0)
    found: Tensor = path[..., 0]
    return found


def best(driven: Driven, start: Tensor, noise: Tensor) -> Tensor:
    """Fused products, increments drawn beforehand."""
    return _solve(driven, start, noise, fused=True, drawn=True)


def as_people_do(driven: Driven, start: Tensor, noise: Tensor) -> Tensor:
    """f and g apart, torchsde's own Brownian motion with its step told."""
    return _solve(driven, start, noise, fused=False, drawn=False)


def as_people_do_with_drawn(driven: Driven, start: Tensor, noise: Tensor) -> Tensor:
    """The same with increments drawn beforehand, to compare its loss and gradients."""
    return _solve(driven, start, noise, fused=False, drawn=True)
