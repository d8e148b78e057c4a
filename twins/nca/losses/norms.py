"""Losses that compare cell by cell, or wave by wave.

Both take the root of a sum of squares, whose derivative does not exist where the sum is 0: there the gradient is 0 here
(torch's norms and complex moduli take that subgradient), not NaN as that of a plain root.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod, sqrt

import torch
from jaxtyping import Float
from torch import Tensor

from twins.errors import AutomatonInvalid
from twins.nca.losses.loss import Loss


@dataclass(frozen=True, slots=True, kw_only=True)
class Euclidean(Loss):
    """The norm of the difference over channels and cells: the publication's default (Richardson et al. 2024).

    mean: the root mean square instead, which does not grow with the grid. squared: its square, in which an image that is
    far off counts for more than one that is nearly right (Mordvintsev et al., Distill 2020).
    """

    mean: bool = False
    squared: bool = False

    def distance(
        self,
        predicted: Float[Tensor, "batch channel y x"],
        target: Float[Tensor, "batch channel y x"],
        generator: torch.Generator | None,
    ) -> Float[Tensor, " batch"]:
        del generator
        norm = _norm(self.weighted(predicted - target))
        norm = norm / sqrt(prod(predicted.shape[1:])) if self.mean else norm
        return norm.square() if self.squared else norm


@dataclass(frozen=True, slots=True, kw_only=True)
class Spectral(Loss):
    """The norm of |rfft2 predicted| - |rfft2 target|: blind to where a pattern lies, as phases are left out.

    As published the transform is not normalised and the half plane that rfft2 computes counts once, so that the loss
    grows with the number of cells. mean: of the unitary transform over the whole plane, root mean square. Then it does not
    grow with the grid, and is at most the Euclidean loss with mean (Parseval, and ||a| - |b|| <= |a - b|).
    """

    mean: bool = False

    def distance(
        self,
        predicted: Float[Tensor, "batch channel y x"],
        target: Float[Tensor, "batch channel y x"],
        generator: torch.Generator | None,
    ) -> Float[Tensor, " batch"]:
        del generator
        norm = "ortho" if self.mean else "backward"
        moduli = [torch.fft.rfft2(self.weighted(image), norm=norm).abs() for image in (predicted, target)]
        difference = moduli[0] - moduli[1]
        if not self.mean:
            return _norm(difference)
        width = predicted.shape[3]
        times = torch.full_like(difference[0, 0, 0], 2.0)  # each wave of the half plane and its mirror image
        times[0] = 1.0
        if width % 2 == 0:
            times[-1] = 1.0
        return _norm(difference * times.sqrt()) / sqrt(prod(predicted.shape[1:]))


@dataclass(frozen=True, slots=True, kw_only=True)
class SpectralEuclidean(Loss):
    """The Euclidean loss and spectral_weight times the spectral one.

    Without mean the spectral part is about as many times larger as the root of half the number of cells, and so most of
    the sum; with mean both are in the same unit. mean: see Euclidean and Spectral.
    """

    mean: bool = False
    spectral_weight: float = 1.0

    def __post_init__(self) -> None:
        super(SpectralEuclidean, self).__post_init__()  # the bare super() does not know a class with slots
        if not 0.0 <= self.spectral_weight < float("inf"):
            raise AutomatonInvalid(f"spectral_weight must be finite and not negative, not {self.spectral_weight!r}")

    def distance(
        self,
        predicted: Float[Tensor, "batch channel y x"],
        target: Float[Tensor, "batch channel y x"],
        generator: torch.Generator | None,
    ) -> Float[Tensor, " batch"]:
        euclidean = Euclidean(weights=self.weights, mean=self.mean).distance(predicted, target, generator)
        spectral = Spectral(weights=self.weights, mean=self.mean).distance(predicted, target, generator)
        return euclidean + self.spectral_weight * spectral


def _norm(difference: Float[Tensor, "batch channel y x"]) -> Float[Tensor, " batch"]:
    norm: Tensor = torch.linalg.vector_norm(difference, dim=(1, 2, 3))
    return norm
