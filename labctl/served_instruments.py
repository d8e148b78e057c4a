"""Which simulated instruments stand in for those of a station, and at which of their terminals each channel is.

Drivers with a simulated model keep their instrument, terminals and most options. All others are replaced: what is
played by a 33522B generator, what is set by a 2400 source-measure unit, what is sensed by an L4532A digitiser.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from labctl.errors import SimulationError
from labctl.station import Channel, Station
from labctl.units import conversion, unit_of

MODELS = {"keysight_33500b": "keysight_33522b", "keysight_l4532a": "keysight_l4532a", "keithley_2400": "keithley_2400"}
"""Driver -> simulated model."""
RANGES_V = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 128.0, 256.0)
"""Full scales of the digitiser."""
_DRIVER_OF = {model: driver for driver, model in MODELS.items()}
_STAND_IN = {"drive": "keysight_33522b", "set": "keithley_2400", "sense": "keysight_l4532a"}
_SUFFIX = {"keysight_33522b": "generator", "keithley_2400": "source", "keysight_l4532a": "digitiser"}
_SERIAL = {"keysight_33522b": "33522B", "keithley_2400": "2400", "keysight_l4532a": "L4532A"}
_KEPT_OPTIONS = {"keysight_l4532a": ("overload",), "keithley_2400": ("compliance", "power_line_cycles")}
_TERMINALS = ("1", "2")
_LOAD_OHM = 1e9
"""At the simulated source-measure unit: a compliance must not limit what the device's port gets."""


