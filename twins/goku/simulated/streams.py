"""Independent streams of random numbers from one seed, told apart by name."""

from __future__ import annotations

import hashlib

import numpy as np
import torch


def numpy_stream(seed: int, *names: str) -> np.random.Generator:
    """A generator of its own for every sequence of names; what other names there are changes nothing."""
    return np.random.default_rng(_sequence(seed, names))


def torch_stream(seed: int, *names: str) -> torch.Generator:
    """The same for torch."""
    (state,) = _sequence(seed, names).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state >> np.uint64(1)))


def _sequence(seed: int, names: tuple[str, ...]) -> np.random.SeedSequence:
    digest = hashlib.sha256("\0".join(names).encode()).digest()
    return np.random.SeedSequence(seed, spawn_key=tuple(int(word) for word in np.frombuffer(digest, dtype="<u4")))
