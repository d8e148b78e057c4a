"""What must hold between the tables of a station file."""

from __future__ import annotations

from collections.abc import Iterator

from labctl.file_problems import Problem
from labctl.start_commands import output_commands, sets_output
from labctl.station_schema import ChannelTable, DeviceTable, StationFile

_NEEDED = {
    "set": ("limits", "ramp_per_s", "safe"),
    "drive": ("limits", "slew_per_s", "safe"),
    "sense": (),
    "image": ("image",),
}
_MEANINGLESS = {
    "set": ("range", "slew_per_s", "image"),
    "drive": ("range", "image"),
    "sense": ("limits", "ramp_per_s", "slew_per_s", "safe", "rest", "tolerance", "image"),
    "image": ("limits", "ramp_per_s", "slew_per_s", "safe", "rest", "tolerance", "range"),
}


def meaningless_for(kind: str) -> tuple[str, ...]:
    """The keys that a channel of this kind does not have."""
    return _MEANINGLESS.get(kind, ())


def cross_check(file: StationFile) -> list[Problem]:
    """Every contradiction between the tables."""
    problems: list[Problem] = []
    for name, channel in file.channels.items():
        problems += _channel_problems(file, name, channel)
    problems += _shared_terminals(file)
    problems += _shared_addresses(file)
    for name, device in file.devices.items():
        problems += _device_problems(file, name, device)
    problems += _shared_drives(file)
    return problems


def _channel_problems(file: StationFile, name: str, channel: ChannelTable) -> Iterator[Problem]:
    here = ("channels", name)
    if channel.instrument not in file.instruments:
        known = ", ".join(file.instruments)
        yield Problem((*here, "instrument"), f"no instrument {channel.instrument!r}; there are {known}")
    for key in _NEEDED[channel.kind]:
        if getattr(channel, key) is None:
            why = "" if channel.kind == "image" else ": nothing may write to a channel without it"
            yield Problem((*here, key), f"a {channel.kind!r} channel must have {key}{why}")
    for key in _MEANINGLESS[channel.kind]:
        if getattr(channel, key) is not None:
            yield Problem((*here, key), f"a {channel.kind!r} channel has no {key}")
    if channel.safe is not None and channel.safe.how == "ramp" and channel.ramp_per_s is None:
        yield Problem((*here, "safe"), 'how = "ramp" needs ramp_per_s')
    if channel.limits is None:
        return
    low, high = channel.limits
    if channel.safe is not None and not low <= channel.safe.value <= high:
        yield Problem(
            (*here, "safe"), f"the safe value {channel.safe.value:g} is outside limits {low:g}..{high:g} {channel.unit}"
        )
    if channel.rest is not None and not low <= channel.rest <= high:
        yield Problem((*here, "rest"), f"{channel.rest:g} is outside limits {low:g}..{high:g} {channel.unit}")


def _shared_terminals(file: StationFile) -> Iterator[Problem]:
    """Two outputs on one terminal would undo each other's limits."""
    taken: dict[tuple[str, str], str] = {}
    for name, channel in file.channels.items():
        if channel.kind in ("sense", "image"):
            continue
        other = taken.setdefault((channel.instrument, channel.terminal), name)
        if other != name:
            yield Problem(
                ("channels", name, "terminal"),
                f"terminal {channel.terminal!r} of {channel.instrument} is driven by channel {other!r} already",
            )


def _shared_addresses(file: StationFile) -> Iterator[Problem]:
    """Two tables on one line would read each other's answers."""
    taken: dict[str, str] = {}
    for name, instrument in file.instruments.items():
        other = taken.setdefault(instrument.address, name)
        if other != name:
            yield Problem(
                ("instruments", name, "address"),
                f"{instrument.address} is the address of {other!r} already; one instrument has one table, also when it "
                "plays, records and measures",
            )


def _device_problems(file: StationFile, name: str, device: DeviceTable) -> Iterator[Problem]:
    here = ("devices", name)
    for role, kinds in (
        ("drive", ("drive", "set")),
        ("response", ("sense", "image")),
        ("conditions", ("set", "sense")),
    ):
        for member in getattr(device, role):
            channel = file.channels.get(member)
            if channel is None:
                yield Problem((*here, role), f"no channel {member!r}; there are {', '.join(file.channels)}")
            elif channel.kind not in kinds:
                allowed = " or ".join(repr(kind) for kind in kinds)
                yield Problem((*here, role), f"{member} is a {channel.kind!r} channel; {role} needs {allowed}")
    yield from _filming_problems(file, here, device)
    preparation = (*here, "preparation")
    for member, level in device.preparation.pulse.items():
        channel = file.channels.get(member)
        if member not in device.drive:
            yield Problem(
                (*preparation, "pulse"), f"{member} is no drive channel of {name}; it has {', '.join(device.drive)}"
            )
        elif channel is not None and channel.limits is not None and not channel.limits[0] <= level <= channel.limits[1]:
            low, high = channel.limits
            yield Problem(
                (*preparation, "pulse"), f"{member}: {level:g} is outside limits {low:g}..{high:g} {channel.unit}"
            )
    if device.preparation.pulse_s is not None and not device.preparation.pulse:
        yield Problem(
            (*preparation, "pulse_s"), "there is no pulse to last that long; give pulse = { channel = level }"
        )
    if device.preparation.pulse_s is not None and device.preparation.pulse_s * device.sample_rate_Hz < 1.0:
        yield Problem((*preparation, "pulse_s"), f"is shorter than one sample at {device.sample_rate_Hz:g} Hz")


def _filming_problems(file: StationFile, here: tuple[str, str], device: DeviceTable) -> Iterator[Problem]:
    """A device is either driven and measured, or filmed."""
    images = [name for name in device.response if name in file.channels and file.channels[name].kind == "image"]
    if not images:
        if not device.drive:
            yield Problem((*here, "drive"), "a device that is not filmed needs at least one drive channel")
        if device.starts:
            yield Problem((*here, "starts"), "are of filmed devices; this one begins with its preparation")
        return
    if len(device.response) > 1:
        yield Problem((*here, "response"), f"a filmed device has one image channel and no other, not {device.response}")
    if device.drive:
        yield Problem((*here, "drive"), "a filmed device is not played on: what is set belongs under conditions")
    for name, start in device.starts.items():
        if start.instrument not in file.instruments:
            known = ", ".join(file.instruments)
            yield Problem((*here, "starts"), f"{name}: no instrument {start.instrument!r}; there are {known}")
        scpi = file.instruments[start.instrument].scpi if start.instrument in file.instruments else {}
        for command in start.commands:
            for terminal, header in output_commands(scpi):
                if sets_output(command, header):
                    yield Problem(
                        (*here, "starts"),
                        f"{name}: {command!r} would set terminal {terminal!r} of {start.instrument} past every limit; what is "
                        "set belongs under conditions",
                    )
            left = command.replace("{seed}", "")
            if "{" in left or "}" in left or "\n" in left or "\r" in left:
                yield Problem(
                    (*here, "starts"), f"{name}: {command!r}: only {{seed}} is filled in, one command a string"
                )


def _shared_drives(file: StationFile) -> Iterator[Problem]:
    taken: dict[str, str] = {}
    for name, device in file.devices.items():
        for member in device.drive:
            other = taken.setdefault(member, name)
            if other != name:
                yield Problem(("devices", name, "drive"), f"{member} drives device {other!r} already")
