"""Which way an excitation is played: from the instruments' memory, or sample by sample."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from labctl.bench.buffered import BufferedBench, configure_digitiser, play_buffered
from labctl.bench.opening import OpenedInstrument
from labctl.bench.plan import Mode, Plan, driven_devices
from labctl.bench.session import Session
from labctl.bench.stepped import SteppedBench, play_stepped
from labctl.channels import InputChannel, OutputChannel
from labctl.errors import ExcitationError
from labctl.excitation import Excitation
from labctl.station import Station


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
    if wanted == "stepped":
        return "stepped"
    devices = driven_devices(station, excitation.channels)
    drives = [station.channels[name] for name in excitation.channels]
    senses = [station.channels[name] for device in devices for name in device.response]
    lacking = [f"{item.name} is a 'set' channel" for item in drives if item.kind != "drive"]
    lacking += [
        f"{item.instrument} plays no waveforms" for item in drives if instruments[item.instrument].player is None
    ]
    lacking += [f"{item.name} has no range" for item in senses if item.range is None]
    lacking += [f"{item.instrument} records none" for item in senses if instruments[item.instrument].digitiser is None]
    if len({item.instrument for item in drives}) > 1 or len({item.instrument for item in senses}) > 1:
        lacking.append("the channels are spread over several instruments")
    if not lacking:
        return "buffered"
    if wanted == "buffered":
        raise ExcitationError(f"cannot be played from memory: {'; '.join(dict.fromkeys(lacking))}. Use mode='stepped'")
    return "stepped"


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


def stepped_work(plan: Plan, outputs: Mapping[str, OutputChannel], inputs: Mapping[str, InputChannel]) -> Work:
    """What the I/O thread does in stepped mode; raises ExcitationError for inputs that cannot be measured singly."""
    missing = [channel.name for channel in plan.response_channels if channel.name not in inputs]
    if missing:
        raise ExcitationError(f"{', '.join(missing)} cannot be measured singly, so not in stepped mode")
    bench = SteppedBench(
        outputs=[outputs[channel.name] for channel in plan.drive_channels],
        inputs=[inputs[channel.name] for channel in plan.response_channels],
    )
    return Work(lambda: None, lambda session: play_stepped(session, bench))
