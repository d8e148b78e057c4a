"""What a cell sees: each channel through each kernel."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import conv2d, pad

from twins.nca.kernels import kernel
from twins.nca.spec import NcaSpec, Padding

_MODES = {
    "periodic": "circular",
    "symmetric": "replicate",
    "zero": "constant",
}  # one cell of padding: replicate = symmetric
NORM_FLOOR = 1e-12
"""Added under the root of the gradient's norm, so that its derivative is finite where the field is flat."""


def padded(state: Float[Tensor, "batch channel y x"], padding: Padding) -> Float[Tensor, "batch channel y2 x2"]:
    """One more cell on every side."""
    return pad(state, (1, 1, 1, 1), mode=_MODES[padding])


def products(state: Float[Tensor, "batch channel y x"]) -> Float[Tensor, "batch pair y x"]:
    """All products of two channels (i, j), i <= j, rows of the upper triangle one after another."""
    first, second = torch.triu_indices(state.shape[1], state.shape[1], device=state.device)
    return state[:, first] * state[:, second]


def perceive(state: Float[Tensor, "batch channel y x"], spec: NcaSpec) -> Float[Tensor, "batch feature y x"]:
    """Each seen channel through each kernel: channel by channel, the features of one channel side by side.

    With order 2 the products of channels are seen as well, behind the channels.
    """
    seen = torch.cat((state, products(state)), dim=1) if spec.order == 2 else state
    names = tuple(name for name in spec.features if name != "NORM")
    wanted = names if "NORM" not in spec.features else (*names, *(n for n in ("DX", "DY") if n not in names))
    n_channels = seen.shape[1]
    weight = torch.stack([kernel(name, like=seen) for name in wanted])[:, None].repeat(n_channels, 1, 1, 1)
    answer = conv2d(padded(seen, spec.padding), weight, groups=n_channels)
    if wanted == spec.features:
        return answer
    by_name = dict(
        zip(wanted, answer.reshape(len(answer), n_channels, len(wanted), *answer.shape[2:]).unbind(2), strict=True)
    )
    by_name["NORM"] = (by_name["DX"].square() + by_name["DY"].square() + NORM_FLOOR).sqrt()
    return torch.stack([by_name[name] for name in spec.features], dim=2).flatten(1, 2)
