"""The station: what a bench consists of, read from a TOML file and checked before anything is opened.

    station = load_station("bench.toml")
    station.channels["gate"].limits

Every problem of a file is reported at once, each with its line, key, value and what is allowed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from labctl.errors import StationError
from labctl.file_problems import parse_toml, read_text, told
from labctl.station_checks import cross_check
from labctl.station_schema import (
    ChannelTable,
    DeviceTable,
    ImageTable,
    InstrumentTable,
    SafeTable,
    StartTable,
    StationFile,
)
from labctl.toml_lines import KeyPath, line_of
from labctl.units import conversion, unit_of

REST_TIME_CONSTANTS = 5.0
"""How long a device rests by default: exp(-5) = 0.7 % of any earlier state is left."""


@dataclass(frozen=True, slots=True)
class Channel:
    """One named, bounded quantity, in its own unit; `limits` of a sense channel are its range (or infinite)."""

    name: str
    kind: Literal["drive", "set", "sense", "image"]
    instrument: str
    terminal: str
    unit: str
    limits: tuple[float, float]
    ramp_per_s: float | None
    slew_per_s: float | None
    safe: SafeTable | None
    rest: float
    tolerance: float
    range: float | None
    to_instrument: float
    """Multiply by this to have the value in the driver's unit."""
    where: str
    """file:line of the limits, for messages."""
    image: ImageTable | None = None
    """How a camera sees it, for image channels."""

    @property
    def is_output(self) -> bool:
        """Whether something can be written to it."""
        return self.kind in ("drive", "set")


@dataclass(frozen=True, slots=True)
class Device:
    """A physical device on the bench: its channels and how it is brought into a known state."""

    name: str
    drive: tuple[str, ...]
    response: tuple[str, ...]
    conditions: tuple[str, ...]
    time_constant_s: float
    sample_rate_Hz: float
    pulse: Mapping[str, float]
    pulse_s: float
    rest_s: float
    mode: Literal["auto", "buffered", "stepped"]
    starts: Mapping[str, StartTable] = field(default_factory=dict)

    @property
    def dt_s(self) -> float:
        """Sampling time (s)."""
        return 1.0 / self.sample_rate_Hz


@dataclass(frozen=True, slots=True)
class Station:
    """A checked station file. `text` and `sha256` are of the file as read, for the provenance."""

    name: str
    simulated: bool
    instruments: Mapping[str, InstrumentTable]
    channels: Mapping[str, Channel]
    devices: Mapping[str, Device]
    path: Path | None
    text: str
    sha256: str

    def channel(self, name: str) -> Channel:
        """The channel of this name; raises StationError that lists those there are."""
        if name not in self.channels:
            raise StationError(f"{self._file}: no channel {name!r}; there are {', '.join(self.channels)}")
        return self.channels[name]

    def device(self, name: str) -> Device:
        """The device of this name; raises StationError that lists those there are."""
        if name not in self.devices:
            raise StationError(f"{self._file}: no device {name!r}; there are {', '.join(self.devices) or 'none'}")
        return self.devices[name]

    def driven(self, name: str) -> Device:
        """The device of this name, which must have a drive; raises StationError for one that is filmed, saying what to do."""
        device = self.device(name)
        if not device.drive:
            raise StationError(
                f"{self._file}: {name} is filmed and has no drive: record it by `labctl record --frames`, or by record_frames"
            )
        return device

    def image_of(self, device: Device) -> Channel | None:
        """The image channel of a device that is filmed; None for one that is driven and measured."""
        return next((one for name in device.response if (one := self.channels[name]).kind == "image"), None)

    @property
    def _file(self) -> str:
        return str(self.path or "station")


def load_station(path: str | Path) -> Station:
    """Read and check a station file; raises StationError with every problem in it."""
    path = Path(path)
    return parse_station(read_text(path, error=StationError), path=path)


def parse_station(text: str, *, path: Path | None = None) -> Station:
    """Check the text of a station file; `path` is for messages and provenance."""
    name = str(path or "station")
    file, lines = parse_toml(text, StationFile, name=name, error=StationError)
    problems = cross_check(file)
    if problems:
        raise StationError(told(name, lines, problems))
    channels = {key: _channel(key, table, name, lines) for key, table in file.channels.items()}
    return Station(
        name=file.station.name,
        simulated=file.station.simulated,
        instruments=dict(file.instruments),
        channels=channels,
        devices={key: _device(key, table) for key, table in file.devices.items()},
        path=path,
        text=text,
        sha256=hashlib.sha256(text.encode()).hexdigest(),
    )


def station_schema() -> dict[str, Any]:
    """The JSON schema of station files, for editors and forms."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **StationFile.model_json_schema()}


def _channel(name: str, table: ChannelTable, file: str, lines: Mapping[KeyPath, int]) -> Channel:
    line = line_of(lines, ("channels", name, "limits"))
    if table.limits is not None:
        limits = table.limits
    else:
        full_scale = table.range if table.range is not None else float("inf")
        limits = (-full_scale, full_scale)
    safe_value = 0.0 if table.safe is None else table.safe.value
    largest = max(abs(limits[0]), abs(limits[1]))
    return Channel(
        name=name,
        kind=table.kind,
        instrument=table.instrument,
        terminal=table.terminal,
        unit=table.unit,
        limits=limits,
        ramp_per_s=table.ramp_per_s,
        slew_per_s=table.slew_per_s,
        safe=table.safe,
        rest=safe_value if table.rest is None else table.rest,
        tolerance=table.tolerance if table.tolerance is not None else 1e-3 * largest,
        range=table.range,
        to_instrument=conversion(table.unit, table.instrument_unit or unit_of(table.unit).base),
        where=f"{file}:{line}" if line else file,
        image=table.image,
    )


def _device(name: str, table: DeviceTable) -> Device:
    settled_s = REST_TIME_CONSTANTS * table.time_constant_s
    preparation = table.preparation
    return Device(
        name=name,
        drive=tuple(table.drive),
        response=tuple(table.response),
        conditions=tuple(table.conditions),
        time_constant_s=table.time_constant_s,
        sample_rate_Hz=table.sample_rate_Hz,
        pulse=dict(preparation.pulse),
        pulse_s=0.0 if not preparation.pulse else preparation.pulse_s or settled_s,
        rest_s=preparation.rest_s or settled_s,
        mode=table.mode,
        starts=dict(table.starts),
    )
