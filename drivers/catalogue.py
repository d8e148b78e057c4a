"""What drivers there are and what they are for: for lists that people choose from."""

from __future__ import annotations

import inspect
import sys
from dataclasses import dataclass

from drivers.errors import UnknownDriver
from drivers.registry import driver_names, find_driver


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """A driver by its name in station files, the instruments it is for, and what their terminals can do."""

    driver: str
    instruments: str
    offers: str


def catalogue() -> tuple[CatalogueEntry, ...]:
    """Every driver that `driver_names` knows; one of another package that cannot be loaded says so."""
    return tuple(_entry(name) for name in driver_names())


def _entry(name: str) -> CatalogueEntry:
    try:
        maker = find_driver(name)
    except (ImportError, AttributeError, UnknownDriver) as error:
        return CatalogueEntry(name, f"cannot be loaded: {error}", "")
    text = inspect.getdoc(sys.modules.get(getattr(maker, "__module__", ""))) or ""
    about = " ".join(text.split("\n\n")[0].split())
    sentence = about.partition(", after the")[0].partition(";")[0].removeprefix('Driver "scpi": ').rstrip(".")
    offers = getattr(maker, "roles_offered", "")
    return CatalogueEntry(name, sentence, offers if isinstance(offers, str) and offers != "none" else "")
