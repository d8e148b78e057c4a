"""The steps of the demo, in words, and what shows that one of them was done. No Qt here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from labctl.loop_files import LoopFiles


@dataclass(frozen=True, slots=True)
class Step:
    """One step: its panel, what to do there, why, and what its button says."""

    key: str
    panel: str
    title: str
    why: str
    button: str


STEPS = (
    Step(
        "open",
        "station",
        "Open the simulated bench",
        "It behaves as real instruments and devices do, over real connections, and nothing on it can break.",
        "Open it",
    ),
    Step(
        "set",
        "station",
        "Set an output and see it answer",
        "Every value is checked against the limits of the station file, ramped where need be, and read back.",
        "Go to Station",
    ),
    Step(
        "record",
        "record",
        "Record how a device answers",
        "A designed drive shows the device all it will meet later; the recording is what everything else learns from.",
        "Go to Record",
    ),
    Step(
        "fit",
        "twins",
        "Fit a twin to the recording",
        "A twin is a stochastic model of the device, judged on inputs that it has not seen, its noise included.",
        "Go to Twins",
    ),
    Step(
        "optimise",
        "networks",
        "Optimise a network of twins",
        "Twins are differentiable where devices are not: a network of them learns a task without touching the bench.",
        "Go to Networks",
    ),
    Step(
        "apply",
        "networks",
        "Apply it to the bench and compare",
        "What the twins promised is measured on the devices: that is the whole point.",
        "Go to Networks",
    ),
)


def done_by_files(files: LoopFiles) -> frozenset[str]:
    """The steps whose results lie in the runs folder."""
    found = {
        "record": files.recordings,
        "fit": files.twins,
        "optimise": files.networks,
        "apply": files.deployments,
    }
    return frozenset(key for key, paths in found.items() if paths)


def files_for(key: str, files: LoopFiles) -> tuple[Path, ...]:
    """What to hand to a step's panel: the newest files that it can use."""
    match key:
        case "fit":
            newest = files.recordings[:1]
            return tuple(path for path in files.recordings if newest and path.parent == newest[0].parent)
        case "optimise":
            newest = files.twins[:1]
            return tuple(path for path in files.twins if newest and path.parent == newest[0].parent)
        case "apply":
            return files.networks[:1]
    return ()


def output_was_set(values: Mapping[str, float], safe_values: Mapping[str, float]) -> bool:
    """Whether an output reads something else than its safe value."""
    return any(
        abs(values[name] - safe) > 1e-3 * max(1.0, abs(safe)) for name, safe in safe_values.items() if name in values
    )
