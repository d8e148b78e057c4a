"""Which automata commute with turns and reflections, and those that are made to."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from twins.errors import AutomatonInvalid
from twins.nca import Automaton, NcaModel, NcaSpec, Scaling
from twins.nca.formulations.choice import Formulation
from twins.nca.nca_file import load_nca, save_nca
from twins.nca.perceive import perceive
from twins.nca.symmetry import TURNS, equivariance, plain_automaton, symmetrised


def automaton(seed: int = 0, *, scale: float = 0.03, **choices: object) -> Automaton:
    """One whose last layer is no longer zero."""
    generator = torch.Generator().manual_seed(seed)
    made = Automaton(NcaSpec(**{"n_channels": 4, "n_observed": 2, **choices}), generator=generator).double()
    with torch.no_grad():
        made.out_weight.normal_(std=scale, generator=generator)
        if made.spec.gated:
            made.gate_weight.normal_(generator=generator)
    return made


def fields(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("kernels", ["ID_LAP_AV", "GOL", "ID_NORM_LAP_AV"])
@pytest.mark.parametrize("padding", ["periodic", "zero", "symmetric"])
def test_isotropic_kernels_commute_with_all_turns(kernels: str, padding: str) -> None:
    measured = equivariance(automaton(kernels=kernels, padding=padding, scale=0.003), fields(2, 4, 7, 9), n_steps=30)
    assert measured.holds(1e-12)
    assert set(measured.turns) == set(TURNS) and len(measured.turns) == 8
    assert len(measured.translations) == (3 if padding == "periodic" else 0)


def test_slopes_do_not_commute_but_can_be_moved() -> None:
    measured = equivariance(automaton(kernels="ID_DIFF_LAP"), fields(1, 4, 8, 8), n_steps=10)
    assert max(measured.translations.values()) < 1e-12
    assert all(value > 1e-3 for name, value in measured.turns.items() if name != "identity")
    assert not measured.holds()


def test_the_cells_that_fire_are_turned_along() -> None:
    made = automaton(fire_rate=0.5)
    measured = equivariance(made, fields(1, 4, 8, 8), n_steps=10, generator=torch.Generator().manual_seed(3))
    assert measured.holds(1e-12)


@pytest.mark.parametrize(
    "choices",
    [
        {}, {"layers": 3}, {"gated": True, "activation": "swish"}, {"order": 2, "n_channels": 3, "hidden_per_channel": 2},
        {"n_environment": 1, "padding": "zero", "bounds": "clip"}, {"kernels": "DIFF_AV", "padding": "symmetric"},
    ],
)  # fmt: skip
@pytest.mark.parametrize("group", ["C4", "D4"])
def test_a_symmetrised_automaton_commutes_although_it_sees_slopes(choices: dict[str, object], group: str) -> None:
    free = automaton(**{"kernels": "ID_DIFF_LAP", **choices})
    tied = symmetrised(free, group=group)  # type: ignore[arg-type]
    states = fields(1, free.spec.n_channels, 7, 9)
    turns = equivariance(tied, states, n_steps=10).turns
    assert max(list(turns.values())[: 4 if group == "C4" else 8]) < 1e-12
    if group == "C4":
        assert turns["transpose"] > 1e-6
    assert not torch.allclose(tied.step(states), states)


def test_two_layers_without_gate_are_averaged_as_the_rule_itself() -> None:
    free = automaton(kernels="ID_DIFF_LAP_AV")
    state = fields(1, 4, 6, 6)
    mean = torch.stack([_undone(name, free.step(TURNS[name](state))) for name in TURNS]).mean(0)
    torch.testing.assert_close(symmetrised(free).step(state), mean)


def _undone(name: str, state: torch.Tensor) -> torch.Tensor:
    back = {"quarter turn": "three-quarter turn", "three-quarter turn": "quarter turn"}
    return TURNS[back.get(name, name)](state)


def test_the_plain_automaton_has_the_same_rule() -> None:
    for choices in ({"layers": 3, "gated": True, "n_conditions": 1}, {"order": 2, "n_channels": 2}):
        tied = symmetrised(automaton(**{"kernels": "ID_DIFF", **choices}), group="C4")
        plain = plain_automaton(tied)
        state = fields(2, tied.spec.n_channels, 6, 5)
        conditions = fields(2, 1) if tied.spec.n_conditions else None
        torch.testing.assert_close(
            plain.unroll(state, 4, conditions=conditions).state, tied.unroll(state, 4, conditions=conditions).state
        )
        assert type(plain) is Automaton and plain_automaton(plain) is plain


@pytest.mark.parametrize("formulation", ["auto", "folded", "sliced"])
def test_every_formulation_knows_the_tied_weights(formulation: Formulation) -> None:
    tied = symmetrised(automaton(kernels="ID_DIFF_LAP", scale=0.1)).float()
    state = fields(2, 4, 6, 7).float()
    found = []
    for name in ("plain", formulation):
        tied.zero_grad()
        after = tied.unroll(state, 3, formulation=name).state
        after.square().sum().backward()
        found.append((after.detach(), *[p.grad.clone() for p in tied.parameters() if p.grad is not None]))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
    assert len(found[0]) == 4


def test_a_symmetrised_automaton_is_kept_on_disk_with_its_weights_written_out(tmp_path: Path) -> None:
    tied = symmetrised(automaton(kernels="ID_DIFF_LAP")).float()
    model = NcaModel(tied, Scaling((0.0, 0.0), (1.0, 1.0)), 2, 0.5, ("a", "b"), ("", ""))
    loaded = load_nca(save_nca(model, tmp_path / "tied", provenance={}))
    state = fields(1, 4, 6, 5).float()
    torch.testing.assert_close(loaded.automaton.step(state), tied.step(state))
    assert equivariance(loaded, state, n_steps=5).holds(1e-6)


def test_training_moves_the_free_parameters_alone_and_keeps_the_symmetry() -> None:
    free = automaton(kernels="ID_DIFF", n_channels=2)
    tied = symmetrised(free)
    assert sum(p.numel() for p in tied.parameters()) == sum(p.numel() for p in free.parameters())
    state, target = fields(1, 2, 6, 6), fields(1, 2, 6, 6, seed=2)
    optimiser = torch.optim.Adam(tied.parameters(), lr=0.01)
    losses = []
    for _ in range(20):
        optimiser.zero_grad()
        loss = (tied.unroll(state, 2).state - target).square().mean()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]
    assert equivariance(tied, state, n_steps=3).holds(1e-12)


def test_a_slope_turned_is_the_other_slope() -> None:
    spec = NcaSpec(n_channels=1, n_observed=1, kernels="DIFF")
    state = fields(1, 1, 5, 5)
    turned = perceive(TURNS["quarter turn"](state), spec)
    straight = TURNS["quarter turn"](perceive(state, spec))
    torch.testing.assert_close(turned[:, 0], straight[:, 1])
    torch.testing.assert_close(turned[:, 1], -straight[:, 0])


def test_what_cannot_be_compared_or_tied_is_refused() -> None:
    with pytest.raises(AutomatonInvalid, match="ran away"):
        equivariance(automaton(scale=1e5), fields(1, 4, 5, 5), n_steps=200)
    with pytest.raises(AutomatonInvalid, match="group"):
        symmetrised(automaton(), group="C3")  # type: ignore[arg-type]
    with pytest.raises(AutomatonInvalid, match="64"):
        symmetrised(automaton(hidden_per_channel=16))
