"""Phase "windows": short free runs from measured histories, judged by proper scores."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence

import numpy as np
from torch import Tensor

from twins.fitting.course import Course, PhaseOptions, descend
from twins.fitting.events import Epoch
from twins.fitting.options import WindowOptions
from twins.objectives.windows import draw_windows, window_score
from twins.traces import Traces

_RATE = 0.1  # of the learning rate
_BATCHES_PER_EPOCH = 4
_DEFAULT_EPOCHS = 40


def window_phase(course: Course, traces: Sequence[Traces], options: PhaseOptions) -> Generator[Epoch, None, None]:
    """Tune all parts of the twin, measurement noise included; kept only where the held-out free run improves beyond chance.

    Windows start from a filtered state where it is hidden; no gradient flows through the filter.
    """
    twin, rng = course.twin, np.random.default_rng([options.seed, 1])
    settings = options.settings or WindowOptions()
    assert isinstance(settings, WindowOptions)  # fit has checked
    shortest = min(part.n_samples for part in traces)
    n_steps = min(settings.n_steps, shortest - twin.spec.n_history - 1)

    def losses() -> Iterator[Tensor]:
        for _ in range(_BATCHES_PER_EPOCH):
            windows = draw_windows(twin, traces, n_windows=settings.n_windows, n_steps=n_steps, rng=rng)
            yield window_score(
                twin, windows, n_draws=settings.n_draws, generator=course.generator, score=settings.score
            )

    yield from descend(
        course,
        losses,
        "windows",
        parameters=[
            *twin.nets.parameters(),
            twin.auxiliary_coupling,
            twin.auxiliary_rate,
            twin.observation_log_std,
            twin.observation_patterns,
        ],
        learning_rate=_RATE * options.learning_rate,
        n_epochs=_DEFAULT_EPOCHS if options.max_epochs is None else options.max_epochs,
        until_s=options.until_s,
        must_improve=True,
    )
