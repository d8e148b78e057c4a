"""Forms made from dataclasses: what is typed is what a call gets, and what cannot be taken is said."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from PySide6.QtWidgets import QComboBox
from pytestqt.qtbot import QtBot

from gui.widgets.number_field import NumberField
from gui.widgets.settings_form import SettingsForm
from labctl.calls import call
from labctl.errors import UsageError


@dataclass(frozen=True)
class Options:
    seconds: float = 20.0
    epochs: int | None = None
    choice: str = "plain"
    keep: bool = True
    widths: tuple[int, ...] = ()


def form(qtbot: QtBot) -> SettingsForm:
    made = SettingsForm(
        Options, choices={"choice": ("plain", "diagnosed")}, units={"seconds": "s"}, limits={"seconds": (1, 100)}
    )
    qtbot.addWidget(made)
    return made


def test_nothing_typed_is_nothing_said(qtbot: QtBot) -> None:
    assert form(qtbot).call("labctl.job:Job") == call("labctl.job:Job")


def test_what_a_form_cannot_hold_has_no_row(qtbot: QtBot) -> None:
    assert list(form(qtbot).fields) == ["seconds", "epochs", "choice", "keep"]


def test_what_is_typed_is_what_the_call_gets(qtbot: QtBot) -> None:
    made = form(qtbot)
    seconds, epochs, choice = (made.fields[name].widget for name in ("seconds", "epochs", "choice"))
    assert isinstance(seconds, NumberField) and isinstance(epochs, NumberField) and isinstance(choice, QComboBox)
    seconds.edit.clear()
    qtbot.keyClicks(seconds.edit, "2,5")
    qtbot.keyClicks(epochs.edit, "7")
    choice.setCurrentIndex(1)
    assert made.values() == {"seconds": 2.5, "epochs": 7, "choice": "diagnosed"}


@pytest.mark.parametrize(
    ("text", "said"), [("500", r"500 s outside 1 … 100 s"), ("x", "'x' is no number"), ("", "missing")]
)
def test_what_cannot_be_taken_is_said_with_its_field(qtbot: QtBot, text: str, said: str) -> None:
    made = form(qtbot)
    field = made.fields["seconds"].widget
    assert isinstance(field, NumberField)
    field.edit.clear()
    qtbot.keyClicks(field.edit, text)
    assert field.value is None
    with pytest.raises(UsageError, match=f"Seconds: .*{said}"):
        made.values()
