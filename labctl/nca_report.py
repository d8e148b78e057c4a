"""The page on an automaton: what it does beside the data, how long it stays right, what it looks like inside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure

from labctl.html_page import HtmlPage
from labctl.nca_curves import curves_beside, error_plot
from labctl.nca_pictures import Film, hidden_channels, in_colour, side_by_side
from labctl.nca_words import CELLS, stability, time_in_words, worse_than_no_change
from labctl.report import PROMISED

if TYPE_CHECKING:
    from labctl.campaigns.evaluate_nca import Evaluation

_MOST_CHANNELS = 3
_MOST_HIDDEN = 16


def write_nca_report(path: Path, one: Evaluation, *, judged_on: str = "") -> None:
    """Write the page, whole or not at all."""
    page = HtmlPage(f"The automaton {one.saved.name}")
    figures = one.figures
    if figures["simulated"]:
        page.banner("SIMULATED: the images behind this report were simulated; no camera saw them.")
    if not figures["stable"]:
        page.banner("NOT STABLE: left to itself, this automaton does not stay a pattern like the data's.")
    if words := worse_than_no_change(figures):
        page.banner(f"The free run is {words}.")
    page.paragraph(_first(one, judged_on))
    page.heading("Beside the data")
    _films(page, one)
    page.heading("How long it stays right")
    page.figure(
        error_plot(one),
        "Left: means over the sequences. Right: each sequence; the dotted line is where the data end, "
        "and lines that leave the picture go on",
    )
    page.table(("", ""), _numbers(figures))
    if figures.get("patterns"):
        page.heading("Patterns where no two agree cell by cell")
        _patterns(page, figures["patterns"])
    if one.figures.get("regeneration"):
        page.heading("Healing")
        _healing(page, one)
    page.heading("Hidden channels")
    _hidden(page, one)
    _symmetry(page, figures.get("symmetry"))
    _readable(page, figures.get("readable"))
    for words in one.remarks:
        page.paragraph(words)
    page.heading("How it came about")
    page.table(("", ""), [(name, _text(value)) for name, value in _facts(one).items()])
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    page.write(partial)
    partial.replace(path)


def _first(one: Evaluation, judged_on: str) -> str:
    figures, model = one.figures, one.saved.model
    rows, columns = one.data.size
    told = {
        "validation frames": "sequences that were given to judge on",
        "held-out trials": "sequences that were held out of the training",
        "end of the sequence": "the end of the sequence, which was held out of the training",
        "training frames": "the frames that it was trained on, for there was nothing to hold out",
        "": "the sequences that were given",
    }[judged_on]
    trained = f" It was trained on {one.trained_on}." if one.trained_on else ""
    return (
        f"Judged on {told}: {one.data.n_trials} of {one.data.n_frames} frames, {rows} × {columns} cells. It began at the first "
        f"frame of each and was left to itself for {figures['frames_run']} frames of {model.steps_per_frame} steps.{trained}"
    )


def _films(page: HtmlPage, one: Evaluation) -> None:
    film = Film(one.data.values[0], one.run[0], one.data.names, one.data.units)
    if film.colours:
        page.figure(
            in_colour(film), "The first sequence in colour; what lies beyond the data's range is shown at its ends"
        )
    else:
        for channel in range(min(_MOST_CHANNELS, len(film.names))):
            page.figure(
                side_by_side(film, channel), f"The first sequence, {film.names[channel]}; frame 0 is where it began"
            )
    left = len(film.names) - _MOST_CHANNELS
    if left > 0 and not film.colours:
        page.paragraph(f"{left} more channels are not shown.", note=True)


def _numbers(figures: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        ("stable (finite, within [-0.5, 1.5] of the data's range, 0.5 to 1.5 of their pattern's strength)",
         f"{stability(figures)}: {figures['stable_sequences']} of {figures['sequences']} sequences"),
        *_beyond(figures),
        ("error of the free run, mean over frames, in standard deviations of the data", _text(figures["free_run_error"])),
        ("error of predicting no change, in the same units", _text(figures["no_change_error"])),
        ("error of one transition over that of predicting no change", _text(figures["transition_ratio_to_no_change"])),
        ("strength of the pattern where the data end, over that of the data", _text(figures["sd_ratio_at_end_of_data"])),
    ]  # fmt: skip


def _beyond(figures: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What becomes of it far beyond the data."""
    longer = figures.get("longer")
    if not longer:
        return []
    left = longer["left_after"]
    n = longer["sequences"]
    what = f"finite and within bounds, far beyond the data, {n} sequence{'s' * (n > 1)}"
    return [(what, f"for all of {longer['frames']} frames" if left is None else f"no longer at frame {left}")]


def _patterns(page: HtmlPage, patterns: Mapping[str, Any]) -> None:
    page.paragraph(
        f"At frame {patterns['frame']}. Beware: {patterns['caveat']}.",
        note=True,
    )
    rows = []
    for number, name in enumerate(patterns["channels"]):
        for what in ("wavelength", "mass"):
            spread = patterns[f"{what}_spread_of_data"]
            ours, theirs = patterns[what][number], patterns[f"{what}_of_data"][number]
            rows.append(
                (
                    f"{what} of {name}{' (cells)' if what == 'wavelength' else ''}", _text(ours), _text(theirs),
                    _share(patterns[f"{what}_error"][number]), "not known" if spread is None else _share(spread[number]),
                )
            )  # fmt: skip
        rows += _in_lengths(patterns, name, number)
        rows.append(
            (f"strength of {name}", _text(patterns["sd"][number]), _text(patterns["sd_of_data"][number]), "", "")
        )
    page.table(("", "automaton", "data", "error", "spread of the data"), rows)
    page.figure(
        curves_beside(patterns, "structure_distances", "structure_function", "distance (cells)"),
        "Mean squared difference of two cells by their distance",
    )
    page.figure(
        curves_beside(patterns, "spectrum_frequencies", "spectrum", "waves per cell"),
        "Power by the fineness of the pattern: coarse left, fine right; the sum is the variance",
    )


