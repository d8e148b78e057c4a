"""A camera as far as its safe state goes: nothing is taken any more, and its light is off."""

from __future__ import annotations

import time

from drivers.errors import LineLost, LineTimeout
from drivers.roles import Camera
from labctl.inputs import InstrumentState
from labctl.safety import SafeAction


def camera_action(camera: Camera, state: InstrumentState) -> SafeAction:
    """How a camera is made safe, for the registry: 0 is read back for a light that is off."""
    silence_s = 4.0 * (state.timeout_s + state.reconnect_s) + 5.0
    return SafeAction(
        channel=light_of(state.name),
        unit="",
        target=0.0,
        tolerance=0.0,
        budget_s=silence_s,
        run=lambda: _dark_insisting(camera, state),
        longest_s=silence_s,
    )


def light_of(instrument: str) -> str:
    """What the light of a camera is called in a report."""
    return f"light of {instrument}"


def _dark_insisting(camera: Camera, state: InstrumentState) -> float:
    began_s = time.monotonic()
    try:
        return _dark(camera)
    except LineTimeout:  # the line heals itself before its next use: once more, from the beginning
        return _dark(camera)
    except LineLost:
        if time.monotonic() - began_s >= state.reconnect_s:  # it tried to reopen already, as long as it may
            raise
        return _dark(camera)


def _dark(camera: Camera) -> float:
    camera.abort()
    return float(camera.lit())
