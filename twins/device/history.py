"""What a device did just before the drive starts: measured, and kept with the twin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from twins.device.spec import DeviceTwinSpec
from twins.errors import TracesInvalid, TwinNotFitted
from twins.traces import Traces


@dataclass(frozen=True, slots=True, eq=False)
class Histories:
    """Measured starts, in physical units, newest first.

    response: (…, warm_up + response_delays + 1, response): the present sample and the ones before it.
    drive: (…, warm_up + drive_delays, drive): the samples before the one that acts next.
    """

    response: Tensor
    drive: Tensor

    def check(self, spec: DeviceTwinSpec) -> None:
        """Raise TracesInvalid unless the shapes are the twin's."""
        wanted = (
            (spec.warm_up + spec.response_delays + 1, spec.n_response),
            (spec.warm_up + spec.drive_delays, spec.n_drive),
        )
        given = (tuple(self.response.shape[-2:]), tuple(self.drive.shape[-2:]))
        if given != wanted:
            raise TracesInvalid(
                f"a history of this twin is response (…, {wanted[0]}) and drive (…, {wanted[1]}), not {given}"
            )

    def reshape(self, *batch: int) -> Histories:
        """The same with these batch dimensions."""
        return Histories(
            self.response.reshape(*batch, *self.response.shape[-2:]), self.drive.reshape(*batch, *self.drive.shape[-2:])
        )


def start_sample(spec: DeviceTwinSpec, traces: Traces) -> int:
    """The first sample whose drive is not preparation and that has enough history before it."""
    return max(traces.n_prepare, spec.n_history)


def histories_of(
    spec: DeviceTwinSpec, traces: Traces, trials: Sequence[int] | np.ndarray | None = None, *, at: int | None = None
) -> Histories:
    """The measured histories of these trials (default all) at sample `at` (default: where scoring starts).

    Shapes (trial, …), float64. Raises TracesMismatch if the data are not the twin's, TracesInvalid if `at` is too
    early.
    """
    spec.check_traces(traces)
    k = start_sample(spec, traces) if at is None else at
    if not spec.n_history <= k < traces.n_samples:
        raise TracesInvalid(f"a history of {spec.n_history} samples cannot end at sample {k}")
    index = np.arange(traces.n_trials) if trials is None else np.asarray(trials)
    newest_first = np.arange(k, k - spec.warm_up - spec.response_delays - 1, -1)
    before = np.arange(k - 1, k - spec.warm_up - spec.drive_delays - 1, -1)
    return Histories(
        torch.from_numpy(traces.response[index][:, newest_first]), torch.from_numpy(traces.drive[index][:, before])
    )


@dataclass(frozen=True, slots=True, eq=False)
class Bank:
    """Measured starts kept with a twin: (entry, …) as in Histories, and the conditions of each, (entry, condition)."""

    response: Tensor
    drive: Tensor
    conditions: Tensor

    def pick(
        self,
        n: int | Sequence[int] | Tensor,
        *,
        generator: torch.Generator | None = None,
        conditions: Tensor | None = None,
    ) -> Histories:
        """n random entries, or the entries of these numbers; with conditions (n, condition) only of the nearest ones."""
        size = len(self.response)
        if size == 0:
            raise TwinNotFitted("the twin has no start histories; fit it on traces with a preparation")
        if not isinstance(n, int):
            index = torch.as_tensor(n)
        elif generator is None:
            raise TracesInvalid("drawing start histories needs generator=…, or pass their numbers")
        elif conditions is None or self.conditions.shape[1] == 0:
            index = torch.randint(size, (n,), generator=generator)
        else:
            index = self._among_nearest(conditions.to(self.conditions), generator)
        return Histories(self.response[index], self.drive[index])

    def _among_nearest(self, conditions: Tensor, generator: torch.Generator) -> Tensor:
        scale = self.conditions.std(0, correction=0).clamp_min(1e-12)
        distance = torch.cdist(conditions / scale, self.conditions / scale)
        nearest = distance <= distance.amin(1, keepdim=True) + 1e-6
        lot = torch.rand(distance.shape, generator=generator).to(distance)
        return (lot * nearest).argmax(1)
