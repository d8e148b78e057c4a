"""What the twins say a network will answer to the held-out examples, kept in its folder to stand beside what is measured.

promised.safetensors: `outputs` (trial, step, output) of one noise draw, `scores` (draw,) of all.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from labctl.errors import DeploymentError
from twins.files import write_whole

if TYPE_CHECKING:
    from twins.network.judging import Promise
    from twins.network.tasks import TaskData

Array = NDArray[np.float64]
NAME = "promised.safetensors"
LARGEST_FILE_BYTES = 512 * 2**20


def save_promised(folder: Path, promise: Promise) -> None:
    """Write what is promised into a network's folder."""
    scores = np.array([one.value for one in promise.scores], dtype=np.float64)
    outputs = np.ascontiguousarray(promise.outputs, dtype=np.float64)
    write_whole(folder / NAME, save({"outputs": outputs, "scores": scores}))


def load_promised(folder: Path, heldout: TaskData) -> Array | None:
    """Promised outputs (trial, step, output) for these held-out examples; None where they were not kept.

    Raises DeploymentError for a damaged file, or one of other examples.
    """
    path = folder / NAME
    if not path.is_file():
        return None
    if path.stat().st_size > LARGEST_FILE_BYTES:
        raise DeploymentError(f"{path}: {path.stat().st_size} bytes are too many (at most {LARGEST_FILE_BYTES})")
    try:
        outputs: Array = load_file(path)["outputs"].astype(np.float64)
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise DeploymentError(f"{path}: is damaged: {error}") from error
    if outputs.shape != heldout.targets.shape:
        raise DeploymentError(
            f"{path}: is of other examples: {outputs.shape} outputs for {heldout.targets.shape} targets"
        )
    return outputs
