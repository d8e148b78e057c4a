"""Dense layers by oneDNN are torch's own, with their gradients."""

from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional

from twins.goku.network.products import by_onednn, dense_layer, large, product, summed_outer

ENDS = {"linear": lambda y: y, "relu": torch.relu, "sigmoid": torch.sigmoid}


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("end", ENDS)
def test_a_large_layer_and_its_gradients_are_those_in_double_precision(end):
    x, weight, bias = normal(64, 20, 100), normal(150, 100, seed=1) / 10, normal(150, seed=2)
    away = normal(64, 20, 150, seed=3)
    assert large(x, weight) == torch.backends.mkldnn.is_available()
    found = [one.requires_grad_() for one in (x.clone(), weight.clone(), bias.clone())]
    exact = [one.double().requires_grad_() for one in (x, weight, bias)]
    of_found = torch.autograd.grad(dense_layer(*found, end), found, away)
    of_exact = torch.autograd.grad(ENDS[end](functional.linear(*exact)), exact, away.double())
    for one, other in zip(of_found, of_exact, strict=True):
        torch.testing.assert_close(one.double(), other, rtol=1e-4, atol=1e-5 * float(other.abs().max()))


def test_products_of_transposes_are_torch_s_own():
    a, b = normal(2000, 30), normal(2000, 50, seed=1)
    torch.testing.assert_close(summed_outer(a, b), a.T @ b, rtol=1e-5, atol=1e-3)
    torch.testing.assert_close(summed_outer(b, a), b.T @ a, rtol=1e-5, atol=1e-3)
    torch.testing.assert_close(product(a[:, :20], b[:, :20]), a[:, :20] @ b[:, :20].T, rtol=1e-5, atol=1e-4)


def test_what_is_small_or_in_double_precision_or_dual_goes_torch_s_own_way():
    x, weight = normal(2000, 30), normal(50, 30, seed=1)
    assert not large(x[:10], weight) and not large(x.double(), weight.double())
    torch.testing.assert_close(dense_layer(x.double(), weight.double(), None), x.double() @ weight.double().T)
    _, tangent = torch.func.jvp(lambda one: dense_layer(one, weight, None), (x,), (x,))
    torch.testing.assert_close(tangent, x @ weight.T)


def of_two(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Another signature."""
    return a @ b.T


def of_another_order(a: torch.Tensor, b: torch.Tensor, *_more: object) -> torch.Tensor:
    """The same arguments, another result."""
    return a @ b.T * 1.01


def not_for_this_processor(*_all: object) -> torch.Tensor:
    raise NotImplementedError


@pytest.fixture
def tried_again() -> Iterator[None]:
    by_onednn.cache_clear()
    yield
    by_onednn.cache_clear()


@pytest.mark.parametrize("found", [None, of_two, of_another_order, not_for_this_processor])
def test_without_the_operator_or_with_another_one_torch_s_own_way_is_taken(
    found: Callable[..., torch.Tensor] | None, tried_again: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    operators = SimpleNamespace() if found is None else SimpleNamespace(_linear_pointwise=found)
    monkeypatch.setattr(torch.ops, "mkldnn", operators)
    x, weight, bias = normal(2000, 30), normal(50, 30, seed=1).requires_grad_(), normal(50, seed=2)
    assert not large(x, weight.detach())
    assert torch.equal(
        product(x, weight.detach(), bias, "relu"), torch.relu(functional.linear(x, weight.detach(), bias))
    )
    (gradient,) = torch.autograd.grad(dense_layer(x, weight, bias).square().sum(), weight)
    (expected,) = torch.autograd.grad(functional.linear(x, weight, bias).square().sum(), weight)
    assert torch.equal(gradient, expected)


def test_it_is_tried_once(tried_again: None, monkeypatch: pytest.MonkeyPatch) -> None:
    if not by_onednn():
        pytest.skip("no oneDNN here")
    monkeypatch.setattr(torch.ops, "mkldnn", SimpleNamespace())
    assert by_onednn()


def test_a_factor_with_gaps_is_closed_up(tried_again: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """oneDNN takes 5 s for what is 10 ms without the gaps (measured, torch 2.13)."""
    if not by_onednn():
        pytest.skip("no oneDNN here")
    whole, given = torch.ops.mkldnn._linear_pointwise, []

    def seen(a: torch.Tensor, b: torch.Tensor, *more: object) -> torch.Tensor:
        given.append(b.is_contiguous() or b.mT.is_contiguous())
        result: torch.Tensor = whole(a, b, *more)
        return result

    monkeypatch.setattr(torch.ops, "mkldnn", SimpleNamespace(_linear_pointwise=seen))
    a, b = normal(2000, 30), normal(2000, 60, seed=1)
    torch.testing.assert_close(product(a, b[:, :30]), a @ b[:, :30].T, rtol=1e-5, atol=1e-4)
    assert given == [True]
