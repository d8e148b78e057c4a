"""Channels that never move, and channels at a rail."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np

from labctl.outside_data.errors import OutsideDataError
from labctl.outside_data.treatments import Treatments
from labctl.outside_data.trial import Record, Samples, Trial, longest_run

Role = Literal["drive", "response"]

_FEWEST = 8  # samples at a rail
_SHORTEST_RUN = 3  # samples in a row
_OUTSTANDING = 2.5  # times as many samples at the rail as at the values next to it; a digitised sine has up to 2.4
_BLATANT = 10.0  # times as many: a rail, even where a fast response never stays there for samples in a row
_NEIGHBOURS = 3  # values next to it that are looked at
_FEW_LEVELS = 16  # a drive of so few values is a signal of levels, and its extremes are no rails


@dataclass(frozen=True, slots=True)
class Rail:
    """A channel that stands at its extreme value suspiciously often. share: of its samples; longest: in a row."""

    role: Role
    channel: int
    name: str
    value: float
    samples: int
    share: float
    longest: int


def check_moving(trials: Sequence[Trial], drive_names: Sequence[str], response_names: Sequence[str]) -> None:
    """Raise OutsideDataError for a channel that has one value in all trials."""
    roles: tuple[tuple[Role, Sequence[str]], ...] = (("drive", drive_names), ("response", response_names))
    for role, names in roles:
        for channel, name in enumerate(names):
            values = _values(trials, role, channel)
            if not len(values) or values.min() < values.max():
                continue
            value = f"{name} never moves: it is {values[0]:.6g} in all {len(values)} samples"
            if role == "drive":
                raise OutsideDataError(
                    f"{value}. What is held constant is a condition, not a drive: leave it out of --drive and give "
                    f"--condition {name}={values[0]:.6g}"
                )
            raise OutsideDataError(
                f"{value}, so there is nothing to learn from it; look at its wiring, or leave it out"
            )


def settle_clipped(
    trials: Sequence[Trial], drive_names: Sequence[str], response_names: Sequence[str], treatments: Treatments
) -> tuple[list[Rail], list[Record]]:
    """The rails that were found, and what becomes of them. Raises OutsideDataError where nothing was declared."""
    rails = [
        rail
        for role, names in (("drive", drive_names), ("response", response_names))
        for channel, name in enumerate(names)
        for rail in _rails(trials, "drive" if role == "drive" else "response", channel, name)
    ]
    if rails and treatments.clipped == "refuse":
        texts = "; ".join(
            f"{rail.name} is exactly {rail.value:.6g} in {rail.samples} samples ({100 * rail.share:.3g} %), up to "
            f"{rail.longest} in a row"
            for rail in rails
        )
        raise OutsideDataError(
            f"this looks clipped: {texts}, its extreme value. A twin would learn the instrument's rails as the device's "
            "law: record again in a wider range; --clipped drop leaves the segments that touch a rail away, --clipped "
            "accept takes the data as they are (a channel that really rests there)"
        )
    return rails, [{"treatment": f"clipped: {treatments.clipped}", **asdict(rail)} for rail in rails]


def touches(trial: Trial, rails: Sequence[Rail]) -> bool:
    """Whether any sample stands at a rail."""
    return any(bool((getattr(trial, rail.role)[:, rail.channel] == rail.value).any()) for rail in rails)


def _values(trials: Sequence[Trial], role: Role, channel: int) -> Samples:
    values = np.concatenate([getattr(trial, role)[:, channel] for trial in trials])
    finite: Samples = values[np.isfinite(values)]
    return finite


def _rails(trials: Sequence[Trial], role: Role, channel: int, name: str) -> list[Rail]:
    values = _values(trials, role, channel)
    levels, counts = np.unique(values, return_counts=True)
    if len(levels) < 3 or (role == "drive" and len(levels) <= _FEW_LEVELS):
        return []
    found = []
    for at, beside in ((0, slice(1, 1 + _NEIGHBOURS)), (-1, slice(-1 - _NEIGHBOURS, -1))):
        value, count = float(levels[at]), int(counts[at])
        if role == "drive" and value == 0.0:  # a drive rests at zero between its pulses
            continue
        if count < _FEWEST or count < _OUTSTANDING * counts[beside].max():
            continue
        runs = max(longest_run(getattr(trial, role)[:, channel] == value) for trial in trials)
        at_once = role == "response" and count > _BLATANT * counts[beside].max()  # of a signal too fast to stay there
        if at_once or (runs >= _SHORTEST_RUN and runs > _usual_run(trials, role, channel)):
            found.append(Rail(role, channel, name, value, count, count / len(values), runs))
    return found


def _usual_run(trials: Sequence[Trial], role: Role, channel: int) -> int:
    """How long other values are held, as by a drive in steps: the 90 % quantile of runs between the extremes."""
    lengths = []
    for trial in trials:
        values = getattr(trial, role)[:, channel]
        edges = np.flatnonzero(np.concatenate(([True], values[1:] != values[:-1], [True])))
        starts = values[edges[:-1]]
        inside = (starts > np.nanmin(values)) & (starts < np.nanmax(values)) if np.isfinite(values).any() else []
        lengths.append(np.diff(edges)[inside])
    runs = np.concatenate(lengths)
    return int(np.quantile(runs, 0.9)) if len(runs) else 1
