import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from twins.errors import EquationInvalid, SeriesInvalid
from twins.goku.observation import KnownObservation
from twins.goku.simulated.generate import Design, generate, generate_sets, goku_ui_synthetic
from twins.goku.simulated.substeps import substeps_for
from twins.goku.systems import SYSTEMS, system_named

TIMES = 0.1 * np.arange(30)


def test_sets_share_no_parameter_and_no_initial_state():
    """A generator that draws the test set's parameters as it drew those for training would be seen here."""
    sets = generate_sets(
        system_named("lotka_volterra"), {"training": 400, "validation": 300, "test": 300}, Design(times_s=TIMES), seed=1
    )
    for one, other in (("training", "validation"), ("training", "test"), ("validation", "test")):
        for side in ("parameters", "initial"):
            first, second = getattr(sets[one], side), getattr(sets[other], side)
            assert len(np.intersect1d(first, second)) == 0
            for column in range(first.shape[1]):
                agreement = np.corrcoef(first[:300, column], second[:300, column])[0, 1]
                assert abs(agreement) < 4.5 / 300**0.5


def test_each_kind_of_chance_has_a_stream_of_its_own():
    system = system_named("duffing", noisy=True)
    plain = generate(system, 5, Design(times_s=TIMES), seed=3)
    noisy = generate(system, 5, Design(times_s=TIMES, noise_sd=0.1, missing=0.3), seed=3)
    assert np.array_equal(plain.states, noisy.states)
    assert np.array_equal(plain.parameters, noisy.parameters)
    gone = generate(system, 5, Design(times_s=TIMES, missing=0.3), seed=3)
    assert np.array_equal(gone.series.seen, noisy.series.seen)
    still = generate(system, 5, Design(times_s=TIMES, process_noise=False), seed=3)
    assert np.array_equal(still.parameters, plain.parameters)
    assert not np.allclose(still.states, plain.states)
    same, other = (generate(system, 5, Design(times_s=TIMES), seed=seed) for seed in (3, 4))
    assert np.array_equal(same.series.values, plain.series.values)
    assert not np.array_equal(other.parameters, plain.parameters)


@pytest.mark.parametrize(
    ("name", "step", "right_side"),
    [
        ("van_der_pol", 0.3, lambda z, p: [z[1], p[0] * (1 - z[0] ** 2) * z[1] - p[1] ** 2 * z[0]]),
        ("lorenz", 0.05, lambda z, p: [p[0] * (z[1] - z[0]), z[0] * (p[1] - z[2]) - z[1], z[0] * z[1] - p[2] * z[2]]),
    ],
)
def test_trajectories_are_solved_to_six_digits_however_far_samples_are_apart(name, step, right_side):
    made = generate(system_named(name), 3, Design(times_s=step * np.arange(16)), seed=0)
    for trace in range(3):
        found = solve_ivp(
            lambda _t, z, p=made.parameters[trace]: right_side(z, p), (0.0, 15 * step), made.initial[trace],
            method="DOP853", rtol=1e-12, atol=1e-12, t_eval=step * np.arange(16),
        )  # fmt: skip
        assert made.states[trace] == pytest.approx(found.y.T, rel=1e-6, abs=1e-6 * np.abs(found.y).max())


@pytest.mark.parametrize("name", SYSTEMS)
def test_every_system_can_be_generated_within_its_ranges(name):
    system = system_named(name)
    drive = np.zeros((20, len(system.drives))) if system.drives else None
    made = generate(system, 6, Design(times_s=0.02 * system.time_unit_s * np.arange(20), drive=drive), seed=5)
    assert made.n_redrawn == 0
    assert made.series.names == tuple(quantity.name for quantity in system.flat_outputs)
    unit = system.parameters_to_unit(torch.from_numpy(made.parameters))
    assert bool(((unit >= 0) & (unit <= 1)).all())
    expected = system.outputs_of(torch.from_numpy(made.states), torch.from_numpy(made.parameters)[:, None])
    assert made.series.values == pytest.approx(expected.numpy(), abs=1e-12)


