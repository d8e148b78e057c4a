from __future__ import annotations
from dataclasses import dataclass
@dataclass(frozen=True, slots=True)
class Estimate:
    value: float
    sd: float
