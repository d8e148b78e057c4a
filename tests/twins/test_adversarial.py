"""The reference's second phase: WGAN-GP of the noise, coloured noise from its stationary law, the noise mask."""

import dataclasses
import math

import numpy as np
import pytest
import torch

import twins
from twins.device.prepare import prepare_twin
from twins.fitting import AdversarialOptions, RolloutOptions
from twins.fitting.adversarial_phase import start_auxiliaries
from twins.fitting.mixed_windows import MixedWindows, repeated_trials
from twins.fitting.parts import part_masks
from twins.objectives.adversarial import (
    Critic,
    critic_inputs,
    critic_loss,
    draw_stationary,
    generator_loss,
    gradient_penalty,
    quiet_run,
    repeat_statistics,
    sample_windows,
)

SHORT = {"n_iterations": 10, "n_windows": 16, "n_steps": 5, "critic_hidden": (8,), "critic_warm_up": 2}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def prepared(traces, **structure):
    twin = twins.DeviceTwin(twins.DeviceTwinSpec.for_traces(traces, **({"hidden": (8,)} | structure)))
    prepare_twin(twin, [traces], generator=seeded())
    return twin


def run(twin, traces, **options):
    generator, events = twins.fit(twin, traces, **({"seed": 0} | options)), []
    while True:
        try:
            events.append(next(generator))
        except StopIteration as stop:
            return events, stop.value


def parts_of(twin):
    """(drift, diffusion) of the nets as flat vectors, zero where a number is the other's; the rest by name."""
    nets = [parameter.detach() for parameter in twin.nets.parameters()]
    rest = {name: value.detach().clone() for name, value in twin.named_parameters() if not name.startswith("nets.")}
    masks = [part_masks(twin.nets, part) for part in ("drift", "diffusion")]
    return *(torch.cat([(p * m).flatten() for p, m in zip(nets, mask, strict=True)]) for mask in masks), rest


# The critic


def test_the_gradient_penalty_is_that_of_finite_differences():
    critic = Critic(3, (16,), generator=seeded(1)).double()
    real, fake = (torch.randn(5, 3, generator=seeded(seed), dtype=torch.float64) for seed in (2, 3))
    lot = torch.rand(5, 1, generator=seeded(4), dtype=torch.float64)
    between, step = fake + lot * (real - fake), 1e-6
    slopes = [
        (critic(between + step * unit)[0] - critic(between - step * unit)[0]) / (2 * step)
        for unit in torch.eye(3, dtype=torch.float64)
    ]
    expected = (torch.stack(slopes).norm(dim=0) - 1).square().mean()
    penalty = gradient_penalty(critic, real, fake, generator=seeded(4))
    torch.testing.assert_close(penalty, expected, rtol=1e-6, atol=0)


def test_the_penalty_has_exact_second_derivatives_in_the_critic():
    critic = Critic(2, (6,), generator=seeded(1)).double()
    real, fake = (torch.randn(4, 2, generator=seeded(seed), dtype=torch.float64) for seed in (2, 3))
    weight = critic.weights[0]
    (gradient,) = torch.autograd.grad(gradient_penalty(critic, real, fake, generator=seeded(4)), weight)
    step, moved = 1e-6, []
    for sign in (1, -1):
        with torch.no_grad():
            weight[1, 2] += sign * step
        moved.append(gradient_penalty(critic, real, fake, generator=seeded(4)).item())
        with torch.no_grad():
            weight[1, 2] -= sign * step
    assert float(gradient[1, 2]) == pytest.approx((moved[0] - moved[1]) / (2 * step), rel=1e-5)


def test_a_critic_of_unit_slope_pays_no_penalty():
    critic = Critic(1, (2,), generator=seeded())
    with torch.no_grad():  # relu(x) - relu(-x) = x
        critic.weights[0].copy_(torch.tensor([[1.0, -1.0]]))
        critic.weights[1].copy_(torch.tensor([[1.0], [-1.0]]))
    real, fake = torch.tensor([[2.0], [3.0]]), torch.tensor([[0.5], [0.0]])
    loss, apart = critic_loss(critic, real, fake, penalty=10.0, generator=seeded())
    assert apart == pytest.approx(2.25) and loss.item() == pytest.approx(-2.25)


def test_the_critic_never_moves_what_it_judges():
    critic = Critic(2, (4,), generator=seeded())
    fake = torch.zeros(3, 2, requires_grad=True)
    loss, _ = critic_loss(critic, torch.ones(3, 2), fake, penalty=10.0, generator=seeded())
    assert torch.autograd.grad(loss, fake, allow_unused=True) == (None,)


