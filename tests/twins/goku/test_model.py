"""Networks: published sizes, attention by hand, what has influence and what has none, the KL against closed forms."""

import math

import numpy as np
import pytest
import torch

from twins.errors import GokuSpecInvalid, SeriesInvalid
from twins.goku.network.batch import batch_of
from twins.goku.network.encoder import Encoder, StatePath, held_over_gaps, pooled
from twins.goku.network.latent import Drawn, gaussian_kl, uniform_prior_kl
from twins.goku.network.layers import DenseStack, dense, initialise, mish
from twins.goku.network.model import GokuNet
from twins.goku.network.shooting import Windows, solve_windows
from twins.goku.network.spec import goku_2021, goku_ui, goku_ui_basic
from twins.goku.observation import KnownObservation
from twins.goku.quantity import Quantity
from twins.goku.system import System


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def net_for(examples, system, **changes) -> GokuNet:
    observation = None
    if changes.get("observation") == "known":
        observation = KnownObservation.of_outputs(system, [system.flat_outputs[0].name])
    return GokuNet(system, examples.small(**changes), n_channels=1, observation=observation, generator=generator())


def test_goku_ui_has_the_published_sizes(examples):
    net = GokuNet(examples.Swing(), goku_ui(), n_channels=784, generator=generator())
    shapes = {name: tuple(value.shape) for name, value in net.named_parameters()}
    assert [shapes[f"encoder.extractor.layers.{k}.weight"] for k in range(4)] == [
        (200, 784), (200, 200), (200, 200), (128, 200),
    ]  # fmt: skip
    assert net.encoder.extractor.residual == [False, True, True, False]
    assert [shapes[f"observation.stack.layers.{k}.weight"] for k in range(4)] == [
        (200, 2), (200, 200), (200, 200), (784, 200),
    ]  # fmt: skip
    assert net.observation.stack.residual == [False, True, True, False]
    assert shapes["encoder.state_path.network.weight_hh_l0"] == (4 * 128, 128)
    assert shapes["encoder.parameter_path.back.weight_hh_l0"] == (4 * 64, 64)
    assert shapes["encoder.parameter_path.attention.weight"] == (128, 128)
    assert (shapes["latents.state_in.weight"], shapes["latents.parameter_in.weight"]) == ((64, 128), (128, 128))
    assert (shapes["latents.state_out.weight"], shapes["latents.parameter_out.weight"]) == ((2, 200), (1, 200))


@pytest.mark.parametrize(
    "spec", [goku_ui(), goku_ui_basic(), goku_2021(), goku_ui(window_samples=None), goku_ui(posterior="physical")]
)
def test_every_published_network_answers_in_the_right_shapes(examples, spec):
    net = GokuNet(examples.Swing(), spec, n_channels=3, generator=generator())
    values = torch.randn(4, 23, 3, generator=generator(1))
    times_s = 0.05 * torch.arange(23, dtype=torch.float64).expand(4, -1)
    output = net(values, torch.ones_like(values, dtype=torch.bool), times_s, generator=generator(2))
    assert output.reconstruction.shape == values.shape and output.states.shape == (4, 23, 2)
    assert output.parameters.shape == (4, 1) and output.initial.shape == (4, 2)
    assert output.kl.shape == output.continuity.shape == output.diverged.shape == (4,)
    assert bool((output.kl > 0).all()) == spec.variational
    assert bool((output.continuity > 0).all()) == (spec.window_samples is not None)
    assert torch.equal(output.states[:, 0], output.initial)


def test_attention_pools_over_time_channel_by_channel():
    outputs = torch.randn(3, 1, 2, generator=generator())
    attention = dense(2, 2).requires_grad_(False)
    initialise(attention, generator(1))
    scores = [[float(attention.weight[c] @ outputs[t, 0] + attention.bias[c]) for c in range(2)] for t in range(3)]
    by_hand = []
    for c in range(2):
        weights = [math.exp(scores[t][c]) for t in range(3)]
        by_hand.append(sum(w * float(outputs[t, 0, c]) for t, w in enumerate(weights)) / sum(weights))
    np.testing.assert_allclose(pooled(outputs, attention)[0].detach(), by_hand, rtol=1e-5)


