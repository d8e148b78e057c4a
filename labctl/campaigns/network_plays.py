"""The plays of a network as recordings of single devices, for the twins of these devices to learn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from labctl.recording import Recording
from labctl.station import Device
from labctl.store import open_recording


def plays_of(folder: Path, device: Device, trials: slice) -> list[Recording]:
    """What `play_network` left in `folder` of this device: these trials of every play that drove it, in order."""
    recordings = [open_recording(path) for path in sorted(folder.glob("*.h5"))]
    return [of_device(one, device, trials) for one in recordings if set(device.drive) <= set(one.drive_names)]


def of_device(recording: Recording, device: Device, trials: slice) -> Recording:
    """Some trials with the channels and conditions of one device alone; equal drives get equal input ids."""
    header = recording.header
    driven = [header.drive_names.index(name) for name in device.drive]
    sensed = [header.response_names.index(name) for name in device.response]
    drive = np.array(recording.drive[trials][..., driven])
    _, ids = np.unique(drive[:, header.n_prepare :].reshape(len(drive), -1), axis=0, return_inverse=True)
    valid = np.array(recording.valid_samples[trials])
    own = replace(
        header,
        shape=(len(drive), header.shape[1]),
        drive_names=device.drive,
        drive_units=tuple(header.drive_units[number] for number in driven),
        response_names=device.response,
        response_units=tuple(header.response_units[number] for number in sensed),
        input_id=ids.reshape(-1).astype(np.int64),
        conditions={name: value for name, value in header.conditions.items() if name in device.conditions},
    )
    response = np.array(recording.response[trials][..., sensed])
    complete = bool((valid == header.shape[1]).all())
    return replace(
        recording, header=own, drive=drive, response=response, valid_samples=valid, complete=complete, notes=()
    )


def some_inputs(plays: Sequence[Recording], n_inputs: int) -> list[Recording]:
    """About n_inputs inputs of several plays, evenly from each, every one with all of its repeats.

    Inputs that were repeated come first: in later layers the drives themselves carry the noise of the layers before, so
    that nothing is ever played twice there.
    """
    chosen = []
    for play in plays:
        ids, counts = np.unique(play.input_id, return_counts=True)
        n = max(1, round(n_inputs / len(plays)))
        kept = ids[np.argsort(-counts, kind="stable")][:n]
        index = np.flatnonzero(np.isin(play.input_id, kept))
        chosen.append(replace(play.trials(index), path=play.path))
    return chosen
