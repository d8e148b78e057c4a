"""The rows of a design: numbers, lists of numbers, a file."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any, get_origin

from PySide6.QtWidgets import QLineEdit

from gui.panels.widgets import named
from gui.widgets.number_field import NumberField
from gui.widgets.path_choice import PathChoice
from gui.widgets.settings_form import Field, SettingsForm
from labctl.errors import UsageError

LABELS = {
    "n_trials": "Trials",
    "n_samples": "Samples a trial",
    "holds": "Hold for (samples)",
    "hold": "Hold a bit for",
    "n_inputs": "Held-out inputs",
    "n_repeats": "Repeats of each",
    "n_heldout_samples": "Held-out samples",
    "low": "Lowest drive",
    "high": "Highest drive",
    "lowest_Hz": "Lowest frequency",
    "highest_Hz": "Highest frequency",
    "cutoff_Hz": "Highest frequency",
    "start_Hz": "From",
    "end_Hz": "To",
    "odd_only": "Odd harmonics only",
    "level": "Level",
    "first": "Rest before",
    "width": "Width",
    "path": "File",
}
SAMPLES = ("holds", "hold", "first", "width")
FREQUENCIES = ("lowest_Hz", "highest_Hz", "cutoff_Hz", "start_Hz", "end_Hz")
EMPTY = {
    "low": "the channel's limit",
    "high": "the channel's limit",
    "level": "the channel's limit",
    "lowest_Hz": "one period a trial",
    "start_Hz": "one period a trial",
    "highest_Hz": "a fifth of the sample rate",
    "cutoff_Hz": "a fifth of the sample rate",
    "end_Hz": "a fifth of the sample rate",
}
"""What a field means while nothing stands in it."""
COUNTS = ("n_trials", "n_samples", "n_inputs", "n_repeats", "n_heldout_samples", "hold", "width")
MOST = 100_000_000
FILE_TIP = (
    "CSV: a column for each drive channel, by its name; a column trial where there are several, and time_s if you like. "
    "NPZ: an array (trial, time) for each drive channel"
)


class DesignForm(SettingsForm):
    """A row for each field of a design; levels in `unit`."""

    def __init__(self, kind: type[Any], *, unit: str) -> None:
        self._unit = unit
        told = {item.name: str(item.metadata.get("help", "")) for item in fields(kind)}
        units = dict.fromkeys(("low", "high", "level"), unit) | dict.fromkeys(SAMPLES, "samples")
        units |= dict.fromkeys(FREQUENCIES, "Hz")
        limits = {name: (1.0, float(MOST)) for name in COUNTS} | {"first": (0.0, float(MOST))}
        super().__init__(kind, labels=LABELS, told=told, units=units, limits=limits)
        for name, field in self.fields.items():
            if name in EMPTY and isinstance(field.widget, NumberField):
                field.widget.edit.setPlaceholderText(EMPTY[name])

    def _row(self, name: str, hint: Any, default: Any) -> Field | None:
        if hint is Path:
            return self._path(name)
        if get_origin(hint) is tuple:
            return self._list(name, default)
        return super()._row(name, hint, default)

    def _path(self, name: str) -> Field:
        choice = PathChoice(self.label(name), FILE_TIP, kinds="Drives (*.csv *.npz)")
        choice.changed.connect(self.changed)

        def value() -> Path:
            if choice.path is None:
                raise UsageError("choose the file with the drive: CSV or NPZ")
            return choice.path

        return Field(choice, value, choice.set_path, Path())

    def _list(self, name: str, default: tuple[int, ...]) -> Field:
        edit = QLineEdit()
        named(edit, self.label(name), f"{self._told.get(name, '')}\nSeveral numbers, with commas between them")
        edit.textChanged.connect(lambda _: self.changed.emit())

        def value() -> tuple[int, ...]:
            try:
                numbers = tuple(int(text) for text in edit.text().replace(";", ",").split(",") if text.strip())
            except ValueError:
                raise UsageError(f"{self.label(name)}: {edit.text()!r} are no whole numbers; write 2, 3, 5") from None
            if not numbers or min(numbers) < 1:
                raise UsageError(f"{self.label(name)}: at least one number, and none below 1")
            return numbers

        def show(numbers: tuple[int, ...]) -> None:
            edit.setText(", ".join(str(number) for number in numbers))

        show(default)
        return Field(edit, value, show, default)
