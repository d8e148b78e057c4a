"""A readable rule in words, tables and numbers: no equation where none was found, lengths in their units where they have one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labctl.nca_words import CELLS, time_in_words

if TYPE_CHECKING:
    from twins.nca import Frames
    from twins.nca.pde import Pde
    from twins.nca.readable import ChannelRule, Comparison, ReadableRule

EXACT = 0.9995
"""Share of an equation's rates that terms must hold to count as its own."""
_LEAST_R2, _MOST_HIDDEN_R2 = 0.5, 0.01
"""Below the first a rule is none; above the second, hidden channels carry part of it."""
_LENGTHS = {"∇²": 2, "∇⁴": 4, "∂": 1}
"""Powers of a length in the coefficients of operators that are linear."""


def alone(rule: ReadableRule, frames: Frames) -> dict[str, Any]:
    """words, header, rows and by_channel of a rule with nothing to compare it with."""
    rows = [
        [one.channel, term.term, f"{term.value:.4g}", f"{term.standard_error:.1g}"]
        for one in rule.channels
        if was_found(one)
        for term in one.coefficients
    ]
    words = [
        f"Lengths in cells, time in {time_in_words(rule.time_unit)}.",
        *_explained(rule),
        *_in_lengths(rule, frames),
    ]
    header = ["channel", "term", "coefficient", "standard error"]
    return {"words": words, "header": header if rows else [], "rows": rows, "by_channel": _by_channel(rule, frames)}


def beside(found: Comparison, equation: Pde, frames: Frames) -> dict[str, Any]:
    """The same, beside the equation."""
    known = {one.channel for one in found.learned.channels if was_found(one)}
    rows = [
        [
            one.channel, one.term, f"{one.true:.4g}", f"{one.learned:.4g}" if one.channel in known else "none found",
            "" if one.on_true_terms is None or one.channel not in known
            else f"{one.on_true_terms:.4g} ± {one.standard_error or 0.0:.1g}",
        ]
        for one in found.terms
        if one.channel in known or one.true
    ]  # fmt: skip
    exact = _is_exact(found)
    words = [
        f"Beside {equation.name}, which made the images. Lengths in cells, time in {time_in_words(found.learned.time_unit)}.",
        _projected(found, equation), *_explained(found.learned), *_in_lengths(found.learned, frames),
    ]  # fmt: skip
    true = equation.name if exact else f"{equation.name}, projected on these terms"
    header = ["channel", "term", true, "learned", "learned, on these terms alone"]
    terms = {
        f"{one.channel}: {one.term}": {"true": one.true, "learned": one.learned, "on_true_terms": one.on_true_terms}
        for one in found.terms
    }
    return {
        "words": words, "header": header, "rows": rows, "by_channel": _by_channel(found.learned, frames), "beside": terms,
        "equation": {"name": equation.name, "of_these_terms": exact,
                     "explained": {one.channel: _share(one.r2) for one in found.true.channels}},
    }  # fmt: skip


def _is_exact(found: Comparison) -> bool:
    return all(one.r2 >= EXACT for one in found.true.channels)


def _projected(found: Comparison, equation: Pde) -> str:
    """What the equation's own column is."""
    if _is_exact(found):
        return f"{equation.name} is made of these terms: its column holds its own coefficients."
    shares = ", ".join(f"{_percent(one.r2)} of ∂{one.channel}/∂t" for one in found.true.channels)
    return (
        f"{equation.name} is NOT made of these terms: its column is not the equation, but what comes nearest to it in these "
        f"terms on these states, and holds {shares}."
    )


def was_found(one: ChannelRule) -> bool:
    """Whether these terms are worth being read as a rule."""
    return one.r2 >= _LEAST_R2 and bool(one.coefficients)


def _by_channel(rule: ReadableRule, frames: Frames) -> dict[str, Any]:
    return {
        one.channel: {
            "equation": one.equation if was_found(one) else None,
            "explained": _share(one.r2),
            "explained_by_all_terms": max(_share(one.r2), _share(one.r2_all)),
            "explained_with_hidden_channels": one.r2_with_hidden,
            "error_over_a_frame_to_no_change": one.nrmse,
            "automaton_error_over_a_frame_to_no_change": one.own_error,
            "coefficients": {
                term.term: [term.value, term.standard_error] for term in one.coefficients if was_found(one)
            },
            "in_lengths": {
                term: f"{value:.6g} {unit}"
                for term, value, unit in _lengths(one, rule.time_unit, frames)
                if was_found(one)
            },
        }
        for one in rule.channels
    }


def _explained(rule: ReadableRule) -> list[str]:
    said = []
    what = "how much, from frame to frame," if rule.n_steps else "how fast"
    for one in rule.channels:
        if not was_found(one):
            most = max(one.r2, one.r2_all)
            said.append(
                f"No readable rule was found for {one.channel}: the terms tried explain "
                f"{'nothing' if most <= 0.0 else f'no more than {_percent(most)}'} of {what} it changes."
            )
            continue
        words = f"{one.equation}; these terms explain {_percent(one.r2)} of {what} {one.channel} changes"
        if one.nrmse is not None and one.own_error is not None:
            words += (
                f": in {rule.n_steps} steps of their own they are off the automaton by {one.nrmse:.2g} of the change, the "
                f"automaton off the data by {one.own_error:.2g}"
            )
        if one.needs_hidden > _MOST_HIDDEN_R2:
            words += f", hidden channels at least {_percent(one.needs_hidden)} more: the rule is not of this form alone"
        said.append(f"{words}.")
    return said


def _in_lengths(rule: ReadableRule, frames: Frames) -> list[str]:
    parts = [
        f"{term} of {one.channel} {value:.4g} {unit}"
        for one in rule.channels
        if was_found(one)
        for term, value, unit in _lengths(one, rule.time_unit, frames)
    ]
    return [f"With cells of {frames.pixel:g} {frames.pixel_unit}: {'; '.join(parts)}."] if parts else []


def _lengths(rule: ChannelRule, time_unit: str, frames: Frames) -> list[tuple[str, float, str]]:
    """(term, coefficient, unit) of operators in units of length; none where a cell's size is not known."""
    if frames.pixel_unit in CELLS:
        return []
    found = []
    for one in rule.coefficients:
        power = next((power for start, power in _LENGTHS.items() if one.term.startswith(start)), 0)
        if power and "(" not in one.term:
            raised = {1: "", 2: "²", 4: "⁴"}[power]
            unit = f"{frames.pixel_unit}{raised}{'' if time_unit in ('', '1') else f'/{time_unit}'}"
            found.append((one.term, one.value * frames.pixel**power, unit))
    return found


def _share(value: float) -> float:
    """Below zero a constant would have done better: nothing is explained."""
    return max(0.0, value)


def _percent(value: float) -> str:
    return f"{100 * _share(value):.3g} %"
