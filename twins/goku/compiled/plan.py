"""What a kernel computes: the traced expressions, split into what is found once a trajectory and what at every stage.

Everything that depends on parameters alone becomes a coefficient: a square root or a reciprocal of parameters is taken once,
whether or not the system's author thought of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from twins.goku.compiled.expressions import Graph, Node, in_order, pulled_back, pushed_forward
from twins.goku.compiled.trace import Traced


@dataclass(frozen=True, slots=True)
class Scheme:
    """A step as a chain of stages, each begun from the one before it.

    Stage i stands at x + ahead[i] h f(i-1) + kicked[i] g(i-1) dW, `ahead[i]` of the step gone by; the step adds
    Σ drift[i] h f(i) + Σ noise[i] g(i) dW, and Milstein's term where `milstein`.
    """

    ahead: tuple[float, ...]
    kicked: tuple[float, ...]
    drift: tuple[float, ...]
    noise: tuple[float, ...]
    milstein: bool = False

    def needs_diffusion(self, stage: int) -> bool:
        """Whether g is used at this stage."""
        following = self.kicked[stage + 1] if stage + 1 < len(self.kicked) else 0.0
        return bool(self.noise[stage] or following)


_FOURTHS = (1.0 / 6.0, 1.0 / 3.0, 1.0 / 3.0, 1.0 / 6.0)
_HALVES = (0.0, 0.5, 0.5, 1.0)
SCHEMES = {
    "euler": Scheme((0.0,), (0.0,), (1.0,), (1.0,)),
    "milstein": Scheme((0.0,), (0.0,), (1.0,), (1.0,), milstein=True),
    "heun": Scheme((0.0, 1.0), (0.0, 1.0), (0.5, 0.5), (0.5, 0.5)),
    "rk4": Scheme(_HALVES, (0.0,) * 4, _FOURTHS, (1.0, 0.0, 0.0, 0.0)),
    "stochastic_rk4": Scheme(_HALVES, _HALVES, _FOURTHS, _FOURTHS),
    "nado_rk4": Scheme(_HALVES, (0.0, 0.5**0.5, 0.5**0.5, 1.0), _FOURTHS, _FOURTHS),
}
"""The solver's schemes (twins.solver.schemes), for noise that is diagonal or absent."""


@dataclass(frozen=True, slots=True)
class Plan:
    """coefficients: expressions of "p"; rates: of "x", "c" and "u", in the order f, g, (∂g/∂x) g; each one a state."""

    graph: Graph
    coefficients: tuple[Node, ...]
    drift: tuple[Node, ...]
    diffusion: tuple[Node, ...]
    milstein: tuple[Node, ...]
    n_parameters: int
    n_drives: int

    @property
    def n_states(self) -> int:
        """Numbers of the state."""
        return len(self.drift)

    def rates(self, *, diffusion: bool, milstein: bool) -> tuple[Node, ...]:
        """f, and what is asked for beside it."""
        return (*self.drift, *(self.diffusion if diffusion else ()), *(self.milstein if milstein else ()))

    def rates_back(self, *, diffusion: bool, milstein: bool) -> tuple[list[Node], list[Node], list[Node]]:
        """What the adjoints "a" of the rates add to those of states, coefficients and drives."""
        rates, graph = self.rates(diffusion=diffusion, milstein=milstein), self.graph
        adjoints = [graph.symbol("a", index) for index in range(len(rates))]
        sizes = {"x": self.n_states, "c": len(self.coefficients), "u": self.n_drives}
        inputs = [graph.symbol(kind, index) for kind, size in sizes.items() for index in range(size)]
        found = pulled_back(graph, rates, adjoints, inputs)
        first, second = sizes["x"], sizes["x"] + sizes["c"]
        return found[:first], found[first:second], found[second:]

    def doubled(self) -> Plan:
        """The same with tangents: states, parameters, drives and rates are followed by theirs, as many again."""
        graph, sizes = self.graph, {"x": self.n_states, "c": len(self.coefficients), "u": self.n_drives}
        tangents = {graph.symbol(kind, i): graph.symbol(kind, n + i) for kind, n in sizes.items() for i in range(n)}
        of_parameters = {
            graph.symbol("p", i): graph.symbol("p", self.n_parameters + i) for i in range(self.n_parameters)
        }  # fmt: skip

        def both(outputs: tuple[Node, ...], along: dict[Node, Node]) -> tuple[Node, ...]:
            return (*outputs, *pushed_forward(graph, outputs, along))

        return Plan(
            graph, both(self.coefficients, of_parameters), both(self.drift, tangents), both(self.diffusion, tangents),
            both(self.milstein, tangents), 2 * self.n_parameters, 2 * self.n_drives,
        )  # fmt: skip

    def coefficients_back(self) -> list[Node]:
        """What the adjoints "a" of the coefficients add to those of the parameters."""
        adjoints = [self.graph.symbol("a", index) for index in range(len(self.coefficients))]
        inputs = [self.graph.symbol("p", index) for index in range(self.n_parameters)]
        return pulled_back(self.graph, self.coefficients, adjoints, inputs)


def plan(traced: Traced, *, n_parameters: int, n_drives: int, milstein: bool) -> Plan:
    """Split what is known beforehand from what is not."""
    graph = traced.graph
    coefficients: dict[Node, Node] = {}
    found = split_off_coefficients(graph, (*traced.drift, *traced.diffusion), coefficients)
    drift, diffusion = found[: len(traced.drift)], found[len(traced.drift) :]
    slopes: Sequence[Node] = ()
    if milstein and diffusion:  # (∂g/∂x) g
        tangents = {graph.symbol("x", index): spread for index, spread in enumerate(diffusion)}
        slopes = pushed_forward(graph, diffusion, tangents)
    return Plan(
        graph, tuple(coefficients), tuple(drift), tuple(diffusion), tuple(slopes), n_parameters, n_drives
    )  # fmt: skip


def split_off_coefficients(graph: Graph, outputs: Sequence[Node], coefficients: dict[Node, Node]) -> list[Node]:
    """The outputs, with a symbol "c" for each part that depends on parameters alone; `coefficients` is filled."""
    known: dict[Node, bool] = {}  # depends on parameters alone (or on nothing)
    for node in in_order(outputs):
        given = node.operation == "symbol" and node.key[0] != "p"
        known[node] = not given and all(known[one] for one in node.arguments)

    def coefficient(node: Node) -> Node:
        if node.operation == "constant":
            return node
        if node not in coefficients:
            coefficients[node] = graph.symbol("c", len(coefficients))
        return coefficients[node]

    new: dict[Node, Node] = {}
    for node in in_order(outputs):
        if known[node]:
            continue
        if not node.arguments:
            new[node] = node
            continue
        below = node.arguments[-1]
        if node.operation == "div" and known[below]:  # once a reciprocal, then products
            above = node.arguments[0]
            new[node] = graph.multiply(new[above], coefficient(graph.divide(graph.one, below)))
        else:
            parts = (coefficient(one) if known[one] else new[one] for one in node.arguments)
            new[node] = graph.call(node.operation, *parts)
    return [coefficient(node) if known[node] else new[node] for node in outputs]
