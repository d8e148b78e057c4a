"""Streams of randomness: each purpose has one of its own, so that campaigns of equal seeds draw nothing alike.

Otherwise one campaign would judge by the very examples that another of the same seed was trained on, for both would take
the first stream that the seed gives.
"""

from __future__ import annotations

import numpy as np


def streams_of(seed: int, purpose: str, n_streams: int) -> list[np.random.SeedSequence]:
    """n_streams independent streams for a purpose, which is told from all others, and from SeedSequence(seed).spawn, by
    its name (of two letters or more)."""
    return np.random.SeedSequence(seed, spawn_key=tuple(purpose.encode())).spawn(n_streams)


def number_of(stream: np.random.SeedSequence) -> int:
    """A seed (below 2**63) for what takes a number."""
    return int(stream.generate_state(1, np.uint64)[0] >> np.uint64(1))
