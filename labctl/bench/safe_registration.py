"""What a bench registers to be made safe besides its outputs: plays to be ended, cameras, what is out of reach."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from labctl.errors import SafetyError
from labctl.safe_camera import camera_action, light_of
from labctl.safety import SafeAction, SafeStateRegistry
from labctl.station import Channel, Station

if TYPE_CHECKING:
    from labctl.bench.opening import OpenedInstrument


def register_players(station: Station, opened: Mapping[str, OpenedInstrument], safe_states: SafeStateRegistry) -> None:
    """Instruments whose play must be ended before their outputs are made safe."""
    driven = {channel.instrument for channel in station.channels.values() if channel.kind == "drive"}
    for name, instrument in opened.items():
        if instrument.player is not None and name in driven:
            safe_states.add_player(
                name,
                instrument.player.stop,
                budget_s=3.0 * (instrument.state.timeout_s + instrument.state.reconnect_s) + 5.0,
            )


def register_cameras(
    station: Station,
    opened: Mapping[str, OpenedInstrument],
    safe_states: SafeStateRegistry,
    unreachable: Mapping[str, str],
) -> None:
    """Cameras whose light must be off where everything is safe: it heats and bleaches what they see."""
    filming = {channel.instrument for channel in station.channels.values() if channel.kind == "image"}
    for name in sorted(filming):
        if name in unreachable:
            safe_states.add_output(_unreachable(light_of(name), "", 0.0, 0.0, unreachable[name]))
        elif (camera := opened[name].camera) is not None:
            safe_states.add_output(camera_action(camera, opened[name].state))


def out_of_reach(channel: Channel, why: str) -> SafeAction:
    """What stands in for an output that cannot be reached, so that the report tells of it."""
    target = channel.safe.value if channel.safe else 0.0
    return _unreachable(channel.name, channel.unit, target, channel.tolerance, why)


def _unreachable(name: str, unit: str, target: float, tolerance: float, why: str) -> SafeAction:
    def fail() -> float:
        raise SafetyError(why)

    return SafeAction(name, unit, target, tolerance, budget_s=5.0, run=fail)
