"""Pages and folders that belong to what a panel shows, opened by the desktop: pages only from where they were written."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QUrl
from PySide6.QtGui import QDesktopServices

from gui.desk import Desk
from labctl.errors import UsageError

PAGES = (".html", ".htm")


def open_page(desk: Desk, path: Path, *, below: Path) -> bool:
    """Open a page in the browser; whether it was opened.

    A file names its report by a path, and files come from elsewhere, too: nothing but a page below `below`, the folder of that
    file, is opened. What is refused is told as a trouble.
    """
    try:
        page = _page(path, below)
    except (UsageError, OSError) as error:
        desk.trouble(error, doing="Opening a page")
        return False
    return QDesktopServices.openUrl(QUrl.fromLocalFile(str(page)))


def open_folder(desk: Desk, path: Path) -> bool:
    """Open a folder in the desktop's file manager; whether it was opened. One that is gone is told as a trouble."""
    if not path.is_dir():
        desk.trouble(UsageError(f"{path} is not there any more"), doing="Opening a folder")
        return False
    return QDesktopServices.openUrl(QUrl.fromLocalFile(str(path.absolute())))


def _page(path: Path, below: Path) -> Path:
    page = path.resolve()
    if page.suffix.lower() not in PAGES:
        raise UsageError(f"{path} is no page ({', '.join(PAGES)}); it is not opened from here")
    if not page.is_relative_to(below.resolve()):
        raise UsageError(f"{path} lies outside {below}, where what you look at lies; open it yourself if you trust it")
    if not page.is_file():
        raise UsageError(f"{path} is not there any more")
    return page
