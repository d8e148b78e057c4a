"""What is wrong with channels before any model: constant, clipped, quantised, sampled too coarsely or too finely."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from twins.diagnosis.figures import ChannelDiagnosis
from twins.traces import Traces

_CLIPPED_SHARE = 0.005  # of samples exactly at the largest or smallest value, in runs
_STEP_OVER_NOISE = 1.0  # a quantisation step of one noise deviation already shapes the noise
_ALIASED_SHARE = 0.1  # of the response's power, without white noise, in the top fifth of frequencies
_FINE_CORRELATION = 0.9995


def constant_channels(traces: Sequence[Traces], side: str) -> list[int]:
    """Numbers of the drive or response channels that never change."""
    parts = [getattr(part, side) for part in traces]
    low = np.min([part.min((0, 1)) for part in parts], axis=0)
    high = np.max([part.max((0, 1)) for part in parts], axis=0)
    size = np.maximum(np.abs(low), np.abs(high))
    return [int(i) for i in np.flatnonzero(high - low <= 1e-12 * size)]


def clipping_warning(traces: Sequence[Traces], channel: int) -> str | None:
    """Words on samples that stick to the largest or the smallest value."""
    values = [part.response[..., channel] for part in traces]
    name, n = traces[0].response_names[channel], sum(one.size for one in values)
    n_levels = len(np.unique(np.concatenate([one.reshape(-1) for one in values])))
    for word, limit in (("largest", max(one.max() for one in values)), ("smallest", min(one.min() for one in values))):
        runs = sum(int(((one[:, 1:] == limit) & (one[:, :-1] == limit)).sum()) for one in values)
        # a coarse converter visits its outermost level now and then: count only what a level's fair share exceeds
        if runs / n > max(_CLIPPED_SHARE, 3.0 / n_levels):
            return (
                f"{name}: {100 * runs / n:.1f} % of samples stay at the {word} value {limit:.6g}: the instrument or "
                "the device saturates; noise estimates and a twin cannot see beyond"
            )
    return None


def quantisation_warning(traces: Sequence[Traces], channel: ChannelDiagnosis, index: int) -> str | None:
    """Words on a converter step that is not small beside the noise."""
    values = np.unique(np.concatenate([part.response[..., index].reshape(-1) for part in traces]))
    gaps = np.diff(values)
    gaps = gaps[gaps > 1e-9 * channel.spread]
    n = sum(part.response[..., index].size for part in traces)
    if len(gaps) < 2 or len(values) > 0.2 * n:
        return None
    step = float(gaps.min())
    noise = float(np.hypot(channel.process_noise.value, channel.observation_noise.value))
    if step < _STEP_OVER_NOISE * noise:
        return None
    return (
        f"{channel.name}: quantised in steps of {step:.3g} {channel.unit}, not small beside the noise of {noise:.3g}: "
        f"rounding looks like observation noise of {step / np.sqrt(12):.3g} {channel.unit}"
    )


def sampling_warning(response: np.ndarray, channel: ChannelDiagnosis) -> str | None:
    """Words on a sampling time that does not suit the (segment, time) response, of zero mean over all segments."""
    centred = response - response.mean(1, keepdims=True)
    power = float((centred**2).mean()) - channel.observation_noise.value**2
    if power <= 0:
        return None
    steps = np.diff(response, axis=1)
    moved = float((steps**2).mean()) - 2.0 * channel.observation_noise.value**2
    correlation = 1.0 - 0.5 * moved / float((response**2).mean())
    if moved > 0.0 and correlation > _FINE_CORRELATION and channel.memory > 1:
        return (
            f"{channel.name}: neighbouring samples correlate by {correlation:.5f}: sampled finer than the "
            "device moves; every second or fourth sample would make one-step models better conditioned"
        )
    window = np.hanning(response.shape[1])
    spectrum = (np.abs(np.fft.rfft(centred * window)) ** 2).mean(0)
    white = channel.observation_noise.value**2 * float((window**2).sum())
    top = spectrum[int(0.8 * len(spectrum)) :] - white
    share = float(top.sum() / max(1e-300, (spectrum - white)[1:].sum()))
    if share > _ALIASED_SHARE:
        return (
            f"{channel.name}: {100 * share:.0f} % of its power lies in the top fifth of frequencies (a tenth is too much): "
            "the device moves within a sample; sample faster, or hold the drive longer"
        )
    return None
