"""The learned rule as reaction and diffusion terms, beside the equation that made the images where that is known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labctl.errors import LabctlError
from labctl.nca_pde import PdeSource

if TYPE_CHECKING:
    from labctl.nca_model import SavedNca
    from twins.nca import Frames
    from twins.nca.model import NcaModel
    from twins.nca.pde import Pde
    from twins.nca.readable import Comparison, FramePairs, ReadableRule, Samples

_MOST_FRAMES, _MOST_HIDDEN_R2 = 12, 0.01
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
        return _alone(read_flow(read) if isinstance(read, FramePairs) else read_rule(read))
    return _beside(compared_with(equation, read), equation)


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


def _by_channel(rule: ReadableRule) -> dict[str, Any]:
    return {
        one.channel: {
            "equation": one.equation,
            "explained": one.r2,
            "explained_by_all_terms": one.r2_all,
            "explained_with_hidden_channels": one.r2_with_hidden,
            "error_over_a_frame_to_no_change": one.nrmse,
            "automaton_error_over_a_frame_to_no_change": one.own_error,
            "coefficients": {term.term: [term.value, term.standard_error] for term in one.coefficients},
        }
        for one in rule.channels
    }


def _explained(rule: ReadableRule) -> list[str]:
    said = []
    for one in rule.channels:
        words = f"{one.equation}; these terms explain {100 * one.r2:.3g} % of {_what(rule)} {one.channel} changes"
        if one.nrmse is not None and one.own_error is not None:
            words += (
                f": in {rule.n_steps} steps of their own they are off the automaton by {one.nrmse:.2g} of the change, the "
                f"automaton off the data by {one.own_error:.2g}"
            )
        if one.needs_hidden > _MOST_HIDDEN_R2:
            words += (
                f", hidden channels at least {100 * one.needs_hidden:.2g} % more: the rule is not of this form alone"
            )
        said.append(f"{words}.")
    return said


def _what(rule: ReadableRule) -> str:
    return "how much, from frame to frame," if rule.n_steps else "how fast"


def _alone(rule: ReadableRule) -> dict[str, Any]:
    rows = [
        [one.channel, term.term, f"{term.value:.4g}", f"{term.standard_error:.1g}"]
        for one in rule.channels
        for term in one.coefficients
    ]
    words = [f"Lengths in cells, time in {rule.time_unit}.", *_explained(rule)]
    header = ["channel", "term", "coefficient", "standard error"]
    return {"words": words, "header": header, "rows": rows, "by_channel": _by_channel(rule)}


def _beside(found: Comparison, equation: Pde) -> dict[str, Any]:
    rows = [
        [
            one.channel, one.term, f"{one.true:.4g}", f"{one.learned:.4g}",
            "" if one.on_true_terms is None else f"{one.on_true_terms:.4g} ± {one.standard_error or 0.0:.1g}",
        ]
        for one in found.terms
    ]  # fmt: skip
    words = [
        f"Beside {equation.name}, which made the images. Lengths in cells, time in {found.learned.time_unit}.",
        *_explained(found.learned),
    ]
    header = ["channel", "term", "true", "learned", "learned, on the true terms"]
    terms = {
        f"{one.channel}: {one.term}": {"true": one.true, "learned": one.learned, "on_true_terms": one.on_true_terms}
        for one in found.terms
    }
    return {"words": words, "header": header, "rows": rows, "by_channel": _by_channel(found.learned), "beside": terms}
