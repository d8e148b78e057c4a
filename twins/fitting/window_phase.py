"""Phase "windows": free runs of 32 samples from measured histories, judged by CRPS and energy score."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence

import numpy as np
from torch import Tensor

from twins.fitting.course import Course, PhaseOptions, descend
from twins.fitting.events import Epoch
from twins.objectives.windows import draw_windows, window_score
from twins.traces import Traces

_RATE = 0.1  # of the learning rate
_WINDOW_STEPS, _N_WINDOWS, _N_DRAWS, _BATCHES_PER_EPOCH = 32, 64, 8, 4
_DEFAULT_EPOCHS = 40


def window_phase(course: Course, traces: Sequence[Traces], options: PhaseOptions) -> Generator[Epoch, None, None]:
    """Tune all parts of the twin on short free runs; kept only where the held-out free run improves beyond chance."""
    rng = np.random.default_rng([options.seed, 1])

    def losses() -> Iterator[Tensor]:
        for _ in range(_BATCHES_PER_EPOCH):
            windows = draw_windows(course.twin, traces, n_windows=_N_WINDOWS, n_steps=_WINDOW_STEPS, rng=rng)
            yield window_score(course.twin, windows, n_draws=_N_DRAWS, generator=course.generator)

    twin = course.twin
    yield from descend(
        course,
        losses,
        "windows",
        parameters=[*twin.nets.parameters(), twin.auxiliary_coupling, twin.auxiliary_rate, twin.observation_log_std],
        learning_rate=_RATE * options.learning_rate,
        n_epochs=_DEFAULT_EPOCHS if options.max_epochs is None else options.max_epochs,
        until_s=options.until_s,
        must_improve=True,
    )
