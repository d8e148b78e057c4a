"""How a twin was judged: plain data, which a program without torch can hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

Figures = Mapping[str, float | int | None]


@dataclass(frozen=True, slots=True)
class Judgement:
    """A twin on held-out data: its figures (see twins.Calibration) and its gates, as plain data.

    Where the data come in several lots (of other conditions, or trials of other lengths), the figures are those of the
    largest, and the gates are those of all: `passed` only if it passed everywhere.
    """

    figures: Figures
    gates: Mapping[str, Any]

    @property
    def passed(self) -> bool:
        """Whether it passed all gates."""
        return bool(self.gates["passed"])

    def withheld(self, why: str) -> Judgement:
        """The same figures, which do not clear the twin, and why: as a gate that is not passed."""
        gate = {
            "name": "clearance", "value": None, "lower": None, "upper": None, "passed": False, "why": why,
            "judged": False,
        }  # fmt: skip
        reasons = [why, *self.gates.get("reasons", ())]
        gates = [gate, *self.gates["gates"]]
        return replace(self, gates={**self.gates, "passed": False, "gates": gates, "reasons": reasons})
