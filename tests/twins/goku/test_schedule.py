"""The learning rate against its formula."""

import math

import pytest

from twins.goku.network.schedule import LearningRate, PlateauCosine


def test_the_published_numbers():
    schedule = PlateauCosine()
    assert schedule.after(0) == pytest.approx(0.005251 + 1e-5)
    assert schedule.after(10) == pytest.approx(0.005251 * 0.995**10 * math.cos(math.pi / 5) ** 4 + 1e-5)
    assert schedule.after(25) == pytest.approx(1e-5)
    assert schedule.after(50) == pytest.approx(0.005251 * 0.995**50 + 1e-5)


def test_the_warm_up_is_linear_over_180_batches():
    rate = LearningRate(PlateauCosine(), 1.0)
    assert rate.of_batch(0) == pytest.approx(1e-7)
    assert rate.of_batch(90) == pytest.approx(0.5 * (0.005251 + 1e-7))
    assert rate.of_batch(180) == pytest.approx(0.005251)


def test_plateaus_come_after_50_units_and_then_after_every_2():
    rate = LearningRate(PlateauCosine(), 1.0)
    assert not rate.judge(0.5, 180)  # the warm-up counts for nothing
    rate.judge(1.0, 189)
    counts = []
    for unit in range(1, 61):
        rate.judge(0.995, 189 + 9 * unit)  # half a per cent is no gain
        counts.append(rate.n_plateaus)
    assert counts[49] == 0 and counts[50] == 1  # more than 50
    assert counts[52] == 1 and counts[53] == 2 and counts[56] == 3
    assert rate.of_batch(10_000) == pytest.approx(PlateauCosine().after(rate.n_plateaus))


def test_a_gain_of_more_than_a_per_cent_begins_the_count_again():
    rate = LearningRate(PlateauCosine(), 1.0)
    rate.judge(1.0, 1000)
    for _ in range(50):
        rate.judge(1.0, 1000)
    rate.judge(0.98, 1000)
    for _ in range(50):
        rate.judge(0.98, 1000)
    assert rate.n_plateaus == 0


@pytest.mark.parametrize("score", [1.0, math.inf, math.nan])
def test_350_units_without_gain_are_the_most(score):
    rate = LearningRate(PlateauCosine(), 1.0)
    rate.judge(1.0, 1000)
    stops = [rate.judge(score, 1000) for _ in range(351)]
    assert stops[:350] == [False] * 350 and stops[350]


def test_a_score_below_zero_gains_by_falling():
    rate = LearningRate(PlateauCosine(stop_patience=1), 1.0)
    assert [rate.judge(score, 1000) for score in (-1.0, -1.005, -1.02, -1.02, -1.02)] == [False] * 4 + [True]


def test_without_a_schedule_the_rate_stays():
    rate = LearningRate(None, 1e-3)
    assert rate.of_batch(0) == rate.of_batch(10**6) == 1e-3 and not rate.judge(1.0, 10**6)
