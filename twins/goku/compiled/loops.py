"""Expressions as loops over lanes in C."""

from __future__ import annotations

import math
from collections.abc import Sequence

from twins.goku.compiled.expressions import COMPARISONS, FUNCTIONS, Node

LONGEST_LOOP = 150
"""Operations in one loop: what compilers take grows faster than its length. Longer ones are cut; what is needed further on
is kept in memory between."""

Statement = tuple[str, str, Node]
"""(target, "=" or "+=", what)."""


def loops(statements: Sequence[Statement]) -> str:
    """All statements, for every lane; nothing is added where there is nothing to add."""
    wanted = [one for one in statements if one[1] == "=" or not one[2].is_constant(0.0)]
    order = _depth_first([node for _, _, node in wanted])
    operations = [node for node in order if node.arguments]
    block_of = {node: number // LONGEST_LOOP for number, node in enumerate(operations)}
    n_blocks = 1 + (len(operations) - 1) // LONGEST_LOOP if operations else 1
    kept = _kept(operations, block_of)
    texts = [_loop(operations, wanted, block_of, kept, block) for block in range(n_blocks)]
    between = [f"    lanes t[{len(kept)}];"] if kept else []
    return "\n".join([*between, *texts])


def _depth_first(outputs: Sequence[Node]) -> list[Node]:
    """All nodes, arguments before what uses them, those of one output together."""
    found: dict[Node, None] = {}
    waiting = list(reversed(outputs))
    while waiting:
        node = waiting[-1]
        missing = [one for one in node.arguments if one not in found]
        if missing and node not in found:
            waiting.extend(reversed(missing))
        else:
            found.setdefault(waiting.pop())
    return list(found)


def _kept(operations: Sequence[Node], block_of: dict[Node, int]) -> dict[Node, int]:
    """Places of what is used in a later loop than its own."""
    kept: dict[Node, int] = {}
    for node in operations:
        for one in node.arguments:
            if one in block_of and block_of[one] != block_of[node]:
                kept.setdefault(one, len(kept))
    return kept


def _loop(
    operations: Sequence[Node],
    wanted: Sequence[Statement],
    block_of: dict[Node, int],
    kept: dict[Node, int],
    block: int,
) -> str:
    names: dict[Node, str] = {}
    lines: list[str] = []

    def name(node: Node) -> str:
        """Of a value in this loop; it is given, or was computed by an earlier one."""
        if node not in names:
            if node.operation == "constant":
                names[node] = number(node.value)
            else:
                kind, index, _ = node.key
                place = f"t[{kept[node]}][l]" if node.arguments else f"{kind}[{index}][l]"
                _define(node, place)
        return names[node]

    def _define(node: Node, value: str) -> None:
        names[node] = f"v{len(lines)}"
        lines.append(f"const {'M' if node.is_condition else 'T'} {names[node]} = {value};")

    for node in operations[block * LONGEST_LOOP : (block + 1) * LONGEST_LOOP]:
        given = [name(one) for one in node.arguments]
        _define(node, _expression(node, given))
        if node in kept:
            lines.append(f"t[{kept[node]}][l] = {names[node]};")
    for target, how, node in wanted:
        if block_of.get(node, 0) == block:
            value = name(node)
            lines.append(f"{target} {how} {value};")
    return "\n        ".join(["    EACH_LANE {", *lines]) + "\n    }"


def number(value: float) -> str:
    """A constant in C."""
    if math.isnan(value):
        return "(T)NAN"
    return f"(T){'-' if value < 0 else ''}INFINITY" if math.isinf(value) else f"(T)({value.hex()})"


def _expression(node: Node, given: Sequence[str]) -> str:
    """One operation on these arguments in C."""
    a, b, c = (*given, "", "", "")[:3]
    signs = {"add": "+", "sub": "-", "mul": "*", "div": "/", "and": "&", "or": "|", **COMPARISONS}
    if node.operation in signs:
        return f"{a} {signs[node.operation]} {b}"
    if node.operation in (*FUNCTIONS, "floor", "ceil"):
        return f"F({node.operation})({a})"
    return {
        "neg": f"-{a}",
        "not": f"!{a}",
        "abs": f"F(fabs)({a})",
        "sign": f"(T)(({a} > 0) - ({a} < 0))",
        "sigmoid": f"(T)1 / ((T)1 + F(exp)(-{a}))",
        "pow": f"F(pow)({a}, {b})",
        "atan2": f"F(atan2)({a}, {b})",
        "max": f"(({a} > {b}) | ({a} != {a})) ? {a} : {b}",  # NaN stays
        "min": f"(({a} < {b}) | ({a} != {a})) ? {a} : {b}",
        "where": f"{a} ? {b} : {c}",
    }[node.operation]
