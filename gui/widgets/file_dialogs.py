"""Questions for files and folders. None shuts out the window: "All outputs safe" can be clicked while one is open."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from PySide6.QtCore import QChildEvent, QEvent, QObject, Qt
from PySide6.QtWidgets import QDialog, QFileDialog, QWidget


class FileDialog(QFileDialog):
    """Qt's own dialog (the desktop's would keep Esc to itself), beside the window, with questions that stay beside it, too."""

    def __init__(self, parent: QWidget, title: str, start: str, kinds: str = "") -> None:
        super().__init__(parent, title, start, kinds)
        self.setOption(QFileDialog.Option.DontUseNativeDialog)
        self.setWindowModality(Qt.WindowModality.NonModal)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)

    def childEvent(self, event: QChildEvent) -> None:
        """Qt asks whether to replace or delete a file in a dialog of its own: see it before it is shown."""
        if event.added():
            event.child().installEventFilter(self)
        super().childEvent(event)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Such a dialog would block the whole application; here it blocks nothing."""
        if event.type() is QEvent.Type.Polish and isinstance(watched, QDialog):
            watched.setWindowModality(Qt.WindowModality.NonModal)
        return super().eventFilter(watched, event)


def ask_for_file(parent: QWidget, title: str, start: str | Path, kinds: str, chosen: Callable[[Path], None]) -> None:
    """Ask for one file that is there; `chosen` is called with it, later, or never."""
    _ask(parent, title, start, kinds, QFileDialog.FileMode.ExistingFile, lambda paths: chosen(paths[0]))


def ask_for_files(
    parent: QWidget, title: str, start: str | Path, kinds: str, chosen: Callable[[list[Path]], None]
) -> None:
    """Ask for one file or more."""
    _ask(parent, title, start, kinds, QFileDialog.FileMode.ExistingFiles, lambda paths: chosen(list(paths)))


def ask_where_to_save(
    parent: QWidget, title: str, start: str | Path, kinds: str, chosen: Callable[[Path], None]
) -> None:
    """Ask for a file to write; one that is there already is replaced only where a person says so."""
    _ask(parent, title, start, kinds, QFileDialog.FileMode.AnyFile, lambda paths: chosen(paths[0]), save=True)


def ask_for_folder(parent: QWidget, title: str, start: str | Path, chosen: Callable[[Path], None]) -> None:
    """Ask for a folder."""
    _ask(parent, title, start, "", QFileDialog.FileMode.Directory, lambda paths: chosen(paths[0]))


def _ask(
    parent: QWidget,
    title: str,
    start: str | Path,
    kinds: str,
    mode: QFileDialog.FileMode,
    chosen: Callable[[Sequence[Path]], None],
    *,
    save: bool = False,
) -> None:
    begin = Path(start).expanduser() if str(start) else None
    is_file = begin is not None and mode is not QFileDialog.FileMode.Directory and not begin.is_dir()
    folder = begin.parent if begin is not None and is_file else begin
    dialog = FileDialog(parent, title, str(folder or ""), kinds)
    dialog.setFileMode(mode)
    if mode is QFileDialog.FileMode.Directory:
        dialog.setOption(QFileDialog.Option.ShowDirsOnly)
    if save:
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
    if begin is not None and is_file:
        dialog.selectFile(begin.name)
    dialog.filesSelected.connect(lambda names: chosen([Path(name) for name in names]))
    dialog.show()
