"""Scalar expressions of an equation: built without repeats, simplified a little, differentiated both ways.

An expression is a node of a directed graph; equal ones are one object, so what an equation uses twice is computed once.
Derivatives are exact and follow torch's conventions at kinks (half each where two maxima are equal, zero for |0|).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

FUNCTIONS = (
    "sqrt", "exp", "expm1", "log", "log1p", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "erf",
)  # fmt: skip
"""Of one argument, by their names in C."""

COMPARISONS = {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!="}
CONDITIONS = (*COMPARISONS, "and", "or", "not")
"""Operations that give true or false."""

_LARGEST_WHOLE_POWER = 8


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Node:
    """operation: "constant" (with its value), "symbol" (with its key), or what is done to the arguments."""

    operation: str
    arguments: tuple[Node, ...]
    number: int  # in order of making: arguments come first
    value: float = 0.0
    key: tuple[str, int, int] = ("", 0, 0)  # of a symbol: kind, index, sample

    @property
    def is_condition(self) -> bool:
        """Whether it is true or false rather than a number."""
        return self.operation in CONDITIONS

    def is_constant(self, value: float) -> bool:
        """Whether it is this number."""
        return self.operation == "constant" and self.value == value


class Graph:
    """Makes nodes, each once."""

    def __init__(self) -> None:
        self._known: dict[object, Node] = {}
        self.zero, self.one = self.constant(0.0), self.constant(1.0)

    def __len__(self) -> int:
        return len(self._known)

    def constant(self, value: float) -> Node:
        """A number."""
        return self._made(("constant", value.hex()), "constant", value=value)

    def symbol(self, kind: str, index: int, sample: int = 0) -> Node:
        """A quantity that is given: kind "x" (state), "p" (parameter), "c" (coefficient), "u" (drive), "a" (adjoint)."""
        return self._made(("symbol", kind, index, sample), "symbol", key=(kind, index, sample))

    def call(self, operation: str, *arguments: Node) -> Node:
        """Any other operation, without simplification."""
        return self._made((operation, *(one.number for one in arguments)), operation, arguments)

    def _made(
        self,
        known_as: object,
        operation: str,
        arguments: tuple[Node, ...] = (),
        value: float = 0.0,
        key: tuple[str, int, int] = ("", 0, 0),
    ) -> Node:
        found = self._known.get(known_as)
        if found is None:
            found = self._known[known_as] = Node(operation, arguments, len(self._known), value, key)
        return found

    def add(self, a: Node, b: Node) -> Node:
        """a + b."""
        if a.is_constant(0.0):
            return b
        if b.is_constant(0.0):
            return a
        if a.operation == b.operation == "constant":
            return self.constant(a.value + b.value)
        if b.operation == "neg":
            return self.subtract(a, b.arguments[0])
        return self.call("add", a, b)

    def subtract(self, a: Node, b: Node) -> Node:
        """a - b."""
        if b.is_constant(0.0):
            return a
        if a.is_constant(0.0):
            return self.negative(b)
        if a.operation == b.operation == "constant":
            return self.constant(a.value - b.value)
        if b.operation == "neg":
            return self.add(a, b.arguments[0])
        return self.call("sub", a, b)

    def negative(self, a: Node) -> Node:
        """-a."""
        if a.operation == "constant":
            return self.constant(-a.value)
        return a.arguments[0] if a.operation == "neg" else self.call("neg", a)

    def multiply(self, a: Node, b: Node) -> Node:
        """a · b; a factor that is exactly zero leaves nothing, even of what is infinite."""
        for one, other in ((a, b), (b, a)):
            if one.is_constant(0.0):
                return self.zero
            if one.is_constant(1.0):
                return other
            if one.is_constant(-1.0):
                return self.negative(other)
        if a.operation == b.operation == "constant":
            return self.constant(a.value * b.value)
        return self.call("mul", a, b) if a.number <= b.number else self.call("mul", b, a)

    def divide(self, a: Node, b: Node) -> Node:
        """a / b."""
        if b.is_constant(1.0):
            return a
        if a.is_constant(0.0):
            return self.zero
        if a.operation == b.operation == "constant" and b.value != 0.0:
            return self.constant(a.value / b.value)
        return self.call("div", a, b)

    def power(self, a: Node, b: Node) -> Node:
        """a to the power b; by products or a root where that is exact."""
        if b.operation != "constant":
            return self.call("pow", a, b)
        whole = int(b.value) if b.value == math.floor(b.value) and abs(b.value) <= _LARGEST_WHOLE_POWER else None
        if whole is None:
            return self.call("sqrt", a) if b.value == 0.5 else self.call("pow", a, b)
        if whole < 0:
            return self.divide(self.one, self.power(a, self.constant(-b.value)))
        if whole == 0:
            return self.one
        half = self.power(a, self.constant(float(whole // 2)))
        square = self.multiply(half, half)
        return self.multiply(square, a) if whole % 2 else square

    def choose(self, condition: Node, a: Node, b: Node) -> Node:
        """a where the condition holds, else b."""
        return a if a is b else self.call("where", condition, a, b)

    def total(self, terms: Iterable[Node]) -> Node:
        """The sum of any number of terms."""
        found = self.zero
        for term in terms:
            found = self.add(found, term)
        return found


def in_order(outputs: Iterable[Node]) -> list[Node]:
    """All nodes that the outputs need, arguments first."""
    seen: dict[int, Node] = {}
    waiting = list(outputs)
    while waiting:
        node = waiting.pop()
        if node.number not in seen:
            seen[node.number] = node
            waiting.extend(node.arguments)
    return [seen[number] for number in sorted(seen)]


def rebuilt(graph: Graph, outputs: Sequence[Node], instead: Mapping[Node, Node]) -> list[Node]:
    """The outputs with some nodes replaced."""
    new: dict[Node, Node] = {}
    for node in in_order(outputs):
        if node in instead:
            new[node] = instead[node]
        elif not node.arguments:
            new[node] = node
        else:
            new[node] = graph.call(node.operation, *(new[one] for one in node.arguments))
    return [new[node] for node in outputs]


def pulled_back(graph: Graph, outputs: Sequence[Node], adjoints: Sequence[Node], inputs: Sequence[Node]) -> list[Node]:
    """Σ_k adjoints[k] · ∂outputs[k]/∂inputs[i], for every i (reverse mode)."""
    sums: dict[Node, Node] = {}
    for output, adjoint in zip(outputs, adjoints, strict=True):
        sums[output] = graph.add(sums.get(output, graph.zero), adjoint)
    for node in reversed(in_order(outputs)):
        adjoint = sums.get(node, graph.zero)
        if adjoint is graph.zero or not node.arguments:
            continue
        for argument, partial in zip(node.arguments, partials(graph, node), strict=True):
            if partial is not None and argument.operation != "constant":
                sums[argument] = graph.add(sums.get(argument, graph.zero), _times(graph, adjoint, partial))
    return [sums.get(one, graph.zero) for one in inputs]


def pushed_forward(graph: Graph, outputs: Sequence[Node], tangents: Mapping[Node, Node]) -> list[Node]:
    """Σ_i ∂outputs[k]/∂input_i · tangents[input_i], for every k (forward mode)."""
    found = dict(tangents)
    for node in in_order(outputs):
        if node.arguments and not node.is_condition:
            terms = (
                _times(graph, found.get(argument, graph.zero), partial)
                for argument, partial in zip(node.arguments, partials(graph, node), strict=True)
                if partial is not None
            )
            found[node] = graph.total(terms)
    return [found.get(node, graph.zero) for node in outputs]


@dataclass(frozen=True, slots=True)
class _Masked:
    """A partial derivative of one where the condition is `when`, else zero."""

    condition: Node
    when: bool


def _times(graph: Graph, adjoint: Node, partial: Node | _Masked) -> Node:
    if isinstance(partial, _Masked):  # never zero · NaN
        if adjoint is graph.zero:
            return adjoint
        chosen = (adjoint, graph.zero) if partial.when else (graph.zero, adjoint)
        return graph.choose(partial.condition, *chosen)
    return graph.multiply(adjoint, partial)


def partials(graph: Graph, node: Node) -> tuple[Node | _Masked | None, ...]:
    """Derivatives of a node with respect to its arguments; None where it has none."""
    if node.is_condition or node.operation in ("floor", "ceil", "sign"):
        return (None,) * len(node.arguments)
    if node.operation == "where":
        condition = node.arguments[0]
        return None, _Masked(condition, True), _Masked(condition, False)
    return _RULES[node.operation](graph, node, *node.arguments)


Rule = Callable[..., "tuple[Node | _Masked | None, ...]"]


def _extreme(operation: str) -> Rule:
    def rule(g: Graph, _node: Node, a: Node, b: Node) -> tuple[Node, ...]:
        first, second, half = g.call(operation, a, b), g.call("eq", a, b), g.constant(0.5)
        mine = g.choose(first, g.one, g.choose(second, half, g.zero))
        return mine, g.subtract(g.one, mine)

    return rule


def _power_rule(g: Graph, node: Node, a: Node, b: Node) -> tuple[Node | None, ...]:
    of_base = g.multiply(b, g.power(a, g.subtract(b, g.one)))
    if b.operation == "constant":
        return of_base, None
    of_exponent = g.choose(g.call("eq", a, g.zero), g.zero, g.multiply(node, g.call("log", a)))
    return of_base, of_exponent


def _atan2_rule(g: Graph, _node: Node, a: Node, b: Node) -> tuple[Node, ...]:
    norm = g.add(g.multiply(a, a), g.multiply(b, b))
    return g.divide(b, norm), g.negative(g.divide(a, norm))


def _reciprocal_root(g: Graph, inside: Node) -> Node:
    return g.divide(g.one, g.call("sqrt", inside))


_RULES: dict[str, Rule] = {
    "add": lambda g, _n, _a, _b: (g.one, g.one),
    "sub": lambda g, _n, _a, _b: (g.one, g.constant(-1.0)),
    "mul": lambda _g, _n, a, b: (b, a),
    "div": lambda g, n, _a, b: (g.divide(g.one, b), g.negative(g.divide(n, b))),
    "neg": lambda g, _n, _a: (g.constant(-1.0),),
    "pow": _power_rule,
    "abs": lambda g, _n, a: (g.call("sign", a),),
    "max": _extreme("gt"),
    "min": _extreme("lt"),
    "atan2": _atan2_rule,
    "sigmoid": lambda g, n, _a: (g.multiply(n, g.subtract(g.one, n)),),
    "sqrt": lambda g, n, _a: (g.divide(g.constant(0.5), n),),
    "exp": lambda _g, n, _a: (n,),
    "expm1": lambda g, n, _a: (g.add(n, g.one),),
    "log": lambda g, _n, a: (g.divide(g.one, a),),
    "log1p": lambda g, _n, a: (g.divide(g.one, g.add(a, g.one)),),
    "sin": lambda g, _n, a: (g.call("cos", a),),
    "cos": lambda g, _n, a: (g.negative(g.call("sin", a)),),
    "tan": lambda g, n, _a: (g.add(g.one, g.multiply(n, n)),),
    "asin": lambda g, _n, a: (_reciprocal_root(g, g.subtract(g.one, g.multiply(a, a))),),
    "acos": lambda g, _n, a: (g.negative(_reciprocal_root(g, g.subtract(g.one, g.multiply(a, a)))),),
    "atan": lambda g, _n, a: (g.divide(g.one, g.add(g.one, g.multiply(a, a))),),
    "sinh": lambda g, _n, a: (g.call("cosh", a),),
    "cosh": lambda g, _n, a: (g.call("sinh", a),),
    "tanh": lambda g, n, _a: (g.subtract(g.one, g.multiply(n, n)),),
    "erf": lambda g, _n, a: (
        g.multiply(g.constant(2.0 / math.sqrt(math.pi)), g.call("exp", g.negative(g.multiply(a, a)))),
    ),
}
