"""Sample by sample in real time: read all, decide, set all. Where the drive comes from is the caller's: a table, a controller."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

from labctl.bench.at_once import AtOnce
from labctl.bench.session import Session
from labctl.channels import InputChannel, OutputChannel
from labctl.errors import InstrumentFault, RecordingError

Array = NDArray[np.float64]
DriveSource = Callable[[int, int, Array], Array]
"""(trial, sample, measured (response channel,)) -> (drive channel,); samples are counted from the first of preparation."""

BLOCK_S = 0.05
"""Samples are passed on, and are on disk, at least this often."""
LATE = 0.5
"""A sample counts as late when its reading begins later than due by more than this share of the sampling time."""
_LATE_S = 0.1
_LATE_IN_A_ROW = 5
"""An operating system pauses for some tens of milliseconds now and then, and that is caught up with; instruments that are
too slow never are in time again."""


@dataclass(slots=True)
class Timing:
    """How punctual samples were: how late each reading began, and how long until all drives were set (s)."""

    late_s: list[float] = field(default_factory=list)
    turn_s: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class SteppedBench:
    """The channels of one stepped recording, read and set at the same time as far as they are on different instruments."""

    outputs: Sequence[OutputChannel]
    inputs: Sequence[InputChannel]
    timing: Timing = field(default_factory=Timing)

    @contextlib.contextmanager
    def ready(self, session: Session) -> Iterator[Turn]:
        """Outputs on and at rest; while the block runs nothing else may set them. At its end they go back to rest."""
        for output in self.outputs:
            output.enable_at_rest(epoch=session.epoch)
        try:
            for output in self.outputs:
                output.playing = True
            with Turn(self, session) as turn:
                yield turn
        finally:
            for output in self.outputs:
                output.playing = False
            for output in self.outputs:
                if output.known and not session.made_safe:
                    output.set(output.channel.rest, epoch=session.epoch)


class Turn:
    """What is done at every sample."""

    def __init__(self, bench: SteppedBench, session: Session) -> None:
        self._bench = bench
        self._session = session
        self._reads = list(_by_instrument([sense.channel.instrument for sense in bench.inputs]).values())
        self._sets = list(_by_instrument([output.channel.instrument for output in bench.outputs]).values())
        self._at_once = AtOnce(max(len(self._reads), len(self._sets)))

    def read(self) -> Array:
        """Measure every input (response channel,)."""
        measured = np.empty(len(self._bench.inputs))
        self._at_once.do([partial(self._read, group, measured) for group in self._reads])
        return measured

    def set(self, values: Array) -> None:
        """Set every output (drive channel,), each as soon as its rate allows."""
        self._at_once.do([partial(self._set, group, values) for group in self._sets])

    def _read(self, group: Sequence[int], into: Array) -> None:
        for index in group:
            into[index] = self._bench.inputs[index].read()

    def _set(self, group: Sequence[int], values: Array) -> None:
        for index in group:
            _step(self._session, self._bench.outputs[index], float(values[index]))

    def __enter__(self) -> Turn:
        return self

    def __exit__(self, *_: object) -> None:
        self._at_once.close()


def play_stepped(session: Session, bench: SteppedBench, source: DriveSource | None = None) -> None:
    """Sample k is read at k·dt_s and then the drive of k is set, so that it acts until the next reading.

    source: says the drive of each sample; without it that of the plan is played. A sample that came late is not made up
    for: no drive changes faster than its ramp_per_s in real time. What was measured is kept, however this ends.

    Raises InstrumentFault if the instruments cannot keep up with the sampling time; what `source` raises.
    """
    drive = session.plan.drive

    def planned(trial: int, sample: int, measured: Array) -> Array:
        del measured
        row: Array = drive[trial, sample]
        return row

    with bench.ready(session) as turn:
        for trial in range(session.plan.n_trials):
            session.rest_if_wanted(trial, to_rest=partial(_come_to_rest, session, bench))
            _come_near_rest(session, bench)
            _play_trial(session, bench, turn, trial, source or planned)


def _play_trial(session: Session, bench: SteppedBench, turn: Turn, trial: int, source: DriveSource) -> None:
    plan = session.plan
    response = np.empty((plan.n_samples, len(bench.inputs)))
    per_block = max(1, int(BLOCK_S / plan.dt_s))
    latest_s, in_a_row, taken, done = 0.0, 0, 0, 0
    began = time.monotonic() + (plan.dt_s if trial else 0.0)  # the last sample of the trial before acts as long, too
    try:
        for sample in range(plan.n_samples):
            late_s = _wait_for(session, began + sample * plan.dt_s)
            latest_s = max(latest_s, late_s)
            in_a_row = in_a_row + 1 if late_s > max(plan.dt_s, _LATE_S) else 0
            if in_a_row >= _LATE_IN_A_ROW:
                raise InstrumentFault(
                    f"the instruments are too slow for a sampling time of {plan.dt_s:g} s: sample {sample} of trial {trial} "
                    f"came {late_s:.3g} s late, and so did those before it; lower the device's sample_rate_Hz"
                )
            reading_s = time.monotonic()
            response[sample] = turn.read()
            turn.set(source(trial, sample, response[sample]))
            session.acquisition.stepped(reading_s, late=late_s > LATE * plan.dt_s, first=sample == 0)
            bench.timing.late_s.append(late_s)
            bench.timing.turn_s.append(time.monotonic() - reading_s)
            session.played_samples += 1
            done = sample + 1
            if done - taken >= per_block or done == plan.n_samples:
                start, taken = taken, done
                session.take(trial, start, response[start:done])
    except BaseException as error:
        if done > taken:
            _keep(session, trial, taken, response[taken:done], error)
        raise
    if latest_s > LATE * plan.dt_s:
        session.notes.append(f"trial {trial}: samples came up to {1e3 * latest_s:.2g} ms late")


def _keep(session: Session, trial: int, start: int, response: Array, error: BaseException) -> None:
    """Save what was measured before `error`, which stays the one that is told of."""
    try:
        session.keep(trial, start, response)
    except RecordingError as lost:
        error.add_note(str(lost))
        session.notes.append(str(lost))


def _wait_for(session: Session, due: float) -> float:
    """Until `due` (time.monotonic); how late it is then (s)."""
    session.check()
    early_s = due - time.monotonic()
    if early_s > 0.0:
        session.wait(early_s)
        session.check()
    return max(0.0, time.monotonic() - due)


def _come_near_rest(session: Session, bench: SteppedBench) -> None:
    """Where a trial ended further from rest than a sample may go, on the way back at the rate allowed."""
    dt_s = session.plan.dt_s
    while away := [
        (output, value)
        for output in bench.outputs
        if (value := output.towards(output.channel.rest, within_s=dt_s)) != output.channel.rest
    ]:
        for output, value in away:
            _step(session, output, value)


def _come_to_rest(session: Session, bench: SteppedBench) -> None:
    """All the way, at the rate allowed."""
    _come_near_rest(session, bench)
    for output in bench.outputs:
        _step(session, output, output.channel.rest)


def _step(session: Session, output: OutputChannel, value: float) -> None:
    """Set it as soon as the channel's rate allows; if that delays the samples too long, the next one says so."""
    while (early_s := output.too_early_s(value)) > 0.0:
        if math.isinf(early_s):
            break  # `step` tells why not
        session.wait(early_s)
        session.check()
    output.step(value, session.epoch)


def _by_instrument(instruments: Sequence[str]) -> dict[str, list[int]]:
    """The indices of the channels of each instrument."""
    found: dict[str, list[int]] = {}
    for index, name in enumerate(instruments):
        found.setdefault(name, []).append(index)
    return found
