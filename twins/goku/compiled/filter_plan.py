"""What a compiled filter computes of an equation: drift in Itô's reading, diffusion and outputs, as scalar expressions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from twins.goku.compiled.expressions import Graph, Node, in_order, rebuilt
from twins.goku.compiled.plan import split_off_coefficients
from twins.goku.compiled.trace import Traced
from twins.goku.system import System

NUDGE = 1e-4
"""Of the noise, for its slope along itself."""


@dataclass(frozen=True, slots=True)
class FilterPlan:
    """coefficients: expressions of "p"; the others of "x", "c" and "u", drift and diffusion one a state.

    state_dependent: whether the noise depends on the state.
    """

    coefficients: tuple[Node, ...]
    drift: tuple[Node, ...]
    diffusion: tuple[Node, ...]
    outputs: tuple[Node, ...]
    n_parameters: int
    n_drives: int
    state_dependent: bool

    @property
    def n_states(self) -> int:
        """Numbers of the state."""
        return len(self.drift)

    @property
    def n_operations(self) -> int:
        """Of one drift, about."""
        return len(in_order(self.drift))


def filter_plan(traced: Traced, system: System) -> FilterPlan:
    """Split what is known beforehand from what is not. traced: with its outputs."""
    state_dependent = system.noise != "additive"
    drift = traced.drift
    if state_dependent and system.sde_type == "stratonovich":
        drift = _in_ito(traced.graph, drift, traced.diffusion)
    coefficients: dict[Node, Node] = {}
    parts = (drift, traced.diffusion, traced.outputs)
    found = split_off_coefficients(traced.graph, [one for part in parts for one in part], coefficients)
    n = len(drift)
    return FilterPlan(
        tuple(coefficients), tuple(found[:n]), tuple(found[n : 2 * n]), tuple(found[2 * n :]),
        system.n_parameters, len(system.drives), state_dependent,
    )  # fmt: skip


def _in_ito(graph: Graph, drift: Sequence[Node], diffusion: Sequence[Node]) -> tuple[Node, ...]:
    """f + (∂g/∂x) g / 2, each noise along itself, by the differences that the filter in torch takes."""
    found = []
    for index, (rate, spread) in enumerate(zip(drift, diffusion, strict=True)):
        x = graph.symbol("x", index)
        shift = graph.multiply(graph.constant(NUDGE), spread)
        (ahead,) = rebuilt(graph, [spread], {x: graph.add(x, shift)})
        (behind,) = rebuilt(graph, [spread], {x: graph.subtract(x, shift)})
        slope = graph.multiply(graph.constant(0.25 / NUDGE), graph.subtract(ahead, behind))
        found.append(graph.add(rate, slope))
    return tuple(found)
