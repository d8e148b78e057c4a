"""Filter noisy traces by a kernel in C, written from the system's own Python and compiled for it at first use.

The same filter as ``twins.goku.inference.kalman``, equal to rounding, in float64 on a CPU, forward only; what cannot be traced,
noise that is general, an observation that is not linear and tensors with gradients or tangents go by that file's.
"""

from __future__ import annotations

import ctypes
import threading
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from twins.goku.compiled.cache import KernelCache
from twins.goku.compiled.filter_plan import filter_plan
from twins.goku.compiled.filter_source import LANES, filter_source
from twins.goku.compiled.kernel import plain
from twins.goku.compiled.library import NoLibrary, load
from twins.goku.compiled.trace import NotTraceable, trace
from twins.goku.held import innermost, unheld
from twins.goku.observation import KnownObservation, LinearObservation, same_outputs
from twins.goku.trajectories import LARGEST_STATE

if TYPE_CHECKING:
    from twins.goku.inference.trace_data import TraceData
    from twins.goku.observation import Observation
    from twins.goku.system import System

SMALLEST_SD = 1e-6
"""Of a state's half-width, so that a covariance without spread has a factor."""

_LARGEST_TILE_BYTES = 500_000
_WORTH_A_THREAD = 20_000_000
_INTEGERS = ("batch", "n_traces", "n_samples", "substeps", "blurred")
_POINTERS = (
    "initial", "parameters", "variance", "values", "seen", "drive", "lengths", "matrix", "offset", "middle", "largest",
    "floor", "mean", "spread", "surprise", "bad",
)  # fmt: skip


class _Run(ctypes.Structure):
    """As in compiled_filter_source."""

    _fields_ = (
        *((name, ctypes.c_long) for name in _INTEGERS),
        *((name, ctypes.c_double) for name in ("length", "unit")),
        *((name, ctypes.c_void_p) for name in _POINTERS),
    )


@dataclass(frozen=True, slots=True, eq=False)
class FilterKernel:
    """forward: the library's function; n_operations: of one substep, about."""

    forward: Any
    n_operations: int


@dataclass(frozen=True, slots=True)
class Filtered:
    """mean: (time, batch, channel) and covariance (time, batch, channel, channel) of each sample before it was seen, None
    where they were not asked for. surprise: (batch,), squares of the whitened errors and the covariances' log determinants,
    summed. diverged: (batch,)."""

    mean: Tensor | None
    covariance: Tensor | None
    surprise: Tensor
    diverged: Tensor


@dataclass(frozen=True, slots=True)
class _Kind:
    """What a filter is made for, beside the equation. by_matrix: whether the observation is more than the outputs."""

    n_channels: int
    by_matrix: bool


@dataclass(frozen=True, slots=True)
class _Text:
    text: str
    n_operations: int


def why_no_filter(system: System, observation: Observation = same_outputs, *, n_channels: int | None = None) -> str:
    """Why there is no compiled filter for this equation and observation; empty where there is one. Compiles it.

    n_channels: of the observation; by default as many as outputs.
    """
    found = filter_kernel(system, observation, system.n_outputs if n_channels is None else n_channels)
    return found if isinstance(found, str) else ""


def filter_kernel(system: System, observation: Observation, n_channels: int) -> FilterKernel | str:
    """The kernel, or why there is none."""
    if not system.stochastic:
        return "the equation has no noise of its own"
    if system.noise == "general":
        return "its noise is general: the diffusion is a matrix"
    if observation is not same_outputs and type(observation) not in (KnownObservation, LinearObservation):
        return f"the observation is a {type(observation).__name__}, not a known or a linear one"
    return _kernels.find(innermost(system), _Kind(n_channels, observation is not same_outputs))


