"""Read-outs: exact minima, honest choice of the penalty, exact gradients by variable projection."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from twins.network import Readout, ReadoutError, fit_readout, fit_readout_by_validation
from twins.network.optimise import frozen_readout_loss
from twins.network.readout import ReadoutKind


def rows(kind: ReadoutKind, n: int = 300, n_features: int = 6) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    F = rng.normal(size=(n, n_features)) + 0.5
    linear = F @ rng.normal(size=(n_features, 2)) + rng.normal(size=(n, 2)) + 0.3
    return F, linear if kind == "linear" else np.eye(2)[np.argmax(linear, axis=1)]


def objective(readout: Readout, F: np.ndarray, Y: np.ndarray, regularisation: float) -> float:
    out = readout.apply(F)
    size = np.sum(readout.weights**2)
    if readout.kind == "linear":
        return float(np.mean(np.sum((out - Y) ** 2, axis=1)) + regularisation * size)
    return float(-np.mean(np.log(np.sum(out * Y, axis=1))) + 0.5 * regularisation * size)


@pytest.mark.parametrize("kind", ["linear", "softmax"])
@pytest.mark.parametrize("regularisation", [1e-4, 1e-1])
def test_no_small_change_of_a_fitted_readout_does_better(kind: ReadoutKind, regularisation: float) -> None:
    F, Y = rows(kind)
    fitted = fit_readout(kind, F, Y, regularisation=regularisation)
    best = objective(fitted, F, Y, regularisation)
    rng = np.random.default_rng(1)
    for _ in range(50):
        other = Readout(
            kind,
            fitted.weights + 1e-4 * rng.normal(size=fitted.weights.shape),
            fitted.bias + 1e-4 * rng.normal(size=fitted.bias.shape),
        )
        assert objective(other, F, Y, regularisation) >= best - 1e-12


def test_newton_finds_the_same_minimum_from_anywhere() -> None:
    F, Y = rows("softmax")
    plain = fit_readout("softmax", F, Y, regularisation=1e-3)
    far = Readout("softmax", np.full((2, 6), 30.0) * np.array([[1], [-1]]), np.array([50.0, -50.0]))
    again = fit_readout("softmax", F, Y, regularisation=1e-3, start=far)
    np.testing.assert_allclose(again.apply(F), plain.apply(F), atol=1e-6)


@pytest.mark.parametrize("apart", [0.0, 30.0])
def test_newton_leaves_no_slope_even_where_classes_lie_far_apart(apart: float) -> None:
    rng = np.random.default_rng(5)
    classes = rng.integers(0, 3, size=400)
    F = rng.normal(size=(400, 8)) + apart * rng.normal(size=(3, 8))[classes]
    Y = np.eye(3)[classes]
    fitted = fit_readout("softmax", F, Y, regularisation=1e-5)
    slope = (fitted.apply(F) - Y).T @ F / len(F) + 1e-5 * fitted.weights
    assert np.abs(slope).max() < 1e-8


def test_separable_classes_stay_finite() -> None:
    F = np.linspace(-1, 1, 40)[:, None]
    fitted = fit_readout("softmax", F, np.eye(2)[(F[:, 0] > 0).astype(int)], regularisation=1e-6)
    assert np.all(np.isfinite(fitted.weights))


@pytest.mark.parametrize("kind", ["linear", "softmax"])
def test_the_gradient_with_a_frozen_readout_is_that_of_the_minimal_loss(kind: ReadoutKind) -> None:
    F, Y = rows(kind, n=60)
    Y = Y[:, :1] if kind == "linear" else Y
    regularisation, variance = 1e-2, float(np.var(Y[:, 0]))
    direction = np.random.default_rng(2).normal(size=F.shape)

    def minimal(features: np.ndarray) -> float:
        fitted = fit_readout(kind, features, Y, regularisation=regularisation)
        return objective(fitted, features, Y, regularisation) / (variance if kind == "linear" else 1.0)

    slope = (minimal(F + 1e-5 * direction) - minimal(F - 1e-5 * direction)) / 2e-5
    features = torch.tensor(F, requires_grad=True)
    frozen_readout_loss(features, Y, fit_readout(kind, F, Y, regularisation=regularisation)).backward()  # type: ignore[no-untyped-call]
    assert features.grad is not None
    assert float((features.grad * torch.tensor(direction)).sum()) == pytest.approx(slope, rel=1e-5)


def test_validation_chooses_a_strong_penalty_where_features_are_noise() -> None:
    rng = np.random.default_rng(3)
    F, Y = rng.normal(size=(60, 30)), rng.normal(size=(60, 1))
    fitted = fit_readout_by_validation("linear", F, Y, np.arange(60) // 6, candidates=(1e-6, 10.0))
    assert fitted.regularisation == 10.0


def test_validation_never_splits_a_trial() -> None:
    """Each trial has a feature of its own: split trials would let the weakest penalty look best."""
    rng = np.random.default_rng(4)
    trial = np.repeat(np.arange(20), 15)
    F = np.eye(20)[trial] + 0.1 * rng.normal(size=(300, 20))
    Y = rng.normal(size=20)[trial][:, None]
    assert fit_readout_by_validation("linear", F, Y, trial, candidates=(1e-6, 10.0)).regularisation == 10.0
    mixed = fit_readout_by_validation("linear", F, Y, rng.permutation(len(trial)), candidates=(1e-6, 10.0))
    assert mixed.regularisation == 1e-6


@pytest.mark.parametrize(
    ("F", "Y", "message"),
    [
        (np.zeros((3, 2)), np.zeros((4, 1)), "expected"),
        (np.full((3, 2), np.nan), np.zeros((3, 1)), "NaN"),
        (np.zeros((0, 2)), np.zeros((0, 1)), "expected"),
    ],
)
def test_wrong_rows_are_refused(F: Any, Y: Any, message: str) -> None:
    with pytest.raises(ReadoutError, match=message):
        fit_readout("linear", F, Y, regularisation=1e-3)


def test_validation_needs_two_trials_and_a_penalty_must_be_positive() -> None:
    F, Y = rows("linear")
    with pytest.raises(ReadoutError, match="two groups"):
        fit_readout_by_validation("linear", F, Y, np.zeros(len(F)))
    with pytest.raises(ReadoutError, match="regularisation"):
        fit_readout("linear", F, Y, regularisation=0.0)
    with pytest.raises(ReadoutError, match="expects 6 features"):
        fit_readout("linear", F, Y, regularisation=1.0).apply(np.zeros((1, 5)))
