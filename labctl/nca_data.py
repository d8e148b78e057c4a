"""What an automaton learns from, begins at, or is judged on: image sequences or an equation, as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from labctl.errors import CampaignError
from labctl.images.treatments import ImageTreatments
from labctl.nca_pde import PdeSource

if TYPE_CHECKING:
    from labctl.images import Images
    from labctl.nca_model import SavedNca


@dataclass(frozen=True, slots=True, kw_only=True)
class NcaData:
    """images: files or folders, each one sequence or several, read with `treatments`. pde: an equation, simulated, instead.

    Raises CampaignError.
    """

    images: Sequence[Path] = ()
    treatments: ImageTreatments | None = None
    pde: PdeSource | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "images", tuple(Path(one) for one in self.images))
        if bool(self.images) == (self.pde is not None):
            raise CampaignError("give image sequences, or an equation: one of both")

    def read(self, *, conditions: Sequence[str] | None = None) -> Images:
        """The sequences. Raises ImagesError, UsageError, twins.TwinError."""
        from labctl.images import open_images

        if self.pde is not None:
            return self.pde.simulated()
        return open_images(self.images, self.treatments, conditions=conditions)

    def read_for(self, saved: SavedNca) -> Images:
        """As this automaton takes them: read as its own images were, where no treatment is asked for. Raises as ``read``."""
        from dataclasses import replace

        from labctl.images.inheriting import taken_over
        from labctl.nca_model import as_taken

        if self.pde is not None or self.treatments is not None:
            return as_taken(saved, self.read(conditions=saved.model.condition_names))
        treatments, left_out = taken_over(saved.reading(), self.images)
        images = as_taken(
            saved, NcaData(images=self.images, treatments=treatments).read(conditions=saved.model.condition_names)
        )
        told = [f"read as the images of {saved.name} were: {treatments.as_dict()}"] if treatments.as_dict() else []
        told += [f"not read as the images of {saved.name} were, with {words}" for words in left_out]
        return replace(images, told=(*told, *images.told))
