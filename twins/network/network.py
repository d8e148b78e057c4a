"""PhysicalNetwork: a Wiring on twins, differentiable through time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, cast

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from twins.network.layer_parameters import LayerParameters
from twins.network.ports import Array, DevicePort, WiringError
from twins.network.readout import Readout
from twins.network.trained_conditions import TrainedConditions
from twins.network.wiring import Wiring


class NodeStack(Protocol):
    """Several nodes that answer at once; twins.StackedTwins is one, and can go on from a state as well."""

    def respond(self, drive: Tensor, *, generator: torch.Generator) -> Tensor:
        """drive (line, batch, time) -> response (sense, batch, time), with fresh noise from the generator."""


StackMaker = Callable[[Sequence[Any]], NodeStack]


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """What the bench answered in one layer, to take the place of its twins.

    features (trial, step, sense, sample), as Wiring.features_of gives them: the layer is not simulated, and no gradient
    flows through it. With response (sense, trial, time), all samples in response units: the values are the bench's, the
    gradient is that of the twins along the measured path (physics-aware training, Wright et al., Nature 601:549, 2022,
    here with the device's memory).
    """

    features: Array
    response: Array | None = None


class PhysicalNetwork(nn.Module):
    """The nodes of a wiring, played by twins. Trainable: W_in, W, gain and bias of every layer, and `conditions`.

    twins: device name -> DeviceTwin, or TwinEnsemble: then every pass takes a member at random, one for each device.
    conditions: those to be trained, each within (low, high); all others are held at `wiring.conditions`.
    stack: what joins several twins (default twins.StackedTwins under the wiring's conditions). dtype: of the parameters.
    The twins stay frozen. Raises WiringError if a device of the wiring has no twin, its drive ranges exceed the fitted
    ones, or a condition cannot be trained.

    watch_excursion: whether passes work out `excursion`: how far responses went beyond what the twins were fitted on, as
    the mean over samples of all simulated layers of the squared excess in half-widths of the fitted range (0 inside), with
    its gradient.
    """

    conditions: TrainedConditions

    def __init__(
        self,
        wiring: Wiring,
        twins: Mapping[str, Any],
        *,
        conditions: Mapping[str, tuple[float, float]] | None = None,
        stack: StackMaker | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        missing = sorted({port.name for port in wiring.ports} - set(twins))
        if missing:
            raise WiringError(f"no twin for device(s) {missing}; twins are given for {sorted(twins)}")
        self._members = {port.name: _members_of(twins[port.name]) for port in wiring.ports}
        for port in wiring.ports:
            for member in self._members[port.name]:
                _check_port(port, member)
        self._template = wiring
        self._make = stack_under(wiring.conditions) if stack is None else stack
        every = range(len(wiring.layers))
        self.blocks = [tuple(every)] if wiring.recurrent else [(index,) for index in every]
        """Layers that are live at once."""
        self._stacks: dict[tuple[int, ...], list[NodeStack]] = {}
        self.layers = nn.ModuleList(LayerParameters(wiring, index, dtype) for index in every)
        self.conditions = TrainedConditions(conditions or {}, wiring, self._members, dtype)
        self.watch_excursion = False
        self.excursion = torch.zeros(())
        self.stacks_of((0,) * len(self._members))

    @property
    def template(self) -> Wiring:
        """The wiring that it began from: everything but the numbers still holds."""
        return self._template

    def forward(
        self,
        inputs: Float[Tensor, "trial step input"],
        generator: torch.Generator,
        *,
        truncate_steps: int | None = None,
        checkpoint_steps: int | None = None,
        measured: Mapping[int, Measured] | None = None,
    ) -> Float[Tensor, "trial step feature"]:
        """Features of every step, in the order of `flat_features`, with fresh noise from the generator.

        truncate_steps: the gradient is cut every so many steps. checkpoint_steps: activations are kept for so many
        steps only, and computed again, with the same noise, on the way back: memory for time. measured: by layer, what
        the bench answered.
        """
        from twins.network.network_pass import run_pass  # it needs this class

        features = run_pass(
            self, inputs, generator, truncate_steps=truncate_steps, checkpoint_steps=checkpoint_steps, measured=measured
        )
        trials, steps = inputs.shape[:2]
        return torch.cat([part.permute(1, 2, 0, 3).reshape(trials, steps, -1) for part in features], dim=-1)

    def as_inputs(self, inputs: Array) -> Float[Tensor, "trial step input"]:
        """A task's inputs as a tensor of the network's type, on its device."""
        parameter = self.layer(0).bias
        return torch.as_tensor(inputs, dtype=parameter.dtype, device=parameter.device)

    def layer(self, index: int) -> LayerParameters:
        """The trainable arrays of one layer."""
        return cast(LayerParameters, self.layers[index])

    def drives(
        self, inputs: Float[Tensor, "trial step input"], generator: torch.Generator
    ) -> list[Float[Tensor, "line trial time"]]:
        """What every layer is driven with in one noisy pass, for inspection."""
        from twins.network.network_pass import run_pass

        drives: list[Tensor] = []
        run_pass(self, inputs, generator, drives=drives)
        return drives

    def wiring(self, readout: Readout | None = None) -> Wiring:
        """The present parameters as plain arrays, with a read-out if one is given."""
        layers = tuple(self.layer(index).export() for index in range(len(self.layers)))
        held = {**self._template.conditions, **self.conditions.plain()}
        return replace(self._template, layers=layers, readout=readout, conditions=held)

    def draw_members(self, generator: torch.Generator) -> tuple[int, ...]:
        """Which member of its ensemble stands for each device in a pass."""
        return tuple(
            int(torch.randint(len(members), (), generator=generator, device=generator.device))
            if len(members) > 1
            else 0
            for members in self._members.values()
        )

    def stacks_of(self, choice: tuple[int, ...]) -> list[NodeStack]:
        """The stack of every block with these members; made once, for packing takes its time."""
        if choice not in self._stacks:
            chosen = {
                device: members[number] for (device, members), number in zip(self._members.items(), choice, strict=True)
            }
            if len(self._stacks) >= _MOST_STACKS:
                self._stacks.pop(next(iter(self._stacks)))
            self._stacks[choice] = [
                self._make([chosen[device] for index in block for device in self._template.layers[index].devices])
                for block in self.blocks
            ]
        return self._stacks[choice]

    def fitted_responses(self, block: tuple[int, ...]) -> Tensor | None:
        """(sense, 2) of a block, the range that all members of each device were fitted on; None where nobody knows."""
        rows = []
        for index in block:
            for device in self._template.layers[index].devices:
                known = [getattr(member, "response_range", None) for member in self._members[device]]
                if any(one is None for one in known):
                    return None
                both = torch.stack(cast(list[Tensor], known))
                rows.append(torch.stack((both[..., 0].amax(0), both[..., 1].amin(0)), dim=-1))
        return torch.cat(rows)


_MOST_STACKS = 64
"""Combinations of ensemble members that are kept packed."""


def _members_of(twin: Any) -> tuple[Any, ...]:
    """Of an ensemble its members, else the twin itself."""
    members = getattr(twin, "members", None)
    return tuple(members) if members is not None else (twin,)


def _check_port(port: DevicePort, twin: Any) -> None:
    """A port has the twin's channels, and a twin that knows the range it was fitted on must cover the port's."""
    spec = getattr(twin, "spec", None)
    if spec is not None and (len(port.drives), len(port.senses)) != (spec.n_drive, spec.n_response):
        raise WiringError(
            f"device {port.name!r}: its port has {len(port.drives)} drives and {len(port.senses)} responses, its twin "
            f"{spec.n_drive} and {spec.n_response}"
        )
    fitted = getattr(twin, "drive_range", None)
    if fitted is None:
        return
    for channel, line in enumerate(port.drives):
        low, high = (float(edge) for edge in np.asarray(fitted).reshape(-1, 2)[channel])
        lowest, highest = line.range
        slack = 1e-5 * (high - low)
        if lowest < low - slack or highest > high + slack:
            raise WiringError(
                f"device {port.name!r}: the network would drive it over {lowest:g}..{highest:g}, its twin was fitted on "
                f"{low:g}..{high:g}; narrow the port's range or fit the twin on wider excitations"
            )


def default_stack(twins: Sequence[Any]) -> NodeStack:
    """All twins of a block evaluated together by twins.StackedTwins."""
    import twins as package

    return cast(NodeStack, package.StackedTwins(twins))


def stack_under(conditions: Mapping[str, float]) -> StackMaker:
    """The default stack for twins that were fitted at several values of conditions, held at these; others ignore them.

    Raises (when stacking) TracesInvalid for a condition that a twin needs and that is not among them.
    """

    def make(twins: Sequence[Any]) -> NodeStack:
        import twins as package

        held = [{name: conditions[name] for name in twin.spec.condition_names if name in conditions} for twin in twins]
        return cast(NodeStack, package.StackedTwins(twins, conditions=held))

    return make
