"""Wirings on disk: <name>.safetensors holds the arrays, <name>.json the rest. What is read is not trusted before it is checked.

Each file appears whole or not at all, and the JSON has the checksum of the arrays: two files of different moments, which an
interruption between the two leaves behind, are refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load, save

from twins.files import write_whole
from twins.network.ports import DevicePort, DriveLine, Levels, SenseLine, WiringError
from twins.network.readout import Readout, ReadoutError, ReadoutKind
from twins.network.wiring import Layer, Wiring

FORMAT: Final = "labctl-wiring"
LARGEST_FILE_BYTES = 256 * 2**20
_LARGEST_SPEC_BYTES = 2**20

_Steps = Annotated[list[Annotated[int, Field(ge=0, le=1_000_000)]], Field(max_length=10_000)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class _Levels(_Strict):
    low: float
    high: float
    n: int


class _Drive(_Strict):
    mid: float
    half: float
    unit: str = ""
    levels: _Levels | None = None


class _Sense(_Strict):
    centre: float
    scale: float
    unit: str = ""


class _Port(_Strict):
    name: str
    drives: Annotated[list[_Drive], Field(min_length=1, max_length=10_000)]
    senses: Annotated[list[_Sense], Field(min_length=1, max_length=10_000)]


class _Layer(_Strict):
    devices: Annotated[list[str], Field(min_length=1, max_length=100_000)]
    input_taps: _Steps
    coupling_delays: _Steps
    name: str = ""
    sources: Annotated[list[Annotated[int, Field(ge=0, lt=1_000)]], Field(max_length=1_000)] | None = None
    gain_levels: _Levels | None = None


class _Readout(_Strict):
    kind: ReadoutKind
    regularisation: float


class _Spec(_Strict):
    format: Literal["labctl-wiring"]
    version: Literal[2]
    n_inputs: int
    samples_per_step: int
    sample_offsets: _Steps
    dt_s: float
    washout: int
    ports: Annotated[list[_Port], Field(min_length=1, max_length=10_000)]
    layers: Annotated[list[_Layer], Field(min_length=1, max_length=1_000)]
    readout: _Readout | None
    conditions: Annotated[dict[str, float], Field(max_length=1_000)] = {}
    provenance: dict[str, Any] = {}
    arrays_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = (
        None  # of the other file; older ones lack it
    )


def save_wiring(wiring: Wiring, path: Path | str, *, provenance: Mapping[str, Any] | None = None) -> Path:
    """Write <path>.safetensors and <path>.json (a suffix of `path` is ignored); return the JSON's path.

    provenance: plain JSON data on where the wiring comes from (seed, versions, recordings).
    """
    spec_path, array_path = _paths(path)
    arrays: dict[str, np.ndarray] = {}
    for index, layer in enumerate(wiring.layers):
        for name in (*_ARRAYS, *_MASKS):
            if getattr(layer, name) is not None:
                arrays[f"layer{index}.{name}"] = np.ascontiguousarray(getattr(layer, name))
    if wiring.readout is not None:
        arrays |= {
            "readout.weights": np.ascontiguousarray(wiring.readout.weights),
            "readout.bias": np.ascontiguousarray(wiring.readout.bias),
        }
    spec_path.parent.mkdir(parents=True, exist_ok=True)
    payload = save(arrays)
    spec = _spec_of(wiring).model_copy(
        update={"provenance": dict(provenance or {}), "arrays_sha256": hashlib.sha256(payload).hexdigest()}
    )
    write_whole(array_path, payload)
    write_whole(spec_path, (spec.model_dump_json(indent=2) + "\n").encode())
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
        spec = _Spec.model_validate(upgraded(json.loads(spec_path.read_bytes())))
    except (ValidationError, ValueError, RecursionError) as error:
        raise WiringError(f"{spec_path}: not a wiring ({FORMAT}, version 1 or 2): {error}") from error
    arrays = _arrays_beside(spec, spec_path, array_path)
    try:
        return _wiring_of(spec, arrays)
    except (WiringError, ReadoutError) as error:
        raise WiringError(f"{spec_path}: {error}") from error


def _arrays_beside(spec: _Spec, spec_path: Path, array_path: Path) -> dict[str, np.ndarray]:
    try:
        payload = array_path.read_bytes()
    except OSError as error:
        raise WiringError(f"{array_path}: cannot be read: {error}") from error
    if spec.arrays_sha256 not in (None, hashlib.sha256(payload).hexdigest()):
        raise WiringError(
            f"{array_path}: is not what {spec_path.name} was written with (its SHA-256 is another): it is damaged, or saving "
            "was interrupted between the two files; save the wiring again"
        )
    try:
        return load(payload)
    except (SafetensorError, ValueError, KeyError) as error:
        raise WiringError(f"{array_path}: not a readable safetensors file: {error}") from error


def upgraded(spec: Any) -> Any:
    """A spec of version 1, where ports had one drive and one response, as version 2; any other as it is."""
    if not isinstance(spec, dict) or spec.get("version") != 1 or not isinstance(spec.get("ports"), list):
        return spec
    return {**spec, "version": 2, "ports": [_upgraded_port(port) for port in spec["ports"]]}


def _upgraded_port(port: Any) -> Any:
    if not isinstance(port, dict):
        return port
    left = dict(port)
    drive = {name: left.pop(f"drive_{name}", None) for name in ("mid", "half")} | {"unit": left.pop("drive_unit", "")}
    sense = {name: left.pop(f"response_{name}", None) for name in ("centre", "scale")}
    sense["unit"] = left.pop("response_unit", "")
    return {**left, "drives": [drive], "senses": [sense]}


_ARRAYS = ("W_in", "W", "gain", "bias")
_MASKS = ("mask_in", "mask")


def _paths(path: Path | str) -> tuple[Path, Path]:
    given = Path(path)
    stem = given.with_suffix("") if given.suffix in (".json", ".safetensors") else given
    return stem.with_name(stem.name + ".json"), stem.with_name(stem.name + ".safetensors")


def _spec_of(wiring: Wiring) -> _Spec:
    readout = wiring.readout
    return _Spec(
        format=FORMAT,
        version=2,
        n_inputs=wiring.n_inputs,
        samples_per_step=wiring.samples_per_step,
        sample_offsets=list(wiring.sample_offsets),
        dt_s=wiring.dt_s,
        washout=wiring.washout,
        ports=[_port_spec(port) for port in wiring.ports],
        layers=[
            _Layer(
                devices=list(layer.devices),
                input_taps=list(layer.input_taps),
                coupling_delays=list(layer.coupling_delays),
                name=layer.name,
                sources=None if layer.sources is None else list(layer.sources),
                gain_levels=_levels_spec(layer.gain_levels),
            )
            for layer in wiring.layers
        ],
        readout=None if readout is None else _Readout(kind=readout.kind, regularisation=readout.regularisation),
        conditions=dict(wiring.conditions),
    )


def _port_spec(port: DevicePort) -> _Port:
    return _Port(
        name=port.name,
        drives=[
            _Drive(mid=line.mid, half=line.half, unit=line.unit, levels=_levels_spec(line.levels))
            for line in port.drives
        ],
        senses=[_Sense(centre=line.centre, scale=line.scale, unit=line.unit) for line in port.senses],
    )


def _levels_spec(levels: Levels | None) -> _Levels | None:
    return None if levels is None else _Levels(low=levels.low, high=levels.high, n=levels.n)


def _levels_of(levels: _Levels | None) -> Levels | None:
    return None if levels is None else Levels(levels.low, levels.high, levels.n)


def _port_of(port: _Port) -> DevicePort:
    drives = tuple(DriveLine(one.mid, one.half, one.unit, _levels_of(one.levels)) for one in port.drives)
    return DevicePort(port.name, drives, tuple(SenseLine(one.centre, one.scale, one.unit) for one in port.senses))


def _wiring_of(spec: _Spec, arrays: dict[str, np.ndarray]) -> Wiring:
    wanted = {f"layer{index}.{name}" for index in range(len(spec.layers)) for name in _ARRAYS}
    wanted |= {"readout.weights", "readout.bias"} if spec.readout is not None else set()
    optional = {f"layer{index}.{name}" for index in range(len(spec.layers)) for name in _MASKS}
    if not wanted <= set(arrays) <= wanted | optional:
        missing, foreign = sorted(wanted - set(arrays)), sorted(set(arrays) - wanted - optional)
        raise WiringError(f"the arrays do not fit the JSON: missing {missing}, not expected {foreign}")
    layers = tuple(
        Layer(
            devices=tuple(layer.devices),
            input_taps=tuple(layer.input_taps),
            coupling_delays=tuple(layer.coupling_delays),
            **{name: arrays[f"layer{index}.{name}"] for name in _ARRAYS},
            sources=None if layer.sources is None else tuple(layer.sources),
            mask_in=arrays.get(f"layer{index}.mask_in"),
            mask=arrays.get(f"layer{index}.mask"),
            gain_levels=_levels_of(layer.gain_levels),
            name=layer.name,
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
        ports=tuple(_port_of(port) for port in spec.ports),
        layers=layers,
        n_inputs=spec.n_inputs,
        samples_per_step=spec.samples_per_step,
        sample_offsets=tuple(spec.sample_offsets),
        dt_s=spec.dt_s,
        washout=spec.washout,
        readout=readout,
        conditions=dict(spec.conditions),
    )
