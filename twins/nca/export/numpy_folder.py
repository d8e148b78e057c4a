"""A folder that runs an automaton anywhere: plain arrays, a JSON document and a runner that needs NumPy alone."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from twins.files import write_whole
from twins.nca.export import run_automaton
from twins.nca.export.plain import described, kernel_array, weights
from twins.nca.model import NcaModel


def write_numpy_folder(model: NcaModel, folder: Path, *, provenance: Mapping[str, Any]) -> Path:
    """Write automaton.npz, automaton.json and run_automaton.py; returns the folder. Raises CheckpointInvalid."""
    document = described(model, provenance=provenance)
    network = weights(model.automaton)
    arrays = {
        **network,
        "kernels": kernel_array(model.automaton.spec, network["out_weight"].dtype),
        "lows": np.array(model.scaling.lows, dtype=float),
        "highs": np.array(model.scaling.highs, dtype=float),
        "condition_lows": np.array(model.condition_scaling.lows, dtype=float),
        "condition_highs": np.array(model.condition_scaling.highs, dtype=float),
    }
    packed = io.BytesIO()
    np.savez(packed, **arrays)  # type: ignore[arg-type]
    payload = packed.getvalue()
    document = {
        "format": run_automaton.FORMAT,
        "format_version": run_automaton.FORMAT_VERSION,
        "arrays_sha256": hashlib.sha256(payload).hexdigest(),
        **document,
    }
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / "automaton.npz", payload)
    write_whole(folder / "run_automaton.py", Path(run_automaton.__file__).read_bytes())
    write_whole(folder / "automaton.json", (json.dumps(document, indent=2, allow_nan=False) + "\n").encode())
    return folder
