"""What the controller runs: a campaign that is built when it starts."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labctl.bench import Bench
from labctl.campaign import Campaign


@dataclass(frozen=True, slots=True)
class Offer:
    """A campaign to choose: `make(bench, folder, seed)` builds it, in a worker thread, when it is started."""

    title: str
    explanation: str
    make: Callable[[Bench, Path, int], Campaign[Any]]
    pause: threading.Event | None = None
    """Set while it shall rest."""


def when_started(make: Callable[[], Campaign[Any]]) -> Campaign[Any]:
    """A campaign that is built when it starts: building may load libraries, which must not hold up the window."""
    return (yield from make())
