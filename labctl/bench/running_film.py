"""One recording of frames from its first to its last: however it ends, camera and outputs first, then the file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drivers.errors import DriverError
from drivers.roles import Camera, CameraFrame
from labctl.acquisition import Acquisition
from labctl.errors import InstrumentFault, LabctlError, RecordingError
from labctl.frame_layout import count_bytes
from labctl.frame_recording import LOST, TAKEN, FrameBlock, FrameHeader, FrameRecording
from labctl.frame_store import FrameWriter, stored_counts
from labctl.safety import SafeReport, SafeStateRegistry

MOST_IN_MEMORY_BYTES = 512_000_000
"""Recordings without a file are no larger."""
OFF_TIME = 0.01
"""A frame that is further from its time than this share of the interval is noted."""


class RunningFilm:
    """Takes the frames, writes them, and brings everything to an end."""

    def __init__(
        self, header: FrameHeader, safe_states: SafeStateRegistry, store: str | Path | None, notes: Sequence[str]
    ) -> None:
        """store: the file to write; None keeps the frames in memory. Raises RecordingError."""
        shape = header.shape[:2]
        self._header = header
        self._safe_states = safe_states
        self._counts = None if store is not None else _in_memory(header)
        self._status = np.zeros(shape, dtype=np.int8)
        self._time_s = np.full(shape, np.nan)
        self._saturated = np.zeros(shape, dtype=np.int64)
        self._light = np.full(shape, np.nan)
        self._conditions = np.full(header.conditions.shape, np.nan)
        self._notes = list(notes)
        self.acquisition = Acquisition(
            "filmed", shape, 1.0 / header.interval_s, file="" if store is None else str(store)
        )
        self._noted = False
        self._writer = None if store is None else FrameWriter(store, header)

    @property
    def device_seconds(self) -> float:
        """Device time filmed until now."""
        return float(np.count_nonzero(self._status)) * self._header.interval_s

    def note(self, text: str) -> None:
        """Remember a remark."""
        self._notes.append(text)

    def begin_trial(self, trial: int, conditions: NDArray[np.float64]) -> None:
        """The conditions (condition,) as read back."""
        self._conditions[trial] = conditions
        if self._writer is not None:
            self._writer.begin_trial(trial, conditions)

    def take(self, trial: int, frame: CameraFrame) -> FrameBlock:
        """Write a frame, keep it, and pass it on; what is the matter with it is noted."""
        at = (trial, frame.index)
        if frame.counts is not None:
            frame.counts.setflags(write=False)
            if self._counts is not None:
                self._counts[at] = frame.counts
        block = FrameBlock(trial, frame.index, frame.counts, frame.time_s, frame.saturated, frame.light)
        self._note_trouble(trial, frame)
        if self._writer is not None:
            self._writer.append(block)
        self._time_s[at], self._saturated[at], self._light[at] = frame.time_s, frame.saturated, frame.light
        self._status[at] = LOST if frame.counts is None else TAKEN
        last = frame.index == self._header.shape[1] - 1
        self.acquisition.filmed(lost=frame.counts is None, late=self._late(frame), last_of_trial=last)
        return block

    def _note_trouble(self, trial: int, frame: CameraFrame) -> None:
        where = f"trial {trial}, frame {frame.index}"
        if frame.counts is None:
            self._notes.append(f"{where}: lost by the camera")
        if self._late(frame):
            off_s = frame.time_s - frame.index * self._header.interval_s
            self._notes.append(f"{where}: taken {off_s:+.3g} s off its time")

    def _late(self, frame: CameraFrame) -> bool:
        off_s = frame.time_s - frame.index * self._header.interval_s
        return frame.late or abs(off_s) > OFF_TIME * self._header.interval_s

    def finish(self, camera: Camera) -> FrameRecording:
        """Everything was filmed: switch the camera's light off, close the file and give the recording.

        Raises RecordingError, or InstrumentFault where the light is not known to be off: the file is complete all the same.
        """
        with self._safe_states.undisturbed():
            trouble = self._darken(camera)
            self._end_notes()
            if self._writer is not None:
                self._writer.finish(complete=bool((self._status != 0).all()), ended="as planned")
        if trouble:
            raise InstrumentFault(trouble)
        return self._recording()

    def _recording(self) -> FrameRecording:
        complete = bool((self._status != 0).all())
        path = None if self._writer is None else self._writer.path
        counts = stored_counts(path) if path is not None else self._counts
        assert counts is not None  # in memory where there is no file
        return FrameRecording(
            self._header, counts, self._status, self._time_s, self._saturated, self._light, self._conditions, complete, path,
            tuple(self._notes),
        )  # fmt: skip

    def _end_notes(self) -> None:
        """What is said of the whole recording, and all notes into the file; once."""
        if self._noted:
            return
        self._noted = True
        self._note_saturation()
        if self._writer is not None:
            for note in self._notes:
                self._writer.note(note)

    def _note_saturation(self) -> None:
        frames = int(np.count_nonzero(self._saturated))
        if frames:
            self._notes.append(
                f"{int(self._saturated.sum())} counts in {frames} frames are at full scale ({self._header.full_scale}): what is "
                "brighter is not known; expose for less time"
            )

    def abandon(self, camera: Camera, *, make_safe: bool) -> str:
        """The consumer wants no more; returns in words what was filmed, and how the outputs are."""
        with self._safe_states.undisturbed():
            trouble = self._darken(camera)
            report = self._safe_states.make_safe() if make_safe or trouble else None
            lost = self._close_file("stopped before its end")
        return self._tell(report, lost)

    def fail(self, error: BaseException) -> None:
        """Make the outputs safe, close the file; raise the error in words, or return to raise it as is."""
        with self._safe_states.undisturbed():
            report = self._safe_states.make_safe()  # stops the camera, and switches its light off
            lost = self._close_file(f"{type(error).__name__}: {error}")
        told = self._tell(report, lost)
        if isinstance(error, DriverError):
            raise InstrumentFault(f"{error}; {told}") from error
        if isinstance(error, LabctlError):
            raise type(error)(f"{error}; {told}") from error
        error.add_note(told)

    def _darken(self, camera: Camera) -> str:
        """Stop the camera and switch its light off; what is the matter if that failed is noted, too."""
        if trouble := darkened(camera):
            self._notes.append(trouble)
        return trouble

    def _close_file(self, ended: str) -> str:
        self._end_notes()
        if self._writer is None:
            return ""
        try:
            self._writer.finish(complete=False, ended=ended)
        except RecordingError as error:
            return str(error)
        return ""

    def _tell(self, report: SafeReport | None, lost: str) -> str:
        planned = self._status.size
        filmed = int(np.count_nonzero(self._status))
        where = "in memory only" if self._writer is None else f"readable in {self._writer.path}"
        outputs = "the outputs are as they were set"
        if report is not None:
            outputs = "all outputs are safe" if report.ok else str(report)
        return f"{filmed} of {planned} frames were taken and are {where}; {outputs}{'; ' + lost if lost else ''}"


def _in_memory(header: FrameHeader) -> NDArray[np.uint16]:
    """Counts for a recording without a file. Raises RecordingError for more than memory should hold."""
    n_bytes = count_bytes(header)
    if n_bytes > MOST_IN_MEMORY_BYTES:
        raise RecordingError(
            f"a recording of {n_bytes * 1e-6:.0f} MB is kept in a file and not in memory, which takes at most "
            f"{MOST_IN_MEMORY_BYTES * 1e-6:.0f} MB of it; give store = a path"
        )
    return np.zeros((*header.shape, len(header.names)), dtype=np.uint16)


def darkened(camera: Camera) -> str:
    """Stop a camera and switch its light off; returns what is the matter, "" where it is dark."""
    try:
        camera.abort()
        return "the camera's light is still on" if camera.lit() else ""
    except DriverError as error:
        return f"stopping the camera: {error}"
