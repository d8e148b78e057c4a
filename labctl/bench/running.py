"""One recording from its first to its last sample: however it ends, outputs first, then the file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from drivers.errors import DriverError
from labctl.acquisition import Acquisition
from labctl.bench.plan import Plan
from labctl.bench.session import Session
from labctl.bench.ways import Work
from labctl.errors import InstrumentFault, LabctlError, RecordingError
from labctl.recording import Block, Recording, RecordingHeader
from labctl.safety import SafeReport, SafeStateRegistry
from labctl.store import RecordingStore, RecordingWriter

HALT_S = 1.0
"""How long the I/O thread gets to end a play by itself before the outputs are made safe over its head."""
LAST_BLOCK_S = 10.0
"""How long to wait then for a block that is just being fetched or written."""


class RunningRecording:
    """Runs the work on its I/O thread, and brings everything to an end."""

    def __init__(
        self,
        plan: Plan,
        header: RecordingHeader,
        safe_states: SafeStateRegistry,
        writer: RecordingWriter | None,
        add_device_time: Callable[[float], None],
        notes: Sequence[str] = (),
    ) -> None:
        self._plan = plan
        self._header = header
        self._safe_states = safe_states
        self._writer = writer
        self._add_device_time = add_device_time
        self._session = Session(plan, safe_states, writer)
        self._session.notes.extend(notes)
        if writer is not None:
            self._session.acquisition.file = str(writer.path)

    @property
    def acquisition(self) -> Acquisition:
        """What is counted while it runs."""
        return self._session.acquisition

    def after_pause(self, check: Callable[[], None]) -> None:
        """What is called on the I/O thread before a paused recording goes on."""
        self._session.after_pause = check

    def blocks(self, work: Work) -> Iterator[Block]:
        """Start, and pass on what comes."""
        self._session.start(work.play)
        for batch in self._session.batches():
            yield from batch

    def finish(self) -> Recording:
        """Everything was measured: close the file and give the recording."""
        self._add_device_time(self._session.played_samples * self._plan.dt_s)
        complete = bool((self._session.valid_samples == self._plan.n_samples).all())
        for note in self._session.notes:
            self._note(note)
        if self._writer is not None:
            counts = self.acquisition
            self._writer.finish(complete=complete, ended="as planned", lost=counts.lost, late=counts.late)
        path = None if self._writer is None else self._writer.path
        session = self._session
        return Recording(
            self._header,
            self._plan.drive,
            session.response,
            session.valid_samples,
            complete,
            path,
            tuple(session.notes),
            session.acquisition.lost,
            session.acquisition.late,
        )

    def abandon(self, *, make_safe: bool) -> str:
        """The consumer wants no more: end the play; the outputs are then at rest, or safe where asked for.

        Returns in words what was measured, and how the outputs are.
        """
        report = None
        with self._safe_states.undisturbed():
            ended = self._session.halt(within_s=HALT_S)
            if make_safe or not ended:
                report = self._safe_states.make_safe()
            lost = self._close_file("stopped before its end")
        return self._tell(report, lost)

    def fail(self, error: BaseException) -> None:
        """End the play, make the outputs safe, close the file; raise the error in words, or return to raise it as is."""
        with self._safe_states.undisturbed():
            self._session.halt(within_s=HALT_S)
            report = self._safe_states.make_safe()
            lost = self._close_file(f"{type(error).__name__}: {error}")
        told = self._tell(report, lost)
        if isinstance(error, DriverError):
            raise InstrumentFault(f"{error}; {told}") from error
        if isinstance(error, LabctlError):
            raise type(error)(f"{error}; {told}") from error
        error.add_note(told)

    def _close_file(self, ended: str) -> str:
        """Close the file as incomplete; what could not be written is returned as text, the first error is told already."""
        self._session.halt(within_s=LAST_BLOCK_S)
        self._add_device_time(self._session.played_samples * self._plan.dt_s)
        if self._writer is None:
            return ""
        for note in self._session.notes:
            self._note(note)
        try:
            counts = self.acquisition
            self._writer.finish(complete=False, ended=ended, lost=counts.lost, late=counts.late)
        except RecordingError as error:
            return str(error)
        return ""

    def _note(self, text: str) -> None:
        if self._writer is not None:
            self._writer.note(text)

    def _tell(self, report: SafeReport | None, lost: str) -> str:
        measured = int(self._session.valid_samples.sum()) if self._writer is None else self._writer.written_samples
        planned = self._plan.n_trials * self._plan.n_samples
        where = "in memory only" if self._writer is None else f"readable in {self._writer.path}"
        outputs = "the outputs are at rest"
        if report is not None:
            outputs = "all outputs are safe" if report.ok else str(report)
        return f"{measured} of {planned} samples were measured and are {where}; {outputs}{'; ' + lost if lost else ''}"


def new_writer(
    store: RecordingStore | str | Path | None, header: RecordingHeader, label: str
) -> RecordingWriter | None:
    """The writer for `store`: a directory of recordings, a path, or nothing."""
    if store is None:
        return None
    if isinstance(store, RecordingStore):
        return store.create(header, label=label)
    if Path(store).is_dir():
        return RecordingStore(store).create(header, label=label)
    return RecordingWriter(store, header)


def header_of(
    plan: Plan, conditions: Mapping[str, float], provenance: Mapping[str, Any], *, simulated: bool
) -> RecordingHeader:
    """What is known of a recording before its first sample."""
    return RecordingHeader(
        shape=(plan.n_trials, plan.n_samples),
        dt_s=plan.dt_s,
        drive_names=tuple(channel.name for channel in plan.drive_channels),
        drive_units=tuple(channel.unit for channel in plan.drive_channels),
        response_names=tuple(channel.name for channel in plan.response_channels),
        response_units=tuple(channel.unit for channel in plan.response_channels),
        n_prepare=plan.n_prepare,
        input_id=np.asarray(plan.excitation.input_id),
        simulated=simulated,
        started_utc=str(provenance["started_utc"]),
        conditions=dict(conditions),
        provenance=dict(provenance),
    )
