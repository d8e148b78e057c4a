"""Which way an excitation is played: from the instruments' memory, or sample by sample."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from labctl.bench.buffered import BufferedBench, configure_digitiser, play_buffered
from labctl.bench.closed_loop import Controller, play_closed_loop
from labctl.bench.opening import OpenedInstrument
from labctl.bench.plan import Mode, Plan, driven_devices
from labctl.bench.session import Session
from labctl.bench.stepped import SteppedBench, play_stepped
from labctl.channels import InputChannel, OutputChannel
from labctl.errors import ExcitationError
from labctl.excitation import Excitation
from labctl.station import Channel, Device, Station


@dataclass(frozen=True, slots=True)
class Work:
    """`configure` sets up what changes no output, before the settings are noted; `play` runs on the I/O thread."""

    configure: Callable[[], None]
    play: Callable[[Session], None]


FAULT_PATIENCE_S = 5.0
"""How much longer than its play a record may stay incomplete, besides the lines' own time limits."""


def choose_mode(
    station: Station, instruments: Mapping[str, OpenedInstrument], excitation: Excitation, wanted: str
) -> Mode:
    """ "buffered" or "stepped"; raises ExcitationError if "buffered" is wanted and impossible, saying why."""
    if wanted not in ("auto", "buffered", "stepped"):
        raise ExcitationError(f"mode {wanted!r} is unknown; there are 'auto', 'buffered' and 'stepped'")
    devices = driven_devices(station, excitation.channels)
    if wanted == "auto":
        modes = {device.mode for device in devices}
        wanted = "stepped" if "stepped" in modes else "buffered" if "buffered" in modes else "auto"
    if wanted == "stepped":
        return "stepped"
    lacking = lacking_for_buffered(station, instruments, devices)
    if not lacking:
        return "buffered"
    if wanted == "buffered":
        raise ExcitationError(f"cannot be played from memory: {'; '.join(lacking)}. Use mode = 'stepped'")
    return "stepped"


def lacking_for_buffered(
    station: Station, instruments: Mapping[str, OpenedInstrument], devices: Sequence[Device]
) -> list[str]:
    """What stands against playing these devices together from the instruments' memories; empty if nothing does."""
    drives = [station.channels[name] for device in devices for name in device.drive]
    senses = [station.channels[name] for device in devices for name in device.response]
    lacking = [f"{item.name} is a 'set' channel" for item in drives if item.kind != "drive"]
    for item in drives:
        player = instruments[item.instrument].player
        if player is None:
            lacking.append(f"{item.instrument} plays no waveforms")
        elif item.terminal not in player.terminals:
            lacking.append(f"{item.instrument} plays no waveforms on terminal {item.terminal} of {item.name}")
    for item in senses:
        digitiser = instruments[item.instrument].digitiser
        if digitiser is None:
            lacking.append(f"{item.instrument} records none")
        elif item.terminal not in digitiser.terminals:
            lacking.append(f"{item.instrument} records none on terminal {item.terminal} of {item.name}")
        elif item.range is None:
            lacking.append(f"{item.name} has no range")
    if len({item.instrument for item in drives}) > 1 or len({item.instrument for item in senses}) > 1:
        lacking.append("the channels are spread over several instruments")
    return list(dict.fromkeys(lacking))


def roles_of(
    instruments: Mapping[str, OpenedInstrument], inputs: Mapping[str, InputChannel], channel: Channel
) -> tuple[str, ...]:
    """What can be done with a channel: "set", "played", "measured", "recorded", "filmed"."""
    player, digitiser = instruments[channel.instrument].player, instruments[channel.instrument].digitiser
    offered = {
        "set": channel.is_output,
        "played": channel.kind == "drive" and player is not None and channel.terminal in player.terminals,
        "measured": channel.name in inputs,
        "filmed": channel.kind == "image" and instruments[channel.instrument].camera is not None,
        "recorded": channel.kind == "sense" and digitiser is not None and channel.terminal in digitiser.terminals,
    }
    return tuple(role for role, there in offered.items() if there)


