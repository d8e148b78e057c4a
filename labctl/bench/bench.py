"""Bench: an opened station.

    with Bench.open("bench.toml") as bench:
        bench.set("gate", 0.3)
        recording = collect(bench.respond(excitation, store="gate.h5"))

Leaving the block, however it is left, makes every output safe and reads it back.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from drivers.errors import DriverError
from drivers.identity import Identity
from labctl.bench.instrument_states import InstrumentStates, OrTold
from labctl.bench.opening import (
    OpenedInstrument,
    Shortcomings,
    close_all,
    make_channels,
    open_available,
    open_instruments,
    open_what_answers,
)
from labctl.bench.plan import driven_devices
from labctl.bench.ways import play_group, roles_of, way_of
from labctl.errors import InstrumentFault, LabctlError, SafetyError, StationError, Stopped
from labctl.guard import guard
from labctl.safety import SafeReport, SafeStateRegistry
from labctl.station import Station, load_station

JUST_NOW_S = 2.0
"""Leaving the bench's block so soon after `make_safe` failed, that is not tried once more."""


class Bench(InstrumentStates):
    """An opened station: set and read single channels, play excitations and record responses, make safe.

    Made by `Bench.open`. Use it in a `with` block: that handles Ctrl-C, SIGTERM and SIGHUP as well (in the main thread),
    and raises SafetyError if at the end an output is not known to be safe.
    """

    def __init__(
        self, station: Station, instruments: Mapping[str, OpenedInstrument], short: Shortcomings | None = None
    ) -> None:
        self.station = station
        self.safe_states = SafeStateRegistry()
        self.device_seconds = 0.0
        self.loop_rates = {}
        self.identities: dict[str, Identity] = {name: item.identity for name, item in instruments.items()}
        self._instruments = OrTold(instruments, self._not_connected)
        outputs, inputs = make_channels(station, instruments, self.safe_states, short)
        self._outputs, self._inputs = OrTold(outputs, self._not_there), OrTold(inputs, self._not_there)
        self.remarks: tuple[str, ...] = short.remarks(station) if short else ()
        self.complete = short is None or not (short.instruments or short.channels)
        self._short = short or Shortcomings()
        self._recording = threading.Lock()
        self._closed = False
        self._written_epoch = -1
        self._made_safe_s = -JUST_NOW_S
        self._guard = contextlib.ExitStack()

    @classmethod
    def open(cls, station: Station | str | Path) -> Bench:
        """Open all instruments, check who they are, and read every output's level. Writes to no output.

        Raises StationError that names every instrument or channel at fault.
        """
        checked = station if isinstance(station, Station) else load_station(station)
        instruments = open_instruments(checked)
        try:
            bench = cls(checked, instruments)
            for name in bench._outputs:
                bench.get(name)
        except BaseException:
            close_all(instruments)
            raise
        return bench

    @classmethod
    def open_available(cls, station: Station | str | Path) -> Bench:
        """Open the instruments that answer; the others are unreachable until `reconnect`, and their channels refuse.

        Writes to no output. Raises StationError if none answers, or if the station's channels do not fit an instrument.
        """
        checked = station if isinstance(station, Station) else load_station(station)
        instruments, short = open_available(checked)
        try:
            bench = cls(checked, instruments, short)
            mistakes = [why for name, why in short.channels.items() if not bench.missing(name)]
            if mistakes:
                raise StationError(
                    f"{checked.path or checked.name}: channels and instruments disagree:\n  " + "\n  ".join(mistakes)
                )
            for name in bench._outputs:
                with contextlib.suppress(InstrumentFault):  # told when it is read next; the others are opened
                    bench.get(name)
        except BaseException:
            close_all(instruments)
            raise
        return bench

    @classmethod
    def open_for_safety(cls, station: Station | str | Path) -> Bench:
        """Open what can be opened, only to make it safe: also instruments that another labctl process uses.

        Outputs that cannot be reached are NOT SAFE in the report of `make_safe`, with the reason; `remarks` says what
        else is the matter. Raises StationError for a station file that cannot be read.
        """
        checked = station if isinstance(station, Station) else load_station(station)
        instruments, short = open_what_answers(checked)
        try:
            return cls(checked, instruments, short)
        except BaseException:
            close_all(instruments)
            raise

    def __enter__(self) -> Self:
        self._guard.enter_context(guard(self.safe_states))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        told = "" if error is None else _in_words(error)
        # Where making safe failed just now, and nothing was written since, asking dead lines again only takes seconds.
        report, epoch = self.safe_report, self.safe_states.epoch
        tried_now = report is not None and (str(report) in told or time.monotonic() - self._made_safe_s < JUST_NOW_S)
        just_failed = tried_now and self._written_epoch < epoch
        try:
            self._close(try_again=not just_failed)
        except SafetyError as unsafe:
            if error is None:
                raise
            if unsafe is error:
                return
            text = told if str(unsafe) in told else f"{told}\n{unsafe}"
            raise SafetyError(text) from error
        if isinstance(error, Stopped) and report is None and self.safe_report is not None:
            error.add_note(str(self.safe_report))

    @property
    def simulated(self) -> bool:
        """Whether this is a simulated bench."""
        return self.station.simulated

    @property
    def safe_report(self) -> SafeReport | None:
        """What the last `make_safe` found."""
        return self.safe_states.last_report

    # ---- one channel at a time -------------------------------------------------------------------------------------

    def read(self, channel: str) -> float:
        """Measure a sense channel once, in its unit."""
        sense = self._inputs.get(channel)
        if sense is None:
            raise self._no_channel(channel, "measured singly")
        return sense.read()

    def response_channels(self, drive: Sequence[str]) -> tuple[str, ...]:
        """The channels that are recorded when these are driven."""
        devices = driven_devices(self.station, drive)
        return tuple(dict.fromkeys(name for device in devices for name in device.response))

    def play_group(self, device: str) -> tuple[str, ...]:
        """Devices whose groups are equal can be driven by one play: they share a player and a digitiser."""
        return play_group(self.station, self._instruments, self.station.device(device))

    def way_of(self, device: str) -> str:
        """ "buffered" or "stepped (why not buffered)"; raises ExcitationError for a device that can be neither."""
        return way_of(self.station, self._instruments, self._inputs, self.station.device(device))

    def check_instrument(self, name: str) -> None:
        """Ask one instrument for its errors; raises InstrumentFault if it has any, or does not answer."""
        try:
            self._instruments[name].driver.check_errors()
        except DriverError as error:
            raise InstrumentFault(str(error)) from error

    def roles_of(self, channel: str) -> tuple[str, ...]:
        """What can be done with a channel: "set", "played", "measured", "recorded"."""
        return roles_of(self._instruments, self._inputs, self.station.channel(channel))

    # ---- safety ----------------------------------------------------------------------------------------------------

    def make_safe(self) -> SafeReport:
        """End any play and bring every output to its safe value, read back. From any thread, at any time.

        A recording under way ends with MadeSafe. Look at `.ok` of the report; failures are logged as errors too.
        """
        report = self.safe_states.make_safe()
        self._made_safe_s = time.monotonic()
        return report

    def close(self, *, try_again: bool = True) -> None:
        """Make the outputs safe if anything was written, then close every line.

        try_again: also where that was tried already, and failed. Raises SafetyError if an output is not known to be safe.
        """
        self._close(try_again=try_again)

    def _close(self, *, try_again: bool) -> None:
        if self._closed:
            return
        failed = True
        try:
            with self.safe_states.undisturbed():
                self._closed = True
                try:
                    if self.safe_states.armed and try_again:
                        self.make_safe()
                finally:
                    failed = self.safe_states.armed
                    self.safe_states.disarm()
                    close_all(self._instruments)
        finally:
            self._guard.close()
        if failed:
            raise SafetyError(str(self.safe_report))


def _in_words(error: BaseException) -> str:
    """An error and its notes, as one text."""
    known = isinstance(error, LabctlError | DriverError | Stopped)
    return "\n".join([str(error) if known else f"{type(error).__name__}: {error}", *getattr(error, "__notes__", [])])
