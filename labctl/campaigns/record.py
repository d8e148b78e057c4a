"""Play one excitation and record the response: the step that all campaigns are built of."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labctl.bench import Bench
from labctl.bench.closed_loop import TIMING_NOTE
from labctl.campaign import Campaign, Step
from labctl.events import Progress, Reported, Sampled, Warned
from labctl.excitation import Excitation
from labctl.recording import Block, Recording


def record(
    bench: Bench,
    excitation: Excitation,
    *,
    path: Path,
    key: str,
    title: str,
    seed: int | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> Campaign[Recording]:
    """Play `excitation` on the bench, stream it into the recording at `path`, and return the recording.

    seed: of whatever drew the excitation, and provenance: plain data, both for the recording's provenance.

    Yields the samples as they come (`Sampled`) and the progress. Raises what the bench raises; what was measured until
    then is in the file.
    """
    blocks = bench.respond(excitation, store=path, label=key, seed=seed, provenance=provenance)
    drives, responses = excitation.channels, bench.response_channels(excitation.channels)
    layout = BlockLayout(drives, responses, excitation.n_trials, excitation.n_samples, excitation.dt_s)
    return (yield from record_blocks(blocks, layout, path=path, key=key, title=title))


@dataclass(frozen=True, slots=True)
class BlockLayout:
    """What the blocks of a recording hold: channels, and trials of so many samples, preparation apart."""

    drives: tuple[str, ...]
    responses: tuple[str, ...]
    n_trials: int
    n_samples: int
    dt_s: float


def record_blocks(
    blocks: Generator[Block, None, Recording], layout: BlockLayout, *, path: Path, key: str, title: str
) -> Campaign[Recording]:
    """Run a recording of the bench that streams into `path`, as a step of a campaign; see `record`."""
    step = Step(key, title)
    yield step.started()
    done = 0
    try:
        while True:
            try:
                block = next(blocks)
            except StopIteration as finished:
                recording: Recording = finished.value
                break
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
    for note in recording.notes:
        if not note.startswith(TIMING_NOTE):  # a figure that is always there, no warning
            yield Warned(key, note)
    yield Reported(key, {"device_seconds": recording.device_seconds, "trials": recording.n_trials}, (str(path),))
    yield step.finished(f"{recording.n_trials} trials, {recording.device_seconds:.2f} s of device time")
    return recording
