import numpy as np
import pytest
import torch

from twins.errors import EquationInvalid
from twins.goku.held import HeldSystem
from twins.goku.quantity import Quantity
from twins.goku.scoring.parameter_errors import parameter_errors
from twins.goku.scoring.symmetry_group import symmetry_group
from twins.goku.system import Symmetry, System
from twins.goku.systems import system_named


def drawn(system, n, seed=0):
    return system.draw_parameters(n, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("n", "elements"), [(1, 2), (2, 4), (3, 12), (5, 240)])
def test_the_group_of_a_network_has_every_order_and_both_senses(n, elements):
    system = system_named("stuart_landau_network", n_oscillators=n)
    assert len(symmetry_group(system, system.symmetries())) == elements


def test_images_one_by_one_are_those_made_at_once():
    system = system_named("stuart_landau_network", coupling="off_diagonal")
    group = symmetry_group(system, system.symmetries())
    parameters = drawn(system, 2)
    images = group.images(parameters)
    for element in range(len(group)):
        torch.testing.assert_close(group.image(element, parameters), images[element])


@pytest.mark.parametrize("n", [3, 6, 9])
def test_a_network_in_another_order_is_recovered_exactly_where_the_observation_is_free(n):
    system = system_named("stuart_landau_network", n_oscillators=n)
    truth = drawn(system, 4)
    rng = np.random.default_rng(0)
    estimate = torch.stack([system.reordered(row, list(rng.permutation(n))) for row in truth])
    estimate[1] = system.symmetries_in_place()[0].parameters(estimate[1])
    noise = 1e-3 * torch.randn(estimate.shape, generator=torch.Generator().manual_seed(1)).double()
    errors = parameter_errors(system, (estimate + noise).numpy(), truth.numpy(), observed=None)
    assert errors.of_range.max() < 0.05
    assert errors.pooled()["of_range"] < 0.01
    bare = parameter_errors(system, estimate.numpy(), truth.numpy(), observed=("x[0]", "y[0]"))
    assert bare.pooled()["of_range"] > 0.05


def test_draws_of_a_posterior_are_changed_as_their_estimate():
    system = system_named("stuart_landau_network", n_oscillators=7)
    truth = drawn(system, 3)
    orders = [list(np.random.default_rng(seed).permutation(7)) for seed in range(3)]
    estimate = torch.stack([system.reordered(row, order) for row, order in zip(truth, orders, strict=True)])
    errors = parameter_errors(system, estimate.numpy(), truth.numpy(), observed=None)
    assert errors.estimate == pytest.approx(truth.numpy())
    draws = estimate[:, None].expand(-1, 5, -1).numpy()
    assert errors.matching.apply(draws) == pytest.approx(truth[:, None].expand(-1, 5, -1).numpy())


def test_the_couplings_decide_where_oscillators_are_alike():
    """The assignment of growth and frequency alone would be at a loss."""
    system = system_named("stuart_landau_network", n_oscillators=8)
    truth = drawn(system, 1)
    truth[:, :16] = truth[:, :1]
    errors = parameter_errors(
        system, system.reordered(truth, [1, 0, *range(2, 8)]).numpy(), truth.numpy(), observed=None
    )
    assert errors.of_range.max() == pytest.approx(0.0, abs=1e-12)


def test_only_symmetries_that_the_observation_cannot_tell_are_used():
    system = system_named("stuart_landau").with_ranges({"angular_frequency": (-20.0, 20.0)})
    truth = drawn(system, 5)
    turned = system.symmetries()[0].parameters(truth).numpy()
    assert parameter_errors(system, turned, truth.numpy(), observed=("voltage",)).of_range.max() == pytest.approx(0.0)
    fitzhugh = system_named("fitzhugh_nagumo")
    truth = drawn(fitzhugh, 5)
    turned = fitzhugh.symmetries()[0].parameters(truth).numpy()
    assert parameter_errors(fitzhugh, turned, truth.numpy(), observed=None).of_range.max() == pytest.approx(0.0)
    assert parameter_errors(fitzhugh, turned, truth.numpy(), observed=("voltage",)).of_range.max() > 0.5


def test_errors_are_told_relative_to_the_truth_and_to_the_range():
    system = system_named("damped_pendulum")
    truth = np.array([[1.5, 0.1], [1.0, 0.2]])
    estimate = np.array([[1.8, 0.2], [0.9, 0.2]])
    errors = parameter_errors(system, estimate, truth, observed=("angle",))
    assert errors.relative == pytest.approx(np.array([[0.2, 1.0], [0.1, 0.0]]))
    decades = np.log(1.0 / 0.02)
    assert errors.of_range == pytest.approx(np.array([[0.3, np.log(2) / decades], [0.1, 0.0]]))
    assert errors.by_parameter()["length"] == pytest.approx({"relative": 0.15, "of_range": 0.2})
    assert errors.pooled()["relative"] == pytest.approx(0.15)


def test_a_truth_of_zero_has_no_relative_error_but_infinity():
    system = system_named("stuart_landau_network", n_oscillators=1)
    errors = parameter_errors(system, np.array([[0.0, 0.5, 0.1]]), np.array([[0.0, 0.5, 0.0]]), observed=("x[0]",))
    assert errors.relative.tolist() == [[0.0, 0.0, np.inf]]


def test_a_held_network_is_matched_as_well():
    network = system_named("stuart_landau_network", n_oscillators=3)
    held = HeldSystem(network, {"coupling": 0.1})
    truth = drawn(held, 3)
    estimate = truth[:, [1, 2, 0, 4, 5, 3]]
    assert parameter_errors(held, estimate.numpy(), truth.numpy(), observed=None).of_range.max() == pytest.approx(0.0)


class Endless(System):
    states = (Quantity("x", "", -1.0, 1.0),)
    parameters = (Quantity("phase", "rad", -3.0, 3.0),)

    def symmetries(self):
        return (Symmetry("turn", lambda state: state, lambda parameters: parameters + 0.1),)


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(EquationInvalid, match="more than 50 sets"):
        symmetry_group(Endless(), Endless().symmetries(), most_elements=50)
    system = system_named("pendulum")
    with pytest.raises(EquationInvalid, match=r"must be \(trace, 1\)"):
        parameter_errors(system, np.ones((3, 2)), np.ones((3, 2)), observed=None)
