"""Tell traces that were measured unlike the design: at other times, under another drive, with gaps that it has not.

A network has learned nothing of drives and times that its simulations did not have, however usual the values look.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from twins.goku.amortised.design import Design

_SAME = 1e-3
_FLOOR = 0.05  # spread of a summary over the design below which it counts as the same in all traces
_SMALLEST = 0.01  # of the design's RMS; less is nothing
_ROOM = 0.25  # of the design's range of a summary, beyond either end
_MOST_OWN = 1024  # traces of the design whose distance to the others is measured


def unlike_design(trained: Design, asked: Design, varying: tuple[str, ...]) -> dict[int, str]:
    """Traces (of `asked`) with times, a drive or gaps that the design a network was trained for never had, and which.

    varying: what of these differs between the trained design's traces. What does not must be the same; what does must lie
    among what it had: within the range of each plain summary, and as near to one of its traces as they lie to each other.
    """
    traces = len(asked.steps_s)
    times, drive = _foreign_times(trained, asked, "times" in varying), torch.zeros(traces, dtype=torch.bool)
    if trained.drive is not None and asked.drive is not None:
        drive = _foreign_drive(trained.drive, asked.drive, "drive" in varying)
    gaps = ~asked.seen.all(-1).all(-1) if "gaps" not in varying else torch.zeros(traces, dtype=torch.bool)
    reasons = {}
    for trace in range(traces):
        found = [
            words
            for words, foreign in (
                ("its times are not those of the design", times),
                ("its drive is not that of the design", drive),
                ("it has gaps, and the design has none", gaps),
            )
            if bool(foreign[trace])
        ]
        if found:
            reasons[trace] = "; ".join(found) + ": train with a design like it"
    return reasons


def _foreign_times(trained: Design, asked: Design, varying: bool) -> Bool[Tensor, " trace"]:
    if not varying or bool((trained.steps_s == trained.steps_s[:1]).all()):
        off = (asked.steps_s / trained.steps_s[:1] - 1.0).abs().amax(dim=1)
        return off > _SAME
    own, other = (_of_steps(design.steps_s) for design in (trained, asked))
    return _outside(own, other) | _far(own, other)


def _foreign_drive(
    trained: Float[Tensor, "trained time drive"], asked: Float[Tensor, "trace time drive"], varying: bool
) -> Bool[Tensor, " trace"]:
    if not varying:
        off = (asked - trained[:1]).abs().amax(dim=(1, 2))
        return off > _SAME * trained[0].abs().max()
    scale = trained.square().mean(dim=(0, 1)).sqrt().clamp_min(1e-30)
    (own, own_shape), (other, other_shape) = (_of_drive(drive / scale) for drive in (trained, asked))
    joined = [torch.cat(parts, dim=-1) for parts in ((own, own_shape), (other, other_shape))]
    return _outside(own, other) | _far(*joined)


def _of_steps(steps_s: Float[Tensor, "trace step"]) -> Float[Tensor, "trace number"]:
    """Logarithms of the shortest, the longest and the mean step."""
    return torch.stack((steps_s.amin(dim=1), steps_s.amax(dim=1), steps_s.mean(dim=1)), dim=-1).log()


def _of_drive(
    drive: Float[Tensor, "trace time drive"],
) -> tuple[Float[Tensor, "trace number"], Float[Tensor, "trace shape"]]:
    """(RMS and extreme values; mean, roughness and shares of the power by octave)."""
    rms = drive.square().mean(dim=1).sqrt()
    size = (torch.log(rms + _SMALLEST), drive.amin(dim=1), drive.amax(dim=1))
    rough = drive.diff(dim=1).square().mean(dim=1).sqrt() / (rms + _SMALLEST)
    power = torch.fft.rfft(drive - drive.mean(dim=1, keepdim=True), dim=1).abs().square()[:, 1:]
    whole = power.sum(dim=1) + _SMALLEST**2 * drive.shape[1]
    octave = torch.arange(1, power.shape[1] + 1).log2().floor().long()
    shares = [power[:, octave == number].sum(dim=1) / whole for number in torch.unique(octave).tolist()]
    logs = [torch.log(share + _SMALLEST) for share in shares]
    return torch.cat(size, dim=-1), torch.cat((drive.mean(dim=1), torch.log(rough + _SMALLEST), *logs), dim=-1)


def _outside(own: Float[Tensor, "trained number"], asked: Float[Tensor, "trace number"]) -> Bool[Tensor, " trace"]:
    low, high = own.amin(dim=0), own.amax(dim=0)
    room = (_ROOM * (high - low)).clamp_min(_FLOOR)
    return ((asked < low - room) | (asked > high + room)).any(dim=-1)


def _far(own: Float[Tensor, "trained number"], asked: Float[Tensor, "trace number"]) -> Bool[Tensor, " trace"]:
    """Farther from every trace of the design than any of them is from the others."""
    spread = own.std(dim=0, correction=0).clamp_min(_FLOOR)
    own, asked = torch.unique(own / spread, dim=0), asked / spread
    some = torch.linspace(0, len(own) - 1, min(_MOST_OWN, len(own))).long()
    between = torch.cdist(own[some], own)
    between[torch.arange(len(some)), some] = torch.inf
    nearest = between.amin(dim=1)
    allowed = float(nearest[torch.isfinite(nearest)].max()) if len(own) > 1 else 0.0
    return torch.cdist(asked, own).amin(dim=1) > max(allowed, 1.0)
