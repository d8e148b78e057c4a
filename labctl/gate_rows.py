"""The gates of a twin as rows of a table: what each asks, its figure, what is allowed, and what to do where it fails."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from labctl.clearance import PLAIN_FAILURE, TO_BE_JUDGED, Gates, gate_figures

RECORD = "Record more inputs, or repeat each more often, and judge again."
LONGER = "Train longer (more seconds), or record more training trials."
MEANINGS: Mapping[str, tuple[str, str, str]] = {
    "held_out_inputs": ("Held-out inputs", "different inputs that the fit never saw", RECORD),
    "held_out_trials": ("Held-out trials", "trials of inputs that the fit never saw", RECORD),
    "free_run_excursion": (
        "Stays in range",
        "how far free runs leave the measured range, in half-ranges",
        "Use a linear backbone (backbone_order 1), or record training trials over the whole range of the drive.",
    ),
    "coverage_90": (
        "Coverage",
        "share of measured values in the twin's 90 % interval",
        f"Its noise is too small or too large. {LONGER}",
    ),
    "coverage_90_worst_input": (
        "Coverage, worst input",
        "share of measured values in the twin's 90 % interval, of the input where it is worst",
        "Look at that input under Measured and predicted, and record training trials like it.",
    ),
    "std_ratio": (
        "Spread",
        "the twin's spread over the device's",
        f"{LONGER} If the diagnosis finds measurement noise or drift, fit as diagnosed.",
    ),
    "lag1_autocorrelation_difference": (
        "Memory of the noise",
        "lag-1 autocorrelation of the noise, twin less device",
        "Fit as diagnosed: coloured noise or measurement noise needs another twin than the plain one.",
    ),
    "mean_bias": ("Bias of the mean", "error of the twin's mean, averaged, in spreads of the device's noise", LONGER),
    "mean_error": ("Error of the mean", "error of the twin's mean, in spreads of the device's noise", LONGER),
    "energy_relative": (
        "Whole responses",
        "distance between the laws of whole responses, relative to their spread",
        f"{LONGER} Fit as diagnosed, or give it more memory (delays).",
    ),
    "clearance": ("Clearance", "whether it may be judged on these data at all", TO_BE_JUDGED),
    PLAIN_FAILURE: ("Plain failure", "whether it plainly fails, however little is held out", LONGER),
}


@dataclass(frozen=True, slots=True)
class GateRow:
    """One gate. name: as in the file of the twin. title, meaning: for people. verdict: "passed", "failed" or "not judged".
    remedy: what to do; empty where it passed."""

    name: str
    title: str
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
    title, meaning, remedy = MEANINGS.get(plain, (plain.replace("_", " "), "", LONGER))
    value, allowed = gate_figures(gate)
    passed, judged = bool(gate.get("passed")), bool(gate.get("judged", True))
    verdict = "passed" if passed else "failed" if judged else "not judged"
    remedy = "" if passed else remedy if judged else RECORD
    title += f" ({where}" if where else ""
    return GateRow(name, title, meaning, value, allowed, verdict, str(gate.get("why", "")), remedy)
