"""Measured drive and response of one device, as plain frozen arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float64, Int64

from twins.errors import TracesInvalid, TracesMismatch


@dataclass(frozen=True, slots=True, eq=False)
class Traces:
    """Drive and response of one device on one time grid.

    ``response[:, k]`` is the state at t_k and ``drive[:, k]`` acts over [t_k, t_k + dt_s), so ``response[:, k + 1]``
    may depend on ``drive[:, k]`` and on everything before it.

    drive: (trial, time, drive channel), response: (trial, time, response channel), both finite.
    n_prepare: leading samples of every trial that only bring the device to a known state. They give a twin its
    history and are never scored; the first scored drive sample is ``drive[:, n_prepare]``.
    input_id: (trial,), equal where the same drive was repeated. Without it every trial counts as an input of its own.
    conditions: quantities held constant in all trials (bias, temperature), in the units of their names.

    Raises TracesInvalid.
    """

    drive: Float64[np.ndarray, "trial time drive"]
    response: Float64[np.ndarray, "trial time response"]
    dt_s: float
    drive_names: tuple[str, ...]
    drive_units: tuple[str, ...]
    response_names: tuple[str, ...]
    response_units: tuple[str, ...]
    n_prepare: int = 0
    input_id: Int64[np.ndarray, " trial"] | None = None
    conditions: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for side in ("drive", "response"):
            object.__setattr__(self, side, _checked_samples(side, getattr(self, side)))
            for attribute in (f"{side}_names", f"{side}_units"):
                object.__setattr__(self, attribute, tuple(getattr(self, attribute)))
            _check_names(side, getattr(self, f"{side}_names"), getattr(self, f"{side}_units"), getattr(self, side))
        if self.drive.shape[:2] != self.response.shape[:2]:
            raise TracesInvalid(
                f"drive has (trial, time) = {self.drive.shape[:2]}, response {self.response.shape[:2]}; they must agree"
            )
        if not (np.isfinite(self.dt_s) and self.dt_s > 0):
            raise TracesInvalid(f"dt_s must be a positive number of seconds, not {self.dt_s!r}")
        if not 0 <= self.n_prepare < self.n_samples:
            raise TracesInvalid(
                f"n_prepare must lie in 0..{self.n_samples - 1} (samples of a trial), not {self.n_prepare}"
            )
        object.__setattr__(self, "input_id", _checked_input_id(self.input_id, self.n_trials))
        object.__setattr__(self, "conditions", _checked_conditions(self.conditions))

    @property
    def n_trials(self) -> int:
        """Number of trials."""
        return int(self.drive.shape[0])

    @property
    def n_samples(self) -> int:
        """Samples of every trial, preparation included."""
        return int(self.drive.shape[1])

    @property
    def inputs(self) -> Int64[np.ndarray, " trial"]:
        """The input id of every trial (never None)."""
        assert self.input_id is not None  # __post_init__ filled it
        return self.input_id

    def select(self, trials: Sequence[int] | np.ndarray) -> Traces:
        """The same data with only these trials (indices or a boolean mask)."""
        index = np.arange(self.n_trials)[np.asarray(trials)]
        return replace(self, drive=self.drive[index], response=self.response[index], input_id=self.inputs[index])

    def scored(self) -> tuple[Float64[np.ndarray, "trial time drive"], Float64[np.ndarray, "trial time response"]]:
        """(drive, response) without the preparation."""
        return self.drive[:, self.n_prepare :], self.response[:, self.n_prepare :]

    def span(self, start: int, stop: int) -> Traces:
        """The samples start..stop - 1 of every trial, counted from the first sample, preparation included.

        What is left of the preparation stays preparation. Raises TracesInvalid for a span that is empty or not there.
        """
        if not 0 <= start < stop <= self.n_samples:
            raise TracesInvalid(f"samples {start}:{stop} are not in trials of {self.n_samples} samples")
        n_prepare = max(0, self.n_prepare - start)
        return replace(
            self, drive=self.drive[:, start:stop], response=self.response[:, start:stop], n_prepare=n_prepare
        )

    def segments(self, n_samples: int, *, overlap: int = 0) -> Traces:
        """Every trial cut into consecutive segments of n_samples, each a trial and an input of its own.

        Segments of the same place in repeats of one drive stay repeats of each other. What does not fill a whole
        segment at the end is left away, and so is preparation beyond `overlap`.

        Without overlap no two segments share a sample, so that held-out segments are unknown to the fit; a twin takes
        its history from a segment's own beginning. With overlap the first samples of a segment are the last ones of the
        segment before and count as preparation: every sample is scored once, but segments are no longer apart, so hold
        out by trial or by span before cutting.

        Raises TracesInvalid if not even one segment fits, or the overlap leaves nothing to score.
        """
        if not 0 <= overlap < n_samples:
            raise TracesInvalid(f"segments of {n_samples} samples cannot overlap by {overlap}")
        first, stride = max(0, self.n_prepare - overlap), n_samples - overlap
        starts = np.arange(first, self.n_samples - n_samples + 1, stride)
        if not len(starts):
            raise TracesInvalid(
                f"not one segment of {n_samples} samples fits into trials of {self.n_samples - first} samples"
            )
        samples = starts[:, None] + np.arange(n_samples)
        _, inputs = np.unique(self.inputs, return_inverse=True)
        input_id = inputs[:, None] * len(starts) + np.arange(len(starts))
        return replace(
            self,
            drive=self.drive[:, samples].reshape(-1, n_samples, self.drive.shape[2]),
            response=self.response[:, samples].reshape(-1, n_samples, self.response.shape[2]),
            n_prepare=overlap,
            input_id=input_id.reshape(-1),
        )


def same_condition(first: float, second: float) -> bool:
    """Whether two values of a condition, which may have been measured, are the same within two per cent."""
    return bool(abs(first - second) <= 0.02 * max(abs(first), abs(second)) + 1e-12)


def check_same_grid(traces: Sequence[Traces], *, varying: Sequence[str] = ()) -> None:
    """Raise TracesMismatch unless all agree in sampling time, channels, units and conditions but for `varying` ones."""
    if not traces:
        raise TracesMismatch("no traces were given; at least one recording is needed")
    first = traces[0]
    for number, other in enumerate(traces[1:], start=1):
        if not np.isclose(other.dt_s, first.dt_s, rtol=1e-9, atol=0.0):
            raise TracesMismatch(
                f"traces 0 are sampled every {first.dt_s:g} s, traces {number} every {other.dt_s:g} s; "
                "a twin is fitted on one sampling time"
            )
        for attribute in ("drive_names", "drive_units", "response_names", "response_units"):
            ours, theirs = getattr(first, attribute), getattr(other, attribute)
            if ours != theirs:
                raise TracesMismatch(f"{attribute} differ: traces 0 have {ours}, traces {number} have {theirs}")
        held = [name for name in first.conditions if name not in varying]
        if first.conditions.keys() != other.conditions.keys() or any(
            not same_condition(first.conditions[name], other.conditions[name]) for name in held
        ):
            raise TracesMismatch(
                f"conditions differ: traces 0 have {dict(first.conditions)}, traces {number} have "
                f"{dict(other.conditions)}; name those that the twin is to be conditioned on in condition_names"
            )


def _checked_samples(side: str, samples: object) -> np.ndarray:
    array = np.array(samples, dtype=np.float64)  # a copy: nobody changes the data behind our back
    if array.ndim != 3 or 0 in array.shape:
        raise TracesInvalid(f"{side} must have the axes (trial, time, channel), none empty; its shape is {array.shape}")
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        trial, sample, channel = bad[0]
        raise TracesInvalid(
            f"{side} holds {len(bad)} values that are not finite, the first in trial {trial}, sample {sample}, "
            f"channel {channel}; leave such trials out or record them again"
        )
    array.setflags(write=False)
    return array


def _check_names(side: str, names: tuple[str, ...], units: tuple[str, ...], samples: np.ndarray) -> None:
    n_channels = samples.shape[2]
    if len(names) != n_channels or len(units) != n_channels:
        raise TracesInvalid(f"{side} has {n_channels} channels but {len(names)} names and {len(units)} units")
    if len(set(names)) != n_channels or not all(isinstance(text, str) for text in (*names, *units)) or "" in names:
        raise TracesInvalid(f"{side}_names must be different, non-empty texts, not {names}")


def _checked_input_id(input_id: np.ndarray | None, n_trials: int) -> np.ndarray:
    ids = np.arange(n_trials) if input_id is None else np.array(input_id)
    if ids.shape != (n_trials,) or not np.issubdtype(ids.dtype, np.integer):
        raise TracesInvalid(f"input_id must be {n_trials} integers, one a trial, not {ids.dtype} {ids.shape}")
    ids = ids.astype(np.int64)
    ids.setflags(write=False)
    return ids


def _checked_conditions(conditions: Mapping[str, float]) -> Mapping[str, float]:
    values = {str(name): float(value) for name, value in conditions.items()}
    for name, value in values.items():
        if not np.isfinite(value):
            raise TracesInvalid(f"condition {name} must be finite, not {value}")
    return values  # a plain dict: traces travel between processes
