"""Twins: neural stochastic differential equations of devices, and networks of them.

    Traces -> DeviceTwin -> fit -> calibrate -> save_twin        one device
    fit_ensemble, TwinEnsemble                                   several twins of it, and where they disagree
    export_twin                                                  plain arrays, for a program without torch
    StackedTwins                                                 many, for networks (see twins.network)
    twins.solver.solve                                           the integrator beneath

Names are loaded when first used, since torch takes a second to import.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from twins.calibration import Calibration, calibrate
    from twins.checkpoint import load_twin, read_provenance, save_twin
    from twins.device import DeviceTwin, DeviceTwinSpec, Histories, StackedHistories, StackedTwins, histories_of
    from twins.diagnosis import Diagnosis, Recommendation, diagnose, recommend
    from twins.ensemble import AnyTwin, Disagreement, MemberEvent, TwinEnsemble, fit_ensemble
    from twins.ensemble_file import load_any_twin, load_ensemble, save_ensemble
    from twins.errors import (
        CheckpointInvalid,
        OutsideFittedRange,
        SolverRefused,
        TracesInvalid,
        TracesMismatch,
        TwinError,
        TwinNotFitted,
    )
    from twins.export import export_twin
    from twins.fitting import AdversarialOptions, Epoch, FitEvent, FitResult, RolloutOptions, fit
    from twins.gates import Gate, GateReport, GateThresholds, judge_gates
    from twins.grouping import ConditionGroup, group_similar_conditions, group_similar_inputs
    from twins.presets import PRESETS, Preset, preset, with_field_clock
    from twins.solver import solve
    from twins.traces import Traces

_HOMES = {
    "twins.calibration": ("Calibration", "calibrate"),
    "twins.checkpoint": ("load_twin", "read_provenance", "save_twin"),
    "twins.device": ("DeviceTwin", "DeviceTwinSpec", "Histories", "StackedHistories", "StackedTwins", "histories_of"),
    "twins.diagnosis": ("Diagnosis", "Recommendation", "diagnose", "recommend"),
    "twins.ensemble": ("AnyTwin", "Disagreement", "MemberEvent", "TwinEnsemble", "fit_ensemble"),
    "twins.ensemble_file": ("load_any_twin", "load_ensemble", "save_ensemble"),
    "twins.errors": (
        "CheckpointInvalid",
        "OutsideFittedRange",
        "SolverRefused",
        "TracesInvalid",
        "TracesMismatch",
        "TwinError",
        "TwinNotFitted",
    ),
    "twins.export": ("export_twin",),
    "twins.fitting": ("AdversarialOptions", "Epoch", "FitEvent", "FitResult", "RolloutOptions", "fit"),
    "twins.gates": ("Gate", "GateReport", "GateThresholds", "judge_gates"),
    "twins.grouping": ("ConditionGroup", "group_similar_conditions", "group_similar_inputs"),
    "twins.presets": ("PRESETS", "Preset", "preset", "with_field_clock"),
    "twins.solver": ("solve",),
    "twins.traces": ("Traces",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "PRESETS",
    "AdversarialOptions",
    "AnyTwin",
    "Calibration",
    "CheckpointInvalid",
    "ConditionGroup",
    "DeviceTwin",
    "DeviceTwinSpec",
    "Diagnosis",
    "Disagreement",
    "Epoch",
    "FitEvent",
    "FitResult",
    "Gate",
    "GateReport",
    "GateThresholds",
    "Histories",
    "MemberEvent",
    "OutsideFittedRange",
    "Preset",
    "Recommendation",
    "RolloutOptions",
    "SolverRefused",
    "StackedHistories",
    "StackedTwins",
    "Traces",
    "TracesInvalid",
    "TracesMismatch",
    "TwinEnsemble",
    "TwinError",
    "TwinNotFitted",
    "calibrate",
    "diagnose",
    "export_twin",
    "fit",
    "fit_ensemble",
    "group_similar_conditions",
    "group_similar_inputs",
    "histories_of",
    "judge_gates",
    "load_any_twin",
    "load_ensemble",
    "load_twin",
    "preset",
    "read_provenance",
    "recommend",
    "save_ensemble",
    "save_twin",
    "solve",
    "with_field_clock",
]


def __getattr__(name: str) -> Any:
    if name in _HOME_OF:
        return getattr(import_module(_HOME_OF[name]), name)
    raise AttributeError(f"module 'twins' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
