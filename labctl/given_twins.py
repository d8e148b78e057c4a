"""Twins as a person names them: device -> file, each a twin or an ensemble, with what their files say of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labctl.errors import UsageError

if TYPE_CHECKING:
    from twins.ensemble import AnyTwin


@dataclass(frozen=True, slots=True)
class GivenTwins:
    """twins: by device. conditions: under which all were recorded. simulated: whether any device was. gates: of each
    twin, empty for one that was not judged."""

    twins: Mapping[str, AnyTwin]
    conditions: Mapping[str, float]
    simulated: bool
    gates: Mapping[str, dict[str, Any]]

    def of(self, devices: Sequence[str]) -> GivenTwins:
        """Those of the devices of a network. Raises UsageError for a twin that no node needs; a missing one is told
        elsewhere, with its line."""
        needless = [name for name in self.twins if name not in devices]
        if needless:
            raise UsageError(
                f"--twin {needless[0]}=…: the network has no node on {needless[0]}; it has nodes on {', '.join(devices)}"
            )
        return self

    @property
    def dt_s(self) -> float:
        """Sampling time of the first."""
        return float(next(iter(self.twins.values())).spec.dt_s)


def given_twins(files: Mapping[str, str | Path]) -> GivenTwins:
    """Read the twin, or the ensemble, of each device. Loads torch.

    Raises UsageError for none, or for twins of contradicting conditions; TwinError for a file that is no twin.
    """
    from twins import read_provenance
    from twins.ensemble_file import is_ensemble, load_any_twin, read_ensemble_provenance

    if not files:
        raise UsageError("no twin is given: a network needs the twin of each of its devices")
    twins: dict[str, AnyTwin] = {}
    conditions: dict[str, float] = {}
    gates: dict[str, dict[str, Any]] = {}
    simulated = False
    for name, path in files.items():
        twins[name] = load_any_twin(path)
        provenance = read_ensemble_provenance(path) if is_ensemble(path) else read_provenance(path)
        gates[name] = dict(provenance.get("gates") or {})
        simulated = simulated or bool(provenance.get("simulated"))
        for channel, value in provenance.get("conditions", {}).items():
            if conditions.setdefault(channel, value) != value:
                raise UsageError(
                    f"{channel} was {conditions[channel]:g} for one twin and {value:g} for {name}: record them alike"
                )
    return GivenTwins(twins, conditions, simulated, gates)
