"""A campaign in a process of its own: its events come back as they happen, and Stop ends it.

The process that asks neither loads what the campaign loads (torch) nor shares its computing time with it. A campaign that
needs the bench cannot run apart: instruments belong to the process that opened them.
"""

from __future__ import annotations

import contextlib
import copy
import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Generator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from labctl.calls import Call, needs_bench, perform
from labctl.campaign import Campaign
from labctl.errors import CampaignError
from labctl.events import Event, Waiting
from labctl.workers import NICENESS, one_thread_each

POLL_S = 0.1
AHEAD = 8
"""Events that the process may be ahead of whoever reads them: so a paused reader pauses the campaign."""
PATIENCE_S = 60.0
"""How long a stopped campaign may take to keep what it has (the best twin so far) before its process is ended."""


@dataclass(frozen=True, slots=True)
class Unsent:
    """In place of a result that cannot leave its process: its class and its text. What was written is in files."""

    kind: str
    text: str


def apart(call: Call, *, folder: Path | None = None) -> Campaign[Any]:
    """Run the campaign that `call` gives in a process of its own; yield its events, return its result.

    Raises UsageError for a call that needs a bench, CampaignError where the process died, and what the campaign raises.
    """
    if needs_bench(call):
        raise CampaignError(f"{call.name} needs the bench, which stays in the process that opened it")
    context = multiprocessing.get_context("spawn")  # a fork would copy open instruments and threads
    here, there = context.Pipe()
    process = context.Process(target=_work, args=(call, folder, there), name=f"labctl {call.name}", daemon=True)
    with one_thread_each():
        process.start()
    there.close()
    try:
        while True:
            try:
                said = here.recv() if here.poll(POLL_S) else None
                if isinstance(said, Event):
                    here.send("next")
            except (EOFError, OSError):
                process.join(1.0)
                raise CampaignError(f"the process of {call.name} died (out of memory, or killed)") from None
            if said is None:
                yield Waiting(call.name)
            elif isinstance(said, Event):
                yield said
            elif said.error is not None:
                raise said.error
            else:
                return said.result
    finally:
        _end(process, here)


@dataclass(frozen=True, slots=True)
class _Ended:
    """The last that the process says."""

    result: Any = None
    error: BaseException | None = None


def _end(process: Any, here: Connection) -> None:
    """Ask it to stop, let it keep what it has, and end it if it does not."""
    with contextlib.suppress(OSError):  # it has ended
        here.send("stop")
    with contextlib.suppress(EOFError, OSError):
        while here.poll(PATIENCE_S) and not isinstance(here.recv(), _Ended):
            pass
    process.join(POLL_S)
    if process.is_alive():
        process.terminate()
        process.join(1.0)
    if process.is_alive():
        process.kill()
        process.join()
    here.close()


class _Reader:
    """In the process: what the other side says. It gives leave for so many events, or says stop."""

    def __init__(self, line: Connection) -> None:
        self.stop = threading.Event()
        self.leave = threading.Semaphore(AHEAD)
        threading.Thread(target=self._read, args=(line,), name="labctl apart", daemon=True).start()

    def _read(self, line: Connection) -> None:
        try:
            while line.recv() == "next":
                self.leave.release()
        except (EOFError, OSError):
            os._exit(1)  # whoever asked is gone, and there is nothing here that wants cleaning up
        self.stop.set()
        self.leave.release()


def _work(call: Call, folder: Path | None, line: Connection) -> None:
    """In the process: signals are the other side's affair."""
    for name in ("SIGINT", "SIGHUP"):
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    with contextlib.suppress(OSError):
        os.nice(NICENESS)
    # Python ends a daemon with its parent, but lets it have no processes: a campaign may train side by side in some.
    multiprocessing.current_process()._config["daemon"] = False  # type: ignore[attr-defined] # there is no other way
    reader = _Reader(line)
    try:
        ended = _Ended(_run(perform(call, folder=folder), line, reader))
    except BaseException as error:  # noqa: BLE001 - raised again on the other side
        ended = _Ended(error=_sendable_error(error))
    _send(line, ended)


def _run(campaign: Any, line: Connection, reader: _Reader) -> Any:
    if not isinstance(campaign, Generator):
        return campaign  # a function that says nothing while it works
    try:
        while True:
            reader.leave.acquire()
            if reader.stop.is_set():
                return None
            try:
                event = next(campaign)
            except StopIteration as finished:
                return finished.value
            line.send(event)
    finally:
        campaign.close()


def _send(line: Connection, ended: _Ended) -> None:
    """A result that cannot leave its process is told as `Unsent`: a connection sends all of something, or nothing."""
    try:
        line.send(ended)
    except OSError:
        raise  # nobody is there to be told
    except Exception:  # noqa: BLE001 - whatever hindered it, it is told
        line.send(_Ended(Unsent(type(ended.result).__name__, repr(ended.result)[:1000])))


def _sendable_error(error: BaseException) -> BaseException:
    """The error itself where it can be made again from its arguments, which is what the other side will do."""
    error.add_note("".join(traceback.format_exception(error)))
    try:
        copy.copy(error)
    except Exception:  # noqa: BLE001 - an error that cannot be sent is told in words
        return CampaignError(f"{type(error).__name__}: {error}")
    return error
