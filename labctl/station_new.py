"""A station file to begin from: one source with one output, and the words to go on with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from labctl.toml_text import value_text

EXAMPLE_ADDRESS = "TCPIP::192.168.0.5::5025::SOCKET"

_TEXT = """\
# What this bench consists of. `labctl station check` opens it and says what is wrong; docs/station.md explains the keys.

[station]
name = {name}
simulated = {simulated}

[instruments.source]
driver = {driver}                 # `labctl station instruments` lists the drivers
address = {address}

# One output. Nothing may write to a channel without limits, a ramp and a safe value.
[channels.level]
kind = "set"                        # set and held; "drive" plays waveforms, "sense" is measured
instrument = "source"
terminal = {terminal}
unit = "V"
limits = [-1.0, 1.0]
ramp_per_s = 1.0                    # V/s
safe = {{ value = 0.0, how = "ramp", output = "off" }}
"""


def new_station_text(
    *,
    name: str = "my bench",
    driver: str = "keithley_2400",
    address: str = EXAMPLE_ADDRESS,
    terminal: str = "output",
    simulated: bool = False,
) -> str:
    """The text of a small valid station: one instrument with one output of at most 1 V."""
    given = {"name": name, "driver": driver, "address": address, "terminal": terminal, "simulated": simulated}
    return _TEXT.format(**{key: value_text(value) for key, value in given.items()})


def example_entry(kind: str, tables: Mapping[str, Any]) -> tuple[str, str, dict[str, Any]]:
    """Section, name and content of a new entry, fitted to the rest of a station: "instrument", "output", "input", "device".

    It is to be completed; what does not fit yet is told at its fields.
    """
    instruments = list(tables.get("instruments", {}))
    channels = {name: table for name, table in tables.get("channels", {}).items() if isinstance(table, Mapping)}
    instrument = instruments[-1] if instruments else "source"
    match kind:
        case "instrument":
            return "instruments", "instrument", {"driver": "scpi", "address": EXAMPLE_ADDRESS}
        case "output":
            safe = {"value": 0.0, "how": "ramp", "output": "off"}
            own = {"kind": "set", "instrument": instrument, "terminal": "output", "unit": "V"}
            return "channels", "output", {**own, "limits": [-1.0, 1.0], "ramp_per_s": 1.0, "safe": safe}
        case "input":
            own = {"kind": "sense", "instrument": instrument, "terminal": "voltage", "unit": "V"}
            return "channels", "input", {**own, "range": 1.0}
        case _:
            driving = {name for table in tables.get("devices", {}).values() for name in table.get("drive", ())}
            drives = [name for name, table in channels.items() if table.get("kind") in ("drive", "set")]
            senses = [name for name, table in channels.items() if table.get("kind") == "sense"]
            free = [name for name in drives if name not in driving]
            own = {"drive": (free or drives)[:1], "response": senses[:1]}
            return "devices", "device", {**own, "time_constant_s": 0.1, "sample_rate_Hz": 100.0}