def test_a_trained_critic_estimates_the_wasserstein_distance():
    from twins.fitting.adam import FlatAdam

    critic = Critic(1, (32, 32), generator=seeded())
    adam = FlatAdam(critic.parameters(), largest_gradient=float("inf"), betas=(0.0, 0.9))
    chance = seeded(1)
    for _ in range(400):  # two normal laws 1.5 apart
        real, fake = torch.randn(256, 1, generator=chance) + 1.5, torch.randn(256, 1, generator=chance)
        loss, _ = critic_loss(critic, real, fake, penalty=10.0, generator=chance)
        adam.step(loss, 2e-3)
    real, fake = torch.randn(20_000, 1, generator=chance) + 1.5, torch.randn(20_000, 1, generator=chance)
    _, apart = critic_loss(critic, real, fake, penalty=10.0, generator=chance)
    assert apart == pytest.approx(1.5, rel=0.15)


def test_feature_matching_is_zero_where_the_windows_agree():
    critic = Critic(3, (8,), generator=seeded())
    windows = torch.randn(32, 3, generator=seeded(1))
    assert generator_loss(critic, windows, windows, kind="features").item() == pytest.approx(0.0, abs=1e-12)
    assert generator_loss(critic, windows, 2 * windows, kind="features").item() > 1e-3
    fake = torch.zeros(32, 3, requires_grad=True)  # no spread at all: gradients stay finite
    (gradient,) = torch.autograd.grad(generator_loss(critic, windows, fake, kind="features"), fake)
    assert torch.isfinite(gradient).all()


def test_unbiased_feature_matching_is_zero_on_average_for_laws_that_agree():
    critic, chance = Critic(2, (8,), generator=seeded()), seeded(1)
    pairs = [(torch.randn(16, 2, generator=chance), torch.randn(16, 2, generator=chance)) for _ in range(400)]
    with torch.no_grad():  # the part of the standard deviations is the same in both
        fair, plain = (
            torch.stack([generator_loss(critic, *pair, kind="features", unbiased=unbiased) for pair in pairs])
            for unbiased in (True, False)
        )
        apart = [(critic(fake)[1] - critic(real)[1]) for real, fake in pairs]
    by_chance = torch.stack([(difference.var(0) / 16).mean() for difference in apart])
    torch.testing.assert_close(plain - fair, by_chance)
    means = torch.stack([difference.mean(0).square().mean() for difference in apart])
    assert abs(float((means - by_chance).mean())) < 4 * float((means - by_chance).std()) / 20 < float(by_chance.mean())


def test_deviations_are_from_the_run_without_noise(leaky_traces):
    twin = prepared(leaky_traces, auxiliaries=1, response_delays=1)
    start, u = torch.randn(3, 2, 1, generator=seeded()), torch.randn(3, 4, 3, generator=seeded(1))
    quiet = quiet_run(twin, start, u)
    rows = torch.cat((start.flatten(1), u[:, 0]), dim=1)
    torch.testing.assert_close(quiet[:, 0], start[:, 0] + twin.step_law(rows).increment)
    seen = critic_inputs(quiet + 2.0 * twin.increment_scale, u, quiet, twin.increment_scale)
    torch.testing.assert_close(seen[:, :4], torch.full((3, 4), 2.0), rtol=1e-3, atol=1e-3)
    assert seen.shape == (3, 4 + 4 + 12) and critic_inputs(quiet, u).shape == (3, 4 + 12)


@pytest.mark.parametrize("kind", ["features", "wasserstein"])
def test_gradients_of_the_noise_are_those_of_finite_differences(leaky_traces, kind):
    twin = prepared(leaky_traces, auxiliaries=2, scheme="heun", response_delays=1).double()
    with torch.no_grad():
        twin.auxiliary_coupling.copy_(torch.tensor([[0.6, -0.4]]))
        for weight in twin.nets.weights:
            weight.add_(0.1 * torch.randn(weight.shape, generator=seeded(2)))
    critic = Critic(5 * 4, (12,), generator=seeded(1)).double()
    start, u = (torch.randn(shape, generator=seeded(3)).double() for shape in ((8, 2, 1), (8, 5, 3)))
    real = torch.randn(8, 20, generator=seeded(4)).double()

    def loss():
        fake = critic_inputs(sample_windows(twin, start, u, generator=seeded(5)), u)
        return generator_loss(critic, real, fake, kind=kind)

    for parameter, place in (
        (twin.auxiliary_rate, (1,)), (twin.auxiliary_coupling, (0, 0)), (twin.nets.weights[-1], (1, 3, 2)),
        (twin.nets.biases[0], (1, 0, 2)),
    ):  # fmt: skip
        (gradient,) = torch.autograd.grad(loss(), parameter)
        moved, step = [], 1e-6
        for sign in (1, -1):
            with torch.no_grad():
                parameter[place] += sign * step
            moved.append(loss().item())
            with torch.no_grad():
                parameter[place] -= sign * step
        assert gradient[place].item() == pytest.approx((moved[0] - moved[1]) / (2 * step), rel=1e-4, abs=1e-9)


