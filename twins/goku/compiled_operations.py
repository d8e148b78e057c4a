"""What torch's operations do to arrays of scalar expressions (numpy arrays of Node).

Each takes the graph and torch's arguments, tensors as such arrays, numbers as they are. What is not in the table cannot be
traced. Views are numpy's views, so that writing into a part works as in torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twins.goku.compiled_expressions import COMPARISONS, FUNCTIONS, Graph, Node

Array = NDArray[np.object_]
Operation = Callable[..., Any]


def as_nodes(graph: Graph, value: Any) -> Array:
    """An array of nodes, whatever is given: nodes, a number, an array of numbers or truth values."""
    if isinstance(value, np.ndarray) and value.dtype == object:
        return value
    numbers = np.asarray(value)
    nodes = np.empty(numbers.shape, dtype=object)
    for place in np.ndindex(numbers.shape):
        nodes[place] = graph.constant(float(numbers[place]))
    return nodes


def as_numbers(graph: Graph, value: Any) -> Array:
    """The same, true and false as 1 and 0."""
    return _each(lambda node: graph.choose(node, graph.one, graph.zero) if node.is_condition else node, 1)(
        as_nodes(graph, value)
    )


def _as_conditions(graph: Graph, value: Any) -> Array:
    return _each(lambda node: node if node.is_condition else graph.call("ne", node, graph.zero), 1)(
        as_nodes(graph, value)
    )


def _each(function: Callable[..., Node], n_arguments: int) -> Callable[..., Array]:
    """Of arrays, element by element; always an array, where numpy makes scalars of those without axes."""
    ufunc = np.frompyfunc(function, n_arguments, 1)

    def apply(*arrays: Array) -> Array:
        found = ufunc(*arrays)
        if isinstance(found, np.ndarray):
            return found
        alone = np.empty((), dtype=object)
        alone[()] = found
        return alone

    return apply


def _elementwise(make: Callable[[Graph], Callable[..., Node]], n_arguments: int) -> Operation:
    def operation(graph: Graph, *values: Any, **_options: Any) -> Array:
        return _each(make(graph), n_arguments)(*(as_numbers(graph, value) for value in values[:n_arguments]))

    return operation


def _called(name: str, n_arguments: int) -> Operation:
    return _elementwise(lambda graph: lambda *nodes: graph.call(name, *nodes), n_arguments)


def _conditional(name: str, n_arguments: int) -> Operation:
    def operation(graph: Graph, *values: Any) -> Array:
        return _each(lambda *nodes: graph.call(name, *nodes), n_arguments)(
            *(_as_conditions(graph, value) for value in values)
        )

    return operation


def _add(graph: Graph, a: Any, b: Any, alpha: float = 1.0) -> Array:
    second = multiply(graph, b, alpha) if alpha != 1 else as_numbers(graph, b)
    return _each(graph.add, 2)(as_numbers(graph, a), second)


def _subtract(graph: Graph, a: Any, b: Any, alpha: float = 1.0) -> Array:
    second = multiply(graph, b, alpha) if alpha != 1 else as_numbers(graph, b)
    return _each(graph.subtract, 2)(as_numbers(graph, a), second)


def multiply(graph: Graph, a: Any, b: Any) -> Array:
    """a · b, element by element."""
    return _each(graph.multiply, 2)(as_numbers(graph, a), as_numbers(graph, b))


def _divide(graph: Graph, a: Any, b: Any, rounding_mode: str | None = None) -> Array:
    ratio = _each(graph.divide, 2)(as_numbers(graph, a), as_numbers(graph, b))
    if rounding_mode is None:
        return ratio
    if rounding_mode != "floor":
        raise NotImplementedError(f"division rounded by {rounding_mode!r}")
    return _each(lambda node: graph.call("floor", node), 1)(ratio)


def _where(graph: Graph, condition: Any, a: Any, b: Any) -> Array:
    return _each(graph.choose, 3)(_as_conditions(graph, condition), as_numbers(graph, a), as_numbers(graph, b))


def _clamp(graph: Graph, value: Any, low: Any = None, high: Any = None) -> Array:
    """By choices, so that NaN stays and the gradient is torch's."""
    found = as_numbers(graph, value)
    for limit, comparison in ((low, "lt"), (high, "gt")):
        if limit is not None:
            edge = as_numbers(graph, limit)
            found = _each(lambda a, b, c=comparison: graph.choose(graph.call(c, a, b), b, a), 2)(found, edge)
    return found


def _relu(graph: Graph, value: Any) -> Array:
    return _each(lambda node: graph.choose(graph.call("le", node, graph.zero), graph.zero, node), 1)(
        as_numbers(graph, value)
    )


def _softplus(graph: Graph, value: Any, beta: float = 1.0, threshold: float = 20.0) -> Array:
    def one(node: Node) -> Node:
        steep = graph.multiply(node, graph.constant(float(beta)))
        limit = graph.constant(float(threshold))
        straight = graph.call("gt", steep, limit)
        low = graph.call("log1p", graph.call("exp", graph.choose(straight, graph.zero, steep)))  # never overflows
        return graph.choose(straight, node, graph.divide(low, graph.constant(float(beta))))

    return _each(one, 1)(as_numbers(graph, value))


def _hypot(graph: Graph, a: Any, b: Any) -> Array:
    squares = _add(graph, multiply(graph, a, a), multiply(graph, b, b))
    return _each(lambda node: graph.call("sqrt", node), 1)(squares)


