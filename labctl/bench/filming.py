"""The part of a Bench that films: frames of a camera, trial by trial, streamed into a file."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.errors import DriverError, InstrumentReported
from drivers.roles import Camera, FrameFormat, Region
from labctl.bench.film_generators import on_the_way_out, without_waiting
from labctl.bench.film_plan import FilmPlan, FilmRequest, make_film_plan
from labctl.bench.recordings import Recordings, note_on_stop
from labctl.bench.running_film import RunningFilm, darkened
from labctl.errors import ExcitationError, InstrumentFault, MadeSafe
from labctl.frame_recording import FrameBlock, FrameHeader, FrameRecording
from labctl.pausing import PAUSE_NOTE, current_pause

FRAME_PATIENCE_S = 5.0
"""How much longer than its interval a frame may be awaited, besides the line's own time limit."""
_SHORTEST_WAIT_S, _LONGEST_WAIT_S = 1e-3, 0.05


class FilmRecordings(Recordings):
    """Recordings of images."""

    def sensor_size(self, channel: str) -> tuple[int, int]:
        """(rows, columns) of the camera behind an image channel. Raises ExcitationError, InstrumentFault."""
        try:
            return self._camera(channel).sensor_size
        except DriverError as error:
            raise InstrumentFault(f"{channel}: {error}") from error

    def film(
        self,
        device: str,
        *,
        n_trials: int,
        n_frames: int,
        interval_s: float | None = None,
        conditions: Sequence[Mapping[str, float]] | Mapping[str, float] | None = None,
        start: str | None = None,
        light: bool = True,
        seed: int = 0,
        store: str | Path | None = None,
        label: str = "",
        provenance: Mapping[str, Any] | None = None,
    ) -> Generator[FrameBlock, None, FrameRecording]:
        """Film a device: n_trials times n_frames frames, interval_s apart (the station's, if not given).

        conditions: set-points of the device, one mapping for all trials or one for each; they are ramped there before the
        trial and held meanwhile. start: how each trial begins, one of the station's `starts` of the device (the first, if
        not given; "" for going on with what is there); its {seed} is drawn from `seed`. light: False for dark frames.
        store: the file to write; without it the frames stay in memory.

        Everything is checked here and now; nothing is sent before the returned generator is started. It yields every frame
        as it comes and returns the recording. Closing it stops the camera; the outputs stay as they are, unless an
        exception is on its way out: then they are made safe.

        Raises ExcitationError or OutOfLimits before anything is sent; while running InstrumentFault, RecordingError (disk
        full) or MadeSafe: then the outputs are safe, and the frames taken are in the file.
        """
        request = FilmRequest(
            device=device, n_trials=n_trials, n_frames=n_frames, interval_s=interval_s, conditions=conditions, start=start,
            light=light, seed=seed,
        )  # fmt: skip
        frames = self.film_or_wait(request, store=store, label=label, provenance=provenance)
        return without_waiting(frames)

    def film_or_wait(
        self,
        request: FilmRequest,
        *,
        store: str | Path | None = None,
        label: str = "",
        provenance: Mapping[str, Any] | None = None,
    ) -> Generator[FrameBlock | None, None, FrameRecording]:
        """The same of a request, but it yields None now and then while it waits, so that it can be stopped there."""
        plan = make_film_plan(self.station, request)
        self._camera(plan.channel.name)
        extra = {"label": label, "mode": "filmed", "device": request.device, "start": plan.start, **(provenance or {})}
        return self._film(plan, store, extra=extra)

    def rehearse_film(self, plan: FilmPlan) -> tuple[int, int]:
        """Set the camera up for a plan and dark again, without a frame; (rows, columns) of its frames. Writes to no other output.

        The camera's light, which its set-up may switch on, is off at the end. Raises ExcitationError, InstrumentFault.
        """
        camera = self._camera(plan.channel.name)
        with self._alone():
            self._errors_kept(plan)
            dark = replace(plan, light=False)
            form = self._set_up(camera, dark)
            for name in self._watched(plan):
                self._outputs[name].get()
        return form.rows, form.columns

    def _camera(self, channel: str) -> Camera:
        camera = self._instruments[self.station.channel(channel).instrument].camera
        if camera is None:
            raise ExcitationError(f"{channel} is seen by no camera")
        return camera

    def _film(
        self, plan: FilmPlan, store: str | Path | None, *, extra: Mapping[str, Any]
    ) -> Generator[FrameBlock | None, None, FrameRecording]:
        camera = self._camera(plan.channel.name)
        pause = current_pause()
        with self._alone(), contextlib.nullcontext() if pause is None else pause.deferring():
            epoch = self.safe_states.epoch
            if self.safe_states.making_safe:
                raise MadeSafe("the outputs are being made safe; nothing was filmed")
            running = self._ready(camera, plan, store, extra)
            try:
                self.acquisition = running.acquisition
                for trial in range(plan.n_trials):
                    yield from self._rest(plan, running, trial, epoch)
                    yield from self._film_trial(camera, plan, running, trial, epoch)
                return running.finish(camera)
            except GeneratorExit as closing:
                told = running.abandon(camera, make_safe=on_the_way_out(closing))
                note_on_stop(closing, told)
                raise
            except BaseException as error:
                running.fail(error)
                raise
            finally:
                self.device_seconds += running.device_seconds

    def _rest(self, plan: FilmPlan, running: RunningFilm, trial: int, epoch: int) -> Generator[None, None, None]:
        """Where a pause is wanted, wait for its end before a trial; told in the recording's notes."""
        pause = current_pause()
        if pause is None or not pause.wanted():
            return
        lit = ", the camera's light may be ON" if plan.light else ""
        where = f"before trial {trial}: set-points held, outputs ON{lit}"
        before_s = pause.rested_s
        with pause.rest(where):
            while pause.wanted():
                self._check_epoch(epoch)
                yield None
                time.sleep(_LONGEST_WAIT_S)
        running.note(f"{PAUSE_NOTE}{pause.rested_s - before_s:.1f} s {where}")

    def _ready(self, camera: Camera, plan: FilmPlan, store: str | Path | None, extra: Mapping[str, Any]) -> RunningFilm:
        """The camera set up and the file begun; where that fails the camera's light is off again."""
        notes = self._errors_kept(plan)
        for name in self._watched(plan):
            if name not in plan.given:
                self._outputs[name].get()
        try:
            self.safe_states.arm()  # from here on its light may be on
            form = self._set_up(camera, plan)
            return RunningFilm(self._film_header(plan, form, extra), self.safe_states, store, notes)
        except BaseException as error:
            with self.safe_states.undisturbed():
                if trouble := darkened(camera):
                    error.add_note(f"{trouble}; {self.safe_states.make_safe()}")
            raise

    def _errors_kept(self, plan: FilmPlan) -> list[str]:
        """Errors that the instruments kept from earlier: this recording is not to blame, but they are not dropped."""
        notes = []
        for name in self._involved(plan):
            try:
                self._instruments[name].driver.check_errors()
            except InstrumentReported as error:
                notes.append(f"before this recording: {error}")
            except DriverError as error:
                raise InstrumentFault(f"{name} does not answer: {error}; nothing was filmed") from error
        return notes

    def _involved(self, plan: FilmPlan) -> list[str]:
        """The instruments that a recording uses."""
        names = [plan.channel.instrument, *(self.station.channels[name].instrument for name in plan.device.conditions)]
        if plan.start_table is not None:
            names.append(plan.start_table.instrument)
        return list(dict.fromkeys(names))

    def _set_up(self, camera: Camera, plan: FilmPlan) -> FrameFormat:
        image = plan.channel.image
        assert image is not None  # checked with the station file
        try:
            return camera.configure(
                list(plan.planes.values()),
                exposure_s=image.exposure_s,
                interval_s=plan.interval_s,
                n_frames=plan.n_frames,
                binning=image.binning,
                region=None if image.region is None else Region(*image.region),
                light=plan.light,
            )
        except DriverError as error:
            raise InstrumentFault(f"setting up the camera failed: {error}; nothing was filmed") from error

    def _film_header(self, plan: FilmPlan, form: FrameFormat, extra: Mapping[str, Any]) -> FrameHeader:
        image = plan.channel.image
        assert image is not None
        held = self._held(plan)
        planned = np.full((plan.n_trials, len(held)), np.nan)
        for place, name in enumerate(held):
            if name in plan.given:
                planned[:, place] = plan.conditions[:, plan.given.index(name)]
        provenance = self.provenance(seed=plan.seed, extra=extra, settings_of=self._involved(plan))
        return FrameHeader(
            shape=(plan.n_trials, plan.n_frames, form.rows, form.columns),
            interval_s=plan.interval_s,
            names=tuple(plan.planes),
            full_scale=form.full_scale,
            black_level=form.black_level,
            condition_names=held,
            condition_units=tuple(self.station.channels[name].unit for name in held),
            conditions=planned,
            start=plan.start,
            seeds=plan.seeds,
            light=plan.light,
            simulated=self.station.simulated,
            pixel=image.pixel * image.binning,
            pixel_unit=image.pixel_unit,
            started_utc=str(provenance["started_utc"]),
            provenance=provenance,
        )

    def _held(self, plan: FilmPlan) -> tuple[str, ...]:
        """The conditions whose values are recorded."""
        return tuple(name for name in plan.device.conditions if name in self._outputs or name in self._inputs)

    def _watched(self, plan: FilmPlan) -> tuple[str, ...]:
        """The outputs that must stand as they were set: the conditions, and all of the instrument that begins the trials."""
        start = plan.start_table
        beside = (
            []
            if start is None
            else [name for name in self._outputs if self.station.channels[name].instrument == start.instrument]
        )
        return tuple(dict.fromkeys([*(name for name in plan.device.conditions if name in self._outputs), *beside]))

    def _film_trial(
        self, camera: Camera, plan: FilmPlan, running: RunningFilm, trial: int, epoch: int
    ) -> Generator[FrameBlock | None, None, None]:
        self._check_epoch(epoch)
        if trial:  # between two trials a line may have been reopened: what was set then must still stand
            self._confirmed(plan, running, f"before trial {trial}")
        for place, name in enumerate(plan.given):
            self._outputs[name].set(float(plan.conditions[trial, place]), epoch=epoch)
        with contextlib.ExitStack() as held:
            for name in plan.device.conditions:
                if name in self._outputs:
                    held.enter_context(self._outputs[name].held_for(f"the recording of {plan.device.name}"))
            self._confirmed(plan, running, f"before trial {trial}")
            self._check_epoch(epoch)
            self.safe_states.arm()
            self._begin(plan, trial)
            levels = self._confirmed(plan, running, f"after the start of trial {trial}")
            running.begin_trial(trial, self._measured(plan, levels))
            self._check_epoch(epoch)
            camera.arm()
            self._check_epoch(epoch)
            camera.trigger()
            ready = 0
            for index in range(plan.n_frames):
                while ready <= index:
                    ready = yield from self._await_frame(camera, plan, index, epoch)
                self._check_epoch(epoch)
                yield running.take(trial, camera.fetch(index))
            for name in self._involved(plan):
                self._instruments[name].driver.check_errors()
            self._check_epoch(epoch)
            self._confirmed(plan, running, f"at the end of trial {trial}")

    def _confirmed(self, plan: FilmPlan, running: RunningFilm, when: str) -> dict[str, float]:
        """The levels of all outputs that matter, read back as they were set. Raises InstrumentFault if one is not."""
        levels = {}
        for name in self._watched(plan):
            levels[name], healed = self._outputs[name].confirm(when)
            if healed:
                running.note(f"{name}: the line was reopened; read back as it was set {when}")
        return levels

    def _measured(self, plan: FilmPlan, levels: Mapping[str, float]) -> NDArray[np.float64]:
        """The conditions (condition,), as read back now."""
        return np.array([levels[name] if name in levels else self._inputs[name].read() for name in self._held(plan)])

    def _begin(self, plan: FilmPlan, trial: int) -> None:
        """Bring the device to its start by the station's commands."""
        start = plan.start_table
        if start is None:
            return
        instrument = self._instruments[start.instrument]
        for command in start.commands:
            text = command.replace("{seed}", str(int(plan.seeds[trial])))
            if text.rstrip().endswith("?"):
                instrument.line.query(text, idempotent=False)
            else:
                instrument.line.write(text)
        instrument.driver.check_errors()

    def _await_frame(self, camera: Camera, plan: FilmPlan, index: int, epoch: int) -> Generator[None, None, int]:
        """Wait until frame `index` can be fetched; how many can. Raises InstrumentFault when it does not come."""
        state = self._instruments[plan.channel.instrument].state
        give_up_s = time.monotonic() + plan.interval_s + FRAME_PATIENCE_S + state.timeout_s
        wait_s = _SHORTEST_WAIT_S
        while (ready := camera.frames_ready()) <= index:
            self._check_epoch(epoch)
            if time.monotonic() > give_up_s:
                raise InstrumentFault(
                    f"{state.name}: frame {index} did not come, although they are {plan.interval_s:g} s apart"
                )
            yield None
            time.sleep(wait_s)
            wait_s = min(2.0 * wait_s, _LONGEST_WAIT_S)
        return ready

    def _check_epoch(self, epoch: int) -> None:
        if self.safe_states.epoch != epoch:
            raise MadeSafe("the outputs were made safe during the recording")
