"""All tasks by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from types import MappingProxyType
from typing import Any

from twins.network.tasks.delayed_parity import DelayedParity
from twins.network.tasks.lorenz import Lorenz
from twins.network.tasks.mackey_glass import MackeyGlass
from twins.network.tasks.memory_capacity import MemoryCapacity
from twins.network.tasks.narma import Narma10, Narma30
from twins.network.tasks.sine_square import SineSquare
from twins.network.tasks.spoken_digits import SpokenDigits
from twins.network.tasks.task import Task, TaskError
from twins.network.tasks.waveform_synthesis import WaveformSynthesis

TASKS: Mapping[str, type[Any]] = MappingProxyType(
    {
        one.name: one
        for one in (
            Narma10,
            Narma30,
            MackeyGlass,
            Lorenz,
            MemoryCapacity,
            DelayedParity,
            SineSquare,
            SpokenDigits,
            WaveformSynthesis,
        )
    }
)
"""The class of each task; its fields are its options."""


def task_named(name: str, **options: Any) -> Task:
    """The task of this name with these options. Raises TaskError that lists the tasks, or the options of this one."""
    if name not in TASKS:
        raise TaskError(f"task {name!r} is unknown; there are {', '.join(TASKS)}")
    known = {one.name: one.default for one in fields(TASKS[name])}
    unknown = sorted(set(options) - set(known))
    if unknown:
        listed = ", ".join(f"{option} = {default!r}" for option, default in known.items())
        raise TaskError(f"task {name!r} has no option {', '.join(unknown)}; it has {listed}")
    try:
        task: Task = TASKS[name](**options)
    except TypeError as error:  # text where a number belongs
        raise TaskError(f"task {name!r} cannot be made with {options}: {error}") from error
    return task


def options_of(task: Any) -> dict[str, Any]:
    """The options of one of TASKS as plain data: task_named(task.name, **options_of(task)) equals the task.

    Raises TaskError for a task that is not in TASKS.
    """
    if type(task) is not TASKS.get(task.name):
        raise TaskError(f"{type(task).__name__} is none of the tasks {', '.join(TASKS)}")
    return {one.name: getattr(task, one.name) for one in fields(task)}
