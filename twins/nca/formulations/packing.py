"""An automaton's weights as the compiled kernel takes them, and its sums as gradients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from twins.nca.formulations.source import stored_features
from twins.nca.spec import NcaSpec

_NARROW_ROWS = 4


def whole(count: int) -> int:
    """Rows of a matrix with as many more as fill its last tile."""
    return -(-count // _NARROW_ROWS) * _NARROW_ROWS


@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    """hidden: one matrix (out, in) or two. last: (channel, hidden), with the gate's below where there is one.
    The columns of the first are the stored features."""

    hidden: tuple[Tensor, ...]
    last: Tensor
    last_bias: Tensor

    @classmethod
    def of(cls, parameters: Sequence[Tensor], spec: NcaSpec) -> Weights:
        """parameters: hidden weights, the last layer's weight and bias, the gate's weight and bias."""
        n_hidden = len(spec.hidden)
        first = _stored(parameters[0], spec)
        last, bias = parameters[n_hidden], parameters[n_hidden + 1]
        if spec.gated:
            last, bias = torch.cat((last, parameters[n_hidden + 2])), torch.cat((bias, parameters[n_hidden + 3]))
        return cls((first, *parameters[1:n_hidden]), last, bias)


def _stored(first: Tensor, spec: NcaSpec) -> Tensor:
    """Columns of zero for the features that only others are made of."""
    n_more = len(stored_features(spec)) - len(spec.features)
    shape = (len(first), spec.n_seen_channels, len(spec.features))
    return pad(first.reshape(shape), (0, n_more)).flatten(1)


def tiled(matrix: Tensor, wide_rows: int) -> Tensor:
    """(out, in) -> (tile, in, row of the tile), rows of zero added to the last tile."""
    n_out, n_in = whole(matrix.shape[0]), matrix.shape[1]
    rows = wide_rows if n_out % wide_rows == 0 else _NARROW_ROWS
    filled = pad(matrix, (0, 0, 0, n_out - len(matrix)))
    return filled.reshape(n_out // rows, rows, n_in).mT.contiguous()


def gradients(sums: Tensor, spec: NcaSpec) -> tuple[list[Tensor], Tensor]:
    """Of the parameters in the order of Weights.of, and of the first layer's bias (batch, hidden).

    sums: (batch, what the kernel adds up).
    """
    stored, hidden = stored_features(spec), spec.hidden
    n_out = spec.n_channels * (2 if spec.gated else 1)
    shapes = [(n_out, hidden[-1])]
    if len(hidden) == 2:
        shapes.append((hidden[1], hidden[0]))
    shapes.append((hidden[0], len(stored) * spec.n_seen_channels))
    found, at, everything = [], 0, sums.sum(0)
    for rows, columns in shapes:
        size = whole(rows) * whole(columns)
        found.append(_untiled(everything[at : at + size], rows, columns))
        at += size
    bias, first_bias = everything[at : at + n_out], sums[:, at + whole(n_out) :][:, : hidden[0]]
    last, *inner = found
    first = inner.pop().reshape(hidden[0], spec.n_seen_channels, len(stored))[..., : len(spec.features)].flatten(1)
    n = spec.n_channels
    gate = [last[n:], bias[n:]] if spec.gated else []
    return [first, *inner, last[:n], bias[:n], *gate], first_bias


def _untiled(sums: Tensor, rows: int, columns: int) -> Tensor:
    tiles = sums.reshape(whole(rows) // 4, whole(columns) // 4, 4, 4)
    return tiles.permute(0, 2, 1, 3).reshape(whole(rows), whole(columns))[:rows, :columns]
