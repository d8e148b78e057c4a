"""The jobs of the Twins panel: calls into labctl, as plain data. No Qt here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from labctl.calls import BENCH, FOLDER, Call, call
from labctl.errors import UsageError
from labctl.job import Job
from labctl.recording_cards import RecordingCard
from labctl.twin_cards import TwinCard

FIT_SETTINGS = "labctl.campaigns.fit_settings:FitSettings"


def opened(cards: Sequence[RecordingCard]) -> list[Call]:
    """Calls that open these recordings."""
    return [call("labctl.store:open_recording", card.path) for card in cards]


def trouble_of(training: Sequence[RecordingCard], judging: Sequence[RecordingCard] = ()) -> str:
    """Why these recordings cannot go together; empty if they can."""
    if not training:
        return "Tick a recording to learn from, in the list on the left"
    return unlike([*training, *judging])


def unlike(cards: Sequence[RecordingCard]) -> str:
    """Which of them is of another device than the first; empty if none is."""
    for card in cards[1:]:
        if not card.alike(cards[0]):
            return (
                f"{card.path.name} ({_channels(card)}) is of another device or sampling time than "
                f"{cards[0].path.name} ({_channels(cards[0])}): untick one of them"
            )
    return ""


def trouble_judging(twin: TwinCard | None, judging: Sequence[RecordingCard]) -> str:
    """Why this twin cannot be asked about these recordings; empty if it can."""
    if twin is None:
        return "Choose a twin in the list on the left, or fit one"
    if twin.problem:
        return twin.problem
    if not judging:
        return "Tick a recording to judge on, in the list on the left"
    return next((f"{card.path.name}: {why}" for card in judging if (why := _other_device(twin, card))), "")


def judging_for(
    twin: TwinCard, judging: Sequence[RecordingCard], cards: Sequence[RecordingCard]
) -> list[RecordingCard]:
    """The ticked recordings of the twin's device; else those that it was judged on, or else fitted to, as far as they are
    there: what it was trained on is left out by whoever judges."""
    fitting = [card for card in judging if not _other_device(twin, card)]
    if fitting:
        return fitting
    own = {path.absolute() for path in twin.judged_on} or {path.absolute() for path in twin.fitted_to}
    return [card for card in cards if card.path in own and not card.problem]


def diagnose_job(name: str, training: Sequence[RecordingCard], *, seed: int, folder: Path) -> Job:
    """Diagnose."""
    _refuse(trouble_of(training))
    made = call("labctl.campaigns.diagnose_twin:diagnosis_of", name, opened(training), seed=seed)
    return Job(f"Diagnose {name}", made, folder, seed=seed)


def fit_job(
    name: str,
    training: Sequence[RecordingCard],
    judging: Sequence[RecordingCard],
    settings: Mapping[str, Any],
    *,
    seed: int,
    folder: Path,
) -> Job:
    """Fit, and judge on held-out inputs. settings: fields of FitSettings."""
    _refuse(trouble_of(training, judging))
    if not name or not name.replace("-", "").replace("_", "").isalnum():
        raise UsageError(f"{name!r} is no name for a twin's files: use letters, digits, - and _")
    made = call(
        "labctl.campaigns.fit_twin:fit_twin",
        name,
        opened(training),
        opened(judging) or None,
        seed=seed,
        settings=call(FIT_SETTINGS, **settings),
        folder=FOLDER,
    )
    return Job(f"Fit {name}", made, folder, seed=seed)


def predict_job(twin: TwinCard | None, judging: Sequence[RecordingCard], *, seed: int, folder: Path) -> Job:
    """Free runs beside recordings."""
    _refuse(trouble_judging(twin, judging))
    assert twin is not None
    made = call(
        "labctl.campaigns.predict_twin:predict_twin",
        twin.path,
        opened(judging),
        seed=seed,
        folder=FOLDER,
    )
    return Job(f"Predictions of {twin.name}", made, folder, seed=seed)


def check_job(twin: TwinCard | None, judging: Sequence[RecordingCard], *, seed: int, folder: Path) -> Job:
    """Judge a twin anew, and keep the verdict with it."""
    _refuse(trouble_judging(twin, judging))
    assert twin is not None
    recordings = {str(card.path): [one] for card, one in zip(judging, opened(judging), strict=True)}
    made = call("labctl.campaigns.check_twin:check_twin", twin.path, recordings, seed=seed, store=True)
    return Job(f"Judge {twin.name}", made, folder, seed=seed)


def compare_job(twins: Sequence[TwinCard], judging: Sequence[RecordingCard], *, seed: int, folder: Path) -> Job:
    """Twins side by side."""
    if len(twins) < 2:
        raise UsageError("Tick two twins or more, in the list on the left")
    for twin in twins:
        _refuse(trouble_judging(twin, judging))
    made = call(
        "labctl.campaigns.compare_twins:compare_twins", [twin.path for twin in twins], opened(judging), seed=seed
    )
    return Job(f"Compare {' and '.join(twin.name for twin in twins)}", made, folder, seed=seed)


def stream_job(
    device: str,
    *,
    design: Mapping[str, Any],
    budget: Mapping[str, Any],
    settings: Mapping[str, Any],
    drives: str,
    seed: int,
    folder: Path,
    station: Path | None,
) -> Job:
    """Record a device and fit its twin meanwhile."""
    if not device:
        raise UsageError("No station is open: open one in the Station panel first")
    made = call(
        "labctl.campaigns.stream_twin:stream_twin",
        BENCH,
        device,
        folder=FOLDER,
        rng=call("numpy.random:default_rng", seed),
        seed=seed,
        budget=call("labctl.campaigns.stream_design:StreamBudget", **budget),
        design=call("labctl.campaigns.stream_design:StreamDesign", **design),
        settings=call(FIT_SETTINGS, **settings),
        drives=drives,
    )
    return Job(f"Record and fit {device}", made, folder, station=station, seed=seed)


def _refuse(trouble: str) -> None:
    if trouble:
        raise UsageError(trouble)


def _other_device(twin: TwinCard, card: RecordingCard) -> str:
    if (card.drives, card.responses) == (twin.drives, twin.responses):
        return ""
    ours = f"{', '.join(twin.drives)} → {', '.join(twin.responses)}"
    return f"recorded {_channels(card)}, but {twin.name} is a twin of {ours}; tick a recording of its device"


def _channels(card: RecordingCard) -> str:
    return f"{', '.join(card.drives)} → {', '.join(card.responses)}"
