"""PhysicalNetwork: a Wiring on twins, differentiable through time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, cast

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from twins.network.readout import Readout
from twins.network.wiring import Array, DevicePort, Layer, Wiring, WiringError


class NodeStack(Protocol):
    """Several nodes that answer at once; twins.StackedTwins is one."""

    def respond(self, drive: Tensor, *, generator: torch.Generator) -> Tensor:
        """drive (node, batch, time) -> response (node, batch, time), with fresh noise from the generator."""


StackMaker = Callable[[Sequence[Any]], NodeStack]


class PhysicalNetwork(nn.Module):
    """The nodes of a wiring, played by twins, layer by layer. Trainable: W_in, W, gain and bias of every layer.

    twins: device name -> twin. stack: what joins the twins of a layer (default twins.StackedTwins). dtype: of the
    parameters. The twins stay frozen. Raises WiringError if a device of the wiring has no twin, or its drive range
    exceeds the fitted one.
    """

    def __init__(
        self,
        wiring: Wiring,
        twins: Mapping[str, Any],
        *,
        stack: StackMaker | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        missing = sorted({port.name for port in wiring.ports} - set(twins))
        if missing:
            raise WiringError(f"no twin for device(s) {missing}; twins are given for {sorted(twins)}")
        for port in wiring.ports:
            _check_fitted_range(port, twins[port.name])
        make = default_stack if stack is None else stack
        self._template = wiring
        self._stacks = [make([twins[device] for device in layer.devices]) for layer in wiring.layers]
        self.layers = nn.ModuleList(_LayerParameters(wiring, index, dtype) for index in range(len(wiring.layers)))

    def forward(
        self, inputs: Float[Tensor, "trial step input"], generator: torch.Generator
    ) -> Float[Tensor, "trial step feature"]:
        """Features of every step, in the order of `flat_features`, with fresh noise from the generator."""
        features, before = [], None
        for module, stack in zip(self.layers, self._stacks, strict=True):
            layer = cast(_LayerParameters, module)
            response = stack.respond(layer.drive(inputs, before), generator=generator)
            before = layer.features(response)
            features.append(before)
        trials, steps = inputs.shape[:2]
        return torch.cat([part.permute(1, 2, 0, 3).reshape(trials, steps, -1) for part in features], dim=-1)

    def as_inputs(self, inputs: Array) -> Float[Tensor, "trial step input"]:
        """A task's inputs as a tensor of the network's type, on its device."""
        parameter = next(self.parameters())
        return torch.as_tensor(inputs, dtype=parameter.dtype, device=parameter.device)

    def drives(
        self, inputs: Float[Tensor, "trial step input"], generator: torch.Generator
    ) -> list[Float[Tensor, "node trial time"]]:
        """What every layer is driven with in one noisy pass, for inspection."""
        drives: list[Tensor] = []
        before = None
        for module, stack in zip(self.layers, self._stacks, strict=True):
            layer = cast(_LayerParameters, module)
            drives.append(layer.drive(inputs, before))
            before = layer.features(stack.respond(drives[-1], generator=generator))
        return drives

    def wiring(self, readout: Readout | None = None) -> Wiring:
        """The present parameters as plain arrays, with a read-out if one is given."""
        layers = tuple(cast(_LayerParameters, module).export() for module in self.layers)
        t = self._template
        return Wiring(
            t.ports,
            layers,
            t.n_inputs,
            t.samples_per_step,
            t.sample_offsets,
            t.dt_s,
            washout=t.washout,
            readout=readout,
        )


class _LayerParameters(nn.Module):
    """Parameters of one layer, and how they turn inputs and earlier features into drives (node axis first)."""

    ranges: Tensor

    def __init__(self, wiring: Wiring, index: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.source: Layer = wiring.layers[index]
        self.samples_per_step = wiring.samples_per_step
        self.offsets = list(wiring.sample_offsets)
        layer = self.source
        self.W_in = nn.Parameter(torch.as_tensor(layer.W_in, dtype=dtype))
        self.W = nn.Parameter(torch.as_tensor(layer.W, dtype=dtype))
        self.gain = nn.Parameter(torch.as_tensor(layer.gain, dtype=dtype))
        self.bias = nn.Parameter(torch.as_tensor(layer.bias, dtype=dtype))
        ports = [wiring.port(device) for device in layer.devices]
        rows = [[p.drive_mid, p.drive_half, p.response_centre, p.response_scale] for p in ports]
        # in float64, as the twins' physical units are: what matters may be small beside its offset
        self.register_buffer("ranges", torch.tensor(rows, dtype=torch.float64))

    def drive(self, inputs: Tensor, before: Tensor | None) -> Tensor:
        """(trial, step, input), (node, trial, step, sample) of the layer before -> drive (node, trial, time)."""
        tapped = _delayed(inputs.permute(2, 0, 1), self.source.input_taps)  # (input, trial, step, tap)
        total = torch.einsum("ibtd,ndi->nbt", tapped, self.W_in)
        if before is not None and self.source.coupling_delays:
            samples = torch.stack([_shift(before, delay) for delay in self.source.coupling_delays])
            total = total + torch.einsum("djbtk,ndjk->nbt", samples, self.W)
        z = self.gain[:, None, None] * total + self.bias[:, None, None]
        mid, half = self.ranges[:, 0, None, None], self.ranges[:, 1, None, None]
        return (mid + half * torch.tanh(z)).repeat_interleave(self.samples_per_step, dim=-1)

    def features(self, response: Tensor) -> Tensor:
        """Response (node, trial, time) -> normalised samples (node, trial, step, sample)."""
        nodes, trials, _ = response.shape
        steps = response.reshape(nodes, trials, -1, self.samples_per_step)[..., self.offsets]
        centre, scale = self.ranges[:, 2, None, None, None], self.ranges[:, 3, None, None, None]
        return ((steps - centre) / scale).to(self.W_in.dtype)

    def export(self) -> Layer:
        """The parameters as float64 arrays."""
        W_in, W, gain, bias = (
            p.detach().cpu().numpy().astype(np.float64) for p in (self.W_in, self.W, self.gain, self.bias)
        )
        source = self.source
        return Layer(source.devices, source.input_taps, source.coupling_delays, W_in, W, gain, bias)


def _delayed(series: Tensor, delays: Sequence[int]) -> Tensor:
    """(channel, trial, step) -> (channel, trial, step, delay); 0 before the first step."""
    if not delays:
        return series.new_zeros((*series.shape, 0))
    return torch.stack([_shift(series[..., None], delay)[..., 0] for delay in delays], dim=-1)


def _shift(series: Tensor, delay: int) -> Tensor:
    """(…, step, sample) seen `delay` steps ago; 0 before the first step."""
    if delay == 0:
        return series
    n_steps = series.shape[-2]
    kept = series[..., : max(n_steps - delay, 0), :]
    return torch.nn.functional.pad(kept, (0, 0, n_steps - kept.shape[-2], 0))


def _check_fitted_range(port: DevicePort, twin: Any) -> None:
    """A twin that knows the range it was fitted on must cover the port's."""
    fitted = getattr(twin, "drive_range", None)
    if fitted is None:
        return
    low, high = (float(edge) for edge in np.asarray(fitted).reshape(-1, 2)[0])
    lowest, highest = port.drive_range
    slack = 1e-5 * (high - low)
    if lowest < low - slack or highest > high + slack:
        raise WiringError(
            f"device {port.name!r}: the network would drive it over {lowest:g}..{highest:g}, its twin was fitted on "
            f"{low:g}..{high:g}; narrow the port's range or fit the twin on wider excitations"
        )


def default_stack(twins: Sequence[Any]) -> NodeStack:
    """All twins of a layer evaluated together by twins.StackedTwins."""
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
