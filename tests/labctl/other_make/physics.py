"""A relaxing device with memory and noise, of its own equations: a saturating response over a slow, bistable remanence."""

import math
import threading
import time

import numpy as np

SUBSTEPS = 4
LONGEST_PAUSE_S = 1.0


class Remanence:
    """x relaxes to sin(1.2 u + 0.6 m) with noise; m, the remanence, follows u slowly and holds itself.

    All times in units of tau_s. `advance` takes one sample of held drive; `catch_up` runs on with the clock.
    """

    def __init__(self, *, tau_s: float, seed: int) -> None:
        self.tau_s = tau_s
        self.x = self.m = 0.0
        self.drive_V = self.bias_V = 0.0
        self._rng = np.random.default_rng(seed)
        self._seen_s = time.monotonic()
        self.lock = threading.RLock()

    def advance(self, drive_V: float, dt_s: float) -> None:
        h = dt_s / self.tau_s / SUBSTEPS
        u = drive_V + self.bias_V
        for kick in self._rng.standard_normal(SUBSTEPS):
            pull = math.sin(1.2 * u + 0.6 * self.m)
            self.m += h * (0.4 * u - 0.3 * self.m * (1 + self.m * self.m))
            self.x += h * (pull - self.x) + math.sqrt(h) * 0.03 * (0.3 + abs(u)) * kick

    def catch_up(self) -> None:
        """Real time, for instruments that are set and read step by step."""
        with self.lock:
            now_s = time.monotonic()
            passed_s, self._seen_s = min(now_s - self._seen_s, LONGEST_PAUSE_S), now_s
            n_steps = max(1, min(200, round(passed_s / (0.2 * self.tau_s))))
            for _ in range(n_steps):
                self.advance(self.drive_V, passed_s / n_steps)

    def play(self, drive_V: np.ndarray, dt_s: float) -> np.ndarray:
        """Virtual time: sample k of the response is the state when sample k of the drive begins."""
        with self.lock:
            response = np.empty(len(drive_V))
            for k, level in enumerate(drive_V.tolist()):
                response[k] = self.x
                self.advance(level, dt_s)
            self._seen_s = time.monotonic()
            return response
