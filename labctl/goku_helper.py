"""A process beside that knows the equations, so that whoever asks (a window) need not load what computes with them.

Calls (`labctl.calls`) go there and their results come back, one at a time. It is started by the first question, ends with
whoever started it, and is started anew where it died or took too long.
"""

from __future__ import annotations

import multiprocessing
import threading
from multiprocessing.connection import Connection
from typing import Any

from labctl.calls import Call, call_from_json, call_to_json, perform
from labctl.errors import CampaignError, LabctlError
from labctl.workers import one_thread_each

LONGEST_S = 120.0
"""No question here takes so long: what does has gone astray."""


class Helper:
    """Answers calls in a process of its own; safe to be asked from any thread."""

    def __init__(self) -> None:
        self._asking = threading.Lock()
        self._process: multiprocessing.process.BaseProcess | None = None
        self._line: Connection | None = None
        self._n_closed = 0

    def ask(self, call: Call, *, longest_s: float = LONGEST_S) -> Any:
        """What the call returns. Raises what it raises; CampaignError where the process ends or says nothing in time."""
        with self._asking:
            line = self._open()
            try:
                line.send(call_to_json(call))
                if not line.poll(longest_s):
                    raise CampaignError(f"{call.name}: no answer within {longest_s:g} s; it was ended")
                failed, answer = line.recv()
            except (EOFError, OSError) as error:
                self._end()
                raise CampaignError(f"{call.name}: the process that computes it ended; ask once more") from error
            except CampaignError:
                self._end()
                raise
        if failed:
            raise answer
        return answer

    def close(self) -> None:
        """End the process, without waiting for what it still computes."""
        self._n_closed += 1
        self._end()

    def _open(self) -> Connection:
        if self._line is None or self._process is None or not self._process.is_alive():
            self._end()
            n_closed = self._n_closed
            context = multiprocessing.get_context("spawn")  # a fork would copy threads and open instruments
            ours, theirs = context.Pipe()
            process = context.Process(target=_answer, args=(theirs,), name="labctl goku helper", daemon=True)
            with one_thread_each():
                process.start()
            theirs.close()  # so that the line ends when the process does
            self._process, self._line = process, ours
            if n_closed != self._n_closed:  # closed while it was being started
                self._end()
                raise CampaignError("the process that computes was closed")
            return ours
        return self._line

    def _end(self) -> None:
        line, self._line = self._line, None
        process, self._process = self._process, None
        if line is not None:
            line.close()
        if process is not None:
            process.terminate()
            process.join(1.0)


def _answer(line: Connection) -> None:
    """Answer until the line ends."""
    while True:
        try:
            asked = line.recv()
        except (EOFError, OSError):
            return
        try:
            said: tuple[bool, Any] = (False, perform(call_from_json(asked)))
        except Exception as error:  # noqa: BLE001 - raised again where it was asked
            said = (True, _sendable(error))
        try:
            line.send(said)
        except (EOFError, OSError):
            return


def _sendable(error: Exception) -> Exception:
    """The error itself where it is one of ours of a single text, else one with its words."""
    from twins.errors import TwinError

    if isinstance(error, LabctlError | TwinError) and error.args == (str(error),):
        return type(error)(str(error))
    return CampaignError(f"{type(error).__name__}: {error}")
