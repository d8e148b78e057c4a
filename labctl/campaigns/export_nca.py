"""Hand an automaton to other programs: a folder that NumPy alone runs, or ONNX."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labctl.background import in_background
from labctl.campaign import Campaign, Step
from labctl.campaigns.finish_twin import plain
from labctl.errors import CampaignError
from labctl.events import Reported
from labctl.nca_model import SavedNca
from labctl.provenance import collect_provenance

KINDS = ("numpy", "onnx")


def export_nca(saved: SavedNca, path: Path, *, kind: str = "numpy", whole_frames: bool = False) -> Campaign[Path]:
    """Write it; numpy: `path` is a folder, onnx: the file. whole_frames: one call of the ONNX model is a whole frame.

    Raises CampaignError, twins.TwinError.
    """
    from twins.nca.export import export_nca as write

    if kind not in KINDS:
        raise CampaignError(f"kind is {' or '.join(KINDS)}, not {kind!r}")
    key = f"nca/export/{saved.name}"
    step = Step(key, f"Export {saved.name} ({kind})")
    yield step.started()
    about: Mapping[str, Any] = plain(
        {"fitted": dict(saved.about), "exported": collect_provenance(simulated=saved.simulated)}
    )
    written = yield from in_background(
        lambda: write(saved.model, path, kind=kind, provenance=about, whole_frames=whole_frames),  # type: ignore[arg-type]
        key=key,
    )
    yield Reported(key, {"model": str(saved.path), "kind": kind, "simulated": saved.simulated}, (str(written),))
    yield step.finished(str(written))
    return written
