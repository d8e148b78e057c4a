"""What torch's operations do to arrays of scalar expressions (numpy arrays of Node).

Each takes the graph and torch's arguments, tensors as such arrays, numbers as they are. What is not in the table cannot be
traced. Views are numpy's views, so that writing into a part works as in torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from twins.goku.compiled.arrays import Array, Operation, as_nodes, as_numbers, each
from twins.goku.compiled.expressions import COMPARISONS, FUNCTIONS, Graph, Node
from twins.goku.compiled.shapes import SHAPES


def _as_conditions(graph: Graph, value: Any) -> Array:
    return each(lambda node: node if node.is_condition else graph.call("ne", node, graph.zero), 1)(
        as_nodes(graph, value)
    )


def _elementwise(make: Callable[[Graph], Callable[..., Node]], n_arguments: int) -> Operation:
    def operation(graph: Graph, *values: Any, **_options: Any) -> Array:
        return each(make(graph), n_arguments)(*(as_numbers(graph, value) for value in values[:n_arguments]))

    return operation


def _called(name: str, n_arguments: int) -> Operation:
    return _elementwise(lambda graph: lambda *nodes: graph.call(name, *nodes), n_arguments)


def _conditional(name: str, n_arguments: int) -> Operation:
    def operation(graph: Graph, *values: Any) -> Array:
        return each(lambda *nodes: graph.call(name, *nodes), n_arguments)(
            *(_as_conditions(graph, value) for value in values)
        )

    return operation


def _add(graph: Graph, a: Any, b: Any, alpha: float = 1.0) -> Array:
    second = multiply(graph, b, alpha) if alpha != 1 else as_numbers(graph, b)
    return each(graph.add, 2)(as_numbers(graph, a), second)


def _subtract(graph: Graph, a: Any, b: Any, alpha: float = 1.0) -> Array:
    second = multiply(graph, b, alpha) if alpha != 1 else as_numbers(graph, b)
    return each(graph.subtract, 2)(as_numbers(graph, a), second)


def multiply(graph: Graph, a: Any, b: Any) -> Array:
    """a · b, element by element."""
    return each(graph.multiply, 2)(as_numbers(graph, a), as_numbers(graph, b))


def _divide(graph: Graph, a: Any, b: Any, rounding_mode: str | None = None) -> Array:
    ratio = each(graph.divide, 2)(as_numbers(graph, a), as_numbers(graph, b))
    if rounding_mode is None:
        return ratio
    if rounding_mode != "floor":
        raise NotImplementedError(f"division rounded by {rounding_mode!r}")
    return each(lambda node: graph.call("floor", node), 1)(ratio)


def _where(graph: Graph, condition: Any, a: Any, b: Any) -> Array:
    return each(graph.choose, 3)(_as_conditions(graph, condition), as_numbers(graph, a), as_numbers(graph, b))


def _clamp(graph: Graph, value: Any, low: Any = None, high: Any = None) -> Array:
    """By choices, so that NaN stays and the gradient is torch's."""
    found = as_numbers(graph, value)
    for limit, comparison in ((low, "lt"), (high, "gt")):
        if limit is not None:
            edge = as_numbers(graph, limit)
            found = each(lambda a, b, c=comparison: graph.choose(graph.call(c, a, b), b, a), 2)(found, edge)
    return found


def _relu(graph: Graph, value: Any) -> Array:
    return each(lambda node: graph.choose(graph.call("le", node, graph.zero), graph.zero, node), 1)(
        as_numbers(graph, value)
    )


def _softplus(graph: Graph, value: Any, beta: float = 1.0, threshold: float = 20.0) -> Array:
    def one(node: Node) -> Node:
        steep = graph.multiply(node, graph.constant(float(beta)))
        limit = graph.constant(float(threshold))
        straight = graph.call("gt", steep, limit)
        low = graph.call("log1p", graph.call("exp", graph.choose(straight, graph.zero, steep)))  # never overflows
        return graph.choose(straight, node, graph.divide(low, graph.constant(float(beta))))

    return each(one, 1)(as_numbers(graph, value))


def _hypot(graph: Graph, a: Any, b: Any) -> Array:
    squares = _add(graph, multiply(graph, a, a), multiply(graph, b, b))
    return each(lambda node: graph.call("sqrt", node), 1)(squares)


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
    return each(lambda node: graph.call("sqrt", node), 1)(total)


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
    **SHAPES,
}  # fmt: skip