# What is trained


@pytest.mark.parametrize("diffusion_hidden", [None, (6,)])
def test_drift_and_backbone_stay_as_they_are(leaky_traces, diffusion_hidden):
    twin = prepared(leaky_traces, auxiliaries=2, diffusion_hidden=diffusion_hidden)
    drift, diffusion, rest = parts_of(twin)
    settings = AdversarialOptions(**SHORT)
    events = twins.fit(
        twin, [leaky_traces], seed=0, phases=("adversarial",), phase_options={"adversarial": settings}, warm_start=True
    )
    assert [next(events).epoch for _ in range(4)] == [0, 1, 2, 3]  # the start, the critic's warm-up, two epochs
    now_drift, now_diffusion, now_rest = parts_of(twin)
    events.close()
    assert torch.equal(drift, now_drift) and not torch.equal(diffusion, now_diffusion)
    for name in ("linear_weight", "linear_bias"):
        assert torch.equal(rest[name], now_rest[name])
    for name in ("auxiliary_rate", "auxiliary_coupling"):
        assert not torch.equal(rest[name], now_rest[name])


def test_fine_tuning_reaches_the_drift(leaky_traces):
    twin = prepared(leaky_traces)
    drift, _, rest = parts_of(twin)
    settings = AdversarialOptions(**SHORT, drift_rate=1e-3)
    events = twins.fit(
        twin, [leaky_traces], seed=0, phases=("adversarial",), phase_options={"adversarial": settings}, warm_start=True
    )
    assert [next(events).epoch for _ in range(4)] == [0, 1, 2, 3]  # the start, the critic's warm-up, two epochs
    now_drift, _, now_rest = parts_of(twin)
    events.close()
    assert not torch.equal(drift, now_drift)
    assert torch.equal(rest["linear_weight"], now_rest["linear_weight"])


@pytest.mark.parametrize(
    ("loss", "critic_sees"), [("features", "deviations"), ("wasserstein", "deviations"), ("wasserstein", "windows")]
)
def test_it_finds_the_level_of_the_noise(loss, critic_sees):
    traces = ar1(n_trials=40, n_samples=60)
    twin = prepared(traces, response_delays=0, drive_delays=0)  # the backbone is the truth, and its noise is right
    with torch.no_grad():
        twin.nets.biases[-1][1] += 1.5
    rows = torch.randn(100, 2, generator=seeded(1))
    spoiled = float((twin.step_law(rows).spread / twin.increment_scale).mean().detach())
    settings = AdversarialOptions(
        n_iterations=60,
        n_windows=64,
        n_steps=6,
        loss=loss,
        critic_sees=critic_sees,
        noise_rate=1e-2,
        critic_hidden=(16, 16),
    )
    run(twin, [traces], phases=("adversarial",), phase_options={"adversarial": settings}, warm_start=True)
    mended = float((twin.step_law(rows).spread / twin.increment_scale).mean().detach())
    assert spoiled > 2.0 and mended == pytest.approx(1.0, abs=0.3)


def ar1(*, n_trials, n_samples):
    """x' = 0.8 x + 0.2 u + 0.3 ξ."""
    rng = np.random.default_rng(0)
    drive, response = rng.uniform(-1, 1, (n_trials, n_samples)), np.zeros((n_trials, n_samples))
    for k in range(n_samples - 1):
        response[:, k + 1] = 0.8 * response[:, k] + 0.2 * drive[:, k] + 0.3 * rng.standard_normal(n_trials)
    return twins.Traces(drive[..., None], response[..., None], 1.0, ("u",), ("V",), ("x",), ("V",))


