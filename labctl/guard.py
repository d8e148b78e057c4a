"""Signals: `with guard(bench.safe_states):` ends in safe outputs on Ctrl-C, SIGTERM and SIGHUP as well.

The first signal raises `Stopped` where the main thread is. While outputs are being made safe or files finished, signals
wait. A second signal, when the program has not come to its clean-up yet, makes the outputs safe at once, in the signal
handler; a third one, once they are safe, ends the process there and then. SIGKILL cannot be
caught: that is for `labctl.guardian`.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

from labctl.errors import Stopped
from labctl.safety import SafeStateRegistry

SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)  # Windows has no SIGHUP
_log = logging.getLogger(__name__)


@contextlib.contextmanager
def guard(safe_states: SafeStateRegistry) -> Iterator[None]:
    """Handle signals while the block runs, and make the outputs safe at its end if anything was written.

    Outside the main thread signals cannot be handled: then only the end of the block counts.
    """
    handler = _Handler(safe_states)
    previous: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        previous = {number: signal.signal(number, handler) for number in SIGNALS}
    try:
        yield
    finally:
        try:
            if safe_states.armed:
                safe_states.make_safe()
        finally:
            for number, old in previous.items():
                signal.signal(number, signal.SIG_DFL if old is None else old)


class _Handler:
    def __init__(self, safe_states: SafeStateRegistry) -> None:
        self._safe_states = safe_states
        self._count = 0

    def __call__(self, number: int, frame: FrameType | None) -> None:
        del frame
        self._count += 1
        name = signal.Signals(number).name
        if self._safe_states.making_safe or self._safe_states.deferring_signals:
            self._safe_states.pending_signal = number
            if self._count > 2 and not self._safe_states.making_safe and not self._safe_states.armed:
                os._exit(128 + number)  # outputs are safe; the user insists
            _log.warning("%s: wait, the outputs are being made safe and the files finished", name)
            return
        if self._count > 2 and not self._safe_states.armed:
            os._exit(128 + number)
        if self._count > 1:
            _log.warning("%s again: making the outputs safe at once", name)
            self._safe_states.make_safe()
        raise Stopped(f"stopped by {name}", signal_number=number)
