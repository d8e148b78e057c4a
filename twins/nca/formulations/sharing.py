"""Work of compiled functions over threads, while the calling thread hears signals."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence


def share_out(
    part: Callable[..., None], calls: Sequence[tuple[int, ...]], *, short: bool, stop: Callable[[], None]
) -> None:
    """Call part(*arguments) for all calls, each in a thread of its own; in this one where it is short and there is one.

    What is raised here meanwhile, by a signal, calls stop() and waits for the threads. What a thread raises stops the
    others and is raised here.
    """
    if short and len(calls) == 1:
        part(*calls[0])
        return
    failed: list[BaseException] = []

    def guarded(arguments: tuple[int, ...]) -> None:
        try:
            part(*arguments)
        except BaseException as error:  # noqa: BLE001 - raised by the thread that waits
            failed.append(error)
            stop()

    threads = [threading.Thread(target=guarded, args=(arguments,)) for arguments in calls]
    started: list[threading.Thread] = []
    try:
        for thread in threads:
            thread.start()
            started.append(thread)
        for thread in threads:
            thread.join()
    except BaseException:
        stop()
        raise
    finally:
        for thread in started:
            if thread.is_alive():
                thread.join()
    if failed:
        raise failed[0]
