"""Change a station file field by field; its author's comments and order stay, and it is never written broken.

    edit_station("bench.toml", change={"channels.gate.limits": [-1.0, 1.0]}, remove=["channels.old"])

or, to look at what comes of it before it is written:

    draft = StationDraft.read("bench.toml").with_value("channels.gate.limits", [-1.0, 1.0])
    draft.problems()                # what is wrong, each at its field; empty if it may be saved
    draft.save()                    # the file of before is kept as bench.toml.bak
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from labctl.errors import StationError, UsageError
from labctl.file_problems import Problem, problem_of, read_text, told
from labctl.station_checks import cross_check
from labctl.station_references import references_to, with_other_name
from labctl.station_schema import StationFile
from labctl.toml_editing import renamed, tables_of, with_value, without
from labctl.toml_lines import KeyPath, key_lines
from labctl.toml_statements import dotted_path
from labctl.toml_text import key_text
from twins.files import write_whole

SECTIONS = ("instruments", "channels", "devices")
"""The tables of a station file that have entries with names."""

Key = str | Sequence[str]
"""A key of the file: "channels.gate.limits", or its parts."""


@dataclass(frozen=True)
class StationDraft:
    """The text of a station file that is being edited; every change gives a new draft, so going back is keeping the old.

    text: as it would be written. path: where it was read. read: the text that was found there, None for a new one.
    """

    text: str
    path: Path | None = None
    found: str | None = None

    @classmethod
    def read(cls, path: str | Path) -> StationDraft:
        """The draft of a file as it is; it may have problems, but must be TOML. Raises StationError."""
        path = Path(path)
        text = read_text(path, error=StationError)
        return cls.of_text(text, path=path)

    @classmethod
    def of_text(cls, text: str, *, path: Path | None = None) -> StationDraft:
        """The draft of a text; raises StationError if it is not TOML."""
        try:
            tomllib.loads(text)
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            raise StationError(f"{path or 'station'}: not valid TOML: {error}; mend that by hand first") from error
        return cls(text, path, text if path is not None else None)

    @cached_property
    def tables(self) -> dict[str, Any]:
        """What the text says, as plain tables. Do not change them."""
        return tables_of(self.text)

    @property
    def changed(self) -> bool:
        """Whether it differs from the file that was read."""
        return self.text != self.found

    def value(self, key: Key) -> Any:
        """What stands at a key; None if nothing does."""
        inner: Any = self.tables
        for part in parts_of(key):
            if not isinstance(inner, Mapping) or part not in inner:
                return None
            inner = inner[part]
        return inner

    # ---- changes ---------------------------------------------------------------------------------------------------

    def with_value(self, key: Key, value: Any) -> StationDraft:
        """With one field set, or an entry added (a mapping). Raises UsageError, NotEditable."""
        return replace(self, text=with_value(self.text, parts_of(key), value))

    def without(self, key: Key) -> StationDraft:
        """Without a field, or without an entry. Raises UsageError if there is none, NotEditable."""
        return replace(self, text=without(self.text, parts_of(key)))

    def renamed(self, section: str, name: str, other: str) -> StationDraft:
        """With an instrument, channel or device called otherwise, everywhere that it is named."""
        text = renamed(self.text, (section, name), other)
        for where in references_to(self.tables, section, name):
            if where[:2] != (section, name):
                text = with_other_name(text, where, name, other)
        return replace(self, text=text)

    def with_copy(self, section: str, name: str, other: str) -> StationDraft:
        """With a second entry like one that there is; what may be there once only (address, terminal) is to be changed."""
        entry = self.value((section, name))
        if entry is None:
            raise UsageError(f"there is no {section}.{name} to copy")
        if self.value((section, other)) is not None:
            raise UsageError(f"there is a {section}.{other} already; give another name")
        return self.with_value((section, other), entry)

    # ---- judging and saving ----------------------------------------------------------------------------------------

    def problems(self) -> tuple[Problem, ...]:
        """Everything that is wrong, each at its key (`where`); what contradicts only once every field is well."""
        try:
            file = StationFile.model_validate(self.tables)
        except ValidationError as fault:
            return tuple(problem_of(StationFile, detail) for detail in fault.errors())
        return tuple(cross_check(file))

    def told(self) -> str:
        """The problems in words, one a line."""
        return told(str(self.path or "station"), key_lines(self.text), self.problems())

    def difference(self) -> str:
        """What differs from the file that was read, as lines with + and -; "" if nothing does."""
        name = self.path.name if self.path else "station.toml"
        lines = difflib.unified_diff(
            (self.found or "").splitlines(),
            self.text.splitlines(),
            f"{name} (now)",
            f"{name} (to be saved)",
            lineterm="",
        )
        return "\n".join(lines)

    def edits(self) -> tuple[dict[str, Any], list[str]]:
        """What `edit_station` would be told to come to this from the file that was read: change, remove."""
        change: dict[str, Any] = {}
        remove: list[str] = []
        _compare(tomllib.loads(self.found or ""), self.tables, (), change, remove)
        return change, remove

    def save(self, path: str | Path | None = None) -> StationDraft:
        """Write it, whole or not at all; a file that was there is kept beside it, with .bak behind its name.

        path: another file than was read. Returns the draft of what is in the file now. Raises StationError if there are
        problems, if another program has changed the file meanwhile, or if it cannot be written; then nothing is.
        """
        target = Path(path) if path is not None else self.path
        if target is None:
            raise UsageError("a new station has no file yet: say where to save it")
        if problems := self.told():
            raise StationError(f"not saved, because something is wrong in it:\n{problems}")
        before = _bytes_of(target)
        own = path is None or target == self.path
        if own and self.found is not None and before is not None and _text_of(before) != self.found:
            raise StationError(
                f"{target}: not saved: another program has changed this file since it was read. Save under another name, or "
                "read it again"
            )
        line_break = "\r\n" if before is not None and b"\r\n" in before else "\n"
        try:
            if before is not None:
                write_whole(target.with_name(target.name + ".bak"), before)
            target.parent.mkdir(parents=True, exist_ok=True)
            write_whole(target, self.text.replace("\n", line_break).encode())
        except OSError as error:
            raise StationError(f"{target}: cannot be written: {error.strerror or error}") from error
        return StationDraft(self.text, target, self.text)


def edit_station(
    path: str | Path,
    *,
    change: Mapping[str, Any] | None = None,
    remove: Sequence[str] = (),
    out: str | Path | None = None,
) -> str:
    """Change a station file and save it (to `out`, if given); returns what changed, as lines with + and -.

    change: key -> new value, such as {"channels.gate.limits": [-1.0, 1.0]}. remove: keys of fields or whole entries.
    Raises StationError if what comes of all this is no valid station, UsageError for keys that are not there; nothing is
    written then.
    """
    draft = StationDraft.read(path)
    for key in remove:
        draft = draft.without(key)
    for key, value in (change or {}).items():
        draft = draft.with_value(key, value)
    draft.save(out)
    return draft.difference()


def parts_of(key: Key) -> KeyPath:
    """The parts of a dotted key, with quotation marks as in TOML; raises UsageError for one that is none."""
    return dotted_path(key) if isinstance(key, str) else tuple(key)


def fresh_name(taken: Mapping[str, Any] | Sequence[str], like: str) -> str:
    """A name that is free: gate, gate_2, gate_3 ..."""
    stem, _, number = like.rpartition("_")
    base = stem if stem and number.isdigit() else like
    return next(
        name for name in (like, *(f"{base}_{count}" for count in range(2, len(taken) + 3))) if name not in taken
    )


def _compare(
    before: Mapping[str, Any], after: Mapping[str, Any], path: KeyPath, change: dict[str, Any], remove: list[str]
) -> None:
    for key in before:
        if key not in after:
            remove.append(".".join(key_text(part) for part in (*path, key)))
    for key, value in after.items():
        old = before.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            _compare(old, value, (*path, key), change, remove)
        elif repr(old) != repr(value):
            change[".".join(key_text(part) for part in (*path, key))] = value


def _bytes_of(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StationError(f"{path}: cannot be read: {error.strerror}") from error


def _text_of(content: bytes) -> str:
    return content.decode(errors="replace").replace("\r\n", "\n").replace("\r", "\n")
