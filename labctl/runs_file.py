"""One file of a runs folder, described: what it is, when and with what it was made, what it was made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

RECORDING, FILM, TWIN, NETWORK, DEPLOYMENT = "recording", "film", "twin", "network", "deployment"
GOKU, NCA, REPORT, JOURNAL, JOB, OUTCOME = "GOKU model", "NCA model", "report", "journal", "job", "outcome"
KINDS: Mapping[str, str] = {
    RECORDING: "drive and response of a device",
    FILM: "frames of a camera",
    TWIN: "a device twin, or an ensemble of them",
    NETWORK: "an optimised network with its promise",
    DEPLOYMENT: "what a network achieved on the bench",
    GOKU: "a trained model of an equation",
    NCA: "a trained automaton, or an ensemble of them",
    REPORT: "a page for people",
    JOURNAL: "what a campaign said while it ran",
    JOB: "what was wanted, as data: can be run again, or written as a script",
    OUTCOME: "figures of a campaign",
}


@dataclass(frozen=True, slots=True)
class Origin:
    """Something that a file was made from, as the file says: its path then, and a mark to know it by wherever it is now.

    role: "trained on", "judged on", "learned from" … in words for people.
    """

    role: str
    path: str = ""
    mark: str = ""


@dataclass(frozen=True, slots=True)
class RunFile:
    """A described file; `file` is relative to the runs folder. What a file does not say is "" or None.

    outcome: what came out, in one line. files: names of what belongs to it, beside it. marks: what other files may call it
    by. trouble: why it could not be read, where it could not.
    """

    file: str
    kind: str
    when_utc: str = ""
    device: str = ""
    seed: int | None = None
    simulated: bool | None = None
    outcome: str = ""
    notes: str = ""
    files: tuple[str, ...] = ()
    origins: tuple[Origin, ...] = ()
    marks: tuple[str, ...] = ()
    changed_ns: int = 0
    size_bytes: int = 0
    trouble: str = ""

    @property
    def name(self) -> str:
        """The file's own name."""
        return self.file.rpartition("/")[2]

    @property
    def folder(self) -> str:
        """The folder it lies in, relative to the runs folder; "" for that itself."""
        return self.file.rpartition("/")[0]

    def as_dict(self) -> dict[str, Any]:
        """As JSON data."""
        return asdict(self)


def run_file_from(data: Mapping[str, Any]) -> RunFile:
    """What `as_dict` gave, after a way through JSON; raises TypeError, KeyError or ValueError for anything else."""
    values = {item.name: data[item.name] for item in fields(RunFile)}
    for name in ("files", "marks"):
        values[name] = tuple(str(one) for one in values[name])
    values["origins"] = tuple(Origin(**one) for one in values["origins"])
    return RunFile(**values)
