"""Which formulation an automaton goes by, and what it went by, for records of how something came about."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal, get_args
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from twins.errors import AutomatonInvalid
from twins.nca.formulations import by_torch, native

if TYPE_CHECKING:
    from twins.nca.automaton import Automaton

Formulation = Literal["auto", "plain", "folded", "sliced", "native"]
FORMULATIONS: tuple[Formulation, ...] = get_args(Formulation)

Advance = Callable[
    ["Automaton", Tensor, Tensor, Sequence[Tensor | None], Tensor | None],
    tuple[Tensor, Tensor],
]
"""(automaton, state, overshoot, which cells fire in each step, conditions) -> state and overshoot after those steps."""

_ADVANCE: dict[Formulation, Advance] = {
    "plain": by_torch.plain,
    "folded": by_torch.folded,
    "sliced": by_torch.sliced,
    "native": native.advance,
}
_used: WeakKeyDictionary[Automaton, dict[Formulation, str]] = WeakKeyDictionary()


_WORTH_COMPILING = 4_096
"""Cell-steps of a call below which torch takes some milliseconds as well. Told by the call alone, not by what was run before:
the same call gives the same numbers."""


def chosen(
    automaton: Automaton, state: Tensor, conditions: Tensor | None, n_steps: int, asked: Formulation
) -> Formulation:
    """The formulation of this name; for "auto" the fastest one for this automaton, state and whether gradients are taken.

    Raises AutomatonInvalid for a name that is unknown or for a formulation that cannot do this.
    """
    if asked not in FORMULATIONS:
        raise AutomatonInvalid(f"formulation must be one of {', '.join(FORMULATIONS)}, not {asked!r}")
    reason = "" if asked == "plain" else _why_not(automaton, state, asked)
    if reason:
        raise AutomatonInvalid(f"formulation {asked!r} cannot be used here: {reason}; ask for 'auto'")
    name, why = fastest(automaton, state, conditions, n_steps) if asked == "auto" else (asked, "asked for")
    _used.setdefault(automaton, {}).setdefault(name, why)
    return name


def advance_by(formulation: Formulation) -> Advance:
    """What takes the steps; formulation: as chosen()."""
    return _ADVANCE[formulation]


def fastest(automaton: Automaton, state: Tensor, conditions: Tensor | None, n_steps: int) -> tuple[Formulation, str]:
    """(name, why this one), by what benchmarks/nca_speed.py measured: the compiled kernel several times faster than any in
    torch; of those the folded one without gradients, the sliced one with them."""
    if not _as_written(automaton):
        return "plain", "its steps are its own"
    few = state[:, 0].numel() * n_steps < _WORTH_COMPILING
    reason = "not worth it for so few cells and steps" if few else native.why_not(automaton, state)
    if not reason:
        return "native", "the fastest wherever it can be used"
    tensors = (state, *automaton.parameters(), *(() if conditions is None else (conditions,)))
    gradients = torch.is_grad_enabled() and any(one.requires_grad for one in tensors)
    if not gradients and "NORM" not in automaton.spec.features and automaton.spec.order == 1:
        return "folded", f"the fastest of torch's without gradients; native: {reason}"
    return "sliced", f"the fastest of torch's here; native: {reason}"


def in_words(automaton: Automaton) -> str:
    """Which formulations this automaton went by so far, and why."""
    used = _used.get(automaton)
    return "not used" if not used else "; ".join(f"{name} ({why})" for name, why in used.items())


def _why_not(automaton: Automaton, state: Tensor, asked: str) -> str:
    if asked == "auto":
        return ""
    if not _as_written(automaton):
        return "this class of automaton has steps of its own"
    if asked == "folded" and "NORM" in automaton.spec.features:
        return "the gradient's norm is no kernel"
    return native.why_not(automaton, state) if asked == "native" else ""


def _as_written(automaton: Automaton) -> bool:
    """Whether a step is what Automaton says: a subclass may do something else."""
    from twins.nca.automaton import Automaton as Written

    return all(
        getattr(type(automaton), name) is getattr(Written, name)
        for name in ("step", "changed", "update", "answer", "bounded")
    )
