"""A rule made readable gives known rules back, and says what it does not explain."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
import torch

from twins.errors import AutomatonInvalid, FramesInvalid
from twins.nca import Automaton, Frames, NcaModel, NcaSpec, Scaling
from twins.nca.by_hand import heat_automaton, linear_automaton
from twins.nca.pde.cahn_hilliard import CahnHilliard
from twins.nca.pde.gray_scott import MAZE, GrayScott
from twins.nca.pde.initial import blocks
from twins.nca.pde.simulate import simulate
from twins.nca.readable import (
    Library,
    compared_with,
    read_frames,
    read_hidden,
    read_model,
    read_pde,
    read_rule,
    samples_of_frames,
    samples_of_model,
)

LOWS, HIGHS = (-1.0, 0.5), (2.0, 1.5)


def frames(*, trials: int = 2, channels: int = 2, n_frames: int = 2, size: int = 12) -> Frames:
    rng = np.random.default_rng(1)
    values = rng.uniform(LOWS[:channels], HIGHS[:channels], (trials, n_frames, size, size, channels))
    return Frames(values, 2.0, ("A", "B")[:channels], ("", "")[:channels], time_unit="h", simulated=True)


def model_of(automaton: Automaton, *, steps_per_frame: int = 4) -> NcaModel:
    n = automaton.spec.n_observed
    scaling = Scaling(LOWS[:n], HIGHS[:n])
    return NcaModel(automaton, scaling, steps_per_frame, 2.0, ("A", "B")[:n], ("", "")[:n], "h")


def product_automaton(rate: float) -> Automaton:
    """The first channel diffuses, and a·b turns it into the second."""
    spec = NcaSpec(n_channels=2, n_observed=2, kernels="ID_LAP", order=2, activation="linear", hidden_per_channel=1)
    made = Automaton(spec, generator=torch.Generator()).double()
    with torch.no_grad():
        # seen: a, b, a², a b, b², each as it is and through LAP; the first unit holds a b, the second LAP a
        made.hidden_weights[0].zero_()
        made.hidden_weights[0][0, 6] = 1.0
        made.hidden_weights[0][1, 1] = 1.0
        made.out_weight.copy_(torch.tensor([[-rate, 0.1], [rate, 0.0]]))
    return made


@pytest.mark.parametrize("through", ["step", "frame"])
def test_the_heat_equation_set_by_hand_is_read_exactly(through: Literal["step", "frame"]) -> None:
    made = model_of(heat_automaton(0.2, dtype=torch.float64))
    rule = read_model(made, frames(channels=1), n_frames=5, through=through)
    # 0.2 a step, 4 steps in 2 h
    assert [c.term for c in rule.channels[0].coefficients] == ["∇²A"]
    assert rule.coefficient("A", "∇²A") == pytest.approx(0.4, abs=1e-6)
    assert rule.channels[0].r2 == pytest.approx(1.0, abs=1e-9)
    assert "∂A/∂t = 0.4 ∇²A" in rule.markdown() and "SIMULATED" in rule.markdown()


def test_linear_reaction_and_diffusion_are_read_in_the_units_of_the_images() -> None:
    diffusion, reaction, feed = [0.2, 0.05], [[-0.03, 0.02], [0.04, -0.05]], [0.01, 0.02]
    made = model_of(linear_automaton(diffusion, reaction=reaction, feed=feed, dtype=torch.float64), steps_per_frame=2)
    samples = samples_of_model(made, frames(), n_frames=20)
    rule = read_rule(samples)
    span, low = np.array(HIGHS) - np.array(LOWS), np.array(LOWS)
    matrix = span[:, None] * np.array(reaction) / span
    constant = span * np.array(feed) - matrix @ low
    for i, channel in enumerate("AB"):
        assert rule.coefficient(channel, f"∇²{channel}") == pytest.approx(diffusion[i], abs=1e-6)
        assert rule.coefficient(channel, "1") == pytest.approx(constant[i], abs=1e-6)
        for j, other in enumerate("AB"):
            assert rule.coefficient(channel, other) == pytest.approx(matrix[i, j], abs=1e-6)
        assert len(rule.channel(channel).coefficients) == 4


def test_products_are_read_where_the_network_multiplies() -> None:
    made = model_of(product_automaton(0.02), steps_per_frame=2)
    rule = read_model(made, frames(), n_frames=6, through="step", library=Library(degree=2), tolerance=1e-9)
    span, low = np.array(HIGHS) - np.array(LOWS), np.array(LOWS)
    # u = low + span·x, so x_a x_b = (A - lowA)(B - lowB) / (spanA spanB)
    each = 0.02 * span / (span[0] * span[1])
    assert rule.coefficient("A", "A B") == pytest.approx(-each[0], abs=1e-6)
    assert rule.coefficient("B", "A B") == pytest.approx(each[1], abs=1e-6)
    assert rule.coefficient("B", "A") == pytest.approx(-each[1] * low[1], abs=1e-6)
    assert rule.coefficient("A", "∇²A") == pytest.approx(0.1, abs=1e-6)
    assert rule.coefficient("B", "A²") == 0.0


def test_frames_of_gray_scott_give_its_coefficients() -> None:
    """Float32 frames one step apart: rates of 1e-3 with rounding of 1e-7."""
    made = simulate(MAZE, blocks(MAZE, size=24, which=(0, 1)), n_frames=100, steps_per_frame=1)
    rule = read_frames(made.span(20, 100))
    expected = {
        "A": {"∇²A": 0.1, "A B²": -1.0, "1": MAZE.alpha, "A": -MAZE.alpha},
        "B": {"∇²B": 0.05, "A B²": 1.0, "B": -MAZE.alpha - MAZE.gamma},
    }
    for channel, terms in expected.items():
        assert {c.term for c in rule.channel(channel).coefficients} == set(terms)
        for term, value in terms.items():
            assert rule.coefficient(channel, term) == pytest.approx(value, rel=1e-3)


def test_any_equation_is_told_in_the_terms_of_a_library() -> None:
    rng = torch.Generator().manual_seed(0)
    values = 0.5 * torch.randn(2, 1, 12, 12, 1, generator=rng).numpy()
    separation = CahnHilliard()
    samples = samples_of_frames(Frames(values.repeat(2, axis=1), 1.0, ("c",), ("",)))
    rule = read_pde(separation, samples, library=Library(laplacian_degree=3, biharmonic=True))
    assert rule.channels[0].r2 == pytest.approx(1.0, abs=1e-9)
    assert {c.term for c in rule.channels[0].coefficients} == {"∇²c", "∇²(c³)", "∇⁴c"}


def test_a_learned_rule_stands_beside_the_true_one() -> None:
    """The automaton diffuses as Gray-Scott does and reacts not at all."""
    made = NcaModel(
        linear_automaton([0.1, 0.04], dtype=torch.float64), Scaling((0.0, 0.0), (1.0, 1.0)), 1, 1.0, ("A", "B"), ("", "")
    )  # fmt: skip
    given = simulate(GrayScott(), blocks(MAZE, size=16), n_frames=2, steps_per_frame=1)
    given = Frames(given.values, 1.0, ("A", "B"), ("", ""), simulated=True)
    comparison = compared_with(
        MAZE,
        samples_of_model(made, given, n_frames=30, perturbation_sd=0.05, generator=torch.Generator().manual_seed(0)),
    )
    told = {(one.channel, one.term): one for one in comparison.terms}
    assert told["A", "∇²A"].true == pytest.approx(0.1) and told["A", "∇²A"].learned == pytest.approx(0.1)
    assert told["B", "∇²B"].true == pytest.approx(0.05) and told["B", "∇²B"].learned == pytest.approx(0.04)
    assert told["B", "A B²"].true == pytest.approx(1.0) and told["B", "A B²"].learned == 0.0
    assert told["B", "A B²"].on_true_terms == pytest.approx(0.0, abs=1e-9)
    assert "| B | A B² | 1 | 0 |" in comparison.markdown()


def with_memory() -> NcaModel:
    """Channel 2 keeps the first channel as it began, channel 3 is dead; the first is driven by channel 2, and decays."""
    spec = NcaSpec(n_channels=3, n_observed=1, kernels="ID_LAP", activation="linear", hidden_per_channel=1)
    made = Automaton(spec, generator=torch.Generator()).double()
    with torch.no_grad():
        made.hidden_weights[0].zero_()
        for channel in range(3):
            made.hidden_weights[0][channel, 2 * channel] = 1.0
        made.out_weight.copy_(torch.tensor([[-0.3, 0.2, 0.0], [0.2, -0.2, 0.0], [0.0, 0.0, 0.0]]))
    return NcaModel(made, Scaling((0.0,), (1.0,)), 4, 2.0, ("A",), ("",), "h")


def test_what_hidden_channels_add_is_told_apart() -> None:
    given = Frames(np.random.default_rng(0).random((2, 2, 12, 12, 1)), 2.0, ("A",), ("",), time_unit="h")
    made = with_memory()
    one = read_model(made, given, n_frames=3, through="step").channels[0]
    assert one.r2_all < 0.99
    assert one.r2_with_hidden == pytest.approx(1.0, abs=1e-9)
    assert one.needs_hidden == pytest.approx(1.0 - one.r2_all)
    reading = read_hidden(made, given, n_frames=3, every=1)
    assert reading.dead == (2,) and reading.lags == (1, 2)
    memory = reading.channels[0]
    assert memory.r2_past > memory.r2_now + 0.005 and memory.r2_past > 0.99
    assert memory.use > 0.05 and reading.channels[1].use == 0.0
    assert "dead" in reading.markdown()


def test_conditions_that_differ_among_trials_are_fields_of_the_rule() -> None:
    spec = NcaSpec(n_channels=1, n_observed=1, kernels="ID_LAP", activation="linear", n_conditions=1)
    made = Automaton(spec, generator=torch.Generator().manual_seed(0)).double()
    with torch.no_grad():
        made.hidden_weights[0].zero_()
        made.condition_weight.fill_(0.5)
        made.out_weight.fill_(0.05)
    model = NcaModel(
        made, Scaling((0.0,), (1.0,)), 2, 2.0, ("A",), ("",), "h", ("feed",), Scaling((0.0,), (1.0,))
    )  # fmt: skip
    values = np.random.default_rng(0).random((3, 1, 10, 10, 1))
    given = Frames(
        values, 2.0, ("A",), ("",), "h", condition_names=("feed",), conditions=np.array([[0.1], [0.4], [0.9]])
    )
    rule = read_model(model, given, n_frames=3, through="step", library=Library(degree=1))
    assert rule.coefficient("A", "feed") == pytest.approx(4 * 0.5 * 0.05, abs=1e-6)


def test_what_cannot_be_read_is_refused() -> None:
    made = model_of(heat_automaton(0.2, dtype=torch.float64))
    with pytest.raises(FramesInvalid, match="generator"):
        samples_of_model(made, frames(channels=1), n_frames=2, perturbation_sd=0.1)
    with pytest.raises(FramesInvalid, match="two frames"):
        samples_of_frames(frames(n_frames=1))
    with pytest.raises(AutomatonInvalid, match="no term"):
        read_frames(frames(), only=("sin A",))
    with pytest.raises(AutomatonInvalid, match="degree"):
        Library(degree=9)
    with pytest.raises(AutomatonInvalid, match="more cells"):
        read_frames(frames(size=3, trials=1), library=Library(degree=6))
    rule = read_frames(frames())
    with pytest.raises(AutomatonInvalid, match="no channel"):
        rule.coefficient("C", "A")
