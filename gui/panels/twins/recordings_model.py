"""Recordings by folder as a Qt tree, each with a box for learning from it and one for judging on it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from PySide6.QtCore import QAbstractItemModel, QModelIndex, QObject, QPersistentModelIndex, Qt, Signal

from labctl.recording_cards import RecordingCard, heldout_for, newest_training

Index = QModelIndex | QPersistentModelIndex
ROOT = QModelIndex()
NAME, LEARN, JUDGE, DEVICE, TRIALS, WHEN = range(6)
TITLES = ("Recording", "Learn", "Judge", "Device", "Trials", "When")
MEANINGS = (
    "The file; by folder, the newest first",
    "Learn from it: the twin is diagnosed from these and fitted to them",
    "Judge on it: the twin never sees these while it is fitted",
    "The device that was recorded; ◌ marks simulated ones",
    "Trials × samples of each",
    "When it was recorded (UTC)",
)
Role = Qt.ItemDataRole


@dataclass(slots=True)
class _Group:
    """Recordings of one folder."""

    folder: Path
    title: str
    cards: list[RecordingCard] = field(default_factory=list)

    @property
    def of_networks(self) -> bool:
        """Whether it holds plays of networks alone: nobody learns from these unless they ask for it."""
        return all(card.of_a_network for card in self.cards)


class RecordingsModel(QAbstractItemModel):
    """Two levels: folders, recordings. Until somebody ticks otherwise the newest recording is learned from, and its
    counterpart judged on. `ticked` says that the ticks changed."""

    ticked = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.cards: list[RecordingCard] = []
        self._groups: list[_Group] = []
        self._learn: set[Path] = set()
        self._judge: set[Path] = set()
        self._learn_chosen = False
        self._judge_chosen = False

    # ---- what is there, and what is chosen --------------------------------------------------------------------------

    def reset(self, cards: Sequence[RecordingCard], *, root: Path) -> None:
        """Show these; ticks of files that are still there stay."""
        self.beginResetModel()
        self.cards = list(cards)
        groups: dict[Path, _Group] = {}
        for card in cards:
            folder = card.path.parent
            groups.setdefault(folder, _Group(folder, _title(folder, root))).cards.append(card)
        self._groups = sorted(groups.values(), key=lambda group: group.of_networks)  # these come last, the newest first
        there = {card.path for card in cards}
        self._learn &= there
        self._judge &= there
        self._choose_by_itself()
        self.endResetModel()
        self.ticked.emit()

    @property
    def learned_from(self) -> list[RecordingCard]:
        """Ticked for learning, in the order shown."""
        return [card for card in self.cards if card.path in self._learn]

    @property
    def judged_on(self) -> list[RecordingCard]:
        """Ticked for judging, in the order shown."""
        return [card for card in self.cards if card.path in self._judge]

    def choose(self, paths: Iterable[Path]) -> None:
        """Learn from these alone, or judge on those that were recorded for it; the counterpart is found by itself."""
        wanted = [card for card in self.cards if card.path in set(paths) and not card.problem]
        learn = {card.path for card in wanted if not card.for_judging}
        judge = {card.path for card in wanted if card.for_judging}
        self._learn, self._learn_chosen = learn or self._learn, bool(learn) or self._learn_chosen
        self._judge, self._judge_chosen = judge, bool(judge)
        self._choose_by_itself()
        self._all_changed()

    def _choose_by_itself(self) -> None:
        if not self._learn_chosen or not self._learn:
            self._learn = {card.path for card in newest_training(self.cards)}
        if not self._judge_chosen:
            self._judge = {card.path for card in heldout_for(self.learned_from, self.cards)}

    # ---- the tree ---------------------------------------------------------------------------------------------------

    def index(self, row: int, column: int, parent: Index = ROOT) -> QModelIndex:
        """Groups have the identity 0, their recordings the number of the group + 1."""
        if not self.hasIndex(row, column, parent):
            return QModelIndex()
        return self.createIndex(row, column, parent.row() + 1 if parent.isValid() else 0)

    def parent(self, index: Index = ROOT) -> Any:
        """The group of a recording."""
        number = index.internalId() if index.isValid() else 0
        return self.createIndex(number - 1, 0, 0) if number else QModelIndex()

    def rowCount(self, parent: Index = ROOT) -> int:
        """Groups, or recordings of one."""
        if not parent.isValid():
            return len(self._groups)
        if parent.internalId() or parent.column():
            return 0
        return len(self._groups[parent.row()].cards)

    def columnCount(self, _parent: Index = ROOT) -> int:
        """As many everywhere."""
        return len(TITLES)

    def card(self, index: Index) -> RecordingCard | None:
        """The recording of a row; None for a folder."""
        number = index.internalId() if index.isValid() else 0
        return self._groups[number - 1].cards[index.row()] if number else None

    def flags(self, index: Index) -> Qt.ItemFlag:
        """Recordings that can be used can be ticked."""
        card = self.card(index)
        flags = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
        if card is not None and index.column() in (LEARN, JUDGE) and not card.problem:
            flags |= Qt.ItemFlag.ItemIsUserCheckable
        return flags

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Role.DisplayRole) -> Any:
        """Titles, and what they mean."""
        if orientation != Qt.Orientation.Horizontal:
            return None
        return {Role.DisplayRole: TITLES[section], Role.ToolTipRole: MEANINGS[section]}.get(Role(role))

    def data(self, index: Index, role: int = Role.DisplayRole) -> Any:
        """What a view asks of a cell."""
        card = self.card(index)
        if card is None:
            group = self._groups[index.row()]
            texts = {Role.DisplayRole: group.title, Role.ToolTipRole: str(group.folder)}
            return texts.get(Role(role)) if index.column() == NAME else None
        column = index.column()
        if role == Role.CheckStateRole and column in (LEARN, JUDGE) and not card.problem:
            chosen = card.path in (self._learn if column == LEARN else self._judge)
            return Qt.CheckState.Checked if chosen else Qt.CheckState.Unchecked
        if role == Role.DisplayRole:
            return _text(card, column)
        if role == Role.ToolTipRole:
            return _hint(card, column)
        if role == Role.AccessibleTextRole:
            return _hint(card, column) if column in (LEARN, JUDGE) else _text(card, column)
        return None

    def setData(self, index: Index, value: Any, role: int = Role.EditRole) -> bool:
        """Tick or untick; a recording is either learned from or judged on."""
        card = self.card(index)
        if card is None or role != Role.CheckStateRole or card.problem:
            return False
        on = Qt.CheckState(value) == Qt.CheckState.Checked
        ours, others = (self._learn, self._judge) if index.column() == LEARN else (self._judge, self._learn)
        (ours.add if on else ours.discard)(card.path)
        if on:
            others.discard(card.path)
        if index.column() == LEARN:
            self._learn_chosen = True
            if not self._judge_chosen:
                self._judge = {card.path for card in heldout_for(self.learned_from, self.cards)}
        else:
            self._judge_chosen = True
        self._all_changed()
        return True

    @property
    def folded(self) -> list[QModelIndex]:
        """Folders that need not lie open: they hold plays of networks, and nothing in them is ticked."""
        ticked = self._learn | self._judge
        return [
            self.index(number, 0)
            for number, group in enumerate(self._groups)
            if group.of_networks and not any(card.path in ticked for card in group.cards)
        ]

    def _all_changed(self) -> None:
        for number, group in enumerate(self._groups):
            parent = self.index(number, 0)
            self.dataChanged.emit(self.index(0, 0, parent), self.index(len(group.cards) - 1, WHEN, parent))
        self.ticked.emit()


def _title(folder: Path, root: Path) -> str:
    try:
        inner = folder.relative_to(root.absolute())
    except ValueError:
        return str(folder)
    return str(inner) if inner.parts else root.name or str(root)


def when(utc: str) -> str:
    """A moment in short: the time where it is today (UTC), else the day."""
    return utc[11:16] if utc[:10] == f"{datetime.now(UTC):%Y-%m-%d}" else utc[5:10]


def _text(card: RecordingCard, column: int) -> str:
    match column:
        case 0:
            return f"{'✗ ' if card.problem else ''}{card.path.stem}"
        case 3:
            return f"{card.device or ', '.join(card.drives)}{' ◌' if card.simulated else ''}"
        case 4:
            return "" if card.problem else f"{card.n_trials} × {card.n_samples}"
        case 5:
            return when(card.started_utc)
    return ""


def _hint(card: RecordingCard, column: int) -> str:
    if card.problem:
        return f"{card.path}\n✗ {card.problem}"
    if column in (LEARN, JUDGE):
        return f"{'Learn from' if column == LEARN else 'Judge on'} {card.path.name}"
    repeats = f"{card.n_inputs} inputs, repeated" if card.repeated else f"{card.n_inputs} inputs, none repeated"
    lines = [
        str(card.path),
        f"{'SIMULATED ' if card.simulated else ''}{card.device or 'device not known'}: "
        f"{', '.join(card.drives)} → {', '.join(card.responses)}",
        f"{card.n_trials} trials of {repeats}; {card.n_samples} samples at {1.0 / card.dt_s:g} Hz, {card.seconds:.3g} s",
        f"recorded {card.started_utc[:19]} UTC{'' if card.complete else ' (INTERRUPTED: not all was measured)'}",
    ]
    return "\n".join(lines)
