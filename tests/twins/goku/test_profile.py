"""Profile likelihood against closed forms; sides that are open say so. All data are simulated."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from twins.errors import EquationInvalid, SeriesInvalid
from twins.goku.diagnosis.profile import Profile, ProfileEvent, ProfileSettings, profile
from twins.goku.diagnosis.profile_front import Front, half_quantile
from twins.goku.inference.coordinates import FreeCoordinates
from twins.goku.observation import KnownObservation
from twins.goku.posterior import Guess
from twins.goku.quantity import Quantity, Values
from twins.goku.series import Series
from twins.goku.system import System

SETTINGS = ProfileSettings(substeps=1, noise_sd_range=(1e-3, 1.0))


class Ramp(System):
    """x' = slope, with a second parameter that does the same: x = x(0) + (slope + weight · extra) t."""

    states = (Quantity("x", "V", -5.0, 5.0),)
    parameters = (Quantity("slope", "V/s", -2.0, 2.0), Quantity("extra", "V/s", -2.0, 2.0))
    weight = 0.0

    def drift(self, z: Values, p: Any, u: Values) -> object:
        return (p.slope + self.weight * p.extra,)


class TwoRamps(Ramp):
    """Only the sum of both slopes is known."""

    weight = 1.0


class Saturating(System):
    """x' = -level / (1 + level) x: a large level cannot be told from a larger one."""

    states = (Quantity("x", "V", -5.0, 5.0),)
    parameters = (Quantity("level", "", 0.1, 100.0, scale="log"),)

    def drift(self, z: Values, p: Any, u: Values) -> object:
        return (-p.level / (1.0 + p.level) * z.x,)


class Swinging(System):
    """x'' = -stiffness x."""

    states = (Quantity("x", "", -2.0, 2.0), Quantity("v", "1/s", -4.0, 4.0))
    parameters = (Quantity("stiffness", "1/s^2", 0.5, 2.0),)

    def drift(self, z: Values, p: Any, u: Values) -> object:
        return z.v, -p.stiffness * z.x


def drained(*arguments: Any, **options: Any) -> tuple[list[ProfileEvent], tuple[Profile, ...]]:
    events, said = profile(*arguments, **options), []
    while True:
        try:
            said.append(next(events))
        except StopIteration as stopped:
            return said, stopped.value


def ramps(n_traces: int = 1, *, slope: float = 0.4) -> tuple[Series, Guess]:
    n = 40
    times = 0.1 * np.arange(n)
    values = 1.0 + slope * times + 0.1 * np.random.default_rng(2).normal(size=(n_traces, n))
    series = Series(values[..., None], times, ("x",), ("V",), group=np.zeros(n_traces, dtype=np.int64))
    guess = Guess(np.tile([slope + 0.1, 0.3], (n_traces, 1)), np.full((n_traces, 1), 0.9), np.full((n_traces, 1), 0.2))
    return series, guess


@pytest.mark.parametrize("n_traces", [1, 3])
def test_the_interval_of_a_straight_line_is_the_one_of_the_likelihood_ratio(n_traces: int) -> None:
    """Gaussian errors of unknown size: the profile of the slope is -n/2 ln(1 + Sxx (slope - best)² / RSS) a trace, in sum."""
    series, guess = ramps(n_traces)
    said, (found,) = drained(Ramp(), None, series, guess, "slope", level=0.9, settings=SETTINGS)
    t = series.times_s[0] - series.times_s[0].mean()
    y = series.values[..., 0] - series.values[..., 0].mean(axis=1, keepdims=True)

    def height(slope: float) -> float:
        return float(-0.5 * len(t) * np.log(np.square(y - slope * t).mean(axis=1)).sum())

    grid = np.linspace(found.low - 0.1, found.high + 0.1, 40_001)
    heights = np.array([height(slope) for slope in grid])
    inside = grid[heights > heights.max() - 0.5 * 1.6448536**2]
    assert found.best == pytest.approx(grid[heights.argmax()], abs=2e-4)
    assert (found.low, found.high) == pytest.approx((inside[0], inside[-1]), abs=0.005 * (found.high - found.low))
    expected = [height(value) - heights.max() for value in found.values]
    assert found.drop == pytest.approx(np.array(expected), abs=0.02)
    assert found.converged and not (found.open_left or found.open_right) and found.lost < 0.01
    assert {event.phase for event in said} >= {"top", "outwards"}
    assert f"{found.low:.5g} .. {found.high:.5g} V/s" in found.lines()[0]


def test_a_sum_leaves_each_part_open_to_both_sides_and_the_other_follows() -> None:
    series, guess = ramps()
    _, (found,) = drained(TwoRamps(), None, series, guess, "slope", settings=SETTINGS)
    # slope + extra = 0.4, and extra reaches from -2 to 2: slope = -1.6 is the least, 2 the largest that its range has
    assert found.open_right and found.high == 2.0
    assert found.low == pytest.approx(-1.6, abs=0.1) and not found.open_left
    near = found.drop > -0.5
    assert np.ptp(found.values[near]) > 3.0
    total = found.others[near].sum(axis=1)
    assert total == pytest.approx(np.full(len(total), total.mean()), abs=0.06)
    assert any("open to the right: it runs into the prior's bound at 2 V/s" in line for line in found.lines())


def test_a_side_is_open_where_the_data_cannot_end_it() -> None:
    times = 0.1 * np.arange(40)
    level = 30.0
    values = np.exp(-level / (1 + level) * times) + 0.02 * np.random.default_rng(0).normal(size=40)
    series = Series(values[None, :, None], times, ("x",), ("V",))
    guess = Guess(np.array([[level]]), np.array([[1.0]]), np.array([[0.02]]))
    _, (found,) = drained(Saturating(), None, series, guess, "level", settings=SETTINGS)
    assert found.open_right and not found.open_left
    assert 3.0 < found.low < level and found.high == 100.0
    assert found.as_dict()["open_right"] is True


