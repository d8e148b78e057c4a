"""One self-contained HTML page: headings, tables, notes and figures, with nothing fetched from elsewhere."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { margin-bottom: .2rem; } h2 { margin-top: 2.2rem; border-bottom: 1px solid #8886; }
table { border-collapse: collapse; margin: .8rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .8rem; text-align: right; border-bottom: 1px solid #8884; }
th:first-child, td:first-child { text-align: left; }
.banner { background: #d55e00; color: white; padding: .5rem 1rem; font-weight: 600; border-radius: 4px; }
.note { opacity: .75; } figure { margin: 1rem 0; } img { max-width: 100%; background: white; border-radius: 4px; }
figcaption { opacity: .75; }
"""


class HtmlPage:
    """Collects the parts of a page in reading order; `write` puts the page on disk. All text is escaped."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._parts: list[str] = [f"<h1>{escape(title)}</h1>"]

    def banner(self, text: str) -> None:
        """A line nobody can overlook."""
        self._parts.append(f'<p class="banner">{escape(text)}</p>')

    def heading(self, text: str) -> None:
        """Open a section."""
        self._parts.append(f"<h2>{escape(text)}</h2>")

    def paragraph(self, text: str, *, note: bool = False) -> None:
        """A paragraph; `note` sets it back."""
        self._parts.append(f"<p{' class=' + chr(34) + 'note' + chr(34) if note else ''}>{escape(text)}</p>")

    def table(self, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """A table; the first column is left-aligned, numbers keep the format they come in."""
        head = "".join(f"<th>{escape(name)}</th>" for name in header)
        body = "".join("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
        self._parts.append(f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")

    def figure(self, figure: Figure, caption: str) -> None:
        """A matplotlib figure, embedded as a picture."""
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=110, bbox_inches="tight")
        data = base64.b64encode(buffer.getvalue()).decode("ascii")
        self._parts.append(
            f'<figure><img alt="{escape(caption, quote=True)}" src="data:image/png;base64,{data}">'
            f"<figcaption>{escape(caption)}</figcaption></figure>"
        )

    def write(self, path: Path) -> None:
        """Write the page as UTF-8."""
        body = "\n".join(self._parts)
        path.write_text(
            f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(self._title)}</title>'
            f"<style>{STYLE}</style></head><body>\n{body}\n</body></html>\n",
            encoding="utf-8",
        )
