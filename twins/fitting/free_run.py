"""The score that chooses checkpoints: how well a twin, left to itself, foresees held-out responses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from twins.device.history import Histories, histories_of, start_sample
from twins.device.twin import DeviceTwin
from twins.objectives.scores import crps
from twins.traces import Traces


@dataclass(frozen=True, slots=True, eq=False)
class _Case:
    drive: Tensor  # (trial, time, drive)
    observed: Tensor  # (trial, time - 1, response), without the known start
    history: Histories
    noise: Tensor  # (time - 1, draw, trial, noise): the same for every checkpoint, so that they compare
    conditions: Mapping[str, float]


class FreeRunScore:
    """CRPS of free-running responses from measured starts, in units of each response channel's spread.

    n_draws sampled responses a trial; at most n_samples of every trial and n_trials of each of the traces are scored.
    """

    def __init__(
        self,
        twin: DeviceTwin,
        traces: Sequence[Traces],
        *,
        generator: torch.Generator,
        n_draws: int = 16,
        n_samples: int = 400,
        n_trials: int = 32,
    ) -> None:
        self._n_draws = n_draws
        self._seed = int(torch.randint(2**31, (1,), generator=generator))  # of starts and measurement noise
        self._cases = []
        for part in traces:
            kept = part.select(range(min(n_trials, part.n_trials)))
            start = start_sample(twin.spec, kept)
            stop = min(start + n_samples, kept.n_samples)
            shape = (stop - start - 1, n_draws, kept.n_trials, twin.spec.n_noise)
            self._cases.append(
                _Case(
                    drive=torch.tensor(kept.drive[:, start:stop]),
                    observed=torch.tensor(kept.response[:, start + 1 : stop]),
                    history=histories_of(twin.spec, kept),
                    noise=torch.randn(shape, generator=generator, dtype=torch.float32),
                    conditions=kept.conditions,
                )
            )

    @torch.no_grad()
    def __call__(self, twin: DeviceTwin) -> Tensor:
        """The scores of all quarters of all trials, (quarter of a trial,); infinite where a response diverged."""
        parts = []
        for case in self._cases:
            drive = case.drive.expand(self._n_draws, *case.drive.shape)
            noise = case.noise.to(twin.linear_weight)
            # Held-out drives may exceed the training range a little; that is for the score to judge.
            samples = twin.respond(
                drive,
                history=case.history,
                noise=noise,
                conditions=case.conditions,
                generator=torch.Generator().manual_seed(self._seed),
                check_range=False,
            )
            values = (crps(samples[:, :, 1:], case.observed) / twin.response_scale).mean(-1)
            parts += [quarter.mean(1) for quarter in values.chunk(4, dim=1)]
        return torch.cat(parts).nan_to_num(nan=float("inf"), posinf=float("inf"))
