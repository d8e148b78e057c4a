"""What an automaton sees and does, against what can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from twins.errors import AutomatonInvalid, FramesInvalid
from twins.nca import KERNEL_SETS, Automaton, Frames, NcaModel, NcaSpec, Scaling
from twins.nca.perceive import perceive


def automaton(seed: int = 0, *, scale: float = 0.05, **choices: object) -> Automaton:
    """One whose last layer is no longer zero."""
    generator = torch.Generator().manual_seed(seed)
    made = Automaton(NcaSpec(**{"n_channels": 4, "n_observed": 2, **choices}), generator=generator).double()
    with torch.no_grad():
        made.out_weight.normal_(std=scale, generator=generator)
    return made


def fields(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_laplacian_of_a_quadratic_is_twice_the_sum_of_its_coefficients() -> None:
    y, x = torch.meshgrid(torch.arange(9.0).double(), torch.arange(11.0).double(), indexing="ij")
    field = (0.3 * x**2 - 1.7 * y**2 + 0.2 * x * y + x - y)[None, None]
    seen = perceive(field, NcaSpec(n_channels=1, n_observed=1, kernels="LAP_AV", padding="zero"))
    torch.testing.assert_close(
        seen[0, 0, 1:-1, 1:-1], torch.full((7, 9), 2 * (0.3 - 1.7), dtype=torch.float64), atol=1e-12, rtol=0
    )


def test_the_slopes_of_a_plane_and_their_norm_are_seen_exactly() -> None:
    y, x = torch.meshgrid(torch.arange(6.0), torch.arange(7.0), indexing="ij")
    seen = perceive((3 * x + 4 * y).double()[None, None], NcaSpec(n_channels=1, n_observed=1, kernels="DIFF_NORM"))
    inside = seen[0, :, 1:-1, 1:-1]
    for feature, value in zip(inside, (3.0, 4.0, 5.0), strict=True):
        torch.testing.assert_close(feature, torch.full_like(feature, value))


@pytest.mark.parametrize(
    ("padding", "numpy_mode"), [("periodic", "wrap"), ("zero", "constant"), ("symmetric", "symmetric")]
)
def test_beyond_the_edge_lies_what_the_padding_says(padding: str, numpy_mode: str) -> None:
    field = fields(1, 1, 5, 4)
    spec = NcaSpec(n_channels=1, n_observed=1, kernels="ID_MOORE", padding=padding)  # type: ignore[arg-type]
    wide = np.pad(field[0, 0].numpy(), 1, mode=numpy_mode)
    neighbours = sum(wide[i : i + 5, j : j + 4] for i in range(3) for j in range(3) if (i, j) != (1, 1))
    np.testing.assert_allclose(perceive(field, spec)[0, 1], neighbours, atol=1e-12)


@pytest.mark.parametrize("kernels", KERNEL_SETS)
@pytest.mark.parametrize("order", [1, 2])
def test_a_new_automaton_changes_nothing(kernels: str, order: int) -> None:
    spec = NcaSpec(n_channels=3, n_observed=2, kernels=kernels, order=order, layers=3 if order == 2 else 2)
    state = fields(2, 3, 6, 5).float()
    after = Automaton(spec, generator=torch.Generator().manual_seed(0)).unroll(state, 5).state
    assert torch.equal(after, state)


def test_eight_channels_through_id_lap_have_776_parameters() -> None:
    made = Automaton(NcaSpec(n_channels=8, n_observed=2, kernels="ID_LAP"), generator=torch.Generator())
    assert sum(p.numel() for p in made.parameters()) == 776


def test_gradients_agree_with_differences() -> None:
    for choices in ({}, {"gated": True, "order": 2, "layers": 3, "activation": "swish"}, {"kernels": "ID_NORM_LAP"}):
        made = automaton(n_channels=3, **choices)
        torch.autograd.gradcheck(lambda s, made=made: made.unroll(s, 2).state, fields(1, 3, 4, 3).requires_grad_())


def test_recomputing_states_on_the_way_back_changes_no_gradient() -> None:
    gradients = []
    for every in (None, 3):
        made = automaton(fire_rate=0.5)
        unrolled = made.unroll(
            fields(2, 4, 6, 6), 8, generator=torch.Generator().manual_seed(3), checkpoint_every=every
        )
        (unrolled.state.square().sum() + unrolled.overshoot.sum()).backward()
        gradients.append(made.hidden_weights[0].grad)
    torch.testing.assert_close(*gradients)


def test_a_share_of_the_cells_fires_and_the_others_stay() -> None:
    made = automaton(fire_rate=0.3, scale=1.0)
    state = fields(1, 4, 64, 64)
    after = made.unroll(state, 1, generator=torch.Generator().manual_seed(5)).state
    moved = (after != state).any(dim=1)
    assert abs(float(moved.double().mean()) - 0.3) < 0.03
    with pytest.raises(AutomatonInvalid, match="generator"):
        made.unroll(state, 1)


def test_the_environment_stays_and_bounds_hold() -> None:
    made = automaton(n_channels=5, n_environment=1, bounds="clip", scale=3.0)
    state = made.initial_state(fields(2, 2, 6, 6), 5.0 * fields(2, 1, 6, 6, seed=2))
    after = made.unroll(state, 20).state
    assert torch.equal(after[:, 2], state[:, 2])
    assert after[:, :2].min() >= 0.0 and after[:, :2].max() <= 1.0 and after[:, 3:].abs().max() <= 1.0
    assert not torch.equal(after[:, :2], state[:, :2])


def test_the_overshoot_is_what_lies_outside_of_zero_to_one() -> None:
    made = Automaton(NcaSpec(n_channels=1, n_observed=1), generator=torch.Generator())
    state = torch.tensor([[[[-0.5, 0.5], [1.25, 3.0]]]])
    assert made.unroll(state, 3).overshoot.item() == pytest.approx(0.5 + 0.25 + 2.0)


def test_conditions_change_what_the_rule_does() -> None:
    made = automaton(n_conditions=1)
    state = fields(1, 4, 5, 5).repeat(2, 1, 1, 1)
    after = made.unroll(state, 3, conditions=torch.tensor([[0.0], [1.0]], dtype=torch.float64)).state
    assert not torch.allclose(after[0], after[1])
    with pytest.raises(AutomatonInvalid, match="conditions"):
        made.unroll(state, 3)


@pytest.mark.parametrize(
    "wrong",
    [
        {"kernels": "ID_ID"}, {"kernels": "SOBEL"}, {"padding": "wrap"}, {"fire_rate": 0.0}, {"n_observed": 9},
        {"n_environment": 3}, {"layers": 4}, {"order": 3}, {"activation": "gelu"},
    ],
)  # fmt: skip
def test_unknown_choices_are_refused_with_what_is_allowed(wrong: dict[str, object]) -> None:
    with pytest.raises(AutomatonInvalid):
        NcaSpec(**{"n_channels": 4, "n_observed": 2, **wrong})


def test_a_model_runs_in_the_units_of_the_images() -> None:
    values = 3.0 + 4.0 * np.random.default_rng(0).random((2, 3, 6, 5, 2))
    frames = Frames(values, 0.5, ("a", "b"), ("V", "V"))
    made = Automaton(NcaSpec(n_channels=4, n_observed=2), generator=torch.Generator())
    model = NcaModel(made, Scaling.of(frames), 4, 0.5, frames.names, frames.units)
    run = model.run(frames, 3)
    assert run.values.shape == (2, 4, 6, 5, 2) and run.simulated
    np.testing.assert_allclose(run.values, frames.values[:, :1].repeat(4, axis=1), rtol=1e-5)
    with pytest.raises(FramesInvalid, match="apart"):
        model.run(frames.span(0, 3, 2), 3)


def test_frames_that_cannot_be_right_are_refused() -> None:
    good = np.zeros((1, 2, 3, 3, 1))
    for values, names in ((good[0], ("a",)), (good * np.nan, ("a",)), (good, ("a", "b")), (good[:, :0], ("a",))):
        with pytest.raises(FramesInvalid):
            Frames(values, 1.0, names, names)
