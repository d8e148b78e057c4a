"""A network on disk: one folder with the optimised wiring, its rivals, and what was promised.

network.json                         the task, the seed of its examples, the promise, the gates of the twins
optimised | reservoir | unoptimised  .safetensors and .json of each wiring
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labctl.campaigns.optimise_network import OptimisedNetwork
from labctl.clearance import Gates
from labctl.errors import DeploymentError
from twins.network.wiring import Wiring
from twins.network.wiring_file import load_wiring, save_wiring

FORMAT = "labctl-network-1"
WIRINGS = ("optimised", "reservoir", "unoptimised")


@dataclass(frozen=True, slots=True)
class NetworkFiles:
    """What `network optimise` leaves for `deploy`.

    simulated: whether it was learned on simulated devices. gates: of each device's twin as they were then, empty for a
    twin that was not judged (see labctl.clearance).
    """

    task: str
    devices: tuple[str, ...]
    examples_seed: int
    promised: float
    promised_std: float
    linear_same_taps: float
    linear_20_taps: float
    conditions: Mapping[str, float]
    simulated: bool
    gates: Mapping[str, Gates]
    wirings: Mapping[str, Wiring]


def save_network(
    folder: Path,
    optimised: OptimisedNetwork,
    *,
    conditions: Mapping[str, float],
    gates: Mapping[str, Gates],
    provenance: Mapping[str, Any],
) -> None:
    """Write the network into `folder`; gates: of each device's twin."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, wiring in _wirings(optimised).items():
        save_wiring(wiring, folder / name, provenance=provenance)
    data = {
        "format": FORMAT,
        "task": optimised.plan.task.name,
        "devices": list(optimised.plan.devices),
        "examples_seed": optimised.examples_seed,
        "promised": optimised.promise.mean,
        "promised_std": optimised.promise.std,
        "linear_same_taps": optimised.linear_same_taps,
        "linear_20_taps": optimised.linear_20_taps,
        "conditions": dict(conditions),
        "gates": {name: dict(one) for name, one in gates.items()},
        "provenance": dict(provenance),
    }
    (folder / "network.json").write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")


def load_network(folder: Path) -> NetworkFiles:
    """Read what `save_network` wrote; raises DeploymentError that says what is missing or wrong."""
    path = folder / "network.json"
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DeploymentError(f"{path}: no such file; `labctl network optimise --out {folder}` writes it") from error
    except (OSError, ValueError) as error:
        raise DeploymentError(f"{path}: cannot be read: {error}") from error
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise DeploymentError(f"{path}: is no network of format {FORMAT!r}")
    try:
        return NetworkFiles(
            task=str(data["task"]),
            devices=tuple(str(name) for name in data["devices"]),
            examples_seed=int(data["examples_seed"]),
            promised=float(data["promised"]),
            promised_std=float(data["promised_std"]),
            linear_same_taps=float(data["linear_same_taps"]),
            linear_20_taps=float(data["linear_20_taps"]),
            conditions={str(name): float(value) for name, value in data["conditions"].items()},
            simulated=bool(data["provenance"]["simulated"]),
            gates={str(name): dict(one) for name, one in data.get("gates", {}).items()},
            wirings={name: load_wiring(folder / name) for name in WIRINGS},
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DeploymentError(f"{path}: is damaged: {error!r}") from error


def _wirings(optimised: OptimisedNetwork) -> dict[str, Wiring]:
    return {"optimised": optimised.wiring, "reservoir": optimised.reservoir, "unoptimised": optimised.initial}
