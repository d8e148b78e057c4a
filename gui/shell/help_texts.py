"""What F1 shows: a panel's own help, or what its class says of itself, and the longer texts that come with the sources."""

from __future__ import annotations

import inspect
from pathlib import Path

import gui

KEYS = """\
# Keys

| Keys | What they do |
|---|---|
| **Esc** | stop what is running and make **all outputs safe**, from anywhere |
| Ctrl+1 … Ctrl+9 | go to a panel |
| Ctrl+Return | the panel's main button (Record, Fit, Optimise …) |
| Ctrl+O | open a station file |
| Ctrl+Shift+O | open the simulated bench |
| Ctrl+L | show or hide the log |
| Ctrl+Shift+S | show what the panel would do as a Python script |
| Ctrl+Z, Ctrl+Shift+Z | undo, redo an edit |
| Ctrl++, Ctrl+-, Ctrl+0 | larger, smaller, usual text |
| Ctrl+C | copy the chosen rows of a table |
| Tab, Shift+Tab, arrows, Space | reach and press everything without a mouse |
| F1 | help for the panel that is shown |
| Ctrl+Q | quit: outputs safe first |
"""

_LONGER = {
    "start": ("closed-loop.md",),
    "station": ("generic-scpi.md",),
    "record": ("outside-data.md", "filming.md"),
    "twins": ("twins.md",),
    "networks": ("networks.md", "tasks.md", "optimising.md", "hardware-in-the-loop.md"),
    "goku": ("goku.md",),
    "nca": ("nca.md", "filming.md"),
}


def help_of(panel_class: type, key: str, title: str) -> str:
    """The help of a panel as Markdown."""
    text = getattr(panel_class, "help", "") or inspect.getdoc(panel_class) or ""
    heading = "" if text.lstrip().startswith("#") else f"# {title}\n\n"
    return f"{heading}{inspect.cleandoc(text)}\n\n{_links(key)}"


def docs_folder() -> Path:
    """Where the longer texts lie, where the sources are there."""
    return Path(gui.__file__).parent.parent / "docs"


def _links(key: str) -> str:
    lines = [f"- [{name.removesuffix('.md').replace('-', ' ')}]({name})" for name in _LONGER.get(key, ())]
    there = [line for line, name in zip(lines, _LONGER.get(key, ()), strict=True) if (docs_folder() / name).is_file()]
    more = "\n".join(["**More**", "", *there, ""]) if there else ""
    return f"{more}\n[All keys](keys)"
