"""The fixed 3×3 kernels through which a cell sees its neighbours, and the sets that automata are built on.

Kernels and sets are those of Richardson, Antal, Blythe, Schumacher, "Learning spatio-temporal patterns with Neural Cellular
Automata" (PLOS Comput. Biol. 2024, doi 10.1371/journal.pcbi.1011589); the gradient's norm comes from their later JAX code.
A kernel is applied as a correlation: kernel[i, j] weighs the neighbour i - 1 rows below and j - 1 columns to the right.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from twins.errors import AutomatonInvalid

_SMOOTH, _DIFFERENCE = (1.0, 2.0, 1.0), (-1.0, 0.0, 1.0)

KERNELS: dict[str, tuple[tuple[float, float, float], ...]] = {
    "ID": ((0.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 0.0)),
    "DX": tuple(tuple(s * d / 8.0 for d in _DIFFERENCE) for s in _SMOOTH),  # type: ignore[misc]
    "DY": tuple(tuple(s * d / 8.0 for s in _SMOOTH) for d in _DIFFERENCE),  # type: ignore[misc]
    "LAP": ((0.25, 0.5, 0.25), (0.5, -3.0, 0.5), (0.25, 0.5, 0.25)),
    "AV": ((1 / 9, 1 / 9, 1 / 9),) * 3,
    "MOORE": ((1.0, 1.0, 1.0), (1.0, 0.0, 1.0), (1.0, 1.0, 1.0)),
}
"""By name. LAP of a quadratic a·x² + b·y² is 2·(a + b) exactly; DX and DY of a plane are its slopes exactly."""

_PARTS: dict[str, tuple[str, ...]] = {
    "ID": ("ID",),
    "LAP": ("LAP",),
    "AV": ("AV",),
    "DIFF": ("DX", "DY"),
    "NORM": ("NORM",),
    "MOORE": ("MOORE",),
}
_ALIASES = {"GOL": "ID_MOORE"}

KERNEL_SETS = (
    "ID_LAP", "ID_AV", "ID_DIFF", "ID_LAP_AV", "ID_DIFF_AV", "ID_DIFF_LAP", "ID_DIFF_LAP_AV", "LAP_AV", "DIFF_AV",
    "DIFF_LAP_AV", "GOL", "ID_NORM", "ID_NORM_LAP", "ID_NORM_LAP_AV",
)  # fmt: skip
"""The sets of the publication and three with the gradient's norm. Any others of ID, LAP, AV, DIFF, NORM and MOORE, joined by
underscores, are as good."""


def kernel_set(name: str) -> tuple[str, ...]:
    """The features of each channel in a set, in order: ("ID", "LAP") for "ID_LAP"; DIFF gives DX and DY.

    NORM is no kernel but sqrt(dx² + dy²). Raises AutomatonInvalid for a part that is unknown or stands there twice.
    """
    parts = _ALIASES.get(name, name).split("_")
    for part in parts:
        if part not in _PARTS or parts.count(part) > 1:
            raise AutomatonInvalid(
                f"kernels: {name!r} is no set of kernels; join some of {', '.join(_PARTS)} by underscores, each once, "
                f"as in {', '.join(KERNEL_SETS)}"
            )
    return tuple(feature for part in parts for feature in _PARTS[part])


def is_isotropic(name: str) -> bool:
    """Whether turning the picture by 90° or reflecting it turns or reflects what is seen, exactly."""
    return not {"DX", "DY"} & set(kernel_set(name))


def kernel(name: str, *, like: Tensor | None = None) -> Float[Tensor, "3 3"]:
    """One kernel as a tensor, in the dtype and on the device of `like`."""
    dtype, device = (torch.float32, None) if like is None else (like.dtype, like.device)
    return torch.tensor(KERNELS[name], dtype=torch.float64).to(dtype=dtype, device=device)
