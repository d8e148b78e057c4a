"""A piece of work that says nothing while it runs, as a campaign: it runs on a thread, and Stop acts meanwhile."""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from labctl.campaign import Campaign
from labctl.events import Waiting

Result = TypeVar("Result")

POLL_S = 0.1
_NAME = "labctl "
_ENDING_S = 0.3


def in_background(work: Callable[[], Result], *, key: str) -> Campaign[Result]:
    """Run `work` on a thread, yield `Waiting(key)` until it is done, return its result or raise what it raised.

    Closed early, the work runs on by itself, and nobody asks for its result: it must touch nothing but its own data.
    """
    results: list[Result] = []
    errors: list[BaseException] = []

    def target() -> None:
        try:
            results.append(work())
        except BaseException as error:  # noqa: BLE001 - raised again where the campaign is run
            errors.append(error)

    thread = threading.Thread(target=target, name=f"{_NAME}{key}", daemon=True)
    thread.start()
    while thread.is_alive():
        yield Waiting(key)
        thread.join(POLL_S)
    if errors:
        raise errors[0]
    return results[0]


def leave_with(code: int) -> None:
    """End the process with this code although work still runs in the background when Python ends.

    What computes in C++ on a thread would else meet the end of the interpreter, and abort with a code of its own.
    """
    running = [thread for thread in threading.enumerate() if thread.name.startswith(_NAME)]
    if running:
        atexit.register(_leave_if_running, running, code)


def _leave_if_running(threads: list[threading.Thread], code: int) -> None:
    if any(thread.is_alive() for thread in threads):
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)
    time.sleep(_ENDING_S)  # a thread that Python calls ended may still be in the destructors of its libraries
