"""A new filter in C against the one in torch, before anything is computed with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from twins.goku.compiled.check import some_states
from twins.goku.compiled.trace import NotTraceable
from twins.goku.inference.trace_data import TraceData
from twins.goku.observation import KnownObservation, same_outputs

if TYPE_CHECKING:
    from twins.goku.compiled.filter import FilterKernel
    from twins.goku.system import System

_SAMPLES, _TRACES, _SUBSTEPS = 4, 3, 2
_STEP = 0.01  # of the unit of time
_RELATIVE = 1e-6
"""Of a prediction's largest number and of its change; rounding leaves far less, another equation far more."""


@torch.no_grad()
def check_filter(system: System, kernel: FilterKernel, n_channels: int, *, by_matrix: bool) -> None:
    """Compare predictions of a few samples. Raises NotTraceable where they differ."""
    from twins.goku.compiled.filter import filter_compiled
    from twins.goku.inference.kalman import filter_in_torch

    generator = torch.Generator().manual_seed(0)

    def drawn(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    initial, parameters = some_states(system, generator), system.draw_parameters(_TRACES, generator)
    observation = (
        KnownObservation(drawn(n_channels, system.n_outputs), drawn(n_channels)) if by_matrix else same_outputs
    )
    expected_first = observation(system.outputs_of(initial, parameters))
    values = expected_first + 0.1 * drawn(_SAMPLES, _TRACES, n_channels)
    seen = torch.ones(values.shape, dtype=torch.bool)
    seen[1, 0] = False
    drive = drawn(_SAMPLES - 1, _TRACES, len(system.drives)) if system.drives else None
    steps = _STEP * system.time_unit_s * (1.0 + torch.arange(_TRACES, dtype=torch.float64)).expand(_SAMPLES - 1, -1)
    data = TraceData(values, seen, steps, drive)
    arguments = (system, observation, data, parameters, initial, torch.full((_TRACES, n_channels), 0.01).double())
    expected = filter_in_torch(*arguments, substeps=_SUBSTEPS)
    found = filter_compiled(kernel, *arguments, substeps=_SUBSTEPS, predictions=True)
    assert found.mean is not None and found.covariance is not None
    fine = ~expected.diverged
    same = bool((expected.diverged == found.diverged).all())
    for one, other in ((expected.mean, found.mean), (expected.covariance, found.covariance)):
        same &= _agree(one[:, fine], other[:, fine])
    if not same:
        raise NotTraceable("what was traced of it is not what it computes; does it draw numbers, or change?")


def _agree(expected: Tensor, found: Tensor) -> bool:
    """Values, and how they change from sample to sample."""
    if not expected.numel():
        return True
    error, change = (expected - found).abs(), expected.diff(dim=0).abs().amax(0)
    allowed = 1e-11 * expected.abs().amax(0) + _RELATIVE * change
    return bool((error <= allowed).all())
