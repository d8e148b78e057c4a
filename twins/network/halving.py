"""Successive halving: how the iterations of one optimisation are split between several starts (Jamieson, Talwalkar 2016)."""

from __future__ import annotations

from dataclasses import dataclass

from twins.network.tasks import TaskError


@dataclass(frozen=True, slots=True)
class Rung:
    """n_alive starts go on until each is at iteration `until` of its own; then the better half stays."""

    n_alive: int
    until: int


def rungs(n_iterations: int, n_started: int, share: float) -> tuple[Rung, ...]:
    """The rungs for `n_iterations` altogether; the last is that of the one that is left, and goes to its end.

    share: of the iterations that go into the choice, in equal parts to every rung that halves. Raises TaskError where
    that leaves nothing for somebody.
    """
    if n_started < 1 or not 0.0 < share < 1.0:
        raise TaskError(f"starts must be at least 1 and the share of the choice within 0..1, not {n_started}, {share}")
    alive = [n_started]
    while alive[-1] > 1:
        alive.append((alive[-1] + 1) // 2)
    choosing = alive[:-1]
    parts = [int(share * n_iterations / len(choosing) / n) for n in choosing]
    last = n_iterations - sum(n * part for n, part in zip(choosing, parts, strict=True))
    if 0 in parts or last < 1:
        raise TaskError(
            f"{n_iterations} iterations are too few to choose among {n_started} starts with {share:g} of them: at least "
            f"one a start is needed, {max(n * len(choosing) for n in choosing) / share:.0f} altogether; or start fewer"
        )
    found, until = [], 0
    for n, part in zip(alive, [*parts, last], strict=True):
        until += part
        found.append(Rung(n, until))
    return tuple(found)
