"""A frame in the simulated camera's memory, and the block that it is sent as (described in simoptics_so2c.py)."""

import struct
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MAGIC, HEADER = b"SO2C", "4sHHIIHHHHIdddI"
HEADER_BYTES = struct.calcsize("<" + HEADER)
LOST, SATURATED, LATE = 1, 2, 4


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame in memory; counts (plane, row, column) are None for a lost one."""

    acquisition: int
    index: int
    counts: NDArray[np.uint16] | None
    saturated: int
    time_s: float
    exposure_s: float
    light: float
    late: bool
    bits: int

    def block(self, order: str) -> bytes:
        """The definite block; order is "<" or ">"."""
        data = b"" if self.counts is None else self.counts.astype(order + "u2").tobytes()
        shape = (0, 0, 0) if self.counts is None else self.counts.shape
        flags = LOST * (self.counts is None) | SATURATED * (self.saturated > 0) | LATE * self.late
        payload = struct.pack(
            order + HEADER, MAGIC, HEADER_BYTES, flags, self.acquisition, self.index, *shape, self.bits,
            self.saturated, self.time_s, self.exposure_s, self.light, zlib.crc32(data),
        ) + data  # fmt: skip
        length = str(len(payload))
        return f"#{len(length)}{length}".encode() + payload
