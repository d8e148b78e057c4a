"""What is kept between starts. A settings file that is damaged never keeps the window from starting."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import QByteArray, QSettings

MOST_RECENT = 8


def open_settings(path: Path | None = None) -> QSettings:
    """The user's settings, or those of a file; one that cannot be read is put aside as FILE.broken, and all begins anew."""
    settings = _opened(path)
    settings.sync()
    if settings.status() == QSettings.Status.FormatError:
        file = Path(settings.fileName())
        try:
            file.replace(file.with_name(f"{file.name}.broken"))
        except OSError:  # it can be neither read nor moved: nothing is kept this time
            return QSettings(QSettings.Format.InvalidFormat, QSettings.Scope.UserScope, "labctl")
        settings = _opened(path)
    return settings


def _opened(path: Path | None) -> QSettings:
    return QSettings("labctl", "gui") if path is None else QSettings(str(path), QSettings.Format.IniFormat)


class Kept:
    """Values of settings that are of the right kind, or what is given instead; without settings nothing is kept."""

    def __init__(self, settings: QSettings | None) -> None:
        self._settings = settings

    def text(self, key: str, default: str = "", *, allowed: Sequence[str] = ()) -> str:
        """A text, one of `allowed` if there are any."""
        value = self._get(key)
        return value if isinstance(value, str) and (not allowed or value in allowed) else default

    def number(self, key: str, default: int, *, low: int, high: int) -> int:
        """A whole number within low … high."""
        try:
            value = int(self._get(key))
        except (TypeError, ValueError):
            return default
        return value if low <= value <= high else default

    def flag(self, key: str, *, default: bool = False) -> bool:
        """Yes or no."""
        value = str(self._get(key)).lower()
        return value == "true" if value in ("true", "false") else default

    def blob(self, key: str) -> QByteArray | None:
        """What a Qt widget said of its state; None where there is none."""
        value = self._get(key)
        return value if isinstance(value, QByteArray) and not value.isEmpty() else None

    def texts(self, key: str) -> list[str]:
        """A list of texts; Qt gives a single one without its list."""
        value = self._get(key)
        items = [value] if isinstance(value, str) else value if isinstance(value, list) else []
        return [item for item in items if isinstance(item, str) and item]

    def keep(self, key: str, value: Any) -> None:
        """Keep a value; a flag as text, so that every format gives it back alike."""
        if self._settings is not None:
            self._settings.setValue(key, str(value).lower() if isinstance(value, bool) else value)

    def keep_recent(self, key: str, text: str) -> list[str]:
        """Put a text in front of a list of recent ones, and return the list."""
        recent = [text, *(one for one in self.texts(key) if one != text)][:MOST_RECENT]
        self.keep(key, recent)
        return recent

    def _get(self, key: str) -> Any:
        if self._settings is None:
            return None
        try:
            return self._settings.value(key)
        except Exception:  # noqa: BLE001 - PySide6 raises all kinds of things for a value it cannot make sense of
            return None