def test_observation_noise_missing_samples_and_groups_are_as_asked():
    system = system_named("pendulum")
    observation = KnownObservation(torch.tensor([[2.0, 0.0], [0.0, 1.0], [1.0, 1.0]], dtype=torch.float64))
    design = Design(
        times_s=TIMES, observation=observation, noise_sd=(0.1, 0.2, 0.3), missing=0.25, traces_per_group=3,
        channel_units=("mV", "mV", "mV"),
    )  # fmt: skip
    made = generate(system, 60, design, seed=2)
    clean = made.states @ observation.get_buffer("matrix").numpy().T
    residual = (made.series.values - clean).reshape(-1, 3)
    assert np.nanstd(residual, axis=0) == pytest.approx([0.1, 0.2, 0.3], rel=0.08)
    assert (made.noise_sd == [0.1, 0.2, 0.3]).all()
    assert made.series.seen.all(axis=2).mean() == pytest.approx(0.75, abs=0.05)
    assert np.array_equal(made.series.groups, np.arange(60) // 3)
    for group in range(20):
        assert len(np.unique(made.parameters[3 * group : 3 * group + 3])) == 1
    assert len(np.unique(made.parameters)) == 20
    assert len(np.unique(made.initial[:, 0])) == 60
    assert (made.series.names, made.series.units) == (("channel_0", "channel_1", "channel_2"), ("mV",) * 3)
    part = made.select([5, 7]).span(10, 20)
    assert np.array_equal(part.initial, made.states[[5, 7], 10])
    assert part.series.values.shape == (2, 10, 3)


def test_the_level_of_the_noise_can_be_drawn_trace_by_trace():
    made = generate(system_named("pendulum"), 200, Design(times_s=TIMES, noise_sd_range=(0.01, 1.0)), seed=2)
    level = np.log10(made.noise_sd[:, 0])
    assert (made.noise_sd[:, 0] == made.noise_sd[:, 1]).all()
    assert level.min() > -2.0
    assert level.max() < 0.0
    assert level.mean() == pytest.approx(-1.0, abs=4 * (2 / 12**0.5) / 200**0.5)


def test_a_transient_is_solved_before_the_first_sample():
    system = system_named("pendulum")
    long, late = (
        generate(system, 3, Design(times_s=0.1 * np.arange(n), transient_samples=skipped), seed=2)
        for n, skipped in ((40, 0), (30, 10))
    )
    assert late.states == pytest.approx(long.states[:, 10:], abs=1e-6)
    assert late.initial == pytest.approx(long.states[:, 10], abs=1e-6)


def test_uneven_times_and_a_drive_are_solved_sample_by_sample():
    system = system_named("driven_pendulum")
    times = np.cumsum(np.random.default_rng(0).uniform(0.02, 0.08, (4, 50)), axis=1)
    steps = np.diff(times, axis=1)
    torque = 3.0 * np.sin(3.0 * times)[..., None]
    made = generate(system, 4, Design(times_s=times, drive=torque), seed=0)
    assert np.array_equal(made.series.times_s, times)
    assert np.array_equal(made.series.drive, torque)
    z, (length, damping, mass) = made.initial[1], made.parameters[1]
    for sample in range(49):
        u = torque[1, sample, 0]
        found = solve_ivp(
            lambda _t, z, u=u: [z[1], -9.81 / length * np.sin(z[0]) - damping * z[1] + u / (mass * length**2)],
            (0.0, steps[1, sample]), z, method="DOP853", rtol=1e-10, atol=1e-12,
        )  # fmt: skip
        z = found.y[:, -1]
    assert made.states[1, -1] == pytest.approx(z, abs=1e-5)


def test_traces_that_run_away_are_drawn_again_and_counted():
    system = system_named("duffing").with_ranges({"hardening": (-6.0, 0.5)})
    made = generate(system, 40, Design(times_s=0.2 * np.arange(30), substeps=8), seed=1)
    assert made.n_redrawn > 0
    assert np.isfinite(made.states).all()
    assert np.abs(made.states).max() < 1e4
    with pytest.raises(SeriesInvalid, match=r"trace \d+ runs away"):
        generate(
            system, 1, Design(times_s=0.2 * np.arange(60), substeps=8), seed=1,
            parameters=np.array([[0.02, 0.5, -6.0]]), initial=np.array([[1.4, 1.4]]),
        )  # fmt: skip


def test_substeps_grow_with_the_distance_of_samples_and_what_is_too_coarse_is_refused():
    system = system_named("van_der_pol")
    generator = torch.Generator().manual_seed(0)
    initial, parameters = system.draw_states(20, generator), system.draw_parameters(20, generator)
    found = [substeps_for(system, initial, parameters, step_s=step, n_steps=20) for step in (0.01, 0.1, 0.5)]
    assert found[0] < found[1] < found[2]
    with pytest.raises(EquationInvalid, match="sample faster"):
        substeps_for(system, initial, parameters, step_s=0.5, n_steps=20, tolerance=1e-20)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"missing": 1.0}, "fraction of the samples"),
        ({"noise_sd": -0.1}, "must not be negative"),
        ({"noise_sd_range": (0.0, 1.0)}, "0 < low"),
        ({"traces_per_group": 0}, "at least 1"),
        ({"times_s": np.zeros(3)}, "must rise"),
        ({"times_s": np.zeros(1)}, "at least two"),
        ({"drive": np.zeros((30, 1))}, "its drives are none"),
    ],
)
def test_designs_that_cannot_be_are_refused(options, words):
    with pytest.raises(SeriesInvalid, match=words):
        generate(system_named("pendulum"), 3, Design(**{"times_s": TIMES, **options}), seed=0)


