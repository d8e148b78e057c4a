"""What a device twin is made of, before it has seen data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from twins.errors import TracesInvalid, TracesMismatch
from twins.traces import Traces

ACTIVATIONS = ("tanh", "relu")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceTwinSpec:
    """Channels, sampling time and structure of a twin.

    response_delays: how many earlier samples of the response the nets see beside the newest.
    drive_delays: how many earlier samples of the drive they see beside the one that acts now.
    hidden: widths of the hidden layers, the same in the drift and in the diffusion net.
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
        if not 1 <= len(self.hidden) <= 8 or not all(1 <= width <= 4096 for width in self.hidden):
            raise TracesInvalid(f"hidden must be 1 to 8 widths of 1..4096, not {self.hidden}")
        if self.activation not in ACTIVATIONS:
            raise TracesInvalid(f"activation must be one of {', '.join(ACTIVATIONS)}, not {self.activation!r}")
        if not 0 < self.noise_floor < 1:
            raise TracesInvalid(f"noise_floor must lie between 0 and 1, not {self.noise_floor}")

    @classmethod
    def for_traces(
        cls,
        traces: Traces,
        *,
        response_delays: int = 3,
        drive_delays: int = 2,
        hidden: tuple[int, ...] = (24, 24),
        activation: str = "tanh",
        noise_floor: float = 1e-3,
    ) -> DeviceTwinSpec:
        """The spec of a twin for data like these: channels, units and sampling time are theirs."""
        return cls(
            dt_s=traces.dt_s,
            drive_names=traces.drive_names,
            drive_units=traces.drive_units,
            response_names=traces.response_names,
            response_units=traces.response_units,
            response_delays=response_delays,
            drive_delays=drive_delays,
            hidden=hidden,
            activation=activation,
            noise_floor=noise_floor,
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
        """Numbers that the nets see: response, newest first, then drive, newest first."""
        return (self.response_delays + 1) * self.n_response + (self.drive_delays + 1) * self.n_drive

    @property
    def n_history(self) -> int:
        """Samples before the first driven one that the twin needs."""
        return max(self.response_delays, self.drive_delays)

    def check_traces(self, traces: Traces) -> None:
        """Raise TracesMismatch unless these data have the twin's channels, units and sampling time."""
        if not np.isclose(traces.dt_s, self.dt_s, rtol=1e-9, atol=0.0):
            raise TracesMismatch(f"the twin steps by {self.dt_s:g} s, the data are sampled every {traces.dt_s:g} s")
        for attribute in ("drive_names", "drive_units", "response_names", "response_units"):
            ours, theirs = getattr(self, attribute), getattr(traces, attribute)
            if ours != theirs:
                raise TracesMismatch(f"{attribute} differ: the twin has {ours}, the data {theirs}")
        if traces.n_samples <= max(self.n_history, traces.n_prepare) + 1:
            raise TracesMismatch(
                f"trials of {traces.n_samples} samples ({traces.n_prepare} of preparation) are too short for a twin "
                f"that needs {self.n_history} samples of history"
            )
