"""When a gap counts as closed."""

import numpy as np
import pytest

from labctl.campaigns.gap import Gap
from labctl.campaigns.gap_design import GapBudget, GapSettings
from labctl.errors import CampaignError


def test_a_gap_is_closed_inside_the_larger_of_both_spreads_and_open_beyond() -> None:
    inside = Gap(promised=0.30, promise_spread=0.010, measured=0.309, repeat_spread=0.001)
    assert inside.closed
    assert not Gap(promised=0.30, promise_spread=0.010, measured=0.311, repeat_spread=0.001).closed
    assert Gap(promised=0.30, promise_spread=0.001, measured=0.309, repeat_spread=0.010).closed


def test_a_network_that_does_better_than_promised_has_a_gap_as_well() -> None:
    better = Gap(promised=0.30, promise_spread=0.010, measured=0.28, repeat_spread=0.005)
    assert better.gap == pytest.approx(-0.02)
    assert not better.closed


def test_how_many_spreads_are_allowed_is_for_the_caller_to_say() -> None:
    wide = Gap(promised=0.30, promise_spread=0.010, measured=0.315, repeat_spread=0.001, spreads=2.0)
    assert wide.closed
    assert wide.as_dict()["allowed"] == pytest.approx(0.02)


def test_a_perfect_twin_is_found_inside_in_nine_of_ten_cases_and_a_gap_of_two_spreads_hardly_ever() -> None:
    rng = np.random.default_rng(0)

    def share(offset: float) -> float:
        closed = 0
        for _ in range(4000):
            promised, measured = rng.standard_normal(24), offset + rng.standard_normal(3)
            gap = Gap(promised.mean(), promised.std(ddof=1), measured.mean(), measured.std(ddof=1))
            closed += gap.closed
        return closed / 4000

    assert 0.87 < share(0.0) < 0.95
    assert share(2.0) < 0.12


@pytest.mark.parametrize(
    "wrong", [{"n_repeats": 1}, {"n_promise_draws": 1}, {"spreads": 0.0}, {"patience": 0}, {"n_training_trials": 9}]
)
def test_settings_that_can_say_nothing_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(CampaignError):
        GapSettings(**wrong)


def test_an_empty_budget_is_refused() -> None:
    with pytest.raises(CampaignError, match="device_seconds"):
        GapBudget(0.0)
    with pytest.raises(CampaignError, match="round"):
        GapBudget(10.0, rounds=0)
