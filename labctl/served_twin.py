"""A measured device as a simulated instrument: tomorrow's campaign rehearsed on the twin of the device measured today.

    served = write_served_bench({"leaky": "twins/leaky.json"}, load_station("station.toml"), "rehearsal")
    with SimulatedBench.start(served.bench) as sim:
        station = sim.write_station("rehearsal/station.toml", served.template.read_text())

What is written: the exported twins (plain arrays, see twins/export.py), bench.toml for `python -m sim_devices`, and
station.template.toml: the user's own station with simulated instruments, limits no wider than what the twins were
fitted on, and nothing that the twins do not stand for. The simulated instruments add no noise of their own: what is
measured through them has the twin's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from labctl.errors import SimulationError
from labctl.served_instruments import (
    Placement,
    SimulatedInstrument,
    connect_triggers,
    place_channels,
)
from labctl.served_station import ServedDevice, station_text
from labctl.station import Station, parse_station
from labctl.toml_text import toml_text

if TYPE_CHECKING:
    from twins import DeviceTwin

_DIGITISER_RATES_HZ = tuple(float(d * 10**power) for power in range(3, 8) for d in (1, 2, 5) if d * 10**power <= 20e6)


@dataclass(frozen=True, slots=True)
class ServedBench:
    """Files of a served bench: for the simulator, for labctl once the addresses are known, and what to tell the user."""

    bench: Path
    template: Path
    notes: tuple[str, ...]


def write_served_bench(
    twins: Mapping[str, str | Path],
    station: Station,
    folder: str | Path,
    *,
    seed: int = 0,
    member: int = 0,
    trial_s: float = 0.0,
    outside_range: Literal["error", "log"] = "error",
) -> ServedBench:
    """Export the twins (device of the station -> file) and write bench.toml and station.template.toml into `folder`.

    seed: of the simulated noise. member: which one of an ensemble. trial_s: how long an offset of a twin that drifts
    over trials lasts; 0: one a play. outside_range: whether a drive beyond the fitted range fails the recording
    ("error") or is only logged; the device extrapolates in both cases.

    Raises SimulationError where twin, station and simulated instruments do not fit together; TwinError for the files.
    """
    folder = Path(folder)
    served = [_load(station, name, Path(path), member) for name, path in twins.items()]
    notes: list[str] = []
    ends: dict[str, str | None] = {}
    for one in served:
        _check(one, station, notes)
        ends |= _ends(one, station, notes)
    instruments, placements, replaced = place_channels(station, ends)
    connect_triggers(instruments, placements, [one.device for one in served])
    _check_rates(served, instruments, placements)
    template = station_text(station, served, instruments, placements, notes)
    parse_station(template, path=folder / "station.template.toml")  # what is written can be read
    folder.mkdir(parents=True, exist_ok=True)
    for one in served:
        _export(one, station, folder, seed)
    options = {"trial_s": trial_s, "outside_range": outside_range}
    bench = folder / "bench.toml"
    bench.write_text(_bench_text(station, served, instruments, seed, options), encoding="utf-8")
    (folder / "station.template.toml").write_text(template, encoding="utf-8")
    return ServedBench(bench, folder / "station.template.toml", (*replaced, *notes))


def device_of(station: Station, twin: DeviceTwin) -> str:
    """The device of the station that has the twin's channels; raises SimulationError if there is none."""
    for name, device in station.devices.items():
        if (device.drive, device.response) == (twin.spec.drive_names, twin.spec.response_names):
            return name
    known = "; ".join(
        f"{name} {', '.join(one.drive)} -> {', '.join(one.response)}" for name, one in station.devices.items()
    )
    raise SimulationError(
        f"no device of the station has the twin's channels {', '.join(twin.spec.drive_names)} -> "
        f"{', '.join(twin.spec.response_names)}; it has {known or 'none'}"
    )


def load_member(path: Path, member: int) -> DeviceTwin:
    """A twin, or one member of an ensemble; raises SimulationError if there are not so many."""
    from twins import TwinEnsemble, load_any_twin

    loaded = load_any_twin(path)
    if not isinstance(loaded, TwinEnsemble):
        return loaded
    if not 0 <= member < len(loaded):
        raise SimulationError(f"{path}: the ensemble has members 0..{len(loaded) - 1}, not {member}")
    return loaded.member(member)


def _load(station: Station, name: str, path: Path, member: int) -> ServedDevice:
    from twins import read_provenance

    return ServedDevice(station.device(name), load_member(path, member), read_provenance(path), path)


