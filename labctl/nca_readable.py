"""The learned rule as reaction and diffusion terms, for a report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labctl.nca_model import SavedNca
    from twins.nca import Frames


def readable_figures(saved: SavedNca, frames: Frames, *, seed: int) -> dict[str, Any] | None:
    """Not known yet."""
    del saved, frames, seed
    return None
