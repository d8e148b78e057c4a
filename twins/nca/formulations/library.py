"""The compiled kernel of a spec: compiled at first use, kept between runs, never needed.

As the kernels of twins.goku.compiled: cc, gcc or clang; $XDG_CACHE_HOME or ~/.cache, folder labctl; LABCTL_NATIVE=0 switches
it off. Where there is none, automata go by torch.
"""

from __future__ import annotations

import ctypes
import functools
import os
from dataclasses import dataclass
from typing import Any

from twins.goku.compiled.library import NoLibrary, load
from twins.nca.formulations.source import source, stored_features
from twins.nca.spec import NcaSpec

_MOST_WEIGHTS = 1 << 16
"""Of the first layer: beyond, blocks of cells and sums no longer fit into the caches, and torch's products are as fast."""


@dataclass(frozen=True, slots=True, eq=False)
class Kernel:
    """forward, back, large_pages: as in steps.c and steps_back.c. wide_rows: of the tiles of matrices. block: cells.
    n_sums: of weights. n_sent: planes of gradients on their way to neighbours. lanes: cells in a vector."""

    forward: Any
    back: Any
    large_pages: Any
    wide_rows: int
    block: int
    n_sums: int
    n_sent: int
    lanes: int


def kernel_of(spec: NcaSpec) -> Kernel | str:
    """The kernel, or why there is none; compiles it at the first question, which takes some seconds."""
    if os.environ.get("LABCTL_NATIVE") == "0":
        return "switched off by LABCTL_NATIVE=0"
    if spec.hidden[0] * len(stored_features(spec)) * spec.n_seen_channels > _MOST_WEIGHTS:
        return f"the first layer has more than {_MOST_WEIGHTS} weights"
    return _kernel(source(spec))


@functools.cache
def _kernel(text: str) -> Kernel | str:
    try:
        library = load(text)
        word, pointer = ctypes.c_long, ctypes.c_void_p
        library.nca_forward.argtypes = [pointer, word, word]
        library.nca_back.argtypes = [pointer, word, word, pointer]
        library.nca_large_pages.argtypes = [pointer, word]
        layout = (ctypes.c_long * 5)()
        library.nca_layout(layout)
    except (NoLibrary, AttributeError) as error:
        return str(error)
    return Kernel(library.nca_forward, library.nca_back, library.nca_large_pages, *layout)
