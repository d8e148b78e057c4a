"""The reference's twins by name: structure and two-phase training of Nat. Commun. 16:9192 (2025), as published.

    chosen = preset("leaky_integrator", traces)
    twin = DeviceTwin(chosen.spec)
    for event in fit(twin, traces, seed=0, **chosen.fit_options): ...

Numbers are those of the authors' public code (github LucaManneschi/NoiseAwareTwins_Project). What differs: our twins see
normalised data and have a linear backbone beside the nets; delayed responses are shifted exactly instead of integrated;
Runge–Kutta stages are in the drift alone; the two noises that a row of their diffusion sums are one; auxiliaries start
from their stationary law instead of zero, with the covariance of what the drift leaves over. The critic has its first
training after the drift's, not beside it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from twins.device.spec import DeviceTwinSpec
from twins.errors import TracesInvalid, TracesMismatch
from twins.fitting.mixed_windows import repeated_trials
from twins.fitting.options import AdversarialOptions, RolloutOptions
from twins.traces import Traces

SOURCE = "Nat. Commun. 16:9192 (2025), doi 10.1038/s41467-025-64232-1; github LucaManneschi/NoiseAwareTwins_Project"
CLOCK_FORMS = ("components", "amplitude_and_clock")
_FASTEST_DECAY, _DECAY_RATIO = 5.0, 0.7  # θ of auxiliary k is 5 · 0.7^k in the device's unit of time


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceKind:
    """What the reference used for one kind of device.

    step: of a sample, in the device's own unit of time. horizon: steps of a window. rates: of drift, noise and
    auxiliaries. fine_tune: whether the drift is trained in the second phase as well.
    """

    description: str
    n_drive: int
    n_response: int
    response_delays: int
    step: float
    scheme: str
    horizon: int
    n_windows: int
    drift_hidden: tuple[int, ...]
    noise_hidden: tuple[int, ...]
    rates: tuple[float, float, float]
    fine_tune: bool = False
    auxiliaries: int = 10
    n_rollout_iterations: int = 40_000
    n_adversarial_iterations: int = 30_000


_SMALL: Mapping[str, Any] = {
    "n_drive": 1,
    "horizon": 10,
    "n_windows": 100,
    "drift_hidden": (200,),
    "noise_hidden": (500, 500),
    "rates": (1e-4, 5e-5, 5e-4),
}
_LARGE: Mapping[str, Any] = {
    "n_windows": 50,
    "drift_hidden": (300, 250, 200),
    "noise_hidden": (300, 250, 200),
    "rates": (1e-3, 5e-6, 5e-6),
    "scheme": "heun",
}
PRESETS: Mapping[str, DeviceKind] = {
    "duffing": DeviceKind(
        description="driven double-well Duffing oscillator, position and velocity seen; 0.09 of the drive period a sample",
        n_response=2,
        response_delays=1,
        step=0.09 * 2.0 * math.pi / 1.2,
        scheme="rk4",
        **_SMALL,
    ),
    "leaky_integrator": DeviceKind(
        description="leaky integrator, a tenth of its time constant a sample",
        n_response=1,
        response_delays=0,
        step=0.1,
        scheme="heun",
        **_SMALL,
    ),
    "nanorings": DeviceKind(
        description="magnetic nanorings in a rotating field, a twentieth of a turn a sample; see with_field_clock",
        n_drive=2,
        n_response=1,
        response_delays=4,
        step=math.pi / 10.0,
        horizon=50,
        fine_tune=True,
        **_LARGE,
    ),
    "spin_vortex_ice": DeviceKind(
        description="artificial spin-vortex ice, 60 channels of its spectrum",
        n_drive=1,
        n_response=60,
        response_delays=0,
        step=0.1,
        horizon=18,
        **_LARGE,
    ),
}


@dataclass(frozen=True, slots=True, eq=False)
class Preset:
    """spec: of the twin. fit_options: for fit(twin, traces, seed=…, **fit_options). notes: where the data are unlike."""

    name: str
    spec: DeviceTwinSpec
    fit_options: Mapping[str, Any]
    source: str
    notes: tuple[str, ...] = ()


def preset(name: str, traces: Traces | Sequence[Traces], *, fraction: float = 1.0, **structure: Any) -> Preset:
    """A twin for these data as the reference made it for this kind of device, and its training.

    fraction: of the published number of iterations. structure: any field of the spec, to be otherwise. Checkpoints are
    chosen by the reference's statistics where inputs were repeated, else by free run. Where the data hold repeats and
    single shots, half of all windows is of either.

    Raises TracesInvalid for an unknown name or fraction, TracesMismatch if the data do not have the kind's drives.
    """
    if name not in PRESETS:
        raise TracesInvalid(f"there is no preset {name!r}; there are {', '.join(PRESETS)}")
    if not 0 < fraction <= 1:
        raise TracesInvalid(f"fraction must lie in 0..1, not {fraction}")
    kind = PRESETS[name]
    every = [traces] if isinstance(traces, Traces) else list(traces)
    n_drive, n_response = every[0].drive.shape[2], every[0].response.shape[2]
    if n_drive != kind.n_drive:
        clock = "; with_field_clock(traces, …) makes two of an amplitude" if name == "nanorings" else ""
        raise TracesMismatch(f"preset {name!r} is for {kind.n_drive} drive channels, the data have {n_drive}{clock}")
    spec = DeviceTwinSpec.for_traces(every, **(_structure(kind, n_response, structure) | structure))
    notes = []
    if n_response != kind.n_response:
        notes.append(f"the reference saw {kind.n_response} response channels, these data have {n_response}")
    repeats = any(repeated_trials(part).any() for part in every)
    if not repeats:
        notes.append("no input was repeated: checkpoints are chosen by free run, not by statistics over repeats")
    return Preset(name, spec, _training(kind, spec, fraction, repeats=repeats), SOURCE, tuple(notes))


def _structure(kind: DeviceKind, n_response: int, changed: Mapping[str, Any]) -> dict[str, Any]:
    noisy = changed.get("noise_diagonal", True) or changed.get("noise_columns", 0) > 0
    auxiliaries = changed.get("auxiliaries", kind.auxiliaries if noisy else 0)
    return {
        "response_delays": kind.response_delays,
        "drive_delays": 0,
        "hidden": kind.drift_hidden,
        "diffusion_hidden": kind.noise_hidden,
        "activation": "relu",
        "scheme": kind.scheme,
        "auxiliaries": auxiliaries,
        "noise_mask": (False,) * n_response if auxiliaries else (),  # white noise reaches the response through them
    }


def _training(kind: DeviceKind, spec: DeviceTwinSpec, fraction: float, *, repeats: bool) -> dict[str, Any]:
    drift_rate, noise_rate, auxiliary_rate = kind.rates
    rollout = RolloutOptions(
        n_steps=kind.horizon,
        n_windows=kind.n_windows,
        n_iterations=max(1, round(fraction * kind.n_rollout_iterations)),
        learning_rate=drift_rate,
    )
    if not spec.noisy:
        return {"phases": ("rollout",), "phase_options": {"rollout": rollout}}
    decays = _FASTEST_DECAY * _DECAY_RATIO ** np.arange(spec.auxiliaries) * kind.step
    adversarial = AdversarialOptions(
        n_steps=kind.horizon,
        n_windows=kind.n_windows,
        n_iterations=max(1, round(fraction * kind.n_adversarial_iterations)),
        critic_steps=5,
        critic_warm_up=round(fraction * kind.n_rollout_iterations),
        critic_hidden=kind.noise_hidden,
        critic_sees="windows",
        gradient_penalty=10.0,
        loss="features",
        unbiased=False,
        noise_rate=noise_rate,
        auxiliary_rate=auxiliary_rate,
        drift_rate=noise_rate if kind.fine_tune else None,
        auxiliary_decay=tuple(decays.tolist()),
        repeats_share=0.5,
        choose_by="repeats" if repeats else "free_run",
        judged_every=max(1, min(200, round(fraction * kind.n_adversarial_iterations) // 25)),
    )
    return {"phases": ("rollout", "adversarial"), "phase_options": {"rollout": rollout, "adversarial": adversarial}}


def with_field_clock(
    traces: Traces, *, samples_per_period: float, phase_rad: float = 0.0, form: str = "components"
) -> Traces:
    """The same data with two drives made of one, the amplitude of a rotating field, whose angle the twin must know.

    The angle is phase_rad at the first sample of every trial, preparation included, and turns once in
    samples_per_period (20 for the nanorings). form: "components", amplitude times cosine and sine of the angle; or
    "amplitude_and_clock", the amplitude itself and the sine. Raises TracesMismatch, TracesInvalid.
    """
    if traces.drive.shape[2] != 1:
        raise TracesMismatch(
            f"a field clock goes with one drive, the amplitude; the data have {', '.join(traces.drive_names)}"
        )
    if not samples_per_period >= 2 or form not in CLOCK_FORMS:
        raise TracesInvalid(
            f"samples_per_period must be at least 2 and form one of {', '.join(CLOCK_FORMS)}, "
            f"not {samples_per_period}, {form!r}"
        )
    angle = phase_rad + 2.0 * np.pi / samples_per_period * np.arange(traces.n_samples)
    amplitude, name, unit = traces.drive[..., 0], traces.drive_names[0], traces.drive_units[0]
    if form == "components":
        channels, names, units = (amplitude * np.cos(angle), amplitude * np.sin(angle)), ("cos", "sin"), (unit, unit)
        named = tuple(f"{name}_{part}" for part in names)
    else:
        channels = (amplitude, np.broadcast_to(np.sin(angle), amplitude.shape))
        named, units = (name, f"{name}_clock"), (unit, "")
    return replace(traces, drive=np.stack(channels, axis=2), drive_names=named, drive_units=units)
