"""The networks frame by frame: from channels to features and back, as in GOKU-UI (Abrevaya et al., TMLR 2024)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from twins.goku.network.layers import mish
from twins.goku.network.products import dense_layer

WIDTH, FEATURES = 200, 128


class Dense(nn.Linear):
    """As torch's; large products by the faster library, as GOKU's own networks have them."""

    def forward(self, x: Tensor) -> Tensor:
        """(…, n_in) -> (…, n_out)."""
        return dense_layer(x, self.weight, self.bias)


class Mish(nn.Module):
    """x tanh(log(1 + exp x)), as GOKU's own networks have it."""

    def forward(self, x: Tensor) -> Tensor:
        """Of any shape."""
        return mish(x)


class Residual(nn.Module):
    """x + mish(W x + b)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.dense = Dense(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(…, width) -> (…, width)."""
        return x + mish(self.dense(x))


def frame_net(n_in: int, n_out: int, *, linear_end: bool) -> nn.Sequential:
    """Dense to 200, two residual layers, dense to n_out; mish throughout, but not at the end of a decoder."""
    end: list[nn.Module] = [] if linear_end else [Mish()]
    return nn.Sequential(Dense(n_in, WIDTH), Mish(), Residual(WIDTH), Residual(WIDTH), Dense(WIDTH, n_out), *end)


@contextmanager
def drawn_from(generator: torch.Generator) -> Iterator[None]:
    """Weights made inside come from this generator: torch's layers know the global one only, which is put back."""
    seed = int(torch.randint(2**62, (1,), generator=generator))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


@torch.no_grad()
def remember(cell: nn.Module) -> None:
    """Begin an LSTM's forget gates nearly open (bias 1): R. Jozefowicz et al., ICML 2015."""
    for name, bias in cell.named_parameters():
        if "bias_ih" in name:
            width = len(bias) // 4
            bias[width : 2 * width] += 1.0
