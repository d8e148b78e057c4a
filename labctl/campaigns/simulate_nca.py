"""Image sequences out of an equation, as a campaign: it says that it simulates, and can be stopped meanwhile."""

from __future__ import annotations

from labctl.background import in_background
from labctl.campaign import Campaign, Step
from labctl.images import Images
from labctl.nca_pde import PdeSource


def simulate_images(source: PdeSource, *, what: str = "") -> Campaign[Images]:
    """Simulate it; `what` for, in words. Raises twins.TwinError, UsageError, ImagesError."""
    key = f"nca/simulate/{source.pde}"
    rows, columns = source.size
    step = Step(key, f"Simulate {source.pde}{what and f', {what}'}")
    yield step.started()
    images = yield from in_background(source.simulated, key=key)
    yield step.finished(f"{source.n_sequences} sequences of {source.n_frames} frames, {rows} × {columns}")
    return images