def test_the_synthetic_data_are_those_of_the_published_experiment():
    data = goku_ui_synthetic(12, seed=0, n_validation=5, n_test=8)
    assert (data.training.states.shape, data.test.states.shape) == ((12, 600, 6), (8, 600, 6))
    assert data.matrix.shape == (784, 6)
    growth, omega, coupling = (data.training.parameters[:, part] for part in (slice(3), slice(3, 6), slice(6, 15)))
    assert (np.abs(growth) <= 0.2).all()
    assert ((omega >= 0.08 * np.pi) & (omega <= 0.14 * np.pi)).all()
    assert ((coupling >= 0.0) & (coupling <= 0.2)).all()
    assert len(np.intersect1d(data.training.parameters, data.test.parameters)) == 0
    crops, truth = data.crops(data.training, np.random.default_rng(0))
    assert crops.values.shape == (12, 46, 784)
    np.testing.assert_allclose(crops.values, truth.states @ data.matrix.T, rtol=1e-6, atol=1e-12)
    starts = [np.flatnonzero((data.training.states[k] == truth.states[k, 0]).all(1))[0] for k in range(12)]
    assert len(set(starts)) > 6
    assert crops.uniform_step_s == pytest.approx(0.05)
    longer, _ = data.crops(data.test, np.random.default_rng(0), n_samples=66, traces=np.arange(3))
    assert longer.values.shape == (3, 66, 784)
    with pytest.raises(SeriesInvalid, match="2 to 600"):
        data.crops(data.test, np.random.default_rng(0), n_samples=601)
    fewer = goku_ui_synthetic(3, seed=0, n_validation=2, n_test=8)
    assert np.array_equal(fewer.matrix, data.matrix)
    assert np.array_equal(fewer.test.parameters, data.test.parameters)
    np.testing.assert_allclose(fewer.test.states, data.test.states, rtol=1e-6, atol=1e-8)
