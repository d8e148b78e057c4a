"""A neural cellular automaton: every cell looks at its neighbours and updates itself by one small network.

x ← x + σ ⊙ F(perceive(x)), with σ one draw of firing a cell (Richardson et al. 2024, doi 10.1371/journal.pcbi.1011589;
Mordvintsev et al., "Growing Neural Cellular Automata", Distill 2020).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from twins.errors import AutomatonInvalid
from twins.nca.formulations.choice import Formulation, advance_by, chosen
from twins.nca.perceive import perceive
from twins.nca.spec import NcaSpec

_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "linear": lambda x: x,
    "swish": nn.functional.silu,
    "tanh": torch.tanh,
}
_INITIAL_SD = 0.1
"""Of the first layer's weights; the last layer begins at zero, so that a new automaton changes nothing."""

_DRAWN_AT_ONCE = 256
"""Steps."""


@dataclass(frozen=True, slots=True)
class Unrolled:
    """Where some steps led. state: (batch, channel, y, x). overshoot: (batch,), the mean over the steps of
    Σ relu(-x) + relu(x - 1) over all cells and channels: the state regulariser of the publication."""

    state: Float[Tensor, "batch channel y x"]
    overshoot: Float[Tensor, " batch"]


class Automaton(nn.Module):
    """The automaton of a spec. States are (batch, channel, y, x), in any number of cells.

    generator: draws the initial weights (on the CPU).
    """

    def __init__(self, spec: NcaSpec, *, generator: torch.Generator) -> None:
        super().__init__()
        self.spec = spec
        widths = (spec.n_features, *spec.hidden)
        self.hidden_weights = nn.ParameterList(
            nn.Parameter(_INITIAL_SD * torch.randn(n_out, n_in, generator=generator))
            for n_in, n_out in pairwise(widths)
        )
        self.condition_weight = nn.Parameter(
            _INITIAL_SD * torch.randn(spec.hidden[0], spec.n_conditions, generator=generator)
        )
        self.out_weight = nn.Parameter(torch.zeros(spec.n_channels, widths[-1]))
        self.out_bias = nn.Parameter(torch.zeros(spec.n_channels))
        if spec.gated:
            self.gate_weight = nn.Parameter(torch.zeros(spec.n_channels, widths[-1]))
            self.gate_bias = nn.Parameter(torch.zeros(spec.n_channels))

    def initial_state(
        self,
        observed: Float[Tensor, "batch observed y x"],
        environment: Float[Tensor, "batch environment y x"] | None = None,
    ) -> Float[Tensor, "batch channel y x"]:
        """The observed channels, the environment, and hidden channels of zero. Raises AutomatonInvalid."""
        spec = self.spec
        if observed.ndim != 4 or observed.shape[1] != spec.n_observed:
            raise AutomatonInvalid(
                f"observed channels must be (batch, {spec.n_observed}, y, x), not {tuple(observed.shape)}"
            )
        n_given = 0 if environment is None else environment.shape[1]
        if n_given != spec.n_environment:
            raise AutomatonInvalid(f"the automaton has {spec.n_environment} environment channels, {n_given} were given")
        n_hidden = spec.n_channels - spec.n_observed - spec.n_environment
        hidden = observed.new_zeros(observed.shape[0], n_hidden, *observed.shape[2:])
        return torch.cat((observed, *(() if environment is None else (environment,)), hidden), dim=1)

    def update(
        self, features: Float[Tensor, "batch feature y x"], conditions: Float[Tensor, "batch condition"] | None = None
    ) -> Float[Tensor, "batch channel y x"]:
        """By how much each channel of each cell is to change."""
        hidden = torch.einsum("hf,bfyx->bhyx", self.hidden_weights[0], features)
        if conditions is not None:
            hidden = hidden + (conditions @ self.condition_weight.T)[:, :, None, None]
        return self.answer(hidden)

    @property
    def activation(self) -> Callable[[Tensor], Tensor]:
        """Of the hidden layers."""
        return _ACTIVATIONS[self.spec.activation]

    def answer(self, hidden: Float[Tensor, "batch hidden y x"]) -> Float[Tensor, "batch channel y x"]:
        """What the layers behind the first make of its units, before their activation."""
        hidden = self.activation(hidden)
        for weight in list(self.hidden_weights)[1:]:
            hidden = self.activation(torch.einsum("hf,bfyx->bhyx", weight, hidden))
        change = torch.einsum("ch,bhyx->bcyx", self.out_weight, hidden) + self.out_bias[:, None, None]
        if self.spec.gated:
            gate = torch.einsum("ch,bhyx->bcyx", self.gate_weight, hidden) + self.gate_bias[:, None, None]
            change = change * torch.sigmoid(gate)
        return change

    def step(
        self,
        state: Float[Tensor, "batch channel y x"],
        fired: Bool[Tensor, "batch 1 y x"] | None = None,
        conditions: Float[Tensor, "batch condition"] | None = None,
    ) -> Float[Tensor, "batch channel y x"]:
        """The state one step later. fired: which cells update; all of them if not given."""
        return self.changed(state, self.update(perceive(state, self.spec), conditions), fired)

    def changed(
        self,
        state: Float[Tensor, "batch channel y x"],
        change: Float[Tensor, "batch channel y x"],
        fired: Bool[Tensor, "batch 1 y x"] | None,
    ) -> Float[Tensor, "batch channel y x"]:
        """The state with its change: where cells fire, the environment left alone, within the bounds."""
        spec = self.spec
        if fired is not None:
            change = change * fired
        if spec.n_environment:
            fixed = slice(spec.n_observed, spec.n_observed + spec.n_environment)
            change = torch.cat((change[:, : fixed.start], 0.0 * change[:, fixed], change[:, fixed.stop :]), dim=1)
        return self.bounded(state + change)

    def bounded(self, state: Float[Tensor, "batch channel y x"]) -> Float[Tensor, "batch channel y x"]:
        """Observed channels kept in [0, 1] and hidden ones in [-1, 1], where the spec says so. Environment is left alone."""
        spec = self.spec
        if spec.bounds == "none":
            return state
        n_fixed = spec.n_observed + spec.n_environment
        observed, environment = state[:, : spec.n_observed], state[:, spec.n_observed : n_fixed]
        return torch.cat((observed.clamp(0.0, 1.0), environment, state[:, n_fixed:].clamp(-1.0, 1.0)), dim=1)

    def fired(
        self, state: Float[Tensor, "batch channel y x"], generator: torch.Generator | None
    ) -> Bool[Tensor, "batch 1 y x"] | None:
        """Draw which cells update in one step; None where all do. Every formulation draws like this, step by step."""
        if self.spec.fire_rate == 1.0:
            return None
        if generator is None:
            raise AutomatonInvalid(f"fire_rate {self.spec.fire_rate:g} draws which cells update: pass a generator")
        shape = (state.shape[0], 1, *state.shape[2:])
        return torch.rand(shape, generator=generator, device=generator.device).to(state.device) < self.spec.fire_rate

    def unroll(
        self,
        state: Float[Tensor, "batch channel y x"],
        n_steps: int,
        *,
        generator: torch.Generator | None = None,
        conditions: Float[Tensor, "batch condition"] | None = None,
        checkpoint_every: int | None = None,
        formulation: Formulation = "auto",
    ) -> Unrolled:
        """`n_steps` steps, differentiable in the state, the conditions and the weights.

        generator: draws which cells fire. checkpoint_every: keep only every so many states and compute the others again
        on the way back: memory for time. formulation: how to compute it, see twins.nca.formulations; the fastest if not said.
        Raises AutomatonInvalid for a state that does not fit, or for a formulation that cannot be used.
        """
        self.check(state, conditions)
        advance = advance_by(chosen(self, state, conditions, n_steps, formulation))
        overshoot = state.new_zeros(state.shape[0])
        # without gradients nothing is kept, so that the draws of a long run need not lie in memory all at once
        every = checkpoint_every or (n_steps if torch.is_grad_enabled() else _DRAWN_AT_ONCE)
        for start in range(0, n_steps, max(1, every)):
            masks = [self.fired(state, generator) for _ in range(min(every, n_steps - start))]
            if checkpoint_every is None:
                state, overshoot = advance(self, state, overshoot, masks, conditions)
            else:
                state, overshoot = checkpoint(advance, self, state, overshoot, masks, conditions, use_reentrant=False)
        return Unrolled(state, overshoot / max(1, n_steps))

    def trajectory(
        self,
        state: Float[Tensor, "batch channel y x"],
        n_steps: int,
        *,
        every: int = 1,
        generator: torch.Generator | None = None,
        conditions: Float[Tensor, "batch condition"] | None = None,
        formulation: Formulation = "auto",
    ) -> Iterator[Float[Tensor, "batch channel y x"]]:
        """The state after every `every` steps, without gradients, the initial state not among them."""
        self.check(state, conditions)
        with torch.no_grad():
            formulation = chosen(self, state, conditions, n_steps, formulation)
            for _ in range(n_steps // every):
                state = self.unroll(
                    state, every, generator=generator, conditions=conditions, formulation=formulation
                ).state
                yield state

    def check(self, state: Tensor, conditions: Tensor | None) -> None:
        """Raise AutomatonInvalid unless state and conditions fit this automaton."""
        spec = self.spec
        if state.ndim != 4 or state.shape[1] != spec.n_channels or 0 in state.shape:
            raise AutomatonInvalid(f"a state must be (batch, {spec.n_channels}, y, x), not {tuple(state.shape)}")
        wanted = (state.shape[0], spec.n_conditions)
        given = (state.shape[0], 0) if conditions is None else tuple(conditions.shape)
        if given != wanted:
            raise AutomatonInvalid(f"conditions must be (batch, condition) = {wanted}, not {given}")
