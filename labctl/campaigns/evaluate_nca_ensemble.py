"""Judge an ensemble of automata: what its members make of sequences together, and whether it knows how wrong it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labctl.background import in_background
from labctl.campaign import Campaign, Step
from labctl.campaigns.finish_twin import plain
from labctl.errors import CampaignError
from labctl.events import Progress, Reported, Warned
from labctl.images import Images
from labctl.json_file import write_json
from labctl.nca_ensemble_figures import ensemble_figures
from labctl.nca_model import SavedNca, as_taken, origin

if TYPE_CHECKING:
    from twins.nca import Frames
    from twins.nca.ensemble import NcaSpread

_DRAWS = 4
"""Runs of every member whose cells fire by chance."""


@dataclass(frozen=True, slots=True, eq=False)
class EnsembleEvaluation:
    """data: what it is judged on. spread: of the runs from its first frames to its last. figures: plain data. remarks:
    members that were left out, and why."""

    name: str
    data: Frames
    spread: NcaSpread
    figures: Mapping[str, Any]
    remarks: tuple[str, ...] = ()
    judged_on: str = ""
    about: Mapping[str, Any] = field(default_factory=dict)


def evaluate_nca_ensemble(
    name: str,
    members: Sequence[SavedNca],
    images: Images,
    *,
    seed: int,
    report: Path | None = None,
    data: Path | None = None,
) -> Campaign[EnsembleEvaluation]:
    """Run all members from the first frame of every sequence to the last; write the page `report` and the JSON `data`.

    Raises CampaignError, twins.TwinError.
    """
    images = as_taken(members[0], images)
    for words in images.told:
        yield Warned(f"nca/evaluate/{name}", words)
    told = {"members": [str(one.path) for one in members], "model_about": dict(members[0].about)}
    simulated = any(one.simulated for one in members) or images.frames.simulated
    about = plain(origin([images], seed=seed, simulated=simulated, told=told))
    return (yield from judged_together(name, members, images.frames, seed=seed, about=about, report=report, data=data))


def judged_together(
    name: str,
    members: Sequence[SavedNca],
    frames: Frames,
    *,
    seed: int,
    about: Mapping[str, Any],
    judged_on: str = "",
    report: Path | None = None,
    data: Path | None = None,
) -> Campaign[EnsembleEvaluation]:
    """``evaluate_nca_ensemble`` of frames that are ready."""
    import torch

    from twins.nca.ensemble import NcaEnsemble

    key = f"nca/evaluate/{name}"
    if frames.n_frames < 2:
        raise CampaignError("one frame cannot tell how well automata go on; give two frames or more")
    step = Step(key, f"Evaluate {len(members)} automata together on {frames.n_trials} sequences")
    yield step.started()
    kept, remarks = yield from _finite(members, frames, seed, key)
    for words in remarks:
        yield Warned(key, words)
    yield Progress(key, 0.5, 1.0, "free runs of each")
    ensemble, draws = NcaEnsemble([one.model for one in kept]), torch.Generator().manual_seed(seed)
    spread = yield from in_background(
        lambda: ensemble.run(frames, frames.n_frames - 1, generator=draws, n_draws=_DRAWS), key=key
    )
    figures = yield from in_background(
        lambda: ensemble_figures([one.path.name for one in kept], spread, frames), key=key
    )
    figures["simulated"] = any(one.simulated for one in members) or frames.simulated
    evaluated = EnsembleEvaluation(name, frames, spread, dict(plain(figures)), tuple(remarks), judged_on, about)
    yield from in_background(lambda: _write(evaluated, report, data), key=key)
    yield step.finished(one_line(evaluated.figures))
    files = tuple(str(path) for path in (report, data) if path is not None)
    yield Reported(key, {"ensemble": name, **evaluated.figures}, files)
    return evaluated


def one_line(figures: Mapping[str, Any]) -> str:
    """The most telling figures."""
    worse = "WORSE than " if figures["error"] > figures["no_change_error"] else ""
    return (
        f"{len(figures['members'])} automata together: error {figures['error']:.3g} of the data's spread, {worse}predicting no "
        f"change {figures['no_change_error']:.3g} (each alone "
        f"{', '.join(format(one, '.3g') for one in figures['error_of_members'])}); 90 % intervals hold "
        f"{100 * figures['coverage_90']:.3g} % of the values"
    )


def _finite(
    members: Sequence[SavedNca], frames: Frames, seed: int, key: str
) -> Campaign[tuple[list[SavedNca], list[str]]]:
    """Members whose runs stay finite, at least two; and which do not."""
    import torch

    from twins.nca.free_run import free_run

    kept, remarks = [], []
    for one in members:
        draws = torch.Generator().manual_seed(seed)
        alone = yield from in_background(partial(free_run, one.model, frames, generator=draws), key=key)
        if alone.finite.all():
            kept.append(one)
        else:
            remarks.append(f"{one.path.name} ran away on these sequences and is left out")
    if len(kept) < 2:
        raise CampaignError(f"{len(kept)} of {len(members)} automata stay finite, and fewer than two have no spread")
    return kept, remarks


def _write(one: EnsembleEvaluation, report: Path | None, data: Path | None) -> None:
    from labctl.nca_ensemble_report import write_ensemble_report

    if data is not None:
        data.parent.mkdir(parents=True, exist_ok=True)
        content = {"ensemble": one.name, "judged_on": one.judged_on, **one.figures, "remarks": list(one.remarks)}
        write_json(data, dict(plain({**content, "provenance": one.about})))
    if report is not None:
        write_ensemble_report(report, one)
