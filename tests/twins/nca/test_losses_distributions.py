"""Losses between distributions against closed forms and against linear programming."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment, linprog
from scipy.special import rel_entr

from twins.errors import TransportNotConverged
from twins.nca.losses import Sinkhorn, loss_named
from twins.nca.losses.sliced import directions

SHARP = 1e-9
"""A softness with which mass is the value itself."""


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def fields(seed: int, *shape: int) -> torch.Tensor:
    return 0.05 + torch.rand(*shape, generator=generator(seed), dtype=torch.float64)


def shares(image: torch.Tensor) -> np.ndarray:
    return (image / image.sum()).numpy().ravel()


def test_hellinger_bhattacharyya_and_kl_of_known_distributions() -> None:
    first, second = fields(0, 1, 1, 3, 4), fields(1, 1, 1, 3, 4)
    p, q = shares(first), shares(second)
    affinity = np.sqrt(p * q).sum()
    for name, wanted in (
        ("hellinger", np.sqrt(1.0 - affinity)),
        ("bhattacharyya", -np.log(affinity)),
        ("kl", rel_entr(q, p).sum()),
    ):
        distance = loss_named(name, softness=SHARP)(first, second)
        np.testing.assert_allclose(distance, [wanted], rtol=1e-6)


def test_the_mean_over_channels_is_weighted() -> None:
    first, second = fields(0, 1, 2, 3, 4), fields(1, 1, 2, 3, 4)
    for name in ("hellinger", "bhattacharyya", "kl", "sinkhorn"):
        loss = loss_named(name)
        by_channel = [loss(first[:, [i]], second[:, [i]]) for i in range(2)]
        together = loss_named(name, weights=(1, 3))(first, second)
        torch.testing.assert_close(together, 0.25 * by_channel[0] + 0.75 * by_channel[1], rtol=1e-3, atol=0)


def test_distributions_far_apart_are_as_far_as_their_affinity_says() -> None:
    first = torch.zeros(1, 1, 4, 4, dtype=torch.float64)
    first[0, 0, 0, 0] = 1.0
    second = first.flip(2)
    loss = loss_named("bhattacharyya", softness=1e-12)
    p, q = (loss.distribution(image).numpy() for image in (first, second))  # type: ignore[attr-defined]
    np.testing.assert_allclose(loss(first, second), [-np.log(np.sqrt(p * q).sum())], rtol=1e-12)


def test_amplitude_adds_the_log_of_arithmetic_over_geometric_mean() -> None:
    first, second = fields(0, 1, 1, 3, 4), fields(1, 1, 1, 3, 4)
    for times in (1.0, 0.2, 5.0):
        a, b = float(times * first.sum()), float(second.sum())
        shape = loss_named("bhattacharyya", softness=SHARP)(times * first, second)
        both = loss_named("bhattacharyya_modified", softness=SHARP)(times * first, second)
        np.testing.assert_allclose(both - shape, [np.log((a + b) / 2.0 / np.sqrt(a * b))], rtol=1e-6)
        hellinger = loss_named("hellinger_modified", softness=SHARP)(times * first, second)
        np.testing.assert_allclose(hellinger.square(), -torch.expm1(-both), rtol=1e-6)
    tripled = loss_named("kl_modified", softness=SHARP)(3.0 * second, second)
    np.testing.assert_allclose(tripled, [-np.log(3.0) - 1.0 + 3.0], rtol=1e-6)


def test_mass_grows_with_the_value_and_is_the_value_where_that_is_large() -> None:
    loss = Sinkhorn(softness=0.01)
    values = torch.linspace(-50.0, 50.0, 20_001)
    mass = loss.mass(values)
    assert (mass > 0.0).all() and (mass.diff() > 0.0).all()
    torch.testing.assert_close(mass[-1:], values[-1:], rtol=1e-5, atol=0)
    torch.testing.assert_close(mass[10_000], torch.tensor(0.01))
    torch.testing.assert_close(mass[0], torch.tensor(0.01**2 / 50.0), rtol=1e-5, atol=0)


def test_directions_are_uniform_on_the_sphere() -> None:
    drawn = directions(20_000, 3, torch.zeros(1, dtype=torch.float64), generator())
    torch.testing.assert_close(drawn.norm(dim=1), torch.ones(20_000, dtype=torch.float64))
    torch.testing.assert_close(drawn.mean(dim=0), torch.zeros(3, dtype=torch.float64), atol=0.02, rtol=0)
    torch.testing.assert_close(drawn.T @ drawn / 20_000, torch.eye(3, dtype=torch.float64) / 3.0, atol=0.02, rtol=0)
    # the area of a zone is its height (Archimedes): each coordinate is uniform
    heights = torch.sort(drawn[:, 0]).values
    torch.testing.assert_close(heights, torch.linspace(-1.0, 1.0, 20_000, dtype=torch.float64), atol=0.03, rtol=0)


def test_a_vector_added_to_every_cell_costs_its_square_over_the_channels() -> None:
    image, added = fields(0, 1, 3, 5, 6), torch.tensor([0.3, -0.2, 0.5], dtype=torch.float64)
    loss = loss_named("sliced_wasserstein_channels", n_projections=20_000)
    distance = loss(image + added[:, None, None], image, generator=generator())
    np.testing.assert_allclose(distance, [float(added.square().sum()) / 3.0], rtol=0.02)
    one = loss_named("sliced_wasserstein_channels")(image[:, :1] + 0.3, image[:, :1], generator=generator())
    np.testing.assert_allclose(one, [0.09], rtol=1e-9)


def test_cells_in_another_order_are_no_distance_apart_in_the_space_of_channels() -> None:
    image = fields(0, 2, 3, 5, 6)
    shuffled = image.flatten(2)[:, :, torch.randperm(30, generator=generator())].reshape(image.shape)
    distance = loss_named("sliced_wasserstein_channels")(shuffled, image, generator=generator())
    torch.testing.assert_close(distance, torch.zeros_like(distance), atol=1e-15, rtol=0)


def test_mass_moved_along_the_grid_costs_the_mean_length_of_its_projection() -> None:
    image = torch.zeros(1, 2, 12, 14, dtype=torch.float64)
    image[:, :, 2:5, 2:6] = fields(0, 1, 2, 3, 4)
    moved = torch.roll(image, (3, 4), dims=(2, 3))
    loss = loss_named("sliced_wasserstein_grid", n_projections=4000, softness=1e-12)
    np.testing.assert_allclose(loss(moved, image, generator=generator()), [2.0 * 5.0 / np.pi], rtol=0.03)


@pytest.mark.parametrize("periodic", [True, False])
def test_sinkhorn_becomes_the_cost_of_the_linear_programme(periodic: bool) -> None:
    first, second = fields(0, 1, 1, 3, 4), fields(1, 1, 1, 3, 4)
    cost = squared_distances(3, 4, periodic=periodic)
    marginals = np.concatenate([np.kron(np.eye(12), np.ones(12)), np.kron(np.ones(12), np.eye(12))])
    solved = linprog(cost.ravel(), A_eq=marginals, b_eq=np.concatenate([shares(first), shares(second)]))
    options = {"softness": SHARP, "periodic": periodic, "tolerance": 1e-7, "max_iterations": 20_000}
    for debiased in (True, False):
        errors = []
        for blur in (0.3, 0.15, 0.075):
            loss = loss_named("sinkhorn", blur_cells=blur, debiased=debiased, **options)
            errors.append(abs(float(loss(first, second)) - solved.fun))
        assert errors[2] < 0.03 * solved.fun
        # what the entropy adds is proportional to the regularisation, the square of the blur
        np.testing.assert_allclose([errors[0] / errors[1], errors[1] / errors[2]], 4.0, rtol=0.05)


def test_sinkhorn_becomes_the_cost_of_the_best_assignment() -> None:
    rng = np.random.default_rng(3)
    places = [rng.permutation(36)[:5] for _ in range(2)]
    cost = squared_distances(6, 6, periodic=True)[np.ix_(*places)]
    wanted = cost[linear_sum_assignment(cost)].mean()
    given = [np.bincount(place, minlength=36).reshape(1, 1, 6, 6).astype(float) for place in places]
    loss = loss_named("sinkhorn", blur_cells=0.05, softness=1e-9, tolerance=1e-6, max_iterations=20_000)
    np.testing.assert_allclose(loss(*map(torch.from_numpy, given)), [wanted], rtol=1e-3)


@pytest.mark.parametrize(("periodic", "wanted"), [(True, 25.0 + 9.0), (False, 49.0 + 9.0)])
def test_sinkhorn_of_moved_mass_is_its_way_squared(periodic: bool, wanted: float) -> None:
    image = torch.zeros(1, 1, 12, 12)
    image[0, 0, 1:3, 4:6] = 1.0
    moved = torch.zeros_like(image)
    moved[0, 0, 8:10, 7:9] = 1.0  # 7 rows down, or 5 up and round the edge; 3 columns
    loss = loss_named("sinkhorn", periodic=periodic, softness=1e-7)
    np.testing.assert_allclose(loss(moved, image), [wanted], rtol=1e-3)


def test_without_half_of_the_cost_against_oneself_an_image_is_not_nearest_to_itself() -> None:
    image = fields(0, 1, 1, 6, 6)
    for debiased in (True, False):
        loss = loss_named("sinkhorn", debiased=debiased, tolerance=1e-9)
        start = image.clone().requires_grad_()
        (slope,) = torch.autograd.grad(loss(start, image).sum(), start)
        assert (float(slope.norm()) < 1e-6) == debiased


def test_sums_that_would_underflow_are_taken_in_logarithms() -> None:
    image = torch.full((1, 1, 24, 3), 0.0, dtype=torch.float64)
    image[0, 0, 0] = 1.0
    loss = loss_named("sinkhorn", blur_cells=0.5, periodic=False, softness=1e-300)
    np.testing.assert_allclose(loss(image.flip(2), image), [23.0**2], rtol=1e-6)


def test_transport_that_does_not_converge_is_an_error_that_says_what_to_do() -> None:
    loss = loss_named("sinkhorn", blur_cells=0.1, max_iterations=2, tolerance=1e-12)
    with pytest.raises(TransportNotConverged, match=r"after 2 iterations.*larger blur_cells"):
        loss(fields(0, 1, 1, 6, 6), fields(1, 1, 1, 6, 6))


def squared_distances(height: int, width: int, *, periodic: bool) -> np.ndarray:
    places = np.stack(np.meshgrid(np.arange(height), np.arange(width), indexing="ij"), axis=-1).reshape(-1, 2)
    apart = np.abs(places[:, None] - places)
    if periodic:
        apart = np.minimum(apart, np.array([height, width]) - apart)
    return np.square(apart).sum(axis=2).astype(float)
