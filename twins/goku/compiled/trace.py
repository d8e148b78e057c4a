"""Trace a system's own Python once, with a scalar expression in place of every number.

The user's functions are only called, on tensors that write down what is done to them. What cannot be written down (a branch
that looks at values, an operation that is not in compiled_operations, another precision) raises NotTraceable.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from twins.goku.bound import BoundSystem
from twins.goku.compiled.arrays import Array, as_numbers
from twins.goku.compiled.expressions import Graph, Node, in_order
from twins.goku.compiled.operations import OPERATIONS

if TYPE_CHECKING:
    from twins.goku.system import System

MOST_NODES = 20_000
"""Expressions of an equation beyond which the compiler would take minutes."""

_SAMPLES = 2  # that trajectories do not touch each other is seen by comparing two


class NotTraceable(Exception):  # noqa: N818 - it says what is wrong
    """Why an equation cannot be written down as expressions; ends up in why_not, never at the user."""


@dataclass(frozen=True, slots=True)
class Traced:
    """Expressions of one sample, of symbols "x" (states), "p" (parameters) and "u" (drives); diffusion: () without noise;
    outputs: () where they were not asked for."""

    graph: Graph
    drift: tuple[Node, ...]
    diffusion: tuple[Node, ...]
    outputs: tuple[Node, ...] = ()


class _Symbolic(torch.Tensor):
    """A tensor that holds expressions. Its numbers do not exist: what asks for them is refused."""

    elements: Array
    graph: Graph

    @staticmethod
    def __new__(cls: type[_Symbolic], elements: Array, graph: Graph, dtype: torch.dtype) -> _Symbolic:
        made: _Symbolic = torch.Tensor._make_wrapper_subclass(
            cls, elements.shape, dtype=dtype, device=torch.device("cpu")
        )
        made.elements, made.graph = elements, graph
        return made

    def __repr__(self) -> str:  # type: ignore[override]
        return f"expressions of shape {self.elements.shape}"

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls,
        function: Any,
        _types: Sequence[type],
        arguments: tuple[Any, ...] = (),
        options: dict[str, Any] | None = None,
    ) -> Any:
        first = next(one for one in _flat((arguments, options)) if isinstance(one, _Symbolic))
        graph, dtype = first.graph, _number_type(first.dtype, arguments)
        name = function.overloadpacket.__name__
        in_place = name.endswith("_") and not name.startswith("_")
        operation = OPERATIONS.get(name) or (OPERATIONS.get(name[:-1]) if in_place else None)
        if operation is None:
            raise NotTraceable(f"it uses {function}, which is not among the operations that can be traced")
        given, named = (tree_map(lambda one: _content(one, dtype), part) for part in (arguments, options or {}))
        _check_type(named, dtype)
        found = operation(graph, *given, **named)
        if len(graph) > MOST_NODES:
            raise NotTraceable(f"it has more than {MOST_NODES} expressions")
        if in_place:
            first = arguments[0]
            if not isinstance(first, _Symbolic):
                raise NotTraceable("it writes states or parameters into a constant tensor")
            first.elements[...] = found
            return first
        if isinstance(found, list):
            return [_wrapped(one, graph, dtype) for one in found]
        return _wrapped(found, graph, dtype)


def _flat(value: Any) -> list[Any]:
    if isinstance(value, list | tuple):
        return [inner for one in value for inner in _flat(one)]
    return _flat(list(value.values())) if isinstance(value, dict) else [value]


def _number_type(dtype: torch.dtype, arguments: Any) -> torch.dtype:
    """The precision of the trace: truth values have none of their own."""
    for one in _flat(arguments):
        if (
            isinstance(one, Tensor)
            and one.dtype.is_floating_point
            and (isinstance(one, _Symbolic) or dtype is torch.bool)
        ):
            return one.dtype
    return dtype if dtype.is_floating_point else torch.get_default_dtype()


def _check_type(options: dict[str, Any], dtype: torch.dtype) -> None:
    asked = options.pop("dtype", None)
    if isinstance(asked, torch.dtype) and asked not in (dtype, torch.bool):
        raise NotTraceable(f"it changes from {dtype} to {asked}")


def _content(value: Any, dtype: torch.dtype) -> Any:
    """Expressions of a traced tensor, numbers of a constant one, anything else as it is."""
    if isinstance(value, _Symbolic):
        return value.elements
    if not isinstance(value, Tensor):
        return value
    if value.requires_grad:
        raise NotTraceable("it uses a tensor of its own that requires a gradient")
    if value.device.type != "cpu" or (value.dtype.is_floating_point and value.ndim and value.dtype != dtype):
        raise NotTraceable(f"it uses a constant tensor in {value.dtype} on {value.device}, the trace is in {dtype}")
    return value.numpy()


def _wrapped(elements: Array, graph: Graph, dtype: torch.dtype) -> _Symbolic:
    conditions = elements.size and all(node.is_condition for node in elements.ravel().tolist())
    return _Symbolic(elements, graph, torch.bool if conditions else dtype)


def trace(system: System, dtype: torch.dtype, *, noisy: bool, observed: bool = False) -> Traced:
    """The expressions of drift and diffusion, and of the outputs where `observed`. Raises NotTraceable."""
    graph = Graph()
    try:
        states, parameters = (
            _symbols(graph, kind, n, dtype) for kind, n in (("x", system.n_states), ("p", system.n_parameters))
        )
        bound = BoundSystem(system, parameters, noisy=noisy)
        drive = _symbols(graph, "u", len(system.drives), dtype) if system.drives else None
        drift, diffusion = bound.coefficients_at(states, drive)
        outputs = system.outputs_of(states, parameters) if observed else None
    except NotTraceable:
        raise
    except Exception as error:  # the user's own code on tensors without numbers, of which anything may come
        raise NotTraceable(f"tracing it failed: {error!r}") from error
    if diffusion is not None and diffusion.ndim != 2:
        raise NotTraceable("its noise is general: the diffusion is a matrix")
    sizes = (system.n_states, system.n_states, system.n_outputs)
    parts = [
        _of_a_sample(graph, part, size) if part is not None else ()
        for part, size in zip((drift, diffusion, outputs), sizes, strict=True)
    ]
    return Traced(graph, parts[0], parts[1], parts[2])


def _symbols(graph: Graph, kind: str, count: int, dtype: torch.dtype) -> _Symbolic:
    elements = np.empty((_SAMPLES, count), dtype=object)
    for sample, index in np.ndindex(elements.shape):
        elements[sample, index] = graph.symbol(kind, index, sample)
    return _Symbolic(elements, graph, dtype)


def _of_a_sample(graph: Graph, tensor: Tensor, size: int) -> tuple[Node, ...]:
    """The first sample's expressions, if the second's are the same of its own symbols and each has only its own."""
    if not isinstance(tensor, _Symbolic):
        tensor = _Symbolic(as_numbers(graph, tensor.numpy()), graph, tensor.dtype)
    if tensor.elements.shape != (_SAMPLES, size):
        raise NotTraceable(f"drift, diffusion or outputs have shape {tensor.elements.shape}")
    first, second = tensor.elements.tolist()
    forms: dict[object, int] = {}
    if _forms(first, 0, forms) != _forms(second, 1, forms):
        raise NotTraceable("its samples do not follow the same equation, each by itself")
    if any(node.is_condition for node in first):
        raise NotTraceable("drift, diffusion or an output is true or false, not a number")
    return tuple(first)


def _forms(outputs: Sequence[Node], sample: int, forms: dict[object, int]) -> list[int]:
    """A number for each output, the same for expressions that are the same but for the sample; `forms` is filled up."""
    numbers: dict[Node, int] = {}
    for node in in_order(outputs):
        kind, index, of_sample = node.key
        foreign = node.operation == "symbol" and of_sample != sample
        arguments = [numbers[one] for one in node.arguments]
        if node.operation == "mul":  # the order of factors is that of their making
            arguments.sort()
        form = (node.operation, kind, index, sample if foreign else -1, node.value.hex(), *arguments)
        numbers[node] = forms.setdefault(form, len(forms))
    return [numbers[node] for node in outputs]
