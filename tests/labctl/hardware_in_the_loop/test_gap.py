"""When a gap counts as closed."""

from collections.abc import Sequence

import numpy as np
import pytest

from labctl.campaigns.gap import Gap, device_spread_of
from labctl.campaigns.gap_design import GapBudget, GapSettings
from labctl.errors import CampaignError


def gap_of(promised: np.ndarray, measured: np.ndarray, before: Sequence[Gap] = (), spreads: float = 1.0) -> Gap:
    promise_spread, repeat_spread = float(promised.std(ddof=1)), float(measured.std(ddof=1))
    return Gap(
        float(promised.mean()), promise_spread, len(promised), float(measured.mean()), repeat_spread, len(measured),
        *device_spread_of(repeat_spread, len(measured), before), spreads,
    )  # fmt: skip


def a_gap(size: float, *, promise_spread: float, device_spread: float, spreads: float = 1.0) -> Gap:
    return Gap(0.30, promise_spread, 48, 0.30 + size, device_spread, 5, device_spread, 5, spreads)


def test_a_gap_is_closed_inside_the_devices_own_spread_and_open_beyond() -> None:
    limit = 0.01 * np.sqrt(1 + 1 / 5 + 1 / 48)
    inside = a_gap(0.999 * limit, promise_spread=0.01, device_spread=0.01)
    assert inside.closed
    assert inside.verdict == "closed"
    beyond = a_gap(1.001 * limit, promise_spread=0.001, device_spread=0.01)
    assert not beyond.closed
    assert beyond.verdict == "open"


def test_a_vague_twin_is_no_sooner_closed_and_told_apart() -> None:
    vague = a_gap(0.0121, promise_spread=0.0157, device_spread=0.00024)
    assert not vague.closed
    assert vague.verdict == "open, but within the twins' spread"
    assert vague.allowed < 3e-4
    assert vague.standard_error == pytest.approx(np.hypot(0.00024 / np.sqrt(5), 0.0157 / np.sqrt(48)))
    assert vague.as_dict()["verdict"] == vague.verdict


def test_a_network_that_does_better_than_promised_has_a_gap_as_well() -> None:
    better = a_gap(-0.02, promise_spread=0.010, device_spread=0.005)
    assert better.gap == pytest.approx(-0.02)
    assert not better.closed


def test_how_many_spreads_are_allowed_is_for_the_caller_to_say() -> None:
    assert not a_gap(0.018, promise_spread=0.01, device_spread=0.01).closed
    assert a_gap(0.018, promise_spread=0.01, device_spread=0.01, spreads=2.0).closed


def share_closed(offset: float, *, n_rounds: int, promise_spread: float = 1.0) -> float:
    """Of 4000 rounds, each after n_rounds - 1 others, with settings as they are unless told otherwise."""
    rng, settings, closed = np.random.default_rng(0), GapSettings(), 0
    for _ in range(4000):
        rounds: list[Gap] = []
        for _ in range(n_rounds):
            promised = promise_spread * rng.standard_normal(settings.n_promise_draws)
            rounds.append(gap_of(promised, offset + rng.standard_normal(settings.n_repeats), rounds))
        closed += rounds[-1].closed
    return closed / 4000


def test_a_perfect_twin_is_nearly_always_found_closed_and_one_that_is_two_spreads_off_rarely() -> None:
    assert share_closed(0.0, n_rounds=1) > 0.90
    assert share_closed(2.0, n_rounds=1) < 0.08
    assert share_closed(0.0, n_rounds=3) > 0.95
    assert share_closed(2.0, n_rounds=3) < 0.06


def test_a_twin_that_is_off_is_not_closed_by_being_vague() -> None:
    assert share_closed(3.0, n_rounds=1, promise_spread=3.0) < 0.05


def test_repeats_are_pooled_but_for_rounds_of_quite_another_spread() -> None:
    before = [
        Gap(0.3, 0.01, 48, 0.3, spread, 5, spread, 5)
        for spread in (0.010, 0.012, 0.200)
    ]  # fmt: skip
    spread, n_pooled = device_spread_of(0.011, 5, before)
    assert n_pooled == 15
    assert spread == pytest.approx(np.sqrt((0.010**2 + 0.012**2 + 0.011**2) / 3))


@pytest.mark.parametrize(
    "wrong", [{"n_repeats": 2}, {"n_promise_draws": 1}, {"spreads": 0.0}, {"patience": 0}, {"n_training_trials": 9}]
)
def test_settings_that_can_say_nothing_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(CampaignError):
        GapSettings(**wrong)


def test_an_empty_budget_is_refused() -> None:
    with pytest.raises(CampaignError, match="device_seconds"):
        GapBudget(0.0)
    with pytest.raises(CampaignError, match="round"):
        GapBudget(10.0, rounds=0)
