"""Stepped mode: for channels without a player or digitiser. Set, settle, read, sample by sample, in real time."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from labctl.bench.session import Session
from labctl.channels import InputChannel, OutputChannel
from labctl.errors import InstrumentFault

BLOCK_S = 0.05
"""Samples are passed on, and are on disk, at least this often."""
_LATE_S = 0.05


@dataclass(frozen=True, slots=True)
class SteppedBench:
    """The channels of one stepped recording."""

    outputs: Sequence[OutputChannel]
    inputs: Sequence[InputChannel]


def play_stepped(session: Session, bench: SteppedBench) -> None:
    """Sample k is read at k·dt_s and then the drive of k is set, so that it acts until the next reading.

    A sample that came late is not made up for: no drive changes faster than its ramp_per_s in real time.

    Raises InstrumentFault if the instruments cannot keep up with the sampling time.
    """
    for output in bench.outputs:
        output.enable_at_rest(epoch=session.epoch)
    try:
        for output in bench.outputs:
            output.playing = True
        for trial in range(session.plan.n_trials):
            _play_trial(session, bench, trial)
    finally:
        for output in bench.outputs:
            output.playing = False
        for output in bench.outputs:
            if output.known and not session.made_safe:
                output.set(output.channel.rest, epoch=session.epoch)


def _play_trial(session: Session, bench: SteppedBench, trial: int) -> None:
    plan = session.plan
    drive = plan.drive[trial]
    response = np.empty((plan.n_samples, len(bench.inputs)))
    per_block = max(1, int(BLOCK_S / plan.dt_s))
    latest_s, taken = 0.0, 0
    began = time.monotonic() + (plan.dt_s if trial else 0.0)  # the last sample of the trial before acts as long, too
    for sample in range(plan.n_samples):
        session.check()
        due_s = began + sample * plan.dt_s - time.monotonic()
        if due_s > 0.0:
            session.wait(due_s)
            session.check()
        latest_s = max(latest_s, -due_s)
        if latest_s > max(plan.dt_s, _LATE_S):
            raise InstrumentFault(
                f"the instruments are too slow for a sampling time of {plan.dt_s:g} s: sample {sample} of trial {trial} came "
                f"{latest_s:.3g} s late; lower the device's sample_rate_Hz"
            )
        for index, sense in enumerate(bench.inputs):
            response[sample, index] = sense.read()
        for index, output in enumerate(bench.outputs):
            _step(session, output, float(drive[sample, index]))
        session.played_samples += 1
        if sample + 1 - taken >= per_block or sample + 1 == plan.n_samples:
            session.take(trial, taken, response[taken : sample + 1])
            taken = sample + 1
    if latest_s > 0.5 * plan.dt_s:
        session.notes.append(f"trial {trial}: samples came up to {1e3 * latest_s:.2g} ms late")


def _step(session: Session, output: OutputChannel, value: float) -> None:
    """Set it as soon as the channel's rate allows; if that delays the samples too long, the next one says so."""
    while (early_s := output.too_early_s(value)) > 0.0:
        if math.isinf(early_s):
            break  # `step` tells why not
        session.wait(early_s)
        session.check()
    output.step(value, session.epoch)
