"""The losses by hand; what diverged or is missing has no part."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from twins.goku.network.batch import batch_of
from twins.goku.network.loss import goku_loss
from twins.goku.network.model import GokuNet, GokuOutput
from twins.goku.network.normalisation import Normalisation
from twins.goku.series import Series
from twins.goku.trajectories import solve_system


def net_of(examples, **changes) -> GokuNet:
    return GokuNet(
        examples.Swing(), examples.small(**changes), n_channels=2, generator=torch.Generator().manual_seed(0)
    )


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(3, 6, 2))
    values[1, 2:4, 0] = np.nan
    return batch_of(Series(values, 0.1 * np.arange(6), ("a", "b"), ("V", "V")))


@pytest.fixture
def output(batch):
    rng = np.random.default_rng(1)

    def some(*shape):
        return torch.from_numpy(rng.uniform(0.1, 1.0, shape)).float()

    normal = Normalisation(2, 0, "none")
    return GokuOutput(
        some(3, 6, 2), some(3, 6, 2), some(3, 1), some(3, 2), some(3), some(3), torch.zeros(3).bool(), normal
    )


def errors(batch, output):
    return (batch.values - output.reconstruction)[batch.seen], batch.values[batch.seen]


def test_relative_is_the_published_loss(examples, batch, output):
    loss = goku_loss(net_of(examples, continuity_weight=2.0), batch, output)
    error, values = errors(batch, output)
    reconstruction = float((error**2).mean() / values.abs().mean())
    assert float(loss.reconstruction) == pytest.approx(reconstruction)
    assert float(loss.total) == pytest.approx(reconstruction + 2.0 * float(output.continuity.mean()))


def test_continuity_is_the_published_sum_over_gaps(examples):
    """Σ_w ‖z_end(w) - z_begin(w+1)‖² / (dim_z (W-1) B), from a network's own windows."""
    net = net_of(examples, window_samples=5, initial_map="plain")
    values = torch.randn(3, 13, 2, generator=torch.Generator().manual_seed(1))
    times_s = 0.1 * torch.arange(13, dtype=torch.float64).expand(3, -1)
    seen = torch.ones_like(values).bool()
    output = net(values, seen, times_s)
    total = 0.0
    for w in range(2):  # the end of window w, solved alone from the joined states at its beginning
        begin, after = output.states[:, 4 * w], output.states[:, 4 * w + 4]
        end = solve_system(net.system, begin, output.parameters, step_s=0.1, n_steps=4)[-1]
        total += float((end - after).detach().square().sum())
    assert float(output.continuity.detach().mean()) == pytest.approx(total / (2 * 2 * 3), rel=1e-4)


def test_summed_is_the_loss_of_2021_with_its_kl(examples, batch, output):
    net = net_of(
        examples, loss="summed", posterior="latent", window_samples=None, kl_weight=1e-5, continuity_weight=0.0
    )
    loss = goku_loss(net, batch, output, kl_share=0.5)
    error, _ = errors(batch, output)
    expected = 2 * float((error**2).mean())  # the mean over traces and samples of the sum over 2 channels
    assert float(loss.total) == pytest.approx(expected + 0.5e-5 * float(output.kl.mean()))


def test_likelihood_is_gaussian_with_a_level_a_channel_and_the_whole_kl(examples, batch, output):
    net = net_of(examples, loss="likelihood", posterior="physical")
    with torch.no_grad():
        net.log_noise_sd.copy_(torch.tensor([0.3, 0.7]).log())
    loss = goku_loss(net.requires_grad_(False), batch, output)
    density = torch.distributions.Normal(output.reconstruction, torch.tensor([0.3, 0.7])).log_prob(batch.values)
    nats = -float(density[batch.seen].sum())
    count = int(batch.seen.sum())
    assert float(loss.reconstruction) == pytest.approx(nats / count, rel=1e-5)
    assert float(loss.total) == pytest.approx((nats + float(output.kl.sum())) / count, rel=1e-5)


def test_a_trace_that_diverged_has_no_part(examples, batch, output):
    net = net_of(examples)
    ran = dataclasses.replace(output, diverged=torch.tensor([False, True, False]))
    kept = torch.tensor([0, 2])
    names = [field.name for field in dataclasses.fields(output) if field.name != "normalisation"]
    fewer = dataclasses.replace(output, **{name: getattr(output, name)[kept] for name in names})
    rest = batch.cropped(kept.numpy(), np.zeros(2, dtype=int), 6)
    assert float(goku_loss(net, batch, ran).total) == pytest.approx(float(goku_loss(net, rest, fewer).total))
    ran.diverged.fill_(True)
    assert goku_loss(net, batch, ran) is None


@pytest.mark.parametrize("loss", ["relative", "summed", "likelihood"])
def test_missing_values_have_no_part(examples, batch, output, loss):
    net = net_of(examples, loss=loss)
    changed = dataclasses.replace(batch, values=torch.where(batch.seen, batch.values, 1e4))
    first, second = goku_loss(net, batch, output), goku_loss(net, changed, output)
    assert float(first.total) == float(second.total) and math.isfinite(float(first.total))


def test_the_loss_is_in_normalised_channels(examples, batch, output):
    net = net_of(examples, normalisation="standardise")
    series = Series(np.random.default_rng(2).normal(3.0, 5.0, (4, 6, 2)), 0.1 * np.arange(6), ("a", "b"), ("V", "V"))
    net.adopt(series)
    normal = net.normalisation
    output = dataclasses.replace(output, normalisation=normal)
    scale = normal.get_buffer("scale")
    error = (batch.values - output.reconstruction) / scale
    expected = (error[batch.seen] ** 2).mean() / normal.normalised(batch.values)[batch.seen].abs().mean()
    assert float(goku_loss(net, batch, output).reconstruction) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("loss", ["relative", "summed", "likelihood"])
@pytest.mark.parametrize("end", ["linear", "sigmoid"])
@pytest.mark.parametrize("gap", [False, True])
def test_what_a_network_normalised_beforehand_gives_the_same_loss_by_hand(examples, loss, end, gap):
    net = net_of(examples, normalisation="standardise", loss=loss, decoder_end=end)
    values = np.random.default_rng(2).normal(3.0, 5.0, (4, 6, 2))
    values[1, 2, 0] = np.nan if gap else 1.0
    series = Series(values, 0.1 * np.arange(6), ("a", "b"), ("V", "V"))
    net.adopt(series)
    batch = batch_of(series)
    prepared = net.prepared(batch)
    output = net(*prepared.arguments, normalised=prepared.normalised)
    by_hand = dataclasses.replace(output, outcome=output.expected)
    plainly = goku_loss(net, batch, net(*batch.arguments))
    for found in (goku_loss(net, prepared, output), goku_loss(net, prepared, by_hand)):
        assert float(found.total.detach()) == pytest.approx(float(plainly.total.detach()), rel=1e-5)
    assert net.prepared(prepared) is prepared
