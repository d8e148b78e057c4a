"""Healing is measured as it happens: against rules of which one knows what they do with a hole."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from twins.errors import FramesInvalid
from twins.nca import Automaton, Frames, NcaModel, NcaSpec, Scaling
from twins.nca.healing import regeneration
from twins.nca.training.damage import Damage, disc_mask

FRAMES = Frames(np.ones((2, 3, 16, 16, 1)), 1.0, ("a",), ("V",))


def relaxing(rate: float, target: float = 1.0, **choices: object) -> NcaModel:
    """x ← x + rate·(target - x), by hand: relu(x) - relu(-x) is x. Two channels, the second hidden and left alone."""
    spec = NcaSpec(**{"n_channels": 2, "n_observed": 1, "kernels": "ID_LAP", **choices})  # type: ignore[arg-type]
    automaton = Automaton(spec, generator=torch.Generator())
    with torch.no_grad():
        automaton.hidden_weights[0].zero_()
        automaton.hidden_weights[0][0, 0], automaton.hidden_weights[0][1, 0] = 1.0, -1.0
        automaton.out_weight[0, 0], automaton.out_weight[0, 1] = -rate, rate
        automaton.out_bias[0] = rate * target
    return NcaModel(automaton, Scaling((0.0,), (1.0,)), 4, 1.0, ("a",), ("V",))


def test_a_rule_that_relaxes_heals_by_its_rate_a_step() -> None:
    hole = disc_mask((16, 16), (8.0, 8.0), 4.0)
    found = regeneration(relaxing(0.25), FRAMES, hole, n_before=1, n_after=5, every=2, generator=torch.Generator())
    n_wiped = int(hole.sum())
    np.testing.assert_array_equal(found.steps, np.arange(0, 21, 2))
    np.testing.assert_allclose(
        found.deviation[:, 0], np.sqrt(n_wiped) * 0.75 ** found.steps[None].repeat(2, 0), rtol=1e-4
    )
    np.testing.assert_allclose(found.error, found.deviation, rtol=1e-4)
    np.testing.assert_allclose(found.undamaged_error, 0.0, atol=1e-5)
    assert (found.steps_to_recover(0.9) == 10).all()  # 0.75^8 = 0.100 is not yet below a tenth, 0.75^10 = 0.056 is
    np.testing.assert_allclose(found.healed[:, 0], 1 - 0.75 ** (2 * found.steps[None].repeat(2, 0)), atol=1e-4)
    assert found.share_recovered(0.99) == 1.0 and found.share_recovered(0.999) == 0.0


def test_a_rule_that_does_nothing_never_recovers() -> None:
    found = regeneration(
        relaxing(0.0), FRAMES, Damage(radius=(0.2, 0.3)), n_before=0, n_after=2, n_holes=3,
        generator=torch.Generator().manual_seed(1),
    )  # fmt: skip
    assert found.deviation.shape == (2, 3, 3) and found.masks.shape == (2, 3, 16, 16)
    assert (found.recovered == 0.0).all() and (found.healed == 0.0).all() and found.share_recovered() == 0.0
    assert np.isinf(found.steps_to_recover()).all()
    assert len({mask.tobytes() for mask in found.masks.reshape(6, -1)}) == 6


def test_a_damaged_run_fires_as_the_one_left_alone_does() -> None:
    nowhere = torch.zeros(16, 16, dtype=torch.bool)
    frames = Frames(np.zeros((2, 3, 16, 16, 1)), 1.0, ("a",), ("V",))
    model = relaxing(0.1, fire_rate=0.5)
    found = regeneration(model, frames, nowhere, n_before=1, n_after=2, generator=torch.Generator().manual_seed(1))
    assert (found.deviation == 0.0).all() and (found.undamaged_error > 0.1).all()
    with pytest.raises(FramesInvalid, match="where the pattern is"):
        found.share_recovered()


def test_a_run_that_runs_away_has_not_recovered() -> None:
    found = regeneration(
        relaxing(-3.0),
        FRAMES,
        disc_mask((16, 16), (8.0, 8.0), 3.0),
        n_before=1,
        n_after=30,
        generator=torch.Generator(),
    )
    assert found.recovered[..., -1].max() == -np.inf and found.share_recovered() == 0.0


def test_masks_of_another_size_and_nothing_to_follow_are_refused() -> None:
    with pytest.raises(FramesInvalid, match="masks"):
        regeneration(
            relaxing(0.1), FRAMES, disc_mask((9, 9), (4, 4), 2), n_before=0, n_after=1, generator=torch.Generator()
        )
    with pytest.raises(FramesInvalid, match="nothing to follow"):
        regeneration(relaxing(0.1), FRAMES, Damage(), n_before=0, n_after=0, generator=torch.Generator())
