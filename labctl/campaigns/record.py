"""Play one excitation and record the response: the step that all campaigns are built of."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labctl.bench import Bench
from labctl.campaign import Campaign, Step
from labctl.events import Progress, Reported, Sampled, Warned
from labctl.excitation import Excitation
from labctl.recording import Recording


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
    step = Step(key, title)
    yield step.started()
    blocks = bench.respond(excitation, store=path, label=key, seed=seed, provenance=provenance)
    responses = bench.response_channels(excitation.channels)
    total = excitation.n_trials * excitation.n_samples
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
                excitation.dt_s,
                excitation.channels,
                responses,
                block.drive,
                block.response,
            )
            done += len(block)
            yield Progress(
                key, min(block.trial + 1, excitation.n_trials) * excitation.n_samples, total, f"{done} samples"
            )
    finally:
        blocks.close()
    for note in recording.notes:
        yield Warned(key, note)
    yield Reported(key, {"device_seconds": recording.device_seconds, "trials": recording.n_trials}, (str(path),))
    yield step.finished(f"{recording.n_trials} trials, {recording.device_seconds:.2f} s of device time")
    return recording
