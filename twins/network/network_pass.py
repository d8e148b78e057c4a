"""One pass through a network: layer by layer over the whole series, or segment by segment in time.

Segments are needed where the gradient is truncated, where activations are kept for a while only, and where nodes listen
to each other: then a segment is one step, and all nodes are live at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from twins.network.layer_parameters import tapped
from twins.network.ports import WiringError

if TYPE_CHECKING:
    from twins.network.network import Measured, PhysicalNetwork


@dataclass(slots=True, eq=False)
class _Carried:
    """What a segment takes over from the one before: where each block stands, and each layer's last features,
    (sense, trial, delay, sample); the running sum of excursions."""

    states: list[Any]
    past: list[Tensor]
    excess: Tensor


def run_pass(
    network: PhysicalNetwork,
    inputs: Tensor,
    generator: torch.Generator,
    *,
    truncate_steps: int | None = None,
    checkpoint_steps: int | None = None,
    measured: Mapping[int, Measured] | None = None,
    drives: list[Tensor] | None = None,
) -> list[Tensor]:
    """Features (sense, trial, step, sample) of every layer; see PhysicalNetwork.forward. drives: to be filled."""
    for name, value in (("truncate_steps", truncate_steps), ("checkpoint_steps", checkpoint_steps)):
        if value is not None and value < 1:
            raise WiringError(f"{name} must be at least 1 step, not {value}")
    if 0 in inputs.shape[:2]:
        raise WiringError(f"a pass needs at least one trial of one step; the inputs are {tuple(inputs.shape)}")
    one = _Pass(network, inputs, generator, measured or {}, drives)
    return one.run(truncate_steps, checkpoint_steps)


class _Pass:
    def __init__(
        self,
        network: PhysicalNetwork,
        inputs: Tensor,
        generator: torch.Generator,
        measured: Mapping[int, Measured],
        drives: list[Tensor] | None,
    ) -> None:
        self._network, self._generator, self._wiring = network, generator, network.template
        self._n_trials, self._n_steps = inputs.shape[:2]
        self._layers = [network.layer(index) for index in range(len(network.layers))]
        self._tapped = [tapped(inputs, layer.source.input_taps) for layer in self._layers]
        self._measured = {index: _measured_of(network, index, one, inputs) for index, one in measured.items()}
        self._stacks = network.stacks_of(network.draw_members(generator))
        self._conditions = network.conditions.values()
        self._drives: list[list[Tensor]] | None = None if drives is None else [[] for _ in self._layers]
        self._into = drives
        fitted = network.watch_excursion
        self._fitted = [network.fitted_responses(block) if fitted else None for block in network.blocks]

    def run(self, truncate_steps: int | None, checkpoint_steps: int | None) -> list[Tensor]:
        """All segments, one after the other."""
        whole = not (truncate_steps or checkpoint_steps or self._wiring.recurrent or self._measured)
        carried = self._start(whole)
        if whole:
            features = self._segment(carried, 0, self._n_steps, self._generator)
        else:
            ends = self._n_steps if checkpoint_steps is None else checkpoint_steps
            parts = []
            for first in range(0, self._n_steps, ends):
                last = min(first + ends, self._n_steps)
                go = self._kept if checkpoint_steps is None else self._forgotten
                parts.append(go(carried, first, last, truncate_steps))
            features = [torch.cat(layer, dim=2) for layer in zip(*parts, strict=True)]
        if self._network.watch_excursion:
            n_senses = sum(len(layer.senses) for index, layer in enumerate(self._layers) if not self._taken(index))
            n_samples = self._n_trials * self._n_steps * self._wiring.samples_per_step
            self._network.excursion = carried.excess / max(n_senses * n_samples, 1)  # 0 of none
        if self._into is not None and self._drives is not None:
            self._into.extend(torch.cat(layer, dim=-1) for layer in self._drives)
        return features

    def _start(self, whole: bool) -> _Carried:
        """Stacks that only answer whole series start by themselves."""
        states: list[Any] = [None] * len(self._stacks)
        if not whole:
            options = {"conditions": self._conditions} if self._conditions else {}
            for number, stack in enumerate(self._stacks):
                if not hasattr(stack, "advance"):
                    raise WiringError(f"{type(stack).__name__} cannot go on from a state: it answers whole series only")
                states[number] = cast(Any, stack).start(self._n_trials, generator=self._generator, **options)
        like, past = self._layers[0].bias, []
        for layer in self._layers:
            shape = (len(layer.senses), self._n_trials, self._wiring.longest_delay, len(layer.offsets))
            past.append(like.new_zeros(shape))
        return _Carried(states, past, like.new_zeros(()))

    def _kept(self, carried: _Carried, first: int, last: int, truncate_steps: int | None) -> list[Tensor]:
        """first..last with its activations kept, in segments as long as may be."""
        return self._in_segments(carried, first, last, truncate_steps, self._generator)

    def _forgotten(self, carried: _Carried, first: int, last: int, truncate_steps: int | None) -> list[Tensor]:
        """The same computed again on the way back: from the same state with the same seed."""
        device = self._generator.device
        seed = int(torch.randint(2**62, (), generator=self._generator, device=device))
        before = list(carried.states)
        n_state = [len(state.tensors()) for state in before]
        if self._drives is not None:
            raise WiringError("drives are not kept where activations are computed again")

        def again(*flat: Tensor) -> tuple[Tensor, ...]:
            at, given = 0, []
            for state, n in zip(before, n_state, strict=True):
                given.append(state.with_tensors(flat[at : at + n]))
                at += n
            n_layers = len(self._layers)
            inner = _Carried(given, list(flat[at : at + n_layers]), flat[-1])
            generator = torch.Generator(device).manual_seed(seed)
            features = self._in_segments(inner, first, last, truncate_steps, generator)
            carried.states = inner.states  # what is no tensor of the gradient; the tensors are put in below
            states = [tensor for state in inner.states for tensor in state.tensors()]
            return (*states, *inner.past, inner.excess, *features)

        flat = [tensor for state in before for tensor in state.tensors()]
        flat += [*carried.past, carried.excess]
        keep = torch.is_grad_enabled()  # the noise of a seed is the same with and without gradients
        out = checkpoint(again, *flat, use_reentrant=False, preserve_rng_state=False) if keep else again(*flat)
        at, states = 0, []
        for state, n in zip(carried.states, n_state, strict=True):
            states.append(state.with_tensors(out[at : at + n]))
            at += n
        carried.states = states
        carried.past = list(out[at : at + len(self._layers)])
        carried.excess = out[at + len(self._layers)]
        return list(out[at + len(self._layers) + 1 :])

    def _in_segments(
        self, carried: _Carried, first: int, last: int, truncate_steps: int | None, generator: torch.Generator
    ) -> list[Tensor]:
        parts = []
        at = first
        while at < last:
            end = at + 1 if self._wiring.recurrent else last
            if truncate_steps is not None:
                end = min(end, (at // truncate_steps + 1) * truncate_steps)
            if truncate_steps is not None and at and at % truncate_steps == 0:
                carried.states = [state.detached() for state in carried.states]
                carried.past = [past.detach() for past in carried.past]
            parts.append(self._segment(carried, at, min(end, last), generator))
            at = min(end, last)
        return [torch.cat(layer, dim=2) for layer in zip(*parts, strict=True)]

    def _segment(self, carried: _Carried, first: int, last: int, generator: torch.Generator) -> list[Tensor]:
        """Features of the steps first..last; `carried` is brought to their end."""
        found: dict[int, Tensor] = {}
        for number, block in enumerate(self._network.blocks):
            taken = [index for index in block if self._taken(index)]
            if taken:
                if len(taken) < len(block):
                    raise WiringError("in a recurrent wiring features are measured of all layers, or of none")
                found.update({index: self._measured[index].features[:, :, first:last] for index in taken})
                continue
            drives = [self._drive(index, carried, found, first, last) for index in block]
            if self._drives is not None:
                for index, drive in zip(block, drives, strict=True):
                    self._drives[index].append(drive)
            response = self._answer(carried, number, block, torch.cat(drives), generator, (first, last))
            limits = self._fitted[number]
            if limits is not None:
                carried.excess = carried.excess + _excess(response, limits).sum()
            at = 0
            for index in block:
                layer = self._layers[index]
                found[index] = layer.features(response[at : at + len(layer.senses)])
                at += len(layer.senses)
        features = [found[index] for index in range(len(self._layers))]
        keep = self._wiring.longest_delay
        if keep:
            longer = [torch.cat((past, new), dim=2) for past, new in zip(carried.past, features, strict=True)]
            carried.past = [series[:, :, series.shape[2] - keep :] for series in longer]
        return features

    def _taken(self, index: int) -> bool:
        """Whether the features of a layer are taken as they were measured, and nothing is simulated."""
        return index in self._measured and self._measured[index].response is None

    def _drive(self, index: int, carried: _Carried, found: Mapping[int, Tensor], first: int, last: int) -> Tensor:
        layer, sources = self._layers[index], self._wiring.sources_of(index)
        heard = None
        delays = layer.source.coupling_delays
        if sources and delays:
            # what a source says in these very steps is known only without recurrence
            series = [torch.cat((carried.past[s], found[s]), dim=2) if s in found else carried.past[s] for s in sources]
            every, keep, n = torch.cat(series), self._wiring.longest_delay, last - first
            heard = torch.stack([every[:, :, keep - delay : keep - delay + n] for delay in delays])
        return layer.drive(self._tapped[index][:, :, first:last], heard)

    def _answer(
        self,
        carried: _Carried,
        number: int,
        block: tuple[int, ...],
        drive: Tensor,
        generator: torch.Generator,
        steps: tuple[int, int],
    ) -> Tensor:
        stack: Any = self._stacks[number]
        options: dict[str, Any] = {"conditions": self._conditions} if self._conditions else {}
        if carried.states[number] is None:
            response: Tensor = stack.respond(drive, generator=generator, **options)
            return response
        known = [self._measured[index].response for index in block if index in self._measured]
        if known:
            responses = [one for one in known if one is not None]
            if len(responses) < len(block):
                raise WiringError("in a recurrent wiring responses are measured of all layers, or of none")
            per_step = self._wiring.samples_per_step
            # the sample that the last drive leads to belongs to it, where it was measured
            options["measured"] = torch.cat(responses)[..., steps[0] * per_step : steps[1] * per_step + 1]
        response, carried.states[number] = stack.advance(carried.states[number], drive, generator=generator, **options)
        return response


@dataclass(frozen=True, slots=True, eq=False)
class _MeasuredTensors:
    features: Tensor  # (sense, trial, step, sample)
    response: Tensor | None  # (sense, trial, time)


def _measured_of(network: PhysicalNetwork, index: int, one: Measured, inputs: Tensor) -> _MeasuredTensors:
    layer, wiring = network.layer(index), network.template
    n_senses, (trials, steps) = len(layer.senses), inputs.shape[:2]
    wanted = (trials, steps, n_senses, len(layer.offsets))
    if tuple(one.features.shape) != wanted:
        raise WiringError(f"layer {index}: measured features have shape {one.features.shape}; expected {wanted}")
    features = torch.as_tensor(one.features, dtype=layer.bias.dtype, device=layer.bias.device).permute(2, 0, 1, 3)
    if one.response is None:
        return _MeasuredTensors(features, None)
    shape = (n_senses, trials, steps * wiring.samples_per_step)
    if tuple(one.response.shape) != shape:
        raise WiringError(f"layer {index}: the measured response has shape {one.response.shape}; expected {shape}")
    response = torch.as_tensor(one.response, dtype=torch.float64, device=layer.bias.device)
    return _MeasuredTensors(features, response)


def _excess(response: Tensor, limits: Tensor) -> Tensor:
    """(node, trial, time) squared, in half-widths of the fitted range."""
    middle, half = limits.mean(1)[:, None, None], 0.5 * (limits[:, 1] - limits[:, 0])[:, None, None]
    beyond: Callable[[Tensor], Tensor] = torch.relu
    return beyond((response - middle).abs() / half - 1.0).square()
