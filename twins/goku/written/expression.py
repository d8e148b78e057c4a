"""Formulas written as text, read by a whitelist of what arithmetic needs; nothing in them is ever executed as Python."""

from __future__ import annotations

import ast
import keyword
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from twins.errors import EquationInvalid

Number = Any  # a tensor, or a float where a whole part of a formula is constant
_Evaluate = Callable[[Mapping[str, Number]], Number]

LONGEST_TEXT = 2000
DEEPEST = 50
MOST_PARTS = 500

CONSTANTS = {"pi": math.pi}


def _least(a: Number, b: Number) -> Number:
    return torch.minimum(*_both(a, b))


def _greatest(a: Number, b: Number) -> Number:
    return torch.maximum(*_both(a, b))


def _both(a: Number, b: Number) -> tuple[Tensor, Tensor]:
    like = a if isinstance(a, Tensor) else b
    return tuple(x if isinstance(x, Tensor) else torch.full_like(like, x) for x in (a, b))  # type: ignore[return-value]


def _power(base: Number, exponent: Number) -> Number:
    if exponent == 2.0 and isinstance(exponent, float):  # a product is quicker, and says so to whoever compiles it
        return base * base
    if exponent == 3.0 and isinstance(exponent, float):
        return base * base * base
    return base**exponent


Function = tuple[int, Callable[..., Number]]
"""Its number of arguments, and what it computes."""

FUNCTIONS: dict[str, Function] = {
    "sin": (1, torch.sin), "cos": (1, torch.cos), "tan": (1, torch.tan),
    "asin": (1, torch.asin), "acos": (1, torch.acos), "atan": (1, torch.atan),
    "sinh": (1, torch.sinh), "cosh": (1, torch.cosh), "tanh": (1, torch.tanh),
    "exp": (1, torch.exp), "log": (1, torch.log), "sqrt": (1, torch.sqrt), "abs": (1, torch.abs),
    "sigmoid": (1, torch.sigmoid), "softplus": (1, torch.nn.functional.softplus),
    "min": (2, _least), "max": (2, _greatest),
}  # fmt: skip
"""name -> (arguments, what it computes); log is the natural one, sigmoid(x) = 1 / (1 + exp(-x))."""

_OPERATORS: dict[type[ast.operator], Callable[[Number, Number], Number]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
    ast.Pow: _power,
}
_ALLOWED = "numbers, names, + - * / **, parentheses and "


@dataclass(frozen=True, slots=True)
class Expression:
    """A formula that was read: its text, the names it uses, and a function of their values (tensors that broadcast)."""

    text: str
    names: frozenset[str]
    evaluate: _Evaluate = field(compare=False)


@dataclass(frozen=True, slots=True)
class _Part:
    """constant: its value, if no name is in it."""

    evaluate: _Evaluate
    constant: float | None = None


def is_free_name(name: str) -> bool:
    """Whether a quantity can have this name: an identifier that means nothing else in a formula."""
    return name.isidentifier() and not keyword.iskeyword(name) and name not in FUNCTIONS and name not in CONSTANTS


def read_expression(
    text: str, names: Iterable[str], where: str, *, functions: Mapping[str, Function] = FUNCTIONS
) -> Expression:
    """Read a formula of the given names; `where` begins every error ("drift of angle"). functions: what it can call.

    Raises EquationInvalid, quoting the formula and the place, for anything but arithmetic on them, and for formulas longer
    than LONGEST_TEXT, deeper than DEEPEST or of more than MOST_PARTS parts.
    """
    if not isinstance(text, str):
        raise EquationInvalid(f"{where}: a formula must be text in quotes, not {text!r}")
    if len(text) > LONGEST_TEXT:
        raise EquationInvalid(
            f"{where}: a formula can have {LONGEST_TEXT} characters, not {len(text)}; name parts in [let]"
        )
    one_line = " ".join(text.split())
    try:
        tree = ast.parse(one_line, mode="eval")
    except SyntaxError as error:
        place = (error.offset or 1) - 1
        raise EquationInvalid(_pointing(where, one_line, place, f"this is not a formula ({error.msg})")) from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise EquationInvalid(f"{where}: this is not a formula ({error}): {one_line[:200]}") from error
    reader = _Reader(one_line, frozenset(names), where, functions)
    part = reader.part(tree.body, 1)
    return Expression(one_line, frozenset(reader.used), part.evaluate)


