"""A start that was sought, as a picture: what was given, the change, the two runs, and how they part."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import Normalize, TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from labctl.nca_pictures import SIGNED, VALUES, ends, row, titles
from labctl.report import MEASURED, PROMISED

if TYPE_CHECKING:
    from labctl.nca_model import SavedNca
    from twins.nca import Frames
    from twins.nca.stability import SoughtStart

_COLUMNS = 5


def write_picture(path: Path, saved: SavedNca, begun: Frames, found: SoughtStart) -> None:
    """Write a PNG of the first sequence and channel, whole or not at all."""
    partial = path.with_name(f"{path.name}.partial")
    picture(saved, begun, found).savefig(partial, format="png", dpi=110)
    partial.replace(path)


def picture(saved: SavedNca, begun: Frames, found: SoughtStart) -> Figure:
    """Three rows of pictures (as it was, as it was sought, the difference) over the deviation by frame."""
    given, sought = (_run(saved, one, found) for one in (begun, found.initial))
    frames = sorted({round(place) for place in np.linspace(0, found.n_frames, _COLUMNS)})
    size = given.shape[1:]
    figure = Figure(figsize=(9.0, 8.4), layout="constrained")
    axes = figure.subplots(4, 1, height_ratios=[1, 1, 1, 1.2])
    less = sought - given
    most = float(np.abs(less[np.isfinite(less)]).max(initial=0.0)) or 1e-12
    values, difference = Normalize(*ends(given[np.isfinite(given)])), TwoSlopeNorm(0.0, -most, most)
    titles(axes[0], frames, size[1])
    rows = (
        ("as it was", given, values, VALUES),
        ("as sought", sought, values, VALUES),
        ("difference", less, difference, SIGNED),
    )
    for panel, (words, shown, norm, colours) in zip(axes[:3], rows, strict=True):
        image = row(panel, words, [shown[frame] for frame in frames], size, norm, colours, "not finite")
        figure.colorbar(image, ax=panel, fraction=0.03, pad=0.01).ax.tick_params(labelsize=8)
    _curves(axes[3], found)
    kind = "most" if found.settings.seek == "largest" else "least"
    simulated = "SIMULATED by the automaton; " if saved.simulated or begun.simulated else ""
    figure.suptitle(
        f"{simulated}{saved.name}, {saved.model.names[0]}: the change that its run feels {kind}", fontsize=11
    )
    return figure


def _run(saved: SavedNca, frames: Frames, found: SoughtStart) -> NDArray[Any]:
    """(time, y, x) of the first sequence and channel, from the first of these frames."""
    import torch

    spec, model = saved.model.automaton.spec, saved.model
    first = frames.select([0])
    states = [model.start(first)]
    states += list(model.states(first, found.n_frames, generator=torch.Generator().manual_seed(found.seed)))
    unit = torch.stack([one[0, : spec.n_observed] for one in states]).permute(0, 2, 3, 1).cpu().numpy()
    with np.errstate(invalid="ignore", over="ignore"):
        shown: NDArray[Any] = model.scaling.from_unit(unit)[..., 0]
    return shown


def _curves(axes: Any, found: SoughtStart) -> None:
    frames = np.arange(1, found.n_frames + 1)
    axes.plot(frames, found.deviation.T, color=PROMISED, lw=1.2)
    axes.plot(frames, found.random_deviation.T, color=MEASURED, lw=1.0, ls="--")
    axes.plot([], [], color=PROMISED, label="the change that was found, each sequence")
    axes.plot([], [], color=MEASURED, ls="--", label="random changes of its size, median")
    known = np.concatenate((found.deviation, found.random_deviation))
    if bool((known[np.isfinite(known)] > 0).all()) and np.isfinite(known).any():
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter("{x:g}")
    axes.set_xlabel("frame", fontsize=9)
    axes.set_ylabel(f"deviation ({found.settings.loss})", fontsize=9)
    axes.legend(fontsize=8)
    axes.tick_params(labelsize=8, which="both")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
