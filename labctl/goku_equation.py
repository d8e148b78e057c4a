"""Which equation is meant, as plain data: by name, as text in a file, or as a class of a user's own.

Stored with every model, it makes the same equation again; whatever stands in a file of the user's is kept with its SHA-256,
an equation written as text even whole, so that a model needs no file beside it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from labctl.errors import CampaignError
from labctl.own_task import is_own_task, module_of
from twins.errors import EquationInvalid

if TYPE_CHECKING:
    from twins.goku.system import System

LARGEST_TEXT_BYTES = 1 << 18


class _Stored(BaseModel):
    """An EquationSource as it stands in a model's file."""

    model_config = ConfigDict(extra="forbid", strict=True)
    named: str = Field(max_length=4096)
    options: dict[str, Any]
    ranges: dict[str, list[FiniteFloat]]
    held: dict[str, FiniteFloat]
    text: str = Field(max_length=LARGEST_TEXT_BYTES)
    sha256: str = Field(max_length=64)


@dataclass(frozen=True, slots=True)
class EquationSource:
    """An equation as it was asked for.

    named: a name of `labctl goku systems`, FILE.toml, or FILE.py:Class. options: of a named equation or of the class.
    ranges: other ranges of parameters or initial states. held: parameters that are known. text, sha256: of the file.
    """

    named: str
    options: Mapping[str, Any] = field(default_factory=dict)
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    held: Mapping[str, float] = field(default_factory=dict)
    text: str = ""
    sha256: str = ""

    @classmethod
    def of(
        cls,
        named: str,
        *,
        options: Mapping[str, Any] | None = None,
        ranges: Mapping[str, tuple[float, float]] | None = None,
        held: Mapping[str, float] | None = None,
    ) -> EquationSource:
        """As asked for, with what stands in its file. Raises CampaignError, twins.TwinError for an equation that is no good."""
        text, sha256, full = "", "", named
        if is_own_task(named):
            file, _, class_name = named.rpartition(":")
            path = Path(file).resolve()
            sha256, full = hashlib.sha256(_read(path)).hexdigest(), f"{path}:{class_name}"
        elif named.endswith(".toml"):
            path = Path(named).resolve()
            content = _read(path)
            sha256, full = hashlib.sha256(content).hexdigest(), str(path)
            text = _decoded(content, path)
        return cls(full, dict(options or {}), dict(ranges or {}), dict(held or {}), text, sha256)

    @classmethod
    def from_dict(cls, stored: object) -> EquationSource:
        """What `as_dict` gave. Raises CampaignError for anything else."""
        try:
            model = _Stored.model_validate(stored)
        except ValidationError as error:
            raise CampaignError(f"the model's file does not say which equation it is of: {error}") from error
        if any(len(ends) != 2 for ends in model.ranges.values()):
            raise CampaignError("the model's file holds a range that is not low..high")
        ranges = {name: (ends[0], ends[1]) for name, ends in model.ranges.items()}
        return cls(model.named, model.options, ranges, model.held, model.text, model.sha256)

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {**asdict(self), "ranges": {name: list(ends) for name, ends in self.ranges.items()}}

    @property
    def is_own_class(self) -> bool:
        """Whether a file of the user's is run to make it."""
        return is_own_task(self.named)

    def make(self) -> System:
        """The equation, tried on a small sample. Raises CampaignError, twins.errors.EquationInvalid."""
        from twins.goku.held import HeldSystem

        system = self._plain()
        if self.held:
            system = HeldSystem(system, self.held)
        if self.ranges:
            system = system.with_ranges(self.ranges)
        return system.check()

    def _plain(self) -> System:
        if self.is_own_class:
            return _own_system(self.named, self.options, self.sha256)
        if self.named.endswith(".toml"):
            return self._from_text()
        from twins.goku.systems import system_named

        return system_named(self.named, **self.options)

    def _from_text(self) -> System:
        import tomllib

        from twins.goku.written.equation_file import equation_from

        if self.options:
            raise CampaignError(
                f"{self.named}: an equation written as text has no options; give --range or --fix, or change the text"
            )
        try:
            content = tomllib.loads(self.text)
        except tomllib.TOMLDecodeError as error:
            raise CampaignError(f"{self.named}: no TOML: {error}") from error
        try:
            return equation_from(content)
        except EquationInvalid as error:
            raise EquationInvalid(f"{self.named}: {error}") from error


def sources_differ(one: EquationSource, other: EquationSource) -> bool:
    """Whether two sources are of different equations (a file may have moved)."""
    same = (one.options, one.ranges, one.held, one.sha256) == (other.options, other.ranges, other.held, other.sha256)
    return not (same and (bool(one.sha256) or one.named == other.named))


def _own_system(named: str, options: Mapping[str, Any], sha256: str) -> System:
    """The user's class, made with its options. The file is run as any script is: nobody but the user named it."""
    from twins.goku.system import System

    file, _, class_name = named.rpartition(":")
    path = Path(file)
    source = _read(path)
    found = hashlib.sha256(source).hexdigest()
    if found != sha256:
        raise CampaignError(f"{path}: the file has changed since (SHA-256 {found[:12]}…, it was {sha256[:12]}…)")
    module = module_of(path, source)
    made = getattr(module, class_name, None)
    if not (isinstance(made, type) and issubclass(made, System)):
        there = [
            name
            for name, one in vars(module).items()
            if isinstance(one, type) and issubclass(one, System) and one.__module__ == module.__name__
        ]
        raise CampaignError(f"{path}: has no class {class_name!r} of a twins.goku.System; it has {_listed(there)}")
    try:
        return made(**options)
    except Exception as error:  # the user's own code, of which anything may come
        call = ", ".join(f"{name}={value!r}" for name, value in options.items())
        raise CampaignError(f"{path}: {class_name}({call}) fails: {type(error).__name__}: {error}") from error


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > LARGEST_TEXT_BYTES:
            raise CampaignError(f"{path} is larger than any equation ({LARGEST_TEXT_BYTES} bytes)")
        return path.read_bytes()
    except OSError as error:
        raise CampaignError(f"{path}: the file of an equation cannot be read: {error.strerror}") from error


def _decoded(content: bytes, path: Path) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise CampaignError(f"{path}: an equation is text in UTF-8: {error}") from error


def equation_named(
    named: str,
    *,
    options: Mapping[str, Any] | None = None,
    ranges: Mapping[str, tuple[float, float]] | None = None,
    held: Mapping[str, float] | None = None,
) -> EquationSource:
    """As `EquationSource.of`, for scripts and calls."""
    return EquationSource.of(named, options=options, ranges=ranges, held=held)


def read_equation_text(path: Path) -> str:
    """The text of an equation's file. Raises CampaignError."""
    return _decoded(_read(path), path)


def equation_written(
    text: str,
    *,
    ranges: Mapping[str, tuple[float, float]] | None = None,
    held: Mapping[str, float] | None = None,
) -> EquationSource:
    """An equation from its TOML text itself, which needs no file. Raises CampaignError where the text is too long."""
    content = text.encode()
    if len(content) > LARGEST_TEXT_BYTES:
        raise CampaignError(f"the text is longer than any equation ({LARGEST_TEXT_BYTES} bytes)")
    found = re.search(r'^\s*name\s*=\s*"(?P<name>[\w .-]{1,60})"', text, re.MULTILINE)
    named = f"{found['name'] if found else 'written'}.toml"
    sha256 = hashlib.sha256(content).hexdigest()
    return EquationSource(named, {}, dict(ranges or {}), dict(held or {}), text, sha256)
