"""What an equation's Python reads besides its own numbers, and whether any of it was changed since.

From the functions of its class on, everything that they could reach is followed: functions that they call, modules and
classes whose attributes they name, closures, defaults. Names are followed wherever they occur, which finds more than is read,
never less. What cannot be followed (an object of a class of the user's, a name made while it runs) is refused: whoever asks
must trace anew each time.
"""

from __future__ import annotations

import dis
import enum
import functools
import types
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from twins.goku.compiled.trace import NotTraceable
from twins.goku.quantity import Quantity
from twins.goku.system import System

_MOST_PLACES = 5_000
_FIXED_PACKAGES = frozenset((
    "__future__", "abc", "builtins", "cmath", "collections", "dataclasses", "enum", "functools", "itertools", "jaxtyping",
    "math", "numbers", "numpy", "operator", "reprlib", "torch", "twins", "typing",
))  # fmt: skip
"""Whose code and values nobody changes while a program runs."""

_MADE_WHILE_IT_RUNS = frozenset((
    "__builtins__", "__closure__", "__code__", "__dict__", "__globals__", "__import__", "compile", "eval", "exec",
    "globals", "import_module", "locals", "modules", "vars",
))  # fmt: skip
"""Names behind which others may hide."""
_BY_NAME = frozenset(("getattr", "hasattr", "attrgetter", "dir"))
"""Behind these any attribute of a module."""

_BUILT_IN = (
    types.BuiltinFunctionType, types.MethodDescriptorType, types.WrapperDescriptorType, types.MethodWrapperType,
    types.ClassMethodDescriptorType, types.GetSetDescriptorType, types.CodeType, np.ufunc,
)  # fmt: skip
_ATOMS = (
    bool,
    int,
    float,
    complex,
    str,
    bytes,
    type(None),
    type(...),
    Quantity,
    torch.dtype,
    torch.device,
    torch.Size,
    range,
)
_MISSING = object()


class Unseen(NotTraceable):
    """Changes of it would not be noticed."""


