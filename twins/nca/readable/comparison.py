"""A learned rule beside the equation that made its data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from twins.nca.pde.equation import Pde
from twins.nca.readable.flow_reading import read_flow
from twins.nca.readable.library import Library
from twins.nca.readable.pairs import FramePairs
from twins.nca.readable.reading import TOLERANCE, read_pde, read_rule
from twins.nca.readable.rule import ReadableRule
from twins.nca.readable.samples import Samples


@dataclass(frozen=True, slots=True)
class ComparedTerm:
    """One term in the rate of one channel. learned: in the rule as it was chosen, 0 where dropped. on_true_terms: with the
    true equation's terms alone, None for a term that is not among them; standard_error: of that one."""

    channel: str
    term: str
    true: float
    learned: float
    on_true_terms: float | None
    standard_error: float | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """true: the equation in the library's terms. learned: the automaton, terms chosen. on_true_terms: the automaton on the
    terms of the equation (of all channels, or through a frame each channel on its own)."""

    true: ReadableRule
    learned: ReadableRule
    on_true_terms: ReadableRule

    @property
    def terms(self) -> tuple[ComparedTerm, ...]:
        """All that stand in either rule, channel by channel."""
        found = []
        for number, learned in enumerate(self.learned.channels):
            parts = (learned, self.true.channels[number], self.on_true_terms.channels[number])
            mine, true, forced = ({c.term: c for c in part.coefficients} for part in parts)
            for term in self.learned.terms:
                if term not in mine and term not in true:
                    continue
                held = forced.get(term)
                given = (None, None) if held is None else (held.value, held.standard_error)
                values = [part[term].value if term in part else 0.0 for part in (true, mine)]
                found.append(ComparedTerm(learned.channel, term, values[0], values[1], *given))
        return tuple(found)

    def markdown(self) -> str:
        """A table, true against learned."""
        simulated = "SIMULATED. " * self.learned.simulated
        lines = [f"## {self.true.source} against {self.learned.source}", ""]
        lines += [f"{simulated}Lengths in cells, time in {self.learned.time_unit}.", ""]
        lines += ["| channel | term | true | learned | learned, on the true terms |", "|---|---|---|---|---|"]
        for one in self.terms:
            held = "" if one.on_true_terms is None else f"{one.on_true_terms:.5g} ± {one.standard_error:.2g}"
            lines.append(f"| {one.channel} | {one.term} | {one.true:.5g} | {one.learned:.5g} | {held} |")
        lines.append("")
        for learned, held_rule in zip(self.learned.channels, self.on_true_terms.channels, strict=True):
            what = (
                f"Explained of {'a frame of ' + learned.channel if self.learned.n_steps else f'∂{learned.channel}/∂t'}"
            )
            lines.append(
                f"{what}: {100 * learned.r2:.3g} % by the learned terms, {100 * held_rule.r2:.3g} % by the true ones."
            )
        return "\n".join(lines)


def compared_with(
    pde: Pde, samples: Samples | FramePairs, *, library: Library | None = None, tolerance: float = TOLERANCE
) -> Comparison:
    """The rule in the samples beside the equation's, by regression of both on the same states and terms.

    Of pairs a frame apart the rule is read through the frame, and on the true terms each channel has its own ones only.
    """
    if isinstance(samples, FramePairs):
        true = read_pde(pde, samples.samples, library=library, tolerance=tolerance)
        its_own = {one.channel: [c.term for c in one.coefficients] for one in true.channels}
        learned = read_flow(samples, library, tolerance=tolerance)
        return Comparison(true, learned, read_flow(samples, library, only=its_own))
    true = read_pde(pde, samples, library=library, tolerance=tolerance)
    learned = read_rule(samples, library, tolerance=tolerance)
    used: Sequence[str] = [
        term for term in true.terms if any(term == c.term for one in true.channels for c in one.coefficients)
    ]
    return Comparison(true, learned, read_rule(samples, library, only=used))
