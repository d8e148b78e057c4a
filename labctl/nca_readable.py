"""The learned rule as reaction and diffusion terms, beside the equation that made the images where that is known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labctl.errors import LabctlError
from labctl.nca_pde import PdeSource
from labctl.nca_readable_words import EXACT, alone, beside, was_found

if TYPE_CHECKING:
    from labctl.nca_model import SavedNca
    from twins.nca import Frames
    from twins.nca.model import NcaModel
    from twins.nca.pde import Pde
    from twins.nca.readable import FramePairs, Library, ReadableRule, Samples

_MOST_FRAMES = 12
_MOST_CHANNELS, _MOST_TRIALS = 4, 4
_LEFT_AWAY = 10
"""One frame in so many, at the beginning."""


def readable_figures(saved: SavedNca, frames: Frames, *, seed: int) -> dict[str, Any] | None:
    """words, header and rows for a page, and by_channel as numbers. Raises twins.TwinError where there is nothing to read."""
    from twins.nca.readable import FramePairs, compared_with, read_flow, read_rule

    if frames.n_channels > _MOST_CHANNELS:
        words = (
            f"A rule of {frames.n_channels} channels has too many terms to be read; it is for up to {_MOST_CHANNELS}."
        )
        return {"words": [words], "header": [], "rows": [], "by_channel": {}}
    read = _read(saved.model, frames, seed=seed)
    equation = equation_behind(saved)
    if equation is None or equation.fields != saved.model.names or equation.discrete:
        library = _library(saved.model)
        rule = read_flow(read, library) if isinstance(read, FramePairs) else read_rule(read, library)
        return _on_its_run(alone(rule, frames), rule, library, saved.model, frames, seed=seed)
    library = _library_for(equation, saved.model, read.samples if isinstance(read, FramePairs) else read)
    found = compared_with(equation, read, library=library)
    return _on_its_run(beside(found, equation, frames), found.learned, library, saved.model, frames, seed=seed)


def _on_its_run(
    figures: dict[str, Any], rule: ReadableRule, library: Library, model: NcaModel, frames: Frames, *, seed: int
) -> dict[str, Any]:
    """With how far the rule is off where the automaton runs freely, hidden channels and all."""
    import torch

    from twins.errors import TwinError
    from twins.nca.readable import left_over, pairs_of_model

    if not rule.n_steps:
        return figures
    try:
        run = pairs_of_model(
            model, frames.select([0]), n_frames=min(_MOST_FRAMES, frames.n_frames - 1), along="run",
            generator=torch.Generator().manual_seed(seed),
        )  # fmt: skip
    except TwinError as error:
        figures["words"].append(f"How it goes on where the automaton runs freely is not known: {error}.")
        return figures
    off = left_over(rule, run, library)
    for one, value in zip(rule.channels, off, strict=True):
        figures["by_channel"][one.channel]["error_over_a_frame_of_its_run_to_no_change"] = value
    told = ", ".join(
        f"{value:.2g} of how much {one.channel} changes"
        for one, value in zip(rule.channels, off, strict=True)
        if was_found(one)
    )
    if told:
        figures["words"].append(
            f"Where the automaton runs freely, these equations are off it from frame to frame by {told}."
        )
    return figures


def _library(model: NcaModel) -> Library:
    """Slopes only for a rule that sees them: for another they could but stand for something else."""
    from twins.nca.kernels import kernel_set
    from twins.nca.readable import Library

    return Library(slopes=bool({"DX", "DY", "NORM"} & set(kernel_set(model.automaton.spec.kernels))))


def _library_for(equation: Pde, model: NcaModel, samples: Samples) -> Library:
    """The first that holds the equation; that of the rule where none does."""
    from twins.nca.readable import Library, read_pde

    usual = _library(model)
    for library in (usual, Library(slopes=True), Library(laplacian_degree=3, biharmonic=True)):
        if min(one.r2 for one in read_pde(equation, samples, library=library).channels) >= EXACT:
            return library
    return usual


def _read(model: NcaModel, frames: Frames, *, seed: int) -> Samples | FramePairs:
    """What the rule is read from: where each frame leads in one frame's time, as the data taught; a single step only where
    that is a frame."""
    import torch

    from twins.nca.readable import pairs_of_model, samples_of_model

    generator = torch.Generator().manual_seed(seed)
    if model.steps_per_frame == 1:
        return samples_of_model(model, frames, n_frames=min(_MOST_FRAMES, frames.n_frames - 1), generator=generator)
    some = frames.select(range(min(frames.n_trials, _MOST_TRIALS)))
    first = frames.n_frames // _LEFT_AWAY  # initial conditions often have corners that nothing later has
    every = -(-(frames.n_frames - first) // (2 * _MOST_FRAMES))
    n_frames = -(-(frames.n_frames - first) // every)
    return pairs_of_model(model, some, n_frames=n_frames, frame=first, every=every, generator=generator)


def equation_behind(saved: SavedNca) -> Pde | None:
    """The equation that made the images, where labctl simulated them with one set of parameters; else None."""
    from twins.errors import TwinError

    for source in saved.about.get("extra", {}).get("data", ()):
        told = source.get("simulation")
        if isinstance(told, dict) and not told.get("vary"):
            try:
                return PdeSource(pde=told["pde"], parameters=told.get("parameters", {})).equation()
            except (LabctlError, TwinError, OSError, KeyError, TypeError):
                return None  # its file has gone, or is another one now: there is nothing to compare with
    return None
