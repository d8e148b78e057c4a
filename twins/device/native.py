"""The kernel of stacked twins in C, several times faster on a CPU: compiled at first use, never needed.

Where a C compiler is found (cc, gcc or clang), stacked_kernel.c is compiled for this machine and kept in the user's cache
folder ($XDG_CACHE_HOME or ~/.cache, folder labctl); without one, or with LABCTL_NATIVE=0, all goes by torch. Results are
equal to rounding. Only float32 on a CPU takes this way. Tiles of nodes and trials are shared out over
torch.get_num_threads() threads; numbers do not depend on how many.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from torch.nn.functional import pad

if TYPE_CHECKING:
    from twins.device.stacked_kernel import StackedWeights

LANES = 16
_SOURCE = Path(__file__).with_name("stacked_kernel.c")
_FLAGS = (
    "-O3", "-march=native", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math", "-shared", "-fPIC",
)  # fmt: skip
_COMPILE_TIMEOUT_S = 60.0
_WORTH_A_THREAD = 2_000
"""Tile-steps below which sharing out costs more than it gains."""


class _Stack(ctypes.Structure):
    """As in stacked_kernel.c."""

    _fields_ = (
        *((name, ctypes.c_long) for name in ("n_nodes", "n_time", "n_steps", "batch", "window", "n_layers")),
        *(
            (name, ctypes.c_void_p)
            for name in (
                "widths", "window_in", "window_back", "bias_in", "inner", "turned", "inner_bias", "out", "out_back",
                "out_bias", "scale", "floor",
            )
        ),
    )  # fmt: skip


def usable(like: Tensor) -> bool:
    """Whether runs on tensors like this one can go by the compiled kernel; compiles it at the first question."""
    return like.dtype == torch.float32 and like.device.type == "cpu" and library() is not None


@functools.cache
def library() -> Any | None:
    """The compiled kernel, or None where there is none."""
    compiler = next((path for name in ("cc", "gcc", "clang") if (path := shutil.which(name))), None)
    if os.environ.get("LABCTL_NATIVE") == "0" or os.name != "posix" or compiler is None:
        return None
    try:
        found = ctypes.CDLL(str(_compiled(compiler)))
    except (OSError, subprocess.SubprocessError):
        return None  # an old compiler, a cache that cannot be written: torch does the same
    word, pointer = ctypes.c_long, ctypes.c_void_p
    found.stacked_run.argtypes = [pointer, pointer, pointer, word, word, ctypes.c_int]
    found.stacked_back.argtypes = [pointer, pointer, pointer, pointer, pointer, word, word, ctypes.c_int]
    return found


def run(samples: Tensor, bias: Tensor, noise: Tensor, w: StackedWeights) -> None:
    """Fill in the path; shapes as in stacked_kernel._run."""
    n_batch = samples.shape[3]
    wide, kicks = _whole_tiles(samples), _whole_tiles(noise)
    bias = bias.contiguous()
    stack = _stack(wide, bias, kicks, w)
    pointers = (ctypes.addressof(stack), wide.data_ptr(), kicks.data_ptr())
    _share_out(lambda first, stop: _kernel().stacked_run(*pointers, first, stop, w.activation == "relu"), wide, kicks)
    if wide is not samples:
        samples.copy_(wide[..., :n_batch])


def run_back(
    grad: Tensor, samples: Tensor, bias: Tensor, noise: Tensor, w: StackedWeights, *, of_bias: bool
) -> tuple[Tensor, Tensor | None]:
    """Gradients with respect to the samples and, if asked for, the bias; grad holds that of the path and may be changed."""
    n_nodes, n_batch = len(samples), samples.shape[3]
    wide, into, kicks = _whole_tiles(samples), _whole_tiles(grad), _whole_tiles(noise)
    bias = bias.contiguous()
    stack = _stack(wide, bias, kicks, w)
    sums = grad.new_zeros(n_nodes * wide.shape[3] // LANES, bias.shape[2]) if of_bias else None
    pointers = (ctypes.addressof(stack), wide.data_ptr(), kicks.data_ptr(), into.data_ptr())
    to_bias = None if sums is None else sums.data_ptr()
    _share_out(
        lambda first, stop: _kernel().stacked_back(*pointers, to_bias, first, stop, w.activation == "relu"), wide, kicks
    )
    grad_bias = None if sums is None else sums.view(n_nodes, -1, bias.shape[2]).sum(1, keepdim=True)
    return into[..., :n_batch], grad_bias


def _kernel() -> Any:
    found = library()
    assert found is not None  # usable() was asked
    return found


def _whole_tiles(tensor: Tensor) -> Tensor:
    """Contiguous, the batch filled up with zeros to whole tiles."""
    return pad(tensor, (0, -tensor.shape[-1] % LANES)).contiguous()


@dataclass(frozen=True, slots=True, eq=False)
class _Pointers:
    """What the kernel is told of weights, and what must live as long."""

    addresses: dict[str, int]
    kept: tuple[object, ...]


_told: WeakKeyDictionary[StackedWeights, _Pointers] = WeakKeyDictionary()


def _pointers(w: StackedWeights) -> _Pointers:
    """Made once: short runs, a step of a recurrent network, would take longer to prepare than to run."""
    if w not in _told:
        tensors = {
            "window_in": w.window_in.mT,
            "window_back": w.window_in,
            "out": w.out_weight.mT,
            "out_back": w.out_weight,
            "out_bias": w.out_bias,
            "scale": w.noise_scale,
            "floor": w.noise_floor,
        }
        inner = {
            "inner": [weight.mT for weight in w.inner_weights],
            "turned": w.inner_weights,
            "inner_bias": w.inner_biases,
        }
        kept = {name: tensor.contiguous() for name, tensor in tensors.items()}
        parts = {name: [part.contiguous() for part in every] for name, every in inner.items()}
        lists = {name: (ctypes.c_void_p * max(len(p), 1))(*(one.data_ptr() for one in p)) for name, p in parts.items()}
        widths = (ctypes.c_long * len(w.widths))(*(width // 2 for width in w.widths))
        addresses = {name: tensor.data_ptr() for name, tensor in kept.items()}
        addresses |= {name: ctypes.addressof(one) for name, one in lists.items()}
        addresses["widths"] = ctypes.addressof(widths)
        _told[w] = _Pointers(addresses, (kept, parts, lists, widths))
    return _told[w]


def _stack(samples: Tensor, bias: Tensor, noise: Tensor, w: StackedWeights) -> _Stack:
    """For one call; bias contiguous."""
    n_nodes, n_time, _, n_batch = samples.shape
    sizes = (n_nodes, n_time, len(noise), n_batch, w.n_window, 1 + len(w.inner_weights))
    return _Stack(*sizes, bias_in=bias.data_ptr(), **_pointers(w).addresses)


def _share_out(work: Callable[[int, int], int], samples: Tensor, noise: Tensor) -> None:
    """All tiles, over as many threads as torch may use; ctypes lets go of the interpreter meanwhile."""
    n_tiles = len(samples) * samples.shape[3] // LANES
    n_threads = max(1, min(torch.get_num_threads(), n_tiles, n_tiles * len(noise) // _WORTH_A_THREAD))
    edges = [n_tiles * number // n_threads for number in range(n_threads + 1)]
    failed: list[int] = []

    def part(first: int, stop: int) -> None:
        if work(first, stop):
            failed.append(first)

    others = [threading.Thread(target=part, args=pair) for pair in pairwise(edges[1:])]
    for thread in others:
        thread.start()
    part(edges[0], edges[1])
    for thread in others:
        thread.join()
    if failed:
        raise MemoryError("no memory for the activations of a step")


def _compiled(compiler: str) -> Path:
    """The library in the cache, compiled if it is not there yet."""
    source = _SOURCE.read_bytes()
    version = subprocess.run(
        [compiler, "--version"], capture_output=True, timeout=_COMPILE_TIMEOUT_S, check=True
    ).stdout
    name = hashlib.sha256(b"\0".join((source, version, " ".join(_FLAGS).encode(), _processor()))).hexdigest()[:24]
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "labctl"
    target = folder / f"stacked_kernel-{name}.so"
    if target.exists():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as partial:  # other processes see nothing half written
        made = Path(partial) / target.name
        command = [compiler, *_FLAGS, "-o", str(made), str(_SOURCE)]
        subprocess.run(command, capture_output=True, timeout=_COMPILE_TIMEOUT_S, check=True)
        made.replace(target)
    return target


def _processor() -> bytes:
    """What -march=native depends on."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    kinds = sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))})
    return "\n".join((platform.machine(), platform.processor(), *kinds)).encode()
