"""What every export says about an automaton: plain words and plain arrays."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np

from twins.errors import CheckpointInvalid
from twins.files import labctl_version
from twins.nca.automaton import Automaton
from twins.nca.kernels import KERNELS
from twins.nca.model import NcaModel
from twins.nca.spec import NcaSpec
from twins.nca.symmetry import plain_automaton


def described(model: NcaModel, *, provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Structure, units, scaling and provenance as JSON can hold them. Raises CheckpointInvalid."""
    spec = model.automaton.spec
    hidden = (*spec.hidden, 0)
    document = {
        "simulated": True,  # what comes out of it was never measured
        "spec": {
            "n_channels": spec.n_channels, "n_observed": spec.n_observed, "n_environment": spec.n_environment,
            "kernels": list(kernel_names(spec)), "features": list(spec.features), "padding": spec.padding,
            "fire_rate": float(spec.fire_rate), "activation": spec.activation, "layers": spec.layers,
            "n_hidden_0": hidden[0], "n_hidden_1": hidden[1], "order": spec.order, "bounds": spec.bounds,
            "gated": spec.gated,
        },
        "steps_per_frame": model.steps_per_frame, "dt": float(model.dt_s), "time_unit": model.time_unit,
        "names": list(model.names), "units": list(model.units), "condition_names": list(model.condition_names),
        "lows": list(model.scaling.lows), "highs": list(model.scaling.highs),
        "condition_lows": list(model.condition_scaling.lows), "condition_highs": list(model.condition_scaling.highs),
        "written": {"by": f"labctl {labctl_version()}", "at": datetime.now(UTC).isoformat(timespec="seconds")},
        "provenance": dict(provenance),
    }  # fmt: skip
    try:
        json.dumps(document, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise CheckpointInvalid(f"provenance must be plain JSON data without NaN: {error}") from error
    return document


def kernel_names(spec: NcaSpec) -> tuple[str, ...]:
    """The kernels that the features are made of, each once: the gradient's norm needs both slopes."""
    plain = tuple(name for name in spec.features if name != "NORM")
    needed = ("DX", "DY") if "NORM" in spec.features else ()
    return (*plain, *(name for name in needed if name not in plain))


def kernel_array(spec: NcaSpec, dtype: np.dtype[Any]) -> np.ndarray:
    """(kernel, 3, 3), in the order of kernel_names."""
    return np.array([KERNELS[name] for name in kernel_names(spec)]).reshape(-1, 3, 3).astype(dtype)


def weights(automaton: Automaton) -> dict[str, np.ndarray]:
    """The network's weights by name; a symmetrised automaton's are those of the ordinary one with the same rule."""
    plain = plain_automaton(automaton)
    named = {f"hidden_weight_{number}": weight for number, weight in enumerate(plain.hidden_weights)}
    names = ("condition_weight", "out_weight", "out_bias", *(("gate_weight", "gate_bias") * plain.spec.gated))
    named |= {name: getattr(plain, name) for name in names}
    return {name: np.ascontiguousarray(value.detach().cpu().numpy()) for name, value in named.items()}