def test_both_phases_follow_from_the_seed():
    traces = ar1(n_trials=8, n_samples=40)
    options = {"rollout": RolloutOptions(n_iterations=8, n_windows=16), "adversarial": AdversarialOptions(**SHORT)}
    outcomes = []
    for seed in (1, 1, 2):
        twin = twins.DeviceTwin(twins.DeviceTwinSpec.for_traces(traces, hidden=(8,), auxiliaries=1))
        events, _ = run(
            twin, [traces], seed=seed, phases=("rollout", "adversarial"), phase_options=options, max_epochs=2
        )
        assert events[-1].phase == "adversarial" and events[-1].progress == 1.0
        outcomes.append(events[-1].train_loss)
    assert outcomes[0] == outcomes[1] != outcomes[2]


# Coloured noise and the mask


def test_coloured_noise_has_its_law_from_the_first_sample(leaky_traces):
    twin = prepared(leaky_traces, response_delays=2, auxiliaries=2, noise_mask=(False,))
    with torch.no_grad():
        twin.linear_weight.zero_(), twin.linear_bias.zero_()  # the response is the sum of the forces
        twin.auxiliary_coupling.copy_(torch.tensor([[1.0, 0.0]]))
        twin.auxiliary_rate.copy_(torch.tensor([0.3, 1.5]).log())
        twin.nets.biases[-1][1, 0, 1:3] = torch.tensor([0.7, -0.4])  # raw spreads of the two auxiliaries
    n, n_steps = 40_000, 8
    path = sample_windows(twin, torch.zeros(n, 3, 1), torch.zeros(n, n_steps, 3), generator=seeded()).detach()
    force = torch.diff(path[..., 0], dim=1, prepend=torch.zeros(n, 1)) / twin.increment_scale
    variance = (math.log1p(math.exp(0.7)) + twin.spec.noise_floor) ** 2
    rho = math.exp(-0.3)
    chance = 4 * variance * math.sqrt(2 / n)
    for k in range(n_steps):
        assert float(force[:, k].var()) == pytest.approx(variance, abs=chance)
        assert float((force[:, 0] * force[:, k]).mean()) == pytest.approx(variance * rho**k, abs=chance)


def test_coloured_noise_of_a_response_has_its_law_from_the_first_sample(leaky_traces):
    twin = prepared(leaky_traces, response_delays=0, drive_delays=0, auxiliaries=1, noise_mask=(False,))
    with torch.no_grad():
        twin.linear_weight.zero_(), twin.linear_bias.zero_()
        twin.auxiliary_coupling.fill_(1.0)
        twin.auxiliary_rate.fill_(math.log(0.4))
    n, n_steps = 20_000, 6
    history = twins.Histories(twin.bank_response[:1].expand(n, -1, -1), twin.bank_drive[:1].expand(n, -1, -1))
    drive = torch.zeros(n, n_steps + 1, 1)
    path = twin.respond(drive, history=history, generator=seeded(), observed=False, check_range=False).detach()
    force = torch.diff(path[..., 0], dim=1) / (twin.increment_scale * twin.response_scale)
    variance = float(twin.step_law(torch.zeros(1, 2)).spread[0, 1].detach()) ** 2
    chance = 4 * variance * math.sqrt(2 / n)
    for k in range(n_steps):
        assert float(force[:, k].var()) == pytest.approx(variance, abs=chance)
        covariance = float(torch.cov(force[:, [0, k]].T)[0, 1])
        assert covariance == pytest.approx(variance * math.exp(-0.4 * k), abs=chance)


def test_auxiliaries_driven_by_shared_columns_start_with_their_joint_law(leaky_traces):
    twin = prepared(leaky_traces, auxiliaries=2, noise_diagonal=False, noise_columns=1)
    rho = torch.tensor([0.9, 0.4])
    with torch.no_grad():
        twin.auxiliary_rate.copy_((-rho.log()).log())
        twin.nets.biases[-1][1, 0, :3] = torch.tensor([0.0, 2.0, -1.0])  # (response + auxiliary, column)
    n = 40_000
    lot = draw_stationary(twin, torch.zeros(n, 4, 1), torch.zeros(n, 3), generator=seeded()).detach()
    kick = (1 - rho**2).sqrt() * torch.tensor([2.0, -1.0])
    expected = torch.outer(kick, kick) / (1 - torch.outer(rho, rho))
    torch.testing.assert_close(torch.cov(lot.T), expected, rtol=0.05, atol=0.02)


