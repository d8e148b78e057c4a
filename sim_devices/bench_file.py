"""BENCH.toml: devices, the instruments wired to them, trigger lines, noise, seeds. Read strictly: what is unknown is an error.

name = "demo bench"
seed = 7                                  # keys every random stream
idle_limit_s = 0.2                        # longest time between two stepped commands that is simulated
settle_s = 0.02                           # how long a changed set-point acts before a play

[devices.leaky]
kind = "leaky_integrator"                 # and its parameters; also "duffing", "stuart_landau", "gray_scott", and
                                          #   "exported_twin" with a path
tau_s = 1e-3

[instruments.awg]
model = "keysight_33522b"                 # or "keysight_l4532a", "keysight_dsox1204g", "keithley_2400",
                                          #   "simoptics_so2c", "simfluidics_sf2"
transport = "tcp"                         # or "pty"
port = 0                                  # of TCP; 0 is any free one
link = ""                                 # of a pty: symbolic link to it
serial = "SIM-33522B-001"                 # must begin with SIM-
latency_s = 0.0                           # from a message to its reply
outputs = { 1 = "leaky.drive" }           # keysight_33522b, simfluidics_sf2: DEVICE.PORT by channel
inputs = { 1 = "leaky.response" }         # keysight_l4532a, keysight_dsox1204g: DEVICE.OBSERVABLE by channel, with
trigger = "awg"                           #   noise_V, and the generator whose trigger output starts it
output = "duffing.bias"                   # keithley_2400, with sense = "DEVICE.OBSERVABLE", load_ohm, noise_A, noise_V

sees = "cell"                             # simoptics_so2c: a device that can be seen; with a table [instruments.NAME.optics],
                                          #   see sim_devices/instruments/camera_optics.py

[instruments.awg.faults]                  # see sim_devices/faults.py
reply_delay_s = 0.1
"""

import dataclasses
import tomllib
import types
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from sim_devices.faults import Faults
from sim_devices.instruments.camera_optics import Optics
from sim_devices.physics import DEVICES, Device, Imaged

Wiring = TypeVar("Wiring")
MODELS = (
    "keysight_33522b",
    "keysight_l4532a",
    "keysight_dsox1204g",
    "keithley_2400",
    "simoptics_so2c",
    "simfluidics_sf2",
)
TRANSPORTS = ("tcp", "pty")
SERIAL_PREFIX = "SIM-"