def test_mish_and_its_gradient_are_torchs():
    x = torch.linspace(-40.0, 40.0, 4001, dtype=torch.float64, requires_grad=True)
    for ours, theirs in ((mish(x), torch.nn.functional.mish(x)),):
        np.testing.assert_allclose(ours.detach(), theirs.detach(), rtol=1e-12, atol=1e-15)
        gradients = [torch.autograd.grad((y * y).sum(), x)[0] for y in (ours, theirs)]
        np.testing.assert_allclose(*gradients, rtol=1e-10, atol=1e-14)


def test_dense_layers_of_equal_width_add_to_what_they_are_given():
    stack = DenseStack(2, (3, 3, 1), activation="relu", residual=True, end="linear")
    initialise(stack, generator())
    x = torch.randn(5, 2, generator=generator(1))
    first = stack.layers[0](x).relu()
    second = first + stack.layers[1](first).relu()
    np.testing.assert_allclose(stack(x).detach(), stack.layers[2](second).detach(), rtol=1e-6)


@pytest.mark.parametrize("n_samples", [19, 21])  # 21: a last window of 3
def test_the_state_path_reads_each_window_backwards(examples, n_samples):
    path = StatePath(2, examples.small())
    initialise(path, generator())
    features, windows = torch.randn(3, n_samples, 2, generator=generator(1)), Windows(n_samples, 10)
    whole = path(features, windows)
    for w in range(windows.count):
        begin = 9 * w
        backwards = features[:, begin : min(begin + 10, n_samples)].flip(1)
        hidden, _ = path.network(backwards.transpose(0, 1))
        np.testing.assert_allclose(whole[:, w].detach(), hidden[-1].detach(), atol=1e-6)


def test_the_last_outputs_of_both_directions_have_seen_the_whole_trace(examples):
    spec = examples.small(attention=False, parameter_layers=2)
    encoder = Encoder(1, 0, spec)
    initialise(encoder, generator())
    features = torch.randn(1, 7, 8, generator=generator(1), requires_grad=True)
    result = encoder.parameter_path(features)
    for half in (slice(0, 5), slice(5, 10)):
        gradient = torch.autograd.grad(result[:, half].sum(), features, retain_graph=True)[0]
        assert bool((gradient.abs().sum(-1) > 0).all())


def test_gaps_hold_the_value_seen_last_and_before_the_first_that_one():
    values = torch.tensor([math.nan, 2.0, 9e9, 4.0, math.nan])[None, :, None]
    seen = torch.tensor([False, True, False, True, False])[None, :, None]
    assert held_over_gaps(values, seen).flatten().tolist() == [2.0, 2.0, 2.0, 4.0, 4.0]
    assert held_over_gaps(values, torch.zeros_like(seen)).flatten().tolist() == [0.0] * 5


@pytest.mark.parametrize("behind", [math.nan, 1e30])
def test_what_stands_behind_a_missing_sample_has_no_influence(examples, behind):
    net = net_for(examples, examples.Relaxer(), window_samples=5, posterior="physical", loss="likelihood")
    batch = batch_of(examples.driven())
    other = torch.where(batch.seen, batch.values, behind)
    first = net(*batch.arguments, generator=generator(1))
    second = net(other, *batch.arguments[1:], generator=generator(1))
    for name in ("reconstruction", "parameters", "initial", "kl"):
        assert torch.equal(getattr(first, name), getattr(second, name)), name
    second.reconstruction.sum().backward()
    assert all(bool(torch.isfinite(p.grad).all()) for p in net.parameters() if p.grad is not None)


