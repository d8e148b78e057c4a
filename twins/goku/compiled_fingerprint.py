"""What a system's equation was when it was traced: by its own numbers, its class's and its module's.

A kernel keeps the constants that the equation had. A system that was changed since then has another fingerprint and is traced
again; one that holds what cannot be compared is not compiled at all.
"""

from __future__ import annotations

import dataclasses
import functools
import types
from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from twins.goku.compiled_trace import NotTraceable
from twins.goku.quantity import Quantity
from twins.goku.system import System

if TYPE_CHECKING:
    from collections.abc import Iterator

_LARGEST_ARRAY = 10_000
_AS_THEY_ARE = (int, float, complex, str, bytes, type(None), type, Quantity, torch.dtype, range)
_FIXED = (types.FunctionType, types.BuiltinFunctionType, types.CodeType, types.ModuleType, np.ufunc)
"""What does not change while it is there; the class's functions are looked into apart."""


def fingerprint(system: System) -> Hashable:
    """Equal for equal equations. Raises NotTraceable where it cannot be told."""
    own = tuple(
        (name, _frozen(value, name)) for name, value in vars(system).items() if not name.startswith("flat_")
    )  # fmt: skip
    elsewhere = tuple((name, _frozen(holder.get(name), name)) for holder, name in _elsewhere(type(system)))  # type: ignore[arg-type] # mypy takes the metaclass's hash for its objects'
    return type(system), own, elsewhere


@functools.lru_cache(maxsize=256)
def _elsewhere(kind: type[System]) -> tuple[tuple[Mapping[str, Any], str], ...]:
    """Where the class and the functions of its module keep values that are not functions: (names -> values, name)."""
    found: list[tuple[Mapping[str, Any], str]] = []
    seen: set[object] = set()
    for one in kind.__mro__:
        if one is System or not issubclass(one, System):
            continue
        for name, value in vars(one).items():
            if isinstance(value, types.FunctionType):
                found += _used(value, seen)
            elif not name.startswith("_") and not isinstance(
                value, functools.cached_property | property | staticmethod | classmethod
            ):
                found.append((vars(one), name))
    return tuple(found)


def _used(function: types.FunctionType, seen: set[object]) -> Iterator[tuple[Mapping[str, Any], str]]:
    """The globals and cells that a function, and those of the same module that it calls, use."""
    if function in seen:
        return
    seen.add(function)
    for name in function.__code__.co_names:
        value = function.__globals__.get(name)
        if isinstance(value, types.FunctionType):
            if value.__module__ == function.__module__:
                yield from _used(value, seen)
        elif value is not None and not isinstance(value, (*_FIXED, type)):
            yield function.__globals__, name
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        if name != "__class__":
            yield _Cell(cell), name


class _Cell(dict[str, Any]):
    """A closure's variable, read anew each time."""

    def __init__(self, cell: types.CellType) -> None:
        super().__init__()
        self._cell = cell

    def get(self, _name: str, _default: Any = None) -> Any:
        return self._cell.cell_contents


def _frozen(value: Any, name: str) -> Hashable:
    if isinstance(value, (*_AS_THEY_ARE, *_FIXED)):
        return value
    if isinstance(value, tuple | list):
        return tuple(_frozen(one, name) for one in value)
    if isinstance(value, Mapping):
        return tuple((_frozen(key, name), _frozen(one, name)) for key, one in value.items())
    if isinstance(value, set | frozenset):
        return frozenset(value)
    numbers = value.detach().numpy() if isinstance(value, Tensor) and value.device.type == "cpu" else value
    if isinstance(numbers, np.ndarray | np.generic) and numbers.dtype != object and numbers.size <= _LARGEST_ARRAY:
        return getattr(value, "requires_grad", False), str(numbers.dtype), numbers.shape, numbers.tobytes()
    return _frozen_parts(value, name)


def _frozen_parts(value: Any, name: str) -> Hashable:
    """Of what is made of named parts: an equation within another one, a frozen dataclass."""
    if isinstance(value, System):
        return fingerprint(value)
    settings = getattr(type(value), "__dataclass_params__", None)
    if settings is not None and settings.frozen:
        parts = (part.name for part in dataclasses.fields(value) if part.compare)
        return type(value), tuple(_frozen(getattr(value, part), f"{name}.{part}") for part in parts)
    raise NotTraceable(f"its {name!r} is a {type(value).__name__}, of which changes would not be seen")
