"""The part of a Bench that films: frames of a camera, trial by trial, streamed into a file."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.errors import DriverError, InstrumentReported
from drivers.roles import Camera, FrameFormat, Region
from labctl.bench.film_plan import FilmPlan, make_film_plan
from labctl.bench.recordings import Recordings, note_on_stop
from labctl.bench.running_film import RunningFilm
from labctl.errors import ExcitationError, InstrumentFault, MadeSafe
from labctl.frame_recording import FrameBlock, FrameHeader, FrameRecording

FRAME_PATIENCE_S = 5.0
"""How much longer than its interval a frame may be awaited, besides the line's own time limit."""
_SHORTEST_WAIT_S, _LONGEST_WAIT_S = 1e-3, 0.05


class Filming(Recordings):
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
        frames = self.film_or_wait(
            device, n_trials=n_trials, n_frames=n_frames, interval_s=interval_s, conditions=conditions, start=start,
            light=light, seed=seed, store=store, label=label, provenance=provenance,
        )  # fmt: skip
        return _without_waiting(frames)

    def film_or_wait(
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
    ) -> Generator[FrameBlock | None, None, FrameRecording]:
        """The same, but it yields None every now and then while it waits for a frame, so that it can be stopped there."""
        plan = make_film_plan(
            self.station, device, n_trials=n_trials, n_frames=n_frames, interval_s=interval_s, conditions=conditions,
            start=start, seed=seed, light=light,
        )  # fmt: skip
        self._camera(plan.channel.name)
        extra = {"label": label, "mode": "filmed", "device": device, "start": plan.start, **(provenance or {})}
        return self._film(plan, store, seed=seed, extra=extra)

    def _camera(self, channel: str) -> Camera:
        camera = self._instruments[self.station.channel(channel).instrument].camera
        if camera is None:
            raise ExcitationError(f"{channel} is seen by no camera")
        return camera

    def _film(
        self, plan: FilmPlan, store: str | Path | None, *, seed: int, extra: Mapping[str, Any]
    ) -> Generator[FrameBlock | None, None, FrameRecording]:
        camera = self._camera(plan.channel.name)
        with self._alone():
            epoch = self.safe_states.epoch
            notes = self._errors_kept(plan)
            form = self._set_up(camera, plan)
            running = RunningFilm(self._film_header(plan, form, seed, extra), self.safe_states, store, notes)
            try:
                for trial in range(plan.n_trials):
                    yield from self._film_trial(camera, plan, running, trial, epoch)
            except GeneratorExit as closing:
                told = running.abandon(camera, make_safe=_on_the_way_out(closing))
                note_on_stop(closing, told)
                raise
            except BaseException as error:
                running.fail(camera, error)
                raise
            finally:
                self.device_seconds += running.device_seconds
            return running.finish()

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

    def _film_header(self, plan: FilmPlan, form: FrameFormat, seed: int, extra: Mapping[str, Any]) -> FrameHeader:
        image = plan.channel.image
        assert image is not None
        held = self._held(plan)
        planned = np.full((plan.n_trials, len(held)), np.nan)
        for place, name in enumerate(held):
            if name in plan.given:
                planned[:, place] = plan.conditions[:, plan.given.index(name)]
        provenance = self.provenance(seed=seed, extra=extra, settings_of=self._involved(plan))
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

    def _film_trial(
        self, camera: Camera, plan: FilmPlan, running: RunningFilm, trial: int, epoch: int
    ) -> Generator[FrameBlock | None, None, None]:
        for place, name in enumerate(plan.given):
            self._outputs[name].set(float(plan.conditions[trial, place]), epoch=epoch)
        with contextlib.ExitStack() as held:
            for name in plan.device.conditions:
                if name in self._outputs:
                    held.enter_context(self._outputs[name].held_for(f"the recording of {plan.device.name}"))
            running.begin_trial(trial, self._measured(plan))
            self._begin(plan, trial)
            self._check_epoch(epoch)
            camera.arm()
            camera.trigger()
            ready = 0
            for index in range(plan.n_frames):
                while ready <= index:
                    ready = yield from self._await_frame(camera, plan, index, epoch)
                self._check_epoch(epoch)
                yield running.take(trial, camera.fetch(index))
            for name in self._involved(plan):
                self._instruments[name].driver.check_errors()

    def _measured(self, plan: FilmPlan) -> NDArray[np.float64]:
        """The conditions (condition,), as read back now."""
        names = self._held(plan)
        return np.array(
            [self._outputs[name].get() if name in self._outputs else self._inputs[name].read() for name in names]
        )

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


def _without_waiting(
    frames: Generator[FrameBlock | None, None, FrameRecording],
) -> Generator[FrameBlock, None, FrameRecording]:
    """The frames alone."""
    try:
        while True:
            try:
                block = next(frames)
            except StopIteration as finished:
                recording: FrameRecording = finished.value
                return recording
            if block is not None:
                yield block
    finally:
        frames.close()


def _on_the_way_out(closing: GeneratorExit) -> bool:
    """Whether it is closed because of an exception, and not just by whoever has seen enough."""
    error: BaseException | None = closing
    while isinstance(error, GeneratorExit):
        error = error.__context__
    return error is not None and not isinstance(error, StopIteration)
