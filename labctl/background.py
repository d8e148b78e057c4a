"""A piece of work that says nothing while it runs, as a campaign: it runs on a thread, and Stop acts meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from labctl.campaign import Campaign
from labctl.events import Waiting

Result = TypeVar("Result")

POLL_S = 0.1


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

    thread = threading.Thread(target=target, name=f"labctl {key}", daemon=True)
    thread.start()
    while thread.is_alive():
        yield Waiting(key)
        thread.join(POLL_S)
    if errors:
        raise errors[0]
    return results[0]
