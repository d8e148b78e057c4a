"""A network that is being edited, finished or not, as text, so that it is there again at the next start."""

from __future__ import annotations

import json
from pathlib import Path

from labctl.errors import NetworkFileError
from labctl.network_draft import NetworkDraft, text_of

FORMAT = "labctl-network-draft-1"


def draft_to_json(draft: NetworkDraft, path: Path | None = None) -> str:
    """path: the file that it was read from or saved to last."""
    content = {
        "format": FORMAT,
        "tables": draft.tables,
        "twins": {name: str(twin) for name, twin in draft.twins.items()},
        "positions": draft.positions,
        "path": None if path is None else str(path),
    }
    return json.dumps(content)


def draft_from_json(text: str) -> tuple[NetworkDraft, Path | None]:
    """The draft and its file; twins that are gone are left out. Raises NetworkFileError for anything else."""
    try:
        content = json.loads(text)
        if content["format"] != FORMAT:
            raise NetworkFileError(f"a kept draft of the format {content['format']!r} is not known; this is {FORMAT!r}")
        twins = {str(name): Path(one) for name, one in content["twins"].items()}
        draft = NetworkDraft(
            dict(content["tables"]),
            {name: one for name, one in twins.items() if _is_there(one)},
            {str(name): (float(x), float(y)) for name, (x, y) in content["positions"].items()},
        )
        text_of(draft)  # every layer a table, every value one that a file can hold
        if not all(isinstance(table, dict) for table in draft.tables.get("layers", {}).values()):
            raise NetworkFileError("a kept draft whose layers are no tables")
        return draft, None if content["path"] is None else Path(content["path"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise NetworkFileError(f"a kept draft is damaged: {error}") from error


def _is_there(twin: Path) -> bool:
    return twin.is_file() or twin.with_suffix(".json").is_file() or twin.with_name(f"{twin.name}.json").is_file()
