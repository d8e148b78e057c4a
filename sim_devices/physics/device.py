"""What a simulated device is: ports that are driven, observables that can be seen, and a way to move on in time."""

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Device(Protocol):
    """A device under test. A new one is one small file: a frozen set of parameters, a state, and `advance`."""

    @property
    def ports(self) -> tuple[str, ...]:
        """Names of the inputs, each driven by a voltage."""
        ...

    @property
    def observables(self) -> tuple[str, ...]:
        """Names of the outputs that instruments can see, in volts."""
        ...

    @property
    def steps_per_s(self) -> float:
        """Fewest internal steps a second that still give the right mean and spread."""
        ...

    def observe(self) -> dict[str, float]:
        """The observables of the present state (V)."""
        ...

    def advance(self, ports: Mapping[str, Array], *, step_s: float, generator: np.random.Generator) -> dict[str, Array]:
        """Move on by as many internal steps as the port arrays have entries.

        Args:
            ports: voltage at each port during each step, shape (step,); every port must be there.
            step_s: length of one step, at most 1 / steps_per_s.
            generator: source of the process noise; a fixed number of draws is taken a step.

        Returns:
            The observables (V) at the END of each step, shape (step,).
        """
        ...


@runtime_checkable
class Imaged(Protocol):
    """A device that a camera can see, and into which a pattern can be injected."""

    @property
    def species(self) -> tuple[str, ...]:
        """What the layers of an image show."""
        ...

    @property
    def rows(self) -> int:
        """Height of an image."""
        ...

    @property
    def columns(self) -> int:
        """Width of an image."""
        ...

    def image(self) -> Array:
        """Concentrations now, (species, row, column)."""
        ...

    def inject(self, pattern: str, seed: int) -> None:
        """Bring the device to a new state; ValueError for a pattern that it does not know."""
        ...


@runtime_checkable
class Remarking(Protocol):
    """A device that notices when a play begins, and that has something to say of what it is asked to do."""

    @property
    def remarks_are_errors(self) -> bool:
        """Whether the instruments that see the device report its remarks as errors, or only the log does."""
        ...

    def begin_play(self, generator: np.random.Generator) -> None:
        """The device is about to be driven by a play; earlier remarks are of no interest."""
        ...

    def forget_remarks(self) -> None:
        """What happened until now is of no interest."""
        ...

    def take_remarks(self) -> list[str]:
        """What there is to say since the last time."""
        ...
