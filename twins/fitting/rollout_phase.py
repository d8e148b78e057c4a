"""Phase "rollout": mean squared error of noiseless free runs over a horizon, from measured states, by Adam."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from twins.device.twin import DeviceTwin
from twins.fitting.course import Course, PhaseOptions, descend
from twins.fitting.events import Epoch
from twins.fitting.noise_matching import match_noise, windows_to_match
from twins.fitting.options import RolloutOptions
from twins.fitting.rollouts import Rollouts, free_run, rollouts
from twins.traces import Traces

_ITERATIONS_PER_EPOCH = 8
_MOST_WINDOWS = 100_000


def rollout_phase(course: Course, traces: Sequence[Traces], options: PhaseOptions) -> Generator[Epoch, None, None]:
    """Train the drift, net and backbone, on short free runs; see RolloutOptions.

    The noise keeps its shape; at the end its level is set so that free runs spread as much as they err. This is the
    first phase of Nat. Commun. 16:9192 (2025), whose twins have no backbone.
    """
    settings = options.settings if isinstance(options.settings, RolloutOptions) else RolloutOptions()
    twin, rng = course.twin, np.random.default_rng([options.seed, 2])
    bank = rollouts(twin, traces, n_steps=settings.n_steps, n_windows=_MOST_WINDOWS, rng=rng)
    n_windows = min(settings.n_windows, bank.n_windows)

    def losses() -> Iterator[Tensor]:
        for _ in range(_ITERATIONS_PER_EPOCH):
            yield rollout_error(twin, bank.part(torch.from_numpy(rng.choice(bank.n_windows, n_windows, replace=False))))

    n_epochs = -(-settings.n_iterations // _ITERATIONS_PER_EPOCH)
    yield from descend(
        course,
        losses,
        "rollout",
        parameters=[*twin.nets.parameters(), twin.linear_weight, twin.linear_bias, twin.higher_weight],
        learning_rate=settings.learning_rate,
        n_epochs=n_epochs if options.max_epochs is None else options.max_epochs,
        until_s=options.until_s,
        constant_rate=True,
    )
    course.restore_kept()
    if match_noise(twin, windows_to_match(course, traces, rng=rng)):
        course.epoch += 1
        kept = course.judge("rollout")
        yield Epoch("rollout", course.epoch, float("nan"), course.latest, course.seconds, kept, 1.0)


def rollout_error(twin: DeviceTwin, windows: Rollouts) -> Tensor:
    """Mean squared error of the free runs, in units of the backbone's one-step residual."""
    like, n = twin.linear_weight, twin.spec.n_response
    rows = free_run(twin, windows.start.to(like), windows.u.to(like))
    error = (rows[1:, :, :n] - windows.observed.to(like)) / twin.increment_scale
    return error.square().mean()