@pytest.mark.parametrize("delays", [0, 1, 4])
def test_a_masked_channel_has_no_noise_whatever_the_delays(ground_truth, delays):
    traces = two_channels(ground_truth)
    twin = prepared(traces, response_delays=delays, noise_mask=(False, True))
    start = torch.zeros(64, delays + 1, 2)
    u = torch.zeros(64, 1, 3)
    step = sample_windows(twin, start, u, generator=seeded())
    quiet, loud = step.detach()[:, 0].std(0)
    assert float(quiet) < 1e-7 and float(loud) > 1e-3


def two_channels(ground_truth):
    one = ground_truth.record("leaky", np.random.default_rng(5), n_inputs=6, n_samples=60)
    return dataclasses.replace(
        one,
        response=np.concatenate([one.response, one.response[::-1]], axis=2),
        response_names=("first", "second"),
        response_units=("V", "V"),
    )


def test_silent_auxiliaries_start_with_the_covariance_of_the_residual(ground_truth):
    traces = two_channels(ground_truth)
    twin = prepared(traces, auxiliaries=3, noise_mask=(False, False))
    start_auxiliaries(twin, [traces], decay=(1.5, 0.7, 0.3))
    torch.testing.assert_close(twin.auxiliary_rate.detach().exp(), torch.tensor([1.5, 0.7, 0.3]))
    coupling = twin.auxiliary_coupling.detach()
    torch.testing.assert_close((coupling @ coupling.T).diagonal(), torch.ones(2), rtol=1e-3, atol=1e-3)


# Data


def test_windows_come_from_repeats_and_single_shots_in_the_stated_share(ground_truth):
    rng = np.random.default_rng(2)
    singles = ground_truth.record("leaky", rng, n_inputs=30, n_samples=80)
    repeats = ground_truth.record("leaky", rng, n_inputs=2, n_samples=40, n_repeats=5)
    repeats = dataclasses.replace(repeats, response=repeats.response + 100.0)  # to tell them apart
    twin = prepared(singles)
    assert repeated_trials(repeats).all() and not repeated_trials(singles).any()
    for share in (0.0, 0.3, 1.0):
        windows = MixedWindows(twin, [singles, repeats], n_steps=6, repeats_share=share)
        drawn = windows.draw(4000, np.random.default_rng(0))
        seen = float((drawn.start[:, 0, 0] * twin.response_scale + twin.response_centre > 50).float().mean())
        assert seen == pytest.approx(share, abs=0.03)
    everything = MixedWindows(twin, [singles], n_steps=6, repeats_share=0.5)
    assert len(everything.draw(10, np.random.default_rng(0)).u) == 10


def test_a_window_is_a_piece_of_a_trial(leaky_traces):
    twin = prepared(leaky_traces, response_delays=2, drive_delays=1)
    windows = MixedWindows(twin, [leaky_traces], n_steps=7, repeats_share=None).draw(5, np.random.default_rng(1))
    whole = ((torch.tensor(leaky_traces.response) - twin.response_centre) / twin.response_scale)[..., 0].float()
    drive = ((torch.tensor(leaky_traces.drive) - twin.drive_centre) / twin.drive_scale)[..., 0].float()
    for start, u, observed in zip(*windows, strict=True):
        piece = torch.cat((start[:, 0].flip(0), observed[:, 0]))
        trial, k = [int(i[0]) for i in torch.where((whole.unfold(1, 10, 1) == piece).all(-1))]
        torch.testing.assert_close(u[:, 0], drive[trial, k + 2 : k + 9])
        torch.testing.assert_close(u[:, 1], drive[trial, k + 1 : k + 8])


def test_the_statistics_over_repeats_are_the_references():
    rng = torch.Generator().manual_seed(0)
    shapes = ((400, 6, 2), (500, 6, 2))
    same = [torch.randn(shape, generator=rng) for shape in shapes]
    mean, std, correlation = repeat_statistics([same[0]], [same[1]])
    assert max(mean, std) < 0.1 and correlation < 0.01
    mean, std, correlation = repeat_statistics([same[0] + 3.0], [same[1]])
    assert mean == pytest.approx(3.0, abs=0.1) and std < 0.1
    _, std, _ = repeat_statistics([2.0 * same[0]], [same[1]])
    assert std == pytest.approx(1.0, abs=0.1)
    constant = torch.randn(400, 1, 2, generator=rng).expand(400, 6, 2)
    _, _, correlation = repeat_statistics([constant], [same[1]])
    assert correlation == pytest.approx(30 / 36, abs=0.05)  # all off-diagonal entries are one instead of zero


