"""Arrays of scalar expressions: numpy arrays of Node."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twins.goku.compiled.expressions import Graph, Node

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


def each(function: Callable[..., Node], n_arguments: int) -> Callable[..., Array]:
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


def as_numbers(graph: Graph, value: Any) -> Array:
    """The same, true and false as 1 and 0."""
    return each(lambda node: graph.choose(node, graph.one, graph.zero) if node.is_condition else node, 1)(
        as_nodes(graph, value)
    )
