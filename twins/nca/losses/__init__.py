"""What an automaton is trained on: how far predicted images are from their targets.

    loss_named("spectral", mean=True)(predicted, target)      (batch, channel, y, x), twice -> (batch,)

euclidean                       cell by cell
squared_euclidean               the same, where an image that is far off counts for more than one that is nearly right
spectral                        the strength of every wave, blind to where it lies
sliced_wasserstein_channels     which values occur together, blind to where
sliced_wasserstein_grid         how far the mass of each channel has to go, blind to how much there is; sinkhorn: the same, exactly
bhattacharyya, hellinger, kl    how much of the mass lies where, blind to how much there is; …_modified: not blind to it

Every loss is finite, and has a finite gradient, also where both are equal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

from twins.errors import AutomatonInvalid
from twins.nca.losses.divergences import Bhattacharyya, Hellinger, KullbackLeibler
from twins.nca.losses.loss import Loss
from twins.nca.losses.norms import Euclidean, Spectral, SpectralEuclidean
from twins.nca.losses.sliced import SlicedWassersteinChannels, SlicedWassersteinGrid
from twins.nca.losses.transport import Sinkhorn

__all__ = [
    "LOSSES",
    "Bhattacharyya",
    "Euclidean",
    "Hellinger",
    "KullbackLeibler",
    "Loss",
    "Sinkhorn",
    "SlicedWassersteinChannels",
    "SlicedWassersteinGrid",
    "Spectral",
    "SpectralEuclidean",
    "loss_named",
]

LOSSES: Mapping[str, Callable[..., Loss]] = MappingProxyType(
    {
        "euclidean": Euclidean,
        "squared_euclidean": partial(Euclidean, squared=True),
        "spectral": Spectral,
        "spectral_euclidean": SpectralEuclidean,
        "sliced_wasserstein_channels": SlicedWassersteinChannels,
        "sliced_wasserstein_grid": SlicedWassersteinGrid,
        "bhattacharyya": Bhattacharyya,
        "bhattacharyya_modified": partial(Bhattacharyya, amplitude=True),
        "hellinger": Hellinger,
        "hellinger_modified": partial(Hellinger, amplitude=True),
        "kl": KullbackLeibler,
        "kl_modified": partial(KullbackLeibler, amplitude=True),
        "sinkhorn": Sinkhorn,
    }
)
"""Name -> what makes the loss from its options."""


def loss_named(name: str, **options: Any) -> Loss:
    """One of LOSSES. options: the fields of its class. Raises AutomatonInvalid for names and options there are none of."""
    if name not in LOSSES:
        raise AutomatonInvalid(f"loss {name!r} is unknown; there are {', '.join(LOSSES)}")
    try:
        return LOSSES[name](**options)
    except TypeError as error:
        raise AutomatonInvalid(f"loss {name!r} does not take these options: {error}") from error
