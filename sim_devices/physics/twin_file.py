"""Reading an exported twin: NAME.exported.json and the arrays beside it. Nothing in them is trusted.

Sizes are checked before anything is read, every array's header against what the structure asks for before its numbers
are, and no pickle is ever opened. Array names and the law that they stand for: the top of twins/export.py, and twin_step.py.
"""

import hashlib
import io
import json
import math
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy

from sim_devices.physics.device import Array

FORMAT = "labctl.exported_twin"
FORMAT_VERSION = 1
_LARGEST_JSON, _LARGEST_ARRAYS = 16 << 20, 1 << 28  # bytes; a twin has far less
_MOST_CHANNELS, _MOST_DELAYS, _MOST_LAYERS, _WIDEST, _MOST_NOISES = 1024, 1000, 8, 4096, 64


class TwinFileError(ValueError):
    """The file is no exported twin, is damaged, or is of another version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TwinSpec:
    """The structure of an exported twin; the words are those of the twins package."""

    dt_s: float
    drive_names: tuple[str, ...]
    drive_units: tuple[str, ...]
    response_names: tuple[str, ...]
    response_units: tuple[str, ...]
    condition_names: tuple[str, ...]
    response_delays: int
    drive_delays: int
    hidden: tuple[int, ...]
    diffusion_hidden: tuple[int, ...]
    activation: str
    noise_floor: float
    backbone_order: int
    scheme: str
    noise_diagonal: bool
    noise_columns: int
    auxiliaries: int
    observation: bool
    observation_columns: int
    trial_drift: bool

    @property
    def n_state_inputs(self) -> int:
        """Inputs of the nets that are response."""
        return (self.response_delays + 1) * len(self.response_names)

    @property
    def n_inputs(self) -> int:
        """All of them: response, drive, conditions."""
        return self.n_state_inputs + (self.drive_delays + 1) * len(self.drive_names) + len(self.condition_names)

    @property
    def n_rows(self) -> int:
        """What the process noise reaches: responses and auxiliaries."""
        return len(self.response_names) + self.auxiliaries

    @property
    def n_diffusion(self) -> int:
        """Outputs of the diffusion net."""
        return self.n_rows * (self.noise_diagonal + self.noise_columns)

    @property
    def n_noise(self) -> int:
        """Independent process noises of a step."""
        return self.n_rows * self.noise_diagonal + self.noise_columns


@dataclass(frozen=True, slots=True)
class TwinFile:
    """A checked file. held: conditions that were constant in all of the twin's recordings; condition_units: of both
    kinds of conditions, as far as they are known."""

    spec: TwinSpec
    arrays: Mapping[str, Array]
    held: dict[str, float]
    condition_units: dict[str, str]


def read_twin_file(path: Path) -> TwinFile:
    """Read and check NAME.exported.json and its arrays. Raises TwinFileError."""
    document = _document(path)
    spec = _spec(document.get("spec"), path)
    held, units = document.get("held_conditions"), document.get("condition_units")
    if not isinstance(held, dict) or not all(_is_finite(value) for value in held.values()):
        raise TwinFileError(f"{path}: held_conditions must be a table of finite numbers")
    if not isinstance(units, dict) or not all(isinstance(unit, str) for unit in units.values()):
        raise TwinFileError(f"{path}: condition_units must be a table of strings")
    if set(held) & {*spec.drive_names, *spec.condition_names}:
        raise TwinFileError(f"{path}: held_conditions names what is a port already")
    name = document.get("arrays_file")
    if not isinstance(name, str) or Path(name).name != name:
        raise TwinFileError(f"{path}: arrays_file must be the name of a file beside it, not {name!r}")
    arrays_path = path.with_name(name)
    payload = _read(arrays_path, _LARGEST_ARRAYS)
    if hashlib.sha256(payload).hexdigest() != document.get("arrays_sha256"):
        raise TwinFileError(f"{arrays_path} is not the file that {path.name} describes (its sha256 differs)")
    arrays = _arrays(payload, spec, arrays_path)
    _check_values(arrays, spec, arrays_path)
    return TwinFile(spec, arrays, {name: float(value) for name, value in held.items()}, dict(units))


def _document(path: Path) -> dict[str, Any]:
    text = _read(path, _LARGEST_JSON)
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise TwinFileError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise TwinFileError(f"{path} is no exported twin; `labctl twin serve` and twins.export.export_twin write them")
    if document.get("format_version") != FORMAT_VERSION or document.get("simulated") is not True:
        raise TwinFileError(
            f"{path} is of version {document.get('format_version')}, simulated {document.get('simulated')}; "
            f"this simulator reads version {FORMAT_VERSION}, which says simulated = true"
        )
    return document


def _read(path: Path, largest: int) -> bytes:
    try:
        if path.stat().st_size > largest:
            raise TwinFileError(f"{path} is larger than any exported twin ({largest} bytes)")
        return path.read_bytes()
    except OSError as error:
        raise TwinFileError(f"{path} cannot be read: {error.strerror or error}") from error


def _spec(table: Any, path: Path) -> TwinSpec:
    known = {field.name: field.type for field in fields(TwinSpec)}
    if not isinstance(table, dict) or set(table) != set(known):
        odd = sorted(set(table) ^ set(known)) if isinstance(table, dict) else ["spec"]
        raise TwinFileError(f"{path}: missing or unknown in its spec: {', '.join(odd[:5])}")
    values = {name: _typed(table[name], kind, f"{path}: {name}") for name, kind in known.items()}
    spec = TwinSpec(**values)
    channels = (spec.drive_names, spec.response_names, spec.condition_names)
    ports = (*spec.drive_names, *spec.condition_names)
    checks = {
        "dt_s must be positive": _is_finite(spec.dt_s) and spec.dt_s > 0,
        "names must be different, as many as units": len(set(ports)) == len(ports)
        and len(set(spec.response_names)) == len(spec.response_names)
        and len(spec.drive_names) == len(spec.drive_units) > 0
        and len(spec.response_names) == len(spec.response_units) > 0,
        "too many channels": all(len(names) <= _MOST_CHANNELS for names in channels),
        "delays": all(0 <= n <= _MOST_DELAYS for n in (spec.response_delays, spec.drive_delays)),
        "hidden": all(
            1 <= len(widths) <= _MOST_LAYERS and all(1 <= width <= _WIDEST for width in widths)
            for widths in (spec.hidden, spec.diffusion_hidden)
        ),
        "activation": spec.activation in ("tanh", "relu"),
        "scheme": spec.scheme in ("euler", "heun", "rk4"),
        "backbone_order": spec.backbone_order in (1, 2, 3),
        "noises": all(0 <= n <= _MOST_NOISES for n in (spec.noise_columns, spec.auxiliaries)),
        "noise_floor": 0.0 < spec.noise_floor < 1.0,
        "observation_columns": 0 <= spec.observation_columns <= len(spec.response_names) * spec.observation,
        "auxiliaries need noise": not spec.auxiliaries or spec.n_noise > 0,
    }
    for what, right in checks.items():
        if not right:
            raise TwinFileError(f"{path}: its spec cannot be: {what}")
    return spec


def _typed(value: Any, kind: Any, what: str) -> Any:
    if kind in (tuple[str, ...], tuple[int, ...]):
        inner = str if kind == tuple[str, ...] else int
        if isinstance(value, list) and all(type(entry) is inner for entry in value):
            return tuple(value)
    elif kind is float and type(value) in (int, float):
        return float(value)
    elif type(value) is kind:
        return value
    raise TwinFileError(f"{what} must be {kind}, not {value!r}")


def shapes_of(spec: TwinSpec) -> dict[str, tuple[int | None, ...]]:
    """The shape of every array; None where any length will do (the number of starts)."""
    m, n, c, a = len(spec.drive_names), len(spec.response_names), len(spec.condition_names), spec.auxiliaries
    inputs = spec.n_inputs
    products = sum(math.comb(inputs + degree - 1, degree) for degree in range(2, spec.backbone_order + 1))
    shapes: dict[str, tuple[int | None, ...]] = {
        "features": (inputs, inputs), "linear_weight": (inputs, n), "linear_bias": (n,), "higher_weight": (products, n),
        "increment_scale": (n,), "noise_mask": (n,), "auxiliary_coupling": (n, a), "auxiliary_correlation": (a,),
        "observation_std": (n * spec.observation,), "observation_patterns": (n, spec.observation_columns),
        "trial_offsets": (n, n * spec.trial_drift), "trial_correlation": (),
        "start_response": (None, spec.response_delays + 1, n), "start_drive": (None, spec.drive_delays, m),
        "start_auxiliaries": (None, a), "start_conditions": (None, c),
    }  # fmt: skip
    for name, count in (("drive", m), ("response", n), ("condition", c)):
        shapes |= {f"{name}_centre": (count,), f"{name}_scale": (count,), f"{name}_range": (count, 2)}
    for net, widths, n_out in (("drift", spec.hidden, n), ("diffusion", spec.diffusion_hidden, spec.n_diffusion)):
        sizes = (inputs, *widths, n_out)
        for number in range(len(sizes) - 1 if n_out else 0):
            shapes[f"{net}_weight_{number}"] = (sizes[number], sizes[number + 1])
            shapes[f"{net}_bias_{number}"] = (sizes[number + 1],)
    return shapes


def _arrays(payload: bytes, spec: TwinSpec, path: Path) -> dict[str, Array]:
    shapes = shapes_of(spec)
    try:
        with zipfile.ZipFile(io.BytesIO(payload)) as archive:
            sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
            wanted = {f"{name}.npy" for name in shapes}
            if set(sizes) != wanted or sum(sizes.values()) > _LARGEST_ARRAYS:
                odd = sorted(set(sizes) ^ wanted)
                raise TwinFileError(f"{path} does not hold this twin's arrays: {', '.join(odd[:5]) or 'too large'}")
            return {name: _array(archive, name, shape, path) for name, shape in shapes.items()}
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise TwinFileError(f"{path} is no archive of arrays: {error}") from error


def _array(archive: zipfile.ZipFile, name: str, wanted: tuple[int | None, ...], path: Path) -> Array:
    with archive.open(f"{name}.npy") as file:
        try:
            if npy.read_magic(file) != (1, 0):
                raise TwinFileError(f"{path}: {name} is of an unknown version")
            shape, fortran, dtype = npy.read_array_header_1_0(file)
        except ValueError as error:
            raise TwinFileError(f"{path}: {name} is no array: {error}") from error
        fits = len(shape) == len(wanted) and all(w in (None, s) for s, w in zip(shape, wanted, strict=True))
        if dtype != np.dtype("<f8") or (fortran and len(shape) > 1) or not fits:
            raise TwinFileError(f"{path}: {name} is {dtype} {shape}, not as the spec says: float64 {wanted}")
        count = math.prod(shape)
        if 8 * count > _LARGEST_ARRAYS:
            raise TwinFileError(f"{path}: {name} is larger than any twin's")
        data = file.read(8 * count + 1)
    if len(data) != 8 * count:
        raise TwinFileError(f"{path}: {name} has not the length that it claims")
    values: Array = np.frombuffer(data, dtype="<f8").reshape(shape)
    if not np.isfinite(values).all():
        raise TwinFileError(f"{path}: {name} holds values that are not finite")
    return values


def _check_values(arrays: Mapping[str, Array], spec: TwinSpec, path: Path) -> None:
    starts = {len(arrays[f"start_{what}"]) for what in ("response", "drive", "auxiliaries", "conditions")}
    if len(starts) != 1 or 0 in starts:
        raise TwinFileError(f"{path}: there must be as many starts of each kind, and at least one")
    scales = ["drive_scale", "response_scale", "condition_scale", "increment_scale"]
    scales += ["observation_std"] if spec.observation else []
    if not all((arrays[name] > 0).all() for name in scales):
        raise TwinFileError(f"{path}: scales must be positive")
    for name in ("auxiliary_correlation", "trial_correlation"):
        if not (np.abs(arrays[name]) <= 1.0).all():
            raise TwinFileError(f"{path}: {name} must lie within ±1")
    for name in ("drive_range", "response_range", "condition_range"):
        if not (arrays[name][:, 0] <= arrays[name][:, 1]).all():
            raise TwinFileError(f"{path}: {name} must be (lowest, highest)")


def _is_finite(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)
