"""Open every instrument of a station at the same time, and tell every failure at once."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from drivers.errors import DriverError, LineTimeout, UnknownTerminal, WrongIdentity
from drivers.identity import UNKNOWN, Identity
from drivers.line import Line
from drivers.registry import open_driver
from drivers.roles import Camera, Digitiser, Driver, Filming, Player
from drivers.transport import open_line
from labctl.bench.claims import Claim, claim
from labctl.bench.safe_registration import out_of_reach, register_cameras, register_players
from labctl.channels import InputChannel, InstrumentState, OutputChannel
from labctl.errors import StationError
from labctl.safety import SafeStateRegistry
from labctl.station import Channel, Station
from labctl.station_schema import InstrumentTable

Role = TypeVar("Role")
ASK_IT = (
    "that program can make it safe: Esc in its window, or end it by Ctrl-C or kill -TERM, which makes its outputs safe"
)


@dataclass(frozen=True, slots=True)
class OpenedInstrument:
    """One instrument that answered."""

    name: str
    line: Line
    driver: Driver
    identity: Identity
    state: InstrumentState
    player: Player | None
    digitiser: Digitiser | None
    claim: Claim
    camera: Camera | None = None


@dataclass(slots=True)
class Shortcomings:
    """What a bench that was opened to be made safe has to do without.

    instruments, channels: why one cannot be used, by name. overridden: who else uses an instrument, by its name.
    strangers: the instruments at whose address another one answers than the station says.
    """

    instruments: dict[str, str] = field(default_factory=dict)
    channels: dict[str, str] = field(default_factory=dict)
    overridden: dict[str, str] = field(default_factory=dict)
    strangers: set[str] = field(default_factory=set)

    def remarks(self, station: Station) -> tuple[str, ...]:
        """One line for each instrument in use elsewhere, and for each one out of reach that drives no output."""
        driving = {channel.instrument for channel in station.channels.values() if channel.is_output}
        idle = {name: why for name, why in self.instruments.items() if name not in driving}
        return (
            *(f"{name}: {self.overridden[name]}; acted on all the same" for name in sorted(self.overridden)),
            *(f"cannot be used, but drives no output: {why}" for why in idle.values()),
        )


def open_instruments(station: Station) -> dict[str, OpenedInstrument]:
    """Open and identify all instruments; writes nothing to any output.

    Raises StationError that names every instrument that refused, hung, is in use by another process, or is another one
    than the station says.
    """
    opened, short = _open_all(station, insist=False)
    if short.instruments:
        close_all(opened)
        raise _cannot_be_used(station, short)
    return opened


def open_available(station: Station) -> tuple[dict[str, OpenedInstrument], Shortcomings]:
    """Open the instruments that can be used; tell what is the matter with others. Raises StationError if none can be."""
    opened, short = _open_all(station, insist=False)
    if not opened:
        raise _cannot_be_used(station, short)
    return opened, short


def open_one(
    station: Station, name: str, safe_states: SafeStateRegistry
) -> tuple[OpenedInstrument, dict[str, OutputChannel], dict[str, InputChannel]]:
    """Open one instrument of a bench that is open already, with its channels; raises DriverError or StationError."""
    instrument = _open(name, station.instruments[name], None)
    opened = {name: instrument}
    try:
        if problems := _identity_problems(station, instrument):
            raise StationError(problems[0])
        own = {key: channel for key, channel in station.channels.items() if channel.instrument == name}
        return instrument, *make_channels(replace(station, channels=own), opened, safe_states)
    except BaseException:
        close_all(opened)
        raise


def _cannot_be_used(station: Station, short: Shortcomings) -> StationError:
    count = f"{len(short.instruments)} of {len(station.instruments)} instruments"
    problems = "\n  ".join(short.instruments.values())
    return StationError(f"{station.path or station.name}: {count} cannot be used:\n  {problems}")


def open_what_answers(station: Station) -> tuple[dict[str, OpenedInstrument], Shortcomings]:
    """Open the instruments that can be used, also where another process uses them; tell what is the matter with others."""
    return _open_all(station, insist=True)


def _open_all(station: Station, *, insist: bool) -> tuple[dict[str, OpenedInstrument], Shortcomings]:
    opened: dict[str, OpenedInstrument] = {}
    short = Shortcomings()
    overridden = short.overridden if insist else None
    with ThreadPoolExecutor(max_workers=len(station.instruments), thread_name_prefix="labctl open") as pool:
        futures = {name: pool.submit(_open, name, table, overridden) for name, table in station.instruments.items()}
    unexpected: BaseException | None = None
    for name, future in futures.items():
        table = station.instruments[name]
        error = future.exception()
        if error is None:
            instrument = future.result()
            problems = _identity_problems(station, instrument)
            opened[name] = instrument
            if problems:
                short.instruments[name] = problems[0]
                short.strangers.add(name)
        elif isinstance(error, (DriverError, StationError, ValueError, OSError)):
            short.instruments[name] = f"{name} ({table.driver} at {table.address}): {error}{_advice(table, error)}"
            if isinstance(error, WrongIdentity):
                short.strangers.add(name)
        else:
            unexpected = error
    if unexpected is not None:
        close_all(opened)
        raise unexpected
    for name in [name for name in short.overridden if name in short.instruments]:
        short.instruments[name] += f" (it is {short.overridden.pop(name)}; {ASK_IT})"
    strangers = {name: opened.pop(name) for name in short.instruments if name in opened}
    close_all(strangers)
    return opened, short


def close_all(opened: Mapping[str, OpenedInstrument]) -> None:
    """Close every line; one that is broken already is closed all the same."""
    for instrument in opened.values():
        with contextlib.suppress(DriverError, OSError):
            instrument.driver.close()
        instrument.claim.release()


def make_channels(
    station: Station,
    opened: Mapping[str, OpenedInstrument],
    safe_states: SafeStateRegistry,
    short: Shortcomings | None = None,
) -> tuple[dict[str, OutputChannel], dict[str, InputChannel]]:
    """The station's channels on the opened instruments; outputs register their safe states.

    Raises StationError for terminals that an instrument lacks and for limits beyond the instrument's own; with `short`
    they are noted there instead, and an output that cannot be reached registers as one that cannot be made safe.
    """
    outputs: dict[str, OutputChannel] = {}
    inputs: dict[str, InputChannel] = {}
    problems: list[str] = []
    register_players(station, opened, safe_states)
    register_cameras(station, opened, safe_states, {} if short is None else short.instruments)
    for name, channel in station.channels.items():
        if short is not None and channel.instrument in short.instruments:
            short.channels[name] = short.instruments[channel.instrument]
            continue
        instrument = opened[channel.instrument]
        try:
            if channel.is_output:
                outputs[name] = _output(channel, instrument, safe_states)
                safe_states.add_output(outputs[name].action(channel.instrument if channel.kind == "drive" else None))
            elif channel.kind == "image":
                _check_camera(channel, instrument)
            else:
                meter = _meter(channel, instrument)
                if meter is not None:
                    inputs[name] = meter
        except (DriverError, StationError) as error:
            problems.append(str(error) if isinstance(error, StationError) else f"{name}: {error}")
            if short is not None:
                short.channels[name] = problems.pop()
    if short is not None:
        for name in short.channels:
            if station.channel(name).is_output:
                safe_states.add_output(out_of_reach(station.channel(name), short.channels[name]))
    if problems:
        raise StationError(
            f"{station.path or station.name}: channels and instruments disagree:\n  " + "\n  ".join(problems)
        )
    return outputs, inputs


def _claim(name: str, address: str, overridden: dict[str, str] | None) -> Claim:
    """Claim the address; where `overridden` is given, do without a claim that cannot be had, and note why there."""
    try:
        return claim(address)
    except StationError as error:
        if overridden is None:
            raise
        overridden[name] = str(error)
        return Claim(None)


def _open(name: str, table: InstrumentTable, overridden: dict[str, str] | None) -> OpenedInstrument:
    claimed = _claim(name, table.address, overridden)
    try:
        return _open_claimed(name, table, claimed)
    except BaseException:
        claimed.release()
        raise


def _open_claimed(name: str, table: InstrumentTable, claimed: Claim) -> OpenedInstrument:
    given: dict[str, Any] = {
        "baud_rate": table.baud_rate,
        "data_bits": table.data_bits,
        "parity": table.parity,
        "stop_bits": table.stop_bits,
        "flow_control": table.flow_control,
    }
    line = open_line(
        table.address,
        timeout_s=table.timeout_s,
        read_termination=table.read_termination,
        write_termination=table.write_termination,
        expected_serial=table.serial,
        probe=table.probe or None,
        reconnect_s=table.reconnect_s,
        pause_s=table.pause_s,
        **{key: value for key, value in given.items() if value is not None},
    )
    try:
        driver = open_driver(table.driver, line, {**table.options, **table.scpi})
        player = _role(driver.player)
        digitiser = _role(driver.digitiser)
        camera = _role(driver.camera) if isinstance(driver, Filming) else None
    except BaseException:
        line.close()
        raise
    state = InstrumentState(name, line, table.timeout_s, table.reconnect_s)
    return OpenedInstrument(name, line, driver, driver.identity(), state, player, digitiser, claimed, camera)


def _role(maker: Callable[[], Role]) -> Role | None:
    try:
        return maker()
    except UnknownTerminal:
        return None


def _advice(table: InstrumentTable, error: BaseException) -> str:
    """What else it may be when the very first question is not answered."""
    if isinstance(error, LineTimeout) and table.probe and error.command == table.probe:
        return (
            f". Perhaps it does not know {table.probe}: then give another question that it answers always alike as probe, "
            'or probe = "" for none'
        )
    return ""


def _identity_problems(station: Station, instrument: OpenedInstrument) -> list[str]:
    """A simulated station with a real instrument, or the other way round, would lie in every recording."""
    table = station.instruments[instrument.name]
    simulated = instrument.identity.simulated or table.simulated is True
    if table.simulated is False and simulated:
        return [f"{instrument.name}: its table says simulated = false, but {instrument.identity} is simulated"]
    if simulated == station.simulated:
        return []
    says = f"simulated = {'true' if station.simulated else 'false'}"
    found = "simulated"
    if not simulated:
        found = (
            "not a simulated one (its serial number does not begin with SIM-). If it is one all the same, write "
            f"simulated = true under [instruments.{instrument.name}] too"
        )
    who = "what it is cannot be asked, so it" if instrument.identity == UNKNOWN else str(instrument.identity)
    return [f"{instrument.name}: the station says {says}, but {who} is {found}"]


def _output(channel: Channel, instrument: OpenedInstrument, safe_states: SafeStateRegistry) -> OutputChannel:
    set_point = instrument.driver.set_point(channel.terminal)
    lowest, highest = (limit / channel.to_instrument for limit in set_point.limits)
    low, high = channel.limits
    slack = 1e-9 * max(abs(low), abs(high))
    if low < lowest - slack or high > highest + slack:
        raise StationError(
            f"{channel.where}: {channel.name}: limits {low:g}..{high:g} {channel.unit} go beyond those of {instrument.name}, "
            f"{lowest:g}..{highest:g} {channel.unit}"
        )
    fixed = getattr(set_point, "fixed_level", None)  # an output that can be played but not set
    for key, level in (("safe value", channel.safe.value if channel.safe else 0.0), ("rest", channel.rest)):
        if fixed is not None and abs(level * channel.to_instrument - fixed) > slack:
            raise StationError(
                f"{channel.where}: {channel.name}: its {key} is {level:g} {channel.unit}, but {instrument.name} can only play "
                f"on this output, and stands at {fixed / channel.to_instrument:g} {channel.unit} otherwise"
            )
    return OutputChannel(channel, set_point, instrument.state, safe_states)


def _check_camera(channel: Channel, instrument: OpenedInstrument) -> None:
    """Raise StationError unless the instrument is a camera with these planes."""
    camera = instrument.camera
    if camera is None:
        raise StationError(f"{channel.name}: {instrument.name} is no camera")
    wanted = list(channel.image.planes.values()) if channel.image else []
    missing = [plane for plane in wanted if plane not in camera.planes]
    if missing:
        raise StationError(
            f"{channel.name}: {instrument.name} has no plane {missing[0]!r}; it has {', '.join(camera.planes)}"
        )


def _meter(channel: Channel, instrument: OpenedInstrument) -> InputChannel | None:
    """The channel as a meter; None for an input that can only be recorded."""
    try:
        return InputChannel(channel, instrument.driver.meter(channel.terminal), instrument.state)
    except UnknownTerminal:
        if instrument.digitiser is None:
            raise
        return None
