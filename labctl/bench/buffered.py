"""Buffered mode: waveforms played from a generator's memory, responses recorded into a digitiser's, in step."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drivers.errors import DriverError
from drivers.roles import Digitiser, Instrument, Player
from labctl.bench.plan import Plan
from labctl.bench.session import Session
from labctl.channels import OutputChannel
from labctl.errors import InstrumentFault

FETCH_SAMPLES = 100_000
"""At most so many samples are fetched at a time, so that Stop acts soon."""
FETCH_INTERVAL_S = 0.03
"""Samples are fetched, and are on disk, this often while a record runs: larger blocks cost less, and 0.1 s may be lost."""
_SHORTEST_WAIT_S, _LONGEST_WAIT_S = 2e-4, 0.02
_AT_THE_RAIL = 0.9999


@dataclass(frozen=True, slots=True)
class BufferedBench:
    """The instruments of one buffered recording."""

    player: Player
    digitiser: Digitiser
    instruments: tuple[Instrument, ...]
    outputs: Sequence[OutputChannel]
    names: str
    timeout_s: float


def play_buffered(session: Session, bench: BufferedBench, groups: Sequence[tuple[int, int]]) -> None:
    """Play the groups (first trial, number of trials) one after another, and take what comes."""
    with _ended_at_rest(bench, session):
        for first, count in groups:
            session.check()
            session.rest_if_wanted(first)  # every play ends at rest
            _play(session, bench, first, count)
            for instrument in bench.instruments:
                instrument.check_errors()


def configure_digitiser(bench: BufferedBench, plan: Plan, n_trials: int) -> None:
    """Set the digitiser up for a play of so many trials."""
    bench.digitiser.configure(
        {channel.terminal: (channel.range or 0.0) * channel.to_instrument for channel in plan.response_channels},
        sample_rate_Hz=plan.sample_rate_Hz,
        n_samples=plan.play_samples(n_trials),
    )


@contextlib.contextmanager
def _ended_at_rest(bench: BufferedBench, session: Session) -> Iterator[None]:
    """Whatever happens, end the record and the play; after a failure, further failures are only noted."""
    try:
        for output in bench.outputs:
            output.enable_at_rest()
            output.playing = True
        yield
        bench.player.stop()
    except BaseException:
        for end in (bench.player.stop, bench.digitiser.abort):
            try:
                end()
            except DriverError as error:  # the first failure is raised; making safe tries again and reports
                session.notes.append(f"ending the play: {error}")
        raise
    finally:
        for output in bench.outputs:
            output.playing = False


def _play(session: Session, bench: BufferedBench, first: int, count: int) -> None:
    plan = session.plan
    waveforms = plan.waveforms(first, count)
    configure_digitiser(bench, plan, count)
    bench.player.load(
        {
            channel.terminal: waveforms[:, index] * channel.to_instrument
            for index, channel in enumerate(plan.drive_channels)
        },
        sample_rate_Hz=plan.sample_rate_Hz,
    )
    bench.digitiser.arm()
    bench.player.arm()
    session.check()
    bench.player.trigger()
    session.played_samples += waveforms.shape[0]
    _fetch(session, bench, first, count * plan.n_samples, waveforms.shape[0] * plan.dt_s)


def _fetch(session: Session, bench: BufferedBench, first: int, n_wanted: int, play_s: float) -> None:
    """Fetch the first n_wanted samples of the record as they become ready."""
    fetched, known = 0, 0
    began = asked = progress = time.monotonic()
    patience_s = bench.timeout_s + 1.1 * play_s
    while fetched < n_wanted:
        session.check()
        ready = min(bench.digitiser.samples_ready(), n_wanted)
        now = time.monotonic()
        if ready > known:
            known, progress = ready, now
        if ready == n_wanted or (ready > fetched and now - asked > FETCH_INTERVAL_S):
            count = min(ready - fetched, FETCH_SAMPLES)
            trial, start = divmod(fetched, session.plan.n_samples)
            session.take(first + trial, start, _response(session, bench, fetched, count))
            fetched, asked = fetched + count, now
        elif now - progress > patience_s:
            raise InstrumentFault(
                f"{bench.names}: {fetched} of {n_wanted} samples came, and no more for {patience_s:.1f} s; does the "
                "trigger line reach the digitiser?"
            )
        else:  # the longer it has taken, the less a pause of a tenth of that matters
            session.wait(min(max(0.1 * (now - began), _SHORTEST_WAIT_S), _LONGEST_WAIT_S))


def _response(session: Session, bench: BufferedBench, start: int, count: int) -> NDArray[np.float64]:
    channels = session.plan.response_channels
    response = np.empty((count, len(channels)))
    for index, channel in enumerate(channels):
        volts = bench.digitiser.fetch(channel.terminal, start, count)
        if volts.shape != (count,):
            raise InstrumentFault(f"{channel.name}: asked for {count} samples, {volts.shape} came")
        np.multiply(volts, 1.0 / channel.to_instrument, out=response[:, index])
        rail = _AT_THE_RAIL * (channel.range or np.inf)
        if max(response[:, index].max(), -response[:, index].min()) >= rail:
            note = (
                f"{channel.name} reached its range of ±{channel.range:g} {channel.unit}: it may have been cut off there"
            )
            if note not in session.notes:
                session.notes.append(note)
    return response