def test_the_encoder_hears_gaps_steps_and_drive(examples):
    net = net_for(examples, examples.Relaxer(), window_samples=None)
    batch = batch_of(examples.driven())
    plain = net(*batch.arguments).parameters
    assert batch.drive is not None
    assert not torch.equal(net(*batch.arguments[:3], batch.drive + 1.0).parameters, plain)
    assert not torch.equal(net(batch.values, batch.seen, 2.0 * batch.times_s, batch.drive).parameters, plain)
    fewer = batch.seen.clone()
    fewer[:, 6] = False
    repeated = torch.where(fewer, batch.values, batch.values[:, 5:6])  # the same values, said to be missing
    assert not torch.equal(
        net(repeated, fewer, *batch.arguments[2:]).parameters,
        net(repeated, batch.seen, *batch.arguments[2:]).parameters,
    )


def test_parameters_lie_in_their_ranges(examples):
    net = net_for(examples, examples.Relaxer(), posterior="physical", loss="likelihood")
    low, high = net.system.parameter_range(torch.zeros(()))
    with torch.no_grad():
        net.latents.parameter_out.weight.mul_(300.0)
    drawn = net(*batch_of(examples.driven()).arguments, generator=generator(1)).parameters
    assert bool(((drawn >= low) & (drawn <= high)).all()) and float(drawn.detach().std(0).min()) > 0.0


