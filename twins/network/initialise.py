"""First wirings: how devices answer within a range, and random weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from twins.network.architecture import Architecture, InitialScales, LayerPlan
from twins.network.network import StackMaker, default_stack
from twins.network.ports import DevicePort, SenseLine, WiringError
from twins.network.wiring import Layer, Mask, Wiring

__all__ = ["Architecture", "InitialScales", "LayerPlan", "measured_ports", "random_wiring"]


def random_wiring(
    architecture: Architecture,
    ports: Sequence[DevicePort],
    rng: np.random.Generator,
    *,
    scales: InitialScales | None = None,
    conditions: Mapping[str, float] | None = None,
) -> Wiring:
    """A wiring with random weights on the given ports, to be played under these conditions."""
    widths = InitialScales() if scales is None else scales
    plans = architecture.plans
    used = tuple(port for port in ports if port.name in architecture.devices)
    n_drives = {port.name: len(port.drives) for port in used}
    n_senses = {port.name: len(port.senses) for port in used}
    missing = sorted(set(architecture.devices) - set(n_drives))
    if missing:
        raise WiringError(f"the wiring has no device {missing[0]!r}; ports are given for {sorted(n_drives)}")
    layers = []
    for index, plan in enumerate(plans):
        bad = [source for source in plan.sources or () if not 0 <= source < len(plans)]
        if bad:
            raise WiringError(f"layer {index}: there is no layer {bad[0]} to listen to, only 0..{len(plans) - 1}")
        coupled = sum(n_senses[device] for source in plan.sources or () for device in plans[source].devices)
        lines = sum(n_drives[device] for device in plan.devices)
        layers.append(_random_layer(architecture, plan, widths, rng, lines=lines, coupled=coupled))
    return Wiring(
        ports=used,
        layers=tuple(layers),
        n_inputs=architecture.n_inputs,
        samples_per_step=architecture.samples_per_step,
        sample_offsets=tuple(architecture.sample_offsets),
        dt_s=architecture.dt_s,
        washout=architecture.washout,
        conditions=dict(conditions or {}),
    )


def _random_layer(
    architecture: Architecture,
    plan: LayerPlan,
    widths: InitialScales,
    rng: np.random.Generator,
    *,
    lines: int,
    coupled: int,
) -> Layer:
    taps, delays = tuple(plan.input_taps or ()), tuple(plan.coupling_delays or ())
    shape_in = (lines, len(taps), architecture.n_inputs)
    shape_coupling = (lines, len(delays), coupled, len(architecture.sample_offsets))
    fan_in = max(plan.input_density * shape_in[1] * shape_in[2], 1)
    fan_coupling = max(plan.coupling_density * np.prod(shape_coupling[1:]), 1)
    width = widths.input / np.sqrt(fan_in)
    W_in = rng.uniform(-width, width, size=shape_in)
    W = rng.normal(0.0, widths.coupling / np.sqrt(fan_coupling), size=shape_coupling)
    bias = rng.uniform(-widths.bias, widths.bias, size=lines)
    mask_in, mask = _mask(shape_in, plan.input_density, rng), _mask(shape_coupling, plan.coupling_density, rng)
    gain = np.ones(lines) if plan.gain_levels is None else plan.gain_levels.nearest(np.ones(lines))
    return Layer(
        devices=tuple(plan.devices),
        input_taps=taps,
        coupling_delays=delays,
        W_in=W_in if mask_in is None else W_in * mask_in,
        W=W if mask is None else W * mask,
        gain=gain,
        bias=bias,
        sources=plan.sources,
        mask_in=mask_in,
        mask=mask,
        gain_levels=plan.gain_levels,
        name=plan.name,
    )


def _mask(shape: tuple[int, ...], density: float, rng: np.random.Generator) -> Mask | None:
    """Which connections there are; None for all, without a draw."""
    return None if density >= 1.0 else rng.random(size=shape) < density


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
    """The same ports with the responses' centres and scales: mean and standard deviation of the twin's responses to
    random steps over the whole drive ranges, each held for `samples_per_step` samples. Of an ensemble, the first member
    answers."""
    missing = sorted({port.name for port in ports} - set(twins))
    if missing:
        raise WiringError(f"no twin for device(s) {missing}; twins are given for {sorted(twins)}")
    make = default_stack if stack is None else stack
    lines = [line for port in ports for line in port.drives]
    levels = rng.uniform(-1.0, 1.0, size=(len(lines), n_trials, n_steps))
    mid = np.array([line.mid for line in lines])[:, None, None]
    half = np.array([line.half for line in lines])[:, None, None]
    members = [getattr(twins[port.name], "members", (twins[port.name],))[0] for port in ports]
    stacked = make(members)
    played = np.repeat(mid + half * levels, samples_per_step, axis=-1)
    drive = torch.as_tensor(played, dtype=torch.float32, device=getattr(stacked, "device", None))
    with torch.no_grad():
        response = stacked.respond(drive, generator=generator)
    settled = response[..., response.shape[-1] // 4 :].double()
    found, first = [], 0
    for port, member in zip(ports, members, strict=True):
        spec = getattr(member, "spec", None)
        units = [sense.unit for sense in port.senses] if spec is None else list(spec.response_units)
        own = settled[first : first + len(units)]
        first += len(units)
        found.append(
            port.with_senses(
                *(SenseLine(float(one.mean()), float(one.std()), unit) for one, unit in zip(own, units, strict=True))
            )
        )
    return tuple(found)
