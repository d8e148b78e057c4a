"""Networks of twins: nodes on devices, joined by a wiring, optimised for a task, beside the baselines to compare with.

    Architecture + DevicePorts -> random_wiring -> PhysicalNetwork -> optimise -> Wiring -> the bench
    search_reservoir, linear_on_taps: the baselines; promise: what the twins say a wiring will score

Names are loaded when first used: wirings, tasks, read-outs and scores need no torch. `optimise` is imported from the
module of its own name, twins.network.optimise.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from twins.network.architecture import Architecture, InitialScales, LayerPlan
    from twins.network.baselines import linear_on_taps
    from twins.network.initialise import measured_ports, random_wiring
    from twins.network.judged import NoisePass, PenaltyTried, Promise
    from twins.network.judging import promise
    from twins.network.multi_start import Halved, StartJudged, optimise_from_many
    from twins.network.network import Measured, PhysicalNetwork
    from twins.network.optimise import (
        Iteration,
        OptimiseEvent,
        OptimiseResult,
        OptimiserSettings,
        OptimiseStateError,
        Resumed,
        Validation,
    )
    from twins.network.ports import DevicePort, DriveLine, Levels, SenseLine, WiringError
    from twins.network.readout import (
        Readout,
        ReadoutError,
        ReadoutUnsolvableError,
        fit_readout,
        fit_readout_by_validation,
    )
    from twins.network.reservoir import ReservoirDraw, ReservoirEvent, ReservoirResult, search_reservoir
    from twins.network.scores import NetworkDivergedError, Score, readout_kind, score
    from twins.network.tasks import (
        TASKS,
        DelayedParity,
        Lorenz,
        MackeyGlass,
        MemoryCapacity,
        Metric,
        Narma10,
        Narma30,
        SineSquare,
        SpokenDigits,
        Task,
        TaskData,
        TaskError,
        WaveformSynthesis,
        task_named,
    )
    from twins.network.wiring import Layer, Wiring, flat_features
    from twins.network.wiring_file import load_wiring, save_wiring

_HOMES = {
    "baselines": ("linear_on_taps",),
    "architecture": ("Architecture", "InitialScales", "LayerPlan"),
    "initialise": ("measured_ports", "random_wiring"),
    "judged": ("NoisePass", "PenaltyTried", "Promise"),
    "judging": ("promise",),
    "multi_start": ("Halved", "StartJudged", "optimise_from_many"),
    "network": ("Measured", "PhysicalNetwork"),
    "optimise": (
        "Iteration",
        "OptimiseEvent",
        "OptimiseResult",
        "OptimiseStateError",
        "OptimiserSettings",
        "Resumed",
        "Validation",
    ),
    "ports": ("DevicePort", "DriveLine", "Levels", "SenseLine", "WiringError"),
    "readout": ("Readout", "ReadoutError", "ReadoutUnsolvableError", "fit_readout", "fit_readout_by_validation"),
    "reservoir": ("ReservoirDraw", "ReservoirEvent", "ReservoirResult", "search_reservoir"),
    "scores": ("NetworkDivergedError", "Score", "readout_kind", "score"),
    "tasks": (
        "TASKS",
        "DelayedParity",
        "Lorenz",
        "MackeyGlass",
        "MemoryCapacity",
        "Metric",
        "Narma10",
        "Narma30",
        "SineSquare",
        "SpokenDigits",
        "Task",
        "TaskData",
        "TaskError",
        "WaveformSynthesis",
        "task_named",
    ),
    "wiring": ("Layer", "Wiring", "flat_features"),
    "wiring_file": ("load_wiring", "save_wiring"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "TASKS",
    "Architecture",
    "DelayedParity",
    "DevicePort",
    "DriveLine",
    "Halved",
    "InitialScales",
    "Iteration",
    "Layer",
    "LayerPlan",
    "Levels",
    "Lorenz",
    "MackeyGlass",
    "Measured",
    "MemoryCapacity",
    "Metric",
    "Narma10",
    "Narma30",
    "NetworkDivergedError",
    "NoisePass",
    "OptimiseEvent",
    "OptimiseResult",
    "OptimiseStateError",
    "OptimiserSettings",
    "PenaltyTried",
    "PhysicalNetwork",
    "Promise",
    "Readout",
    "ReadoutError",
    "ReadoutUnsolvableError",
    "ReservoirDraw",
    "ReservoirEvent",
    "ReservoirResult",
    "Resumed",
    "Score",
    "SenseLine",
    "SineSquare",
    "SpokenDigits",
    "StartJudged",
    "Task",
    "TaskData",
    "TaskError",
    "Validation",
    "WaveformSynthesis",
    "Wiring",
    "WiringError",
    "fit_readout",
    "fit_readout_by_validation",
    "flat_features",
    "linear_on_taps",
    "load_wiring",
    "measured_ports",
    "optimise_from_many",
    "promise",
    "random_wiring",
    "readout_kind",
    "save_wiring",
    "score",
    "search_reservoir",
    "task_named",
]


def __getattr__(name: str) -> Any:
    if name in _HOME_OF:
        return getattr(import_module(f"twins.network.{_HOME_OF[name]}"), name)
    raise AttributeError(f"module 'twins.network' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
