"""The station file of a served bench: the user's own, reduced to what the twins stand for."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labctl.served_instruments import Placement, SimulatedInstrument, digitiser_range, to_volts
from labctl.station import Channel, Device, Station
from labctl.toml_text import toml_text

if TYPE_CHECKING:
    from twins import DeviceTwin

_SLACK = 0.008  # of the fitted range's width; the twin takes 0.01, and a generator rounds


@dataclass(slots=True)
class ServedDevice:
    """A device, its twin, and what is held constant for it."""

    device: Device
    twin: DeviceTwin
    provenance: Mapping[str, Any]
    path: Path
    hold: dict[str, float] = field(default_factory=dict)
    recorded: dict[str, float] = field(default_factory=dict)


def station_text(
    station: Station,
    served: Sequence[ServedDevice],
    instruments: Mapping[str, SimulatedInstrument],
    placements: Mapping[str, Placement],
    notes: list[str],
) -> str:
    """The text of the station file, with {NAME} for every address; what was changed or left out is added to `notes`."""
    tables = tomllib.loads(station.text)
    lost = [name for name in station.devices if name not in {one.device.name for one in served}]
    if lost:
        notes.append(f"left out of the served station, for want of a twin: {', '.join(lost)}")
    sources = "; ".join(f"{one.device.name} is the twin {one.path.name} (sha256 {_sha256(one.path)})" for one in served)
    channels = {}
    for one in served:
        for name in (*one.device.drive, *one.device.response, *one.device.conditions):
            if name in placements:
                channels[name] = _channel_table(
                    tables["channels"][name], station.channels[name], one, placements, notes
                )
    devices = {one.device.name: dict(tables["devices"][one.device.name]) for one in served}
    for table in devices.values():
        kept = [name for name in table.get("conditions", []) if name in placements]
        table["conditions"] = kept or None
    described = {
        "name": f"{station.name} (twins)",
        "simulated": True,
        "description": f"SIMULATED: {sources}. Made from the station file with sha256 {station.sha256[:16]}…",
    }
    text = toml_text({
        "station": described,
        "instruments": {name: instrument.station_table() for name, instrument in instruments.items()},
        "channels": channels,
        "devices": devices,
    })  # fmt: skip
    return "# {NAME} is replaced by the address that the simulator prints: labctl sim bench.toml --template …\n" + text


def _channel_table(
    table: Mapping[str, Any],
    channel: Channel,
    one: ServedDevice,
    placements: Mapping[str, Placement],
    notes: list[str],
) -> dict[str, Any]:
    placed = placements[channel.name]
    changed = {**table, "instrument": placed.instrument, "terminal": placed.terminal, "instrument_unit": None}
    if channel.kind == "sense":
        if placed.terminal in ("1", "2"):
            row = one.twin.spec.response_names.index(channel.name)
            changed["range"] = digitiser_range(channel, float(one.twin.response_range[row].abs().max()))
        return changed
    to_volts(channel)
    fitted = _fitted_range(channel, one)
    if fitted is None:
        return changed
    slack = _SLACK * (fitted[1] - fitted[0])
    needed = [
        channel.rest,
        *([channel.safe.value] if channel.safe else []),
        one.device.pulse.get(channel.name, channel.rest),
    ]
    low = max(channel.limits[0], min(fitted[0] - slack, *needed))
    high = min(channel.limits[1], max(fitted[1] + slack, *needed))
    if (low, high) != channel.limits:
        notes.append(
            f"{channel.name}: limits {low:.6g}..{high:.6g} {channel.unit}, where the twin was fitted, instead of "
            f"{channel.limits[0]:g}..{channel.limits[1]:g}"
        )
    changed["limits"] = [low, high]
    return changed


def _fitted_range(channel: Channel, one: ServedDevice) -> tuple[float, float] | None:
    spec = one.twin.spec
    for names, ranges in ((spec.drive_names, one.twin.drive_range), (spec.condition_names, one.twin.condition_range)):
        if channel.name in names:
            low, high = (float(edge) for edge in ranges[names.index(channel.name)])
            return low, high
    return None


def _sha256(path: Path) -> str:
    json_path = path.with_suffix(".json") if path.suffix in (".json", ".safetensors") else Path(f"{path}.json")
    return hashlib.sha256(json_path.read_bytes()).hexdigest()[:16] + "…"
