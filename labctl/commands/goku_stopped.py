"""What is left of work that was stopped: said on standard error, whatever line of it the signal met."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType

from labctl.errors import Stopped


@contextlib.contextmanager
def told_when_stopped(files: Sequence[Path], holds: Callable[[Path], str]) -> Iterator[None]:
    """Add to a KeyboardInterrupt what each of these files holds (`holds`), or that nothing was written.

    SIGTERM stops as Ctrl-C does while the block runs (in the main thread). Files that were there before do not count.
    """
    before = {path: _written_ns(path) for path in files}
    previous = None
    if threading.current_thread() is threading.main_thread():
        previous = signal.signal(signal.SIGTERM, _stop)
    try:
        yield
    except KeyboardInterrupt as stopped:
        said = "\n".join(getattr(stopped, "__notes__", ()))  # what was stopped may have told of its file itself
        new = [path for path in files if _written_ns(path) != before[path]]
        for path in new:
            if f"{path}:" not in said:
                stopped.add_note(f"{path}: {holds(path)}")
        if not new and "nothing was written" not in said:
            stopped.add_note("nothing was written")
        raise
    finally:
        if previous is not None:
            signal.signal(signal.SIGTERM, previous)


def _written_ns(path: Path) -> int | None:
    """When a file was last written; None where there is none."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return None


def _stop(number: int, frame: FrameType | None) -> None:
    del frame
    raise Stopped("by SIGTERM", signal_number=number)
