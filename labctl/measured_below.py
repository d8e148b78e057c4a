"""What was measured before something went wrong: recordings below a folder, as far as they got."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from labctl.errors import LabctlError


@dataclass(frozen=True, slots=True)
class MeasuredBelow:
    """n_files: recordings that can be read. n_samples: measured in them, over all channels' common clock. unreadable: names
    of those that cannot."""

    folder: Path
    n_files: int
    n_samples: int
    unreadable: tuple[str, ...] = ()

    @property
    def in_words(self) -> str:
        """In one sentence."""
        if not self.n_files and not self.unreadable:
            return "Nothing was measured"
        told = (
            f"{self.n_samples} samples were measured and are readable in {self.n_files} recordings below {self.folder}"
        )
        return f"{told}; not readable: {', '.join(self.unreadable)}" if self.unreadable else told


def measured_below(folder: Path) -> MeasuredBelow:
    """Open every recording below `folder`, and count what was measured."""
    from labctl.store import open_recording

    n_files, n_samples, unreadable = 0, 0, []
    for path in sorted(folder.rglob("*.h5")):
        try:
            n_samples += int(open_recording(path).valid_samples.sum())
            n_files += 1
        except (LabctlError, OSError):
            unreadable.append(path.name)
    return MeasuredBelow(folder, n_files, n_samples, tuple(unreadable))
