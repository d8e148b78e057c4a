"""From an automaton, or from images, to a rule in one call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch

from twins.nca.frames import Frames
from twins.nca.model import NcaModel
from twins.nca.readable.flow_reading import read_flow
from twins.nca.readable.library import Library
from twins.nca.readable.pairs import Along, pairs_of_frames, pairs_of_model
from twins.nca.readable.reading import TOLERANCE, read_rule
from twins.nca.readable.rule import ReadableRule
from twins.nca.readable.samples import samples_of_frames, samples_of_model
from twins.nca.spec import Padding

Through = Literal["auto", "step", "frame"]


def read_model(
    model: NcaModel,
    frames: Frames,
    *,
    n_frames: int,
    frame: int = 0,
    through: Through = "auto",
    along: Along = "frames",
    every: int = 1,
    perturbation_sd: float = 0.0,
    generator: torch.Generator | None = None,
    library: Library | None = None,
    tolerance: float = TOLERANCE,
    only: Sequence[str] | None = None,
) -> ReadableRule:
    """The effective rule of an automaton.

    through: "frame" reads the equation whose own steps over a frame lead where the automaton's lead (see ``read_flow``),
    along the given frames, one in `every`, or its own run (see ``pairs_of_model``). "step" reads single steps along its
    run, one in `every` (see ``samples_of_model``): of an automaton trained with many steps a frame, its data say nothing of
    these. "auto": a frame, where that has more than one step. The other options are those of these functions.
    """
    if through == "step" or (through == "auto" and model.steps_per_frame == 1):
        samples = samples_of_model(
            model, frames, n_frames=n_frames, frame=frame, every=every, perturbation_sd=perturbation_sd,
            generator=generator,
        )  # fmt: skip
        return read_rule(samples, library, tolerance=tolerance, only=only)
    pairs = pairs_of_model(
        model, frames, n_frames=n_frames, frame=frame, along=along, every=every, perturbation_sd=perturbation_sd,
        generator=generator,
    )  # fmt: skip
    return read_flow(pairs, library, tolerance=tolerance, only=only)


def read_frames(
    frames: Frames,
    *,
    n_steps: int | None = None,
    padding: Padding = "periodic",
    at: Literal["start", "mean"] = "start",
    library: Library | None = None,
    tolerance: float = TOLERANCE,
    only: Sequence[str] | None = None,
) -> ReadableRule:
    """The rule in image sequences themselves.

    n_steps: read through so many Euler steps from frame to frame (see ``read_flow``), which is right for frames that lie far
    apart. None: from their differences, taken `at` the first or in the middle (see ``samples_of_frames``).
    """
    if n_steps is not None:
        return read_flow(
            pairs_of_frames(frames, n_steps=n_steps, padding=padding), library, tolerance=tolerance, only=only
        )
    return read_rule(samples_of_frames(frames, padding=padding, at=at), library, tolerance=tolerance, only=only)
