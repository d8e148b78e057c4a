"""A recording under way: instruments are served on an I/O thread, blocks come out of a bounded queue."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from labctl.acquisition import Acquisition
from labctl.bench.plan import Plan
from labctl.errors import MadeSafe
from labctl.pausing import PAUSE_NOTE, POLL_S, current_pause
from labctl.recording import Block
from labctl.safety import SafeStateRegistry
from labctl.store import RecordingWriter

QUEUE_LENGTH = 8
_WAIT_S = 0.1
MADE_SAFE = "the outputs were made safe during the recording"
AT_REST = "drives at rest, set-points held, outputs ON"


class Halted(Exception):  # noqa: N818 - no error: the session was asked to end
    """Raised inside the I/O thread when the consumer wants no more."""


class Session:
    """Runs `work(session)` on a thread of its own; the thread writes what comes to the file before it passes it on.

    So a consumer that pauses (a window that redraws) loses nothing. In buffered mode a full queue makes the thread wait:
    the data is in the instrument's memory meanwhile. In stepped mode, in real time, it must not, and the queue grows.
    """

    def __init__(self, plan: Plan, safe_states: SafeStateRegistry, writer: RecordingWriter | None) -> None:
        shape = (plan.n_trials, plan.n_samples)
        self.plan = plan
        self.response = np.full((*shape, len(plan.response_channels)), np.nan)
        self.valid_samples = np.zeros(shape[0], dtype=np.int64)
        self.notes: list[str] = []
        self.played_samples = 0
        self.acquisition = Acquisition(plan.mode, self.response.shape[:2], plan.sample_rate_Hz)
        self.after_pause: Callable[[], None] = lambda: None
        self.epoch = safe_states.epoch
        self._safe_states = safe_states
        self._writer = writer
        self._pause = current_pause()
        self._stop = threading.Event()
        self._queue: queue.Queue[Sequence[Block] | BaseException | None] = queue.Queue(
            maxsize=QUEUE_LENGTH if plan.mode == "buffered" else 0
        )
        self._thread: threading.Thread | None = None

    def start(self, work: Callable[[Session], None]) -> None:
        """Begin."""
        self._thread = threading.Thread(target=self._run, args=(work,), name="labctl recording", daemon=True)
        self._thread.start()

    def batches(self) -> Iterator[Sequence[Block]]:
        """What was recorded, as it comes; raises what ended the work early."""
        while True:
            item = self._queue.get()
            if item is None:
                return
            if isinstance(item, BaseException):
                raise item
            yield item

    def halt(self, *, within_s: float) -> bool:
        """Ask the thread to end the play and wait for it; whether it ended in time."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(within_s)
            return not self._thread.is_alive()
        return True

    # What follows is called on the I/O thread.

    def check(self) -> None:
        """Raise if the consumer wants no more, or the outputs were made safe meanwhile."""
        if self._stop.is_set():
            raise Halted
        if self.made_safe:
            raise MadeSafe(MADE_SAFE)

    @property
    def made_safe(self) -> bool:
        """Whether the outputs were made safe since the session began."""
        return self._safe_states.epoch != self.epoch

    def wait(self, seconds: float) -> None:
        """Sleep, but wake up when asked to stop."""
        self._stop.wait(seconds)

    def rest_if_wanted(self, trial: int, *, to_rest: Callable[[], None] | None = None) -> None:
        """Between two plays, before `trial`: where a pause is wanted, wait for its end; told in the recording's notes.

        to_rest: brings the drives to rest, where they are not there already. The consumer gets an empty block now and then.
        """
        pause = self._pause
        if pause is None or not pause.wanted():
            return
        if to_rest is not None:
            to_rest()
        where = f"before trial {trial}: {AT_REST}"
        before_s = pause.rested_s
        nothing = Block(trial, 0, self.plan.drive[trial, :0], self.response[trial, :0])
        with pause.rest(where):
            while pause.wanted():
                self.check()
                if self._queue.empty():
                    self._put([nothing])
                self.wait(POLL_S)
        self.check()
        self.after_pause()
        self.notes.append(f"{PAUSE_NOTE}{pause.rested_s - before_s:.1f} s {where}")

    def take(self, trial: int, start: int, response: np.ndarray) -> None:
        """Take samples (time, channel) that follow sample `start` of `trial`, and pass them on.

        They may run over several trials.
        """
        self._put(self.keep(trial, start, response))

    def keep(self, trial: int, start: int, response: np.ndarray) -> Sequence[Block]:
        """The same, to memory and file only: for samples that were measured before something failed."""
        n_samples = self.plan.n_samples
        blocks = []
        position = 0
        while position < response.shape[0]:
            count = min(n_samples - start, response.shape[0] - position)
            self.response[trial, start : start + count] = response[position : position + count]
            measured = self.response[trial, start : start + count]
            driven = self.plan.drive[trial, start : start + count]
            measured.setflags(write=False)
            driven.setflags(write=False)
            blocks.append(Block(trial, start, driven, measured))
            self.valid_samples[trial] = start + count
            position += count
            start += count
            if start == n_samples:
                trial, start = trial + 1, 0
        if self._writer is not None:
            self._writer.append_many(blocks)
        self.acquisition.count(self.valid_samples)
        return blocks

    def _put(self, item: Sequence[Block]) -> None:
        while True:
            self.check()
            try:
                self._queue.put(item, timeout=_WAIT_S)
                return
            except queue.Full:
                continue

    def _run(self, work: Callable[[Session], None]) -> None:
        ending: BaseException | None = None
        try:
            work(self)
        except Halted:
            pass
        except BaseException as error:  # noqa: BLE001 - raised again in the consumer's thread
            ending = error
            if self.made_safe and isinstance(error, Exception) and not isinstance(error, MadeSafe):
                # an instrument that was stopped over our head refuses the next step: that is not its fault
                ending = MadeSafe(MADE_SAFE)
                ending.__cause__ = error
        while not self._stop.is_set():  # nobody listens after a halt
            try:
                self._queue.put(ending, timeout=_WAIT_S)
                return
            except queue.Full:
                continue
