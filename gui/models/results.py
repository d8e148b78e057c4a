"""What came out: the tasks, promised beside measured beside their rivals, and every other figure that was reported."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, is_dataclass
from typing import Any

from PySide6.QtCore import QObject

from gui.models.rows import Column, RowsModel

MOST_FIGURES = 2000
_TASK_KEYS = ("promised", "measured_mean")


class TasksModel(RowsModel):
    """One row a task: error on held-out inputs, lower is better."""

    def __init__(self, parent: QObject | None = None) -> None:
        error = "error on held-out inputs, lower is better"
        columns = (
            Column("Task", "What the network is for", lambda task: str(task.get("name", "–"))),
            Column("Metric", "nrmse, or cross_entropy in nats", lambda task: str(task.get("metric", "–"))),
            Column("Promised", f"By the twin: {error}", _figure("promised", "promised_std"), right=True),
            Column("MEASURED", f"On the device: {error}", _figure("measured_mean", "measured_std"), right=True),
            Column("Reservoir", f"Best of random networks, measured: {error}", _figure("reservoir_measured"), right=True),
            Column("Unoptimised", f"Before optimisation, measured: {error}", _figure("unoptimised_measured"), right=True),
            Column("Linear", f"Linear regression on the same taps: {error}", _figure("linear_same_taps"), right=True),
            Column("Linear 20", f"Linear regression on 20 taps: {error}", _figure("linear_20_taps"), right=True),
        )  # fmt: skip
        super().__init__(columns, parent)

    def take(self, tasks: Iterable[Mapping[str, Any]]) -> None:
        """Add tasks; one of a name that stands there already is replaced."""
        for task in tasks:
            names = [row.get("name") for row in self.rows]
            if task.get("name") in names:
                row = names.index(task.get("name"))
                self.rows[row] = task
                self.changed((row,))
            else:
                self.extend([task])


class FiguresModel(RowsModel):
    """One row a reported figure: the step, the quantity, its value."""

    def __init__(self, parent: QObject | None = None) -> None:
        columns = (
            Column("Step", "Where it was found out", lambda row: row[0]),
            Column("Quantity", "What it is, with its unit", lambda row: row[1]),
            Column("Value", "What it is", lambda row: row[2]),
        )
        super().__init__(columns, parent)

    def take(self, key: str, outcome: Mapping[str, Any], files: Iterable[str] = ()) -> None:
        """Add the figures of an outcome, and the files that hold the rest."""
        rows = [(key, name, plain(value)) for name, value in _flat(outcome)]
        rows += [(key, "file", str(path)) for path in files]
        self.extend(rows, at_most=MOST_FIGURES)


def _flat(outcome: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Quantities and values; a table within the outcome has a row for each of its quantities."""
    for name, value in outcome.items():
        if isinstance(value, Mapping):
            yield from value.items()
        else:
            yield name, value


def tasks_in(outcome: object) -> list[Mapping[str, Any]]:
    """The tasks that an outcome speaks of: the mapping itself, its "tasks", or a result's `tasks`."""
    if isinstance(outcome, Mapping):
        if all(key in outcome for key in _TASK_KEYS):
            return [outcome]
        return [task for found in outcome.get("tasks", ()) for task in tasks_in(found)]
    if is_dataclass(outcome) and not isinstance(outcome, type):
        if all(hasattr(outcome, key) for key in _TASK_KEYS):
            return [asdict(outcome)]
        found = [getattr(outcome, name, ()) for name in ("tasks", "outcome")]
        return [
            task
            for one in found
            for part in (one if isinstance(one, (list, tuple)) else [one])
            for task in tasks_in(part)
        ]
    return []


def plain(value: object) -> str:
    """A value as a person reads it."""
    match value:
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.4g}"
        case Mapping():
            return ", ".join(f"{name} = {plain(part)}" for name, part in value.items())
        case list() | tuple():
            return ", ".join(plain(part) for part in value)
    return str(value)


def _figure(mean: str, spread: str = "") -> Any:
    def text(task: Mapping[str, Any]) -> str:
        value = task.get(mean)
        if not isinstance(value, int | float):
            return "–"
        around = task.get(spread) if spread else None
        return f"{value:.3f} ± {around:.3f}" if isinstance(around, int | float) else f"{value:.3f}"

    return text
