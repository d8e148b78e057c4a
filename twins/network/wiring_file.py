"""Wirings on disk: <name>.safetensors holds the arrays, <name>.json the rest. What is read is not trusted before it is checked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from twins.network.readout import Readout, ReadoutError, ReadoutKind
from twins.network.wiring import Array, DevicePort, Layer, Wiring, WiringError

FORMAT: Final = "labctl-wiring"
LARGEST_FILE_BYTES = 256 * 2**20
_LARGEST_SPEC_BYTES = 2**20

_Steps = Annotated[list[Annotated[int, Field(ge=0, le=1_000_000)]], Field(max_length=10_000)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class _Port(_Strict):
    name: str
    drive_mid: float
    drive_half: float
    response_centre: float
    response_scale: float
    drive_unit: str = ""
    response_unit: str = ""


class _Layer(_Strict):
    devices: Annotated[list[str], Field(min_length=1, max_length=100_000)]
    input_taps: _Steps
    coupling_delays: _Steps


class _Readout(_Strict):
    kind: ReadoutKind
    regularisation: float


class _Spec(_Strict):
    format: Literal["labctl-wiring"]
    version: Literal[1]
    n_inputs: int
    samples_per_step: int
    sample_offsets: _Steps
    dt_s: float
    washout: int
    ports: Annotated[list[_Port], Field(min_length=1, max_length=10_000)]
    layers: Annotated[list[_Layer], Field(min_length=1, max_length=1_000)]
    readout: _Readout | None
    provenance: dict[str, Any] = {}


def save_wiring(wiring: Wiring, path: Path | str, *, provenance: Mapping[str, Any] | None = None) -> Path:
    """Write <path>.safetensors and <path>.json (a suffix of `path` is ignored); return the JSON's path.

    provenance: plain JSON data on where the wiring comes from (seed, versions, recordings).
    """
    spec_path, array_path = _paths(path)
    arrays: dict[str, Array] = {}
    for index, layer in enumerate(wiring.layers):
        arrays |= {f"layer{index}.{name}": np.ascontiguousarray(getattr(layer, name)) for name in _ARRAYS}
    if wiring.readout is not None:
        arrays |= {
            "readout.weights": np.ascontiguousarray(wiring.readout.weights),
            "readout.bias": np.ascontiguousarray(wiring.readout.bias),
        }
    spec_path.parent.mkdir(parents=True, exist_ok=True)
    save_file(arrays, array_path)
    spec = _spec_of(wiring).model_copy(update={"provenance": dict(provenance or {})})
    spec_path.write_text(spec.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return spec_path


def load_wiring(path: Path | str) -> Wiring:
    """Read a wiring that `save_wiring` wrote. Raises WiringError where a file is missing, foreign, damaged or inconsistent."""
    spec_path, array_path = _paths(path)
    for part, largest in ((spec_path, _LARGEST_SPEC_BYTES), (array_path, LARGEST_FILE_BYTES)):
        if not part.is_file():
            raise WiringError(f"{part}: no such file; a wiring is a .json and a .safetensors file of the same name")
        if part.stat().st_size > largest:
            raise WiringError(f"{part}: {part.stat().st_size} bytes are too many for a wiring (at most {largest})")
    try:
        spec = _Spec.model_validate_json(spec_path.read_bytes())
    except ValidationError as error:
        raise WiringError(f"{spec_path}: not a wiring ({FORMAT}, version 1): {error}") from error
    try:
        arrays = load_file(array_path)
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise WiringError(f"{array_path}: not a readable safetensors file: {error}") from error
    try:
        return _wiring_of(spec, arrays)
    except (WiringError, ReadoutError) as error:
        raise WiringError(f"{spec_path}: {error}") from error


_ARRAYS = ("W_in", "W", "gain", "bias")


def _paths(path: Path | str) -> tuple[Path, Path]:
    given = Path(path)
    stem = given.with_suffix("") if given.suffix in (".json", ".safetensors") else given
    return stem.with_name(stem.name + ".json"), stem.with_name(stem.name + ".safetensors")


def _spec_of(wiring: Wiring) -> _Spec:
    readout = wiring.readout
    return _Spec(
        format=FORMAT,
        version=1,
        n_inputs=wiring.n_inputs,
        samples_per_step=wiring.samples_per_step,
        sample_offsets=list(wiring.sample_offsets),
        dt_s=wiring.dt_s,
        washout=wiring.washout,
        ports=[
            _Port(
                name=port.name,
                drive_mid=port.drive_mid,
                drive_half=port.drive_half,
                response_centre=port.response_centre,
                response_scale=port.response_scale,
                drive_unit=port.drive_unit,
                response_unit=port.response_unit,
            )
            for port in wiring.ports
        ],
        layers=[
            _Layer(
                devices=list(layer.devices),
                input_taps=list(layer.input_taps),
                coupling_delays=list(layer.coupling_delays),
            )
            for layer in wiring.layers
        ],
        readout=None if readout is None else _Readout(kind=readout.kind, regularisation=readout.regularisation),
    )


def _wiring_of(spec: _Spec, arrays: dict[str, Array]) -> Wiring:
    wanted = [f"layer{index}.{name}" for index in range(len(spec.layers)) for name in _ARRAYS]
    wanted += ["readout.weights", "readout.bias"] if spec.readout is not None else []
    if set(wanted) != set(arrays):
        missing, foreign = sorted(set(wanted) - set(arrays)), sorted(set(arrays) - set(wanted))
        raise WiringError(f"the arrays do not fit the JSON: missing {missing}, not expected {foreign}")
    layers = tuple(
        Layer(
            devices=tuple(layer.devices),
            input_taps=tuple(layer.input_taps),
            coupling_delays=tuple(layer.coupling_delays),
            **{name: arrays[f"layer{index}.{name}"] for name in _ARRAYS},
        )
        for index, layer in enumerate(spec.layers)
    )
    readout = None
    if spec.readout is not None:
        weights, bias = arrays["readout.weights"], arrays["readout.bias"]
        if weights.dtype != np.float64 or bias.dtype != np.float64:
            raise WiringError(f"the read-out must be float64, not {weights.dtype} and {bias.dtype}")
        readout = Readout(spec.readout.kind, weights, bias, spec.readout.regularisation)
    return Wiring(
        ports=tuple(DevicePort(**port.model_dump()) for port in spec.ports),
        layers=layers,
        n_inputs=spec.n_inputs,
        samples_per_step=spec.samples_per_step,
        sample_offsets=tuple(spec.sample_offsets),
        dt_s=spec.dt_s,
        washout=spec.washout,
        readout=readout,
    )
