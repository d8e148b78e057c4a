"""The NCA panel: a sequence or an equation, an automaton trained on it, run beside it and painted on, judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QSplitter, QTabWidget, QVBoxLayout, QWidget

from gui.desk import Desk
from gui.panels.nca.colours import scale_of
from gui.panels.nca.data_tab import DataTab
from gui.panels.nca.field_view import FieldView
from gui.panels.nca.judge_tab import JudgeTab
from gui.panels.nca.run_tab import RunTab
from gui.panels.nca.train_tab import TrainTab
from gui.panels.panel import Panel
from gui.theme import Theme
from labctl.job import Job
from labctl.nca_live_frames import LiveFrame
from labctl.nca_words import one_line

DATA, TRAIN, RUN, JUDGE = range(4)
_HELP = """
# NCA: the local rule behind image sequences

A neural cellular automaton is one small network, the same in every cell: it sees the cell and its eight neighbours, and
says how the cell changes. Trained on a film, or on an equation, it continues the film by itself.

1. **Data**: an equation (simulated), a film (TIFF, NPZ, HDF5, Zarr, a folder of pictures), or a device under a camera.
2. **Train**: press *Train*. The curve shows the loss, and the error of free runs on what it was not trained on: that
   chooses the best.
3. **Run**: target, automaton and difference. Paint with the mouse while it runs; damage it, turn it, make it larger.
   Hidden channels lie below: a click shows one large. Ctrl+Space plays; arrows and the space bar paint on the picture.
4. **Judge**: figures, the most sensitive start, a film of its own, an export.

*Script …* shows each of these as Python.
"""


class NcaPanel(Panel):
    """Four pages, one after the other."""

    key = "nca"
    title = "NCA"
    order = 60
    tip = "Neural cellular automata: learn a local rule from images, run it, paint on it"
    help = _HELP

    def __init__(self, desk: Desk, parent: QWidget | None = None) -> None:
        super().__init__(desk, parent)
        self.tabs = QTabWidget()
        self.tabs.setAccessibleName("Pages of the NCA panel")
        self.data = DataTab(desk)
        self.train = TrainTab(desk, self.data.form)
        self.run = RunTab(desk, self.data.form)
        self.judge = JudgeTab(desk, self.data.form)
        for page, title, tip in (
            (self.data, "1 Data", "Where the images come from, and what they look like"),
            (self.train, "2 Train", "Train an automaton"),
            (self.run, "3 Run", "Run it beside its target, and paint on it"),
            (self.judge, "4 Judge and export", "What it is worth; hand it to other programs"),
        ):
            self.tabs.setTabToolTip(self.tabs.addTab(page, title), tip)
        self.tabs.setCurrentIndex(TRAIN)
        self._add_preview()
        column = QVBoxLayout(self)
        column.setContentsMargins(4, 4, 4, 4)
        column.addWidget(self.tabs)
        self.train.grew.connect(self.run.show_automaton)
        self.train.trained.connect(self._trained)
        self.run.ran.connect(self.judge.model.set_path)
        self.run.holder.frame.connect(self._preview)
        self.tabs.currentChanged.connect(self._turned)
        for widget, name in (
            (self.train.preset, "preset"),
            (self.train.seconds.edit, "seconds"),
            (self.data.form.pde, "pde"),
        ):
            desk.remember(widget, f"nca/{name}")

    def use_theme(self, theme: Theme) -> None:
        """Draw in these colours."""
        for page in (self.data, self.train, self.run):
            page.use_theme(theme)
        for view in self._views:
            view.use_theme(theme)

    def take_files(self, files: Sequence[Path]) -> None:
        """An automaton is run, anything else is a sequence."""
        for path in files:
            if path.suffix == ".json":
                self.tabs.setCurrentIndex(RUN)
                self.run.show_automaton(path)
                self.judge.model.set_path(path)
            else:
                self.tabs.setCurrentIndex(DATA)
                self.data.form.take(path)

    def shown(self) -> None:
        """Pictures are asked for again."""
        self.run.wake()

    def hidden(self) -> None:
        """What costs time rests."""
        self.data.player.rest()
        self.run.rest()

    def script_job(self) -> Job | None:
        """Of the page that is looked at."""
        page = self.tabs.currentWidget()
        return page.job() if isinstance(page, DataTab | TrainTab | RunTab | JudgeTab) else None

    def _trained(self, path: Path, outcome: Mapping[str, Any]) -> None:
        """Show it running."""
        self.tabs.setCurrentIndex(RUN)
        self.run.show_automaton(path)
        self.judge.model.set_path(path)
        if outcome.get("automata"):
            figures = outcome["automata"][0]
            self.desk.note(f"{path.stem}: {one_line(figures)}")
            self.train.say(one_line(figures))

    def _add_preview(self) -> None:
        theme = self.desk.theme
        self._views = (
            FieldView("Preview: target", "The data, or the equation run beside it", theme),
            FieldView(
                "Preview: the best automaton so far, on its own", "Begins anew with every better automaton", theme
            ),
        )
        row = QSplitter(Qt.Orientation.Horizontal)
        for view in self._views:
            view.show_field(None, scale_of((0.0,), (1.0,), 0), empty="appears while it is trained")
            row.addWidget(view)
        holder = QWidget()
        line = QHBoxLayout(holder)
        line.setContentsMargins(0, 0, 0, 0)
        line.addWidget(row)
        self.train.add_preview(holder)

    def _preview(self, frame: LiveFrame) -> None:
        live = self.run.holder.live
        if self.tabs.currentIndex() != TRAIN or live is None or not self.isVisible():
            return
        facts = live.facts
        scale, unit = scale_of(facts.lows, facts.highs, -1), facts.units[-1]
        target = None if frame.target is None else frame.target[..., -1]
        self._views[0].show_field(target, scale, unit=unit, empty="the data end here: it runs on freely")
        self._views[1].show_field(frame.automaton[..., -1], scale, unit=unit)

    def _turned(self, page: int) -> None:
        if page != DATA:
            self.data.player.rest()
