"""What an optimised network proposes to the bench: its wirings, examples and conditions, without what it was trained with.

    proposal = proposal_of(Path("net"))

A proposal can be sent from one process to another and is used without torch; reading the network's folder needs it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from labctl.clearance import Gates

if TYPE_CHECKING:
    from twins.network.tasks import Metric, TaskData
    from twins.network.wiring import Wiring

Array = NDArray[np.float64]
OPTIMISED = "optimised"


@dataclass(frozen=True, slots=True, eq=False)
class Proposal:
    """An optimised network as the bench needs it.

    wirings: "optimised" and its rivals. examples: (training, held out), as they are played. conditions: held; what was
    trained stands in each wiring. gates: of each device's twin. promised_outputs (trial, step, output): what the twins say
    for the held-out examples, None where the folder does not have it. notes: what a person should know before. fingerprint:
    see fingerprint_of.
    """

    folder: Path
    task: str
    metric: Metric
    devices: tuple[str, ...]
    wirings: Mapping[str, Wiring]
    examples: tuple[TaskData, TaskData]
    examples_seed: int
    conditions: Mapping[str, float]
    gates: Mapping[str, Gates]
    simulated: bool
    promised: float
    promised_std: float
    linear_same_taps: float
    linear_20_taps: float
    promised_outputs: Array | None = None
    notes: tuple[str, ...] = ()
    fingerprint: str = ""

    @property
    def all_conditions(self) -> dict[str, float]:
        """Set-points under which the optimised network is played."""
        return {**self.conditions, **self.wirings[OPTIMISED].conditions}

    def figures(self) -> dict[str, Any]:
        """What was promised, as plain data."""
        return {
            "task": self.task,
            "metric": self.metric,
            "learned_on_simulated_devices": self.simulated,
            "conditions": self.all_conditions,
            "notes": list(self.notes),
            "promised": self.promised,
            "promised_std": self.promised_std,
            "linear_same_taps": self.linear_same_taps,
            "linear_20_taps": self.linear_20_taps,
        }


def proposal_of(folder: Path) -> Proposal:
    """What the network in this folder proposes. Loads torch; raises DeploymentError for a folder that is no network."""
    from labctl.campaigns.network_files import load_network
    from labctl.promised_outputs import load_promised

    network = load_network(folder)
    return Proposal(
        folder=folder,
        task=network.task,
        metric=network.plan.task.metric,
        devices=network.devices,
        wirings=dict(network.wirings),
        examples=network.examples,
        examples_seed=network.examples_seed,
        conditions=dict(network.conditions),
        gates=dict(network.gates),
        simulated=network.simulated,
        promised=network.promised,
        promised_std=network.promised_std,
        linear_same_taps=network.linear_same_taps,
        linear_20_taps=network.linear_20_taps,
        promised_outputs=load_promised(folder, network.examples[1]),
        notes=network.notes,
        fingerprint=fingerprint_of(folder),
    )


def fingerprint_of(folder: Path) -> str:
    """SHA-256 (hex) of all that a network's folder says: who has confirmed one network has not confirmed another."""
    digest = hashlib.sha256()
    for path in sorted(one for one in folder.iterdir() if one.suffix in (".json", ".safetensors") and one.is_file()):
        content = path.read_bytes()
        digest.update(f"{path.name}\n{len(content)}\n".encode() + content)
    return digest.hexdigest()