def way_of(
    station: Station,
    instruments: Mapping[str, OpenedInstrument],
    inputs: Mapping[str, InputChannel],
    device: Device,
) -> str:
    """ "buffered" or "stepped (why)", or "filmed"; raises ExcitationError for a device that nothing can drive and record."""
    if station.image_of(device) is not None:
        return "filmed"
    lacking = lacking_for_buffered(station, instruments, [device])
    if not lacking and device.mode != "stepped":
        return "buffered"
    missing = [name for name in device.response if name not in inputs]
    if device.mode == "buffered" or missing:
        cannot = f"; {', '.join(missing)} cannot be measured singly" if missing else ""
        raise ExcitationError(f"cannot be played from memory: {'; '.join(lacking) or 'mode = stepped'}{cannot}")
    return f"stepped ({'; '.join(lacking) or 'as the station says'})"


def play_group(station: Station, instruments: Mapping[str, OpenedInstrument], device: Device) -> tuple[str, ...]:
    """Devices of equal groups can be driven by one play; a device that is stepped is a group of its own."""
    if station.image_of(device) is not None:
        return ("filmed", device.name)
    if device.mode == "stepped" or lacking_for_buffered(station, instruments, [device]):
        return ("stepped", device.name)
    first = (station.channels[names[0]].instrument for names in (device.drive, device.response))
    return ("buffered", *first, repr(device.sample_rate_Hz))


def buffered_work(
    plan: Plan,
    instruments: Mapping[str, OpenedInstrument],
    outputs: Mapping[str, OutputChannel],
    *,
    max_play_s: float,
) -> Work:
    """What the I/O thread does in buffered mode; raises ExcitationError if a trial does not fit into the memory."""
    plays = instruments[plan.drive_channels[0].instrument]
    records = instruments[plan.response_channels[0].instrument]
    if plays.player is None or records.digitiser is None:
        raise ExcitationError(f"{plays.name} plays no waveforms, or {records.name} records none")
    both = {item.name: item for item in (plays, records)}
    bench = BufferedBench(
        player=plays.player,
        digitiser=records.digitiser,
        instruments=tuple(item.driver for item in both.values()),
        outputs=[outputs[channel.name] for channel in plan.drive_channels],
        names=" and ".join(both),
        timeout_s=FAULT_PATIENCE_S + plays.state.timeout_s + records.state.timeout_s,
    )
    max_samples = min(bench.player.max_samples, bench.digitiser.max_samples)
    groups = list(plan.groups(max_samples=max_samples, max_play_s=max_play_s))
    return Work(
        lambda: configure_digitiser(bench, plan, groups[0][1]), lambda session: play_buffered(session, bench, groups)
    )


def longest_play(plan: Plan, instruments: Mapping[str, OpenedInstrument]) -> int | None:
    """The most samples of one play that player and digitiser take; None where one of them is neither."""
    player = instruments[plan.drive_channels[0].instrument].player
    digitiser = instruments[plan.response_channels[0].instrument].digitiser
    return None if player is None or digitiser is None else min(player.max_samples, digitiser.max_samples)


def stepped_work(bench: SteppedBench) -> Work:
    """What the I/O thread does in stepped mode."""
    return Work(lambda: None, lambda session: play_stepped(session, bench))


def closed_loop_work(bench: SteppedBench, controller: Controller) -> Work:
    """What the I/O thread does in a closed loop."""
    return Work(lambda: None, lambda session: play_closed_loop(session, bench, controller))


def stepped_bench(
    plan: Plan,
    station: Station,
    instruments: Mapping[str, OpenedInstrument],
    outputs: Mapping[str, OutputChannel],
    inputs: Mapping[str, InputChannel],
) -> SteppedBench:
    """The channels of a stepped recording; raises ExcitationError for inputs that cannot be measured singly."""
    missing = [channel.name for channel in plan.response_channels if channel.name not in inputs]
    if missing:
        lacking = lacking_for_buffered(station, instruments, plan.devices)
        why = f", and nothing can be played from memory: {'; '.join(lacking)}" if lacking else ""
        raise ExcitationError(f"{', '.join(missing)} cannot be measured singly, so not in stepped mode{why}")
    return SteppedBench(
        outputs=[outputs[channel.name] for channel in plan.drive_channels],
        inputs=[inputs[channel.name] for channel in plan.response_channels],
    )
