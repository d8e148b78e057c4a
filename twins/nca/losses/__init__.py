"""What an automaton is trained on: how far predicted images are from their targets.

    loss_named("spectral", mean=True)(predicted, target)      (batch, channel, y, x), twice -> (batch,)

Every loss is finite, and has a finite gradient, also where both are equal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from twins.errors import AutomatonInvalid
from twins.nca.losses.loss import Loss
from twins.nca.losses.norms import Euclidean, Spectral, SpectralEuclidean

__all__ = ["LOSSES", "Euclidean", "Loss", "Spectral", "SpectralEuclidean", "loss_named"]

LOSSES: Mapping[str, Callable[..., Loss]] = MappingProxyType(
    {
        "euclidean": Euclidean,
        "spectral": Spectral,
        "spectral_euclidean": SpectralEuclidean,
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
