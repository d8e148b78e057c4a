"""Tasks: what a network is for. A task of your own is one small class with the members of `Task`.

TASKS has all of them by name; docs/tasks.md tells their equations, sources and figures.
"""

from __future__ import annotations

from twins.network.tasks.delayed_parity import DelayedParity
from twins.network.tasks.lorenz import Lorenz
from twins.network.tasks.mackey_glass import MackeyGlass
from twins.network.tasks.memory_capacity import MemoryCapacity
from twins.network.tasks.narma import Narma10, Narma30
from twins.network.tasks.registry import TASKS, options_of, task_named
from twins.network.tasks.sine_square import SineSquare
from twins.network.tasks.spoken_digits import SpokenDigits
from twins.network.tasks.task import Details, Metric, Task, TaskData, TaskError
from twins.network.tasks.waveform_synthesis import WaveformSynthesis

__all__ = [
    "TASKS",
    "DelayedParity",
    "Details",
    "Lorenz",
    "MackeyGlass",
    "MemoryCapacity",
    "Metric",
    "Narma10",
    "Narma30",
    "SineSquare",
    "SpokenDigits",
    "Task",
    "TaskData",
    "TaskError",
    "WaveformSynthesis",
    "options_of",
    "task_named",
]
