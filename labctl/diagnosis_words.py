"""A diagnosis in words and figures, for the terminal and the report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from twins.diagnosis import ChannelDiagnosis, Diagnosis

SOURCES = {
    "repeats": "repeats of the same inputs",
    "preparation": "the preparation that all trials share",
    "one-step": "what one-step models leave unexplained, since nothing was repeated",
}
LOUDNESS = 1.5
"""A noise whose spread varies by less than this factor is called even."""


def diagnosis_lines(diagnosis: Diagnosis) -> list[str]:
    """One line a finding."""
    lines = [
        f"{diagnosis.n_trials} trials of {diagnosis.n_inputs} inputs, {diagnosis.n_samples} samples at "
        f"{1.0 / diagnosis.dt_s:g} Hz; judged from {SOURCES.get(diagnosis.source, diagnosis.source)}"
    ]
    for channel in diagnosis.channels:
        lines += _channel(channel)
    if len(diagnosis.channels) > 1:
        lines.append(
            f"across channels: noise correlated by {diagnosis.cross_correlation:.2f} (root mean square; neighbours "
            f"{diagnosis.adjacent_correlation:.2f}), {diagnosis.noise_rank} of {len(diagnosis.channels)} components carry 90 %"
        )
    order = {1: "linear", 2: "quadratic", 3: "cubic"}[diagnosis.polynomial_order]
    lines.append(
        f"memory: {diagnosis.response_delays} earlier samples of the response and {diagnosis.drive_delays} of the drive "
        f"help; the best one-step polynomial is {order}"
    )
    return [*lines, *(f"WARNING {one}" for one in diagnosis.warnings)]


def _channel(channel: ChannelDiagnosis) -> Sequence[str]:
    unit = channel.unit
    lines = [
        f"{channel.name}: spread {channel.spread:.4g} {unit}; process noise {channel.process_noise} {unit} a sample, "
        f"observation noise {channel.observation_noise} {unit} ({channel.observation_noise_reason})"
    ]
    if channel.drift is not None:
        seen = "beyond chance" if channel.drift.significant else "not beyond chance"
        lines.append(
            f"{channel.name}: drift over trials {channel.drift.std} {unit}, {seen}; "
            f"{100 * channel.drift.share.value:.1f} % of the variance about the repeats' mean"
        )
    loud = channel.loudness_range
    varying = f"varies {loud:.2g}-fold with drive and response" if loud > LOUDNESS else "is even"
    lines.append(f"{channel.name}: the noise {varying} and is {'COLOURED' if channel.coloured else 'white'}")
    return lines
