"""The part of a Bench that knows how each of its instruments is: there, unreachable, or another one than expected."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from drivers.errors import DriverError, LineError, WrongIdentity
from labctl.bench.opening import Shortcomings, open_one
from labctl.bench.single_outputs import SingleOutputs
from labctl.channels import InputChannel, OutputChannel
from labctl.errors import LabctlError, SafetyError, StationError

Entry = TypeVar("Entry")
Word = Literal["connected", "simulated", "unreachable", "other"]


@dataclass(frozen=True, slots=True)
class InstrumentStatus:
    """How one instrument is.

    state: "connected", "simulated" (connected, and a simulation), "unreachable", or "other" (another instrument answers
    than the one expected). identity: what it answered last, "" if never. reason: why it is not connected. advice: what a
    person can do.
    """

    name: str
    driver: str
    address: str
    state: Word
    identity: str = ""
    reason: str = ""
    advice: str = ""

    @property
    def ok(self) -> bool:
        """Whether it answers."""
        return self.state in ("connected", "simulated")


class OrTold(dict[str, Entry], Generic[Entry]):
    """A table that says why an entry is not there."""

    def __init__(self, entries: Mapping[str, Entry], why: Callable[[str], LabctlError]) -> None:
        super().__init__(entries)
        self._why = why

    def __missing__(self, name: str) -> Entry:
        raise self._why(name)


class InstrumentStates(SingleOutputs):
    """Asks instruments who they are, and gets back those that were lost; none waits for another."""

    complete: bool
    _outputs: OrTold[OutputChannel]
    _inputs: OrTold[InputChannel]
    _short: Shortcomings

    def identify(self, name: str) -> InstrumentStatus:
        """Ask one instrument who it is; its settings stay. Never raises for an instrument's failure."""
        table = self.station.instruments.get(name)
        if table is None:
            raise StationError(f"no instrument {name!r}; there are {', '.join(self.station.instruments)}")
        if name not in self._instruments:
            return self._status(name, reason=self._short.instruments.get(name, "it was never reached"))
        instrument = self._instruments[name]
        try:
            identity = instrument.line.identify()
        except DriverError as error:
            return self._status(name, error=error)
        self.identities[name] = identity
        return self._status(name)

    def instrument_states(self) -> dict[str, InstrumentStatus]:
        """Ask all of them at the same time."""
        names = list(self.station.instruments)
        with ThreadPoolExecutor(max_workers=len(names), thread_name_prefix="labctl identify") as pool:
            return dict(zip(names, pool.map(self.identify, names), strict=True))

    def reconnect(self, name: str) -> InstrumentStatus:
        """Close the connection to one instrument and open it again; its outputs are read back, none is written to.

        Works for one that could not be reached when the bench was opened as well. Raises SafetyError while a recording is
        under way; never for an instrument's failure: that is in the status.
        """
        if not self._recording.acquire(blocking=False):
            raise SafetyError(f"{name}: a recording is under way; stop it before reconnecting an instrument")
        try:
            if name not in self._instruments:
                return self._open_late(name)
            self._instruments[name].line.reconnect()
            self.identities[name] = self._instruments[name].line.identity
            self._read_back(name)
        except (DriverError, LabctlError) as error:
            return self._status(name, error=error)
        finally:
            self._recording.release()
        return self._status(name)

    @property
    def not_connected(self) -> dict[str, str]:
        """The instruments that could not be opened, nor since, and why."""
        return dict(self._short.instruments)

    @property
    def driving(self) -> tuple[str, ...]:
        """The outputs that drive something other than their safe value, as last read, in words. Asks no instrument."""
        return tuple(said for output in self._outputs.values() if (said := output.driving))

    def missing(self, channel: str) -> bool:
        """Whether the channel's instrument was not reached when the bench was opened, nor since."""
        return self.station.channel(channel).instrument in self._short.instruments

    def _open_late(self, name: str) -> InstrumentStatus:
        if name not in self.station.instruments:
            raise StationError(f"no instrument {name!r}; there are {', '.join(self.station.instruments)}")
        try:
            instrument, outputs, inputs = open_one(self.station, name, self.safe_states)
        except (DriverError, StationError, ValueError, OSError) as error:
            self._short.instruments[name] = str(error)
            (self._short.strangers.add if isinstance(error, WrongIdentity) else self._short.strangers.discard)(name)
            return self._status(name, error=error)
        self._instruments[name] = instrument
        self._outputs.update(outputs)
        self._inputs.update(inputs)
        self.identities[name] = instrument.identity
        self._short.instruments.pop(name, None)
        self._short.strangers.discard(name)
        for channel in (*outputs, *inputs):
            self._short.channels.pop(channel, None)
        self.complete = not (self._short.instruments or self._short.channels)
        try:
            self._read_back(name)
        except LabctlError as error:
            return self._status(name, error=error)
        return self._status(name)

    def _read_back(self, instrument: str) -> None:
        for name, output in self._outputs.items():
            if output.channel.instrument == instrument:
                self.get(name)

    def _status(self, name: str, *, error: BaseException | None = None, reason: str = "") -> InstrumentStatus:
        table = self.station.instruments[name]
        identity = self.identities.get(name)
        said = "" if identity is None else str(identity)
        if error is None and not reason:
            simulated = table.simulated is True or (identity is not None and identity.simulated)
            return InstrumentStatus(name, table.driver, table.address, "simulated" if simulated else "connected", said)
        other = isinstance(error, WrongIdentity) or isinstance(getattr(error, "__cause__", None), WrongIdentity)
        other = other or (error is None and name in self._short.strangers)
        text = reason or (error.reason if isinstance(error, LineError) else str(error))
        text = text.removeprefix(f"{name} ({table.driver} at {table.address}): ").removeprefix(f"{table.address}: ")
        state: Word = "other" if other else "unreachable"
        return InstrumentStatus(name, table.driver, table.address, state, said, text, _advice_on(text, other=other))

    def _no_channel(self, name: str, verb: str) -> LabctlError:
        channel = self.station.channel(name)  # raises for a name that the station does not have
        if name in self._short.channels:
            return self._not_connected(channel.instrument, f"{name} cannot be {verb}")
        return super()._no_channel(name, verb)

    def _not_there(self, channel: str) -> LabctlError:
        return self._no_channel(channel, "used this way")

    def _not_connected(self, instrument: str, what: str = "this cannot be done") -> LabctlError:
        if instrument not in self.station.instruments:
            return StationError(f"no instrument {instrument!r}; there are {', '.join(self.station.instruments)}")
        status = self._status(instrument, reason=self._short.instruments.get(instrument, "it was never reached"))
        return SafetyError(f"{what}: {instrument} is not connected: {status.reason}")


def _advice_on(reason: str, *, other: bool) -> str:
    if other:
        return "Plug the right instrument in, or correct address, serial number or simulated in the station; then Reconnect"
    if reason.startswith("in use by"):
        return "Another program uses it: end that one; then Reconnect. The others go on"
    return "See that it is switched on and its cable plugged in; then Reconnect. The others go on"
