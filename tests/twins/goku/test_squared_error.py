"""The last layer and the squared error as one are the two one after the other."""

import pytest
import torch

from twins.goku.network.layers import dense, initialise
from twins.goku.network.squared_error import LastLayer


@pytest.fixture
def layer():
    made = dense(60, 300)
    initialise(made, torch.Generator().manual_seed(0))
    with torch.no_grad():
        made.bias.uniform_(-1.0, 1.0, generator=torch.Generator().manual_seed(1))
    return made


@pytest.fixture
def hidden():
    return torch.randn(8, 30, 60, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("end", ["linear", "sigmoid"])
@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_the_sum_and_its_gradients_are_those_in_double_precision(layer, hidden, end, offset):
    values = offset + torch.rand(8, 30, 300, generator=torch.Generator().manual_seed(3))
    inputs = [hidden.requires_grad_(), layer.weight, layer.bias]
    total = LastLayer(hidden, layer, end).squared_error(values)
    found = torch.autograd.grad(0.3 * total, inputs)
    exact = [one.detach().double().requires_grad_() for one in inputs]
    expected = torch.nn.functional.linear(*exact)
    expected = torch.sigmoid(expected) if end == "sigmoid" else expected
    plainly = (expected - values.double()).square().sum()
    assert float(total.detach()) == pytest.approx(float(plainly.detach()), rel=1e-6)
    for one, other in zip(found, torch.autograd.grad(0.3 * plainly, exact), strict=True):
        torch.testing.assert_close(one.double(), other, rtol=1e-4, atol=2e-6 * float(other.abs().max()))


def test_without_gradients_it_is_the_same_sum_and_nothing_is_changed(layer, hidden):
    values = torch.rand(8, 30, 300, generator=torch.Generator().manual_seed(3))
    last, copy = LastLayer(hidden, layer, "linear"), values.clone()
    with torch.no_grad():
        total = last.squared_error(values)
    assert float(total) == float(last.squared_error(values).detach()) and torch.equal(values, copy)
    assert float(total) == pytest.approx(float((last.expected.detach() - values).square().sum()), rel=1e-5)


def test_some_traces_are_those_of_the_whole(layer, hidden):
    last, kept = LastLayer(hidden, layer, "sigmoid"), torch.tensor([True, False] * 4)
    torch.testing.assert_close(last[kept].expected, last.expected[kept])
