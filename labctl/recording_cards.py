"""What recordings a folder holds, for choosing some to learn from and some to judge on; read without their samples."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import h5py
import numpy as np

from labctl import frame_layout, hdf5_layout
from labctl.hdf5_space import HDF5_ERRORS

MOST_FILES = 5_000
"""Looking goes no further: a folder with more is an archive, and one asks for a folder in it."""
HELD_OUT_WORDS = ("heldout", "held-out", "held_out", "validation", "test")


@dataclass(frozen=True, slots=True)
class RecordingCard:
    """One recording. device: of the station that recorded it; empty where its file does not say. problem: why it cannot
    be used, in words; empty if it can."""

    path: Path
    changed_ns: int
    device: str = ""
    drives: tuple[str, ...] = ()
    responses: tuple[str, ...] = ()
    n_trials: int = 0
    n_inputs: int = 0
    n_samples: int = 0
    dt_s: float = 1.0
    started_utc: str = ""
    simulated: bool = False
    complete: bool = True
    problem: str = ""

    @property
    def repeated(self) -> bool:
        """Whether inputs were repeated, as judging wants it."""
        return self.n_inputs < self.n_trials

    @property
    def for_judging(self) -> bool:
        """Whether its name says that it was recorded to judge on."""
        return any(word in self.path.stem.lower() for word in HELD_OUT_WORDS)

    @property
    def of_a_network(self) -> bool:
        """Whether its name says that a network was played: its drives are what the layers before it gave, in a narrow range."""
        return re.fullmatch(r"layer\d+-play\d+", self.path.stem) is not None

    @property
    def seconds(self) -> float:
        """Device time of all trials as they were planned (s)."""
        return self.n_trials * self.n_samples * self.dt_s

    def alike(self, other: RecordingCard) -> bool:
        """Whether both are of the same channels and sampling time, so that one twin can have them both."""
        return (self.drives, self.responses) == (other.drives, other.responses) and bool(
            np.isclose(self.dt_s, other.dt_s, rtol=1e-9, atol=0.0)
        )


def recordings_below(
    folder: Path, *, extra: Iterable[Path] = (), known: Sequence[RecordingCard] = ()
) -> list[RecordingCard]:
    """All recordings of responses below a folder, and the files `extra` from elsewhere; the newest first.

    known: cards of before; files that have not changed since are not opened again. Files of other kinds are left out;
    damaged ones, and those of `extra` that are no recordings, have a `problem`.
    """
    before = {card.path: card for card in known}
    found = []
    chosen = [Path(path).absolute() for path in extra]
    for path in dict.fromkeys([*chosen, *_files(folder)]):
        card = _card(path, before.get(path), asked_for=path in chosen)
        if card is not None:
            found.append(card)
    return sorted(found, key=_when, reverse=True)


def heldout_for(training: Sequence[RecordingCard], cards: Sequence[RecordingCard]) -> list[RecordingCard]:
    """The recordings to judge a twin of `training` on: named as its counterpart beside it (leaky-heldout.h5 beside
    leaky-training.h5, with all its rounds where there are several), else one named so in the same folder, else none."""
    if not training:
        return []
    first = training[0]
    taken = {card.path for card in training}
    named = [
        card
        for card in cards
        if card.path not in taken
        and card.for_judging
        and not card.problem
        and card.alike(first)
        and card.path.parent == first.path.parent
    ]
    counterparts = {_series(first).replace("training", word) for word in HELD_OUT_WORDS}
    found = next((card for card in named if _series(card) in counterparts), next(iter(named), None))
    return [] if found is None else [card for card in named if _series(card) == _series(found)]


def newest_training(cards: Sequence[RecordingCard]) -> list[RecordingCard]:
    """The newest recording to learn from: complete, and neither one that was recorded to judge on nor a network's play; with all
    its rounds, where it was recorded in several (leaky-training-00.h5, leaky-training-01.h5 ...)."""
    usable = [card for card in cards if not card.problem and not card.for_judging and not card.of_a_network]
    whole = [card for card in usable if card.complete]
    # of a device of a bench rather than traces of something else, such as an example that was simulated for GOKU
    newest = next((card for card in whole if card.device), next(iter([*whole, *usable]), None))
    if newest is None:
        return []
    same = [card for card in usable if card.path.parent == newest.path.parent and card.alike(newest)]
    return [card for card in same if _series(card) == _series(newest)]


def _series(card: RecordingCard) -> str:
    """The name without the number of the round."""
    return re.sub(r"-\d\d+$", "", card.path.stem)


def _when(card: RecordingCard) -> tuple[str, int]:
    """When it was recorded; where that is not known (data of other programs), when the file was written."""
    return card.started_utc or datetime.fromtimestamp(card.changed_ns / 1e9, UTC).isoformat(), card.changed_ns


def _files(folder: Path) -> Iterator[Path]:
    seen = 0
    for root, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            if name.endswith(".h5"):
                seen += 1
                if seen > MOST_FILES:
                    return
                yield (Path(root) / name).absolute()


def _card(path: Path, before: RecordingCard | None, *, asked_for: bool) -> RecordingCard | None:
    try:
        changed_ns = path.stat().st_mtime_ns
    except OSError as error:
        return RecordingCard(path, 0, problem=f"cannot be read: {error.strerror}") if asked_for else None
    if before is not None and before.changed_ns == changed_ns and not before.problem and before.complete:
        return before
    try:
        with h5py.File(path, "r", locking=False) as file:
            kind = file.attrs.get("format")
            if kind == hdf5_layout.FORMAT:
                return _read(file, path, changed_ns)
            if not asked_for:
                return None
            what = "holds frames of a camera" if kind == frame_layout.FORMAT else "is no recording of labctl's"
            return RecordingCard(path, changed_ns, problem=f"{what}; a twin cannot learn from it")
    except (*HDF5_ERRORS, KeyError, AttributeError) as error:
        return RecordingCard(path, changed_ns, problem=f"damaged: {error}")


def _read(file: h5py.File, path: Path, changed_ns: int) -> RecordingCard:
    drives, responses = hdf5_layout.texts(file, "drive_channel"), hdf5_layout.texts(file, "response_channel")
    shape = file["response"].shape
    n_whole = int((file["valid_samples"][...] == shape[1]).sum())
    return RecordingCard(
        path=path,
        changed_ns=changed_ns,
        device=device_of(hdf5_layout.mapping(file, "provenance"), drives, responses),
        drives=drives,
        responses=responses,
        n_trials=int(shape[0]),
        n_inputs=len(np.unique(file["input_id"][...])),
        n_samples=int(shape[1]),
        dt_s=float(file.attrs["dt_s"]),
        started_utc=str(file.attrs["started_utc"]),
        simulated=bool(file.attrs["simulated"]),
        complete=bool(file.attrs["complete"]),
        problem="" if n_whole else "no trial was measured to its end",
    )


def device_of(provenance: Mapping[str, object], drives: Sequence[str], responses: Sequence[str]) -> str:
    """The device with these channels in the station file that a recording's provenance holds; empty if there is none."""
    station = provenance.get("station")
    text = station.get("text", "") if isinstance(station, Mapping) else ""
    try:
        devices = tomllib.loads(str(text)).get("devices", {})
    except tomllib.TOMLDecodeError:
        return ""
    for name, device in devices.items() if isinstance(devices, dict) else ():
        if not isinstance(device, dict):
            continue
        if set(responses) == set(device.get("response", ())) and set(drives) <= set(device.get("drive", ())):
            return str(name)
    return ""
