"""The recordings that a twin was fitted to before, wherever they are now."""

from __future__ import annotations

from pathlib import Path

from labctl.errors import UsageError


def earlier_recordings_of(device: str, twin: Path) -> tuple[list[Path], list[str]]:
    """The recordings that a twin's file says it was fitted to, wherever they are now (see find_recording), and warnings of
    those that it was fitted to a part of, which are left out. Raises UsageError for those that are gone or have changed."""
    from labctl.store import open_recording
    from twins import read_provenance

    found: list[Path] = []
    gone: list[str] = []
    warnings: list[str] = []
    for source in read_provenance(twin).get("extra", {}).get("recordings", ()):
        path = find_recording(source.get("path"), source.get("sha256"), twin=twin)
        if path is None:
            gone.append(str(source.get("path") or "data that no file holds"))
        elif open_recording(path).n_trials == source.get("trials"):  # of a play, a part may have been held out
            found.append(path)
        else:
            warnings.append(
                f"{device}: its twin was fitted to a part of {path}, which is left out: the refit may forget what the "
                "network does not play (--training DEVICE=FILE names it, --no-earlier means it)"
            )
    if gone:
        raise UsageError(
            f"{device}: its twin was fitted to {', '.join(gone)}; no file of that content is there or beside the twin, and "
            f"without it the refit forgets what the network does not play. Say where it is (--training {device}=FILE), or "
            "that it is meant (--no-earlier)"
        )
    return found, warnings


def find_recording(stored: object, sha256: object, *, twin: Path) -> Path | None:
    """The file of this content that a twin's file named `stored`: there, from the current folder or from the twin's, or at
    the same place below the twin's folder or one of the two above it, if all were moved together. None if it is nowhere."""
    from labctl.twin_data import sha256_of

    if not isinstance(stored, str) or not stored:
        return None
    named = Path(stored)
    folder = twin.absolute().parent
    tails = [Path(*named.parts[number:]) for number in range(1 if named.is_absolute() else 0, len(named.parts))]
    moved = [base / tail for tail in tails for base in (folder, *list(folder.parents)[:2])]
    candidates = dict.fromkeys([named, *moved])
    return next((one for one in candidates if one.is_file() and sha256_of(one) == sha256), None)
