"""Facts about traces that were measured at other times, or under another drive, than a network has learned from."""

import numpy as np
import pytest
import torch

from twins.goku.amortised.design import Design
from twins.goku.amortised.membership import unlike_design

SAMPLES = 40


def driven(drive: np.ndarray) -> Design:
    n = len(drive)
    steps, seen = torch.full((n, SAMPLES - 1), 0.1, dtype=torch.float64), torch.ones((n, SAMPLES, 1), dtype=torch.bool)
    return Design(steps, seen, torch.from_numpy(drive), 0.1)


def held_noise(n: int, seed: int, size: float = 0.3) -> np.ndarray:
    """Normal numbers, each held for five samples."""
    return size * np.repeat(np.random.default_rng(seed).standard_normal((n, SAMPLES // 5, 1)), 5, axis=1)


def uneven(n: int, seed: int, low_s: float, high_s: float) -> Design:
    steps = torch.from_numpy(np.random.default_rng(seed).uniform(low_s, high_s, (n, SAMPLES - 1)))
    return Design(steps, torch.ones((n, SAMPLES, 1), dtype=torch.bool), None, None)


def foreign_share(trained: Design, asked: Design, what: str) -> float:
    return len(unlike_design(trained, asked, (what,))) / len(asked.steps_s)


def square(n: int) -> np.ndarray:
    """As large as the largest of the noise, but always."""
    return np.broadcast_to(0.9 * np.sign(np.sin(2.0 * np.pi * (np.arange(SAMPLES) + 0.5) / 10.0)), (n, SAMPLES))[
        ..., None
    ]


def fast(n: int) -> np.ndarray:
    """As large as the noise, but at a frequency that it hardly has."""
    return np.broadcast_to(0.42 * np.sin(2.0 * np.pi * np.arange(SAMPLES) / 2.3), (n, SAMPLES))[..., None]


@pytest.mark.parametrize(
    ("drive", "seen"),
    [(square(20), 1.0), (fast(20), 1.0), (held_noise(100, 2, size=1.0), 0.8), (held_noise(100, 3, size=3.0), 1.0)],
    ids=["square wave", "other frequency", "three times as large", "ten times as large"],
)
def test_a_drive_unlike_all_of_a_design_with_many_is_told(drive: np.ndarray, seen: float) -> None:
    assert foreign_share(driven(held_noise(200, 1)), driven(drive.copy()), "drive") >= seen


def test_drives_and_times_of_the_same_kind_are_those_of_the_design() -> None:
    trained = driven(held_noise(200, 1))
    assert foreign_share(trained, trained, "drive") == 0.0
    assert foreign_share(trained, driven(held_noise(200, 4)), "drive") <= 0.03
    times = uneven(200, 1, 0.02, 0.08)
    assert foreign_share(times, times, "times") == 0.0
    assert foreign_share(times, uneven(200, 2, 0.02, 0.08), "times") <= 0.03


@pytest.mark.parametrize("steps", [(0.06, 0.24), (0.005, 0.02), (0.049, 0.051)], ids=["longer", "shorter", "even"])
def test_times_unlike_all_of_a_design_with_many_are_told(steps: tuple[float, float]) -> None:
    assert foreign_share(uneven(200, 1, 0.02, 0.08), uneven(50, 2, *steps), "times") == 1.0


def test_uneven_times_that_all_traces_of_the_design_share_must_be_just_these() -> None:
    one = uneven(1, 1, 0.02, 0.08)
    shared = Design(one.steps_s.expand(5, -1), one.seen.expand(5, -1, -1), None, None)
    turned = Design(one.steps_s.flip(1), one.seen, None, None)
    assert foreign_share(shared, one, "times") == 0.0
    assert foreign_share(shared, turned, "times") == 1.0