class BenchFileError(Exception):
    """The bench file cannot be used; the message names file, table and key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstrumentSpec:
    """One [instruments.NAME] table; which wiring keys apply depends on the model."""

    model: str
    transport: str = ""
    port: int = 0
    link: str = ""
    serial: str = ""
    latency_s: float = 0.0
    outputs: dict[str, str] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)
    trigger: str = ""
    output: str = ""
    sense: str = ""
    load_ohm: float = 10e3
    noise_V: float = 0.0
    noise_A: float = 0.0
    sees: str = ""
    optics: Optics = field(default_factory=Optics)
    faults: Faults = field(default_factory=Faults)


_WIRING_KEYS = {
    "keysight_33522b": {"outputs"},
    "keysight_l4532a": {"inputs", "noise_V", "trigger"},
    "keysight_dsox1204g": {"inputs", "noise_V", "trigger"},
    "keithley_2400": {"output", "sense", "load_ohm", "noise_V", "noise_A"},
    "simoptics_so2c": {"sees", "optics"},
    "simfluidics_sf2": {"outputs"},
}
_N_CHANNELS = {"keysight_dsox1204g": 4}
"""Of the models that do not have two."""
_ALL_WIRING_KEYS = set().union(*_WIRING_KEYS.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchSpec:
    """A whole bench file."""

    name: str
    seed: int = 0
    idle_limit_s: float = 0.2
    settle_s: float = 0.02
    devices: Mapping[str, Device]
    instruments: Mapping[str, InstrumentSpec]


def load_bench(path: Path) -> BenchSpec:
    """Read and check a bench file.

    Raises:
        BenchFileError: the file is missing, is no TOML, or says something that cannot be.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BenchFileError(f"{path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BenchFileError(f"{path}: not valid TOML: {error}") from error
    try:
        return parse_bench(document, folder=path.parent)
    except BenchFileError as error:
        raise BenchFileError(f"{path}: {error}") from error


def parse_bench(document: Mapping[str, Any], *, folder: Path | None = None) -> BenchSpec:
    """Check a bench given as nested tables; files that it names are looked for in `folder`. BenchFileError as above."""
    top = dict(document)
    devices = {name: _device(name, table, folder or Path()) for name, table in _tables(top, "devices").items()}
    instruments = {name: _instrument(name, table) for name, table in _tables(top, "instruments").items()}
    top.update(devices=devices, instruments=instruments)
    spec = _build(BenchSpec, top, "the bench", checked={"devices", "instruments"})
    _check_wiring(spec)
    return spec


def _tables(top: Mapping[str, Any], key: str) -> dict[str, Any]:
    tables = top.get(key, {})
    if not isinstance(tables, dict) or not tables:
        raise BenchFileError(f"a bench needs at least one [{key}.NAME] table")
    return tables


def _device(name: str, table: Any, folder: Path) -> Device:
    where = f"[devices.{name}]"
    if not isinstance(table, dict) or "kind" not in table:
        raise BenchFileError(f"{where} needs kind = one of {_listed(DEVICES)}")
    options = dict(table)
    kind = options.pop("kind")
    if kind not in DEVICES:
        raise BenchFileError(f"{where} has the unknown kind {kind!r}; there are {_listed(DEVICES)}")
    if isinstance(options.get("path"), str):
        options["path"] = str(folder / options["path"])
    device: Device = _build(DEVICES[kind], options, where)
    return device


def _instrument(name: str, table: Any) -> InstrumentSpec:
    where = f"[instruments.{name}]"
    if not isinstance(table, dict) or table.get("model") not in MODELS:
        raise BenchFileError(f"{where} needs model = one of {_listed(MODELS)}")
    options = dict(table)
    model = options["model"]
    foreign = sorted(set(options) & (_ALL_WIRING_KEYS - _WIRING_KEYS[model]))
    if foreign:
        raise BenchFileError(
            f"{where} is a {model} and has no {foreign[0]!r}; it has {_listed(sorted(_WIRING_KEYS[model]))}"
        )
    if "faults" in options:
        options["faults"] = _build(Faults, options["faults"], f"[instruments.{name}.faults]")
    if "optics" in options:
        options["optics"] = _build(Optics, options["optics"], f"[instruments.{name}.optics]")
    spec = _build(InstrumentSpec, options, where, checked={"faults", "optics"})
    default = "pty" if model == "keithley_2400" else "tcp"
    spec = dataclasses.replace(
        spec,
        transport=spec.transport or default,
        serial=spec.serial or f"{SERIAL_PREFIX}{model.rsplit('_', maxsplit=1)[-1].upper()}-001",
    )
    if spec.transport not in TRANSPORTS:
        raise BenchFileError(f"{where} transport is {spec.transport!r}; there are {_listed(TRANSPORTS)}")
    if not spec.serial.startswith(SERIAL_PREFIX):
        raise BenchFileError(
            f"{where} serial {spec.serial!r} must begin with {SERIAL_PREFIX}, so that nobody takes it for a real one"
        )
    if not 0 <= spec.port <= 65535:
        raise BenchFileError(f"{where} port is {spec.port}; 0 (any) to 65535 are possible")
    for key in ("latency_s", "noise_V", "noise_A"):
        if getattr(spec, key) < 0:
            raise BenchFileError(f"{where} {key} is {getattr(spec, key)}; it cannot be negative")
    if spec.load_ohm <= 0:
        raise BenchFileError(f"{where} load_ohm is {spec.load_ohm}; it must be positive")
    return spec


def _build(kind: type[Wiring], table: Any, where: str, *, checked: set[str] | None = None) -> Wiring:
    """Make a dataclass from a table: unknown and missing keys, wrong types and the class's own complaints become BenchFileError."""
    if not isinstance(table, dict):
        raise BenchFileError(f"{where} must be a table")
    fields = {entry.name: entry for entry in dataclasses.fields(kind) if entry.init}  # type: ignore[arg-type]
    hints = get_type_hints(kind)
    for key in table:
        if key not in fields:
            raise BenchFileError(f"{where} has the unknown key {key!r}; known are {_listed(sorted(fields))}")
    values = {
        key: value if key in (checked or ()) else _typed(value, hints[key], f"{where} {key}")
        for key, value in table.items()
    }
    missing = [
        name for name, entry in fields.items()
        if name not in values and entry.default is dataclasses.MISSING and entry.default_factory is dataclasses.MISSING
    ]  # fmt: skip
    if missing:
        raise BenchFileError(f"{where} needs {missing[0]!r}")
    try:
        return kind(**values)
    except ValueError as error:
        raise BenchFileError(f"{where}: {error}") from error


def _typed(value: Any, hint: Any, what: str) -> Any:
    if isinstance(hint, types.GenericAlias):  # dict[str, str] or dict[str, float]
        kinds = (str,) if hint.__args__[1] is str else (int, float)
        if not isinstance(value, dict) or not all(type(entry) in kinds for entry in value.values()):
            wanted = "strings" if str in kinds else "numbers"
            raise BenchFileError(f"{what} must be a table of {wanted}, not {value!r}")
        return {key: hint.__args__[1](entry) for key, entry in value.items()}
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not hint:
        raise BenchFileError(f"{what} must be {hint.__name__}, not {value!r}")
    return value


def _check_wiring(spec: BenchSpec) -> None:
    """Every wire must lead somewhere, and no port may be driven twice."""
    driven: dict[str, str] = {}
    listening: dict[str, str] = {}
    for name, instrument in spec.instruments.items():
        where = f"[instruments.{name}]"
        outputs = [*instrument.outputs.values(), *([instrument.output] if instrument.output else [])]
        inputs = [*instrument.inputs.values(), *([instrument.sense] if instrument.sense else [])]
        for end, kind in [(end, "ports") for end in outputs] + [(end, "observables") for end in inputs]:
            split_end(end, spec.devices, kind, where)
        for end in outputs:
            if end in driven:
                raise BenchFileError(f"{where} drives {end}, which {driven[end]} drives already")
            driven[end] = where
        known = [str(number) for number in range(1, _N_CHANNELS.get(instrument.model, 2) + 1)]
        for channel in (*instrument.outputs, *instrument.inputs):
            if channel not in known:
                raise BenchFileError(
                    f"{where} has no channel {channel!r}; there are {', '.join(known[:-1])} and {known[-1]}"
                )
        _check_sight(instrument, spec.devices, where)
        line = instrument.trigger
        if line:
            if line not in spec.instruments or spec.instruments[line].model != "keysight_33522b":
                raise BenchFileError(f"{where} trigger is {line!r}, which is no generator on this bench")
            if line in listening:
                raise BenchFileError(f"{where} trigger is {line!r}, to which {listening[line]} listens already")
            listening[line] = where


def _check_sight(instrument: InstrumentSpec, devices: Mapping[str, Device], where: str) -> None:
    """A camera must look at something that can be seen."""
    if instrument.model == "simoptics_so2c":
        visible = [name for name, device in devices.items() if isinstance(device, Imaged)]
        if instrument.sees not in visible:
            raise BenchFileError(
                f"{where} sees {instrument.sees!r}; devices that can be seen are {_listed(visible) or 'none'}"
            )


def split_end(end: str, devices: Mapping[str, Device], kind: str, where: str) -> tuple[str, str]:
    """DEVICE.PORT taken apart and checked; `kind` is "ports" or "observables"."""
    device, dot, name = end.partition(".")
    if not dot or device not in devices:
        raise BenchFileError(f"{where} is wired to {end!r}; the devices are {_listed(devices)}")
    known: tuple[str, ...] = getattr(devices[device], kind)
    if name not in known:
        raise BenchFileError(f"{where} is wired to {end!r}; {device} has the {kind} {_listed(known)}")
    return device, name


def _listed(names: Any) -> str:
    return ", ".join(str(name) for name in names)
