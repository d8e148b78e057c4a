"""Recordings that are given beside twins, checked before a bench is opened: a bad one must not cost device time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from labctl.earlier_recordings import find_recording
from labctl.errors import LabctlError, UsageError

if TYPE_CHECKING:
    from labctl.commands.network_arguments import GivenTwins
    from labctl.station import Device, Station
    from twins.ensemble import AnyTwin

__all__ = ["check_recordings", "find_recording"]


def check_recordings(
    files: Mapping[str, Sequence[Path]], option: str, *, station: Station, given: GivenTwins, devices: Sequence[str]
) -> None:
    """Raise UsageError, which names the option, unless each file (by device) is a recording that the device's twin can
    learn from or be judged on together with plays of this station. devices: of the network."""
    for device, paths in files.items():
        if device not in devices or device not in given.twins:
            raise UsageError(f"{option} {device}=…: the network has nodes on {', '.join(devices)}")
        for path in paths:
            try:
                _check(path, station.device(device), given.twins[device])
            except LabctlError as error:
                raise UsageError(f"{option} {device}={path}: {error}") from error


def _check(path: Path, device: Device, twin: AnyTwin) -> None:
    from labctl.campaigns.network_plays import of_device
    from labctl.store import open_recording
    from twins.errors import TwinError

    recording = open_recording(path)
    lacking = {*device.drive, *device.response} - {*recording.drive_names, *recording.response_names}
    if lacking:
        raise UsageError(f"is no recording of {device.name}: {', '.join(sorted(lacking))} is not in it")
    own = of_device(recording, device, slice(None))
    if set(own.conditions) != set(device.conditions):
        raise UsageError(
            f"its conditions are {', '.join(own.conditions) or 'none'}, those of {device.name} on this station "
            f"{', '.join(device.conditions) or 'none'}; recordings of different conditions cannot be mixed"
        )
    try:
        twin.spec.check_traces(own.traces())
    except TwinError as error:
        raise UsageError(str(error)) from error
