"""The chosen file: what is known of it, a first look, its chain, and what can be done with it."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QModelIndex, Signal
from PySide6.QtGui import QAction
from PySide6.QtWidgets import (
    QHBoxLayout,
    QMenu,
    QPlainTextEdit,
    QTabWidget,
    QTreeView,
    QVBoxLayout,
    QWidget,
)

from gui.desk import Desk
from gui.opening import open_folder, open_page
from gui.panels.runs.files_model import ENTRY_ROLE, ChainModel
from gui.panels.runs.preview_plot import PreviewPlot
from gui.panels.widgets import button, named, words
from gui.theme import Theme
from gui.widgets.file_dialogs import ask_where_to_save
from labctl.calls import call
from labctl.job import Job
from labctl.runs_export import told_simulated
from labctl.runs_file import DEPLOYMENT, FILM, GOKU, JOB, NCA, NETWORK, RECORDING, REPORT, TWIN, RunFile
from labctl.runs_preview import Preview, preview
from labctl.runs_provenance import Link, Provenance
from labctl.runs_script import script_behind

PANELS = {
    RECORDING: "twins",
    TWIN: "twins",
    NETWORK: "networks",
    DEPLOYMENT: "networks",
    NCA: "nca",
    FILM: "nca",
    GOKU: "goku",
}
"""Where a file is worked with."""
EXPORTS = (
    ("Folder as ZIP …", ".zip", "Everything in the file's folder"),
    ("Recording as CSV …", ".csv", "One line a sample, units in the header"),
    ("Recording as netCDF …", ".nc", "A copy that netCDF and xarray open"),
    ("Page about the folder …", ".html", "What is known of its files, to read in a browser"),
)


class FileView(QWidget):
    """Shows one file; `went` asks for another one to be chosen, `job_asked` for a job file to be queued."""

    went = Signal(object)
    job_asked = Signal(object)

    def __init__(self, desk: Desk, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._desk = desk
        self.entry: RunFile | None = None
        self._root = desk.runs_folder
        self._provenance = Provenance(())
        self._asked = 0
        self.headline = words("headline")
        self.facts = words()
        self.notes = QPlainTextEdit()
        self.notes.setReadOnly(True)
        named(self.notes, "Notes", "What was remarked while it was measured")
        self.plot = PreviewPlot(desk.theme)
        self.chain = ChainModel(self)
        self.tree = QTreeView()
        self.tree.setModel(self.chain)
        self.tree.setAlternatingRowColors(True)
        named(
            self.tree,
            "Provenance",
            "What it was made from, and what was made from it; Enter or double click goes there",
        )
        self.tree.activated.connect(self._follow)
        self._make_buttons()
        self._lay_out()
        self.show_file(None, self._provenance, self._root)

    def show_file(self, entry: RunFile | None, provenance: Provenance, root: Path) -> None:
        """Show this file of a runs folder."""
        self.entry, self._provenance, self._root = entry, provenance, root
        self._asked += 1
        self._enable()
        self.plot.show_preview(Preview())
        self.chain.show_chain((), ())
        self._desk.mark_simulated("runs", entry.name if entry is not None and entry.simulated else "")
        if entry is None:
            self.headline.setText("No file chosen")
            self.facts.setText("Choose one in the table.")
            self.notes.clear()
            return
        self.headline.setText(entry.name)
        self.facts.setText(facts_of(entry))
        self.notes.setPlainText(entry.notes or entry.trouble)
        self.tabs.setTabVisible(self.tabs.indexOf(self.plot), entry.kind in (RECORDING, FILM))
        self.tabs.setTabVisible(self.tabs.indexOf(self.notes), bool(entry.notes or entry.trouble))
        self._look(entry)

    def use_theme(self, theme: Theme) -> None:
        """Draw in these colours."""
        self.plot.use_theme(theme)

    def open(self) -> None:
        """Open the file where it belongs."""
        entry = self.entry
        if entry is None:
            return
        path = self._root / entry.file
        if entry.kind == REPORT:
            open_page(self._desk, path, below=self._root)
        elif entry.kind == JOB:
            self.job_asked.emit(path)
        elif entry.kind in PANELS:
            self._desk.show_panel(PANELS[entry.kind], files=[path])

    def export(self, target: Path) -> None:
        """Write it to a file whose ending says how, in a process of its own."""
        entry = self.entry
        if entry is None:
            return
        source = self._root / entry.file
        if target.suffix in (".zip", ".html"):
            source = source.parent
        wanted = call("labctl.runs_export:export_run", source, target)
        self._desk.start(Job(f"Export {target.name}", wanted, self._desk.new_folder("export")), panel="runs")

    # ---- building --------------------------------------------------------------------------------------------------

    def _make_buttons(self) -> None:
        self.open_button = button("Open", "Open it in the panel where it is worked with (Enter)", self.open)
        self.report_button = button("Report", "Open its report in the browser", self._open_report)
        self.folder_button = button("Folder", "Open its folder", self._open_folder)
        self.script_button = button(
            "Script …", "The run as a Python script: exact where its job was stored", self._script
        )
        self.script_button.setAccessibleName("Open as script")
        self.export_button = button("Export …", "As zip, CSV, netCDF, or a page")
        self.export_menu = QMenu(self)
        self.export_menu.setToolTipsVisible(True)
        self.exports: dict[str, QAction] = {}
        for text, suffix, tip in EXPORTS:
            action = self.export_menu.addAction(text)
            action.setToolTip(tip)
            action.triggered.connect(lambda _, suffix=suffix: self._choose_target(suffix))
            self.exports[suffix] = action
        self.export_button.setMenu(self.export_menu)

    def _lay_out(self) -> None:
        self.tabs = QTabWidget()
        for page, title, tip in (
            (self.plot, "First trials", "What was driven and what came back, in the first trials"),
            (self.tree, "Provenance", "What it was made from, and what was made from it"),
            (self.notes, "Notes", "What was written down with it, or what is wrong with it"),
        ):
            self.tabs.setTabToolTip(self.tabs.addTab(page, title), tip)
        row = QHBoxLayout()
        for control in (
            self.open_button,
            self.report_button,
            self.folder_button,
            self.script_button,
            self.export_button,
        ):
            row.addWidget(control)
        row.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(4, 0, 0, 0)
        column.addWidget(self.headline)
        column.addWidget(self.facts)
        column.addLayout(row)
        column.addWidget(self.tabs, 1)

    def _enable(self) -> None:
        entry = self.entry
        nothing = "" if entry is not None else "Choose a file in the table"
        kind = "" if entry is None else entry.kind
        known = kind in PANELS or kind in (REPORT, JOB)
        for control, why in (
            (self.open_button, "" if known else f"A {kind} has no panel; its folder can be opened"),
            (self.report_button, "" if self._report() is not None else "There is no report beside it"),
            (self.folder_button, ""),
            (self.script_button, ""),
            (self.export_button, ""),
        ):
            control.setEnabled(not (nothing or why))
            if control.property("tip") is None:
                control.setProperty("tip", control.toolTip())
            control.setToolTip(nothing or why or str(control.property("tip")))
        self.open_button.setText("Queue it" if kind == JOB else "Open")
        for suffix in (".csv", ".nc"):
            self.exports[suffix].setEnabled(kind == RECORDING)

    # ---- acting ----------------------------------------------------------------------------------------------------

    def _look(self, entry: RunFile) -> None:
        """A first look and the chain, in a thread: neither may hold up the window."""
        asked, path, provenance = self._asked, self._root / entry.file, self._provenance

        def read() -> tuple[Preview, tuple[Link, ...], tuple[Link, ...]]:
            seen = preview(path) if entry.kind in (RECORDING, FILM) and not entry.trouble else Preview()
            return seen, provenance.made_from(entry), provenance.used_by(entry)

        def show(found: tuple[Preview, tuple[Link, ...], tuple[Link, ...]]) -> None:
            if asked != self._asked:
                return
            self.plot.show_preview(found[0])
            self.chain.show_chain(found[1], found[2])
            self.tree.expandToDepth(1)
            for column, width in ((0, 200), (1, 120)):
                self.tree.setColumnWidth(column, width)

        self._desk.call(read, done=show, name=f"Looking at {entry.name}")

    def _report(self) -> Path | None:
        entry = self.entry
        if entry is None:
            return None
        if entry.kind == REPORT:
            return self._root / entry.file
        name = next((one for one in entry.files if one.endswith(".html")), "")
        return (self._root / entry.file).with_name(name) if name else None

    def _open_report(self) -> None:
        report = self._report()
        if report is not None:
            open_page(self._desk, report, below=self._root)

    def _open_folder(self) -> None:
        if self.entry is not None:
            open_folder(self._desk, (self._root / self.entry.file).parent)

    def _script(self) -> None:
        entry, provenance, root = self.entry, self._provenance, self._root
        if entry is not None:
            self._desk.call(
                lambda: script_behind(entry, provenance, root),
                done=lambda text: self._desk.show_script(text, title=entry.name),
                name="Open as script",
            )

    def _choose_target(self, suffix: str) -> None:
        entry = self.entry
        if entry is None:
            return
        stem = (
            Path(entry.file).stem if suffix in (".csv", ".nc") else (entry.folder.rpartition("/")[2] or self._root.name)
        )

        def export(path: Path) -> None:
            self.export(path if path.name.endswith(suffix) else Path(f"{path}{suffix}"))

        ask_where_to_save(self, "Export", self._root.parent / f"{stem}{suffix}", f"*{suffix}", export)

    def _follow(self, index: QModelIndex) -> None:
        entry = index.data(ENTRY_ROLE)
        if entry is not None:
            self.went.emit(entry)


def facts_of(entry: RunFile) -> str:
    """What is known of a file, in a few lines."""
    parts = [entry.kind, entry.when_utc[:19].replace("T", " ") + " UTC", entry.device, told_simulated(entry)]
    parts += [f"seed {entry.seed}" if entry.seed is not None else "", f"{entry.size_bytes / 1e6:.3g} MB"]
    lines = [" · ".join(part for part in parts if part), entry.outcome, f"in {entry.folder or 'the runs folder'}"]
    if entry.files:
        lines.append(f"with {', '.join(entry.files)}")
    return "\n".join(line for line in lines if line)
