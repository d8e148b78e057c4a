"""Sliced Wasserstein losses: optimal transport along many lines, where it is a matter of sorting.

Directions are drawn uniformly on the sphere (normal numbers, normalised) from the generator handed in, anew for every call.
E. Heitz, K. Vanhoey, T. Chambon, L. Belcour, "A Sliced Wasserstein Loss for Neural Texture Synthesis" (CVPR 2021);
N. Bonneel, J. Rabin, G. Peyré, H. Pfister, "Sliced and Radon Wasserstein Barycenters of Measures" (JMIV 51, 2015).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from twins.errors import AutomatonInvalid
from twins.nca.losses.loss import Loss, channel_mean
from twins.nca.losses.mass import MassLoss


@dataclass(frozen=True, slots=True, kw_only=True)
class SlicedWassersteinChannels(Loss):
    """Which values occur together, wherever they are: cells are points in the space of channels (Heitz et al. 2021).

    The squared 2-Wasserstein distance of both clouds of points along a line, mean over n_projections lines. Adding one vector
    d to every cell costs |d|²/channels. It is 0 where one image has the cells of the other in any order.
    """

    n_projections: int = 64

    def __post_init__(self) -> None:
        super(SlicedWassersteinChannels, self).__post_init__()  # the bare super() does not know a class with slots
        _check(self.n_projections)

    def distance(
        self,
        predicted: Float[Tensor, "batch channel y x"],
        target: Float[Tensor, "batch channel y x"],
        generator: torch.Generator | None,
    ) -> Float[Tensor, " batch"]:
        direction = directions(self.n_projections, predicted.shape[1], predicted, generator)
        clouds = (self.weighted(image).flatten(2) for image in (predicted, target))
        found, wanted = (torch.sort(direction @ cloud, dim=2).values for cloud in clouds)
        return (found - wanted).square().mean(dim=(1, 2))


@dataclass(frozen=True, slots=True, kw_only=True)
class SlicedWassersteinGrid(MassLoss):
    """Where the mass of each channel lies, and how far it would have to go: each channel is a distribution on the plane.

    The mass is projected to lines through the plane (Bonneel et al. 2015, the Radon transform) and the 1-Wasserstein distance
    along the line is ∫ |difference of the cumulated masses|, in cells; mean over n_projections lines and over channels. Moving
    all mass by s cells costs 2|s|/π. Amplitudes are normalised away. The plane has edges: mass does not travel round them.

    The publication's code projects whole images on random images and sorts the answers over CHANNELS, as if they could
    stand in for each other; with two channels that are different substances this compares next to nothing, and is left out.
    """

    n_projections: int = 32

    def __post_init__(self) -> None:
        super(SlicedWassersteinGrid, self).__post_init__()  # the bare super() does not know a class with slots
        _check(self.n_projections)

    def distance(
        self,
        predicted: Float[Tensor, "batch channel y x"],
        target: Float[Tensor, "batch channel y x"],
        generator: torch.Generator | None,
    ) -> Float[Tensor, " batch"]:
        height, width = predicted.shape[2:]
        direction = directions(self.n_projections, 2, predicted, generator)
        y = torch.arange(height, dtype=predicted.dtype, device=predicted.device).repeat_interleave(width)
        x = torch.arange(width, dtype=predicted.dtype, device=predicted.device).repeat(height)
        places, order = torch.sort(direction @ torch.stack((y, x)), dim=1)
        excess = (self.distribution(predicted) - self.distribution(target)).flatten(2)
        cumulated = excess[:, :, order].cumsum(dim=3)[..., :-1]
        travelled = (cumulated.abs() * places.diff(dim=1)).sum(dim=3)
        return channel_mean(travelled.mean(dim=2), self.shares(predicted))


def directions(
    n_directions: int, n_axes: int, like: Tensor, generator: torch.Generator | None
) -> Float[Tensor, "direction axis"]:
    """Unit vectors, uniform on the sphere. Raises AutomatonInvalid without a generator."""
    if generator is None:
        raise AutomatonInvalid("sliced losses draw random projections: pass a generator")
    drawn = torch.randn(n_directions, n_axes, generator=generator, device=generator.device, dtype=like.dtype)
    return torch.nn.functional.normalize(drawn, dim=1).to(like.device)


def _check(n_projections: int) -> None:
    if n_projections < 1:
        raise AutomatonInvalid(f"n_projections must be at least 1, not {n_projections}")
