"""Closed loop: the drive of a sample follows from what was just measured. Every value is checked before a byte leaves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labctl.bench.plan import Plan, make_plan, rate_per_s
from labctl.bench.session import Session
from labctl.bench.stepped import SteppedBench, Timing, play_stepped
from labctl.errors import ExcitationError, OutOfLimits, TooFast
from labctl.excitation import Excitation
from labctl.station import Channel, Station

Array = NDArray[np.float64]
Controller = Callable[[int, int, Array], ArrayLike]
"""(trial, sample, measured (response channel,)) -> drive (drive channel,). It is called once a sample, in order, on the
thread that serves the instruments, from sample 0 of each trial on: the preparation is over then."""
_ROUNDING = 1.0 + 1e-9


def closed_loop_plan(
    station: Station,
    devices: Sequence[str],
    *,
    n_trials: int,
    n_samples: int,
    prepare: bool,
    input_id: ArrayLike | None = None,
    description: Mapping[str, Any] | None = None,
) -> Plan:
    """A plan of which only the preparation is known; the rest of its drive is NaN until it was played.

    Drive channels: those of the devices, in order, without repetition. Raises ExcitationError.
    """
    if not devices:
        raise ExcitationError("a closed loop needs at least one device")
    if n_trials < 1 or n_samples < 1:
        raise ExcitationError(f"a closed loop needs at least one trial and one sample, not {n_trials} and {n_samples}")
    chosen = [station.driven(name) for name in dict.fromkeys(devices)]
    rates = {device.name: device.sample_rate_Hz for device in chosen}
    if len(set(rates.values())) > 1:
        raise ExcitationError(f"devices in one closed loop need one sample_rate_Hz in the station file, not {rates}")
    channels = tuple(dict.fromkeys(name for device in chosen for name in device.drive))
    at_rest = np.tile([station.channels[name].rest for name in channels], (n_trials, n_samples, 1))
    ids = {} if input_id is None else {"input_id": np.asarray(input_id, dtype=np.int64)}
    excitation = Excitation(
        at_rest, channels, chosen[0].dt_s, description={"design": "closed loop", **(description or {})}, **ids
    )
    plan = make_plan(station, excitation, mode="stepped", prepare=prepare)
    drive = plan.drive.copy()
    drive[:, plan.n_prepare :] = np.nan
    return replace(plan, drive=drive)


def play_closed_loop(session: Session, bench: SteppedBench, controller: Controller) -> None:
    """Stepped mode with a controller in the place of the table; `session.plan.drive` becomes what was played.

    Raises what the controller raises, OutOfLimits or TooFast for what it must not do, and as stepped mode does.
    """
    plan = session.plan
    checks = [_Check(channel, plan.dt_s) for channel in plan.drive_channels]

    def source(trial: int, sample: int, measured: Array) -> Array:
        row: Array = plan.drive[trial, sample]
        if sample >= plan.n_prepare:
            wanted = _values(controller(trial, sample - plan.n_prepare, measured.copy()), len(checks))
            before = plan.drive[trial, sample - 1]
            for check, value, last in zip(checks, wanted, before, strict=True):
                check(float(value), float(last), f"at trial {trial}, sample {sample - plan.n_prepare}")
            row[:] = wanted
        return row

    try:
        play_stepped(session, bench, source)
    finally:
        if bench.timing.turn_s:
            session.notes.append(timing_note(bench.timing))


TIMING_NOTE = "closed loop: "


def timing_note(timing: Timing) -> str:
    """How late samples came and how long reading, computing and setting took, in words."""
    late = 1e3 * np.percentile(timing.late_s, [50.0, 95.0, 100.0])
    turn = 1e3 * np.percentile(timing.turn_s, [50.0, 95.0, 100.0])
    return (
        f"{TIMING_NOTE}samples came {late[0]:.3g} ms late (median; 95 %: {late[1]:.3g}, worst {late[2]:.3g}); the drives "
        f"were set {turn[0]:.3g} ms after the reading began (median; 95 %: {turn[1]:.3g}, worst {turn[2]:.3g})"
    )


class _Check:
    """What one drive channel may be told: within its limits, and no faster than its ramp."""

    def __init__(self, channel: Channel, dt_s: float) -> None:
        self._channel = channel
        self._dt_s = dt_s
        self._rate_per_s = rate_per_s(channel, "stepped")

    def __call__(self, value: float, before: float, when: str) -> None:
        channel, (low, high) = self._channel, self._channel.limits
        if not low <= value <= high:  # NaN is neither
            raise OutOfLimits(
                f"{channel.name}: the controller wants {value:g} {channel.unit} {when}, outside {low:g}..{high:g} "
                f"{channel.unit} ({channel.where}); it was not sent"
            )
        change = abs(value - before)
        if change > self._rate_per_s * self._dt_s * _ROUNDING:
            raise TooFast(
                f"{channel.name}: the controller wants {value:g} {channel.unit} {when}, a change of {change:g} "
                f"{channel.unit} in {self._dt_s:g} s, faster than ramp_per_s = {self._rate_per_s:g} {channel.unit}/s "
                f"({channel.where}); it was not sent"
            )


def _values(wanted: ArrayLike, n_drives: int) -> Array:
    values = np.asarray(wanted, dtype=np.float64)
    if values.shape != (n_drives,):
        raise ExcitationError(
            f"the controller gave drives of shape {values.shape}; expected ({n_drives},), one for each drive channel"
        )
    return values