def test_every_group_has_a_profile_and_a_wider_level_a_wider_interval() -> None:
    series, guess = ramps(2)
    apart = Series(series.values, series.times_s, ("x",), ("V",), group=np.array([4, 2]))
    _, at90 = drained(Ramp(), None, apart, guess, "slope", level=0.9, settings=SETTINGS)
    _, at99 = drained(Ramp(), None, apart, guess, "slope", level=0.99, settings=SETTINGS)
    assert [one.group for one in at90] == [2, 4]
    for narrow, wide in zip(at90, at99, strict=True):
        ratio = (wide.high - wide.low) / (narrow.high - narrow.low)
        assert ratio == pytest.approx(2.5758 / 1.6449, rel=0.05)


def test_a_better_top_than_the_estimate_moves_the_interval_and_is_told() -> None:
    """Points as of a parabola about 0 with half the height 1, then one that lies higher at 1."""
    front = Front(0, torch.zeros(1, dtype=torch.float64), 5.0, torch.eye(1, dtype=torch.float64), half_quantile(0.9))
    held = torch.tensor([[-2.0], [-1.0], [1.0], [2.0], [3.0]], dtype=torch.float64)
    done = torch.ones(5, dtype=torch.bool)
    front.add(held, 5.0 - 0.5 * held[:, 0].square(), done)
    assert front.end(-1) == (pytest.approx(-1.6449, abs=1e-3), False)
    assert front.end(1) == (pytest.approx(1.6449, abs=1e-3), False)
    front.add(torch.tensor([[1.0]], dtype=torch.float64), torch.tensor([7.0], dtype=torch.float64), done[:1])
    assert front.higher_top == 2.0 and front.n_points == 6
    low, is_open = front.end(-1)
    assert 0.0 < low < 1.0 and not is_open  # the old top lies 2 nats below the new one, more than 1.35


@pytest.mark.parametrize("share", [1e-8, 1e-4, 0.009, 0.5, 1.0 - 0.002, 1.0 - 1e-8])
@pytest.mark.parametrize("scale", ["linear", "log"])
def test_a_value_anywhere_in_its_range_keeps_its_place_in_free_coordinates(share: float, scale: str) -> None:
    class OfRange(Saturating):
        parameters = (Quantity("level", "", 0.05, 300.0, scale=scale),)

    coordinates = FreeCoordinates(OfRange(), (np.array([1e-3]), np.array([1.0])))
    level = 0.05 + 299.95 * share if scale == "linear" else 0.05 * 6000.0**share
    here = torch.tensor([[level, 0.1, 0.02]], dtype=torch.float64)
    assert coordinates.physical(coordinates.free(here)).numpy() == pytest.approx(here.numpy(), rel=1e-9)


def test_a_value_on_or_beyond_an_end_of_its_range_is_moved_one_percent_inside() -> None:
    coordinates = FreeCoordinates(Saturating(), (np.array([1e-3]), np.array([1.0])))
    x = torch.tensor([[0.1, -5.0, 0.02], [400.0, 9.0, 0.02]], dtype=torch.float64)
    level, state, _ = coordinates.physical(coordinates.free(x)).T
    assert level.tolist() == pytest.approx([0.1 * 1000.0**0.01, 0.1 * 1000.0**0.99])
    assert state.tolist() == pytest.approx([-4.9, 4.9])


def test_the_interval_does_not_depend_on_how_wide_the_range_is() -> None:
    """In the wide range the stiffness lies 0.4 % from an end: moved 1 % inside it would climb to a false top nearby."""
    times = 0.1 * np.arange(100)
    stiffness = 1.2
    x = np.cos(np.sqrt(stiffness) * times)[:, None] + 0.05 * np.random.default_rng(3).normal(size=(100, 1))
    series = Series(x[None], times, ("x",), ("",))
    guess = Guess(np.array([[stiffness]]), np.array([[1.0, 0.0]]), np.array([[0.05]]))
    found = []
    for limits in ((0.5, 2.0), (0.05, 300.0)):
        swinging = Swinging().with_ranges({"stiffness": limits})
        observation = KnownObservation.of_outputs(swinging, ["x"])
        found.extend(drained(swinging, observation, series, guess, "stiffness", settings=SETTINGS)[1])
    near, wide = found
    assert (wide.low, wide.best, wide.high) == pytest.approx((near.low, near.best, near.high), rel=1e-3)
    assert near.low < stiffness < near.high and wide.lost < 0.01


def test_an_estimate_better_than_all_its_profile_reaches_is_told() -> None:
    """The slope of the data, 0.4, lies beyond the range."""
    series, guess = ramps()
    _, (found,) = drained(Ramp().with_ranges({"slope": (1.0, 2.0)}), None, series, guess, "slope", settings=SETTINGS)
    assert found.lost > 10.0
    assert any("is not about it" in line for line in found.lines())


def test_what_cannot_be_profiled_is_refused() -> None:
    series, guess = ramps()
    with pytest.raises(EquationInvalid, match="no parameter 'speed'"):
        next(profile(Ramp(), None, series, guess, "speed"))
    with pytest.raises(SeriesInvalid, match="level"):
        next(profile(Ramp(), None, series, guess, "slope", level=1.5))
    with pytest.raises(SeriesInvalid, match="the estimate needs"):
        next(profile(Ramp(), None, series, Guess(guess.parameters, guess.initial, guess.noise_sd[:, :0]), "slope"))
