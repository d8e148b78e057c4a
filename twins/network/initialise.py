"""First wirings: how devices answer within a range, and random weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from twins.network.network import StackMaker, default_stack
from twins.network.wiring import DevicePort, Layer, Wiring, WiringError


@dataclass(frozen=True, slots=True)
class InitialScales:
    """Widths of random weights, in units of the pre-activation z.

    input: W_in uniform within ± input / sqrt(taps · inputs). coupling: W normal, of standard deviation coupling /
    sqrt(fan-in). bias: uniform within ± bias. Gains start at 1.
    """

    input: float = 1.5
    coupling: float = 1.0
    bias: float = 0.5


@dataclass(frozen=True, slots=True)
class Architecture:
    """Everything of a wiring but its numbers.

    layers: device names of the nodes, layer by layer. input_taps: steps, of every layer. coupling_delays: steps, of
    every layer but the first. samples_per_step, sample_offsets, dt_s (s), washout (steps), n_inputs as in Wiring.
    """

    layers: tuple[tuple[str, ...], ...]
    samples_per_step: int
    sample_offsets: tuple[int, ...]
    dt_s: float
    input_taps: tuple[int, ...] = (0,)
    coupling_delays: tuple[int, ...] = (0,)
    n_inputs: int = 1
    washout: int = 0


def random_wiring(
    architecture: Architecture,
    ports: Sequence[DevicePort],
    rng: np.random.Generator,
    *,
    scales: InitialScales | None = None,
) -> Wiring:
    """A wiring with random weights on the given ports."""
    widths = InitialScales() if scales is None else scales
    layers = []
    n_before = 0
    for index, devices in enumerate(architecture.layers):
        delays = architecture.coupling_delays if index > 0 else ()
        shape_in = (len(devices), len(architecture.input_taps), architecture.n_inputs)
        shape_coupling = (len(devices), len(delays), n_before, len(architecture.sample_offsets))
        width_in = widths.input / np.sqrt(max(shape_in[1] * shape_in[2], 1))
        width_coupling = widths.coupling / np.sqrt(max(np.prod(shape_coupling[1:]), 1))
        layers.append(
            Layer(
                devices=tuple(devices),
                input_taps=tuple(architecture.input_taps),
                coupling_delays=tuple(delays),
                W_in=rng.uniform(-width_in, width_in, size=shape_in),
                W=rng.normal(0.0, width_coupling, size=shape_coupling),
                gain=np.ones(len(devices)),
                bias=rng.uniform(-widths.bias, widths.bias, size=len(devices)),
            )
        )
        n_before = len(devices)
    used = {device for devices in architecture.layers for device in devices}
    return Wiring(
        ports=tuple(port for port in ports if port.name in used),
        layers=tuple(layers),
        n_inputs=architecture.n_inputs,
        samples_per_step=architecture.samples_per_step,
        sample_offsets=tuple(architecture.sample_offsets),
        dt_s=architecture.dt_s,
        washout=architecture.washout,
    )


def measured_ports(
    ports: Sequence[DevicePort],
    twins: Mapping[str, Any],
    *,
    samples_per_step: int,
    rng: np.random.Generator,
    generator: torch.Generator,
    stack: StackMaker | None = None,
    n_trials: int = 32,
    n_steps: int = 60,
) -> tuple[DevicePort, ...]:
    """The same ports with response_centre and response_scale: mean and standard deviation of the twin's response to
    random steps over the port's whole drive range, each held for `samples_per_step` samples."""
    missing = sorted({port.name for port in ports} - set(twins))
    if missing:
        raise WiringError(f"no twin for device(s) {missing}; twins are given for {sorted(twins)}")
    make = default_stack if stack is None else stack
    levels = rng.uniform(-1.0, 1.0, size=(len(ports), n_trials, n_steps))
    mid = np.array([port.drive_mid for port in ports])[:, None, None]
    half = np.array([port.drive_half for port in ports])[:, None, None]
    drive = torch.as_tensor(np.repeat(mid + half * levels, samples_per_step, axis=-1), dtype=torch.float32)
    with torch.no_grad():
        response = make([twins[port.name] for port in ports]).respond(drive, generator=generator)
    settled = response[..., response.shape[-1] // 4 :].double()
    return tuple(
        replace(port, response_centre=float(settled[i].mean()), response_scale=float(settled[i].std()))
        for i, port in enumerate(ports)
    )
