"""How the wall time of a training on simulations is divided: how many can be afforded, and when training must end.

Simulations of one equation can cost a thousand times those of another, so their price is measured first. What follows the
training (calibration, and the reference of what simulations look like) is part of its time.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from twins.goku.amortised.settings import AmortisedSettings
from twins.goku.amortised.trust import MISFIT_DRAWS

_PROBE = 256  # simulations, of which a few come before the clock is looked at
_WARM_UP = 16
_HELD_OUT, _CHUNK, _CALIBRATION = 0.08, 0.3, 0.3  # of the time, at most
_FEWEST_HELD_OUT, _FEWEST_CHUNK = 200, 1000
_FEWEST_CALIBRATION = 500
"""Fewer could not tell one odd trace in 500, which is what makes a trace not to be trusted."""
_AROUND = 1.4  # times the time of its simulations is that of the calibration
_LEAST_TRAINING = 0.2  # of the time, whatever the simulations cost
_WORTH = 0.5  # of the training time that is left: fresh simulations may cost so much


@dataclass(slots=True)
class Budget:
    """began: time.monotonic() of the beginning. rate: simulations a second; inf where nothing limits the time."""

    settings: AmortisedSettings
    began: float
    rate: float = math.inf

    def measure(self, draw: Callable[[int], object]) -> None:
        """Find the price of a simulation; nothing is drawn where time does not count."""
        if self.limited:
            draw(_WARM_UP)
            self.drawn(_PROBE, draw)

    def drawn(self, n: int, draw: Callable[[int], object]) -> None:
        """Measure the price by a draw of n."""
        began = time.monotonic()
        draw(n)
        self.rate = n / max(time.monotonic() - began, 1e-6)

    @property
    def limited(self) -> bool:
        """Whether time counts."""
        return math.isfinite(self.settings.max_seconds)

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return time.monotonic() - self.began

    @property
    def held_out(self) -> int:
        """Simulations that judge the network."""
        return self._afforded(_HELD_OUT, self.settings.held_out, _FEWEST_HELD_OUT)

    @property
    def chunk(self) -> int:
        """Simulations that are made at once to train on."""
        return self._afforded(_CHUNK, self.settings.chunk, _FEWEST_CHUNK)

    @property
    def calibration(self) -> int:
        """Simulations that calibrate it; each is solved MISFIT_DRAWS times more."""
        share = _CALIBRATION / (1 + MISFIT_DRAWS)
        return self._afforded(share, self.settings.calibration, _FEWEST_CALIBRATION)

    @property
    def training_seconds(self) -> float:
        """When training must end, so that what follows is in time."""
        if not self.limited:
            return math.inf
        after = _AROUND * self.calibration * (1 + MISFIT_DRAWS) / self.rate
        return max(self.settings.max_seconds - after, _LEAST_TRAINING * self.settings.max_seconds)

    def worth(self, n: int) -> bool:
        """Whether there is time to draw n simulations more, and to train on them."""
        return n / self.rate <= _WORTH * (self.training_seconds - self.seconds)

    def _afforded(self, share: float, wished: int, fewest: int) -> int:
        if not self.limited:
            return wished
        return min(wished, max(fewest, int(share * self.settings.max_seconds * self.rate)))
