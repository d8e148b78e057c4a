"""The network that network_speed.py times, and everything about it as plain arrays, for formulations without torch.

Two layers of equal size, all nodes one device: a SIMULATED leaky integrator (calibration_devices.py) whose twin has the
default structure and was fitted for some seconds. The input is held for HOLD samples, every one of which is a feature of
every node; "steps" are the solver's, one a sample. Taps and coupling delays are TAPS. The target is made of products of
earlier inputs; the read-out is solved by ridge regression in every pass and held fixed while gradients flow back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

HOLD = 4
TAPS = (0, 1)
RIDGE = 1e-3
WASHOUT = 10  # held inputs
N_LAYERS = 2
CHECKPOINT_EVERY = 25  # held inputs, of the formulation that keeps activations for so long only
N_FITTED_INPUTS, FIT_EPOCHS = 24, 40
PARAMETERS = ("W_in", "W", "gain", "bias")
Arrays = dict[str, np.ndarray]


@dataclass(frozen=True, slots=True)
class Size:
    """Of a network: nodes in both layers together, steps of the solver, trials a pass."""

    nodes: int
    steps: int
    batch: int

    @property
    def held(self) -> int:
        """Inputs, each held for HOLD samples."""
        return self.steps // HOLD

    @property
    def layer(self) -> int:
        """Nodes of one layer."""
        return self.nodes // N_LAYERS


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """One network: what is asked for, what all formulations share, and the twin where it is known."""

    size: Size
    arrays: Arrays
    twin: Any = None
    wiring: Any = None


def fitted_twin(seed: int) -> Any:
    """A twin of the default structure, fitted to simulated traces."""
    import calibration_devices as devices
    import torch

    import twins

    traces = devices.record(devices.CASES[0], np.random.default_rng(seed), n_inputs=N_FITTED_INPUTS, n_repeats=1)
    twin = twins.DeviceTwin(twins.DeviceTwinSpec.for_traces(traces))
    for _ in twins.fit(twin, [traces], seed=seed, max_epochs=FIT_EPOCHS):
        pass
    with torch.no_grad():  # a short fit leaves the last layer near zero: no product shall be trivial
        last = twin.nets.weights[-1]
        last.add_(0.05 * torch.randn(last.shape, generator=torch.Generator().manual_seed(seed)))
    return twin


def make_case(twin: Any, size: Size, seed: int, *, recurrent: bool = False) -> Case:
    """A wiring with random weights; recurrent: one layer of all nodes that listens to itself, a held input later."""
    from twins.network import Architecture, DevicePort, LayerPlan, random_wiring

    if size.nodes % N_LAYERS or size.steps % HOLD or size.held <= WASHOUT:
        raise ValueError(f"{size}: nodes must be even, steps a multiple of {HOLD} and more than {WASHOUT * HOLD}")
    rng = np.random.default_rng([seed, size.nodes])
    low, high = (float(edge) for edge in twin.drive_range[0])
    port = DevicePort.from_range("leaky", low, high)
    samples: dict[str, Any] = {"samples_per_step": HOLD, "sample_offsets": tuple(range(HOLD)), "dt_s": twin.spec.dt_s}
    if recurrent:
        plan = LayerPlan(("leaky",) * size.nodes, sources=(0,))
        architecture = Architecture((plan,), **samples, input_taps=TAPS, coupling_delays=(1,))
    else:
        layers = (("leaky",) * size.layer,) * N_LAYERS
        architecture = Architecture(layers, **samples, input_taps=TAPS, coupling_delays=TAPS)
    wiring = random_wiring(architecture, [port], rng)
    return Case(size, _arrays(twin, (low, high), wiring, size, rng), twin, wiring)


def of_layer(arrays: Mapping[str, np.ndarray], index: int) -> Arrays:
    """W_in, W, gain, bias, start, before and noise of one layer."""
    return {name: arrays[f"layer{index}_{name}"] for name in (*PARAMETERS, "start", "before", "noise")}


def _arrays(twin: Any, drive_range: tuple[float, float], wiring: Any, size: Size, rng: np.random.Generator) -> Arrays:
    low, high = drive_range
    scale, centre = float(twin.drive_scale), float(twin.drive_centre)
    inputs = rng.uniform(-1.0, 1.0, size=(size.batch, size.held, 1))
    past = np.concatenate((np.zeros((size.batch, 3, 1)), inputs), axis=1)
    numbers = {
        "drive_mid": (0.5 * (low + high) - centre) / scale,  # normalised, as the twin sees drives
        "drive_half": 0.5 * (high - low) * (1 - 1e-6) / scale,
        "response_centre": float(twin.response_centre),
        "response_scale": float(twin.response_scale),
        "washout": WASHOUT,
        "ridge": RIDGE,
    }
    arrays = {name: np.array(value) for name, value in numbers.items()} | _nets(twin)
    arrays |= {"inputs": inputs, "targets": past[:, 2:-1] * past[:, 1:-2] + 0.5 * past[:, 3:], "taps": np.array(TAPS)}
    bank = twin.bank
    arrays["bank_start"] = ((bank.response - twin.response_centre) / twin.response_scale)[..., 0].float().numpy()
    arrays["bank_before"] = ((bank.drive - twin.drive_centre) / twin.drive_scale)[..., 0].float().numpy()
    for index, layer in enumerate(wiring.layers):
        entries = rng.integers(len(bank.response), size=(layer.n_nodes, size.batch))
        found = {name: getattr(layer, name) for name in PARAMETERS} | {
            "entries": entries,
            "start": arrays["bank_start"][entries],
            "before": arrays["bank_before"][entries],
            "noise": rng.standard_normal((size.steps - 1, layer.n_nodes, size.batch)).astype(np.float32),
        }
        arrays |= {f"layer{index}_{name}": value for name, value in found.items()}
    return arrays


def _nets(twin: Any) -> Arrays:
    """Frozen weights, float32: drift (0) and diffusion (1) side by side, whitening folded in, rows newest first.

    hidden_x, hidden_u (net, input, hidden), inner (net, hidden, hidden), out (net, hidden, 1), their biases (net, 1, ·);
    linear_x, linear_u, linear_bias: the linear model of the next sample itself; loudness, floor of the noise.
    """
    weights, biases = ([part.detach() for part in parts] for parts in (twin.nets.weights, twin.nets.biases))
    n_state = twin.spec.response_delays + 1
    first, scale = twin.features @ weights[0], twin.increment_scale
    linear = twin.linear_weight.detach().clone()
    linear[0] += 1.0
    out, out_bias = weights[2].clone(), biases[2].clone()
    out[0] *= scale
    out_bias[0] *= scale
    tensors = {
        "hidden_x": first[:, :n_state],
        "hidden_u": first[:, n_state:],
        "hidden_bias": biases[0],
        "inner": weights[1],
        "inner_bias": biases[1],
        "out": out[..., :1],
        "out_bias": out_bias[..., :1],
        "linear_x": linear[:n_state],
        "linear_u": linear[n_state:],
        "linear_bias": twin.linear_bias.detach(),
        "loudness": scale * twin.noise_mask,
        "floor": scale * twin.noise_mask * twin.spec.noise_floor,
    }
    return {name: tensor.detach().float().numpy() for name, tensor in tensors.items()}
