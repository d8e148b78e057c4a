"""The learning rate of GOKU-UI's training: a warm-up, then a cosine that advances with every plateau.

Facts: the public code of Abrevaya et al. (TMLR 2024).
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RateSettings:
    """Of AdamW in GOKU-UI, in updates and in checks of 9 updates each."""

    rate: float = 0.005251
    floor: float = 1e-5
    warm_up_updates: int = 180
    decay: float = 0.995
    period: int = 50
    gain: float = 0.01
    first_patience: int = 50
    patience: int = 2
    stop_patience: int = 350


class PlateauRate:
    """rate · decay^k · cos⁴(πk/period) + floor after k plateaus; stops where nothing was gained for long."""

    def __init__(self, settings: RateSettings) -> None:
        self._settings = settings
        self._plateaus = 0
        self._since_gain = self._since_plateau = 0
        self._least = math.inf

    def rate(self, n_updates: int) -> float:
        """After so many updates."""
        s, k = self._settings, self._plateaus
        warm = min(1.0, (n_updates + 1) / s.warm_up_updates)
        return warm * s.rate * s.decay**k * math.cos(math.pi * k / s.period) ** 4 + s.floor

    def checked(self, error: float) -> bool:
        """Take a held-out error into account; whether to stop."""
        s = self._settings
        if error < (1.0 - s.gain) * self._least:
            self._least, self._since_gain, self._since_plateau = error, 0, 0
            return False
        self._since_gain += 1
        self._since_plateau += 1
        if self._since_plateau >= (s.first_patience if self._plateaus == 0 else s.patience):
            self._plateaus, self._since_plateau = self._plateaus + 1, 0
        return self._since_gain >= s.stop_patience
