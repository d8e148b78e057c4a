"""What a device twin is made of, before it has seen data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from twins.errors import TracesInvalid, TracesMismatch
from twins.traces import Traces, check_same_grid, same_condition

ACTIVATIONS = ("tanh", "relu")
SCHEMES = ("euler", "heun", "rk4")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceTwinSpec:
    """Channels, sampling time and structure of a twin.

    response_delays: how many earlier samples of the response the nets see beside the newest.
    drive_delays: how many earlier samples of the drive they see beside the one that acts now.
    condition_names: conditions held constant in a trial (bias, temperature) that the nets see.
    hidden: widths of the hidden layers of the drift net; diffusion_hidden: of the diffusion net, if others.
    backbone_order: 1, a linear model beside the nets; 2 or 3, a polynomial in all inputs.
    scheme: how the drift is integrated over a sample: "euler" (the net is the increment), "heun" or "rk4".
    noise_diagonal: an independent noise a response channel. noise_columns: further noises that reach all channels
    (matrix diffusion). Without both the twin is an ordinary differential equation.
    noise_mask: which response channels carry process noise; empty: all.
    auxiliaries: Ornstein–Uhlenbeck processes that force the response (coloured noise).
    observation: the response is seen through white measurement noise, independent a channel, plus
    observation_columns patterns that channels share.
    trial_drift: each trial is seen with a constant offset that wanders slowly from trial to trial.
    warm_up: samples of history beyond the delays, from which a filter finds the hidden state at a start.
    noise_floor: smallest standard deviation of a step, as a fraction of the linear model's residual.
    """

    dt_s: float
    drive_names: tuple[str, ...]
    drive_units: tuple[str, ...]
    response_names: tuple[str, ...]
    response_units: tuple[str, ...]
    response_delays: int = 3
    drive_delays: int = 2
    hidden: tuple[int, ...] = (24, 24)
    activation: str = "tanh"
    noise_floor: float = 1e-3
    condition_names: tuple[str, ...] = ()
    diffusion_hidden: tuple[int, ...] | None = None
    backbone_order: int = 1
    scheme: str = "euler"
    noise_diagonal: bool = True
    noise_columns: int = 0
    noise_mask: tuple[bool, ...] = ()
    auxiliaries: int = 0
    observation: bool = False
    observation_columns: int = 0
    trial_drift: bool = False
    warm_up: int = 0

    def __post_init__(self) -> None:
        if not (np.isfinite(self.dt_s) and self.dt_s > 0):
            raise TracesInvalid(f"dt_s must be a positive number of seconds, not {self.dt_s!r}")
        for side in ("drive", "response"):
            names, units = getattr(self, f"{side}_names"), getattr(self, f"{side}_units")
            if not names or len(names) != len(units) or len(set(names)) != len(names):
                raise TracesInvalid(
                    f"{side}_names {names} and {side}_units {units} must be as many, and names different"
                )
        if min(self.response_delays, self.drive_delays) < 0 or max(self.response_delays, self.drive_delays) > 1000:
            raise TracesInvalid("response_delays and drive_delays must lie in 0..1000 samples")
        for widths in (self.hidden, self.diffusion_hidden or self.hidden):
            if not 1 <= len(widths) <= 8 or not all(1 <= width <= 4096 for width in widths):
                raise TracesInvalid(f"hidden must be 1 to 8 widths of 1..4096, not {widths}")
        if self.activation not in ACTIVATIONS:
            raise TracesInvalid(f"activation must be one of {', '.join(ACTIVATIONS)}, not {self.activation!r}")
        if not 0 < self.noise_floor < 1:
            raise TracesInvalid(f"noise_floor must lie between 0 and 1, not {self.noise_floor}")
        self._check_structure()

    def _check_structure(self) -> None:
        if len(set(self.condition_names)) != len(self.condition_names):
            raise TracesInvalid(f"condition_names must be different, not {self.condition_names}")
        if self.backbone_order not in (1, 2, 3) or self.scheme not in SCHEMES:
            raise TracesInvalid(
                f"backbone_order must be 1, 2 or 3 and scheme one of {', '.join(SCHEMES)}, "
                f"not {self.backbone_order} and {self.scheme!r}"
            )
        for name, largest in (
            ("noise_columns", 64), ("auxiliaries", 16), ("observation_columns", self.n_response), ("warm_up", 10_000),
        ):  # fmt: skip
            if not 0 <= getattr(self, name) <= largest:
                raise TracesInvalid(f"{name} must lie in 0..{largest}, not {getattr(self, name)}")
        if self.noise_mask and len(self.noise_mask) != self.n_response:
            raise TracesInvalid(
                f"noise_mask has {len(self.noise_mask)} entries for {self.n_response} response channels"
            )
        if self.observation_columns and not self.observation:
            raise TracesInvalid("observation_columns need observation=True")
        if self.auxiliaries and not self.noisy:
            raise TracesInvalid("auxiliaries need noise of their own: noise_diagonal=True or noise_columns > 0")

    @classmethod
    def for_traces(cls, traces: Traces | Sequence[Traces], **structure: Any) -> DeviceTwinSpec:
        """The spec of a twin for data like these: channels, units and sampling time are theirs.

        Conditions that differ between the traces become inputs, unless condition_names is given. structure: any other
        field of the spec. Raises TracesMismatch if the traces do not belong together.
        """
        every = [traces] if isinstance(traces, Traces) else list(traces)
        first = every[0]
        varying = [
            name
            for name, value in first.conditions.items()
            if any(not same_condition(part.conditions.get(name, np.inf), value) for part in every)
        ]
        structure.setdefault("condition_names", tuple(varying))
        check_same_grid(every, varying=structure["condition_names"])
        return cls(
            dt_s=first.dt_s,
            drive_names=first.drive_names,
            drive_units=first.drive_units,
            response_names=first.response_names,
            response_units=first.response_units,
            **structure,
        )

    @property
    def n_drive(self) -> int:
        """Number of drive channels."""
        return len(self.drive_names)

    @property
    def n_response(self) -> int:
        """Number of response channels."""
        return len(self.response_names)

    @property
    def n_inputs(self) -> int:
        """Numbers that the nets see: response, newest first, then drive, newest first, then conditions."""
        return self.n_state_inputs + (self.drive_delays + 1) * self.n_drive + self.n_conditions

    @property
    def n_state_inputs(self) -> int:
        """Those of them that are response."""
        return (self.response_delays + 1) * self.n_response

    @property
    def n_conditions(self) -> int:
        """Number of conditions."""
        return len(self.condition_names)

    @property
    def n_noise(self) -> int:
        """Independent noises of a step, those of the auxiliaries included."""
        return (self.n_response + self.auxiliaries) * self.noise_diagonal + self.noise_columns

    @property
    def n_diffusion(self) -> int:
        """Outputs of the diffusion net: spreads of channels and auxiliaries, then columns, a row of them a channel."""
        rows = self.n_response + self.auxiliaries
        return rows * self.noise_diagonal + rows * self.noise_columns

    @property
    def noisy(self) -> bool:
        """Whether it is a stochastic equation at all."""
        return self.noise_diagonal or self.noise_columns > 0

    @property
    def hidden_state(self) -> bool:
        """Whether the state at a start must be inferred: measured through noise, or forced by what is not seen."""
        return self.observation or self.auxiliaries > 0

    @property
    def n_history(self) -> int:
        """Samples before the first driven one that the twin needs."""
        return self.n_delays + self.warm_up

    @property
    def n_delays(self) -> int:
        """Samples before a step that the nets see."""
        return max(self.response_delays, self.drive_delays)

    def check_traces(self, traces: Traces) -> None:
        """Raise TracesMismatch unless these data have the twin's channels, units and sampling time."""
        if not np.isclose(traces.dt_s, self.dt_s, rtol=1e-9, atol=0.0):
            raise TracesMismatch(f"the twin steps by {self.dt_s:g} s, the data are sampled every {traces.dt_s:g} s")
        for attribute in ("drive_names", "drive_units", "response_names", "response_units"):
            ours, theirs = getattr(self, attribute), getattr(traces, attribute)
            if ours != theirs:
                raise TracesMismatch(f"{attribute} differ: the twin has {ours}, the data {theirs}")
        missing = [name for name in self.condition_names if name not in traces.conditions]
        if missing:
            raise TracesMismatch(
                f"the twin needs the conditions {', '.join(missing)}; the data have {', '.join(traces.conditions) or 'none'}"
            )
        if traces.n_samples <= max(self.n_history, traces.n_prepare) + 1:
            raise TracesMismatch(
                f"trials of {traces.n_samples} samples ({traces.n_prepare} of preparation) are too short for a twin "
                f"that needs {self.n_history} samples of history"
            )
