"""Play one excitation and record the response: the step that all campaigns are built of."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labctl.acquired import AcquisitionTeller
from labctl.acquisition import Acquisition
from labctl.bench import Bench
from labctl.bench.closed_loop import TIMING_NOTE
from labctl.campaign import Campaign, Step
from labctl.events import Progress, Reported, Sampled, Waiting, Warned
from labctl.excitation import Excitation
from labctl.pausing import PAUSE_NOTE
from labctl.recording import Block, Recording

MAX_PLAY_S = 10.0
"""Trials are joined to plays of at most this much device time, as `Bench.respond` does if it is not told otherwise."""


def record(
    bench: Bench,
    excitation: Excitation,
    *,
    path: Path,
    key: str,
    title: str,
    seed: int | None = None,
    provenance: Mapping[str, Any] | None = None,
    max_play_s: float = MAX_PLAY_S,
) -> Campaign[Recording]:
    """Play `excitation` on the bench, stream it into the recording at `path`, and return the recording.

    seed: of whatever drew the excitation, and provenance: plain data, both for the recording's provenance. max_play_s: the
    longest play; a pause waits for the end of one.

    Yields the samples as they come (`Sampled`) and the progress. Raises what the bench raises; what was measured until
    then is in the file.
    """
    blocks = bench.respond(excitation, store=path, label=key, seed=seed, provenance=provenance, max_play_s=max_play_s)
    drives, responses = excitation.channels, bench.response_channels(excitation.channels)
    layout = BlockLayout(drives, responses, excitation.n_trials, excitation.n_samples, excitation.dt_s)
    counts = counts_of_next(bench)
    return (yield from record_blocks(blocks, layout, path=path, key=key, title=title, counts=counts))


def counts_of_next(bench: Bench) -> Callable[[], Acquisition | None]:
    """What the bench counts of the recording that begins next; None until it has begun. A stand-in for a bench counts nothing."""
    before = getattr(bench, "acquisition", None)

    def counts() -> Acquisition | None:
        now: Acquisition | None = getattr(bench, "acquisition", None)
        return None if now is before else now

    return counts


@dataclass(frozen=True, slots=True)
class BlockLayout:
    """What the blocks of a recording hold: channels, and trials of so many samples, preparation apart."""

    drives: tuple[str, ...]
    responses: tuple[str, ...]
    n_trials: int
    n_samples: int
    dt_s: float


def record_blocks(
    blocks: Generator[Block, None, Recording],
    layout: BlockLayout,
    *,
    path: Path,
    key: str,
    title: str,
    counts: Callable[[], Acquisition | None] = lambda: None,
) -> Campaign[Recording]:
    """Run a recording of the bench that streams into `path`, as a step of a campaign; see `record`.

    counts: gives what the bench counts of it, for `Acquired`.
    """
    step = Step(key, title)
    yield step.started()
    teller = AcquisitionTeller(key, counts)
    done = 0
    try:
        while True:
            try:
                block = next(blocks)
            except StopIteration as finished:
                recording: Recording = finished.value
                break
            yield from teller.events()
            if not len(block):  # it rests
                yield Waiting(key)
                continue
            yield Sampled(
                key,
                block.trial,
                block.start,
                layout.dt_s,
                layout.drives,
                layout.responses,
                block.drive,
                block.response,
            )
            done += len(block)
            finished_trials = min(block.trial + 1, layout.n_trials)
            total = layout.n_trials * layout.n_samples
            yield Progress(key, finished_trials * layout.n_samples, total, f"{done} samples")
    finally:
        blocks.close()
    yield from teller.events(last=True)
    for note in recording.notes:
        if not note.startswith((TIMING_NOTE, PAUSE_NOTE)):  # a figure that is always there, what is known: no warnings
            yield Warned(key, note)
    yield Reported(key, {"device_seconds": recording.device_seconds, "trials": recording.n_trials}, (str(path),))
    yield step.finished(f"{recording.n_trials} trials, {recording.device_seconds:.2f} s of device time")
    return recording
