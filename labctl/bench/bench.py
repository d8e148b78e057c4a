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
from collections.abc import Collection, Generator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from drivers.errors import DriverError, InstrumentReported
from drivers.identity import Identity
from labctl.bench.opening import (
    OpenedInstrument,
    Shortcomings,
    close_all,
    make_channels,
    open_instruments,
    open_what_answers,
)
from labctl.bench.plan import Plan, driven_devices, make_plan
from labctl.bench.running import RunningRecording, header_of, new_writer
from labctl.bench.ways import Work, buffered_work, choose_mode, play_group, roles_of, stepped_work, way_of
from labctl.errors import InstrumentFault, LabctlError, MadeSafe, SafetyError, StationError, Stopped
from labctl.excitation import Excitation
from labctl.guard import guard
from labctl.provenance import collect_provenance
from labctl.recording import Block, Recording, RecordingHeader
from labctl.safety import SafeReport, SafeStateRegistry
from labctl.station import Station, load_station
from labctl.store import RecordingStore

JUST_NOW_S = 2.0
"""Leaving the bench's block so soon after `make_safe` failed, that is not tried once more."""


class Bench:
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
        self.identities: dict[str, Identity] = {name: item.identity for name, item in instruments.items()}
        self._instruments = dict(instruments)
        self._outputs, self._inputs = make_channels(station, instruments, self.safe_states, short)
        self.remarks: tuple[str, ...] = short.remarks(station) if short else ()
        self.complete = short is None or not (short.instruments or short.channels)
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

    def set(self, channel: str, value: float) -> None:
        """Set an output, in its unit, within its limits and at its ramp. Switches it on if it is off.

        Raises OutOfLimits (naming channel, value, range, file and line), UnknownState or SafetyError before a byte
        leaves; InstrumentFault.
        """
        try:
            output = self._outputs[channel]
        except KeyError:
            raise self._no_channel(channel, "set") from None
        self._written_epoch = self.safe_states.epoch
        output.set(value)

    def get(self, channel: str) -> float:
        """What an output is set to, read back from the instrument, in its unit."""
        try:
            output = self._outputs[channel]
        except KeyError:
            raise self._no_channel(channel, "read back") from None
        return output.get()

    def read(self, channel: str) -> float:
        """Measure a sense channel once, in its unit."""
        try:
            sense = self._inputs[channel]
        except KeyError:
            raise self._no_channel(channel, "measured singly") from None
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

    # ---- recordings ------------------------------------------------------------------------------------------------

    def respond(
        self,
        excitation: Excitation,
        *,
        store: RecordingStore | str | Path | None = None,
        label: str = "",
        mode: Literal["auto", "buffered", "stepped"] = "auto",
        prepare: bool = True,
        max_play_s: float = 10.0,
        seed: int | None = None,
        provenance: Mapping[str, Any] | None = None,
    ) -> Generator[Block, None, Recording]:
        """Play an excitation and record the responses of the devices it drives.

        Everything is checked here and now; nothing is sent before the returned generator is started. It yields Blocks
        as they come (preparation included, from sample 0 on) and returns the Recording. Closing it stops the play.

        store: a directory of recordings, or the path of the file to write; without it the data stays in memory.
        mode: "buffered" plays from the instruments' memory, "stepped" sets and reads sample by sample in real time,
        "auto" takes what the instruments offer. prepare: put the devices' preparation before each trial. max_play_s:
        trials are joined to plays of at most this much device time.

        Raises ExcitationError, OutOfLimits or TooFast before anything is sent; while running InstrumentFault,
        RecordingError (disk full) or MadeSafe: then the outputs are safe, and what was measured is in the file.
        """
        chosen = choose_mode(self.station, self._instruments, excitation, mode)
        plan = make_plan(self.station, excitation, mode=chosen, prepare=prepare)
        if chosen == "buffered":
            work = buffered_work(plan, self._instruments, self._outputs, max_play_s=max_play_s)
        else:
            work = stepped_work(plan, self.station, self._instruments, self._outputs, self._inputs)
        extra = {"label": label, "mode": chosen, "excitation": dict(excitation.description), **(provenance or {})}
        return self._run(plan, work, store, label=label, seed=seed, extra=extra)

    def _run(
        self,
        plan: Plan,
        work: Work,
        store: RecordingStore | str | Path | None,
        *,
        label: str,
        seed: int | None,
        extra: Mapping[str, Any],
    ) -> Generator[Block, None, Recording]:
        if not self._recording.acquire(blocking=False):
            raise SafetyError("the bench is recording already; finish or close that recording first")
        self._written_epoch = self.safe_states.epoch
        held = contextlib.ExitStack()
        try:
            epoch = self.safe_states.epoch
            self._hold_conditions(plan, label, held)
            notes = self._old_errors(plan)
            header = self._header(plan, work, seed, extra)
            running = RunningRecording(
                plan, header, self.safe_states, new_writer(store, header, label), self._add_device_time, notes
            )
            try:
                if self.safe_states.epoch != epoch:
                    raise MadeSafe("the outputs were made safe while the recording was set up")
                yield from running.blocks(work)
            except GeneratorExit as closing:
                # Closed while an exception passes through the caller: it is on its way out, so the outputs come first.
                told = running.abandon(make_safe=closing.__context__ is not None)
                _note_on_stop(closing, told)
                raise
            except BaseException as error:
                running.fail(error)
                raise
            return running.finish()
        finally:
            held.close()
            self._recording.release()

    def _hold_conditions(self, plan: Plan, label: str, held: contextlib.ExitStack) -> None:
        """What the header will say of the outputs that are conditions stays true until the recording ends."""
        devices = ", ".join(device.name for device in plan.devices)
        recording = f"the recording {label!r} of {devices}" if label else f"the recording of {devices}"
        driven = {channel.name for channel in plan.drive_channels}
        for name in dict.fromkeys(name for device in plan.devices for name in device.conditions):
            if name in self._outputs and name not in driven:
                held.enter_context(self._outputs[name].held_for(recording))

    def _old_errors(self, plan: Plan) -> list[str]:
        """Errors that the instruments kept from earlier: this recording is not to blame, but they are not dropped."""
        notes = []
        for name in dict.fromkeys(channel.instrument for channel in (*plan.drive_channels, *plan.response_channels)):
            try:
                self._instruments[name].driver.check_errors()
            except InstrumentReported as error:
                notes.append(f"before this recording: {error}")
            except DriverError as error:
                raise InstrumentFault(f"{name} does not answer: {error}; nothing was played") from error
        return notes

    def _add_device_time(self, seconds: float) -> None:
        self.device_seconds += seconds

    def _header(self, plan: Plan, work: Work, seed: int | None, extra: Mapping[str, Any]) -> RecordingHeader:
        try:
            work.configure()
        except DriverError as error:
            raise InstrumentFault(f"setting up the recording failed: {error}; nothing was played") from error
        conditions = {}
        for name in dict.fromkeys(name for device in plan.devices for name in device.conditions):
            conditions[name] = self.get(name) if name in self._outputs else self.read(name)
        used = {channel.instrument for channel in (*plan.drive_channels, *plan.response_channels)}
        provenance = self.provenance(seed=seed, extra=extra, settings_of=used)
        return header_of(plan, conditions, provenance, simulated=self.simulated)

    def provenance(
        self,
        *,
        seed: int | None = None,
        extra: Mapping[str, Any] | None = None,
        settings_of: Collection[str] | None = None,
    ) -> dict[str, Any]:
        """Where data measured now comes from; with the settings of these instruments (of all, if not given)."""
        names = self._instruments if settings_of is None else settings_of
        try:
            settings = {name: self._instruments[name].driver.describe_settings() for name in sorted(names)}
        except DriverError as error:
            raise InstrumentFault(f"reading the instruments' settings failed: {error}") from error
        return collect_provenance(
            simulated=self.simulated,
            station_path=self.station.path,
            station_text=self.station.text,
            station_sha256=self.station.sha256,
            identities={name: str(identity) for name, identity in self.identities.items()},
            settings=settings,
            seed=seed,
            extra=extra,
        )

    # ---- safety ----------------------------------------------------------------------------------------------------

    def make_safe(self) -> SafeReport:
        """End any play and bring every output to its safe value, read back. From any thread, at any time.

        A recording under way ends with MadeSafe. Look at `.ok` of the report; failures are logged as errors too.
        """
        report = self.safe_states.make_safe()
        self._made_safe_s = time.monotonic()
        return report

    def close(self) -> None:
        """Make the outputs safe if anything was written, then close every line.

        Raises SafetyError if an output is not known to be safe.
        """
        self._close(try_again=True)

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

    def _no_channel(self, name: str, verb: str) -> StationError:
        channel = self.station.channel(name)  # raises for a name that the station does not have
        return StationError(f"{name} is a {channel.kind!r} channel of {channel.instrument} and cannot be {verb}")


def _note_on_stop(closing: GeneratorExit, told: str) -> None:
    """Tell the Stopped that closes a generator, if that is what does, what became of outputs and data."""
    error: BaseException | None = closing
    while isinstance(error, GeneratorExit):
        error = error.__context__
    if isinstance(error, Stopped):
        error.add_note(told)


def _in_words(error: BaseException) -> str:
    """An error and its notes, as one text."""
    known = isinstance(error, LabctlError | DriverError | Stopped)
    return "\n".join([str(error) if known else f"{type(error).__name__}: {error}", *getattr(error, "__notes__", [])])
