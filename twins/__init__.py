"""Twins: neural stochastic differential equations of devices, and networks of them.

    Traces -> DeviceTwin -> fit -> calibrate -> save_twin        one device
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
    from twins.errors import (
        CheckpointInvalid,
        OutsideFittedRange,
        SolverRefused,
        TracesInvalid,
        TracesMismatch,
        TwinError,
        TwinNotFitted,
    )
    from twins.fitting import Epoch, FitEvent, FitResult, fit
    from twins.solver import solve
    from twins.traces import Traces

_HOMES = {
    "twins.calibration": ("Calibration", "calibrate"),
    "twins.checkpoint": ("load_twin", "read_provenance", "save_twin"),
    "twins.device": ("DeviceTwin", "DeviceTwinSpec", "Histories", "StackedHistories", "StackedTwins", "histories_of"),
    "twins.errors": (
        "CheckpointInvalid",
        "OutsideFittedRange",
        "SolverRefused",
        "TracesInvalid",
        "TracesMismatch",
        "TwinError",
        "TwinNotFitted",
    ),
    "twins.fitting": ("Epoch", "FitEvent", "FitResult", "fit"),
    "twins.solver": ("solve",),
    "twins.traces": ("Traces",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Calibration",
    "CheckpointInvalid",
    "DeviceTwin",
    "DeviceTwinSpec",
    "Epoch",
    "FitEvent",
    "FitResult",
    "Histories",
    "OutsideFittedRange",
    "SolverRefused",
    "StackedHistories",
    "StackedTwins",
    "Traces",
    "TracesInvalid",
    "TracesMismatch",
    "TwinError",
    "TwinNotFitted",
    "calibrate",
    "fit",
    "histories_of",
    "load_twin",
    "read_provenance",
    "save_twin",
    "solve",
]


def __getattr__(name: str) -> Any:
    if name in _HOME_OF:
        return getattr(import_module(_HOME_OF[name]), name)
    raise AttributeError(f"module 'twins' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
