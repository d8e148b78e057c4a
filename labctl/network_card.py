"""What an optimised network's folder says of it, for looking at: no torch is loaded, nothing is run.

Whether the network is whole is for `labctl.campaigns.network_files.load_network` to say.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file

from labctl.clearance import Gates, shortcomings
from labctl.errors import DeploymentError

Array = NDArray[np.float64]
LARGEST_BYTES = 512 * 2**20


@dataclass(frozen=True, slots=True, eq=False)
class Traces:
    """Some held-out examples of a task. target (trial, step, output); promised: the same by the twins, None if not kept.
    scored (trial, step). measured: by network, (repeat, trial, step, output); empty before a deployment."""

    target: Array
    scored: NDArray[np.bool_]
    promised: Array | None
    measured: Mapping[str, Array]

    @property
    def n_trials(self) -> int:
        """How many examples there are."""
        return len(self.target)

    @property
    def n_outputs(self) -> int:
        """How many outputs the task has."""
        return int(self.target.shape[2])


@dataclass(frozen=True, slots=True, eq=False)
class NetworkCard:
    """A network and what was promised of it. gates: of each device's twin. traces: of its held-out examples."""

    folder: Path
    task: str
    metric: str
    promised: float
    promised_std: float
    linear_same_taps: float
    linear_20_taps: float
    simulated: bool
    gates: Mapping[str, Gates]
    traces: Traces

    @property
    def devices(self) -> tuple[str, ...]:
        """The devices that it plays on."""
        return tuple(self.gates)

    @property
    def faults(self) -> tuple[str, ...]:
        """What is wrong with the gates of its twins, in words."""
        return tuple(fault for device, one in self.gates.items() for fault in shortcomings(device, one))


def read_card(folder: Path) -> NetworkCard:
    """The card of a network folder. Raises DeploymentError for a folder that holds none."""
    path = folder / "network.json"
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        task = content["plan"]["task"]["name"] if "plan" in content else content["task"]
        return NetworkCard(
            folder=folder,
            task=str(task),
            metric=str(content.get("metric", "")),
            promised=float(content["promised"]),
            promised_std=float(content["promised_std"]),
            linear_same_taps=float(content["linear_same_taps"]),
            linear_20_taps=float(content["linear_20_taps"]),
            simulated=bool(content["provenance"]["simulated"]),
            gates={str(name): dict(one) for name, one in content["gates"].items()},
            traces=_held_out(folder),
        )
    except FileNotFoundError as error:
        raise DeploymentError(
            f"{error.filename}: no such file; choose a folder that `labctl network optimise` left"
        ) from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DeploymentError(f"{path}: is no network, or damaged: {error!r}") from error


def read_traces(path: Path) -> Traces:
    """What `labctl.campaigns.deploy_network` left: target, promised and measured beside each other."""
    arrays = _load(path)
    try:
        known = ("target", "inputs", "scored", "promised")
        measured = {name: one for name, one in arrays.items() if name not in known}
        return Traces(arrays["target"], arrays["scored"] > 0.5, arrays.get("promised"), measured)
    except KeyError as error:
        raise DeploymentError(f"{path}: holds no {error}") from error


def _held_out(folder: Path) -> Traces:
    examples = _load(folder / "examples.safetensors")
    promised = folder / "promised.safetensors"
    outputs = _load(promised).get("outputs") if promised.is_file() else None
    return Traces(examples["heldout.targets"], examples["heldout.scored"].astype(bool), outputs, {})


def _load(path: Path) -> dict[str, Array]:
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise DeploymentError(f"{path}: is larger than {LARGEST_BYTES} bytes")
        return load_file(path)
    except (SafetensorError, ValueError) as error:
        raise DeploymentError(f"{path}: is damaged: {error}") from error
