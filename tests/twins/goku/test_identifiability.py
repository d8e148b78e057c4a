"""What data can and cannot tell apart, where the answer is known. All data are simulated."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from twins.errors import SeriesInvalid
from twins.goku.diagnosis.identifiability import Identifiability, identifiability
from twins.goku.posterior import Guess, Posterior
from twins.goku.quantity import Quantity, Values
from twins.goku.series import Series
from twins.goku.system import System
from twins.goku.trajectories import solve_system

F64 = torch.float64


class Amplified(System):
    """x' = -rate x + strength u, seen as gain x: only strength · gain is known where x begins anywhere."""

    states = (Quantity("x", "V", -5.0, 5.0),)
    parameters = (
        Quantity("rate", "1/s", 0.2, 5.0, scale="log"),
        Quantity("strength", "1/s", 0.2, 5.0, scale="log"),
        Quantity("gain", "", 0.2, 5.0, scale="log"),
    )
    drives = (Quantity("u", "V"),)
    outputs = (Quantity("y", "V"),)

    def drift(self, z: Values, p: Any, u: Values) -> object:
        return (-p.rate * z.x + p.strength * u.u,)

    def observe(self, z: Values, p: Values) -> object:
        return (p.gain * z.x,)


class Offsets(System):
    """x' = -rate x + first - second: ranges that hold 0, and a difference that is all that shows."""

    states = (Quantity("x", "V", -5.0, 5.0),)
    parameters = (
        Quantity("rate", "1/s", 0.2, 5.0, scale="log"),
        Quantity("first", "V/s", -1.0, 1.0),
        Quantity("second", "V/s", -2.0, 2.0),
    )

    def drift(self, z: Values, p: Any, u: Values) -> object:
        return (-p.rate * z.x + p.first - 0.5 * p.second,)


class Hardening(System):
    """An oscillator whose cubic spring shows at large amplitudes alone."""

    states = (Quantity("x", "V", -2.0, 2.0), Quantity("v", "V/s", -2.0, 2.0))
    parameters = (Quantity("stiffness", "1/s^2", 0.5, 2.0), Quantity("hardening", "1/(V s)^2", 0.1, 2.0))

    def drift(self, z: Values, p: Any, u: Values) -> object:
        return z.v, -(p.stiffness + p.hardening * z.x * z.x) * z.x


class Shaken(Amplified):
    """The same with noise of its own, which the gain scales as well."""

    parameters = (*Amplified.parameters, Quantity("noise", "V/s^0.5", 0.05, 1.0, scale="log"))
    noise = "additive"

    def diffusion(self, z: Values, p: Any, u: Values) -> object:
        return (p.noise,)


def measured(
    system: System, parameters: list[float], initial: list[float], *, n_traces: int = 1, noise_sd: float = 0.02
) -> tuple[Series, Guess]:
    """Simulated traces of one group, and the truth."""
    rng, n = np.random.default_rng(5), 60
    drive = rng.normal(size=(n_traces, n, 1)) if system.drives else None
    p, z = (torch.tensor([row], dtype=F64).expand(n_traces, -1) for row in (parameters, initial))
    states = solve_system(
        system, z, p, step_s=0.1, n_steps=n - 1, noisy=True, generator=torch.Generator().manual_seed(5),
        drive=None if drive is None else torch.from_numpy(drive[:, :-1].swapaxes(0, 1).copy()),
    )  # fmt: skip
    clean = system.outputs_of(states, p)[..., :1].swapaxes(0, 1).numpy()
    driven = {} if drive is None else {"drive": drive, "drive_names": ("u",), "drive_units": ("V",)}
    values = clean + noise_sd * rng.normal(size=clean.shape)
    series = Series(values, 0.1 * np.arange(n), ("y",), ("V",), group=np.zeros(n_traces, dtype=np.int64), **driven)  # type: ignore[arg-type]
    return series, Guess(p.numpy(), z.numpy(), np.full((n_traces, 1), noise_sd))


def first_state(system: System) -> Any:
    from twins.goku.observation import KnownObservation

    return KnownObservation.of_outputs(system, [system.flat_outputs[0].name])


def report(system: System, parameters: list[float], initial: list[float], **options: Any) -> Identifiability:
    series, truth = measured(system, parameters, initial, **options)
    (found,) = identifiability(system, first_state(system), series, truth, substeps=1)
    return found


def test_of_a_product_only_the_product_is_known_and_no_data_of_the_kind_can_tell_more() -> None:
    found = report(Amplified(), [1.0, 2.0, 0.8], [0.5], n_traces=2)
    assert (found.n_structural, found.n_traces) == (1, 2)
    (direction,) = found.directions
    assert direction.structural and direction.combination == "strength · gain"
    assert np.allclose(np.abs(direction.coefficients), 0.5**0.5, atol=1e-4)
    assert "trade off" in direction.words and "only strength · gain is known" in direction.words
    rate, strength, gain = found.parameters
    assert rate.verdict == "learned" and rate.by_data < 0.1
    assert np.isinf(strength.by_data) and np.isinf(gain.by_data) and strength.alone < 0.1
    # of two parameters with one known product, each keeps 1/√2 of the prior's width
    assert strength.sd_over_prior == pytest.approx(0.5**0.5, abs=0.01)
    assert np.isinf(found.condition_number)
    assert [pair[:2] for pair in found.correlated] == [("strength", "gain")] and found.correlated[0][2] < -0.99


