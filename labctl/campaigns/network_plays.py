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
    """What `play_network` left in `folder` of this device: these trials of every play that drove it, in order.

    Played together with a device that needs a longer preparation, it was prepared longer as well; all get the shortest.
    """
    recordings = [open_recording(path) for path in sorted(folder.glob("*.h5"))]
    own = [of_device(one, device, trials) for one in recordings if set(device.drive) <= set(one.drive_names)]
    shortest = min((one.n_prepare for one in own), default=0)
    return [_prepared(one, shortest) for one in own]


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


def _prepared(recording: Recording, n_prepare: int) -> Recording:
    """The same without the first samples of its preparation, so that n_prepare of them are left."""
    extra = recording.n_prepare - n_prepare
    if not extra:
        return recording
    n_trials, n_samples = recording.header.shape
    return replace(
        recording,
        header=replace(recording.header, shape=(n_trials, n_samples - extra), n_prepare=n_prepare),
        drive=np.array(recording.drive[:, extra:]),
        response=np.array(recording.response[:, extra:]),
        valid_samples=np.maximum(recording.valid_samples - extra, 0),
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
