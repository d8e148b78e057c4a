"""The tasks that there are by name, in a few words each, for whoever chooses one. docs/tasks.md says all of them in full."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

TASK_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "narma10": "from random input, a nonlinear series that remembers 10 steps",
        "narma30": "from random input, a nonlinear series that remembers 30 steps",
        "mackey_glass": "from a chaotic series with a delay, its value 10 steps ahead",
        "lorenz": "from x of the Lorenz flow, x 5 steps ahead",
        "memory_capacity": "from random input, the inputs of the last 10 steps",
        "delayed_parity": "from random bits, the parity of three of them some steps ago",
        "sine_square": "tell noisy sine waves from square waves",
        "spoken_digits": "tell ten generated words as four filters hear them",
        "waveform_synthesis": "from a sine, its harmonics and a sawtooth",
    }
)
"""name -> what it is."""
