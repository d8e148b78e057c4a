"""What gates catch and what they let through: exact Gaussian laws, in one channel and in several."""

import numpy as np
import pytest

from twins.calibration.calibrate import figures_of
from twins.calibration.pairs import Pair, autocorrelations
from twins.gates import judge_gates
from twins.objectives.scores import interval

MEMORY = 0.9


def samples(mean, spreads, n, rng):
    """(sample, time, channel) of stationary AR(1) noise about a mean, (time,)."""
    shape = (n, len(mean), len(spreads))
    kicks = rng.normal(size=shape) * np.sqrt(1.0 - MEMORY**2)
    noise = np.zeros(shape)
    noise[:, 0] = rng.normal(size=(n, len(spreads)))
    for k in range(1, len(mean)):
        noise[:, k] = MEMORY * noise[:, k - 1] + kicks[:, k]
    return mean[:, None] + noise * np.asarray(spreads)


def figures(n_inputs, n_repeats, factors, *, seed=0, n_time=200, n_draws=99, units=1.0, bias=0.0, shape=None):
    """Figures of a twin whose noise is `factors` times the device's, 1; and whose mean is off by bias, or by shape."""
    rng = np.random.default_rng(seed)
    pairs = []
    for number in range(n_inputs):
        mean = np.sin(np.arange(n_time) / 20.0 + rng.uniform(0, 6))
        device = samples(mean, np.ones(len(factors)), n_repeats, rng) * units
        off = bias if shape is None else shape * np.sign(np.arange(n_time) % 40 - 19.5)
        twin = samples(mean + off, factors, n_draws, rng) * units
        lower, upper = interval(twin, 0.9)
        inside, own = (((one >= lower) & (one <= upper)).mean(1) for one in (device, twin))
        pairs.append(Pair(number, twin, device, inside, own, n_draws))
    return figures_of(pairs, n_draws=n_draws, rng=rng, names=[f"x{number}" for number in range(len(factors))])


def closed(report):
    return {gate.name for gate in report.gates if gate.judged and not gate.passed}


@pytest.mark.parametrize(
    "n_inputs, n_repeats, n_time", [(4, 3, 200), (12, 1, 50), (20, 1, 200), (4, 10, 100), (20, 20, 100)]
)
@pytest.mark.parametrize("factor", [1.3, 0.75])
def test_noise_that_is_wrong_never_passes_however_few_the_data(n_inputs, n_repeats, n_time, factor):
    for seed in range(5):
        assert not judge_gates(figures(n_inputs, n_repeats, [factor], seed=seed, n_time=n_time)).passed


@pytest.mark.parametrize("n_inputs, n_repeats", [(30, 1), (10, 10), (20, 20)])
def test_a_true_twin_passes_where_the_data_suffice(n_inputs, n_repeats):
    reports = [judge_gates(figures(n_inputs, n_repeats, [1.0], seed=seed)) for seed in range(6)]
    assert sum(report.passed for report in reports) >= 5


def test_the_energy_of_two_or_three_repeats_is_judged_by_what_exchanging_twin_and_device_gives():
    relative = []
    for seed in range(10):
        few = figures(6, 2 + seed % 2, [1.0], seed=seed, n_time=100)
        relative.append(few.energy_relative / few.energy_relative_floor)
    assert np.sqrt(np.mean(np.square(relative))) == pytest.approx(1.0, abs=0.6)
    assert sum("energy_relative" in closed(judge_gates(figures(4, 3, [1.0], seed=seed))) for seed in range(8)) <= 1


@pytest.mark.parametrize("n_repeats", [1, 12])
def test_wrong_channels_neither_cancel_nor_vanish_behind_larger_units(n_repeats):
    wrong = figures(20, n_repeats, [1.3, 0.75, 1.0], units=np.array([1.0, 1e-3, 1e4]))
    assert {"coverage_90", "std_ratio"} <= closed(judge_gates(wrong))
    assert wrong.std_ratio == max(wrong.std_ratios, key=lambda ratio: abs(np.log(ratio)))
    assert wrong.std_ratios == pytest.approx((1.3, 0.75, 1.0), rel=0.15)


def test_the_unit_of_a_channel_changes_no_figure_of_several():
    one, other = (figures(6, 6, [1.0, 1.2], units=np.array(units)) for units in ([1.0, 1.0], [1e-3, 1e5]))
    for name, value in one.as_dict().items():
        if name != "largest_excursion":
            assert other.as_dict()[name] == pytest.approx(value, rel=1e-6, abs=1e-9), name
    assert other.autocorrelation_twin == pytest.approx(one.autocorrelation_twin)


def test_perfect_twins_of_sixty_channels_pass():
    for seed in range(3):
        assert judge_gates(figures(20, 10, np.ones(60), n_time=100, seed=seed, n_draws=60)).passed


def test_a_constant_channel_counts_for_nothing():
    with_one = figures(10, 10, [1.3, 1.0], units=np.array([1.0, 0.0]))
    moving, still = with_one.channels
    assert moving.varies and not still.varies and still.coverage_90 is None
    assert with_one.coverage_90 == moving.coverage_90 > 0.94
    assert with_one.inputs[0].coverage_90 == pytest.approx(moving.coverage_90, abs=0.03)
    report = judge_gates(with_one)
    assert {"coverage_90", "std_ratio"} <= closed(report)
    assert any("constant: x1" in reason for reason in report.reasons)


@pytest.mark.parametrize("n_inputs, n_repeats", [(80, 1), (20, 20)])
def test_a_mean_that_is_off_is_caught_with_and_without_repeats(n_inputs, n_repeats):
    off = figures(n_inputs, n_repeats, [1.0], bias=0.3)
    assert off.mean_bias == pytest.approx(-0.3, abs=4 * off.mean_bias_floor)
    assert "mean_bias" in closed(judge_gates(off))


def test_a_mean_that_is_off_at_times_only_needs_repeats_to_be_seen():
    off = figures(20, 20, [1.0], shape=0.4)
    assert off.mean_error == pytest.approx(0.4, rel=0.1)
    assert abs(off.mean_bias) < 0.1
    assert "mean_error" in closed(judge_gates(off))
    assert figures(20, 1, [1.0], shape=0.4).mean_error is None


def test_the_floors_of_the_mean_are_its_spread_by_chance():
    repeats = [figures(10, 5, [1.0], seed=seed, n_time=100) for seed in range(20)]
    spread = np.sqrt(np.mean([one.mean_bias**2 for one in repeats]))
    # AR(1) of memory 0.9: 100 samples are worth some 5.8 independent ones.
    exact = np.sqrt((1 / 5 + 1 / 99) / (10 * 5.8))
    assert spread == pytest.approx(exact, rel=0.5)
    assert np.mean([one.mean_bias_floor for one in repeats]) == pytest.approx(exact, rel=0.3)
    assert max(one.mean_error / one.mean_error_floor for one in repeats) < np.sqrt(4.0)


def test_pooled_lags_of_several_channels_do_not_follow_the_largest_unit():
    rng = np.random.default_rng(4)
    white, slow = rng.normal(size=(40, 300, 1)), samples(np.zeros(300), [1.0], 40, rng)
    both = np.concatenate((white * 1e4, slow), axis=2)
    lag = autocorrelations([(both, both)], 1)[0, 0]
    assert lag == pytest.approx(0.45, abs=0.03)