def test_the_louder_input_weighs_more_in_the_statistics():
    rng = torch.Generator().manual_seed(0)
    quiet, loud = (scale * torch.randn(400, 5, 1, generator=rng) for scale in (0.1, 1.0))
    _, std, _ = repeat_statistics([quiet, 2.0 * loud], [quiet, loud])
    assert std == pytest.approx(3.0 / 3.2, rel=0.05)


def test_choosing_by_repeats_keeps_what_lowers_the_statistic(ground_truth):
    rng = np.random.default_rng(4)
    traces = ground_truth.record("leaky", rng, n_inputs=12, n_samples=60, n_repeats=6)
    settings = AdversarialOptions(**(SHORT | {"n_iterations": 40}), choose_by="repeats", judged_every=10)
    twin = prepared(traces)
    events, result = run(twin, [traces], phases=("adversarial",), phase_options={"adversarial": settings})
    kept = [event.epoch for event in events if event.best and event.phase == "adversarial"]
    assert result.best_epoch == (kept[-1] if kept else 0)
    with pytest.raises(twins.TracesInvalid, match="recorded more than once"):
        singles = ground_truth.record("leaky", rng, n_inputs=6, n_samples=60)
        run(prepared(singles), [singles], phases=("adversarial",), phase_options={"adversarial": settings})


def test_single_shots_and_repeats_at_two_conditions_train_one_twin(ground_truth):
    rng = np.random.default_rng(6)
    singles = ground_truth.record("leaky", rng, n_inputs=10, n_samples=80)
    repeats = ground_truth.record("leaky", rng, n_inputs=4, n_samples=40, n_repeats=4)
    parts = [dataclasses.replace(part, conditions={"bias_V": bias}) for part, bias in ((singles, 1.0), (repeats, 2.0))]
    settings = AdversarialOptions(**SHORT, repeats_share=0.5, choose_by="repeats", judged_every=5)
    twin = twins.DeviceTwin(twins.DeviceTwinSpec.for_traces(parts, hidden=(8,), auxiliaries=1))
    assert twin.spec.condition_names == ("bias_V",)
    events, _ = run(twin, parts, phases=("adversarial",), phase_options={"adversarial": settings})
    assert events[-1].progress == 1.0 and math.isfinite(events[-1].free_run_score)


def test_patience_ends_the_phase(ground_truth):
    traces = ground_truth.record("leaky", np.random.default_rng(4), n_inputs=8, n_samples=60, n_repeats=4)
    settings = AdversarialOptions(
        **(SHORT | {"n_iterations": 5000}), choose_by="repeats", judged_every=5, patience=1, noise_rate=0.3
    )
    events, _ = run(prepared(traces), [traces], phases=("adversarial",), phase_options={"adversarial": settings})
    assert len(events) < 300 and events[-1].progress == 1.0


# Refusals


def test_what_cannot_be_trained_so_is_refused(leaky_traces):
    for structure, words in (
        ({"noise_diagonal": False}, "ordinary differential equation"),
        ({"observation": True}, "measurement noise"),
    ):
        with pytest.raises(twins.TracesInvalid, match=words):
            run(prepared(leaky_traces, **structure), [leaky_traces], phases=("adversarial",))
    with pytest.raises(twins.TracesInvalid, match="n_steps of at most"):
        settings = AdversarialOptions(n_steps=10_000)
        twin = prepared(leaky_traces)
        run(twin, [leaky_traces], phases=("adversarial",), phase_options={"adversarial": settings})
    with pytest.raises(twins.TracesInvalid, match="2 entries for 1"):
        settings = AdversarialOptions(auxiliary_decay=(1.0, 2.0))
        twin = prepared(leaky_traces, auxiliaries=1)
        run(twin, [leaky_traces], phases=("adversarial",), phase_options={"adversarial": settings})


def test_options_are_checked_at_the_door(leaky_traces):
    for wrong in (
        {"loss": "hinge"},
        {"critic_sees": "all"},
        {"n_steps": 0},
        {"repeats_share": 1.5},
        {"choose_by": "luck"},
        {"n_windows": 1},
    ):
        with pytest.raises(twins.TracesInvalid):
            AdversarialOptions(**wrong)
    with pytest.raises(twins.TracesInvalid, match="must be AdversarialOptions"):
        run(
            prepared(leaky_traces), [leaky_traces], phases=("adversarial",),
            phase_options={"adversarial": RolloutOptions()},
        )  # fmt: skip
    with pytest.raises(twins.TracesInvalid, match="the phases are likelihood"):
        run(prepared(leaky_traces), [leaky_traces], phase_options={"adversarial": AdversarialOptions()})
