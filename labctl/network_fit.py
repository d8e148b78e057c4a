"""Whether a network file fits a station and twins: devices, ranges, outputs, conditions."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labctl.file_problems import Problem
from labctl.network_schema import ConditionTable, DeviceTable, DriveTable, NetworkFile

if TYPE_CHECKING:
    from labctl.station import Channel, Station

MOST_LEVELS = 2**24
"""Neighbours of more levels than that are one and the same number in float32, in which networks are trained."""
_PLAIN = DeviceTable()


@dataclass(frozen=True, slots=True)
class OutputLevels:
    """The n values, equally spaced, that an output has."""

    low: float
    high: float
    n: int


def device_table(file: NetworkFile, device: str) -> DeviceTable:
    """What the file says of a device; the defaults if nothing."""
    return file.devices.get(device, _PLAIN)


def drive_table(table: DeviceTable, channel: str) -> DriveTable:
    """What holds for one drive channel of a device: its own table, and the device's for what that does not say."""
    own = table.drives.get(channel)
    if own is None:
        return DriveTable(**{name: getattr(table, name) for name in DriveTable.model_fields})
    said = {name: getattr(own, name) for name in own.model_fields_set}
    output_said = any(name.startswith("dac") for name in said)
    inherited = {
        name: getattr(table, name)
        for name in DriveTable.model_fields
        if name not in said and not (output_said and name.startswith("dac"))
    }
    return DriveTable(**{**inherited, **said})


def output_levels(table: DriveTable, limits: tuple[float, float] | None) -> OutputLevels | None:
    """The levels of an output over its dac_range, or over `limits`; None for one that has any value.

    Raises ValueError where neither is known, and for levels that are too fine to tell apart.
    """
    if table.dac_bits is None and table.dac_step is None:
        return None
    full = table.dac_range or limits
    if full is None or not all(math.isfinite(edge) for edge in full):
        raise ValueError("the full scale is not known: give dac_range, or a station file, whose limits it is")
    low, high = full
    if table.dac_bits is not None:
        return OutputLevels(low, high, 2**table.dac_bits)
    step = table.dac_step or math.inf
    n = math.floor((high - low) / step + 1e-9) + 1
    if n > MOST_LEVELS:
        raise ValueError(
            f"a step of {step:g} over {low:g}..{high:g} is finer than {MOST_LEVELS} levels, which are all that can be "
            "told apart; leave the step out"
        )
    if n < 2:
        raise ValueError(f"a step of {step:g} leaves no second level within {low:g}..{high:g}")
    return OutputLevels(low, low + (n - 1) * step, n)


def problems_with_recorded(file: NetworkFile, recorded: Mapping[str, float]) -> Iterator[Problem]:
    """Conditions that twins were recorded at one value of, and that are to be elsewhere."""
    for name, value in recorded.items():
        condition = file.conditions.get(name)
        if condition is None:
            continue
        told = f"twins were recorded at {name} = {value:g} alone, and say nothing of other values"
        if condition.trained is not None:
            yield Problem(("conditions", name), f"cannot be trained: {told}; record and fit them at several")
        elif condition.start != value:
            yield Problem(("conditions", name), f"cannot be held at {condition.start:g}: {told}")


def problems_with_station(file: NetworkFile, station: Station, twins: Mapping[str, Any] | None = None) -> list[Problem]:
    """Devices that the station lacks, or samples otherwise than their twins, and what lies beyond its limits."""
    problems: list[Problem] = []
    rates: dict[str, float] = {}
    for name, layer in file.layers.items():
        for device in dict.fromkeys(layer.nodes):
            if device not in station.devices:
                there = ", ".join(station.devices) or "none"
                problems.append(
                    Problem(("layers", name, "nodes"), f"the station has no device {device!r}; there are {there}")
                )
            else:
                rates[device] = station.devices[device].sample_rate_Hz
                problems += _sampled_otherwise(
                    ("layers", name, "nodes"), device, rates[device], (twins or {}).get(device)
                )
    if len(set(rates.values())) > 1:
        listed = ", ".join(f"{device} {rate:g}" for device, rate in rates.items())
        problems.append(Problem(("layers",), f"devices of one network are sampled alike; here {listed} Hz"))
    for device in rates:
        problems += _other_outputs(file, device, station.devices[device].drive, (twins or {}).get(device))
        problems += _outputs(file, device, {name: station.channels[name] for name in station.devices[device].drive})
    for name, condition in file.conditions.items():
        problems += _set_point(("conditions", name), name, condition, station)
    return problems


def _sampled_otherwise(where: tuple[str, ...], device: str, rate_Hz: float, twin: Any) -> Iterator[Problem]:
    if twin is not None and abs(twin.spec.dt_s * rate_Hz - 1.0) > 1e-9:
        yield Problem(
            where,
            f"the twin of {device} is sampled every {twin.spec.dt_s:g} s, the station samples it at {rate_Hz:g} Hz",
        )


def _other_outputs(file: NetworkFile, device: str, drives: Sequence[str], twin: Any) -> Iterator[Problem]:
    """What is said of an output must reach the twin's channel of that name."""
    if twin is not None and device in file.devices and list(twin.spec.drive_names) != list(drives):
        yield Problem(
            ("devices", device),
            f"its twin is driven by {', '.join(twin.spec.drive_names)}, the station drives it by {', '.join(drives)}; call "
            "the channels alike",
        )


