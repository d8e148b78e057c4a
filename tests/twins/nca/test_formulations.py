"""All formulations of an automaton's steps are the same automaton."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from twins.errors import AutomatonInvalid
from twins.nca import Automaton, NcaSpec
from twins.nca.formulations import native
from twins.nca.formulations.choice import in_words

SPECS: dict[str, dict[str, Any]] = {
    "as the publication": {"kernels": "ID_LAP"},
    "slopes, conditions, environment, bounds": {
        "kernels": "ID_DIFF_LAP", "n_channels": 5, "n_environment": 1, "bounds": "clip", "n_conditions": 2,
        "activation": "tanh",
    },
    "products, gate, three layers": {
        "kernels": "LAP_AV", "n_channels": 3, "order": 2, "gated": True, "layers": 3, "activation": "swish",
    },
    "norm": {"kernels": "ID_NORM_LAP", "n_channels": 3, "activation": "linear", "bounds": "clip"},
}  # fmt: skip


def automaton(name: str, **choices: Any) -> Automaton:
    generator = torch.Generator().manual_seed(0)
    made = Automaton(NcaSpec(**{"n_channels": 4, "n_observed": 2, **SPECS[name], **choices}), generator=generator)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.copy_(0.15 * torch.randn(parameter.shape, generator=generator))
    return made


def states(made: Automaton, batch: int, *size: int) -> Tensor:
    """Some values below 0 and above 1."""
    generator = torch.Generator().manual_seed(1)
    drawn = torch.rand(batch, made.spec.n_channels, *size, generator=generator, dtype=torch.float64)
    return (1.6 * drawn - 0.3).to(made.out_weight.dtype)


def results(made: Automaton, start: Tensor, formulation: str, **options: Any) -> dict[str, Tensor]:
    """Of four steps: state, overshoot, and gradients of a mixture of them with respect to all there is."""
    start = start.clone().requires_grad_()
    n = made.spec.n_conditions
    conditions = (
        torch.linspace(-1.0, 1.0, len(start) * n).reshape(-1, n).to(start.dtype).requires_grad_() if n else None
    )
    unrolled = made.unroll(
        start, 4, generator=torch.Generator().manual_seed(2), conditions=conditions, formulation=formulation,  # type: ignore[arg-type]
        **options,
    )  # fmt: skip
    share = torch.arange(1.0, len(start) + 1, dtype=start.dtype)
    wave = torch.arange(unrolled.state.numel(), dtype=start.dtype).reshape(unrolled.state.shape).sin()
    wanted = {"start": start, **{name: one for name, one in made.named_parameters() if one.numel()}}
    if conditions is not None:
        wanted["conditions"] = conditions
    loss = (unrolled.state * wave).sum() + (unrolled.overshoot * share).sum()
    gradients = torch.autograd.grad(loss, list(wanted.values()))
    found = dict(zip(wanted, gradients, strict=True))
    return {"state": unrolled.state.detach(), "overshoot": unrolled.overshoot.detach(), **found}


def assert_same(ours: dict[str, Tensor], theirs: dict[str, Tensor], tolerance: float) -> None:
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        error = float((ours[name].double() - value.double()).norm())
        assert error <= tolerance * (float(value.double().norm()) + 1e-3), name


@pytest.mark.parametrize("padding", ["periodic", "zero", "symmetric"])
@pytest.mark.parametrize("name", SPECS)
def test_formulations_in_torch_agree_in_double_precision(name: str, padding: str) -> None:
    for size, fire_rate in (((1, 1), 1.0), ((3, 5), 0.5), ((17, 33), 1.0)):
        made = automaton(name, padding=padding, fire_rate=fire_rate).double()
        start = states(made, 2, *size)
        expected = results(made, start, "plain")
        for formulation in ("sliced",) if "NORM" in made.spec.kernels else ("sliced", "folded"):
            assert_same(results(made, start, formulation), expected, 1e-11)


needs_compiler = pytest.mark.skipif(
    bool(native.why_not(automaton("norm"), torch.zeros(1))), reason="no C compiler here"
)


@needs_compiler
@pytest.mark.parametrize("padding", ["periodic", "zero", "symmetric"])
@pytest.mark.parametrize("name", SPECS)
def test_the_compiled_kernel_agrees_with_the_plain_steps_in_double_precision(name: str, padding: str) -> None:
    for size in ((1, 1), (3, 5), (1, 9), (17, 33)):
        for fire_rate in (1.0, 0.5):
            made = automaton(name, padding=padding, fire_rate=fire_rate)
            start = states(made, 2, *size)
            compiled = results(made, start, "native")
            # the same draws of firing: float32 numbers from the generator, whatever the automaton computes in
            assert_same(compiled, results(made.double(), start.double(), "plain"), 3e-5)


@needs_compiler
def test_gradients_of_the_compiled_kernel_agree_with_differences() -> None:
    made = automaton("products, gate, three layers", padding="symmetric")
    start = states(made, 1, 4, 5).requires_grad_()
    parameters = [start, *(one for one in made.parameters() if one.numel())]
    gradients = torch.autograd.grad(made.unroll(start, 3, formulation="native").state.square().sum(), parameters)
    generator = torch.Generator().manual_seed(4)
    along = [torch.randn(one.shape, generator=generator).double() for one in parameters]
    predicted = sum(float((g.double() * v).sum()) for g, v in zip(gradients, along, strict=True))

    def loss(by: float) -> float:
        moved = automaton("products, gate, three layers", padding="symmetric").double()
        with torch.no_grad():
            for parameter, v in zip([one for one in moved.parameters() if one.numel()], along[1:], strict=True):
                parameter += by * v
            return float(moved.unroll(start.double() + by * along[0], 3, formulation="plain").state.square().sum())

    assert predicted == pytest.approx((loss(1e-5) - loss(-1e-5)) / 2e-5, rel=1e-4)


@needs_compiler
def test_only_what_is_asked_for_gets_a_gradient() -> None:
    made = automaton("as the publication").requires_grad_(False)
    start = states(made, 2, 6, 7)
    free = made.unroll(start, 3, formulation="native")
    assert not free.state.requires_grad and not free.overshoot.requires_grad
    with_gradient = start.clone().requires_grad_()
    unrolled = made.unroll(with_gradient, 3, formulation="native")
    assert torch.equal(unrolled.state.detach(), free.state)
    (gradient,) = torch.autograd.grad(unrolled.state.sum(), with_gradient)
    plain = made.unroll(with_gradient, 3, formulation="plain").state.sum()
    torch.testing.assert_close(gradient, torch.autograd.grad(plain, with_gradient)[0])


@needs_compiler
def test_states_may_lie_in_memory_as_they_like_and_be_computed_again_on_the_way_back() -> None:
    made = automaton("slopes, conditions, environment, bounds", fire_rate=0.5)
    start = states(made, 3, 6, 8)
    turned = start.transpose(2, 3).contiguous().transpose(2, 3)
    expected = results(made, start, "native")
    for found in (results(made, turned, "native"), results(made, start, "native", checkpoint_every=3)):
        assert_same(found, expected, 1e-6)
    again = start.clone().requires_grad_()
    state = made.unroll(again, 2, generator=torch.Generator().manual_seed(0), conditions=torch.zeros(3, 2)).state.sum()
    first = torch.autograd.grad(state, again, retain_graph=True)[0]
    assert torch.equal(torch.autograd.grad(state, again)[0], first)


@pytest.mark.parametrize("formulation", ["auto", "plain", "sliced"])
def test_no_steps_change_nothing(formulation: str) -> None:
    made = automaton("norm")
    start = states(made, 2, 4, 4)
    unrolled = made.unroll(start, 0, formulation=formulation)  # type: ignore[arg-type]
    assert torch.equal(unrolled.state, start) and not unrolled.overshoot.any()


@needs_compiler
def test_values_that_are_no_numbers_stay_none() -> None:
    made = automaton("as the publication")
    start = states(made, 1, 7, 7)
    start[0, 0, 3, 3] = float("nan")
    after = {form: made.unroll(start, 1, formulation=form).state.isnan() for form in ("plain", "native")}  # type: ignore[arg-type]
    assert torch.equal(after["plain"], after["native"]) and 0 < int(after["native"].sum()) < after["native"].numel()


def test_formulations_that_cannot_be_used_are_refused_with_the_reason() -> None:
    made = automaton("norm")
    with pytest.raises(AutomatonInvalid, match="no kernel"):
        made.unroll(states(made, 1, 3, 3), 1, formulation="folded")
    with pytest.raises(AutomatonInvalid, match="float32"):
        made.double().unroll(states(made.double(), 1, 3, 3), 1, formulation="native")
    with pytest.raises(AutomatonInvalid, match="must be one of"):
        made.unroll(states(made, 1, 3, 3), 1, formulation="fast")  # type: ignore[arg-type]


def test_an_automaton_says_which_formulation_it_went_by() -> None:
    made = automaton("as the publication").double()
    assert in_words(made) == "not used"
    list(made.trajectory(states(made, 1, 40, 40), 3))
    assert "folded" in in_words(made) and "float32" in in_words(made)
    made.unroll(states(made, 1, 3, 3), 1)
    assert "sliced" in in_words(made) and "asked" not in in_words(made)
    made.unroll(states(made, 1, 3, 3), 1, formulation="plain")
    assert "plain (asked for)" in in_words(made)


def test_a_class_with_steps_of_its_own_keeps_them() -> None:
    class Still(Automaton):
        def step(self, state: Tensor, fired: Any = None, conditions: Any = None) -> Tensor:
            return state + 1.0

    made = Still(NcaSpec(n_channels=2, n_observed=2), generator=torch.Generator())
    start = torch.zeros(1, 2, 3, 3)
    assert torch.equal(made.unroll(start, 3).state, start + 3.0)
    with pytest.raises(AutomatonInvalid, match="its own"):
        made.unroll(start, 1, formulation="sliced")
