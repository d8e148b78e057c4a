"""Several instruments served at the same time: one thread for each, so that none waits for another's answer."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence

Work = Callable[[], None]


class AtOnce:
    """Does up to `n_works` things at once. The first is done in the caller's own thread, the others in daemon threads.

    Close it when done (`with AtOnce(4) as at_once`).
    """

    def __init__(self, n_works: int) -> None:
        self._hands = [_Hand() for _ in range(n_works - 1)]

    def do(self, works: Sequence[Work]) -> None:
        """Do all of them and wait for all; then raise what the first of them raised that failed, with the others' words."""
        errors: list[BaseException] = []
        begun = list(zip(self._hands, works[1:], strict=False))
        for hand, work in begun:
            hand.begin(work)
        try:
            works[0]()
        except BaseException as error:  # noqa: BLE001 - raised below, when the others have ended
            errors.append(error)
        errors.extend(failure for hand, _ in begun if (failure := hand.ended()) is not None)
        if errors:
            for other in errors[1:]:
                errors[0].add_note(f"at the same time: {other}")
            raise errors[0]

    def close(self) -> None:
        """End the threads; one that waits for an instrument ends with that."""
        for hand in self._hands:
            hand.dismiss()

    def __enter__(self) -> AtOnce:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Hand:
    """One thread that does what it is given."""

    def __init__(self) -> None:
        self._given: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
        threading.Thread(target=self._run, name="labctl instrument", daemon=True).start()

    def begin(self, work: Work) -> None:
        self._given.put(work)

    def ended(self) -> BaseException | None:
        return self._done.get()

    def dismiss(self) -> None:
        self._given.put(None)

    def _run(self) -> None:
        while (work := self._given.get()) is not None:
            try:
                work()
            except BaseException as error:  # noqa: BLE001 - raised in the thread that asked for it
                self._done.put(error)
            else:
                self._done.put(None)
