"""Plain data in JSON files that appear whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twins.files import write_whole


def json_text(content: Mapping[str, Any]) -> str:
    """As all JSON files of labctl are written: two spaces of indentation, and a line break at the end."""
    return json.dumps(dict(content), indent=2) + "\n"


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write plain data; whoever reads meanwhile, or after an interruption, finds the file of before or that of now."""
    write_whole(path, json_text(content).encode())
