"""Automata for other programs: plain arrays with a runner that needs NumPy alone, and ONNX.

export_nca(model, "folder", kind="numpy")            then, anywhere: python run_automaton.py start.npy --frames 20
export_nca(model, "rule.onnx", kind="onnx")          one step; whole_frames=True makes it a whole frame
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from twins.errors import AutomatonInvalid
from twins.nca.model import NcaModel

Kind = Literal["numpy", "onnx"]
KINDS: tuple[Kind, ...] = get_args(Kind)


def export_nca(
    model: NcaModel,
    path: str | Path,
    *,
    kind: Kind = "numpy",
    provenance: Mapping[str, Any] | None = None,
    whole_frames: bool = False,
) -> Path:
    """Write the automaton for other programs; returns what was written.

    numpy: `path` is a folder, which gets automaton.json, automaton.npz and run_automaton.py. onnx: `path` is the file.
    provenance: plain JSON data. whole_frames: one call of the ONNX model is all steps from one frame to the next.
    Raises AutomatonInvalid (another kind), CheckpointInvalid (provenance that is not plain data), ExporterMissing.
    """
    if kind not in KINDS:
        raise AutomatonInvalid(f"kind must be one of {', '.join(KINDS)}, not {kind!r}")
    if kind == "numpy":
        from twins.nca.export.numpy_folder import write_numpy_folder

        return write_numpy_folder(model, Path(path), provenance=provenance or {})
    from twins.nca.export.onnx_file import write_onnx

    return write_onnx(model, Path(path), provenance=provenance or {}, whole_frames=whole_frames)


__all__ = ["KINDS", "Kind", "export_nca"]
