"""Nadam: Adam with Nesterov's momentum, and the normalisation of gradients that automata are trained with.

T. Dozat, "Incorporating Nesterov Momentum into Adam" (ICLR workshop 2016). torch.optim.NAdam takes the same steps, but
imports the whole compiler when first made.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

_MOMENTUM_DECAY = 0.004
"""Of the schedule μ_t = β₁ (1 - ½ 0.96^(t · 0.004)), as in the paper."""
_NORM_FLOOR = 1e-8


def normalised(gradients: Sequence[Tensor]) -> list[Tensor]:
    """Each tensor over its own norm, g / (‖g‖ + 1e-8) (Mordvintsev et al. 2020)."""
    return [gradient / (gradient.norm() + _NORM_FLOOR) for gradient in gradients]


class Nadam:
    """Moves parameters down gradients that are handed over; the learning rate is given at every step."""

    def __init__(
        self, parameters: Iterable[nn.Parameter], *, betas: tuple[float, float] = (0.9, 0.999), floor: float = 1e-8
    ) -> None:
        self._parameters = list(parameters)
        self._betas, self._floor = betas, floor
        self._means = [torch.zeros_like(parameter) for parameter in self._parameters]
        self._squares = [torch.zeros_like(parameter) for parameter in self._parameters]
        self._n_steps, self._product = 0, 1.0

    @property
    def n_steps(self) -> int:
        """Steps taken so far."""
        return self._n_steps

    def move(self, gradients: Sequence[Tensor], learning_rate: float) -> bool:
        """One step. Where a gradient is not finite nothing moves and nothing is remembered: False."""
        if not all(bool(torch.isfinite(gradient).all()) for gradient in gradients):
            return False
        first, second = self._betas
        self._n_steps += 1
        now, ahead = self._momentum(self._n_steps), self._momentum(self._n_steps + 1)
        self._product *= now
        unbiased = 1.0 - second**self._n_steps
        with torch.no_grad():
            for parameter, mean, square, gradient in zip(
                self._parameters, self._means, self._squares, gradients, strict=True
            ):
                mean.lerp_(gradient, 1.0 - first)
                square.mul_(second).addcmul_(gradient, gradient, value=1.0 - second)
                root = (square / unbiased).sqrt_().add_(self._floor)
                parameter.addcdiv_(gradient, root, value=-learning_rate * (1.0 - now) / (1.0 - self._product))
                parameter.addcdiv_(mean, root, value=-learning_rate * ahead / (1.0 - self._product * ahead))
        return True

    def _momentum(self, step: int) -> float:
        return float(self._betas[0] * (1.0 - 0.5 * 0.96 ** (step * _MOMENTUM_DECAY)))
