"""Choose how a twin is built and trained: from the diagnosis of its recordings, a preset, or the plain defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from labctl.campaign import Campaign
from labctl.campaigns.diagnose_twin import diagnose_twin
from labctl.events import Reported
from labctl.twin_data import TwinData

if TYPE_CHECKING:
    from labctl.campaigns.fit_settings import FitSettings
    from twins import DeviceTwinSpec

PLAIN = "plain"
DIAGNOSED = "diagnosed"


@dataclass(frozen=True, slots=True)
class ChosenTwin:
    """A twin before it is fitted: its spec, the phases of its training, how many of them, and why.

    fit_options: further keywords of twins.fit. findings: what it follows from, as plain data; words:
    the same for people.
    """

    spec: DeviceTwinSpec
    phases: tuple[str, ...] = ("likelihood",)
    ensemble: int = 1
    reasons: tuple[str, ...] = ()
    fit_options: Mapping[str, Any] = field(default_factory=dict)
    findings: Mapping[str, Any] = field(default_factory=dict)
    words: tuple[str, ...] = ()


def choose_twin(device: str, data: TwinData, *, settings: FitSettings, seed: int) -> Campaign[ChosenTwin]:
    """The twin that `settings` ask for, given these data; diagnoses them if that is to decide.

    Raises twins.TwinError for an unknown preset, or options that contradict each other.
    """
    if settings.choice == DIAGNOSED:
        chosen = yield from _diagnosed(device, data, settings, seed)
    elif settings.choice == PLAIN:
        spec = _spec(data, {}, settings)
        chosen = ChosenTwin(spec, reasons=("the plain defaults were asked for: one-step likelihood",))
    else:
        chosen = _preset(data, settings)
    chosen = replace(
        chosen,
        phases=settings.phases or chosen.phases,
        ensemble=settings.ensemble or 1,
        reasons=(*chosen.reasons, *_overridden(settings), *_advice(chosen, settings)),
    )
    yield Reported(f"twin/{device}/choice", {"phases": list(chosen.phases), "reasons": list(chosen.reasons)})
    return chosen


def _diagnosed(device: str, data: TwinData, settings: FitSettings, seed: int) -> Campaign[ChosenTwin]:
    found = yield from diagnose_twin(device, data, seed=seed)
    recommended = found.recommendation
    return ChosenTwin(
        spec=_spec(data, recommended.spec_options, settings),
        phases=tuple(recommended.phases),
        ensemble=recommended.ensemble,
        reasons=tuple(recommended.reasons),
        findings=found.as_dict(),
        words=tuple(found.lines),
    )


def _preset(data: TwinData, settings: FitSettings) -> ChosenTwin:
    from twins.presets import preset

    ready = preset(settings.choice, data.traces, **settings.overrides())
    options = dict(ready.fit_options)
    reasons = [f"preset {settings.choice} was asked for: as in {ready.source}", *ready.notes]
    if settings.max_seconds is not None:
        reasons.append(f"its published length of training is cut to {settings.max_seconds:g} s, if it takes longer")
    return ChosenTwin(spec=ready.spec, phases=tuple(options.pop("phases")), reasons=tuple(reasons), fit_options=options)


def _spec(data: TwinData, structure: Mapping[str, Any], settings: FitSettings) -> DeviceTwinSpec:
    from twins import DeviceTwinSpec

    return DeviceTwinSpec.for_traces(data.traces, **{**structure, **settings.overrides()})


def _overridden(settings: FitSettings) -> tuple[str, ...]:
    given = {**settings.overrides()}
    if settings.phases:
        given["phases"] = ", ".join(settings.phases)
    if settings.ensemble:
        given["ensemble"] = settings.ensemble
    return (f"asked for: {', '.join(f'{name} {value}' for name, value in given.items())}",) if given else ()


def _advice(chosen: ChosenTwin, settings: FitSettings) -> tuple[str, ...]:
    """An ensemble costs as many trainings and is used where drives are chosen: it is fitted when it is asked for."""
    if settings.ensemble or chosen.ensemble == 1:
        return ()
    return (
        f"one twin is fitted with all the time there is; for the ensemble of {chosen.ensemble}, ask for it (--ensemble)",
    )


def tamer(chosen: ChosenTwin) -> ChosenTwin:
    """The same with a linear backbone, for a twin whose polynomial runs away."""
    order = chosen.spec.backbone_order
    reason = (
        f"linear backbone instead of order {order}: free runs of the polynomial left the measured range on the drives that "
        "it was fitted to"
    )
    return replace(chosen, spec=replace(chosen.spec, backbone_order=1), reasons=(*chosen.reasons, reason))


def can_be_plain(chosen: ChosenTwin, settings: FitSettings) -> bool:
    """Whether a plain twin could do as well: nothing was found that it cannot have, and it would be another one."""
    spec = chosen.spec
    beyond = spec.observation or spec.auxiliaries or spec.trial_drift or spec.noise_columns or not spec.noise_diagonal
    return not beyond and settings.phases is None


def plainer(chosen: ChosenTwin, data: TwinData, settings: FitSettings) -> ChosenTwin:
    """The plain twin of the same data, with the same ensemble and findings."""
    return replace(chosen, spec=_spec(data, {}, settings), phases=("likelihood",), fit_options={})