def why_not_these(tensors: tuple[Tensor, ...]) -> str:
    """Why no compiled filter takes these tensors; empty where one does."""
    reasons = {
        "a tensor is a wrapper of torch.func, of a class of its own, or has a tangent": not all(map(plain, tensors)),
        "it is for float64 on a CPU": any(one.dtype != torch.float64 or one.device.type != "cpu" for one in tensors),
        "it has no gradients": torch.is_grad_enabled() and any(one.requires_grad for one in tensors),
        "the batch is empty": any(one.numel() == 0 for one in tensors),
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def _written(system: System, kind: _Kind) -> _Text:
    planned = filter_plan(trace(system, torch.float64, noisy=True, observed=True), system)
    n, c = planned.n_states, kind.n_channels
    numbers = planned.n_parameters + len(planned.coefficients) + 5 * n * n + 2 * c * (c + 2 * n + 3)
    if (numbers + len(planned.outputs)) * 8 * LANES > _LARGEST_TILE_BYTES:
        raise NotTraceable("it has too many numbers for a tile of traces")
    text = filter_source(planned, n_channels=c, by_matrix=kind.by_matrix)
    return _Text(text, 8 * n * planned.n_operations + 10 * n**3)


def _made(system: System, kind: _Kind, written: _Text) -> FilterKernel:
    from twins.goku.compiled.filter_check import check_filter

    library = load(written.text)
    try:
        forward = library.forward
    except AttributeError as error:
        raise NoLibrary(f"a library without the kernel's functions: {error}") from error
    forward.argtypes, forward.restype = [ctypes.c_void_p, ctypes.c_long, ctypes.c_long], ctypes.c_int
    kernel = FilterKernel(forward, written.n_operations)
    check_filter(system, kernel, kind.n_channels, by_matrix=kind.by_matrix)
    return kernel


_kernels: KernelCache[_Kind, _Text, FilterKernel] = KernelCache(_written, _made)


def filter_compiled(
    kernel: FilterKernel,
    system: System,
    observation: Observation,
    data: TraceData,
    parameters: Tensor,
    initial: Tensor,
    variance: Tensor,
    *,
    substeps: int,
    predictions: bool,
    blurred: bool = False,
) -> Filtered:
    """The filter over all samples, for (copy · trace, number) parameters, initial states and variances of the observation,
    the traces of a copy one after another. predictions: with mean and covariance of every sample."""
    batch, n_channels = variance.shape
    low, high = system.state_range(parameters)
    half = 0.5 * (high - low)
    given = {
        "initial": initial.contiguous(), "parameters": unheld(system, parameters)[1].contiguous(),
        "variance": variance.contiguous(), "values": data.values.contiguous(), "seen": data.seen.contiguous(),
        "drive": None if data.drive is None else data.drive.contiguous(),
        "lengths": data.step_s.contiguous() if isinstance(data.step_s, Tensor) else None,
        **_operator(observation),
        "middle": torch.nan_to_num(0.5 * (low + high)),
        "largest": LARGEST_STATE * torch.nan_to_num(half, posinf=1e4),
        "floor": (SMALLEST_SD * torch.nan_to_num(half, posinf=1.0)).square(),
        "mean": parameters.new_empty(data.n_samples, batch, n_channels) if predictions else None,
        "spread": parameters.new_empty(data.n_samples, batch, n_channels, n_channels) if predictions else None,
        "surprise": parameters.new_empty(batch), "bad": torch.empty(batch, dtype=torch.bool),
    }  # fmt: skip
    length = 0.0 if isinstance(data.step_s, Tensor) else data.step_s / system.time_unit_s
    run = _Run(
        batch=batch, n_traces=data.n_traces, n_samples=data.n_samples, substeps=substeps, blurred=int(blurred), length=length,
        unit=system.time_unit_s, **{name: None if one is None else one.data_ptr() for name, one in given.items()},
    )  # fmt: skip
    _share_out(kernel, run, -(-batch // LANES), LANES * data.n_samples * substeps * kernel.n_operations)
    found = [given[name] for name in ("mean", "spread", "surprise", "bad")]
    assert found[2] is not None and found[3] is not None
    return Filtered(found[0], found[1], found[2], found[3])


def _operator(observation: Observation) -> dict[str, Tensor | None]:
    if observation is same_outputs:
        return {"matrix": None, "offset": None}
    if isinstance(observation, KnownObservation):
        matrix, offset = observation.get_buffer("matrix"), observation.get_buffer("offset")
    else:
        matrix, offset = observation.weight.detach(), observation.bias.detach()
    return {"matrix": matrix.double().contiguous(), "offset": offset.double().contiguous()}


def _share_out(kernel: FilterKernel, run: _Run, n_tiles: int, work_a_tile: int) -> None:
    """All tiles, over as many threads as torch may use; ctypes lets go of the interpreter meanwhile."""
    address = ctypes.addressof(run)
    n_parts = min(torch.get_num_threads(), n_tiles, n_tiles * work_a_tile // _WORTH_A_THREAD)
    if n_parts <= 1:
        kernel.forward(address, 0, n_tiles)
        return
    edges = [n_tiles * number // n_parts for number in range(n_parts + 1)]
    threads = [threading.Thread(target=kernel.forward, args=(address, *pair)) for pair in pairwise(edges)]
    for thread in threads:
        thread.start()
    for thread in threads:  # they own what they write until they end: wait, whatever is raised here meanwhile
        try:
            thread.join()
        finally:
            if thread.is_alive():
                thread.join()
