"""What torch's operations that move, join and fill do to arrays of scalar expressions; see compiled_operations."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from twins.goku.compiled.arrays import Array, Operation, as_nodes, as_numbers
from twins.goku.compiled.expressions import Graph


def _slice(_graph: Graph, a: Array, dim: int = 0, start: Any = None, end: Any = None, step: int = 1) -> Array:
    index: list[Any] = [slice(None)] * a.ndim
    index[dim] = slice(start, end, step)
    found: Array = a[tuple(index)]
    return found


def _select(_graph: Graph, a: Array, dim: int, index: int) -> Array:
    place: list[Any] = [slice(None)] * a.ndim
    place[dim] = slice(index, index + 1 if index != -1 else None)  # a slice, so that it stays a view
    found: Array = np.squeeze(a[tuple(place)], axis=dim)
    return found


def _expand(_graph: Graph, a: Array, sizes: Sequence[int], **_options: Any) -> Array:
    missing = len(sizes) - a.ndim
    whole = [a.shape[i - missing] if size == -1 else size for i, size in enumerate(sizes)]
    return np.broadcast_to(a, whole)


def _squeeze(_graph: Graph, a: Array, dim: Any = None) -> Array:
    axes = range(a.ndim) if dim is None else [axis % max(a.ndim, 1) for axis in np.atleast_1d(dim).tolist()]
    found: Array = a.reshape([size for axis, size in enumerate(a.shape) if axis not in axes or size != 1])
    return found


def _split(_graph: Graph, a: Array, size: int | Sequence[int], dim: int = 0) -> list[Array]:
    sizes = [size] * math.ceil(a.shape[dim] / size) if isinstance(size, int) else list(size)
    return np.split(a, np.cumsum(sizes)[:-1].tolist(), axis=dim)


def _unbind(graph: Graph, a: Array, dim: int = 0) -> list[Array]:
    return [_select(graph, a, dim, index) for index in range(a.shape[dim])]


def _index(graph: Graph, a: Array, indices: Sequence[Any]) -> Array:
    if any(isinstance(index, np.ndarray) and index.dtype == object for index in indices):
        raise NotImplementedError("an index that depends on states or parameters")
    place = tuple(slice(None) if index is None else np.asarray(index) for index in indices)
    return as_nodes(graph, np.array(a[place], dtype=object))


def _gather(_graph: Graph, a: Array, dim: int, index: Any, **_options: Any) -> Array:
    return np.take_along_axis(a, np.asarray(index), dim)


def _filled(value: float) -> Operation:
    def operation(graph: Graph, like: Any, *sizes: Any, **_options: Any) -> Array:
        shape = tuple(sizes[0]) if sizes else np.shape(like)
        return as_nodes(graph, np.full(shape, value))

    return operation


def _full_like(graph: Graph, like: Any, value: float, **_options: Any) -> Array:
    return as_nodes(graph, np.full(np.shape(like), value))


def _joined(join: Callable[..., Any]) -> Operation:
    def operation(graph: Graph, parts: Sequence[Any], dim: int = 0) -> Array:
        found: Array = join([as_numbers(graph, part) for part in parts], axis=dim)
        return found

    return operation


def _diagonal(_graph: Graph, a: Array, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Array:
    return np.diagonal(a, offset, dim1, dim2)


def _diagonal_matrix(graph: Graph, a: Array, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Array:
    if offset or (dim1, dim2) != (-2, -1):
        raise NotImplementedError("diag_embed with an offset or other axes")
    found = as_nodes(graph, np.zeros((*a.shape, a.shape[-1])))
    for index in range(a.shape[-1]):
        found[..., index, index] = a[..., index]
    return found


def _copied(_graph: Graph, _old: Any, new: Any, *_more: Any) -> Any:
    return as_numbers(_graph, new)


SHAPES: dict[str, Operation] = {
    "view": lambda _g, a, sizes: a.reshape(sizes), "_unsafe_view": lambda _g, a, sizes: a.reshape(sizes),
    "reshape": lambda _g, a, sizes: a.reshape(sizes),
    "expand": _expand, "permute": lambda _g, a, dims: np.transpose(a, dims),
    "transpose": lambda _g, a, i, j: np.swapaxes(a, i, j), "t": lambda _g, a: a.T,
    "unsqueeze": lambda _g, a, dim: np.expand_dims(a, dim), "squeeze": _squeeze,
    "select": _select, "slice": _slice, "unbind": _unbind, "split": _split, "split_with_sizes": _split,
    "alias": lambda _g, a: a[...], "lift_fresh": lambda _g, a: a, "clone": lambda _g, a, **_o: np.array(a, dtype=object),
    "_to_copy": lambda g, a, **_o: as_numbers(g, a),
    "cat": _joined(np.concatenate), "stack": _joined(np.stack),
    "flip": lambda _g, a, dims: np.flip(a, tuple(dims)),
    "roll": lambda _g, a, shifts, dims=None: np.roll(a, tuple(shifts), tuple(dims) if dims else None),
    "index": _index, "gather": _gather, "diagonal": _diagonal, "diag_embed": _diagonal_matrix,
    "zeros_like": _filled(0.0), "ones_like": _filled(1.0), "empty_like": _filled(math.nan),
    "new_zeros": _filled(0.0), "new_ones": _filled(1.0), "new_empty": _filled(math.nan),
    "full_like": _full_like, "new_full": lambda g, _a, sizes, value, **_o: as_nodes(g, np.full(sizes, value)),
    "copy_": _copied, "fill_": lambda g, a, value: np.broadcast_to(as_numbers(g, value), a.shape),
    "zero_": lambda g, a: as_nodes(g, np.zeros(a.shape)),
}  # fmt: skip