def _sum(graph: Graph, value: Any, dim: Any = None, keepdim: bool = False, **_options: Any) -> Array:
    nodes = as_numbers(graph, value)
    axes = tuple(range(nodes.ndim)) if dim is None or dim == [] else tuple(np.atleast_1d(dim).tolist())
    moved = np.moveaxis(nodes, axes, range(-len(axes), 0))
    kept = moved.shape[: nodes.ndim - len(axes)]
    flat = moved.reshape(*kept, -1)
    found = np.empty(kept, dtype=object)
    for place in np.ndindex(kept):
        found[place] = graph.total(flat[place])
    return np.expand_dims(found, tuple(axis % nodes.ndim for axis in axes)) if keepdim else found


def _mean(graph: Graph, value: Any, dim: Any = None, keepdim: bool = False, **_options: Any) -> Array:
    total = _sum(graph, value, dim, keepdim)
    return _divide(graph, total, as_nodes(graph, value).size / max(total.size, 1))


def _vector_norm(graph: Graph, value: Any, ord: float = 2, dim: Any = None, keepdim: bool = False, **_o: Any) -> Array:  # noqa: A002
    if ord != 2:
        raise NotImplementedError(f"a vector norm of order {ord}")
    total = _sum(graph, multiply(graph, value, value), dim, keepdim)
    return _each(lambda node: graph.call("sqrt", node), 1)(total)


def _product(graph: Graph, a: Array, b: Array) -> Array:
    """Matrix products of (…, i, k) and (…, k, j)."""
    return _sum(graph, multiply(graph, a[..., :, :, None], b[..., None, :, :]), -2)


def _matrix_product(graph: Graph, a: Any, b: Any) -> Array:
    return _product(graph, as_numbers(graph, a), as_numbers(graph, b))


def _matrix_vector(graph: Graph, a: Any, b: Any) -> Array:
    return _product(graph, as_numbers(graph, a), as_numbers(graph, b)[..., None])[..., 0]


def _added_product(graph: Graph, a: Any, b: Any, c: Any, beta: float = 1.0, alpha: float = 1.0) -> Array:
    return _add(graph, multiply(graph, a, beta), _matrix_product(graph, b, c), alpha)


def _cross(graph: Graph, a: Any, b: Any, dim: int = -1) -> Array:
    first, second = (np.moveaxis(as_numbers(graph, one), dim, -1) for one in (a, b))
    first, second = np.broadcast_arrays(first, second)

    def part(i: int, j: int) -> Array:
        minus = multiply(graph, first[..., j], second[..., i])
        return _subtract(graph, multiply(graph, first[..., i], second[..., j]), minus)

    return np.moveaxis(np.stack([part(1, 2), part(2, 0), part(0, 1)], axis=-1), -1, dim)


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


OPERATIONS: dict[str, Operation] = {
    **{name: _called(name, 1) for name in FUNCTIONS},
    **{name: _called(name, 2) for name in COMPARISONS},
    **{name: _called(name, 1) for name in ("abs", "sigmoid", "floor", "ceil")},
    **{torch_name: _called(name, 1) for torch_name, name in (("sgn", "sign"), ("sign", "sign"))},
    **{torch_name: _called(name, 2) for torch_name, name in (("maximum", "max"), ("minimum", "min"))},
    **{f"{kind}_{name}": _conditional(name, n) for name, n in (("and", 2), ("or", 2), ("not", 1))
       for kind in ("logical", "bitwise")},
    "atan2": _called("atan2", 2),
    "neg": _elementwise(lambda graph: graph.negative, 1),
    "square": _elementwise(lambda graph: lambda a: graph.multiply(a, a), 1),
    "reciprocal": _elementwise(lambda graph: lambda a: graph.divide(graph.one, a), 1),
    "rsqrt": _elementwise(lambda graph: lambda a: graph.divide(graph.one, graph.call("sqrt", a)), 1),
    "pow": _elementwise(lambda graph: graph.power, 2),
    "log2": _elementwise(lambda g: lambda a: g.multiply(g.call("log", a), g.constant(1.0 / math.log(2.0))), 1),
    "log10": _elementwise(lambda g: lambda a: g.multiply(g.call("log", a), g.constant(1.0 / math.log(10.0))), 1),
    "exp2": _elementwise(lambda g: lambda a: g.call("exp", g.multiply(a, g.constant(math.log(2.0)))), 1),
    "silu": _elementwise(lambda graph: lambda a: graph.multiply(a, graph.call("sigmoid", a)), 1),
    "lerp": lambda g, a, b, w: _add(g, a, multiply(g, w, _subtract(g, b, a))),
    "addcmul": lambda g, a, b, c, value=1.0: _add(g, a, multiply(g, b, c), value),
    "addcdiv": lambda g, a, b, c, value=1.0: _add(g, a, _divide(g, b, c), value),
    "add": _add, "sub": _subtract, "mul": multiply, "div": _divide, "where": _where, "hypot": _hypot,
    "rsub": lambda g, a, b, alpha=1.0: _subtract(g, b, a, alpha),
    "clamp": _clamp, "clamp_min": _clamp, "clamp_max": lambda g, a, high: _clamp(g, a, None, high),
    "relu": _relu, "softplus": _softplus,
    "sum": _sum, "mean": _mean, "linalg_vector_norm": _vector_norm, "linalg_cross": _cross,
    "mm": _matrix_product, "bmm": _matrix_product, "mv": _matrix_vector,
    "dot": lambda g, a, b: _sum(g, multiply(g, a, b)),
    "addmm": _added_product, "baddbmm": _added_product,
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
