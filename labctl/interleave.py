"""Train while data comes in: one campaign that acquires, on an I/O thread, and one that computes, side by side.

    recording, twin = yield from interleave(record(bench, next_drives, ...), fit_on(what_is_there))

The acquisition is never kept waiting by the computation: its events go through a queue. Both are campaigns as any
other, and so is what comes of them: stop acts at the next event, an error of either side ends the other.
"""

from __future__ import annotations

import contextvars
import queue
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from labctl.campaign import Campaign
from labctl.events import Event, Waiting

Recorded = TypeVar("Recorded")
Fitted = TypeVar("Fitted")

POLL_S = 0.1
HALT_S = 2.0
"""How long an acquisition may take to its next event after a stop, before the outputs are made safe over its head."""


def interleave(
    record: Campaign[Recorded],
    fit: Campaign[Fitted],
    *,
    make_safe: Callable[[], object] | None = None,
) -> Campaign[tuple[Recorded, Fitted]]:
    """Run `record` on a thread of its own and `fit` here until both have ended; yield the events of both.

    Returns both results. What either raises comes through, after the other was closed: `record` is closed on its own
    thread while that error is on its way, so that a bench makes its outputs safe. make_safe (a bench's) is called when
    an acquisition does not come to its next event soon after a stop.
    """
    side = _Side(record)
    cause: BaseException | None = None
    side.start()
    try:
        recorded, fitted = yield from _both(side, fit)
    except BaseException as error:
        # Closed from outside, the GeneratorExit tells by its context what is on its way: a Stop, an error, or nothing.
        cause = error.__context__ if isinstance(error, GeneratorExit) else error
        raise
    finally:
        fit.close()
        side.end(cause, make_safe=make_safe)
    return recorded, fitted


def _both(side: _Side[Recorded], fit: Campaign[Fitted]) -> Campaign[tuple[Recorded, Fitted]]:
    fitted: list[Fitted] = []
    while not (side.ended and fitted):
        yield from side.arrived(wait=bool(fitted))
        if not fitted:
            try:
                event = next(fit)
            except StopIteration as finished:
                fitted.append(finished.value)
            else:
                yield event
    return side.result, fitted[0]


class _Side(Generic[Recorded]):
    """A campaign on a thread of its own."""

    def __init__(self, campaign: Campaign[Recorded]) -> None:
        self._campaign = campaign
        self._events: queue.SimpleQueue[Event | _End[Recorded]] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._cause: BaseException | None = None
        self._results: list[Recorded] = []
        here = contextvars.copy_context()  # a pause that is known here is known there
        self._thread = threading.Thread(target=lambda: here.run(self._run), name="labctl acquisition", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    @property
    def ended(self) -> bool:
        """Whether the campaign came to its end, and all of its events were passed on."""
        return bool(self._results)

    @property
    def result(self) -> Recorded:
        """What it returned."""
        return self._results[0]

    def arrived(self, *, wait: bool) -> Campaign[None]:
        """Pass on what has come; with `wait`, at least one event. Raises what the campaign raised."""
        came = self._events.qsize()  # no more than these: a source that never rests must not starve the computation
        while not self.ended:
            if not wait and came <= 0:
                return
            came -= 1
            try:
                said = self._events.get(timeout=POLL_S) if wait else self._events.get_nowait()
            except queue.Empty:
                if wait:
                    yield Waiting("interleave")
                return
            wait = False
            if isinstance(said, _End):
                if said.error is not None:
                    raise said.error
                self._results.append(said.result[0])
            else:
                yield said

    def end(self, cause: BaseException | None, *, make_safe: Callable[[], object] | None) -> None:
        """Close the campaign on its thread, if it still runs, and wait for that."""
        self._cause = cause
        self._stop.set()
        self._thread.join(HALT_S)
        if self._thread.is_alive() and make_safe is not None:
            make_safe()  # a bench then refuses to play on, which brings the thread to its end
        self._thread.join()
        self._tell_last(cause)

    def _tell_last(self, cause: BaseException | None) -> None:
        """What the campaign raised while it was closed is not lost: a note of the cause, or raised if there is none."""
        while not self._events.empty():
            said = self._events.get_nowait()
            if isinstance(said, _End) and said.error is not None and said.error is not cause:
                if cause is None:
                    raise said.error
                cause.add_note(f"meanwhile, where the data came in: {type(said.error).__name__}: {said.error}")

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                try:
                    event = next(self._campaign)
                except StopIteration as finished:
                    self._events.put(_End(result=(finished.value,)))
                    return
                self._events.put(event)
            self._close()
        except BaseException as error:  # noqa: BLE001 - raised again where the campaign is run
            self._events.put(_End(error=error))

    def _close(self) -> None:
        """Close it as if the cause of the stop passed through here: the outputs come first then, and it is told."""
        if self._cause is None:
            self._campaign.close()
            return
        where = self._cause.__traceback__
        try:
            raise self._cause
        except BaseException as cause:  # noqa: BLE001 - it is on its way in the other thread
            self._campaign.close()
            cause.with_traceback(where)


class _End(Generic[Recorded]):
    """The last thing that the thread says: the result, or what was raised."""

    def __init__(self, *, result: tuple[Recorded, ...] = (), error: BaseException | None = None) -> None:
        self.result = result
        self.error = error
