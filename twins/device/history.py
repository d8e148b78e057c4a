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

    response: (…, response_delays + 1, response): the present sample and the ones before it.
    drive: (…, drive_delays, drive): the samples before the one that acts next.
    """

    response: Tensor
    drive: Tensor

    def check(self, spec: DeviceTwinSpec) -> None:
        """Raise TracesInvalid unless the shapes are the twin's."""
        wanted = ((spec.response_delays + 1, spec.n_response), (spec.drive_delays, spec.n_drive))
        given = (tuple(self.response.shape[-2:]), tuple(self.drive.shape[-2:]))
        if given != wanted:
            raise TracesInvalid(
                f"a history of this twin is response (…, {wanted[0]}) and drive (…, {wanted[1]}), not {given}"
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
    newest_first = np.arange(k, k - spec.response_delays - 1, -1)
    before = np.arange(k - 1, k - spec.drive_delays - 1, -1)
    return Histories(
        torch.from_numpy(traces.response[index][:, newest_first]), torch.from_numpy(traces.drive[index][:, before])
    )


def pick_histories(
    bank_response: Tensor, bank_drive: Tensor, n: int | Sequence[int] | Tensor, generator: torch.Generator | None
) -> Histories:
    """n random entries of a bank, or the entries of these numbers."""
    size = len(bank_response)
    if size == 0:
        raise TwinNotFitted("the twin has no start histories; fit it on traces with a preparation")
    if isinstance(n, int):
        if generator is None:
            raise TracesInvalid("drawing start histories needs generator=…, or pass their numbers")
        index = torch.randint(size, (n,), generator=generator)
    else:
        index = torch.as_tensor(n)
    return Histories(bank_response[index], bank_drive[index])
