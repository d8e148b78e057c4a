"""The figures of an automaton as rows that people read: what, how much, what it means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from labctl.nca_words import stability, value_of, worse_than_no_change


@dataclass(frozen=True, slots=True)
class FigureRow:
    """what, value: words. meaning: what it says, with units."""

    what: str
    value: str
    meaning: str


def evaluation_rows(figures: Mapping[str, Any]) -> list[FigureRow]:
    """Of evaluate_nca, the most telling first."""
    ours, stays = value_of(figures["free_run_error"]), value_of(figures["no_change_error"])
    rows = [
        FigureRow("Stable", stability(figures), "finite, within [-0.5, 1.5] of the data's range, 0.5 to 1.5 of their strength"),
        FigureRow(
            "Free-run error", f"{ours} (predicting no change: {stays})",
            "left to itself from the first frame: mean distance to the data, in their standard deviations",
        ),
        FigureRow(
            "One transition", f"{value_of(figures['transition_ratio_to_no_change'])} of no change",
            "one frame ahead of every true frame, over the error of predicting no change",
        ),
    ]  # fmt: skip
    if worse := worse_than_no_change(figures):
        rows.append(FigureRow("Beware", worse, "predicting that nothing changes would have been better"))
    return [*rows, *_pattern_rows(figures.get("patterns")), *_other_rows(figures), *_remark_rows(figures)]


def search_rows(figures: Mapping[str, Any]) -> list[FigureRow]:
    """Of seek_nca, of the first sequence."""
    last, random = figures["deviation_at_end"][0], figures["random_deviation_at_end"][0]
    return [
        FigureRow(
            "Sought",
            f"the {figures['seek']} deviation over {figures['frames']} frames",
            f"in {figures['loss']} distance",
        ),
        FigureRow("Size of the change", value_of(figures["size"][0]), "of the frame it begins at, in the loss's unit"),
        FigureRow("Has become", value_of(last), "distance of the changed run from the straight one at its end"),
        FigureRow("Random changes become", value_of(random), "of the same size; the most sensitive one is above this"),
        FigureRow("Growth", value_of(figures["growth"][0]), "what it has become, over its size"),
    ]


def plain_rows(outcome: Mapping[str, Any]) -> list[FigureRow]:
    """Of anything else: a row for each value."""
    return [FigureRow(name.replace("_", " "), _text(value), name) for name, value in outcome.items()]


def _pattern_rows(found: Mapping[str, Any] | None) -> list[FigureRow]:
    if not found:
        return []
    rows = []
    unit = found["pixel_unit"]
    for place, channel in enumerate(found["channels"]):
        for name, words in (("wavelength", unit), ("mass", ""), ("sd", "")):
            ours, theirs = found[name][place], found[f"{name}_of_data"][place]
            title = {"wavelength": "Wavelength", "mass": "Mass", "sd": "Standard deviation"}[name]
            value = f"{value_of(ours)} (data: {value_of(theirs)}) {words}".strip()
            rows.append(
                FigureRow(f"{title} of {channel}", value, f"at frame {found['frame']}; mean over the sequences")
            )
    return rows


def _other_rows(figures: Mapping[str, Any]) -> list[FigureRow]:
    rows = []
    if symmetry := figures.get("symmetry"):
        rows.append(
            FigureRow(
                "Turned and mirrored",
                f"differs by {value_of(symmetry['largest'])}",
                "of its largest value; 0: isotropic",
            )
        )
    healing = figures.get("regeneration")
    if healing and healing.get("holes"):
        share = 100.0 * healing["share_recovered"]
        rows.append(
            FigureRow(
                "Heals", f"{share:.0f} % of {healing['holes']} holes", "nine tenths of the damage undone at the end"
            )
        )
    if readable := figures.get("readable"):
        rows += [FigureRow("Rule" if not place else "", str(words), "read as reaction and diffusion")
                 for place, words in enumerate(readable.get("words", ()))]  # fmt: skip
    if noise := figures.get("noise"):
        rows.append(
            FigureRow(
                "Data look noisy", "yes" if noise["looks_noisy"] else "no", "an automaton can but predict the mean"
            )
        )
    return rows


def _remark_rows(figures: Mapping[str, Any]) -> list[FigureRow]:
    return [FigureRow("Remark", str(words), "said by the evaluation") for words in figures.get("remarks", ())]


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(_text, value)) if len(value) <= 6 else f"{len(value)} values"
    return str(value)
