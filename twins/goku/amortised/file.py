"""Amortised posteriors on disk: tensors as safetensors, everything else as JSON beside them. Nothing is unpickled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from twins.errors import CheckpointInvalid, EquationInvalid
from twins.goku.amortised.calibration import LevelMap
from twins.goku.amortised.design import Design, Simulator
from twins.goku.amortised.file_check import NETWORK, check_finite, check_network, check_solver, check_tensors
from twins.goku.amortised.network import NetworkShape, PosteriorNetwork
from twins.goku.amortised.posterior import AmortisedPosterior
from twins.goku.amortised.trust import TrustReference
from twins.goku.observation import KnownObservation, LinearObservation, Observation
from twins.goku.system import System
from twins.goku.written.system_file import SystemModel, describe_system, system_from
from twins.weights_file import FileKind, paths

FORMAT = "labctl.goku_amortised"
FORMAT_VERSION = 1


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _ShapeModel(_Model):
    n_samples: int = Field(ge=2)
    n_channels: int = Field(ge=1)
    n_drives: int = Field(ge=0)
    n_coordinates: int = Field(ge=1)
    varying: tuple[str, ...]
    width: int = Field(ge=1, le=1 << 14)
    blocks: int = Field(ge=1, le=1 << 8)
    components: int = Field(ge=1, le=1 << 10)


class _FileModel(_Model):
    format: str
    format_version: int
    tensors_file: str
    tensors_sha256: str
    versions: dict[str, str]
    system: SystemModel
    shape: _ShapeModel
    names: tuple[str, ...]
    units: tuple[str, ...]
    uniform_step_s: float | None
    substeps: int = Field(ge=1)
    method: str | None
    coverage90_before: dict[str, float]
    coverage90_after: dict[str, float]
    n_simulations: int
    n_diverged: int
    held_out_loss: float
    seconds: float
    provenance: dict[str, Any]


_KIND = FileKind(
    FORMAT, FORMAT_VERSION, _FileModel, "an amortised posterior", 1 << 20, "; train it again", weights="tensors"
)  # fmt: skip


def save_amortised(posterior: AmortisedPosterior, path: str | Path, *, provenance: Mapping[str, Any]) -> Path:
    """Write NAME.safetensors and NAME.json, where `path` is either of them or the name without ending.

    provenance: plain JSON data. Each file appears whole or not at all, the JSON last. Returns the JSON's path. Raises
    CheckpointInvalid for provenance that is not plain data, or an observation that is neither known nor linear.
    """
    simulator = posterior.simulator
    content = {
        "system": describe_system(simulator.system).model_dump(),
        "shape": asdict(posterior.network.shape),
        "uniform_step_s": simulator.design.uniform_step_s,
        "substeps": simulator.substeps,
        "method": simulator.method,
        **{name: getattr(posterior, name) for name in ("names", "units", "n_simulations", "n_diverged")},
        **{name: getattr(posterior, name) for name in ("held_out_loss", "seconds")},
        **{name: dict(getattr(posterior, name)) for name in ("coverage90_before", "coverage90_after")},
    }
    return _KIND.write_weights(path, _tensors(posterior), content, provenance)


def load_amortised(path: str | Path, system: System | None = None) -> AmortisedPosterior:
    """The posterior saved under this name. system: needed where the equation is not one of those that come with the package.

    Raises CheckpointInvalid for anything damaged, foreign, of another version or of another equation.
    """
    tensors_path, json_path = paths(path)
    document, tensors = _KIND.read_weights(path)
    try:
        equation = system_from(document.system, system, where=json_path)
    except EquationInvalid as error:
        raise CheckpointInvalid(f"{json_path}: {error}") from error
    try:
        return _posterior(document, tensors, equation)
    except CheckpointInvalid as error:
        raise CheckpointInvalid(f"{json_path} and {tensors_path.name}: {error}") from error
    except KeyError as error:
        raise CheckpointInvalid(f"{tensors_path} lacks the tensor {error}") from error
    except (RuntimeError, EquationInvalid) as error:
        raise CheckpointInvalid(f"{json_path}: {error}") from error


def read_amortised_provenance(path: str | Path) -> dict[str, Any]:
    """The provenance saved with a posterior."""
    return _KIND.read(paths(path)[1]).provenance


def _posterior(document: _FileModel, tensors: dict[str, Tensor], system: System) -> AmortisedPosterior:
    check_solver(document.substeps, document.method)
    check_finite(tensors)
    shape = NetworkShape(**document.shape.model_dump())
    check_network(shape, tensors, system)
    check_tensors(shape, tensors, system, document.uniform_step_s)
    if not len(document.names) == len(document.units) == shape.n_channels:
        raise CheckpointInvalid(f"{shape.n_channels} channels need as many names and units")
    network = PosteriorNetwork(shape)
    weights = {name.removeprefix(NETWORK): value for name, value in tensors.items() if name.startswith(NETWORK)}
    network.load_state_dict(weights)
    network.eval()
    design = Design(tensors["steps_s"], tensors["seen"], tensors.get("drive"), document.uniform_step_s)
    observation = KnownObservation(tensors["observation_matrix"], tensors["observation_offset"])
    simulator = Simulator(
        system, observation, design, tensors["noise_low"], tensors["noise_high"], document.substeps, document.method
    )
    told = {
        name: getattr(document, name)
        for name in ("coverage90_before", "coverage90_after", "n_simulations", "n_diverged", "held_out_loss", "seconds")
    }
    return AmortisedPosterior(
        simulator=simulator,
        network=network,
        level_map=LevelMap(tensors["ranks"]),
        trust=TrustReference(tensors["trust_summaries"], tensors["trust_distances"], tensors["trust_misfits"]),
        names=document.names,
        units=document.units,
        **told,
    )


def _tensors(posterior: AmortisedPosterior) -> dict[str, Tensor]:
    simulator = posterior.simulator
    matrix, offset = _operator(simulator.observation)
    named = {f"{NETWORK}{name}": value for name, value in posterior.network.state_dict().items()}
    named |= {"steps_s": simulator.design.steps_s, "seen": simulator.design.seen}
    named |= {"noise_low": simulator.noise_low, "noise_high": simulator.noise_high}
    named |= {"observation_matrix": matrix, "observation_offset": offset, "ranks": posterior.level_map.ranks}
    trust = posterior.trust
    named |= {"trust_summaries": trust.summaries, "trust_distances": trust.distances, "trust_misfits": trust.misfits}
    if simulator.design.drive is not None:
        named["drive"] = simulator.design.drive
    return named


def _operator(observation: Observation) -> tuple[Tensor, Tensor]:
    if isinstance(observation, KnownObservation):
        return observation.get_buffer("matrix"), observation.get_buffer("offset")
    if isinstance(observation, LinearObservation):
        return observation.weight, observation.bias
    raise CheckpointInvalid(
        f"only a known or a linear observation can be saved with an amortised posterior, not {type(observation).__name__}"
    )