class _Reader:
    """Goes through the parsed formula once, part by part."""

    def __init__(self, text: str, names: frozenset[str], where: str, functions: Mapping[str, Function]) -> None:
        self._text, self._names, self._where, self._functions = text, names, where, functions
        self.used: set[str] = set()
        self._n_parts = 0

    def part(self, node: ast.expr, depth: int) -> _Part:
        self._n_parts += 1
        if depth > DEEPEST or self._n_parts > MOST_PARTS:
            raise self._refusal(node, f"too long or too deep; at most {MOST_PARTS} parts, {DEEPEST} one in another")
        match node:
            case ast.Constant(value=value):
                return self._number(node, value)
            case ast.Name(id=name):
                return self._name(node, name)
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return self.part(operand, depth + 1)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return self._of(node, lambda a: -a, [self.part(operand, depth + 1)])
            case ast.BinOp(left=left, op=operator, right=right) if type(operator) in _OPERATORS:
                parts = [self.part(left, depth + 1), self.part(right, depth + 1)]
                return self._of(node, _OPERATORS[type(operator)], parts)
            case ast.BinOp(op=ast.BitXor()):
                raise self._refusal(node, "a power is written **, not ^")
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
                return self._call(node, name, arguments, depth)
        raise self._refusal(node, f"only {_ALLOWED}{', '.join(self._functions)} can be used")

    def _number(self, node: ast.expr, value: object) -> _Part:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._refusal(node, f"{value!r} is not a number")
        try:
            number = float(value)
        except OverflowError as error:
            raise self._refusal(node, "this number is too large") from error
        if not math.isfinite(number):
            raise self._refusal(node, "this number is too large")
        return _Part(lambda _values: number, number)

    def _name(self, node: ast.expr, name: str) -> _Part:
        if name in CONSTANTS:
            constant = CONSTANTS[name]
            return _Part(lambda _values: constant, constant)
        if name not in self._names:
            known = ", ".join(sorted(self._names)) or "none"
            also = "; time does not enter an equation: what depends on it is a drive" if name in ("t", "time") else ""
            raise self._refusal(node, f"there is no {name!r} here; there are {known}{also}")
        self.used.add(name)
        return _Part(lambda values: values[name])

    def _call(self, node: ast.expr, name: str, arguments: list[ast.expr], depth: int) -> _Part:
        if name not in self._functions:
            raise self._refusal(node, f"there is no function {name!r}; there are {', '.join(self._functions)}")
        wanted, function = self._functions[name]
        if len(arguments) != wanted:
            raise self._refusal(node, f"{name} takes {wanted} argument{'s' * (wanted > 1)}, not {len(arguments)}")
        return self._of(node, function, [self.part(argument, depth + 1) for argument in arguments])

    def _of(self, node: ast.expr, function: Callable[..., Number], parts: list[_Part]) -> _Part:
        """A function of parts; computed at once where all are constant, so that only tensors are left for later."""
        if all(part.constant is not None for part in parts):
            exact = [torch.tensor(part.constant, dtype=torch.float64) for part in parts]
            value = float(function(*exact))
            if not math.isfinite(value):
                raise self._refusal(node, f"this is {value}, whatever the values are")
            return _Part(lambda _values: value, value)
        if len(parts) == 1:
            (only,) = (part.evaluate for part in parts)
            return _Part(lambda values: function(only(values)))
        first, second = (part.evaluate for part in parts)
        return _Part(lambda values: function(first(values), second(values)))

    def _refusal(self, node: ast.expr, why: str) -> EquationInvalid:
        # col_offset counts bytes of UTF-8
        place = len(self._text.encode()[: node.col_offset].decode(errors="ignore"))
        return EquationInvalid(_pointing(self._where, self._text, place, why))


def _pointing(where: str, text: str, place: int, why: str) -> str:
    """The error with the formula below it, cut around the place, and a mark there."""
    start = max(0, place - 60)
    shown = text[start : start + 120]
    return f"{where}: {why}\n    {shown}\n    {' ' * (place - start)}^"
