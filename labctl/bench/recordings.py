"""The recordings of a bench: an excitation played, a closed loop, and where what was measured comes from."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Collection, Generator, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from drivers.errors import DriverError, InstrumentReported
from drivers.identity import Identity
from labctl.acquisition import Acquisition
from labctl.bench.closed_loop import Controller, closed_loop_plan
from labctl.bench.loop_rate import LoopRate, measure_turns
from labctl.bench.opening import OpenedInstrument
from labctl.bench.plan import Plan, lay_plan, make_plan
from labctl.bench.running import RunningRecording, header_of, new_writer
from labctl.bench.session import Session
from labctl.bench.stepped import SteppedBench
from labctl.bench.ways import (
    Work,
    buffered_work,
    choose_mode,
    closed_loop_work,
    longest_play,
    stepped_bench,
    stepped_work,
)
from labctl.channels import InputChannel, OutputChannel
from labctl.errors import ExcitationError, InstrumentFault, MadeSafe, SafetyError, Stopped
from labctl.excitation import Excitation
from labctl.pausing import current_pause
from labctl.provenance import collect_provenance
from labctl.recording import Block, Recording, RecordingHeader
from labctl.safety import SafeStateRegistry
from labctl.station import Station
from labctl.store import RecordingStore


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What a recording would be, its drive not checked, the longest play (samples) the instruments take, what they complain of."""

    plan: Plan
    max_samples: int | None
    problems: tuple[str, ...]


