"""What twins a folder holds, with what their files say of them: the verdict of their gates, and what they were judged on.

Read as plain JSON: nothing here loads torch. Whether the weights are whole is for `twins.load_twin` to say.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labctl.clearance import shortcomings, verdict_in_words, was_judged
from labctl.files_below import files_below
from labctl.gate_rows import GateRow, gate_rows
from labctl.recording_cards import device_of

FORMATS = ("labctl.device_twin", "labctl.twin_ensemble")
HEAD_BYTES = 200
"""A twin's file says within its first bytes what it is."""
LARGEST_BYTES = 32 << 20


@dataclass(frozen=True, slots=True)
class TwinCard:
    """One twin. path: its .json. drives and responses: its channels. made_utc: when it was saved. judged_on and
    fitted_to: paths as its file names them. figures: its calibration. report: its page, where it is there. problem: why
    it cannot be used; empty if it can."""

    path: Path
    changed_ns: int
    device: str = ""
    drives: tuple[str, ...] = ()
    responses: tuple[str, ...] = ()
    dt_s: float = 1.0
    made_utc: str = ""
    simulated: bool = False
    n_members: int = 1
    gates: Mapping[str, Any] = field(default_factory=dict)
    figures: Mapping[str, Any] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()
    judged_on: tuple[Path, ...] = ()
    fitted_to: tuple[Path, ...] = ()
    report: Path | None = None
    problem: str = ""

    @property
    def name(self) -> str:
        """Of its file."""
        return self.path.stem

    @property
    def passed(self) -> bool:
        """Whether it passed its gates."""
        return not self.problem and not shortcomings(self.name, self.gates)

    @property
    def verdict(self) -> str:
        """ "passed", "failed" or "not judged"; "damaged" for a file with a problem."""
        if self.problem:
            return "damaged"
        if self.passed:
            return "passed"
        return "failed" if was_judged(self.gates) else "not judged"

    @property
    def in_words(self) -> str:
        """The verdict in one or two sentences."""
        return self.problem or verdict_in_words(self.name, self.gates)

    @property
    def in_short(self) -> str:
        """The verdict in one line: how many gates failed, and which."""
        if self.verdict != "failed":
            told = {"passed": "passed its gates", "not judged": "was not judged on enough held-out data"}
            return self.problem or f"{self.name} {told[self.verdict]}"
        failed = [row.title for row in self.rows if row.verdict != "passed"]
        return f"{self.name} failed {len(failed)} of {len(self.rows)} gates: {', '.join(failed)}"

    @property
    def rows(self) -> list[GateRow]:
        """Its gates, for a table."""
        return gate_rows(self.gates)

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "path": str(self.path),
            "device": self.device,
            "simulated": self.simulated,
            "made_utc": self.made_utc,
            "verdict": self.verdict,
            "in_words": self.in_words,
            "members": self.n_members,
            "figures": dict(self.figures),
            "report": None if self.report is None else str(self.report),
        }


def twins_below(folder: Path, *, extra: Iterable[Path] = (), known: Sequence[TwinCard] = ()) -> list[TwinCard]:
    """All twins and ensembles below a folder, and the files `extra` from elsewhere; the newest first.

    known: cards of before; files that have not changed since are not read again. The members of an ensemble are not
    listed by themselves.
    """
    before = {card.path: card for card in known}
    chosen = [_json_of(path) for path in extra]
    found = []
    there = (path.absolute() for path in files_below(folder, ".json") if ".member" not in path.name)
    for path in dict.fromkeys([*chosen, *there]):
        card = _card(path, before.get(path), asked_for=path in chosen)
        if card is not None:
            found.append(card)
    return sorted(found, key=lambda card: (card.made_utc, card.changed_ns), reverse=True)


def _json_of(path: Path) -> Path:
    whole = Path(path).absolute()
    return whole if whole.suffix == ".json" else whole.with_suffix(".json")


def _card(path: Path, before: TwinCard | None, *, asked_for: bool) -> TwinCard | None:
    try:
        status = path.stat()
        if before is not None and before.changed_ns == status.st_mtime_ns:
            return before
        with path.open(encoding="utf-8", errors="replace") as file:
            head = file.read(HEAD_BYTES)
        if not any(f'"{name}"' in head for name in FORMATS):
            return TwinCard(path, 0, problem=f"{path} does not describe a twin") if asked_for else None
        if status.st_size > LARGEST_BYTES:
            return TwinCard(path, status.st_mtime_ns, problem=f"{path} is larger than any twin")
        return _read(json.loads(path.read_text(encoding="utf-8")), path, status.st_mtime_ns)
    except OSError as error:
        return TwinCard(path, 0, problem=f"{path} cannot be read: {error.strerror}") if asked_for else None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return TwinCard(path, 0, problem=f"{path} is damaged: {error}")


def _read(document: Mapping[str, Any], path: Path, changed_ns: int) -> TwinCard:
    provenance = document["provenance"]
    extra, members = provenance.get("extra", {}), document.get("members", ())
    spec = document.get("spec") or _spec_of_member(members, path)
    drives, responses = tuple(spec.get("drive_names", ())), tuple(spec.get("response_names", ()))
    report = path.with_name(f"{path.stem}.report.html")
    return TwinCard(
        path=path,
        changed_ns=changed_ns,
        device=device_of(provenance, drives, responses),
        drives=drives,
        responses=responses,
        dt_s=float(spec.get("dt_s", 1.0)),
        made_utc=str(provenance.get("started_utc", "")),
        simulated=bool(provenance.get("simulated", False)),
        n_members=max(1, len(members)),
        gates=dict(provenance.get("gates") or {}),
        figures=dict(extra.get("calibration") or {}),
        reasons=tuple(str(one) for one in provenance.get("choice", {}).get("reasons", ())),
        judged_on=_paths(extra.get("judged_on", {}).get("recordings", ())),
        fitted_to=_paths(extra.get("recordings", ())),
        report=report if report.is_file() else None,
        problem=_weights_missing(document, path),
    )


def _spec_of_member(members: Sequence[Mapping[str, Any]], path: Path) -> Mapping[str, Any]:
    if not members:
        return {}
    try:
        member = json.loads((path.parent / Path(str(members[0]["file"])).name).read_text(encoding="utf-8"))
    except OSError:
        return {}
    spec: Mapping[str, Any] = member["spec"]
    return spec


def _weights_missing(document: Mapping[str, Any], path: Path) -> str:
    weights = document.get("weights_file")
    if weights is None or (path.parent / Path(str(weights)).name).is_file():
        return ""
    return f"{Path(str(weights)).name}, its weights, is not beside {path.name}"


def _paths(sources: Iterable[Mapping[str, Any]]) -> tuple[Path, ...]:
    return tuple(dict.fromkeys(Path(str(one["path"])) for one in sources if one.get("path")))
