"""A network described in a TOML file: devices, layers, task, what is trained and what is measured.

    description = load_network_file("network.toml")
    plan = description.plan(dt_s=2e-4, station=load_station("station.toml"))

Every problem of a file is reported at once, each with its line, key, value and what is allowed. Importing this loads no
torch; making a plan does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labctl.errors import NetworkFileError
from labctl.file_problems import Problem, parse_toml, read_text, told
from labctl.network_checks import cross_check, recurrent_layers
from labctl.network_schema import NetworkFile
from labctl.toml_lines import KeyPath

if TYPE_CHECKING:
    from labctl.campaigns.task_plan import TaskPlan
    from labctl.station import Station

__all__ = ["NetworkDescription", "NetworkFile", "load_network_file", "network_schema", "parse_network_file"]


@dataclass(frozen=True, slots=True)
class NetworkDescription:
    """A checked network file. `text` and `sha256` are of the file as read, for the provenance."""

    file: NetworkFile
    path: Path | None
    text: str
    sha256: str
    lines: Mapping[KeyPath, int]

    @property
    def devices(self) -> tuple[str, ...]:
        """The devices that nodes are on, each once, in the order of the file."""
        return tuple(dict.fromkeys(device for layer in self.file.layers.values() for device in layer.nodes))

    @property
    def recurrent(self) -> tuple[str, ...]:
        """Names of the layers that listen to themselves or to a later one."""
        return recurrent_layers(self.file)

    @property
    def held_conditions(self) -> dict[str, float]:
        """Set-points by channel; of those that are trained, where training begins."""
        return {name: one.start for name, one in self.file.conditions.items()}

    @property
    def trained_conditions(self) -> dict[str, tuple[float, float]]:
        """Lowest and highest value of every condition that is trained."""
        return {name: one.trained for name, one in self.file.conditions.items() if one.trained is not None}

    @property
    def examples_seed(self) -> int:
        """Of the examples that are played on the bench."""
        return self.file.seed + 1 if self.file.examples_seed is None else self.file.examples_seed

    def plan(self, *, dt_s: float, station: Station | None = None) -> TaskPlan:
        """What it says, as a plan, for devices sampled every dt_s; what it does not say is as in the task's own plan.

        station: whose limits are the full scale of outputs with dac_bits. Loads torch, and the file of a task of one's
        own. Raises NetworkFileError with the lines of all that is wrong.
        """
        from labctl.campaigns.described_network import plan_of

        return plan_of(self, dt_s=dt_s, station=station)

    def check(
        self,
        *,
        station: Station | None = None,
        twins: Mapping[str, Any] | None = None,
        recorded: Mapping[str, float] | None = None,
    ) -> None:
        """Raise NetworkFileError, with every line, for devices and conditions that the station or the twins lack.

        recorded: conditions under which twins were recorded at one value alone.
        """
        from labctl.network_fit import problems_with_recorded, problems_with_station, problems_with_twins

        problems = list(problems_with_recorded(self.file, recorded or {}))
        if station is not None:
            problems += problems_with_station(self.file, station, twins)
        if twins is not None:
            problems += problems_with_twins(self.file, twins)
        if problems:
            raise self.error(problems)

    def error(self, problems: Iterable[Problem]) -> NetworkFileError:
        """An error that tells problems with their lines."""
        return NetworkFileError(told(str(self.path or "network file"), self.lines, problems))


def load_network_file(path: str | Path) -> NetworkDescription:
    """Read and check a network file; raises NetworkFileError with every problem in it."""
    path = Path(path)
    return parse_network_file(read_text(path, error=NetworkFileError), path=path)


def parse_network_file(text: str, *, path: Path | None = None) -> NetworkDescription:
    """Check the text of a network file; `path` is for messages, and for files that it names."""
    name = str(path or "network file")
    file, lines = parse_toml(text, NetworkFile, name=name, error=NetworkFileError)
    problems = cross_check(file)
    if problems:
        raise NetworkFileError(told(name, lines, problems))
    return NetworkDescription(file, path, text, hashlib.sha256(text.encode()).hexdigest(), lines)


def network_schema() -> dict[str, Any]:
    """The JSON schema of network files, for editors and forms."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **NetworkFile.model_json_schema()}
