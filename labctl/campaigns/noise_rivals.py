"""Models that know less of the noise than a cleared twin, derived from it and kept on disk with where they come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labctl.noise_comparison import FURTHER, KNOWLEDGES
from labctl.provenance import collect_provenance
from labctl.twin_data import sha256_of
from twins import read_provenance, save_twin
from twins.ensemble import AnyTwin, TwinEnsemble
from twins.ensemble_file import load_any_twin, save_ensemble
from twins.noise_free import constant_noise_twin, ode_twin

if TYPE_CHECKING:
    from twins import Traces


@dataclass(frozen=True, slots=True)
class Models:
    """The twins and their rivals: knowledge -> device -> file, and where each rival comes from, as plain data."""

    files: Mapping[str, Mapping[str, Path]]
    origin: Mapping[str, Mapping[str, Any]]


def save_models(
    twins: Mapping[str, Path],
    training: Mapping[str, Sequence[Traces]],
    further: Mapping[str, Mapping[str, Path]],
    folder: Path,
    *,
    seed: int,
) -> Models:
    """Derive the rivals and keep them on disk: the workers load them, and what was optimised on them can be asked again."""
    files: dict[str, dict[str, Path]] = {"sde": dict(twins), "constant_noise": {}, "ode": {}}
    files |= {name: dict(one) for name, one in further.items()}
    origin: dict[str, dict[str, Any]] = {name: {} for name in (*KNOWLEDGES, *further)}
    for device, path in twins.items():
        twin, said = load_any_twin(path), read_provenance(path)
        source = _source(path)
        for name in KNOWLEDGES:
            origin[name][device] = {"twin": source, "model": KNOWLEDGES[name]}
        for name, one in further.items():
            origin[name][device] = {"twin": source, "model": FURTHER, "file": _source(one[device])}
        rivals = {"constant_noise": constant_noise_twin(twin, training[device]), "ode": ode_twin(twin)}
        for name, rival in rivals.items():
            extra = {"derived_from": origin[name][device]}
            provenance = collect_provenance(simulated=bool(said.get("simulated")), seed=seed, extra=extra)
            kept = {"conditions": dict(said.get("conditions", {})), "gates": {}, **provenance}
            files[name][device] = _saved(rival, folder / name / device, provenance=kept)
    return Models(files, origin)


def _source(path: Path) -> dict[str, str | None]:
    """The file that describes a twin; it holds the checksum of the weights."""
    return {"path": str(path), "sha256": sha256_of(path.with_suffix(".json"))}


def _saved(rival: AnyTwin, path: Path, *, provenance: Mapping[str, Any]) -> Path:
    if isinstance(rival, TwinEnsemble):
        return save_ensemble(rival, path, provenance=provenance)
    return save_twin(rival, path, provenance=provenance)
