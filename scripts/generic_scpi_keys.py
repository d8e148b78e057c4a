"""Print the key tables of docs/generic-scpi.md, made from the option tables of the generic SCPI driver.

python scripts/generic_scpi_keys.py
"""

import re
import sys
from typing import Any

from drivers.generic.options import DigitiserTable, PlayerTable, ScpiOptions
from drivers.generic.parts import Encoding, Poll, Terminal
from drivers.options import Options

TABLES: tuple[tuple[str, type[Options]], ...] = (
    ("[instruments.NAME.scpi]", ScpiOptions),
    ("[instruments.NAME.scpi.terminals.TERMINAL]", Terminal),
    ("[instruments.NAME.scpi.player]", PlayerTable),
    ("[instruments.NAME.scpi.digitiser]", DigitiserTable),
    ("data = { … } of player and digitiser", Encoding),
    ("armed = { … }, ready = { … }", Poll),
)


def key_tables() -> str:
    """All tables as Markdown: key, default, description."""
    parts = []
    for title, table in TABLES:
        rows = [f"### `{title}`", "", "| key | left out | what it is |", "|---|---|---|"]
        for name, field in table.model_fields.items():
            described = re.sub(r"\s+", " ", field.description or "").replace("|", "\\|")
            rows.append(f"| `{name}` | {_default(field)} | {described} |")
        parts.append("\n".join(rows))
    return "\n\n".join(parts) + "\n"


def _default(field: Any) -> str:
    if field.is_required():
        return "must be there"
    default = field.get_default(call_default_factory=True)
    if isinstance(default, Options):
        return "see below"
    if default is None or default in ((), {}):
        return "none"
    if isinstance(default, tuple) and len(default) == 1:
        default = default[0]
    text = str(default).lower() if isinstance(default, bool) else repr(default).replace("'", '"')
    return f"`{text}`".replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(key_tables())
