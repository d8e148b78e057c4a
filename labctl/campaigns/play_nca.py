"""Do again what was done to a running automaton, step for step: painted, damaged, turned; with a film and figures of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from labctl.background import in_background
from labctl.campaign import Campaign, Step
from labctl.errors import CampaignError
from labctl.events import Figures, Progress, Reported, Warned
from labctl.json_file import write_json
from labctl.nca_actions import Done, as_plain, from_plain
from labctl.nca_live_frames import LiveFrame, LiveSource

if TYPE_CHECKING:
    from labctl.nca_live_state import LiveState

_MOST_VALUES = 1 << 28


def play_nca(
    source: LiveSource,
    *,
    n_steps: int,
    actions: Sequence[Mapping[str, Any]] = (),
    every: int | None = None,
    files: Sequence[Path] = (),
    folder: Path | None = None,
) -> Campaign[dict[str, Any]]:
    """Run `n_steps` steps, with the actions (see labctl.nca_actions.as_plain) at their steps; a picture every so many steps
    (None: the automaton's steps a frame).

    files: .npz, .tif, .gif, .png of the pictures, .json of the figures; folder: there
    also NAME-played.npz, .gif and .json. After a change of size the film begins anew; said.
    Returns the figures of the last picture, and of all by name. Raises CampaignError, ImagesError, twins.TwinError.
    """
    from labctl.nca_live_state import LiveState

    key = f"nca/play/{source.model.stem}"
    done = from_plain(actions)
    if n_steps < 1 or (every is not None and every < 1):
        raise CampaignError(f"n_steps and every are at least 1, not {n_steps} and {every}")
    step = Step(key, f"Play {source.model.stem} for {n_steps} steps, with {len(done)} actions")
    yield step.started()
    state = yield from in_background(lambda: LiveState(source), key=key)
    for words in state.facts.told:
        yield Warned(key, words)
    late = [one for one in done if one.at_step > n_steps]
    if late:
        yield Warned(key, f"{len(late)} actions come after the last step, {n_steps}, and are left out")
    every = every or state.facts.steps_per_frame
    if folder is not None:
        files = [*files, *(folder / f"{source.model.stem}-played{ending}" for ending in (".npz", ".gif", ".json"))]
    pictures = yield from _played(state, n_steps, done, every, key)
    figures = [one.metrics.as_dict() for one in pictures]
    written = _written(source, state, pictures, files, {"n_steps": n_steps, "every": every, "actions": as_plain(done)})
    outcome = {"steps": state.total_steps, "pictures": len(pictures), "simulated": True, **figures[-1]}
    yield Reported(key, outcome, tuple(map(str, written)))
    yield step.finished(f"{state.total_steps} steps, {len(pictures)} pictures")
    return {"last": figures[-1], "figures": figures, "files": [str(one) for one in written]}


def _played(state: LiveState, n_steps: int, done: Sequence[Done], every: int, key: str) -> Campaign[list[LiveFrame]]:
    waiting = list(done)
    pictures: list[LiveFrame] = []
    while True:
        while waiting and waiting[0].at_step <= state.total_steps:
            state.do(waiting.pop(0).action)
        if pictures and pictures[-1].automaton.shape != (*state.size, pictures[-1].automaton.shape[2]):
            yield Warned(key, f"the size changed at step {state.total_steps}: the film begins anew there")
            pictures.clear()
        if state.total_steps % every == 0 or state.total_steps >= n_steps:
            pictures.append(state.look(len(pictures), doing="paused", steps_per_s=0.0, enlarged=None))
            if len(pictures) * pictures[-1].automaton.size > _MOST_VALUES:
                raise CampaignError(
                    f"{len(pictures)} pictures are more than a film may have; take one every more steps"
                )
            metrics = pictures[-1].metrics
            if np.isfinite(metrics.error):
                yield Figures(key, state.total_steps, {"error": metrics.error})
            yield Progress(key, state.total_steps, n_steps, f"step {state.total_steps}")
        if state.total_steps >= n_steps:
            return pictures
        if not state.finite:
            yield Warned(key, f"it ran away after {state.total_steps} steps; what came before is kept")
            return pictures
        ends = [n_steps, (state.total_steps // every + 1) * every, *(one.at_step for one in waiting[:1])]
        n_next = min(one for one in ends if one > state.total_steps) - state.total_steps
        yield from in_background(lambda n_next=n_next: state.advance(n_next), key=key)  # type: ignore[misc]


def _written(
    source: LiveSource, state: LiveState, pictures: Sequence[LiveFrame], files: Sequence[Path], told: Mapping[str, Any]
) -> list[Path]:
    from labctl.campaigns.finish_twin import plain
    from labctl.images.writing import write_frames
    from labctl.provenance import collect_provenance

    facts = state.facts
    about = dict(plain({
        "made_by": "an automaton, not measured", "model": str(source.model), **told,
        **collect_provenance(simulated=True, seed=source.seed),
    }))  # fmt: skip
    written: list[Path] = []
    for path in files:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix.lower() == ".json":
            write_json(path, {"figures": [one.metrics.as_dict() for one in pictures], "provenance": about})
            written.append(path)
            continue
        values = np.stack([one.automaton for one in pictures])[None]
        if not np.isfinite(values).all():
            values = values[:, : int(np.isfinite(values).all(axis=(0, 2, 3, 4)).argmin())]
        film = replace(state.like(values), dt_s=facts.dt_s * told["every"] / facts.steps_per_frame, simulated=True)
        written += write_frames(path, film, provenance=about)
    return written


def actions_in(path: Path) -> list[dict[str, Any]]:
    """The actions of a JSON file: a list, or what holds one under "actions". Raises CampaignError."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CampaignError(f"{path}: no actions can be read: {error}") from error
    found = told.get("actions") if isinstance(told, dict) else told
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise CampaignError(f"{path} holds no list of actions")
    return found
