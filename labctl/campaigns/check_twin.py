"""Check a twin on recordings that were not used to fit it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labctl.background import in_background
from labctl.campaign import Campaign, Step
from labctl.clearance import shortcomings
from labctl.events import Reported, Warned
from labctl.recording import Recording
from labctl.twin_data import TwinData
from labctl.unseen_inputs import unseen_by

if TYPE_CHECKING:
    from labctl.judging import Judgement
    from twins import AnyTwin


@dataclass(frozen=True, slots=True)
class CheckedTwin:
    """A twin's judgement on each file of recordings, by its name."""

    twin: Path
    judgements: Mapping[str, Judgement]
    simulated: Mapping[str, bool]

    @property
    def passed(self) -> bool:
        """Whether it passed its gates on all of them."""
        return all(judgement.passed for judgement in self.judgements.values())

    def as_dict(self) -> dict[str, Any]:
        """Plain data: the figures and gates of each file."""
        return {
            name: {
                "simulated": self.simulated[name],
                **judgement.figures,
                "gates_passed": judgement.passed,
                "gates": judgement.gates["gates"],
            }
            for name, judgement in self.judgements.items()
        }


def check_twin(
    twin: Path,
    recordings: Mapping[str, Sequence[Recording]],
    *,
    n_draws: int = 99,
    seed: int = 0,
    store: bool = False,
) -> Campaign[CheckedTwin]:
    """Judge the twin on recordings by name; with `store` the outcome becomes the twin's gates.

    Inputs that it was trained on, by themselves or in other repeats, are left out, with a warning.

    Raises RecordingError where they leave too little to judge on, and twins.TwinError.
    """
    from twins import load_any_twin, read_provenance

    key = f"check/{twin.stem}"
    step = Step(key, f"Check {twin.stem}")
    yield step.started()
    loaded, provenance = load_any_twin(twin), read_provenance(twin)
    judgements: dict[str, Judgement] = {}
    for name, some in recordings.items():
        data, told = unseen_by(provenance, TwinData.of(some), twin, name)
        if told:
            yield Warned(key, f"{name}: {told}")
        judgements[name] = yield from in_background(_judging(loaded, data, n_draws, seed), key=key)
        for fault in shortcomings(twin.stem, judgements[name].gates):
            yield Warned(key, f"{name}: {fault}")
    simulated = {name: any(one.simulated for one in some) for name, some in recordings.items()}
    checked = CheckedTwin(twin, judgements, simulated)
    if store:
        _store(loaded, twin, provenance, checked)
    yield Reported(key, checked.as_dict())
    yield step.finished("gates passed" if checked.passed else "gates NOT PASSED")
    return checked


def _judging(twin: AnyTwin, data: TwinData, n_draws: int, seed: int) -> Any:
    def work() -> Judgement:
        from labctl.judging import judge

        return judge(twin, data.traces, n_draws=n_draws, seed=seed)

    return work


def _store(twin: AnyTwin, path: Path, provenance: Mapping[str, Any], checked: CheckedTwin) -> None:
    from labctl.campaigns.finish_twin import plain
    from twins import TwinEnsemble, save_ensemble, save_twin

    gates = [
        {**gate, "name": f"{gate['name']} ({Path(name).name})"}
        for name, judgement in checked.judgements.items()
        for gate in judgement.gates["gates"]
    ]
    reasons = [f"judged by a check on {', '.join(checked.judgements)}"]
    report = {"passed": checked.passed, "gates": gates, "reasons": reasons}
    judged = {**provenance, "gates": plain(report)}
    if isinstance(twin, TwinEnsemble):
        save_ensemble(twin, path, provenance=judged)
    else:
        save_twin(twin, path, provenance=judged)
