"""Judge a twin on inputs that it has not seen: its calibration, and the gates that follow from it. Loads torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from labctl.clearance import PLAIN_FAILURE
from labctl.judgement import Judgement
from twins import AnyTwin, Calibration, DeviceTwin, Histories, Traces, calibrate, histories_of
from twins.device.history import start_sample
from twins.gates import judge_gates
from twins.traces import same_condition

__all__ = ["Judgement", "diverges", "judge", "merged"]

N_PROBES = 256  # free runs
PIECE = 15  # samples of a drive that stay together
HOPELESS = 0.5  # share of values in a 90 % interval that no chance explains
FAR = 3.0  # half-ranges of the measured response from its middle


def judge(twin: AnyTwin, traces: Sequence[Traces], *, n_draws: int = 99, seed: int) -> Judgement:
    """Free runs of the twin beside the measured responses of every input; the traces must be held out from its fit.

    n_draws: free runs an input. Raises TracesMismatch, TracesInvalid.
    """
    lots = merged(traces)
    calibrations = [_calibration(twin, lot, n_draws=n_draws, seed=seed) for lot in lots]
    largest = max(range(len(lots)), key=lambda number: calibrations[number].n_trials)
    reports = [_plainly(one, judge_gates(one).as_dict()) for one in calibrations]
    return Judgement(calibrations[largest].as_dict(), _all(reports, [_name(lot) for lot in lots]))


def diverges(twin: DeviceTwin, traces: Sequence[Traces], *, seed: int) -> bool:
    """Whether any of some hundred free runs on pieces of these drives, in new order, leaves the measured range far behind.

    Meant for the data that the twin was fitted to: a polynomial may foresee every next sample of them, and yet run away
    where their levels follow one another otherwise.
    """
    generator, rng = torch.Generator().manual_seed(seed), np.random.default_rng(seed)
    low, high = twin.response_range[:, 0], twin.response_range[:, 1]
    for part in traces:
        turn = torch.arange(N_PROBES) % part.n_trials
        start = start_sample(twin.spec, part)
        measured = histories_of(twin.spec, part)
        with torch.no_grad():
            response = twin.respond(
                torch.tensor(_spliced(part.drive[:, start:], rng)),
                history=Histories(measured.response[turn], measured.drive[turn]),
                generator=generator,
                conditions=part.conditions,
                check_range=False,
            ).double()
        excursion = (response - 0.5 * (low + high)).abs() / (0.5 * (high - low)).clamp_min(1e-30)
        if not bool((excursion <= FAR).all()):  # also where it is not a number
            return True
    return False


def _spliced(drive: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(probe, time, drive) from pieces of (trial, time, drive), each from any place of any trial."""
    n_trials, n_samples = drive.shape[:2]
    piece = np.arange(n_samples) // PIECE
    trials = rng.integers(n_trials, size=(N_PROBES, piece[-1] + 1))
    shift = rng.integers(n_samples, size=(N_PROBES, piece[-1] + 1))
    times = (np.arange(n_samples) + shift[:, piece]) % n_samples
    spliced: np.ndarray = drive[trials[:, piece], times]
    return spliced


def merged(traces: Sequence[Traces]) -> list[Traces]:
    """The same data with those joined that have one length, preparation and conditions; their inputs are kept apart."""
    lots: list[list[Traces]] = []
    for part in traces:
        fitting = next((lot for lot in lots if _alike(lot[0], part)), None)
        if fitting is None:
            lots.append([part])
        else:
            fitting.append(part)
    return [_joined(lot) for lot in lots]


def _alike(one: Traces, other: Traces) -> bool:
    return (one.n_samples, one.n_prepare, one.conditions.keys()) == (
        other.n_samples, other.n_prepare, other.conditions.keys(),
    ) and all(same_condition(value, other.conditions[name]) for name, value in one.conditions.items())  # fmt: skip


def _joined(lot: Sequence[Traces]) -> Traces:
    if len(lot) == 1:
        return lot[0]
    drive = np.concatenate([part.drive for part in lot])
    # The same drive in two recordings is one input, and its trials are repeats.
    _, ids = np.unique(drive[:, lot[0].n_prepare :].reshape(len(drive), -1), axis=0, return_inverse=True)
    return replace(
        lot[0], drive=drive, response=np.concatenate([part.response for part in lot]), input_id=ids.reshape(-1)
    )


def _calibration(twin: AnyTwin, traces: Traces, *, n_draws: int, seed: int) -> Calibration:
    # A recording a hair beyond the fitted range is for the figures to judge.
    generator = torch.Generator().manual_seed(seed)
    return calibrate(twin, traces, n_draws=n_draws, generator=generator, check_range=False)


def _plainly(calibration: Calibration, report: Mapping[str, Any]) -> Mapping[str, Any]:
    """The report with a gate that failed, where too little is held out to pass a twin, but enough to see it fail."""
    faults = []
    if calibration.finite_share < 1.0:
        faults.append(f"{100 * (1.0 - calibration.finite_share):.3g} % of its free runs diverged")
    if calibration.coverage_90 < HOPELESS:
        faults.append(f"only {100 * calibration.coverage_90:.3g} % of the measured values lie in its 90 % interval")
    if report["passed"] or not faults or any(gate["judged"] and not gate["passed"] for gate in report["gates"]):
        return report
    why = f"it plainly fails, however little is held out: {' and '.join(faults)}"
    gate = {
        "name": PLAIN_FAILURE, "value": calibration.coverage_90, "lower": HOPELESS, "upper": None, "passed": False,
        "why": why, "judged": True,
    }  # fmt: skip
    return {**report, "gates": [gate, *report["gates"]], "reasons": [why, *report.get("reasons", ())]}


def _all(reports: Sequence[Mapping[str, Any]], names: Sequence[str]) -> dict[str, Any]:
    if len(reports) == 1:
        return dict(reports[0])
    gates = [
        {**gate, "name": f"{gate['name']} ({name})"}
        for report, name in zip(reports, names, strict=True)
        for gate in report["gates"]
    ]
    reasons = [reason for report in reports for reason in report.get("reasons", ())]
    judged = all(report.get("judged", True) for report in reports)
    return {"passed": all(report["passed"] for report in reports), "judged": judged, "gates": gates, "reasons": reasons}


def _name(lot: Traces) -> str:
    held = ", ".join(f"{name} {value:.4g}" for name, value in lot.conditions.items())
    return held or f"{lot.n_trials} trials of {lot.n_samples} samples"