class Recordings:
    """The part of a Bench that records."""

    station: Station
    safe_states: SafeStateRegistry
    identities: dict[str, Identity]
    device_seconds: float
    acquisition: Acquisition | None = None
    """What is counted of the recording under way, or of the last one; read it from any thread."""
    loop_rates: dict[Hashable, LoopRate]
    """Of closed loops that are played again and again, as measured since the bench was opened; whoever plays them keeps
    them here, by devices and what is computed."""
    _instruments: dict[str, OpenedInstrument]
    _outputs: Mapping[str, OutputChannel]
    _inputs: Mapping[str, InputChannel]
    _recording: threading.Lock
    _written_epoch: int

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
        plan = self.check(excitation, mode=mode, prepare=prepare)
        chosen = plan.mode
        if chosen == "buffered":
            work = buffered_work(plan, self._instruments, self._outputs, max_play_s=max_play_s)
        else:
            work = stepped_work(self._stepped(plan))
        extra = {"label": label, "mode": chosen, "excitation": dict(excitation.description), **(provenance or {})}
        return self._run(plan, work, store, label=label, seed=seed, extra=extra)

    def check(
        self, excitation: Excitation, *, mode: Literal["auto", "buffered", "stepped"] = "auto", prepare: bool = True
    ) -> Plan:
        """What `respond` would play; sends nothing. Raises ExcitationError, OutOfLimits or TooFast, as it does."""
        chosen = choose_mode(self.station, self._instruments, excitation, mode)
        return make_plan(self.station, excitation, mode=chosen, prepare=prepare)

    def rehearse(self, excitation: Excitation) -> Rehearsal:
        """Everything of `respond` short of playing: the inputs are set up, errors read, outputs only read back.

        Writes to no output. Problems of instruments are returned, all at once; raises ExcitationError for what is no plan,
        SafetyError while the bench records.
        """
        mode = choose_mode(self.station, self._instruments, excitation, "auto")
        plan = lay_plan(self.station, excitation, mode=mode, prepare=True)
        problems: list[str] = []
        max_samples = None
        with self._alone():
            try:
                if mode == "buffered":
                    max_samples = longest_play(plan, self._instruments)
                    work = buffered_work(plan, self._instruments, self._outputs, max_play_s=10.0)
                else:
                    work = stepped_work(self._stepped(plan))
                work.configure()
            except (DriverError, ExcitationError) as error:
                problems.append(str(error))
            try:
                problems += self._old_errors(plan)
                for channel in plan.drive_channels:
                    self._outputs[channel.name].get()
            except InstrumentFault as error:
                problems.append(str(error))
        return Rehearsal(plan, max_samples, tuple(problems))

    def closed_loop(
        self,
        controller: Controller,
        devices: Sequence[str],
        *,
        n_trials: int,
        n_samples: int,
        store: RecordingStore | str | Path | None = None,
        label: str = "",
        prepare: bool = True,
        input_id: ArrayLike | None = None,
        rate: LoopRate | None = None,
        seed: int | None = None,
        provenance: Mapping[str, Any] | None = None,
    ) -> Generator[Block, None, Recording]:
        """Drive devices sample by sample by what was just measured, all of them live at once, and record the responses.

        controller(trial, sample, measured (response channel,)) -> drive (drive channel,) is called after each reading,
        on the thread that serves the instruments; the channels are those of `devices`, in order. It begins with sample 0
        of each trial, after the preparation. What it wants is checked before it is sent and never clipped.

        rate: as `loop_rate` measured it, for the provenance; a sampling time that it cannot promise is refused. The rest
        is as for `respond`, in stepped mode: Blocks as they come, the Recording in the end, with the drive as played.

        Raises ExcitationError before anything is sent; while running OutOfLimits or TooFast for a drive that is not
        allowed, what the controller raises, InstrumentFault, RecordingError or MadeSafe: then the outputs are safe, and
        what was measured is in the file.
        """
        plan = closed_loop_plan(
            self.station, devices, n_trials=n_trials, n_samples=n_samples, prepare=prepare, input_id=input_id
        )
        if rate is not None:
            rate.check(plan.dt_s)
        extra = {
            "label": label,
            "mode": "closed loop",
            "closed_loop": True,
            "excitation": dict(plan.excitation.description),
            **({} if rate is None else {"loop_rate": rate.as_dict()}),
            **(provenance or {}),
        }
        work = closed_loop_work(self._stepped(plan), controller)
        return self._run(plan, work, store, label=label, seed=seed, extra=extra)

    def loop_rate(
        self,
        devices: Sequence[str],
        *,
        compute: Callable[[NDArray[np.float64]], object] = np.copy,
        duration_s: float = 1.0,
    ) -> LoopRate:
        """Measure how fast a closed loop over these devices can go: turns as fast as possible, the drives held at rest.

        compute: what the controller will do with what was measured (response channel,), for the time that it takes. The
        drives are switched on and stay at rest. Raises ExcitationError, and what `closed_loop` raises while running.
        """
        plan = closed_loop_plan(self.station, devices, n_trials=1, n_samples=1, prepare=False)
        with self._alone():
            try:
                return measure_turns(
                    Session(plan, self.safe_states, None), self._stepped(plan), compute, duration_s=duration_s
                )
            except Exception as error:
                error.add_note(str(self.safe_states.make_safe()))
                raise

    def _stepped(self, plan: Plan) -> SteppedBench:
        return stepped_bench(plan, self.station, self._instruments, self._outputs, self._inputs)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """One recording at a time."""
        self.safe_states.check_thread()
        if not self._recording.acquire(blocking=False):
            raise SafetyError("the bench is recording already; finish or close that recording first")
        self._written_epoch = self.safe_states.epoch
        try:
            yield
        finally:
            self._recording.release()

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
        with self._alone(), contextlib.ExitStack() as held:
            epoch = self.safe_states.epoch
            if (pause := current_pause()) is not None:
                held.enter_context(pause.deferring())
            self._hold_conditions(plan, label, held)
            notes = self._old_errors(plan)
            header = self._header(plan, work, seed, extra)
            running = RunningRecording(
                plan, header, self.safe_states, new_writer(store, header, label), self._add_device_time, notes
            )
            running.after_pause(lambda: self._confirm_conditions(plan))
            self.acquisition = running.acquisition
            try:
                if self.safe_states.epoch != epoch:
                    raise MadeSafe("the outputs were made safe while the recording was set up")
                yield from running.blocks(work)
            except GeneratorExit as closing:
                # Closed while an exception passes through the caller: it is on its way out, so the outputs come first.
                told = running.abandon(make_safe=closing.__context__ is not None)
                note_on_stop(closing, told)
                raise
            except BaseException as error:
                running.fail(error)
                raise
            return running.finish()

    def _hold_conditions(self, plan: Plan, label: str, held: contextlib.ExitStack) -> None:
        """What the header will say of the outputs that are conditions stays true until the recording ends."""
        devices = ", ".join(device.name for device in plan.devices)
        recording = f"the recording {label!r} of {devices}" if label else f"the recording of {devices}"
        for name in self._held_outputs(plan):
            held.enter_context(self._outputs[name].held_for(recording))

    def _held_outputs(self, plan: Plan) -> list[str]:
        """The outputs that are conditions of the devices played, and not driven themselves."""
        driven = {channel.name for channel in plan.drive_channels}
        names = dict.fromkeys(name for device in plan.devices for name in device.conditions)
        return [name for name in names if name in self._outputs and name not in driven]

    def _confirm_conditions(self, plan: Plan) -> None:
        """A pause may have been long: the conditions must still be what the header says, and the drives on.

        Raises InstrumentFault where somebody, or another program, changed them meanwhile.
        """
        for name in self._held_outputs(plan):
            self._outputs[name].confirm("after the pause")
        off = [one.name for one in plan.drive_channels if not self._outputs[one.name].set_point.enabled()]
        if off:
            raise InstrumentFault(f"{', '.join(off)}: switched off during the pause; record anew")

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
            conditions[name] = self._outputs[name].get() if name in self._outputs else self._inputs[name].read()
        used = {channel.instrument for channel in (*plan.drive_channels, *plan.response_channels)}
        provenance = self.provenance(seed=seed, extra=extra, settings_of=used)
        return header_of(plan, conditions, provenance, simulated=self.station.simulated)

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
            simulated=self.station.simulated,
            station_path=self.station.path,
            station_text=self.station.text,
            station_sha256=self.station.sha256,
            identities={name: str(identity) for name, identity in self.identities.items()},
            settings=settings,
            seed=seed,
            extra=extra,
        )


def note_on_stop(closing: GeneratorExit, told: str) -> None:
    """Tell the Stopped that closes a generator, if that is what does, what became of outputs and data."""
    error: BaseException | None = closing
    while isinstance(error, GeneratorExit):
        error = error.__context__
    if isinstance(error, Stopped):
        error.add_note(told)