def _check(one: ServedDevice, station: Station, notes: list[str]) -> None:
    spec, device = one.twin.spec, one.device
    for side, ours, units in (
        ("drive", device.drive, spec.drive_units),
        ("response", device.response, spec.response_units),
    ):
        theirs = getattr(spec, f"{side}_names")
        if ours != theirs:
            raise SimulationError(
                f"{device.name}: the station's {side} is {', '.join(ours)}, the twin's {', '.join(theirs)}"
            )
        for channel, unit in zip((station.channels[name] for name in ours), units, strict=True):
            if channel.unit != unit:
                raise SimulationError(f"{channel.name} is in {channel.unit} in the station, in {unit} for the twin")
    if abs(spec.dt_s * device.sample_rate_Hz - 1.0) > 1e-9:
        notes.append(
            f"{device.name}: the twin was fitted every {spec.dt_s:g} s and the station samples at "
            f"{device.sample_rate_Hz:g} Hz: the twin keeps its own samples, and sees the mean of the drive over each"
        )


def _ends(one: ServedDevice, station: Station, notes: list[str]) -> dict[str, str | None]:
    """What each channel of the device is wired to; conditions that nothing can set are held."""
    device, spec = one.device, one.twin.spec
    ends: dict[str, str | None] = {name: f"{device.name}.{name}" for name in (*device.drive, *device.response)}
    found = one.provenance.get("conditions", {})
    known = {str(name): float(value) for name, value in found.items()} if isinstance(found, Mapping) else {}
    one.recorded = {name: value for name, value in known.items() if name not in spec.condition_names}
    settable = [name for name in device.conditions if station.channels[name].kind == "set"]
    for name in settable:
        understood = name in spec.condition_names or name in one.recorded
        ends[name] = f"{device.name}.{name}" if understood else None
        if not understood:
            notes.append(f"{name} can be set but does nothing: the twin of {device.name} does not know it")
        elif name in one.recorded:
            notes.append(f"{name}: the twin of {device.name} knows only {one.recorded[name]:g}; elsewhere it is wrong")
    for name in dict.fromkeys((*spec.condition_names, *one.recorded)):
        if name not in settable:
            middle = float(one.twin.condition_range[spec.condition_names.index(name)].mean()) if (
                name in spec.condition_names
            ) else one.recorded[name]  # fmt: skip
            one.hold[name] = middle
            notes.append(f"{name} cannot be set at this station: the served {device.name} is held at {middle:g}")
    return ends


def _check_rates(
    served: list[ServedDevice], instruments: Mapping[str, SimulatedInstrument], placements: Mapping[str, Placement]
) -> None:
    for one in served:
        device = one.device
        models = {instruments[placements[name].instrument].model for name in device.response}
        recorded = "keysight_l4532a" in models and device.mode != "stepped"
        if recorded and not any(abs(device.sample_rate_Hz / rate - 1.0) < 1e-9 for rate in _DIGITISER_RATES_HZ):
            raise SimulationError(
                f"{device.name} is sampled at {device.sample_rate_Hz:g} Hz; the simulated digitiser samples at 1, 2 or 5 "
                "times a power of ten from 1 kHz to 20 MHz. Change sample_rate_Hz, or set mode = 'stepped'"
            )


def _export(one: ServedDevice, station: Station, folder: Path, seed: int) -> None:
    from twins import export_twin

    conditions = {*one.twin.spec.condition_names, *one.recorded}
    export_twin(
        one.twin,
        folder / one.device.name,
        provenance=one.provenance,
        held_conditions=one.recorded,
        condition_units={name: station.channels[name].unit for name in conditions if name in station.channels},
        seed=seed,
    )


def _bench_text(
    station: Station,
    served: list[ServedDevice],
    instruments: Mapping[str, SimulatedInstrument],
    seed: int,
    options: Mapping[str, Any],
) -> str:
    slowest_s = max(one.device.rest_s for one in served)
    tables = {
        "name": f"twins of {station.name}",
        "seed": seed,
        "settle_s": max(0.02, slowest_s),
        "idle_limit_s": max(0.2, 2.0 * slowest_s),
        "devices": {
            one.device.name: {
                "kind": "exported_twin",
                "path": f"{one.device.name}.exported.json",
                **options,
                **({"hold": one.hold} if one.hold else {}),
            }
            for one in served
        },
        "instruments": {name: instrument.bench_table() for name, instrument in instruments.items()},
    }
    return "# SIMULATED: instruments wired to twins of measured devices.\n" + toml_text(tables)
