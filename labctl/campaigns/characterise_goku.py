"""From an instrument to parameters: record a device under chosen drives, train for these traces, infer, report."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from labctl.bench import Bench
from labctl.campaign import Campaign
from labctl.campaigns.characterise import CharacterisationDesign, design_excitation
from labctl.campaigns.fit_goku import FittedModel, fit_goku
from labctl.campaigns.goku_settings import GokuSettings, InferSettings
from labctl.campaigns.infer_goku import Inferred, infer_goku
from labctl.campaigns.record import record
from labctl.campaigns.report_goku import report_inferred
from labctl.errors import CampaignError, SafetyError
from labctl.excitation import Excitation, repeats, shuffled
from labctl.goku_channels import Wishes, wire
from labctl.goku_equation import EquationSource
from labctl.goku_model import GokuModel
from labctl.goku_reading import of_recordings
from labctl.goku_series import Measured
from labctl.network_bench import apply_conditions
from labctl.recording import Recording

if TYPE_CHECKING:
    from twins.goku.amortised.settings import AmortisedSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class TracesDesign:
    """What is recorded of a device.

    levels: the drive is constant in a trial, at each of these values (of the device's drive channel's unit) n_repeats
    times; of several drive channels all have the same. Without levels `design` (see ``design_excitation``) is played,
    n_trials times anew. sweep: set-points and their values; every combination is a recording of its own. low, high: of the
    design, default the channels' limits. n_samples: of a trial.
    """

    levels: tuple[float, ...] = ()
    n_repeats: int = 4
    design: str = "random-steps"
    n_trials: int = 20
    n_samples: int = 500
    low: float | None = None
    high: float | None = None
    sweep: Mapping[str, tuple[float, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class CharacterisedParameters:
    """recordings: as measured. fitted: the model, unless one was given. inferred: the table. report: the page."""

    recordings: tuple[Path, ...]
    fitted: FittedModel | None
    inferred: Inferred
    report: Path


def characterise_and_infer(
    bench: Bench,
    device: str,
    source: EquationSource | None,
    wishes: Wishes | None = None,
    *,
    folder: Path,
    seed: int,
    design: TracesDesign | None = None,
    model: GokuModel | None = None,
    settings: GokuSettings | None = None,
    inferring: InferSettings | None = None,
    amortised: AmortisedSettings | None = None,
) -> Campaign[CharacterisedParameters]:
    """Record, make safe, train a model for these traces (or take `model`), infer, report; all files in `folder`.

    What was measured is in its files whatever comes after. Raises what bench and fit raise, CampaignError where neither
    equation nor model is given.
    """
    if (source is None) == (model is None):
        raise CampaignError("give an equation to train a model of, or a model, not both")
    recordings = yield from record_traces(bench, device, folder=folder, seed=seed, design=design or TracesDesign(), check=(
        source, wishes or Wishes()
    ))  # fmt: skip
    report = bench.make_safe()  # nothing stays driven while the computer thinks
    if not report.ok:
        raise SafetyError(str(report))
    paths = tuple(one.path for one in recordings if one.path is not None)
    measured = of_recordings(recordings)
    fitted = None
    if model is None:
        assert source is not None
        fitted = (
            yield from fit_goku(
                device, measured, None, source, wishes, seed=seed, settings=settings, folder=folder, amortised=amortised
            )
        )[0]
        model = fitted.model
    inferred, page = yield from infer_and_report(
        model, measured, folder=folder, name=device, seed=seed, settings=inferring, fitted=fitted
    )
    return CharacterisedParameters(paths, fitted, inferred, page)


def infer_and_report(
    model: GokuModel,
    measured: Measured,
    *,
    folder: Path,
    name: str,
    seed: int,
    settings: InferSettings | None = None,
    fitted: FittedModel | None = None,
) -> Campaign[tuple[Inferred, Path]]:
    """NAME.parameters.json, .csv and .h5, and NAME.parameters.html. fitted: where the model was judged on these traces."""
    files = [folder / f"{name}.parameters{ending}" for ending in (".json", ".csv", ".h5")]
    cut = model.fitting(measured, None)
    inferred = yield from infer_goku(model, cut, seed=seed, settings=settings, files=files)
    judged = None if fitted is None else (fitted.judgement, fitted.judged)
    page = yield from report_inferred(inferred, path=folder / f"{name}.parameters.html", seed=seed, judged=judged)
    return inferred, page


def record_traces(
    bench: Bench,
    device: str,
    *,
    folder: Path,
    seed: int,
    design: TracesDesign,
    check: tuple[EquationSource | None, Wishes] | None = None,
) -> Campaign[list[Recording]]:
    """One recording for every combination of set-points, DEVICE-traces.h5 or DEVICE-traces-1.h5 and so on.

    check: an equation and wishes that are tried on the first recording before the others are made.
    """
    rng = np.random.default_rng(seed)
    combinations = [
        dict(zip(design.sweep, values, strict=True)) for values in itertools.product(*design.sweep.values())
    ]
    made: list[Recording] = []
    for number, conditions in enumerate(combinations):
        ending = f"-{number + 1}" if len(combinations) > 1 else ""
        excitation = excitation_of(bench, device, design, rng)
        apply_conditions(bench, conditions)
        told = ", ".join(f"{name} = {value:g}" for name, value in conditions.items())
        recording = yield from record(
            bench,
            excitation,
            path=folder / f"{device}-traces{ending}.h5",
            key=f"goku/record/{device}{ending}",
            title=f"Record {device}{f' at {told}' if told else ''}",
            seed=seed,
        )
        if not made and check is not None and check[0] is not None:
            wire(check[0].make(), of_recordings([recording]), check[1])
        made.append(recording)
    return made


def excitation_of(bench: Bench, device: str, design: TracesDesign, rng: np.random.Generator) -> Excitation:
    """What is played under one combination of set-points. Raises CampaignError."""
    station = bench.station.driven(device)
    if not design.levels:
        plain = CharacterisationDesign(
            n_trials=design.n_trials, n_samples=design.n_samples, low=design.low, high=design.high
        )
        return design_excitation(bench, device, design.design, design=plain, rng=rng)
    levels = np.asarray(design.levels, dtype=np.float64)
    drive = np.repeat(levels[:, None], design.n_samples, axis=1)
    constant = Excitation.from_channels(
        dict.fromkeys(station.drive, drive), dt_s=station.dt_s, description={"design": "levels", "levels": list(levels)}
    )
    return shuffled(repeats(constant, design.n_repeats), rng)


def file_names(device: str, design: TracesDesign) -> list[str]:
    """What ``record_traces`` writes."""
    count = int(np.prod([len(values) for values in design.sweep.values()])) if design.sweep else 1
    return [f"{device}-traces{f'-{number + 1}' if count > 1 else ''}.h5" for number in range(count)]


def check_sweep(sweep: Mapping[str, Sequence[float]]) -> None:
    """Raise CampaignError for a set-point without values."""
    for name, values in sweep.items():
        if not values:
            raise CampaignError(f"--sweep {name}: give at least one value")
