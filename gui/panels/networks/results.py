"""Figures of a network: what is promised, and beside it what the device did."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from PySide6.QtCore import QObject

from gui.models.rows import Column, RowsModel
from labctl.network_card import NetworkCard

SPREADS = 2.0


class PromiseModel(RowsModel):
    """One row a figure: what it is about, its value, the interval that it lies in."""

    def __init__(self, parent: QObject | None = None) -> None:
        columns = (
            Column("Figure", "Error on held-out examples; lower is better", lambda row: row[0]),
            Column("Value", "Mean over noise draws, or repeats", lambda row: f"{row[1]:.4g}", right=True),
            Column("± 2 spreads", "Mean ± 2 spreads, over noise draws or repeats", lambda row: row[2], right=True),
        )
        super().__init__(columns, parent)

    def show_card(self, card: NetworkCard) -> None:
        """What the twins promise."""
        self.reset(
            [
                ("promised", card.promised, interval(card.promised, card.promised_std)),
                ("linear regression, same taps", card.linear_same_taps, "–"),
                ("linear regression, 20 taps", card.linear_20_taps, "–"),
            ]
        )

    def show_outcome(self, outcome: Mapping[str, Any]) -> None:
        """Promised beside measured, rivals below."""
        self.reset(list(_rows(outcome)))


def _rows(outcome: Mapping[str, Any]) -> Iterator[tuple[str, float, str]]:
    yield "promised by the twins", outcome["promised"], interval(outcome["promised"], outcome["promised_std"])
    ours = outcome["optimised"]
    spread = ours["measured_std"]
    yield "MEASURED on the device", ours["measured_mean"], interval(ours["measured_mean"], spread)
    if "refitted" in ours:
        yield "… read-out fitted on the device", ours["refitted"], "–"
    for name, told in (("reservoir", "reservoir, measured"), ("unoptimised", "unoptimised, measured")):
        if name in outcome:
            one = outcome[name]
            yield told, one.get("refitted", one["measured_mean"]), "–"
    yield "linear regression, same taps", outcome["linear_same_taps"], "–"
    yield "linear regression, 20 taps", outcome["linear_20_taps"], "–"


def interval(mean: float, spread: float) -> str:
    """mean ± 2 spreads."""
    if not spread > 0:
        return "one repeat"
    return f"{mean - SPREADS * spread:.3g} … {mean + SPREADS * spread:.3g}"
