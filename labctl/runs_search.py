"""Finding runs: by words anywhere in them, by kind, device, date, and whether they are simulated."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from labctl.runs_file import RunFile


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is looked for; what is "" or None or empty leaves everything.

    words: all of them must occur, in name, folder, kind, device, outcome or notes; upper and lower case are alike.
    kinds: any of them. device: a part of its name. since, until: days as 2026-01-31, both included (UTC).
    """

    words: str = ""
    kinds: frozenset[str] = frozenset()
    device: str = ""
    since: str = ""
    until: str = ""
    simulated: bool | None = None

    def fits(self, one: RunFile) -> bool:
        """Whether this file is wanted."""
        if self.kinds and one.kind not in self.kinds:
            return False
        if self.device.casefold() not in one.device.casefold():
            return False
        if self.simulated is not None and one.simulated is not self.simulated:
            return False
        day = one.when_utc[:10]
        if (self.since and day < self.since) or (self.until and day > self.until):
            return False
        if not self.words:
            return True
        text = "\n".join((one.file, one.kind, one.device, one.outcome, one.notes, *one.files)).casefold()
        return all(word in text for word in self.words.casefold().split())


def search(entries: Iterable[RunFile], wanted: Wanted) -> list[RunFile]:
    """The files that are wanted, in the order given."""
    return [one for one in entries if wanted.fits(one)]
