"""The gates of a twin as rows of a table: what each asks, its figure, what is allowed, and what to do where it fails."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from labctl.clearance import PLAIN_FAILURE, TO_BE_JUDGED, Gates, gate_figures

RECORD = "Record more inputs, or repeat each more often, and judge again."
LONGER = "Train longer (more seconds), or record more training trials."
MEANINGS: Mapping[str, tuple[str, str]] = {
    "held_out_inputs": ("different inputs that the fit never saw", RECORD),
    "held_out_trials": ("trials of inputs that the fit never saw", RECORD),
    "free_run_excursion": (
        "how far free runs leave the measured range, in half-ranges",
        "Use a linear backbone (backbone_order 1), or record training trials over the whole range of the drive.",
    ),
    "coverage_90": (
        "share of measured values in the twin's 90 % interval",
        f"The twin's noise is too small or too large: {LONGER[0].lower()}{LONGER[1:]}",
    ),
    "coverage_90_worst_input": (
        "the same, of the input where it is worst",
        "Look at that input under Measured and predicted: record training trials like it.",
    ),
    "std_ratio": (
        "the twin's spread over the device's",
        "Train longer; if the diagnosis finds measurement noise or drift, fit as diagnosed.",
    ),
    "lag1_autocorrelation_difference": (
        "memory of the noise, twin less device",
        "Fit as diagnosed: coloured noise or measurement noise needs another twin than the plain one.",
    ),
    "mean_bias": ("error of the twin's mean, averaged, in spreads of the device's noise", LONGER),
    "mean_error": ("error of the twin's mean at each sample, in spreads of the device's noise", LONGER),
    "energy_relative": (
        "distance between the laws of whole responses, relative",
        "Train longer; fit as diagnosed; give it more memory (delays).",
    ),
    "clearance": ("whether it may be judged on these data at all", TO_BE_JUDGED),
    PLAIN_FAILURE: ("whether it plainly fails, however little is held out", LONGER),
}


@dataclass(frozen=True, slots=True)
class GateRow:
    """One gate. verdict: "passed", "failed" or "not judged". remedy: what to do; empty where it passed."""

    name: str
    meaning: str
    value: str
    allowed: str
    verdict: str
    why: str
    remedy: str


def gate_rows(gates: Gates) -> list[GateRow]:
    """One row a gate, those that failed first; none for a twin that was never judged."""
    rows = [_row(gate) for gate in gates.get("gates", ())]
    return sorted(rows, key=lambda row: ("failed", "not judged", "passed").index(row.verdict))


def _row(gate: Mapping[str, Any]) -> GateRow:
    name = str(gate.get("name"))
    plain, _, where = name.partition(" (")  # "coverage_90 (bias 0.1)": of one of several lots
    meaning, remedy = MEANINGS.get(plain, ("", LONGER))
    value, allowed = gate_figures(gate)
    passed, judged = bool(gate.get("passed")), bool(gate.get("judged", True))
    verdict = "passed" if passed else "failed" if judged else "not judged"
    title = plain.replace("_", " ") + (f" ({where}" if where else "")
    remedy = "" if passed else remedy if judged else RECORD
    return GateRow(title, meaning, value, allowed, verdict, str(gate.get("why", "")), remedy)