class Watch:
    """Everything that was reached from a class or a function, as it was. Equal only to itself.

    contents: (values that can change within, their names), of which the holder of the watch must compare the numbers.
    """

    def __init__(self, root: type | types.FunctionType) -> None:
        """Raises Unseen."""
        self.contents: list[tuple[Any, str]] = []
        self._places: list[tuple[Mapping[str, Any], str, Any]] = []
        self._cells: list[tuple[types.CellType, Any]] = []
        self._functions: list[tuple[types.FunctionType, Any, Any, Any, int]] = []
        self._classes: list[tuple[type, Any, int]] = []
        self._modules: list[types.ModuleType] = []
        self._names: set[str] = set()
        self._global_names: set[tuple[int, str]] = set()
        self._seen: dict[int, Any] = {}
        self._follow(root, root.__name__)
        self._follow_modules()
        del self._seen

    def holds(self) -> bool:
        """Whether nothing that was reached is another object now; contents are not looked at."""
        try:
            return (
                all(place.get(name, _MISSING) is value for place, name, value in self._places)
                and all(cell.cell_contents is value for cell, value in self._cells)
                and all(
                    one.__code__ is code and one.__defaults__ is usual and one.__kwdefaults__ is named
                    and len(one.__dict__) == count
                    for one, code, usual, named, count in self._functions
                )
                and all(one.__mro__ is order and len(vars(one)) == count for one, order, count in self._classes)
            )  # fmt: skip
        except ValueError:  # a cell was emptied
            return False

    def _follow(self, value: Any, name: str) -> None:
        if immutable(value) or isinstance(value, _BUILT_IN) or id(value) in self._seen:
            return
        self._seen[id(value)] = value
        match value:
            case types.FunctionType():
                self._function(value)
            case types.ModuleType():
                if not _fixed(value.__name__):
                    self._modules.append(value)
            case type():
                self._class(value)
            case property():
                for part in (value.fget, value.fset):
                    self._follow(part, name)
            case functools.cached_property():
                self._follow(value.func, name)
            case staticmethod() | classmethod():
                self._follow(value.__func__, name)
            case _:
                self.contents.append((value, name))

    def _place(self, namespace: Mapping[str, Any], name: str) -> None:
        value = namespace.get(name, _MISSING)
        self._places.append((namespace, name, value))
        if len(self._places) > _MOST_PLACES:
            raise Unseen("it reaches more than can be watched")
        if value is not _MISSING:
            self._follow(value, name)

    def _function(self, function: types.FunctionType) -> None:
        usual, named, more = function.__defaults__, function.__kwdefaults__, function.__dict__
        self._functions.append((function, function.__code__, usual, named, len(more)))
        for value in usual or ():
            self._follow(value, f"a default of {function.__name__}")
        for namespace in (named or {}, more):
            for name in namespace:
                self._place(namespace, name)
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            try:
                self._cells.append((cell, cell.cell_contents))
            except ValueError as error:
                raise Unseen(f"{function.__name__} uses {name!r}, which has no value") from error
            self._follow(cell.cell_contents, name)
        if not _fixed(function.__globals__.get("__name__", "")):
            names = _names_of(function.__code__, function.__name__)
            self._names |= names
            for name in names:
                place = (id(function.__globals__), name)
                if place not in self._global_names:
                    self._global_names.add(place)
                    self._place(function.__globals__, name)

    def _class(self, kind: type) -> None:
        equation = issubclass(kind, System)
        if _fixed(kind.__module__) and not equation:
            return
        if type(kind).__module__ not in ("builtins", "abc", "enum"):
            raise Unseen(f"{kind.__name__} is a class with a class of its own")
        for one in kind.__mro__:
            if one in (object, System) or (_fixed(one.__module__) and not equation):
                continue
            self._classes.append((one, one.__mro__, len(vars(one))))
            for name, value in vars(one).items():
                if isinstance(value, types.MemberDescriptorType):
                    if equation:
                        raise Unseen(f"{one.__name__} keeps {name!r} in a slot")
                elif _callable(value) if name.startswith("__") else name != "_abc_impl":
                    self._place(vars(one), name)

    def _follow_modules(self) -> None:
        """Every name that was met, in every module that was: until nothing new is found."""
        done: set[tuple[int, str]] = set()
        while True:
            names, any_name = self._names, not self._names.isdisjoint(_BY_NAME)
            new = [
                (module, name)
                for module in self._modules
                for name in (list(vars(module)) if any_name else names)
                if (id(module), name) not in done and not (any_name and name.startswith("__"))
            ]
            if not new:
                return
            for module, name in new:
                done.add((id(module), name))
                self._place(vars(module), name)


def _callable(value: Any) -> bool:
    """Whether a class's own special name holds code of the user's; what a dataclass writes for itself does not count."""
    function = getattr(value, "__func__", value)
    return isinstance(function, types.FunctionType) and not (
        function.__code__.co_filename == "<string>"
        or function.__globals__.get("__name__") in ("dataclasses", "reprlib")
    )


def _fixed(module: str) -> bool:
    return module.partition(".")[0] in _FIXED_PACKAGES


def _names_of(code: types.CodeType, where: str) -> set[str]:
    """All that it and what is defined in it name; raises Unseen for what makes names or imports while it runs."""
    names = set(code.co_names)
    hidden = names & _MADE_WHILE_IT_RUNS
    if hidden:
        raise Unseen(f"{where} uses {min(hidden)}")
    for step in dis.get_instructions(code):
        if step.opname == "IMPORT_NAME" and not _fixed(step.argval):
            raise Unseen(f"{where} imports {step.argval or 'a module'} while it runs")
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            names |= _names_of(inner, where)
    return names


def immutable(value: Any) -> bool:
    """Whether it is a number, a text or the like, or a tuple of them."""
    kind = type(value)
    return kind in _ATOMS or isinstance(value, enum.Enum) or (kind in (tuple, frozenset) and all(map(immutable, value)))


_watches: dict[object, Watch] = {}
_MOST_WATCHES = 512


def watched(root: type | types.FunctionType) -> Watch:
    """The watch of a class or function: the one that was made before, if it still holds. Raises Unseen."""
    found = _watches.get(root)
    if found is None or not found.holds():
        found = Watch(root)
        if len(_watches) >= _MOST_WATCHES:
            _watches.clear()
        _watches[root] = found
    return found
