"""Training: it recovers parameters, tells what diverged, stops, and never leaves anything that is not finite."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
import torch

from twins.errors import GokuSpecInvalid, SeriesInvalid
from twins.goku.network.batch import batch_of
from twins.goku.network.fit import fit_goku
from twins.goku.network.fit_settings import GokuFitSettings, settings_2021
from twins.goku.network.held_out import fixed_crops, held_out_traces
from twins.goku.network.model import GokuNet
from twins.goku.network.schedule import PlateauCosine
from twins.goku.network.spec import goku_posterior
from twins.goku.network.widening import widen
from twins.goku.observation import KnownObservation
from twins.goku.posterior import Guess
from twins.goku.series import Series
from twins.goku.trajectories import solve_system

QUICK = GokuFitSettings(batches_per_epoch=3, max_epochs=3, batch=8)


def net_for(system, spec, *, seed=0) -> GokuNet:
    observation = None
    if spec.observation == "known":
        observation = KnownObservation.of_outputs(system, [system.flat_outputs[0].name])
    generator = torch.Generator().manual_seed(seed)
    return GokuNet(system, spec, n_channels=1, observation=observation, generator=generator)


def drained(events):
    told = []
    while True:
        try:
            told.append(next(events))
        except StopIteration as stop:
            return told, stop.value


def test_training_recovers_lengths_of_pendulums_it_has_not_seen(examples):
    series, _ = examples.swings(200, seed=1)
    others, lengths = examples.swings(40, seed=2)
    spec = examples.small(
        feature_widths=(24, 16), state_hidden=16, parameter_hidden=12, latent_state=8, latent_parameter=8,
        observation="known", posterior="physical", loss="likelihood", window_samples=None,
    )  # fmt: skip
    net = net_for(examples.Swing(), spec)
    schedule = PlateauCosine(warm_up_batches=20, peak=0.01)
    settings = GokuFitSettings(
        schedule=schedule, max_epochs=28, batch=40, largest_gradient=10.0, calibration_simulations=100
    )
    told, fitted = drained(fit_goku(net, series, seed=0, settings=settings))
    posterior = net.infer(others, n_draws=20, generator=torch.Generator().manual_seed(3))
    relative = np.abs(posterior.median() / lengths - 1.0)
    assert np.median(relative) < 0.18  # the middle of the range is 0.35 off
    assert fitted.validation == min(event.validation for event in told) and fitted.stopped == "max_epochs"
    assert posterior.trusted.all() and posterior.sd().max() < 1.0
    guess = Guess.of(posterior)
    assert guess.parameters.shape == (40, 1) and guess.initial.shape == (40, 2) and guess.noise_sd.shape == (40, 1)


def test_the_same_seed_gives_the_same_fit(examples):
    series, _ = examples.swings()
    weights = []
    for seed in (1, 1, 2):
        net = net_for(examples.Swing(), examples.small(window_samples=10, posterior="physical"))
        drained(fit_goku(net, series, seed=seed, settings=QUICK))
        weights.append(torch.cat([value.flatten() for value in net.state_dict().values()]))
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])


def test_diverged_traces_are_told_and_the_rest_is_learned(examples):
    rng = np.random.default_rng(0)
    series = Series(rng.normal(size=(16, 11, 1)), 0.1 * np.arange(11), ("x",), ("",))
    net = net_for(examples.Explosive(), examples.small(substeps=30, window_samples=None))
    with torch.no_grad():
        net.latents.state_out.weight.mul_(20.0)  # begin far apart, some of them where the equation blows up
    before = [value.clone() for value in net.parameters()]
    told, fitted = drained(fit_goku(net, series, seed=0, settings=QUICK))
    assert fitted.diverged and len(fitted.diverged) < 16 and not set(fitted.diverged) & set(fitted.held_out)
    assert any(not torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True))
    assert all(math.isfinite(event.train_loss) for event in told)
    assert all(bool(torch.isfinite(value).all()) for value in net.parameters())
    posterior = net.infer(series, n_draws=2, generator=torch.Generator().manual_seed(0))
    assert np.isfinite(net.reconstruct(series)).all() and "runs away" in " ".join(posterior.why.values())
    assert np.isfinite(net.forecast(series, n_samples=5, generator=torch.Generator())).all()


def test_where_every_trace_diverges_nothing_moves_and_it_is_told(examples):
    series = Series(np.ones((4, 11, 1)), 0.1 * np.arange(11), ("x",), ("",))
    net = net_for(examples.Explosive(), examples.small(substeps=30, window_samples=None))
    with torch.no_grad():
        net.latents.state_out.bias.fill_(50.0)
        net.latents.parameter_out.bias.fill_(5.0)
    before = {name: value.clone() for name, value in net.named_parameters() if name != "log_noise_sd"}
    told, fitted = drained(fit_goku(net, series, seed=0, settings=QUICK))
    assert [event.n_skipped for event in told] == [3, 3, 3] and fitted.n_skipped == 9
    assert math.isinf(fitted.validation) and math.isinf(told[0].train_loss)
    assert all(torch.equal(value, net.get_parameter(name)) for name, value in before.items())


def test_a_gradient_that_is_not_finite_moves_nothing_and_is_told(examples):
    series, _ = examples.swings(12)
    net = net_for(examples.Swing(), examples.small(window_samples=None))
    net.latents.state_out.register_full_backward_hook(lambda _m, grads, _out: (grads[0] * math.nan,))
    before = {name: value.clone() for name, value in net.named_parameters() if name != "log_noise_sd"}
    told, _ = drained(fit_goku(net, series, seed=0, settings=QUICK))
    assert all(event.n_skipped == 3 for event in told)
    assert all(torch.equal(value, net.get_parameter(name)) for name, value in before.items())


def test_a_fit_closed_early_keeps_the_best_weights_so_far(examples):
    series, _ = examples.swings()
    net = net_for(examples.Swing(), examples.small())
    events = fit_goku(net, series, seed=0, settings=GokuFitSettings(batches_per_epoch=2, batch=8))
    told = list(itertools.islice(events, 6))
    at_best = max(told, key=lambda event: event.epoch if event.best else 0)
    events.close()
    again = net_for(examples.Swing(), examples.small())
    drained(fit_goku(again, series, seed=0, settings=GokuFitSettings(batches_per_epoch=2, batch=8, max_epochs=6)))
    assert at_best.validation == min(event.validation for event in told)
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), again.parameters(), strict=True))


def test_it_stops_after_the_time_allowed(examples):
    series, _ = examples.swings()
    net = net_for(examples.Swing(), examples.small())
    told, fitted = drained(fit_goku(net, series, seed=0, settings=GokuFitSettings(max_seconds=1e-6)))
    assert len(told) == 1 and fitted.stopped == "max_seconds" and told[0].progress == 1.0


def test_crops_missing_samples_own_times_and_a_drive_train(examples):
    series = examples.driven(8, 20)
    for changes in (
        {"posterior": "physical", "loss": "likelihood"},
        {},
        {"loss": "likelihood", "observation": "linear"},
    ):
        net = net_for(examples.Relaxer(), examples.small(window_samples=5, normalisation="standardise", **changes))
        settings = GokuFitSettings(batches_per_epoch=2, max_epochs=2, crop_samples=13, kl_annealing_epochs=2)
        told, _ = drained(fit_goku(net, series, seed=0, settings=settings))
        assert all(math.isfinite(event.train_loss) and math.isfinite(event.validation) for event in told)
        ahead = net.forecast(
            series, n_samples=4, drive=np.zeros((8, 4, 1)), n_draws=3, generator=torch.Generator().manual_seed(0)
        )
        assert ahead.shape == (3, 8, 4, 1) and ahead.std(axis=0).min() > 0.0  # the noise of the system's own


def test_a_forecast_goes_on_from_the_last_window(examples):
    series, _ = examples.swings(5, 28)
    net = net_for(examples.Swing(), examples.small(window_samples=10, observation="known"))
    batch = batch_of(series)
    output = net(*batch.arguments)
    ahead = solve_system(net.system, output.states[:, -1], output.parameters, step_s=0.1, n_steps=6)[1:]
    ours = net.forecast(series, n_samples=6, generator=torch.Generator())
    np.testing.assert_allclose(ours[0, :, :, 0], ahead[:, :, 0].T.detach(), atol=1e-4)


def test_forecasts_that_cannot_be_are_refused(examples):
    series = examples.driven()
    net = net_for(examples.Relaxer(), examples.small())
    generator = torch.Generator()
    with pytest.raises(SeriesInvalid, match="is driven"):
        net.forecast(series, n_samples=4, generator=generator)
    with pytest.raises(SeriesInvalid, match="must rise"):
        net.forecast(series, n_samples=2, drive=np.zeros((6, 2, 1)), times_s=np.zeros((6, 2)), generator=generator)


def test_whole_groups_are_held_out():
    groups = np.array([0, 0, 1, 1, 2, 2, 3])
    held = held_out_traces(groups, 0.3, np.random.default_rng(0))
    assert 0 < len(held) < 7 and not set(groups[held]) & set(np.delete(groups, held))
    assert len(held_out_traces(np.zeros(5, dtype=int), 0.3, np.random.default_rng(0))) == 0


def test_every_epoch_is_judged_by_the_same_crops(examples):
    """A rate of zero: nothing is learned, so no epoch may be better than another."""
    series, _ = examples.swings(12, 40)
    net = net_for(examples.Swing(), examples.small(window_samples=None))
    settings = GokuFitSettings(
        schedule=None, learning_rate=1e-30, crop_samples=10, batches_per_epoch=1, max_epochs=3, batch=4
    )
    told, fitted = drained(fit_goku(net, series, seed=0, settings=settings))
    assert len({event.validation for event in told}) == 1 and fitted.best_epoch == 1


def test_crops_to_judge_by_are_spread_and_few_traces_give_several(examples):
    series, _ = examples.swings(3, 40)
    whole = batch_of(series)
    crops = fixed_crops(whole, 10)
    starts = (crops.times_s[:, 0] / 0.1).round()
    assert len(crops) == 66 and starts.min() < 3 and starts.max() > 27 and len(starts.unique()) > 20
    assert fixed_crops(whole, 40) is whole


def test_without_a_likelihood_the_noise_level_is_what_is_left_over_of_held_out_traces(examples):
    series, _ = examples.swings(12)
    loud = Series(series.values * 3.0, series.times_s, series.names, series.units)
    levels = []
    for held_out in (series, loud):
        net = net_for(examples.Swing(), examples.small(window_samples=None))
        drained(fit_goku(net, series, held_out, seed=0, settings=dataclasses.replace(QUICK, max_epochs=1)))
        levels.append(float(net.noise_sd))
        left = held_out.values - net.reconstruct(held_out)
        assert levels[-1] == pytest.approx(float(np.sqrt(np.square(left).mean())), rel=1e-3)
    assert levels[1] > 2.0 * levels[0]


def test_one_trace_alone_is_told_to_judge_itself(examples):
    series, _ = examples.swings(1)
    _, fitted = drained(fit_goku(net_for(examples.Swing(), examples.small()), series, seed=0, settings=QUICK))
    assert fitted.validated_on_training and fitted.held_out == ()


def test_annealed_windows_close(examples):
    series, _ = examples.swings(8)
    net = net_for(examples.Swing(), examples.small(posterior="physical", loss="likelihood", transition="annealed"))
    settings = GokuFitSettings(batches_per_epoch=1, max_epochs=3, transition_sd=(1.0, 0.01), transition_epochs=2)
    events = fit_goku(net, series, seed=0, settings=settings)
    seen = [float(net.transition.annealed_sd) for _ in events]
    np.testing.assert_allclose(seen, [1.0, 0.1, 0.01], rtol=1e-5)


def test_annealing_fits_into_the_time_allowed():
    settings = GokuFitSettings(max_seconds=10.0, transition_epochs=100)
    assert settings.annealed(0, 0.0) == 0.0 and settings.annealed(1, 3.0) == pytest.approx(0.5)
    assert settings.annealed(50, 0.1) == pytest.approx(0.5) and settings.annealed(1, 6.0) == 1.0


def test_widths_are_set_so_that_intervals_hold_the_truth_of_simulations(examples):
    """An untrained network, which knows nothing and is sure of it."""
    series, _ = examples.swings(40)
    net = net_for(examples.Swing(), examples.small(observation="known", posterior="physical", loss="likelihood"))
    net.adopt(series)
    with torch.no_grad():
        net.latents.parameter_spread.bias.fill_(-5.0)
        net.latents.parameter_out.weight.mul_(30.0)  # so that what it says differs from trace to trace
    narrow = net.infer(series, n_draws=200, generator=torch.Generator().manual_seed(1)).sd()
    widened = widen(net, batch_of(series), n_simulations=600, generator=torch.Generator().manual_seed(0))
    assert widened is not None and widened.coverage90_before < 0.7 and widened.factors[0] > 1.5
    assert widened.coverage90_after == pytest.approx(0.9, abs=0.05)
    wide = net.infer(series, n_draws=200, generator=torch.Generator().manual_seed(1)).sd()
    assert np.median(wide / narrow) > 1.5
    net.latents.narrow()
    again = net.infer(series, n_draws=200, generator=torch.Generator().manual_seed(1)).sd()
    np.testing.assert_array_equal(again, narrow)


def test_traces_of_a_group_have_the_same_parameters_said_once(examples):
    series, _ = examples.swings(12)
    grouped = dataclasses.replace(series, group=np.arange(12) // 3)
    for changes in (
        {},
        {"posterior": "physical", "loss": "likelihood"},
        {"posterior": "latent", "window_samples": None},
    ):
        net = net_for(examples.Swing(), examples.small(**changes))
        drained(fit_goku(net, grouped, seed=0, settings=QUICK))
        draws = net.infer(grouped, n_draws=5, generator=torch.Generator().manual_seed(0)).parameters
        assert np.array_equal(draws.reshape(4, 3, 5), np.repeat(draws[::3].reshape(4, 1, 5), 3, axis=1))
        assert len(np.unique(draws[::3].reshape(4, 5)[:, 0])) == 4
    net = net_for(examples.Swing(), examples.small(posterior="latent", window_samples=None))
    apart, shared = (net(*batch.arguments, shared=batch.shared).kl for batch in map(batch_of, (series, grouped)))
    assert shared.shape == apart.shape and float(shared.detach().sum()) < float(apart.detach().sum())


def test_a_trace_that_is_not_reconstructed_is_not_trusted(examples):
    series, _ = examples.swings(12)
    net = net_for(examples.Swing(), examples.small(posterior="physical", loss="likelihood"))
    net.adopt(series)
    with torch.no_grad():
        net.log_noise_sd.copy_(torch.log(torch.tensor([2.0])))
    odd = Series(np.where(np.arange(12)[:, None, None] == 3, 30.0, series.values), series.times_s, ("angle",), ("rad",))
    posterior = net.infer(odd, n_draws=2, generator=torch.Generator().manual_seed(0))
    assert np.flatnonzero(~posterior.trusted).tolist() == [3] and "not reconstructed" in posterior.why[3]


def test_settings_that_cannot_be_are_refused():
    assert settings_2021().schedule is None and settings_2021().learning_rate == 1e-3
    with pytest.raises(GokuSpecInvalid, match="crop"):
        GokuFitSettings(crop_samples=1)
    with pytest.raises(GokuSpecInvalid, match="validation_fraction"):
        GokuFitSettings(validation_fraction=1.0)


@pytest.mark.slow
def test_the_strength_of_a_systems_own_noise_is_learned_by_the_bound(examples):
    """Under squared error it would shrink. A decay with noise, observed with noise beside it."""
    system = examples.Wandering()

    def simulated(n, seed):
        generator = torch.Generator().manual_seed(seed)
        parameters, initial = system.draw_parameters(n, generator), system.draw_states(n, generator)
        states = solve_system(
            system, initial, parameters, step_s=0.05, n_steps=80, noisy=True, generator=generator
        ).transpose(0, 1)
        values = states + 0.02 * torch.randn(states.shape, generator=generator, dtype=torch.float64)
        return Series(values.numpy(), 0.05 * np.arange(81), ("level",), ("V",)), parameters.numpy()

    (series, _), (others, truth) = simulated(400, 1), simulated(150, 2)
    sizes = {**examples.SMALL, "feature_widths": (32, 16), "state_hidden": 16, "parameter_hidden": 16}
    spec = goku_posterior(**sizes, observation="known", transition="process", process_noise=False, window_samples=5)
    net = net_for(system, spec)
    settings = GokuFitSettings(max_epochs=50, largest_gradient=1.0, schedule=PlateauCosine(warm_up_batches=60))
    drained(fit_goku(net, series, seed=0, settings=settings))
    posterior = net.infer(others, n_draws=100, generator=torch.Generator().manual_seed(0))
    found, strength = np.log(posterior.median()[:, 1]), np.log(truth[:, 1])
    assert np.corrcoef(found, strength)[0, 1] > 0.8 and abs(np.mean(found - strength)) < 0.2
