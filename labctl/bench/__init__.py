"""The opened station: `Bench`, and the machinery of its recordings."""

from labctl.bench.bench import Bench
from labctl.recording import Block

__all__ = ["Bench", "Block"]