def test_a_generator_gives_the_same_network_and_no_global_seed_is_used(examples):
    before = torch.get_rng_state()
    first, second = (net_for(examples, examples.Swing()) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert torch.equal(torch.get_rng_state(), before)


def test_gaussian_kl_agrees_with_torch():
    mean, sd, prior_mean, prior_sd = torch.rand(4, 50, generator=generator(), dtype=torch.float64) + 0.1
    normal = torch.distributions.Normal
    expected = torch.distributions.kl_divergence(normal(mean, sd), normal(prior_mean, prior_sd))
    np.testing.assert_allclose(gaussian_kl(mean, sd, prior_mean, prior_sd), expected)


def test_the_kl_from_the_uniform_prior_is_that_of_the_number_itself():
    """By quadrature over the number 0..1, not its logit: a KL does not depend on the coordinate."""
    mean, sd = 0.7, 0.8
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    logits = torch.tensor(mean + sd * nodes)[:, None]
    ours = uniform_prior_kl(logits, torch.full((len(nodes), 1, 1), sd, dtype=torch.float64))
    ours_expected = float((ours * torch.tensor(weights)).sum()) / weights.sum()
    u = np.linspace(1e-7, 1.0 - 1e-7, 2_000_001)
    logit = np.log(u / (1 - u))
    density = np.exp(-0.5 * ((logit - mean) / sd) ** 2) / (sd * math.sqrt(2 * math.pi)) / (u * (1 - u))
    integrand = np.where(density > 0, density * np.log(np.maximum(density, 1e-300)), 0.0)
    assert ours_expected == pytest.approx(np.trapezoid(integrand, u), abs=1e-4)


class _Decay(System):
    states = (Quantity("x", "", -1.0, 1.0),)
    parameters = (Quantity("rate", "1/s", 0.0, 2.0),)

    def drift(self, z, p, u):
        return (-p.rate * z.x,)


def test_the_bound_of_two_windows_is_the_evidence_less_what_factorising_costs(examples):
    """A linear system: its evidence, the best factorised posterior and the bound it reaches have closed forms."""
    rate, step, noise_sd, jump_sd, windows = 1.3, 0.1, 0.5, 0.2, Windows(9, 5)
    fall = np.exp(-rate * step * np.arange(5))
    design = np.zeros((9, 2))
    design[:4, 0], design[4:, 1] = fall[:4], fall  # samples 0..3 from the first window, 4..8 from the second
    prior_precision = np.array(
        [[1.0 + fall[4] ** 2 / jump_sd**2, -fall[4] / jump_sd**2], [-fall[4] / jump_sd**2, jump_sd**-2]]
    )
    precision = prior_precision + design.T @ design / noise_sd**2
    y = np.random.default_rng(1).normal(size=9)
    covariance = design @ np.linalg.inv(prior_precision) @ design.T + noise_sd**2 * np.eye(9)
    evidence = -0.5 * (y @ np.linalg.solve(covariance, y) + np.linalg.slogdet(2 * np.pi * covariance)[1])
    cost = 0.5 * (np.log(np.diag(precision)).sum() - np.linalg.slogdet(precision)[1])

    n, double = 20_000, torch.float64
    mean = torch.tensor(np.linalg.solve(precision, design.T @ y / noise_sd**2))[None, :, None].expand(n, 2, 1)
    sd = torch.tensor(np.diag(precision) ** -0.5)[None, :, None].expand(n, 2, 1)
    begin = mean + sd * torch.randn((n, 2, 1), generator=generator(), dtype=double)
    rates = torch.full((n, 1), rate, dtype=double)
    times_s = step * torch.arange(9, dtype=double).expand(n, -1)
    states, _ = solve_windows(_Decay(), windows, begin, rates, times_s, None, substeps=1, noisy=False, generator=None)
    net = net_for(examples, _Decay(), posterior="physical", loss="likelihood", initial_map="plain").double()
    with torch.no_grad():
        net.transition.log_sd.fill_(math.log(jump_sd))
        drawn = Drawn(begin, rates, torch.zeros(n), mean, sd)
        between = net.transition.kl(drawn, states, states, windows, times_s, None, net.latents)
        kl = gaussian_kl(mean[:, 0], sd[:, 0], 0.0, 1.0).sum(-1) + between
        expected = torch.distributions.Normal(windows.joined(states)[..., 0], noise_sd)
        bounds = expected.log_prob(torch.tensor(y)).sum(-1) - kl
    assert float(bounds.mean()) == pytest.approx(evidence - cost, abs=5 * float(bounds.std()) / math.sqrt(n))
    assert cost > 0.05  # so that the bound is told from the evidence itself


def test_a_window_of_an_sde_begins_beside_the_last_one_by_what_its_noise_does(examples):
    spec = {"posterior": "physical", "loss": "likelihood", "transition": "process", "process_noise": False}
    net = net_for(examples, examples.Relaxer(), window_samples=4, **spec)
    batch, windows = batch_of(examples.driven()), Windows(12, 4)
    drawn = net.encode(*batch.arguments, windows)
    states = torch.zeros(6, windows.count, 4, 1)
    kl = net.transition.kl(drawn, states, states, windows, batch.times_s, batch.drive, net.latents)
    duration = (batch.times_s[:, [3, 6, 9]] - batch.times_s[:, [0, 3, 6]]).float()
    jump_sd = drawn.parameters[:, 1:2] * duration.sqrt()  # the states' half-width is 1
    expected = gaussian_kl(drawn.state_mean[:, 1:, 0], drawn.state_sd[:, 1:, 0], 0.0, jump_sd).sum(1)
    np.testing.assert_allclose(kl.detach(), expected.detach(), rtol=1e-3)


def test_contradicting_choices_are_refused(examples):
    with pytest.raises(GokuSpecInvalid, match="no KL for windows"):
        goku_ui(posterior="latent")
    with pytest.raises(GokuSpecInvalid, match="counted twice"):
        goku_ui(posterior="physical", transition="process")
    with pytest.raises(GokuSpecInvalid, match="has no 'window'"):
        goku_ui(window=3)
    with pytest.raises(GokuSpecInvalid, match="KnownObservation"):
        GokuNet(examples.Swing(), goku_ui(observation="known"), n_channels=1, generator=generator())
    with pytest.raises(GokuSpecInvalid, match="noise of its own"):
        net_for(examples, examples.Swing(), posterior="physical", transition="process", process_noise=False)


def test_series_that_do_not_fit_are_refused(examples):
    series, _ = examples.swings(3)
    with pytest.raises(SeriesInvalid, match="its drives are input"):
        net_for(examples, examples.Relaxer()).adopt(series)
    with pytest.raises(SeriesInvalid, match="channels"):
        GokuNet(examples.Swing(), examples.small(), n_channels=2, generator=generator()).reconstruct(series)
