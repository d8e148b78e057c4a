"""Turns and reflections: whether an automaton commutes with them, and automata that do so by construction.

An automaton with isotropic kernels (ID, LAP, AV, NORM, MOORE) commutes with quarter turns and reflections; one that sees
slopes (DIFF) need not. `symmetrised` makes it: its hidden units are averaged over the group, under which the slopes change
into one another (group averaging, as in Cohen and Welling, "Group equivariant convolutional networks", ICML 2016).

    measured = equivariance(automaton, states, n_steps=100)
    measured.largest, measured.turns["quarter turn"], measured.holds(1e-6)
    tied = symmetrised(automaton, group="D4")         # trains like any other
    tied.plain()                                      # the same rule as an ordinary automaton
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn

from twins.errors import AutomatonInvalid
from twins.nca.automaton import Automaton
from twins.nca.model import NcaModel
from twins.nca.spec import NcaSpec

Group = Literal["C4", "D4"]
GROUPS: tuple[Group, ...] = get_args(Group)
"""C4: the four quarter turns. D4: these and the four reflections."""

_AXES = (-2, -1)
TURNS: dict[str, Callable[[Tensor], Tensor]] = {
    "identity": lambda x: x,
    "quarter turn": lambda x: torch.rot90(x, 1, _AXES),
    "half turn": lambda x: torch.rot90(x, 2, _AXES),
    "three-quarter turn": lambda x: torch.rot90(x, 3, _AXES),
    "left-right": lambda x: x.flip(-1),
    "top-bottom": lambda x: x.flip(-2),
    "transpose": lambda x: x.transpose(-2, -1),
    "antitranspose": lambda x: torch.rot90(x, 2, _AXES).transpose(-2, -1),
}
"""The eight turns and reflections of a square, for anything that ends in (y, x)."""

_SLOPES: dict[Group, tuple[tuple[bool, float, float], ...]] = {
    "C4": ((False, 1, 1), (True, 1, -1), (False, -1, -1), (True, -1, 1)),
    "D4": tuple((swapped, sx, sy) for swapped in (False, True) for sx in (1.0, -1.0) for sy in (1.0, -1.0)),
}
"""What a turn makes of (dx, dy): whether they change places, and their signs afterwards."""


@dataclass(frozen=True, slots=True)
class Equivariance:
    """Largest difference between run(turn(x)) and turn(run(x)), over the largest value of run(x).

    turns: by turn or reflection (the identity is there and is 0). translations: by (rows, columns), empty unless the
    padding is periodic: nothing else can be the same when moved.
    """

    turns: dict[str, float]
    translations: dict[tuple[int, int], float]
    n_steps: int

    @property
    def largest(self) -> float:
        """Over all turns, reflections and translations."""
        return max((*self.turns.values(), *self.translations.values()))

    def holds(self, tolerance: float = 1e-6) -> bool:
        """Whether no difference is above the tolerance."""
        return self.largest <= tolerance


def equivariance(
    rule: Automaton | NcaModel,
    states: Float[Tensor, "batch channel y x"],
    *,
    n_steps: int,
    generator: torch.Generator | None = None,
    conditions: Float[Tensor, "batch condition"] | None = None,
    translations: Sequence[tuple[int, int]] = ((1, 0), (0, 1), (3, 5)),
) -> Equivariance:
    """Run the states and their turned, reflected and moved copies side by side, with the same cells firing.

    states: of all channels, in the automaton's units. generator: draws which cells fire, where not all do.
    Raises AutomatonInvalid for states that do not fit, or that run away.
    """
    automaton = rule.automaton if isinstance(rule, NcaModel) else rule
    automaton.check(states, conditions)
    moves: dict[str | tuple[int, int], Callable[[Tensor], Tensor]] = {}
    moves.update(TURNS.items())
    if automaton.spec.padding == "periodic":
        moves.update({shift: partial(torch.roll, shifts=shift, dims=_AXES) for shift in translations})
    with torch.no_grad():
        runs = {name: move(states).contiguous() for name, move in moves.items()}
        for _ in range(n_steps):
            fired = automaton.fired(states, generator)
            runs = {
                name: automaton.step(state, None if fired is None else moves[name](fired), conditions)
                for name, state in runs.items()
            }
    straight = runs["identity"]
    if not bool(torch.isfinite(straight).all()):
        raise AutomatonInvalid(
            f"the automaton ran away within {n_steps} steps, so that nothing can be compared: take fewer"
        )
    scale = max(float(straight.abs().max()), torch.finfo(straight.dtype).tiny)
    found = {name: float((run - moves[name](straight)).abs().max()) / scale for name, run in runs.items()}
    return Equivariance(
        {name: value for name, value in found.items() if isinstance(name, str)},
        {name: value for name, value in found.items() if not isinstance(name, str)},
        n_steps,
    )


class SymmetrisedAutomaton(Automaton):
    """An automaton that commutes with a group of turns, whatever kernels it sees through.

    Its hidden units are those of a free automaton under every turn of the slopes, averaged. So its rule is that of an
    ordinary automaton with as many times more hidden units, whose weights are tied; the free automaton's parameters are
    its only ones. With two layers and no gate this is the free rule averaged over the group.
    """

    def __init__(self, free: Automaton, *, group: Group = "D4") -> None:
        nn.Module.__init__(self)  # Automaton would draw weights; ours are those of `free`
        if group not in GROUPS:
            raise AutomatonInvalid(f"group must be one of {', '.join(GROUPS)}, not {group!r}")
        self.free = free
        self.group: Group = group
        wide = len(_SLOPES[group]) * free.spec.hidden_per_channel
        if wide > 64:
            raise AutomatonInvalid(
                f"{group} ties {wide} hidden units a channel, more than 64: take hidden_per_channel of at most "
                f"{64 // len(_SLOPES[group])}"
            )
        self.spec = replace(free.spec, hidden_per_channel=wide)
        turned = torch.stack([_turned_features(free.spec, turn) for turn in _SLOPES[group]])
        self.register_buffer("_order", turned.abs().long() - 1, persistent=False)
        self.register_buffer("_signs", turned.sign(), persistent=False)

    _order: Tensor
    _signs: Tensor

    @property
    def hidden_weights(self) -> tuple[Tensor, ...]:  # type: ignore[override]
        """Of the ordinary automaton: the first layer under every turn, the second one averaging."""
        first, *others = self.free.hidden_weights
        turned = first[:, self._order] * self._signs.to(first)  # (hidden, turn, feature)
        layers = (turned.transpose(0, 1).flatten(0, 1), *others)
        return layers if not others else (layers[0], self._averaging(others[0]), *others[1:])

    @property
    def condition_weight(self) -> Tensor:  # type: ignore[override]
        """The same for every turn."""
        return self.free.condition_weight.repeat(self._n_turns, 1)

    @property
    def out_weight(self) -> Tensor:  # type: ignore[override]
        """Averaging, where the hidden layer before it has been turned."""
        return self._last(self.free.out_weight)

    @property
    def out_bias(self) -> Tensor:  # type: ignore[override]
        """Of the free automaton."""
        return self.free.out_bias

    @property
    def gate_weight(self) -> Tensor:  # type: ignore[override]
        """Like out_weight."""
        return self._last(self.free.gate_weight)

    @property
    def gate_bias(self) -> Tensor:  # type: ignore[override]
        """Of the free automaton."""
        return self.free.gate_bias

    def plain(self) -> Automaton:
        """The same rule as an ordinary automaton: to save, to export. Trained further it need not stay symmetric."""
        made = Automaton(self.spec, generator=torch.Generator()).to(self.free.out_weight)
        with torch.no_grad():
            for parameter, value in zip(made.hidden_weights, self.hidden_weights, strict=True):
                parameter.copy_(value)
            for name in (
                "condition_weight",
                "out_weight",
                "out_bias",
                *(("gate_weight", "gate_bias") * self.spec.gated),
            ):
                getattr(made, name).copy_(getattr(self, name))
        return made

    @property
    def _n_turns(self) -> int:
        return len(_SLOPES[self.group])

    def _averaging(self, weight: Tensor) -> Tensor:
        return weight.repeat(1, self._n_turns) / self._n_turns

    def _last(self, weight: Tensor) -> Tensor:
        return self._averaging(weight) if self.spec.layers == 2 else weight


def symmetrised(automaton: Automaton, *, group: Group = "D4") -> SymmetrisedAutomaton:
    """The automaton averaged over quarter turns ("C4"), or over these and reflections ("D4"); it shares its parameters.

    Raises AutomatonInvalid for another group, or where that would be more than 64 hidden units a channel.
    """
    return SymmetrisedAutomaton(automaton, group=group)


def plain_automaton(automaton: Automaton) -> Automaton:
    """The automaton itself, or the ordinary one with the rule of a symmetrised one."""
    return automaton.plain() if isinstance(automaton, SymmetrisedAutomaton) else automaton


def _turned_features(spec: NcaSpec, turn: tuple[bool, float, float]) -> Float[Tensor, " feature"]:
    """Which feature stands where after a turn: its number from one on, with a sign."""
    swapped, *signs = turn
    names = spec.features
    order = []
    for name in names:
        if name in ("DX", "DY"):
            seen = {"DX": "DY", "DY": "DX"}[name] if swapped else name
            order.append((names.index(seen) + 1) * signs[("DX", "DY").index(name)])
        else:
            order.append(names.index(name) + 1.0)
    one = torch.tensor(order)
    places = one + one.sign() * len(names) * torch.arange(spec.n_seen_channels)[:, None]
    return places.flatten()
