"""What is going on with the window's bench."""

from __future__ import annotations

import enum


class State(enum.Enum):
    """What is going on; the value is for people."""

    EMPTY = "no station open"
    OPENING = "opening the station …"
    READY = "ready"
    RUNNING = "running"
    STOPPING = "stopping …"
    SAFING = "making all outputs safe …"
    CLOSING = "making all outputs safe, then closing the station …"
    REOPENING = "making all outputs safe, then opening the station anew …"
    PARTING = "closing: stopping, making all outputs safe …"
    PARTED = "closed"
