"""A twin as plain arrays: what a program without torch needs to advance it, step by step.

NAME.exported.json   format and version, sha256 of the arrays, structure, units, provenance
NAME.exported.npz    the arrays, float64, no pickles

The file is read by sim_devices/physics/twin_file.py, which shares no code with this module: the format is the contract.

With everything normalised (value - centre) / scale and r the row [response, newest first | drive, newest first |
conditions], one step is

    x' = x + slope(r) + (noise_scale * G(r) xi)[:response]       (Heun's or the classical Runge–Kutta stages for the drift)
    a' = rho a + sqrt(1 - rho²) * (G(r) xi)[response:]
    slope(r) = linear_bias + r linear_weight + products(r) higher_weight + increment_scale * (drift(r features) + W_a a)

where G is [diagonal | columns] from the diffusion net (softplus + noise_floor on the diagonal), and what is seen is
y = x + trial offset + observation noise. Array names are listed in `arrays_of`.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from twins.device.filtering import draw_start
from twins.device.history import Histories
from twins.device.twin import DeviceTwin
from twins.errors import CheckpointInvalid, TwinNotFitted
from twins.files import labctl_version, write_whole

FORMAT = "labctl.exported_twin"
FORMAT_VERSION = 1
_MOST_STARTS = 256
"""More starts than anybody needs to switch a simulated device on."""


def export_twin(
    twin: DeviceTwin,
    path: str | Path,
    *,
    provenance: Mapping[str, Any] | None = None,
    held_conditions: Mapping[str, float] | None = None,
    condition_units: Mapping[str, str] | None = None,
    seed: int = 0,
) -> Path:
    """Write NAME.exported.json and .npz, where `path` is NAME or either of them; returns the JSON's path.

    provenance: of the twin, plain JSON data (see read_provenance). held_conditions: what was constant in all of its
    recordings and is no input of the twin, by channel; condition_units: units of these and of the twin's own conditions
    (by default as many volts). seed: of the posterior draws with which a hidden state starts.

    The file says simulated = true: what is advanced is a model. fitted_on_simulated says whether the device was one
    already (None where the provenance does not tell). Raises TwinNotFitted, CheckpointInvalid.
    """
    twin.require_fitted()
    json_path, npz_path = exported_paths(path)
    buffer = io.BytesIO()
    np.savez(buffer, **arrays_of(twin, seed=seed))  # type: ignore[arg-type]
    payload, source = buffer.getvalue(), dict(provenance or {})
    document = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "simulated": True,
        "fitted_on_simulated": source.get("simulated"),
        "arrays_file": npz_path.name,
        "arrays_sha256": hashlib.sha256(payload).hexdigest(),
        "spec": spec_of(twin),
        "held_conditions": {name: float(value) for name, value in (held_conditions or {}).items()},
        "condition_units": dict(condition_units or {}),
        "exported": {"labctl": labctl_version(), "utc": datetime.now(UTC).isoformat(timespec="seconds"), "seed": seed},
        "provenance": source,
    }
    try:
        text = json.dumps(document, indent=2, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise CheckpointInvalid(f"provenance must be plain JSON data without NaN: {error}") from error
    json_path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(npz_path, payload)
    write_whole(json_path, text.encode())
    return json_path


def exported_paths(path: str | Path) -> tuple[Path, Path]:
    """(NAME.exported.json, NAME.exported.npz) for NAME or either of them."""
    path = Path(path)
    stem = path.name.removesuffix(".json").removesuffix(".npz").removesuffix(".exported")
    return path.with_name(stem + ".exported.json"), path.with_name(stem + ".exported.npz")


def spec_of(twin: DeviceTwin) -> dict[str, Any]:
    """The structure, as plain data: channels with units, delays, widths, what noise there is."""
    spec = twin.spec
    plain = {
        name: list(value) if isinstance(value := getattr(spec, name), tuple) else value
        for name in (
            "dt_s", "drive_names", "drive_units", "response_names", "response_units", "condition_names",
            "response_delays", "drive_delays", "hidden", "activation", "noise_floor", "backbone_order", "scheme",
            "noise_diagonal", "noise_columns", "auxiliaries", "observation", "observation_columns", "trial_drift",
        )
    }  # fmt: skip
    plain["diffusion_hidden"] = list(spec.diffusion_hidden or spec.hidden)
    return plain


def arrays_of(twin: DeviceTwin, *, seed: int) -> dict[str, np.ndarray]:
    """Every array of the file by name, float64; one-dimensional ones are one entry a channel."""
    if len(twin.bank_response) == 0:
        raise TwinNotFitted("the twin has no start histories; fit it on traces with a preparation")
    names = (
        "features", "linear_weight", "linear_bias", "higher_weight", "increment_scale", "noise_mask",
        "auxiliary_coupling", "auxiliary_correlation", "observation_patterns", "trial_offsets", "trial_correlation",
        "drive_centre", "drive_scale", "response_centre", "response_scale", "condition_centre", "condition_scale",
        "drive_range", "response_range", "condition_range",
    )  # fmt: skip
    found = {name: getattr(twin, name) for name in names}
    found["observation_std"] = torch.exp(twin.observation_log_std)
    for net, (weights, biases) in _nets(twin).items():
        for number, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
            found[f"{net}_weight_{number}"], found[f"{net}_bias_{number}"] = weight, bias
    found |= _starts(twin, seed)
    return {name: value.detach().cpu().double().contiguous().numpy() for name, value in found.items()}


def _nets(twin: DeviceTwin) -> dict[str, tuple[list[Tensor], list[Tensor]]]:
    """Weights (in, out) and biases (out,) of both nets, without outputs that nobody reads; "diffusion" if there is one."""
    spec, weights, biases = twin.spec, list(twin.nets.weights), list(twin.nets.biases)
    n_drift, paired = twin.nets.n_drift_layers, weights[0].shape[0] == 2
    parts = (slice(None), slice(None)) if paired else (slice(n_drift), slice(n_drift, None))
    split = {}
    for number, (net, n_outputs) in enumerate((("drift", spec.n_response), ("diffusion", spec.n_diffusion))):
        if n_outputs:
            mine = [weight[number * paired] for weight in weights[parts[number]]]
            offsets = [bias[number * paired, 0] for bias in biases[parts[number]]]
            mine[-1], offsets[-1] = mine[-1][:, :n_outputs], offsets[-1][:n_outputs]
            split[net] = (mine, offsets)
    return split


def _starts(twin: DeviceTwin, seed: int) -> dict[str, Tensor]:
    """States to begin with, newest first: as measured, or drawn from what a filter makes of them."""
    spec, n = twin.spec, min(len(twin.bank_response), _MOST_STARTS)
    entries = torch.linspace(0, len(twin.bank_response) - 1, n).round().long()
    history = Histories(twin.bank_response[entries], twin.bank_drive[entries])
    conditions = twin.bank_conditions[entries]
    with torch.no_grad():
        response, auxiliaries = draw_start(twin, history, conditions, (n,), torch.Generator().manual_seed(seed))
        response = response * twin.response_scale + twin.response_centre
    return {
        "start_response": response,
        "start_drive": history.drive[:, : spec.drive_delays],
        "start_auxiliaries": auxiliaries,
        "start_conditions": conditions,
    }
