"""Damage wipes what it says, where it says, and nothing else."""

from __future__ import annotations

import pytest
import torch

from twins.errors import AutomatonInvalid
from twins.nca import NcaSpec
from twins.nca.training.damage import DAMAGE_KINDS, Damage, damage, disc_mask, half_mask, paint, rectangle_mask

SPEC = NcaSpec(n_channels=5, n_observed=2, n_environment=1, padding="zero")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def states(batch: int = 8) -> torch.Tensor:
    return 0.1 + torch.rand(batch, 5, 20, 24, generator=generator(7))


@pytest.mark.parametrize("kind", DAMAGE_KINDS)
def test_a_share_of_the_batch_gets_holes_and_keeps_its_environment(kind: str) -> None:
    given = states()
    harmed = Damage(kind=kind, share=0.5, radius=(0.2, 0.3)).apply(given, SPEC, generator=generator())  # type: ignore[arg-type]
    wiped = (harmed[:, 0] == 0.0) & (harmed[:, 1] == 0.0) & (harmed[:, 3:] == 0.0).all(dim=1)
    assert int(wiped.flatten(1).any(dim=1).sum()) == 4
    assert torch.equal(harmed[:, 2], given[:, 2])
    assert torch.equal(torch.where(wiped[:, None], given, harmed), given)
    share = wiped[wiped.flatten(1).any(dim=1)].double().mean()
    assert 0.02 < share < 0.55


def test_the_share_holds_on_average_in_batches_of_one() -> None:
    draws, given = generator(), states(1)
    n_harmed = sum(not torch.equal(Damage(share=0.3).apply(given, SPEC, generator=draws), given) for _ in range(300))
    assert 60 < n_harmed < 120


def test_only_the_items_named_are_damaged_the_first_ones_before_others() -> None:
    mask = Damage(share=0.5, middle=0.3).mask(8, (20, 24), SPEC, generator=generator(), items=[6, 1, 3, 0])
    assert mask.flatten(1).any(dim=1).nonzero().flatten().tolist() == [1, 6]


def test_a_disc_has_the_area_of_its_radius_and_crosses_periodic_edges() -> None:
    inside = disc_mask((64, 64), (31.5, 31.5), 20.0)
    assert float(inside.sum()) == pytest.approx(3.14159 * 400, rel=0.02)
    corner = disc_mask((64, 64), (0.0, 0.0), 20.0, periodic=True)
    assert int(corner.sum()) > 3.9 * int(disc_mask((64, 64), (0.0, 0.0), 20.0).sum()) - 4 * 21
    assert corner[63, 63] and not disc_mask((64, 64), (0.0, 0.0), 20.0)[63, 63]


def test_rectangles_and_halves_are_where_they_are_asked_for() -> None:
    rectangle = rectangle_mask((9, 9), (2.0, 6.0), (1.0, 2.0))
    assert rectangle.nonzero().tolist() == [[y, x] for y in (1, 2, 3) for x in (4, 5, 6, 7, 8)]
    left = half_mask((4, 7), axis="x", first=True)
    assert left[:, :3].all() and not left[:, 3:].any()
    assert torch.equal(half_mask((4, 7), axis="x", first=False), ~left)


def test_a_background_fills_the_observed_channels_and_paint_leaves_hidden_ones() -> None:
    given, mask = states(2), disc_mask((20, 24), (10.0, 10.0), 4.0)
    harmed = damage(given, mask, SPEC, background=(1.0, 0.25))
    assert (harmed[:, 0, mask] == 1.0).all() and (harmed[:, 1, mask] == 0.25).all()
    assert (harmed[:, 3:][:, :, mask] == 0.0).all() and torch.equal(harmed[:, :, ~mask], given[:, :, ~mask])
    painted = paint(given, torch.stack((mask, ~mask)), (0.5, 0.75), SPEC)
    assert (painted[0, 1, mask] == 0.75).all() and (painted[1, 0, ~mask] == 0.5).all()
    assert torch.equal(painted[:, 2:], given[:, 2:])


def test_impossible_choices_are_refused() -> None:
    for wrong in ({"kind": "star"}, {"share": 1.5}, {"radius": (0.5, 0.2)}, {"radius": (0.1, 3.0)}, {"middle": -1.0}):
        with pytest.raises(AutomatonInvalid):
            Damage(**wrong)  # type: ignore[arg-type]
    with pytest.raises(AutomatonInvalid, match="mask"):
        damage(states(2), torch.ones(5, 5, dtype=torch.bool), SPEC)
    with pytest.raises(AutomatonInvalid, match="observed"):
        paint(states(2), torch.ones(20, 24, dtype=torch.bool), (1.0,), SPEC)
