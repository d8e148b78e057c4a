"""A trained model of an equation, as a file: NAME.safetensors and NAME.json, whichever way it was trained.

"simulated": a posterior learned from simulations of the equation (twins.goku.amortised). "measured": an encoder trained on
measured traces (twins.goku.network). Both hold, as provenance, which equation they are of and which channels they observe.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from labctl.errors import CampaignError
from labctl.goku_channels import Wired
from labctl.goku_equation import EquationSource, sources_differ
from labctl.goku_plausible import check_size
from labctl.goku_series import Measured

if TYPE_CHECKING:
    import torch

    from twins.goku.amortised.posterior import AmortisedPosterior
    from twins.goku.network.model import GokuNet
    from twins.goku.observation import Observation
    from twins.goku.posterior import Posterior
    from twins.goku.series import Series
    from twins.goku.system import System

Training = Literal["simulated", "measured"]
PROVENANCE = "goku"
"""The key of the provenance under which equation and channels stand."""
_LARGEST_JSON = 1 << 21


@dataclass(frozen=True, slots=True, eq=False)
class GokuModel:
    """path: of the JSON. machine: what infers. about: the provenance. n_samples: of the traces it was trained for."""

    path: Path
    training: Training
    source: EquationSource
    wired: Wired
    system: System
    machine: AmortisedPosterior | GokuNet
    n_samples: int
    about: Mapping[str, Any]

    @property
    def name(self) -> str:
        """As its file is called."""
        return self.path.stem

    @property
    def simulated(self) -> bool:
        """Whether what it was made for was measured on simulated devices."""
        return bool(self.about.get("simulated"))

    @property
    def substeps(self) -> int:
        """Solver steps a sample."""
        if self.training == "simulated":
            return int(self.amortised.simulator.substeps)
        return int(self.network.spec.substeps)

    @property
    def amortised(self) -> AmortisedPosterior:
        """The machine, where simulations trained it."""
        from twins.goku.amortised.posterior import AmortisedPosterior

        assert isinstance(self.machine, AmortisedPosterior)
        return self.machine

    @property
    def network(self) -> GokuNet:
        """The machine, where measured traces trained it."""
        from twins.goku.network.model import GokuNet

        assert isinstance(self.machine, GokuNet)
        return self.machine

    def observation(self) -> Observation:
        """From the equation's outputs to the channels, in their units."""
        if self.wired.kind == "known":
            return self.wired.known(self.system)
        from labctl.goku_learned_observation import LearnedObservation

        return LearnedObservation(self.network)

    def series(self, measured: Measured, *, share: str = "none") -> Series:
        """Traces as this model takes them: its channels and drives, cut or filled up to the samples it was trained for.

        Raises RecordingError where the data lack a channel, CampaignError where they are in other units or too large.
        """
        from twins.goku.inference.predictive import extended

        series = measured.series(self.wired.channels, self.wired.drives, share=share)
        check_size(series)
        self._check_units(series)
        short = self.n_samples - series.n_samples
        if short <= 0:
            return series
        drive = None if series.drive is None else series.drive[:, -1:].repeat(short, axis=1)
        return extended(series, short, drive)

    def _check_units(self, series: Series) -> None:
        """Nothing is converted, so other units would be other numbers."""
        for name, unit, own in zip(series.names, series.units, self.wired.units, strict=True):
            if unit != own:
                raise CampaignError(
                    f"{name} is in {unit or 'no unit'}, and {self.name} was fitted to it in {own or 'no unit'}: nothing is "
                    f"converted; give the values in {own or 'the same unit'}, or, where only the label differs, --unit {name}={own}"
                )

    def fitting(self, measured: Measured, segment: int | None) -> Measured:
        """The traces, cut to as many samples as the model takes. Raises CampaignError where another segment was asked for."""
        if segment is not None and segment > self.n_samples:
            raise CampaignError(
                f"{self.path} was trained for traces of {self.n_samples} samples and cannot take segments of {segment}; leave "
                "--segment out, or fit a model with --segment"
            )
        return measured.cut(segment or self.n_samples)

    def infer(self, series: Series, *, n_draws: int, generator: torch.Generator) -> Posterior:
        """As the network says in one pass."""
        return self.machine.infer(series, n_draws=n_draws, generator=generator)


def load_goku_model(path: str | Path, *, system: str | None = None) -> GokuModel:
    """The model of NAME.json. system: FILE.py:Class or FILE.toml, where the equation's file is to be named again.

    A class of a user's own is only ever run where the user names it, so for such a model `system` is needed. Raises
    CampaignError, twins.TwinError.
    """
    json_path = _json_path(Path(path))
    training, about = _read(json_path)
    told = about.get(PROVENANCE)
    if not isinstance(told, dict):
        raise CampaignError(f"{json_path} was not fitted by labctl goku: it does not say what it observes")
    source, wired = EquationSource.from_dict(told.get("equation")), Wired.from_dict(told.get("observed"))
    equation = _source(json_path, source, system).make()
    n_samples = told.get("n_samples")
    if not isinstance(n_samples, int) or n_samples < 2:
        raise CampaignError(f"{json_path}: n_samples is {n_samples!r}; the file is damaged")
    machine: AmortisedPosterior | GokuNet
    if training == "simulated":
        from twins.goku.amortised.file import load_amortised

        machine = load_amortised(json_path, equation)
    else:
        from twins.goku.network.goku_file import load_goku

        machine = load_goku(json_path, equation)
    return GokuModel(json_path, training, source, wired, equation, machine, n_samples, about)


def _source(json_path: Path, stored: EquationSource, named: str | None) -> EquationSource:
    if named is None:
        if stored.is_own_class:
            raise CampaignError(
                f"{json_path}: its equation is a class of {stored.named}; a file is only run where you name it: "
                f"--system {stored.named}"
            )
        return stored
    given = EquationSource.of(named, options=stored.options, ranges=stored.ranges, held=stored.held)
    if sources_differ(stored, given):
        changed = " (the file has changed since)" if given.sha256 and given.named == stored.named else ""
        raise CampaignError(f"{json_path} is a model of {stored.named}, not of {named}{changed}; fit one for it")
    return given


def _json_path(path: Path) -> Path:
    if path.suffix == ".json":
        return path
    stem = path.with_suffix("") if path.suffix == ".safetensors" else path
    return stem.with_name(f"{stem.name}.json")


def _read(json_path: Path) -> tuple[Training, dict[str, Any]]:
    from twins.files import read_whole
    from twins.goku.amortised import file as amortised_file
    from twins.goku.network import goku_file

    payload = read_whole(json_path, _LARGEST_JSON)
    try:
        content = json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise CampaignError(f"{json_path} is no model of an equation: {error}") from error
    kinds: dict[object, Training] = {amortised_file.FORMAT: "simulated", goku_file.FORMAT: "measured"}
    found = content.get("format") if isinstance(content, dict) else None
    about = content.get("provenance") if isinstance(content, dict) else None
    if found not in kinds or not isinstance(about, dict):
        raise CampaignError(f"{json_path} is no model of an equation; `labctl goku fit` makes one")
    return kinds[found], about
