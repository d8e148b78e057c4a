"""Ports: the levels that real outputs can take."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from twins.network import DevicePort, DriveLine, Levels, WiringError
from twins.network.layer_parameters import rounded


def test_a_converter_of_n_bits_has_two_to_the_n_levels_with_both_ends() -> None:
    levels = Levels.of_bits(3, -1.0, 1.0)
    every = np.unique(levels.nearest(np.linspace(-1, 1, 10_001)))
    np.testing.assert_allclose(every, np.linspace(-1, 1, 8), atol=1e-12)
    assert levels.nearest([5.0, -5.0]).tolist() == [1.0, -1.0]


def test_a_drive_takes_the_nearest_level_inside_its_range_only() -> None:
    line = DriveLine(0.0, 0.5, levels=Levels(-1.0, 1.0, 9))  # steps of 0.25
    assert line.usable_levels == Levels(-0.5, 0.5, 5)
    narrow = DriveLine(0.1, 0.3, levels=Levels(-1.0, 1.0, 9))
    assert narrow.usable_levels == Levels(0.0, 0.25, 2)


def test_a_range_between_two_levels_is_refused() -> None:
    with pytest.raises(WiringError, match=r"fewer than two of the 9 levels"):
        DriveLine(0.1, 0.05, levels=Levels(-1.0, 1.0, 9))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Levels(1.0, 1.0, 4), "low < high"),
        (lambda: Levels(0.0, 1.0, 1), "2 to 2"),
        (lambda: Levels.of_bits(0, 0.0, 1.0), "1 to 32 bits"),
        (lambda: DevicePort("a", ()), "at least one drive"),
        (lambda: DriveLine(0.0, 0.0), "wider than 0"),
    ],
)
def test_what_cannot_be_is_refused(make: object, message: str) -> None:
    with pytest.raises(WiringError, match=message):
        make()  # type: ignore[operator]


def test_rounding_has_the_gradient_of_what_was_rounded() -> None:
    values = torch.linspace(-0.9, 0.9, 50, dtype=torch.float64, requires_grad=True)
    levels = Levels(-1.0, 1.0, 5)
    out = rounded(values, levels)
    np.testing.assert_allclose(out.detach().numpy(), levels.nearest(values.detach().numpy()), atol=1e-12)
    weight = torch.arange(50.0, dtype=torch.float64)
    assert torch.equal(torch.autograd.grad((out * weight).sum(), values)[0], weight)
