"""What a system's equation was when it was traced: by its own numbers and by all that its Python reads (``Watch``).

A kernel keeps the constants that the equation had. A system that was changed since then has another fingerprint and is traced
again; one that holds what cannot be compared is traced each time.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Hashable
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from twins.goku.compiled.watch import Unseen, immutable, watched
from twins.goku.quantity import Quantity
from twins.goku.system import System

_LARGEST_ARRAY = 10_000
_BUILT_IN = (types.BuiltinFunctionType, np.ufunc)


def fingerprint(system: System) -> Hashable:
    """Equal only for equal equations. Raises Unseen where it cannot be told."""
    try:
        return torch.get_default_dtype(), _frozen_object(system, "itself")
    except RecursionError as error:
        raise Unseen("it holds something that holds itself") from error


def _frozen_object(value: Any, name: str) -> Hashable:
    """Of the class and of what the object holds, but for what is derived from it."""
    own = tuple((key, _frozen(one, key)) for key, one in vars(value).items() if not key.startswith("flat_"))
    return type(value), _code(type(value), name), own


def _code(root: type | types.FunctionType, name: str) -> Hashable:
    watch = watched(root)
    return watch, tuple(_frozen(value, f"{name}.{part}") for value, part in watch.contents)


def _frozen(value: Any, name: str) -> Hashable:  # noqa: PLR0911 - a kind of value each
    kind, itself = type(value), cast(Hashable, value)
    if kind is Quantity or kind in (str, bytes, bool, type(None)) or isinstance(value, _BUILT_IN):
        return itself
    if kind is float:
        return str(value.hex())  # 1.0 and 1, 0.0 and -0.0 are equal but make other equations
    if immutable(value) and kind not in (tuple, frozenset):
        return kind, value
    if kind in (tuple, list):
        return kind, tuple(_frozen(one, name) for one in value)
    if kind in (dict, types.MappingProxyType):
        return tuple((_frozen(key, name), _frozen(one, name)) for key, one in value.items())
    if kind in (set, frozenset):
        return frozenset(_frozen(one, name) for one in value)
    if kind in (Tensor, torch.nn.Parameter) or isinstance(value, np.ndarray | np.generic):
        return _frozen_numbers(value, name)
    if kind is types.FunctionType or isinstance(value, type):
        return value, _code(value, name)
    if isinstance(value, System):
        return _frozen_object(value, name)
    return _frozen_record(value, name)


def _frozen_numbers(value: Any, name: str) -> Hashable:
    numbers = value
    if isinstance(value, Tensor):
        if value.device.type != "cpu":
            raise Unseen(f"its {name!r} is on {value.device}")
        numbers = value.detach().numpy()
    if numbers.dtype == object or numbers.size > _LARGEST_ARRAY:
        raise Unseen(f"its {name!r} has too many numbers, or objects, to be compared")
    return type(value), getattr(value, "requires_grad", False), str(numbers.dtype), numbers.shape, numbers.tobytes()


def _frozen_record(value: Any, name: str) -> Hashable:
    """Of a frozen dataclass."""
    kind, settings = type(value), getattr(type(value), "__dataclass_params__", None)
    if settings is None or not settings.frozen:
        raise Unseen(f"its {name!r} is a {kind.__name__}, of which changes would not be seen")
    ours = kind.__module__.startswith("twins.")  # what ours does not compare is derived from the rest
    parts = {part.name: getattr(value, part.name) for part in dataclasses.fields(value) if part.compare or not ours}
    parts |= getattr(value, "__dict__", {}) if not ours else {}
    of_parts = tuple((part, _frozen(one, f"{name}.{part}")) for part, one in parts.items())
    return kind, None if ours else _code(kind, name), of_parts
