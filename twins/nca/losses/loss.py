"""What every loss has in common: the call, the check of what it is called with, weights of channels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from twins.errors import AutomatonInvalid


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss(ABC):
    """How far predicted images are from their targets, one number an image.

    weights: what each channel counts, any scale (all the same where empty); with equal weights nothing changes.
    """

    weights: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", tuple(float(weight) for weight in self.weights))
        if self.weights and not (all(0.0 <= weight < float("inf") for weight in self.weights) and any(self.weights)):
            raise AutomatonInvalid(f"weights of channels must be finite, not negative, and not all 0: {self.weights}")

    def __call__(
        self,
        predicted: Float[Tensor, "batch channel y x"],
        target: Float[Tensor, "batch channel y x"],
        *,
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, " batch"]:
        """The distance of every image of the batch, differentiable in both, also where they are equal.

        generator: of random projections, where the loss draws any. Raises AutomatonInvalid for shapes that do not fit.
        """
        if predicted.ndim != 4 or predicted.shape != target.shape or 0 in predicted.shape:
            raise AutomatonInvalid(
                "a loss compares two tensors (batch, channel, y, x) of one shape, none of the axes empty; these are "
                f"{tuple(predicted.shape)} and {tuple(target.shape)}"
            )
        if self.weights and len(self.weights) != predicted.shape[1]:
            raise AutomatonInvalid(f"{len(self.weights)} weights for {predicted.shape[1]} channels; give one a channel")
        return self.distance(predicted, target, generator)

    @abstractmethod
    def distance(
        self,
        predicted: Float[Tensor, "batch channel y x"],
        target: Float[Tensor, "batch channel y x"],
        generator: torch.Generator | None,
    ) -> Float[Tensor, " batch"]:
        """The distance itself, of tensors that have been checked."""

    def shares(self, like: Float[Tensor, "batch channel y x"]) -> Float[Tensor, " channel"]:
        """The weights as shares that add up to 1."""
        weights = like.new_tensor(self.weights) if self.weights else like.new_ones(like.shape[1])
        return weights / weights.sum()

    def weighted(self, values: Float[Tensor, "batch channel *cell"]) -> Float[Tensor, "batch channel *cell"]:
        """Values times the root of their channel's weight (mean weight 1), for losses that add up squares."""
        if not self.weights:
            return values
        roots = (self.shares(values) * values.shape[1]).sqrt()
        return values * roots.reshape(-1, *[1] * (values.ndim - 2))


def channel_mean(
    by_channel: Float[Tensor, "batch channel"], shares: Float[Tensor, " channel"]
) -> Float[Tensor, " batch"]:
    """The mean over channels, weighted."""
    return by_channel @ shares
