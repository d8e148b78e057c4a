"""recommend: which twin and which training a diagnosis calls for, each choice with its reason in a sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from twins.diagnosis.figures import QUIET, ChannelDiagnosis, Diagnosis
from twins.diagnosis.free_runs import FreeRuns
from twins.diagnosis.one_step import highest_order
from twins.traces import Traces

OBSERVATION_OVER_PROCESS = (
    0.3  # ratio of standard deviations; at 0.7 a one-step fit's std is 24 % off, at 0.1 under 1 %
)
DRIFT_SHARE = 0.02  # of the variance about the repeats' mean
CHANNEL_CORRELATION = 0.3  # root mean square between channels
RANK_SHARE = 0.7  # components of 90 % of the variance over channels; independent channels need nearly 0.9
COLOURED = 0.1  # innovation autocorrelation
NO_NOISE = 1e-6  # over spread: rounding
NOISE_SHARE = 0.5  # of the squared error of free runs
SMALL_ERROR = 0.02  # of free runs over the spread: noise that moves them no further does not bend their mean
LONG_TRIAL = 120  # samples, enough for two of the simulation phase's horizons
FEW_INPUTS = 20
LEAST_DELAYS = {"response_delays": 3, "drive_delays": 2}  # products were compared with that many
_MAX_COLUMNS = 16
_MAX_RESPONSE_DELAYS = 12


@dataclass(frozen=True, slots=True)
class Recommendation:
    """spec_options: for DeviceTwinSpec.for_traces. phases: for fit. ensemble: how many twins. reasons: one each."""

    spec_options: Mapping[str, Any]
    phases: tuple[str, ...]
    ensemble: int
    reasons: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return {
            "spec_options": dict(self.spec_options),
            "phases": list(self.phases),
            "ensemble": self.ensemble,
            "reasons": list(self.reasons),
        }


@dataclass(slots=True)
class _Draft:
    options: dict[str, Any] = field(default_factory=dict)
    phases: list[str] = field(default_factory=lambda: ["likelihood"])
    reasons: list[str] = field(default_factory=list)


def recommend(diagnosis: Diagnosis, traces: Traces | Sequence[Traces]) -> Recommendation:
    """Choose structure, phases and the size of an ensemble for a twin of these recordings."""
    parts = [traces] if isinstance(traces, Traces) else list(traces)
    draft = _Draft()
    observed = _observation(diagnosis, draft)
    _memory(diagnosis, draft, observed=observed)
    _drift(diagnosis, draft)
    _columns(diagnosis, draft, observed=observed)
    _backbone(diagnosis, draft)
    if observed or draft.options.get("auxiliaries") or draft.options.get("trial_drift"):
        _warm_up(parts, diagnosis, draft)
        draft.phases.append("filter")
    _late_phases(parts, diagnosis, draft)
    return Recommendation(dict(draft.options), tuple(draft.phases), _ensemble(diagnosis, draft), tuple(draft.reasons))


def _worst_ratio(diagnosis: Diagnosis) -> tuple[float, ChannelDiagnosis]:
    """Largest observation noise over process noise that is beyond its own uncertainty."""

    def ratio(channel: ChannelDiagnosis) -> float:
        noise = channel.observation_noise
        if noise.value < max(2.0 * noise.sd, NO_NOISE * channel.spread):
            return 0.0
        return noise.value / max(channel.process_noise.value, 1e-3 * noise.value)

    worst = max(diagnosis.channels, key=ratio)
    return ratio(worst), worst


def _observation(diagnosis: Diagnosis, draft: _Draft) -> bool:
    ratio, channel = _worst_ratio(diagnosis)
    if ratio >= OBSERVATION_OVER_PROCESS:
        unseen = channel.process_noise.value <= 2.0 * channel.process_noise.sd
        shown = "process noise is not seen" if unseen else f"{ratio:.2g} of the process noise of a step"
        draft.options["observation"] = True
        draft.reasons.append(
            f"observation head and filter likelihood: {channel.name} has observation noise of {channel.observation_noise} "
            f"{channel.unit}, {shown} (from {OBSERVATION_OVER_PROCESS:g} on, a one-step likelihood takes it for the device's own)"
        )
    else:
        draft.reasons.append(
            f"one-step likelihood, no observation head: observation noise is at most {ratio:.2g} of the process noise of a "
            f"step ({channel.name}; the limit is {OBSERVATION_OVER_PROCESS:g})"
        )
    unclear = [one for one in diagnosis.channels if not one.observation_noise_known]
    if unclear:
        draft.reasons.append(
            f"to be taken with care: in {len(unclear)} of {len(diagnosis.channels)} channels process and observation "
            f"noise are not told apart ({unclear[0].name}: {unclear[0].observation_noise_reason})"
        )
    return ratio >= OBSERVATION_OVER_PROCESS


def _memory(diagnosis: Diagnosis, draft: _Draft, *, observed: bool) -> None:
    memory = max(channel.memory for channel in diagnosis.channels)
    colour, coloured = max(
        (max((abs(value) for value in one.innovation_autocorrelation), default=0.0), one.name)
        for one in diagnosis.channels
    )
    delays, why = diagnosis.response_delays, "one-step models foresee held-out samples no better with more"
    drive_delays = diagnosis.drive_delays
    shared = observed and memory > 1 and len(diagnosis.channels) == 1
    if observed:
        delays, why = (
            # the diagnosis' own model has white noise and spends a sample of memory on what the auxiliary below stands for
            max(1, memory - 2) if shared else memory - 1,
            "the filter's model needs no more; longer ones would only average the observation noise",
        )
        # what a held drive did to hidden velocities goes on for as many samples as they are embedded in, however little
        # of it the observation noise lets one see in a single step
        drive_delays = max(delays, max(channel.drive_memory for channel in diagnosis.channels) - 1)
    is_coloured = any(one.coloured for one in diagnosis.channels) and colour > COLOURED
    runs = _ruled_by_the_model(diagnosis)
    if runs is not None and diagnosis.polynomial_order > 1 and not observed:
        delays, drive_delays = runs.delays
        why = (
            f"{_of_free_runs(runs)}; those of the loudest stretches, held out, decide: of polynomials that err within one "
            "standard error of the best, the one with the fewest products"
        )
    elif is_coloured and not observed:
        delays = min(max(delays, memory) + 1, max(_MAX_RESPONSE_DELAYS, delays))
        why += f", and one more, as innovations of {coloured} correlate by {colour:.2f} at an early lag (limit {COLOURED:g})"
    draft.options["response_delays"] = delays
    draft.options["drive_delays"] = drive_delays
    draft.reasons.append(f"response_delays {delays}, drive_delays {drive_delays}: {why}")
    if shared:
        draft.options |= {"auxiliaries": 1, "noise_columns": 1, "noise_diagonal": False}
        draft.reasons.append(
            f"one auxiliary that shares the noise of the response: {memory} samples of memory mean hidden velocities, whose "
            "noise reaches the response at two samples, as a moving average"
        )
    elif is_coloured and observed:
        draft.options["auxiliaries"] = 1
        draft.reasons.append(
            f"one auxiliary: innovations of {coloured} correlate by {colour:.2f} at one of the first lags (limit {COLOURED:g}): "
            "coloured noise, which delays cannot stand for beside observation noise"
        )


def _ruled_by_the_model(diagnosis: Diagnosis) -> FreeRuns | None:
    """What free runs say, where they err by the model, or by so little noise that a run without any is their mean."""
    runs = diagnosis.free_runs
    return runs if runs is not None and (runs.noise_share < NOISE_SHARE or runs.error < SMALL_ERROR) else None


def _of_free_runs(runs: FreeRuns) -> str:
    if runs.noise_share < NOISE_SHARE:
        return (
            f"noise causes {100 * runs.noise_share:.0f} % of the error of free runs (limit {100 * NOISE_SHARE:.0f} %)"
        )
    return f"free runs err by {runs.error:.2g} of the spread (limit {SMALL_ERROR:g}), so noise hardly bends them"


def _drift(diagnosis: Diagnosis, draft: _Draft) -> None:
    drifting = [one for one in diagnosis.channels if one.drift and one.drift.distinct]
    if drifting:
        worst = max(drifting, key=lambda one: one.drift.share.value if one.drift else 0.0)
        assert worst.drift is not None
        if worst.drift.share.value >= DRIFT_SHARE:
            draft.options["trial_drift"] = True
            draft.reasons.append(
                f"slow drift over trials as a component: {100 * worst.drift.share.value:.1f} % of the variance of {worst.name} "
                f"about its repeats (limit {100 * DRIFT_SHARE:g} %), neighbouring trials correlate by "
                f"{worst.drift.correlation.value:.2f}"
            )
        return
    slow = [one for one in diagnosis.channels if one.drift and one.drift.significant]
    if slow:
        draft.reasons.append(
            f"no drift component: trials of {slow[0].name} differ by offsets, but neighbouring trials do not share them; the "
            "device's own slow memory or clusters would look like this"
        )


def _columns(diagnosis: Diagnosis, draft: _Draft, *, observed: bool) -> None:
    n = len(diagnosis.channels)
    if n == 1:
        return
    cross = diagnosis.cross_correlation
    if cross < CHANNEL_CORRELATION and diagnosis.noise_rank > RANK_SHARE * n:
        draft.reasons.append(
            f"noise of each channel on its own: deviations of different channels correlate by {cross:.2f} (root mean square, "
            f"limit {CHANNEL_CORRELATION:g}) and it takes {diagnosis.noise_rank} of {n} components to carry 90 % of their variance"
        )
        return
    rank = min(diagnosis.noise_rank, _MAX_COLUMNS, n)
    process = sum(one.process_noise.value**2 for one in diagnosis.channels)
    measured = sum(one.observation_noise.value**2 for one in diagnosis.channels)
    chosen = []
    if observed:
        draft.options["observation_columns"] = rank
        chosen.append("observation_columns")
    if process > OBSERVATION_OVER_PROCESS**2 * measured or not observed:
        draft.options["noise_columns"] = rank
        chosen.append("noise_columns")
    draft.reasons.append(
        f"{' and '.join(chosen)} {rank}: deviations of different channels correlate by {cross:.2f} (limit "
        f"{CHANNEL_CORRELATION:g}; neighbours {diagnosis.adjacent_correlation:.2f}), {diagnosis.noise_rank} of {n} components "
        f"carry 90 % of their variance (limit {RANK_SHARE:g} of them)"
    )


def _backbone(diagnosis: Diagnosis, draft: _Draft) -> None:
    worst = max(diagnosis.channels, key=lambda one: one.one_step_error[0] / max(1e-12, min(one.one_step_error)))
    linear, best = worst.one_step_error[0], min(worst.one_step_error)
    _shorten_for_products(diagnosis, draft)
    n_columns = _n_columns(diagnosis, draft)
    order = min(diagnosis.polynomial_order, highest_order(n_columns))
    figures = f"held-out one-step error of {worst.name} falls from {linear:.3g} (linear) to {best:.3g} of its spread"
    if order > 1:
        draft.options["backbone_order"] = order
        draft.reasons.append(f"polynomial backbone of order {order}: {figures}, beyond three standard errors")
    elif diagnosis.polynomial_order > 1:
        draft.reasons.append(f"linear backbone: {figures}, but {n_columns} inputs make too many products")
    else:
        draft.reasons.append(f"linear backbone: {figures}, within three standard errors or half a per cent")


def _n_columns(diagnosis: Diagnosis, draft: _Draft) -> int:
    n_response: int = (draft.options["response_delays"] + 1) * len(diagnosis.channels)
    n_drive: int = (draft.options["drive_delays"] + 1) * diagnosis.n_drive
    return n_response + n_drive


def _shorten_for_products(diagnosis: Diagnosis, draft: _Draft) -> None:
    """Fewer delays where the longest ones would leave no room for the products that the device needs."""
    asked = draft.options["response_delays"], draft.options["drive_delays"]
    while highest_order(_n_columns(diagnosis, draft)) < diagnosis.polynomial_order:
        spare = {name: draft.options[name] - least for name, least in LEAST_DELAYS.items()}
        name = max(spare, key=lambda one: spare[one])
        if spare[name] <= 0:  # too many channels for any
            draft.options["response_delays"], draft.options["drive_delays"] = asked
            return
        draft.options[name] -= 1
    kept = draft.options["response_delays"], draft.options["drive_delays"]
    if kept != asked:
        draft.reasons.append(
            f"response_delays {kept[0]} and drive_delays {kept[1]} instead: with {asked[0]} and {asked[1]} there would be too "
            f"many products of order {diagnosis.polynomial_order}"
        )


def _warm_up(parts: Sequence[Traces], diagnosis: Diagnosis, draft: _Draft) -> None:
    memory = max(channel.memory for channel in diagnosis.channels)
    shortest = min(part.n_samples for part in parts)
    wanted = max(16, 8 * memory)
    warm_up = max(0, min(wanted, shortest // 4))
    draft.options["warm_up"] = warm_up
    draft.reasons.append(
        f"warm_up {warm_up}: the filter sees that many samples before a start (8 for each of {memory} samples of memory, at "
        f"least 16, at most a quarter of the {shortest} samples of a trial)"
    )


def _late_phases(parts: Sequence[Traces], diagnosis: Diagnosis, draft: _Draft) -> None:
    longest = max(part.n_samples for part in parts)
    quiet = max(one.process_share for one in diagnosis.channels)
    runs = _ruled_by_the_model(diagnosis)
    if runs is not None and longest >= LONG_TRIAL:
        draft.phases.append("simulation")
        draft.reasons.append(
            f"simulation phase: process noise is at most {quiet:.2g} of the spread (limit {QUIET:g}), {_of_free_runs(runs)}; "
            f"trials have {longest} samples (at least {LONG_TRIAL})"
        )
    coloured = [one.name for one in diagnosis.channels if one.coloured]
    if coloured:
        draft.phases.append("windows")
        draft.reasons.append(
            f"windows phase: what a white-noise model leaves of {coloured[0]} is not white, so short free runs by a proper "
            "score may improve on likelihoods; kept only where held-out free runs do improve"
        )


def _ensemble(diagnosis: Diagnosis, draft: _Draft) -> int:
    few = diagnosis.n_stretches < FEW_INPUTS
    draft.reasons.append(
        f"ensemble of {5 if few else 3}: {diagnosis.n_stretches} different inputs or stretches of a long one "
        f"({'fewer than' if few else 'at least'} {FEW_INPUTS})"
    )
    return 5 if few else 3