def test_a_known_initial_value_does_not_hide_what_is_open_with_noise_of_its_own() -> None:
    """Gain, strength and process noise scale together: two ratios are known, one dimension is open."""
    found = report(Shaken(), [1.0, 2.0, 0.8, 0.3], [0.5], n_traces=2)
    assert found.n_structural == 1
    direction = found.directions[0]
    assert direction.structural and set(direction.names) == {"strength", "gain", "noise"}
    relative = dict(zip(direction.names, direction.relative, strict=True))
    assert relative["strength"] is not None and relative["gain"] is not None
    assert relative["strength"] == pytest.approx(-relative["gain"], rel=1e-3)
    assert relative["strength"] == pytest.approx(relative["noise"], rel=1e-3)


def test_a_difference_is_named_as_a_sum_with_its_weight() -> None:
    found = report(Offsets(), [1.0, 0.3, -0.4], [1.0])
    assert found.directions[0].combination == "first - 0.5 · second"
    assert found.n_structural == 1


def test_a_parameter_that_these_data_do_not_excite_is_told_from_one_that_none_can_tell() -> None:
    small = report(Hardening(), [1.0, 0.5], [0.01, 0.0], noise_sd=0.001)
    assert small.n_structural == 0
    (direction,) = small.directions
    assert direction.names == ("hardening",) and not direction.structural
    assert "these data do not tell" in direction.words
    stiffness, hardening = small.parameters
    assert stiffness.verdict == "learned"
    assert hardening.verdict == "not learned" and "too small" in hardening.why
    large = report(Hardening(), [1.0, 0.5], [1.5, 0.0], noise_sd=0.001)
    assert large.identifiable and not large.directions and large.parameters[1].by_data < 0.05


def test_traces_of_a_group_tell_more_together_and_groups_are_reported_apart() -> None:
    series, truth = measured(Hardening(), [1.0, 0.5], [1.0, 0.0], n_traces=4, noise_sd=0.1)
    apart = Series(series.values, series.times_s, ("y",), ("V",), group=np.array([7, 7, 7, 9]))
    three, one = identifiability(Hardening(), first_state(Hardening()), apart, truth, substeps=1)
    assert (three.group, three.n_traces, one.group, one.n_traces) == (7, 3, 9, 1)
    for together, alone in zip(three.parameters, one.parameters, strict=True):
        assert together.by_data == pytest.approx(alone.by_data / 3**0.5, rel=1e-6)


def test_a_posterior_as_wide_as_the_prior_says_not_learned() -> None:
    series, truth = measured(Hardening(), [1.0, 0.5], [1.5, 0.0], noise_sd=0.001)
    unit = np.random.default_rng(0).random((1, 4000, 2))
    unit[..., 0] = 0.3 + 0.01 * unit[..., 0]
    low, high = np.array([0.5, 0.1]), np.array([2.0, 2.0])
    posterior = Posterior(
        ("stiffness", "hardening"), ("1/s^2", "1/(V s)^2"), low + (high - low) * unit, np.zeros((1, 4000, 2)),
        np.ones((1, 4000, 1)), np.full((1, 4000), 1 / 4000), "sampler", np.ones(1, dtype=bool),
    )  # fmt: skip
    (found,) = identifiability(Hardening(), first_state(Hardening()), series, truth, posterior=posterior, substeps=1)
    stiffness, hardening = found.parameters
    assert hardening.verdict == "not learned" and hardening.posterior_over_prior == pytest.approx(1.0, abs=0.05)
    assert "see its profile" in hardening.why
    assert stiffness.verdict == "learned" and stiffness.posterior_over_prior == pytest.approx(0.01, rel=0.1)
    assert any(line.startswith("hardening: not learned") for line in found.lines())
    assert found.as_dict()["parameters"][1]["verdict"] == "not learned"


def test_what_only_the_ranges_tell_apart_is_said_to_come_from_them() -> None:
    series, truth = measured(Amplified(), [1.0, 2.0, 0.8], [0.5], n_traces=2)
    rng, n = np.random.default_rng(0), 2000
    strength = 2.0 * np.exp(0.1 * rng.normal(size=(2, n)))  # narrow, though the data tell the product alone
    draws = np.stack((np.full((2, n), 1.0) * np.exp(0.02 * rng.normal(size=(2, n))), strength, 1.6 / strength), axis=-1)
    posterior = Posterior(
        Amplified().parameter_names, ("1/s", "1/s", ""), draws, np.zeros((2, n, 1)), np.ones((2, n, 1)),
        np.full((2, n), 1 / n), "sampler", np.ones(2, dtype=bool),
    )  # fmt: skip
    (found,) = identifiability(Amplified(), first_state(Amplified()), series, truth, posterior=posterior, substeps=1)
    rate, strength_told, gain = found.parameters
    assert strength_told.verdict == gain.verdict == "learned"
    assert all("told through the ranges" in one.why and "parabola" not in one.why for one in (strength_told, gain))
    assert "ranges" not in rate.why
    (direction,) = found.directions
    assert "the data alone tell only strength · gain" in direction.words
    assert "nothing is known" not in direction.words


def test_an_estimate_of_another_shape_is_refused() -> None:
    series, truth = measured(Hardening(), [1.0, 0.5], [1.5, 0.0])
    with pytest.raises(SeriesInvalid, match="the estimate must hold"):
        identifiability(Hardening(), None, series, Guess(truth.parameters[:, :1], truth.initial, truth.noise_sd))
