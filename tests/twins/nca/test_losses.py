"""What every loss keeps to, and those that compare cell by cell and wave by wave."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from twins.errors import AutomatonInvalid
from twins.nca.losses import LOSSES, loss_named

BLIND_TO_AMPLITUDE = {"sliced_wasserstein_grid", "bhattacharyya", "hellinger", "kl", "sinkhorn"}
BLIND_TO_PLACE = {"spectral", "sliced_wasserstein_channels"}
OPTIONS = {"sinkhorn": {"tolerance": 1e-11}}


def images(seed: int, *shape: int) -> torch.Tensor:
    return torch.rand(*(shape or (2, 2, 6, 5)), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def drawing() -> torch.Generator:
    return torch.Generator().manual_seed(7)


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_agree_with_differences(name: str) -> None:
    loss = loss_named(name, weights=(1.0, 2.0), **OPTIONS.get(name, {}))
    given = images(0, 1, 2, 3, 4).requires_grad_(), images(1, 1, 2, 3, 4).requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: loss(a, b, generator=drawing()), given)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equal_images_are_at_distance_zero_where_the_gradient_vanishes(name: str, dtype: torch.dtype) -> None:
    image = images(0).to(dtype).requires_grad_()
    distance = loss_named(name, **OPTIONS.get(name, {}))(image, image.detach().clone(), generator=drawing())
    assert distance.shape == (2,) and distance.dtype == dtype
    distance.sum().backward()
    assert image.grad is not None
    torch.testing.assert_close(distance, torch.zeros_like(distance), atol=1e-6, rtol=0)
    torch.testing.assert_close(image.grad, torch.zeros_like(image), atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", LOSSES)
def test_different_images_are_apart(name: str) -> None:
    assert (loss_named(name)(images(0), images(1), generator=drawing()) > 1e-3).all()


@pytest.mark.parametrize("name", [name for name in LOSSES if name not in BLIND_TO_PLACE])
def test_states_below_zero_have_a_finite_distance_that_pulls_them_up_towards_a_target_above(name: str) -> None:
    low = torch.full((1, 1, 5, 5), 0.3, dtype=torch.float64)
    low[0, 0, 2, 2] = -0.4
    low.requires_grad_()
    distance = loss_named(name)(low, torch.full_like(low, 0.3), generator=drawing())
    assert low.grad is None and torch.isfinite(distance).all()
    distance.sum().backward()
    assert low.grad is not None and torch.isfinite(low.grad).all()
    assert low.grad[0, 0, 2, 2] < -1e-6


@pytest.mark.parametrize("name", LOSSES)
def test_images_without_any_mass_have_a_finite_distance(name: str) -> None:
    empty = torch.zeros(1, 2, 6, 6).requires_grad_()
    distance = loss_named(name)(empty, images(0, 1, 2, 6, 6).float(), generator=drawing())
    distance.sum().backward()
    assert torch.isfinite(distance).all() and empty.grad is not None and torch.isfinite(empty.grad).all()


@pytest.mark.parametrize("name", LOSSES)
def test_a_state_that_is_not_finite_has_no_finite_loss_and_spoils_no_other(name: str) -> None:
    broken = images(0)
    broken[1, 0, 2, 2] = float("nan")
    distance = loss_named(name)(broken, images(1), generator=drawing())
    alone = loss_named(name)(images(0)[:1], images(1)[:1], generator=drawing())
    assert torch.isnan(distance[1])
    torch.testing.assert_close(distance[:1], alone, rtol=1e-3, atol=0)


@pytest.mark.parametrize("name", LOSSES)
def test_an_image_and_its_double_are_apart_unless_the_loss_is_blind_to_amplitude(name: str) -> None:
    options = {} if "softness" not in loss_named(name).__dataclass_fields__ else {"softness": 1e-6}
    distance = loss_named(name, **options)(2.0 * images(0), images(0), generator=drawing())
    assert ((distance < 1e-4) == (name in BLIND_TO_AMPLITUDE)).all()


@pytest.mark.parametrize("name", LOSSES)
def test_a_channel_of_weight_zero_does_not_count(name: str) -> None:
    first, second = images(0), images(1)
    second[:, 0] = first[:, 0]
    if name == "sliced_wasserstein_channels":
        first[:, 0] = second[:, 0] = 0.5  # cells are compared in all channels at once
    distance = loss_named(name, weights=(3, 0), **OPTIONS.get(name, {}))(first, second, generator=drawing())
    torch.testing.assert_close(distance, torch.zeros_like(distance), atol=1e-9, rtol=0)


def test_euclidean_and_spectral_are_norms_over_channels_and_cells() -> None:
    first, second = images(0), images(1)
    wanted = np.linalg.norm((first - second).numpy().reshape(2, -1), axis=1)
    moduli = [np.abs(np.fft.rfft2(image.numpy())) for image in (first, second)]
    waves = np.linalg.norm((moduli[0] - moduli[1]).reshape(2, -1), axis=1)
    np.testing.assert_allclose(loss_named("euclidean")(first, second), wanted, rtol=1e-12)
    np.testing.assert_allclose(loss_named("squared_euclidean")(first, second), wanted**2, rtol=1e-12)
    square = loss_named("squared_euclidean", mean=True)(first, second)
    np.testing.assert_allclose(square, np.square((first - second).numpy()).mean(axis=(1, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(loss_named("spectral")(first, second), waves, rtol=1e-12)
    both = loss_named("spectral_euclidean", spectral_weight=0.5)(first, second)
    np.testing.assert_allclose(both, wanted + 0.5 * waves, rtol=1e-12)


def test_spectral_is_blind_to_shifts_and_euclidean_is_not() -> None:
    image = images(0)
    moved = torch.roll(image, (2, 3), dims=(2, 3))
    assert (loss_named("spectral")(moved, image) < 1e-12).all()
    assert (loss_named("euclidean")(moved, image) > 1.0).all()


@pytest.mark.parametrize("width", [5, 6])
def test_the_spectral_mean_is_taken_over_the_whole_plane_and_is_at_most_the_euclidean(width: int) -> None:
    first, second = images(0, 2, 2, 4, width), images(1, 2, 2, 4, width)
    moduli = [np.abs(np.fft.fft2(image.numpy(), norm="ortho")) for image in (first, second)]
    wanted = np.sqrt(np.square(moduli[0] - moduli[1]).mean(axis=(1, 2, 3)))
    spectral = loss_named("spectral", mean=True)(first, second)
    np.testing.assert_allclose(spectral, wanted, rtol=1e-12)
    assert (spectral <= loss_named("euclidean", mean=True)(first, second)).all()


@pytest.mark.parametrize("name", ["euclidean", "spectral", "spectral_euclidean"])
def test_means_do_not_grow_with_the_grid(name: str) -> None:
    first, second = images(0), images(1)
    loss = loss_named(name, mean=True)
    torch.testing.assert_close(loss(first.tile(1, 1, 3, 2), second.tile(1, 1, 3, 2)), loss(first, second))


def test_weights_count_squares_and_leave_a_loss_alone_where_they_are_equal() -> None:
    first, second = images(0), images(1)
    squares = (first - second).square().sum(dim=(2, 3))
    weighted = loss_named("euclidean", weights=(1, 3))(first, second)
    torch.testing.assert_close(weighted, (squares[:, 0] * 0.5 + squares[:, 1] * 1.5).sqrt())
    for name in LOSSES:
        plain = loss_named(name)(first, second, generator=drawing())
        torch.testing.assert_close(loss_named(name, weights=(4, 4))(first, second, generator=drawing()), plain)


def test_what_is_unknown_or_does_not_fit_is_named() -> None:
    image = images(0)
    for wrong, said in (
        (lambda: loss_named("manhattan"), "manhattan.*euclidean, spectral"),
        (lambda: loss_named("spectral", blur_cells=1), "blur_cells"),
        (lambda: loss_named("euclidean", weights=(0, 0)), "not all 0"),
        (lambda: loss_named("spectral_euclidean", spectral_weight=-1), "spectral_weight"),
        (lambda: loss_named("hellinger", softness=0.0), "softness"),
        (lambda: loss_named("sliced_wasserstein_grid", n_projections=0), "n_projections"),
        (lambda: loss_named("sinkhorn", blur_cells=0.0), "blur_cells"),
        (lambda: loss_named("euclidean", weights=(1, 2, 3))(image, image), "3 weights for 2 channels"),
        (lambda: loss_named("euclidean")(image, image[:1]), r"\(1, 2, 6, 5\)"),
        (lambda: loss_named("sliced_wasserstein_channels")(image, image), "generator"),
    ):
        with pytest.raises(AutomatonInvalid, match=said):
            wrong()