def _in_lengths(patterns: Mapping[str, Any], name: str, number: int) -> list[tuple[str, str, str, str, str]]:
    """The wavelengths once more, where the size of a cell is known."""
    pixel, unit = patterns["pixel"], patterns["pixel_unit"]
    both = patterns["wavelength"][number], patterns["wavelength_of_data"][number]
    if unit in CELLS or None in both:
        return []
    return [(f"wavelength of {name} ({unit})", _text(both[0] * pixel), _text(both[1] * pixel), "", "")]


def _healing(page: HtmlPage, one: Evaluation) -> None:
    figures = one.figures["regeneration"]
    if not figures["holes"]:
        page.paragraph(f"Nothing to tell: {figures['why']}.")
        return
    page.paragraph(
        "Parts of the field are wiped, hidden channels included, and the run goes on beside one that was left alone. Healed is "
        f"what is no longer different: {_share(figures['share_recovered'])} of {figures['holes']} holes are healed to nine "
        "tenths at the end. A pattern that grows again somewhere else is no less alive: strength says so.",
        note=True,
    )
    known = [value for value in figures["recovered"] if value is not None]
    if not known:
        page.paragraph("How it heals is not known: the runs do not stay finite.")
        return
    figure = Figure(figsize=(6.4, 2.9), layout="constrained")
    axes = figure.subplots()
    axes.plot(figures["frames"], figures["recovered"], color=PROMISED, marker="o", ms=3, lw=1.4)
    axes.axhline(1.0, color="black", lw=0.8, ls=":")
    axes.set_ylim(min(-0.1, max(-2.0, min(known) - 0.1)), 1.1)
    axes.set_xlabel("frames after the damage")
    axes.set_ylabel("healed (median)", fontsize=9)
    axes.tick_params(labelsize=8)
    page.figure(figure, "1: as if nothing had happened; 0: as bad as at once after the damage")
    page.table(
        ("", ""),
        [("strength of the pattern at the end, over that of the run left alone", _text(figures["sd_ratio_at_end"]))],
    )


def _hidden(page: HtmlPage, one: Evaluation) -> None:
    n_hidden = one.hidden.shape[-1]
    if not n_hidden:
        page.paragraph("It has none.")
        return
    shown = one.hidden[..., :_MOST_HIDDEN]
    page.figure(
        hidden_channels(shown, one.hidden_frames),
        "What the cells remember, in the first sequence; each row on its own scale",
    )
    if n_hidden > _MOST_HIDDEN:
        page.paragraph(f"{n_hidden - _MOST_HIDDEN} more are not shown.", note=True)


def _symmetry(page: HtmlPage, symmetry: Mapping[str, Any] | None) -> None:
    if not symmetry:
        return
    page.heading("Symmetry")
    page.paragraph(
        f"Turn the picture and run it for {symmetry['steps']} steps, or run it and turn it: the largest difference, over the "
        "largest value. Some 1e-6 is rounding.",
        note=True,
    )
    rows = [(name, f"{value:.2g}") for name, value in symmetry["turns"].items() if name != "identity"]
    rows += [(f"moved by {name}", f"{value:.2g}") for name, value in symmetry["translations"].items()]
    page.table(("", "difference"), rows)


def _readable(page: HtmlPage, readable: Mapping[str, Any] | None) -> None:
    if not readable:
        return
    page.heading("The rule, made readable")
    for words in readable["words"]:
        page.paragraph(words, note=True)
    if readable["rows"]:
        page.table(tuple(readable["header"]), [tuple(row) for row in readable["rows"]])


def _facts(one: Evaluation) -> dict[str, Any]:
    spec, about = one.saved.model.automaton.spec, one.saved.about
    from dataclasses import asdict

    nca = about.get("nca", {})
    facts = {
        "file": str(one.saved.path),
        "automaton": dict(asdict(spec).items()),
        "weights": one.saved.n_parameters,
        "steps a frame": one.saved.model.steps_per_frame,
        "time from frame to frame": f"{one.saved.model.dt_s:g} {time_in_words(one.saved.model.time_unit)}",
        "training": nca.get("training"),
        "how it went": nca.get("fit"),
        "data": about.get("extra", {}).get("data"),
        "treatments": about.get("extra", {}).get("treatments"),
        "seed": about.get("seed"),
        "software": about.get("software"),
        "instruments": about.get("identities"),
    }
    return {name: value for name, value in facts.items() if value not in (None, [], {}, "")}


def _share(value: float | None) -> str:
    if value is None:
        return "not known"
    return f"{100 * value:.2g} %" if abs(value) < 0.995 else f"{100 * value:.0f} %"


def _text(value: object) -> str:
    if value is None:
        return "not known"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        return "; ".join(f"{name}: {_text(inner)}" for name, inner in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(_text(one) for one in value)
    return str(value)
