"""The time of a device that moves in samples of its own, under internal steps of any length."""

import numpy as np
from numpy.typing import NDArray

from sim_devices.physics.device import Array

_NEAR = 1e-6  # of a sample: so near, an internal step ends with the sample


class TwinClock:
    """Counts complete samples, and takes the mean of the inputs over each.

    Args:
        n_inputs: how many inputs there are.
    """

    def __init__(self, n_inputs: int) -> None:
        self._n_inputs = n_inputs
        self.restart()

    def restart(self) -> None:
        """A sample begins now; what there was of the last one is dropped."""
        self._phase = 0.0  # of the present sample, 0 to 1
        self._carried = np.zeros(self._n_inputs)  # integral of the inputs over it so far

    def advance(self, inputs: Array, ratio: float) -> tuple[Array, NDArray[np.int64]]:
        """Move on by internal steps of `ratio` samples, during each of which the inputs (step, input) are constant.

        Returns:
            The means over the samples that were completed (sample, input), and for every internal step how many were by
            its end (step,), integers.
        """
        if not len(inputs):
            return inputs, np.zeros(0, dtype=np.int64)
        if self._phase == 0.0 and abs(ratio - 1.0) < 1e-9:
            return inputs, np.arange(1, len(inputs) + 1)
        ends = self._phase + ratio * np.arange(1, len(inputs) + 1)
        done = np.floor(ends + _NEAR).astype(np.int64)
        integral = np.concatenate((self._carried[None], self._carried + ratio * np.cumsum(inputs, axis=0)))
        places = np.concatenate(([self._phase], ends))
        bounds = np.arange(1, done[-1] + 1)
        reached = np.stack([np.interp(bounds, places, column) for column in integral.T], axis=1)
        means: Array = np.diff(np.concatenate((np.zeros((1, self._n_inputs)), reached)), axis=0)
        self._phase = ends[-1] - done[-1]
        self._carried = integral[-1] - (reached[-1] if len(reached) else 0.0)
        if abs(self._phase) <= _NEAR:
            self._phase, self._carried = 0.0, np.zeros(self._n_inputs)
        return means, done
