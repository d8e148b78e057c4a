"""Phase "likelihood": one-step likelihood over all samples of all traces."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence

import torch
from torch import Tensor

from twins.device.prepare import step_rows
from twins.fitting.course import Course, PhaseOptions, descend
from twins.fitting.events import Epoch
from twins.objectives.likelihood import CHUNK_ROWS, one_step_nll, shuffled_chunks
from twins.traces import Traces

_CHUNKS_PER_EPOCH = 64  # an event at least every quarter of a second, however much data there is
_DEFAULT_STEPS = 6000  # optimiser steps, about 15 CPU seconds for nets of 2 x 24
_STEPS_BEFORE_FILTER = 3000  # where measurement noise blurs every row, this is a start and no more


def likelihood_phase(course: Course, traces: Sequence[Traces], options: PhaseOptions) -> Generator[Epoch, None, None]:
    """Train the nets on the likelihood of each sample given those before it. Auxiliaries are taken as zero."""
    twin = course.twin
    rows, increments = (torch.cat(parts) for parts in zip(*(step_rows(twin, t) for t in traces), strict=True))
    chunks_per_pass = -(-len(rows) // CHUNK_ROWS)
    n_chunks = min(_CHUNKS_PER_EPOCH, chunks_per_pass * max(1, _CHUNKS_PER_EPOCH // (4 * chunks_per_pass)))
    chunks = _endless_chunks(len(rows), course.generator)

    def losses() -> Iterator[Tensor]:
        for _ in range(n_chunks):
            chosen = next(chunks)
            yield one_step_nll(twin, rows[chosen], increments[chosen])

    n_steps = _STEPS_BEFORE_FILTER if twin.spec.observation else _DEFAULT_STEPS
    yield from descend(
        course,
        losses,
        "likelihood",
        parameters=list(twin.nets.parameters()),
        learning_rate=options.learning_rate,
        n_epochs=-(-n_steps // n_chunks) if options.max_epochs is None else options.max_epochs,
        until_s=options.until_s,
    )


def _endless_chunks(n_rows: int, generator: torch.Generator) -> Iterator[Tensor]:
    while True:
        yield from shuffled_chunks(n_rows, CHUNK_ROWS, generator)
