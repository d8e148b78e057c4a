"""What is done to pictures in training moves cells about, and is undone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from twins.errors import FramesInvalid
from twins.nca import Frames, NcaSpec
from twins.nca.training.augmentation import Augmentation, Transform, _sources, _turned

ALL = Augmentation(shift=True, flip=True, rotate=True)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def states(batch: int = 6, rows: int = 9, columns: int = 9) -> torch.Tensor:
    return torch.rand(batch, 5, rows, columns, generator=generator(7))


def single(rows: int, columns: int, **choices: int) -> Transform:
    """One that does just this."""
    order = ("shift_y", "shift_x", "flip_y", "flip_x", "turns")
    parts = [torch.tensor([[choices.get(name, 0)]]) for name in order]
    return Transform(_sources((rows, columns), *parts), (rows, columns))


def test_every_motion_of_whole_cells_is_undone_exactly() -> None:
    given = states(64)
    transform = ALL.draw(64, (9, 9), generator=generator())
    moved = transform.apply(given)
    assert transform.exact and not torch.equal(moved, given)
    assert torch.equal(transform.undo(moved), given)
    assert torch.equal(transform.apply(transform.undo(given)), given)


def test_items_are_moved_apart_and_channels_together() -> None:
    field = torch.rand(1, 1, 9, 9, generator=generator(3)).expand(64, 5, 9, 9)
    moved = ALL.draw(64, (9, 9), generator=generator()).apply(field)
    assert torch.equal(moved[:, :1].expand_as(moved), moved)
    assert len({tuple(item[0].flatten().tolist()) for item in moved}) > 48


def test_shifts_flips_and_turns_are_those_of_numpy() -> None:
    given = states(1)
    for choices, wanted in (
        ({"shift_y": 2, "shift_x": -3}, torch.roll(given, (2, -3), (2, 3))),
        ({"flip_y": 1}, given.flip(2)),
        ({"flip_x": 1}, given.flip(3)),
        ({"turns": 1}, torch.rot90(given, 1, (2, 3))),
        ({"turns": 3, "flip_x": 1}, torch.rot90(given, 3, (2, 3)).flip(3)),
    ):
        assert torch.equal(single(9, 9, **choices).apply(given), wanted), choices


def test_a_turn_by_any_angle_goes_the_same_way_and_a_quarter_of_it_is_nearly_exact() -> None:
    given = states(1)
    quarter = _turned(given, torch.tensor([np.pi / 2]))
    torch.testing.assert_close(quarter, torch.rot90(given, 1, (2, 3)), atol=1e-5, rtol=0)
    transform = Augmentation(any_angle=True).draw(6, (9, 9), generator=generator())
    assert not transform.exact
    smooth = torch.zeros(6, 1, 9, 9)
    smooth[:, :, 3:6, 3:6] = 1.0
    back = transform.undo(transform.apply(smooth))
    assert 0 < (back - smooth).abs().mean() < 0.05


def test_rectangles_are_shifted_and_mirrored_but_not_turned() -> None:
    given = states(6, 5, 8)
    transform = Augmentation(shift=True, flip=True).draw(6, (5, 8), generator=generator())
    assert torch.equal(transform.undo(transform.apply(given)), given)
    with pytest.raises(FramesInvalid, match="swaps rows and columns"):
        ALL.draw(6, (5, 8), generator=generator())


def test_a_largest_shift_is_kept_to() -> None:
    point = torch.zeros(200, 1, 21, 21)
    point[:, :, 10, 10] = 1.0
    moved = Augmentation(shift=3).draw(200, (21, 21), generator=generator()).apply(point)
    distances = (moved.argwhere()[:, 2:] - 10).abs()
    assert distances.max() == 3 and distances.min() == 0


def test_noise_has_the_standard_deviation_asked_for_and_leaves_other_channels_alone() -> None:
    given = torch.rand(8, 5, 40, 40, generator=generator(1))
    spec = NcaSpec(n_channels=5, n_observed=2, n_environment=1)
    noisy = Augmentation(noise_sd=0.03).noisy(given, spec, generator=generator())
    assert float((noisy - given)[:, :2].std()) == pytest.approx(0.03, rel=0.03)
    assert torch.equal(noisy[:, 2:], given[:, 2:])
    assert Augmentation().noisy(given, spec, generator=generator()) is given


def test_padding_surrounds_values_and_environment() -> None:
    frames = Frames(
        np.ones((1, 2, 3, 4, 1)), 1.0, ("a",), ("V",), environment=np.full((1, 3, 4, 2), 5.0), simulated=True
    )
    padded = Augmentation(pad=2, pad_value=-1.0).padded(frames)
    assert padded.size == (7, 8) and padded.simulated and padded.environment is not None
    assert padded.values.sum() == 2 * (12 - (56 - 12)) and padded.environment[0, 0, 0, 0] == -1.0
    assert (Augmentation(pad=1, pad_value="edge").padded(frames).values == 1.0).all()
    assert Augmentation().padded(frames) is frames


def test_impossible_choices_and_other_sizes_are_refused() -> None:
    for wrong in ({"pad": -1}, {"noise_sd": -0.1}, {"noise_sd": float("nan")}, {"shift": -2}, {"pad_value": np.inf}):
        with pytest.raises(FramesInvalid):
            Augmentation(**wrong)  # type: ignore[arg-type]
    with pytest.raises(FramesInvalid, match="6 items of 9×9"):
        ALL.draw(6, (9, 9), generator=generator()).apply(states(5))


def test_every_shift_is_as_likely_as_every_other() -> None:
    corner = torch.zeros(6000, 1, 6, 1)
    corner[:, :, 0] = 1.0
    for shift, reached in ((True, range(6)), (4, range(6)), (1, (0, 1, 5))):
        moved = Augmentation(shift=shift).draw(6000, (6, 1), generator=generator()).apply(corner)
        shares = moved.mean(dim=0).flatten() * len(reached)
        assert set(torch.nonzero(shares).flatten().tolist()) == set(reached)
        assert float((shares[list(reached)] - 1.0).abs().max()) < 0.1, shift
