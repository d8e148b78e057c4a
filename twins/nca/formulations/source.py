"""The C text of one spec: its sizes and its kernels as constants, before cells.c, steps.c and steps_back.c."""

from __future__ import annotations

import functools
from pathlib import Path

from twins.nca.kernels import KERNELS
from twins.nca.spec import NcaSpec

_FILES = ("cells.c", "steps.c", "steps_back.c")
_SYSTEM = "#define _GNU_SOURCE"
_SMALL_BLOCK_ROWS = 160
"""Rows of features, hidden units and their gradients above which a block of cells is as short as it can be."""


def stored_features(spec: NcaSpec) -> tuple[str, ...]:
    """The features of a channel as the kernel holds them: those of the spec, and the slopes that NORM is made of."""
    more = ("DX", "DY") if "NORM" in spec.features else ()
    return (*spec.features, *(name for name in more if name not in spec.features))


@functools.lru_cache(maxsize=256)
def source(spec: NcaSpec) -> str:
    """All of the text, the same for specs that differ in what is known only when it runs (padding, fire rate, sizes)."""
    folder = Path(__file__).parent
    parts = (folder.joinpath(name).read_text(encoding="utf-8") for name in _FILES)
    return "\n".join((_SYSTEM, _constants(spec), *_with_kernels(spec, next(parts)), *parts))


def _constants(spec: NcaSpec) -> str:
    stored = stored_features(spec)
    n_features, hidden = len(stored) * spec.n_seen_channels, spec.hidden
    rows = 2 * n_features + 2 * sum(hidden) + 3 * spec.n_channels
    numbers = {
        "N_CHANNELS": spec.n_channels,
        "N_OBSERVED": spec.n_observed,
        "N_ENVIRONMENT": spec.n_environment,
        "N_SEEN": spec.n_seen_channels,
        "N_KERNELS": len(stored),
        "N_LINEAR": len(_linear(spec)),
        "N_FEATURES": n_features,
        "N_HIDDEN": hidden[0],
        "N_SECOND": hidden[1] if len(hidden) == 2 else 0,
        "GATED": int(spec.gated),
        "CLIP": int(spec.bounds == "clip"),
        "TILES": 2 if rows <= _SMALL_BLOCK_ROWS else 1,
    }
    lines = ["#define LINEAR 0", "#define RELU 1", "#define TANH 2", "#define SWISH 3"]
    lines += [f"#define {name} {value}" for name, value in numbers.items()]
    return "\n".join((*lines, f"#define ACTIVATION {spec.activation.upper()}"))


def _linear(spec: NcaSpec) -> list[str]:
    """Features whose gradients go to neighbours."""
    return [name for name in stored_features(spec) if name not in ("ID", "NORM")]


def _with_kernels(spec: NcaSpec, cells: str) -> tuple[str, str, str]:
    """cells.c, with see() between its vectors and perceive(), which calls it."""
    before, mark, after = cells.partition("/* The nine neighbours")
    return before, _see(spec), mark + after


def _see(spec: NcaSpec) -> str:
    stored, linear = stored_features(spec), _linear(spec)
    see, back, receive = [], [], []
    for number, name in enumerate(stored):
        here = f"out[{number} * VECTORS]"
        if name != "NORM":
            see.append(f"{here} = {_weighted(name, 'taps[{}]')};")
    if "NORM" in stored:
        dx, dy, norm = (f"[{stored.index(name)} * VECTORS]" for name in ("DX", "DY", "NORM"))
        see.append(f"out{norm} = root(out{dx} * out{dx} + out{dy} * out{dy} + 1e-12f);")
    for number, name in enumerate(linear):
        own = f"g[{stored.index(name)} * VECTORS]"
        if "NORM" in stored and name in ("DX", "DY"):
            slope = f"[{stored.index(name)} * VECTORS]"
            # beyond the edges of a block features are zero, and so is their norm
            own += f" + g{norm} * f{slope} / (f{norm} + zero_where(f{norm} == 0.0f))"
        back.append(f"sent[{number}] = {own};")
        there = f"load(at + {number} * plane + ({{}} - 1) * stride + {{}} - 1)"
        receive.append(f"*sum += {_weighted(name, there, turned=True)};")
    if "ID" in stored:
        back.append(f"*straight = g[{stored.index('ID')} * VECTORS];")
    return f"""
ONLY_INLINE vec root(vec x)
{{
    float *lanes = (float *)&x;
    for (int lane = 0; lane < LANES; lane++) lanes[lane] = __builtin_sqrtf(lanes[lane]);
    return x;
}}
ONLY_INLINE vec zero_where(ivec where) {{ return choose(where, all(1.0f), all(0.0f)); }}
ONLY_INLINE void see(const vec *taps, vec *out) {{ {" ".join(see)} }}
ONLY_INLINE void see_back(const vec *g, MAYBE_UNUSED const vec *f, vec *sent, vec *straight) {{ {" ".join(back)} }}
ONLY_INLINE void receive(const float *at, long plane, long stride, vec *sum) {{ {" ".join(receive)} }}
"""


def _weighted(name: str, tap: str, *, turned: bool = False) -> str:
    """Σ weight·neighbour, neighbours of equal weight added up first. turned: the adjoint, for row and column of the tap."""
    groups: dict[float, list[str]] = {}
    for row in range(3):
        for column in range(3):
            weight = KERNELS[name][row][column]
            place = tap.format(2 - row, 2 - column) if turned else tap.format(3 * row + column)
            if weight:
                signs = groups.setdefault(abs(weight), [])
                signs.append(("- " if weight < 0 else "+ " if signs else "") + place)
    return " + ".join(f"(float){weight!r} * ({' '.join(places)})" for weight, places in groups.items())
