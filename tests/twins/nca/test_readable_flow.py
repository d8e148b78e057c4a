"""Rules are read through whole frames: where single differences say something else, and where the flow's tangents matter."""

from __future__ import annotations

import pytest
import torch

from twins.errors import AutomatonInvalid, FramesInvalid
from twins.nca import Frames, NcaModel, Scaling
from twins.nca.by_hand import linear_automaton
from twins.nca.pde.gray_scott import MAZE
from twins.nca.pde.heat import Heat
from twins.nca.pde.initial import random_blocks
from twins.nca.pde.simulate import simulate
from twins.nca.readable import (
    Library,
    compared_with,
    left_over,
    pairs_of_frames,
    pairs_of_model,
    read_flow,
    read_frames,
    read_model,
)
from twins.nca.readable.flow import Flow
from twins.nca.readable.pairs import Along

TRUE = {
    "A": {"∇²A": 0.1, "A B²": -1.0, "1": MAZE.alpha, "A": -MAZE.alpha},
    "B": {"∇²B": 0.05, "A B²": 1.0, "B": -MAZE.alpha - MAZE.gamma},
}


def maze(*, n_frames: int, steps_per_frame: int, size: int = 20) -> Frames:
    begun = random_blocks(MAZE, 1, size=size, generator=torch.Generator().manual_seed(3))
    return simulate(MAZE, begun, n_frames=n_frames, steps_per_frame=steps_per_frame, discard=100)


@pytest.mark.parametrize("steps_per_frame", [16, 32])
def test_frames_far_apart_give_the_coefficients_of_gray_scott(steps_per_frame: int) -> None:
    given = maze(n_frames=8, steps_per_frame=steps_per_frame)
    rule = read_frames(given, n_steps=steps_per_frame)
    assert rule.n_steps == steps_per_frame
    for channel, terms in TRUE.items():
        assert {c.term for c in rule.channel(channel).coefficients} == set(terms)
        for term, value in terms.items():
            assert rule.coefficient(channel, term) == pytest.approx(value, rel=0.01)
        assert rule.channel(channel).nrmse == pytest.approx(0.0, abs=1e-4)
    # what differences across the frames say does not lead there
    pairs = pairs_of_frames(given, n_steps=steps_per_frame)
    assert max(left_over(read_frames(given), pairs)) > 0.03 > 1000 * max(left_over(rule, pairs))


def test_tangents_are_the_derivatives_of_the_flow() -> None:
    """Against differences, with every kind of term."""
    generator = torch.Generator().manual_seed(0)
    terms = Library(degree=2, laplacian_degree=2, biharmonic=True, slopes=True).terms(2, 1)
    fields = torch.rand(2, 3, 6, 5, generator=generator, dtype=torch.float64)
    flow = Flow(terms, n_channels=2, n_steps=3, dt=0.1, padding="symmetric")
    coefficients = 0.1 * torch.randn(2, len(terms), generator=generator, dtype=torch.float64)
    wanted = [(channel, term) for channel in range(2) for term in range(len(terms))]
    ended, tangents = flow.with_tangents(fields, coefficients, wanted)
    assert torch.equal(ended, flow.ended(fields, coefficients))
    for place, tangent in zip(wanted, tangents, strict=True):
        higher, lower = coefficients.clone(), coefficients.clone()
        higher[place] += 1e-5
        lower[place] -= 1e-5
        difference = (flow.ended(fields, higher) - flow.ended(fields, lower)) / 2e-5
        torch.testing.assert_close(tangent, difference, rtol=1e-4, atol=1e-5)


def linear_model(*, steps_per_frame: int) -> NcaModel:
    """The first field diffuses and decays into the second, which diffuses too."""
    made = linear_automaton([0.2, 0.05], reaction=[[-0.03, 0.0], [0.03, -0.01]], dtype=torch.float64)
    return NcaModel(made, Scaling((0.0, 0.0), (2.0, 2.0)), steps_per_frame, 4.0, ("A", "B"), ("", ""), "h")


def pictures() -> Frames:
    values = torch.rand(2, 4, 12, 12, 2, generator=torch.Generator().manual_seed(1)).numpy()
    return Frames(values, 4.0, ("A", "B"), ("", ""), time_unit="h", simulated=True)


@pytest.mark.parametrize("along", ["frames", "run"])
def test_a_rule_of_many_steps_is_read_and_beside_the_data(along: Along) -> None:
    model = linear_model(steps_per_frame=8)  # of half an hour each
    pairs = pairs_of_model(
        model, pictures(), n_frames=3, along=along, perturbation_sd=0.1, generator=torch.Generator().manual_seed(0)
    )
    rule = read_flow(pairs)
    assert rule.coefficient("A", "∇²A") == pytest.approx(0.4, rel=1e-3)
    assert rule.coefficient("B", "A") == pytest.approx(0.06, rel=1e-3)
    assert rule.coefficient("B", "A B²") == 0.0
    assert (rule.channel("A").own_error or 0.0) > 0.5  # the pictures are noise
    assert "over a frame are off by" in rule.markdown()


def test_a_model_is_read_through_its_frames_unless_they_have_one_step() -> None:
    assert read_model(linear_model(steps_per_frame=4), pictures(), n_frames=2).n_steps == 4
    assert read_model(linear_model(steps_per_frame=4), pictures(), n_frames=2, through="step").n_steps == 0
    assert read_model(linear_model(steps_per_frame=1), pictures(), n_frames=2).n_steps == 0


def test_a_rule_read_through_frames_stands_beside_the_true_one() -> None:
    begun = torch.rand(2, 1, 12, 12, generator=torch.Generator().manual_seed(2))
    given = simulate(Heat(), begun, n_frames=5, steps_per_frame=8)
    found = compared_with(Heat(), pairs_of_frames(given, n_steps=8), library=Library(degree=2))
    (one,) = found.terms
    assert one.true == pytest.approx(one.learned, rel=1e-3) and one.on_true_terms == pytest.approx(one.true, rel=1e-3)
    assert "Explained of a frame" in found.markdown()


def test_what_cannot_be_read_through_frames_is_refused() -> None:
    with pytest.raises(FramesInvalid, match="n_steps"):
        pairs_of_frames(pictures(), n_steps=0)
    with pytest.raises(FramesInvalid, match="generator"):
        pairs_of_model(linear_model(steps_per_frame=2), pictures(), n_frames=2, perturbation_sd=0.1)
    with pytest.raises(AutomatonInvalid, match="no term"):
        read_frames(pictures(), n_steps=2, only=("sin A",))
