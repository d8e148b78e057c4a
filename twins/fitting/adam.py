"""Adam over all parameters as one vector: five operations a step, however many layers (Kingma and Ba, 2015).

torch.optim.Adam does the same sums, but spends more on dispatch than nets this small need for their products, and
imports the whole compiler when first made, which takes seconds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True, eq=False)
class AdamMemory:
    """What Adam remembers: the running mean and mean square of the gradient, flat, and its steps so far."""

    mean: Tensor
    square: Tensor
    n_steps: int


class FlatAdam:
    """Adam with the gradient's norm limited. The learning rate is given at every step.

    rates: of each parameter, as a multiple of the learning rate; by default 1. weight_decay: apart from the gradient, as
    in AdamW (Loshchilov and Hutter, 2019).
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        *,
        largest_gradient: float,
        betas: tuple[float, float] = (0.9, 0.99),
        rates: Sequence[float] | None = None,
        weight_decay: float = 0.0,
    ) -> None:
        self._parameters = list(parameters)
        self._largest_gradient = largest_gradient
        self._betas = betas
        self._weight_decay = weight_decay
        self._sizes = [p.numel() for p in self._parameters]
        like = self._parameters[0].detach()
        self._mean = like.new_zeros(sum(self._sizes))
        self._square = like.new_zeros(sum(self._sizes))
        self._rates: Tensor | None = None
        if rates is not None:
            parts = [like.new_full((size,), rate) for size, rate in zip(self._sizes, rates, strict=True)]
            self._rates = torch.cat(parts)
        self._n_steps = 0

    @property
    def n_steps(self) -> int:
        """Steps that moved something."""
        return self._n_steps

    def memory(self) -> AdamMemory:
        """A copy of what it remembers."""
        return AdamMemory(self._mean.clone(), self._square.clone(), self._n_steps)

    def remember(self, memory: AdamMemory) -> None:
        """Go on from such a copy, of as many parameters."""
        self._mean.copy_(memory.mean)
        self._square.copy_(memory.square)
        self._n_steps = memory.n_steps

    def step(self, loss: Tensor, learning_rate: float) -> bool:
        """Move the parameters down the gradient of `loss`; a gradient that is not finite moves nothing: False."""
        return self.move(
            torch.autograd.grad(loss, self._parameters, materialize_grads=True), learning_rate
        )  # zero if unused

    def move(self, gradients: Sequence[Tensor], learning_rate: float) -> bool:
        """Move the parameters down these gradients, one a parameter; where one has always been zero nothing moves.

        Whether they are finite; else nothing moves at all.
        """
        gradient = torch.cat([part.reshape(-1) for part in gradients])
        norm = float(gradient.norm())
        if not math.isfinite(norm):
            return False  # one diverged window must not end a fit; the free-run score judges what comes of it
        if norm > self._largest_gradient:
            gradient *= self._largest_gradient / norm
        self._n_steps += 1
        beta1, beta2 = self._betas
        self._mean.lerp_(gradient, 1.0 - beta1)
        self._square.mul_(beta2).addcmul_(gradient, gradient, value=1.0 - beta2)
        root = (self._square / (1.0 - beta2**self._n_steps)).sqrt_().add_(1e-8)
        change = self._mean / root * (learning_rate / (1.0 - beta1**self._n_steps))
        if self._rates is not None:
            change *= self._rates
        kept = 1.0 - learning_rate * self._weight_decay
        with torch.no_grad():
            for parameter, part in zip(self._parameters, torch.split(change, self._sizes), strict=True):
                if kept != 1.0:
                    parameter.mul_(kept)
                parameter.sub_(part.view_as(parameter))
        return True