@dataclass(slots=True)
class SimulatedInstrument:
    """One instrument of the served bench. ends: terminal -> DEVICE.PORT or DEVICE.OBSERVABLE (None: wired to nothing)."""

    name: str
    model: str
    serial: str
    options: dict[str, Any] = field(default_factory=dict)
    ends: dict[str, str | None] = field(default_factory=dict)
    trigger: str | None = None

    def station_table(self) -> dict[str, Any]:
        """Its [instruments.NAME] in the station file, with a placeholder for the address."""
        serial_line = {"baud_rate": 57600} if self.model == "keithley_2400" else {}
        return {
            "driver": _DRIVER_OF[self.model],
            "address": "{" + self.name + "}",
            "serial": self.serial,
            **serial_line,
            **({"options": self.options} if self.options else {}),
        }

    def bench_table(self) -> dict[str, Any]:
        """Its [instruments.NAME] in the bench file."""
        table: dict[str, Any] = {"model": self.model, "serial": self.serial}
        wired = {terminal: end for terminal, end in self.ends.items() if end is not None}
        if self.model == "keysight_33522b":
            table["outputs"] = wired
        elif self.model == "keysight_l4532a":
            table |= {"inputs": wired, "trigger": self.trigger}
        else:
            table |= {"output": wired.get("output"), "sense": wired.get("voltage"), "load_ohm": _LOAD_OHM}
        return table


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a channel of the station is on the served bench."""

    instrument: str
    terminal: str


def place_channels(
    station: Station, ends: Mapping[str, str | None]
) -> tuple[dict[str, SimulatedInstrument], dict[str, Placement], list[str]]:
    """(instruments, channel -> placement, what was replaced in words) for these channels and what they are wired to.

    Raises SimulationError where no simulated instrument can take a channel's place.
    """
    instruments: dict[str, SimulatedInstrument] = {}
    placements: dict[str, Placement] = {}
    notes: list[str] = []
    for user, table in station.instruments.items():
        mine = [station.channels[name] for name in ends if station.channels[name].instrument == user]
        groups = _groups(table.driver, mine)
        for number, (model, channels) in enumerate(groups):
            native = table.driver in MODELS
            twice = sum(other == model for other, _ in groups) > 1
            name = user if len(groups) == 1 else f"{user}_{_SUFFIX[model]}{number + 1 if twice else ''}"
            serial = f"SIM-{_SERIAL[model]}-{len(instruments) + 1:03d}"
            kept = _KEPT_OPTIONS.get(model, ()) if native else ()
            options = {key: table.options[key] for key in kept if key in table.options}
            instruments[name] = made = SimulatedInstrument(name, model, serial, options)
            for place, channel in enumerate(channels):
                terminal = _terminal(channel, model, native, place)
                made.ends[terminal] = ends[channel.name]
                placements[channel.name] = Placement(name, terminal)
            if not native:
                listed = ", ".join(channel.name for channel in channels)
                notes.append(
                    f"{user} (driver {table.driver}) has no simulated model: {listed} replaced by a simulated "
                    f"{model} named {name}"
                )
            if "voltage" in made.ends:
                made.options["remote_sense"] = True
    return instruments, placements, notes


def connect_triggers(
    instruments: Mapping[str, SimulatedInstrument], placements: Mapping[str, Placement], devices: Sequence[Any]
) -> None:
    """Every digitiser listens to the generator that drives what it sees; a generator has one listener."""
    taken: set[str] = set()
    for device in devices:
        players = [placements[name].instrument for name in device.drive]
        player = next((name for name in players if instruments[name].model == "keysight_33522b"), None)
        for name in device.response:
            seeing = instruments[placements[name].instrument]
            if seeing.model != "keysight_l4532a" or seeing.trigger is not None or player is None or player in taken:
                continue
            seeing.trigger = player
            taken.add(player)


def to_volts(channel: Channel) -> float:
    """Volts of one unit of the channel; raises SimulationError for what is no voltage."""
    if unit_of(channel.unit).base != "V":
        raise SimulationError(
            f"{channel.name} is in {channel.unit}: the simulated instruments give and take volts only; "
            "serve the twin from a station whose channels of this device are voltages"
        )
    return conversion(channel.unit, "V")


def digitiser_range(channel: Channel, largest: float) -> float:
    """The full scale (channel's unit) of the simulated digitiser: the channel's own, or what `largest` fits well into.

    Raises SimulationError if there is none so large.
    """
    factor = to_volts(channel)
    wanted_V = (channel.range if channel.range is not None else 1.5 * largest) * factor
    for full_scale_V in RANGES_V:
        if wanted_V <= full_scale_V * (1.0 + 1e-9):
            return float(f"{full_scale_V / factor:.12g}")
    raise SimulationError(f"{channel.name}: no range of the simulated digitiser reaches {wanted_V:g} V")


def _groups(driver: str, channels: Sequence[Channel]) -> list[tuple[str, list[Channel]]]:
    """(model, its channels); nothing for an instrument without channels."""
    if driver in MODELS:
        return [(MODELS[driver], list(channels))] if channels else []
    groups: list[tuple[str, list[Channel]]] = []
    for kind, model in _STAND_IN.items():
        alike = [channel for channel in channels if channel.kind == kind]
        size = 1 if model == "keithley_2400" else len(_TERMINALS)
        groups += [(model, alike[first : first + size]) for first in range(0, len(alike), size)]
    return groups


def _terminal(channel: Channel, model: str, native: bool, place: int) -> str:
    to_volts(channel)
    if not native:
        return "output" if model == "keithley_2400" else _TERMINALS[place]
    roles: dict[str, dict[str, tuple[str, ...]]] = {
        "keysight_33522b": {"drive": _TERMINALS, "set": _TERMINALS},
        "keysight_l4532a": {"sense": _TERMINALS},
        "keithley_2400": {"drive": ("output",), "set": ("output",), "sense": ("voltage",)},
    }
    allowed = roles[model].get(channel.kind, ())
    if channel.terminal not in allowed:
        raise SimulationError(
            f"{channel.name}: the simulated {model} has no terminal {channel.terminal!r} for a {channel.kind!r} channel; "
            f"it has {', '.join(allowed) or 'none'}"
        )
    return channel.terminal
