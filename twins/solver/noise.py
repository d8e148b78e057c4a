"""Noise as plain numbers: drawn once, replayable, the same for every backend."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from twins.errors import SolverRefused


def draw_noise(shape: tuple[int, ...], like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Standard normal numbers of this shape, in dtype and device of `like`.

    The generator is required: an experiment that cannot be repeated is refused, not started.
    """
    if generator is None:
        raise SolverRefused("pass noise=… or generator=torch.Generator().manual_seed(…): no global seed is used")
    if generator.device.type != like.device.type:  # replay across devices: numbers of the CPU stream
        return torch.randn(shape, dtype=like.dtype, device=generator.device, generator=generator).to(like.device)
    return torch.randn(shape, dtype=like.dtype, device=like.device, generator=generator)


class ReplayedNoise:
    """Wiener increments from given standard normal numbers, called as torchsde calls its Brownian motions.

    noise: (step, batch, channel), unit variance; step_s: length of one step; t0: time of the first; levy_areas: (step,
    batch, channel, channel), for schemes that ask for them.
    Increments over several whole steps are summed; anything finer than a step is refused. An empty step is allowed:
    torchsde makes one where its sum of steps falls a rounding error short of the end.
    """

    def __init__(self, noise: Tensor, step_s: float, *, t0: float = 0.0, levy_areas: Tensor | None = None) -> None:
        self._increments = noise * math.sqrt(step_s)
        self._step_s, self._t0, self._levy_areas = step_s, t0, levy_areas
        self.levy_area_approximation = "none" if levy_areas is None else "davie"

    def __call__(
        self, ta: Tensor | float, tb: Tensor | float, return_A: bool = False
    ) -> Tensor | tuple[Tensor, Tensor]:
        """W(tb) - W(ta), (batch, channel); with return_A also the Lévy area of one step."""
        first, last = (float(t) - self._t0 for t in (ta, tb))
        start, stop = round(first / self._step_s), round(last / self._step_s)
        on_grid = max(abs(first - start * self._step_s), abs(last - stop * self._step_s)) < 1e-6 * self._step_s
        if not (on_grid and 0 <= start <= stop <= len(self._increments)):
            raise SolverRefused(f"noise is given in steps of {self._step_s:g} s; it has no increment {ta}..{tb}")
        increment = self._increments[start:stop].sum(0)
        if not return_A:
            return increment
        if self._levy_areas is None or stop - start > 1:
            raise SolverRefused("this noise has no Lévy areas of such intervals; give them, one a step")
        return increment, self._levy_areas[start:stop].sum(0)

    @property
    def shape(self) -> torch.Size:
        """(batch, channel)."""
        return self._increments.shape[1:]

    @property
    def dtype(self) -> torch.dtype:
        """Of the increments."""
        return self._increments.dtype

    @property
    def device(self) -> torch.device:
        """Of the increments."""
        return self._increments.device
