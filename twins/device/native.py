"""The kernel of stacked twins in C, several times faster on a CPU: compiled at first use, never needed.

Where a C compiler is found (cc, gcc or clang), stacked_kernel.c is compiled for this machine and kept in the user's cache
folder ($XDG_CACHE_HOME or ~/.cache, folder labctl); without one, or with LABCTL_NATIVE=0, all goes by torch. Results are
equal to rounding. Only float32 on a CPU takes this way. Tiles of nodes and trials are shared out over
torch.get_num_threads() threads; numbers do not depend on how many. Longer runs leave the calling thread waiting, so that it
hears signals, as Ctrl-C; they stop at the next look of the kernel, and own what they write until then.
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
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from torch.nn.functional import pad

from twins.library_folder import is_kept, keep, library_folder

if TYPE_CHECKING:
    from twins.device.stacked_kernel import StackedWeights

LANES = 16
_SOURCE = Path(__file__).with_name("stacked_kernel.c")
_FLAGS = (
    "-O3", "-march=native", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math", "-shared", "-fPIC",
)  # fmt: skip
_COMPILE_TIMEOUT_S = 60.0
_WORTH_A_THREAD = 2_000
"""Tile-steps below which sharing out costs more than it gains; they take some milliseconds."""
_STOPPED = 2
"""What the kernel says when it was told to stop."""


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


def library() -> Any | None:
    """The compiled kernel, or None where there is none; see why_not."""
    return _found()[0]


def why_not() -> str:
    """Why there is no compiled kernel; empty where there is one."""
    return _found()[1]


def in_words() -> str:
    """Which kernel stacked twins have used so far, for records of how something came about; compiles nothing."""
    if not _found.cache_info().currsize:
        return "not used"
    return "compiled" if library() is not None else f"torch ({why_not()})"


@functools.cache
def _found() -> tuple[Any | None, str]:
    """The kernel, or why there is none. It is never needed: whatever goes wrong here, torch does the same."""
    if os.environ.get("LABCTL_NATIVE") == "0":
        return None, "switched off by LABCTL_NATIVE=0"
    compiler = next((path for name in ("cc", "gcc", "clang") if (path := shutil.which(name))), None)
    if os.name != "posix" or compiler is None:
        return None, "no C compiler (cc, gcc or clang) found"
    try:
        found = ctypes.CDLL(str(_compiled(compiler)))
        word, pointer = ctypes.c_long, ctypes.c_void_p
        found.stacked_run.argtypes = [pointer, pointer, pointer, word, word, ctypes.c_int, pointer]
        found.stacked_back.argtypes = [pointer, pointer, pointer, pointer, pointer, word, word, ctypes.c_int, pointer]
    except subprocess.CalledProcessError as error:  # an old compiler
        return None, f"{error}: {error.stderr.decode(errors='replace').strip()[:500]}"
    # a cache that cannot be written, read or trusted, no home folder to keep one in, a library that is not ours
    except (OSError, RuntimeError, AttributeError, subprocess.SubprocessError) as error:
        return None, f"{type(error).__name__}: {error}"
    return found, ""


def run(samples: Tensor, bias: Tensor, noise: Tensor, w: StackedWeights) -> None:
    """Fill in the path; shapes as in stacked_kernel._run."""
    n_batch = samples.shape[3]
    wide, kicks = _whole_tiles(samples), _whole_tiles(noise)
    stack = _Stacked.of(wide, bias.contiguous(), kicks, w)
    _share_out(_Job(_kernel().stacked_run, stack, (wide, kicks), w.activation == "relu"), wide, kicks)
    if wide is not samples:
        samples.copy_(wide[..., :n_batch])


def run_back(
    grad: Tensor, samples: Tensor, bias: Tensor, noise: Tensor, w: StackedWeights, *, of_bias: bool
) -> tuple[Tensor, Tensor | None]:
    """Gradients with respect to the samples and, if asked for, the bias; grad holds that of the path and may be changed."""
    n_nodes, n_batch = len(samples), samples.shape[3]
    wide, into, kicks = _whole_tiles(samples), _whole_tiles(grad), _whole_tiles(noise)
    stack = _Stacked.of(wide, bias.contiguous(), kicks, w)
    sums = grad.new_zeros(n_nodes * wide.shape[3] // LANES, bias.shape[2]) if of_bias else None
    job = _Job(_kernel().stacked_back, stack, (wide, kicks, into, sums), w.activation == "relu")
    _share_out(job, wide, kicks)
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
    """What the kernel is told of weights, and what must live as long. versions: of the weights that this was made of."""

    addresses: dict[str, int]
    kept: tuple[object, ...]
    versions: tuple[int, ...] | None


_told: WeakKeyDictionary[StackedWeights, _Pointers] = WeakKeyDictionary()


def _pointers(w: StackedWeights) -> _Pointers:
    """Made once until weights are changed in place: short runs, a step of a recurrent network, would take longer to prepare
    than to run."""
    known, versions = _told.get(w), _versions(w)
    if known is None or known.versions is None or known.versions != versions:
        _told[w] = known = _gathered(w, versions)
    return known


def _versions(w: StackedWeights) -> tuple[int, ...] | None:
    """How often each was changed in place; None where torch does not count, in inference mode."""
    every = (w.window_in, *w.inner_weights, *w.inner_biases, w.out_weight, w.out_bias, w.noise_scale, w.noise_floor)
    return None if any(one.is_inference() for one in every) else tuple(one._version for one in every)


def _gathered(w: StackedWeights, versions: tuple[int, ...] | None) -> _Pointers:
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
    return _Pointers(addresses, (kept, parts, lists, widths), versions)


@dataclass(frozen=True, slots=True, eq=False)
class _Stacked:
    """What the kernel is told, for one call, and what must live as long."""

    told: _Stack
    kept: tuple[object, ...]

    @classmethod
    def of(cls, samples: Tensor, bias: Tensor, noise: Tensor, w: StackedWeights) -> _Stacked:
        """bias: contiguous."""
        n_nodes, n_time, _, n_batch = samples.shape
        sizes = (n_nodes, n_time, len(noise), n_batch, w.n_window, 1 + len(w.inner_weights))
        weights = _pointers(w)
        return cls(_Stack(*sizes, bias_in=bias.data_ptr(), **weights.addresses), (bias, weights))


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    """A function of the kernel with all memory that it reads and writes: whoever may still call it must hold the job."""

    function: Callable[..., int]
    stack: _Stacked
    tensors: tuple[Tensor | None, ...]
    relu: bool
    stop: ctypes.c_int = field(default_factory=ctypes.c_int)

    def tiles(self, first: int, end: int) -> None:
        """Work on these tiles until they are done or the job is to stop."""
        places = (None if tensor is None else tensor.data_ptr() for tensor in self.tensors)
        told, stop = ctypes.addressof(self.stack.told), ctypes.addressof(self.stop)
        if self.function(told, *places, first, end, self.relu, stop) not in (0, _STOPPED):
            raise MemoryError("no memory for the activations of a step")


def _share_out(job: _Job, samples: Tensor, noise: Tensor) -> None:
    """All tiles, over as many threads as torch may use; ctypes lets go of the interpreter meanwhile.

    What is raised here meanwhile, by a signal, stops the threads and waits for them. A second signal may end the wait:
    a thread owns all that it writes.
    """
    n_tiles = len(samples) * samples.shape[3] // LANES
    n_parts = min(torch.get_num_threads(), n_tiles, n_tiles * len(noise) // _WORTH_A_THREAD)
    if n_parts < 1:
        job.tiles(0, n_tiles)
        return
    edges = [n_tiles * number // n_parts for number in range(n_parts + 1)]
    failed: list[BaseException] = []

    def part(first: int, end: int) -> None:
        try:
            job.tiles(first, end)
        except BaseException as error:  # noqa: BLE001 - raised by the thread that waits
            failed.append(error)

    threads = [threading.Thread(target=part, args=pair) for pair in pairwise(edges)]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    except BaseException:
        job.stop.value = 1
        raise
    finally:
        for thread in threads:
            if thread.is_alive():
                thread.join()
    if failed:
        raise failed[0]


def _compiled(compiler: str) -> Path:
    """The library in the cache, compiled if it is not there yet."""
    source = _SOURCE.read_bytes()
    version = subprocess.run(
        [compiler, "--version"], capture_output=True, timeout=_COMPILE_TIMEOUT_S, check=True
    ).stdout
    name = hashlib.sha256(b"\0".join((source, version, " ".join(_FLAGS).encode(), _processor()))).hexdigest()[:24]
    folder = library_folder()
    target = folder / f"stacked_kernel-{name}.so"
    if is_kept(target):
        return target
    with tempfile.TemporaryDirectory(dir=folder) as partial:  # other processes see nothing half written
        made = Path(partial) / target.name
        command = [compiler, *_FLAGS, "-o", str(made), str(_SOURCE)]
        subprocess.run(command, capture_output=True, timeout=_COMPILE_TIMEOUT_S, check=True)
        keep(made, target)
    return target


def _processor() -> bytes:
    """What -march=native depends on."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    kinds = sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))})
    return "\n".join((platform.machine(), platform.processor(), *kinds)).encode()
