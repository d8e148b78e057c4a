"""Whether what a file of an amortised posterior claims fits the tensors beside it; asked before anything is built."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from twins.errors import CheckpointInvalid
from twins.goku.amortised.mixture import numbers_needed
from twins.goku.amortised.network import NetworkShape
from twins.goku.simulated.substeps import MOST_SUBSTEPS
from twins.goku.system import System
from twins.solver import METHODS

NETWORK = "network."
_SAME_STEP = 1e-3
_VARYING = ("gaps", "times", "drive")
_BLOCK = re.compile(rf"{re.escape(NETWORK)}blocks\.(\d+)\.")


def check_solver(substeps: int, method: str | None) -> None:
    """Raises CheckpointInvalid for steps or a method that no simulation of ours has."""
    if not 1 <= substeps <= MOST_SUBSTEPS:
        raise CheckpointInvalid(f"substeps must be 1 to {MOST_SUBSTEPS}, not {substeps}")
    if method is not None and method not in METHODS:
        raise CheckpointInvalid(f"method must be one of {', '.join(METHODS)}, not {method!r}")


def check_finite(tensors: Mapping[str, Tensor]) -> None:
    """Raises CheckpointInvalid for a value that is not finite. Misfits may be infinite: where no draw could be solved."""
    for name, value in tensors.items():
        wrong = torch.isnan(value) if name == "trust_misfits" else ~torch.isfinite(value)
        if bool(wrong.any()):
            raise CheckpointInvalid(f"{name} holds values that are not finite")


def check_network(shape: NetworkShape, tensors: Mapping[str, Tensor], system: System) -> None:
    """Raises CheckpointInvalid unless every size of the network is that of a tensor: a few bytes of JSON could ask for
    any amount of memory. KeyError where a tensor is missing."""
    seen, first, last = tensors["seen"], tensors[f"{NETWORK}first.weight"], tensors[f"{NETWORK}last.weight"]
    blocks = {int(found.group(1)) for name in tensors if (found := _BLOCK.match(name))}
    components = numbers_needed(shape.n_coordinates, shape.components)
    n_coordinates = system.n_parameters + system.n_states + shape.n_channels
    claims = {
        "samples and channels": (tuple(seen.shape[1:]), (shape.n_samples, shape.n_channels)),
        "drives": (len(system.drives), shape.n_drives),
        "coordinates": (n_coordinates, shape.n_coordinates),
        "width": (tuple(last.shape[1:]), (shape.width,)),
        "width of the first layer": (tuple(first.shape[:1]), (shape.width,)),
        "blocks": (blocks, set(range(shape.blocks))),
        "components": (tuple(last.shape[:1]), (components,)),
        "what varies": (set(shape.varying) - set(_VARYING), set()),
    }
    for what, (held, claimed) in claims.items():
        if held != claimed:
            raise CheckpointInvalid(f"the {what} of the network are {claimed} by the JSON, {held} by the tensors")


def check_tensors(
    shape: NetworkShape, tensors: Mapping[str, Tensor], system: System, uniform_step_s: float | None
) -> None:
    """Raises CheckpointInvalid unless the design, the noise levels, the observation, the calibration and the reference of
    the simulations have the shapes and the order that they must have. KeyError where one is missing."""
    n_traces, channels = len(tensors["seen"]), shape.n_channels
    wanted: dict[str, tuple[int | None, ...]] = {
        "seen": (n_traces, shape.n_samples, channels),
        "steps_s": (n_traces, shape.n_samples - 1),
        "noise_low": (channels,),
        "noise_high": (channels,),
        "observation_matrix": (channels, system.n_outputs),
        "observation_offset": (channels,),
        "ranks": (None, shape.n_coordinates),
        "trust_summaries": (None, 4 * channels),
        "trust_distances": (None,),
        "trust_misfits": (None,),
    }
    if system.drives or "drive" in tensors:
        wanted["drive"] = (n_traces, shape.n_samples, len(system.drives))
    for name, sizes in wanted.items():
        _check_shape(name, tensors[name], sizes)
    if tensors["seen"].dtype is not torch.bool:
        raise CheckpointInvalid(f"seen must be bool, not {tensors['seen'].dtype}")
    steps, low, high = tensors["steps_s"], tensors["noise_low"], tensors["noise_high"]
    rules = {
        "steps_s must be positive": steps > 0.0,
        "the steps are not uniform_step_s": (steps / (uniform_step_s or steps) - 1.0).abs() < _SAME_STEP,
        "the noise levels must be 0 < noise_low < noise_high": (low > 0.0) & (low < high),
        "ranks must rise": _rises(tensors["ranks"]),
        "trust_distances must rise": _rises(tensors["trust_distances"]),
        "trust_misfits must rise": _rises(tensors["trust_misfits"]),
    }
    for words, holds in rules.items():
        if not bool(holds.all()):
            raise CheckpointInvalid(words)


def _check_shape(name: str, value: Tensor, sizes: tuple[int | None, ...]) -> None:
    fits = len(value.shape) == len(sizes) and all(
        wanted in (None, size) for size, wanted in zip(value.shape, sizes, strict=True)
    )
    if not fits or value.numel() == 0:
        shown = " x ".join("any" if size is None else str(size) for size in sizes)
        raise CheckpointInvalid(f"{name} must be {shown}, not {tuple(value.shape)}")


def _rises(values: Tensor) -> Tensor:
    return values[1:] >= values[:-1]