def _outputs(file: NetworkFile, device: str, channels: Mapping[str, Channel]) -> Iterator[Problem]:
    table = device_table(file, device)
    here = ("devices", device)
    for name in table.drives:
        if name not in channels:
            yield Problem((*here, "drives", name), f"drives no {device}; its drive channels are {', '.join(channels)}")
    for name, channel in channels.items():
        one = drive_table(table, name)
        where = (*here, "drives", name) if name in table.drives else here
        low, high = one.range or channel.limits
        if low < channel.limits[0] or high > channel.limits[1]:
            yield Problem(
                (*where, "range"),
                f"{low:g}..{high:g} {channel.unit} goes beyond the limits {channel.limits[0]:g}..{channel.limits[1]:g} "
                f"{channel.unit} of {name} ({channel.where})",
            )
        try:
            levels = output_levels(one, channel.limits)
        except ValueError as error:
            yield Problem(where, f"{name}: {error}")
            continue
        if levels is not None:
            yield from few_levels(where, levels, (low, high))


def few_levels(where: tuple[str, ...], levels: OutputLevels, within: tuple[float, float]) -> Iterator[Problem]:
    """An output whose levels do not reach over its range, or of which fewer than two lie within it."""
    low, high = within
    step = (levels.high - levels.low) / (levels.n - 1)
    inside = math.floor((high - levels.low) / step + 1e-9) - math.ceil((low - levels.low) / step - 1e-9) + 1
    if levels.low > low + step or levels.high < high - step:
        yield Problem(
            (*where, "dac_range"),
            f"the output reaches {levels.low:g}..{levels.high:g}, the range is {low:g}..{high:g}; narrow the range",
        )
    elif inside < 2:
        yield Problem(
            where, f"steps of {step:g} leave {max(inside, 0)} level(s) within {low:g}..{high:g}; give a wider range"
        )


def _set_point(where: tuple[str, ...], name: str, condition: ConditionTable, station: Station) -> Iterator[Problem]:
    channel = station.channels.get(name)
    if channel is None or channel.kind != "set":
        settable = ", ".join(key for key, one in station.channels.items() if one.kind == "set") or "none"
        what = "the station has no such channel" if channel is None else f"it is a {channel.kind!r} channel"
        yield Problem(where, f"{what}; a condition is a 'set' channel, of which there are {settable}")
        return
    low, high = condition.trained or (condition.start, condition.start)
    if low < channel.limits[0] or high > channel.limits[1]:
        what = f"{low:g}" if low == high else f"{low:g}..{high:g}"
        yield Problem(
            where,
            f"{what} {channel.unit} goes beyond the limits {channel.limits[0]:g}..{channel.limits[1]:g} {channel.unit} "
            f"of the station ({channel.where})",
        )


def problems_with_twins(file: NetworkFile, twins: Mapping[str, Any]) -> list[Problem]:
    """Devices without a twin, ranges that no twin was fitted on, and conditions that no twin knows."""
    problems: list[Problem] = []
    for name, layer in file.layers.items():
        for device in dict.fromkeys(layer.nodes):
            if device not in twins:
                there = ", ".join(twins) or "none"
                problems.append(Problem(("layers", name, "nodes"), f"there is no twin of {device}; there are {there}"))
    used = {device: twins[device] for layer in file.layers.values() for device in layer.nodes if device in twins}
    if len({twin.spec.dt_s for twin in used.values()}) > 1:
        listed = ", ".join(f"{device} {twin.spec.dt_s:g}" for device, twin in used.items())
        problems.append(Problem(("layers",), f"devices of one network are sampled alike; the twins: {listed} s"))
    for device, twin in used.items():
        problems += _fitted_drives(file, device, twin)
    for name, condition in file.conditions.items():
        if condition.trained is not None:
            problems += _trainable(("conditions", name), name, condition.trained, used)
    return problems


def _fitted_drives(file: NetworkFile, device: str, twin: Any) -> Iterator[Problem]:
    table = device_table(file, device)
    names = twin.spec.drive_names
    for name in table.drives:
        if name not in names:
            yield Problem(
                ("devices", device, "drives", name), f"drives no {device}; its twin is driven by {', '.join(names)}"
            )
    for channel, name in enumerate(names):
        wanted = drive_table(table, name).range
        low, high = (float(edge) for edge in twin.drive_range[channel])
        if wanted is not None and not low <= wanted[0] < wanted[1] <= high:
            where = ("devices", device, "drives", name) if name in table.drives else ("devices", device)
            yield Problem(
                (*where, "range"),
                f"{wanted[0]:g}..{wanted[1]:g} goes beyond {low:g}..{high:g} {twin.spec.drive_units[channel]}, on which the "
                f"twin of {device} was fitted; record it over a wider range",
            )


def _trainable(
    where: tuple[str, ...], name: str, wanted: tuple[float, float], twins: Mapping[str, Any]
) -> Iterator[Problem]:
    knowing = {device: twin for device, twin in twins.items() if name in twin.spec.condition_names}
    if not knowing:
        yield Problem(
            where,
            f"no twin knows {name}, so nothing tells what it does; record devices at several values of it and fit them "
            "together (labctl twin fit), or hold it at one value",
        )
    for device, twin in knowing.items():
        low, high = (float(edge) for edge in twin.condition_range[twin.spec.condition_names.index(name)])
        if not low <= wanted[0] < wanted[1] <= high:
            yield Problem(
                where,
                f"{wanted[0]:g}..{wanted[1]:g} goes beyond {low:g}..{high:g}, over which the twin of {device} was fitted",
            )
