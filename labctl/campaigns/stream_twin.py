"""Fit while recording: rounds of trials, the twin trained on all so far while the next round is recorded.

The recording ends when the twin passes its gates on held-out inputs (twice in succession, so that luck does not end it)
or the budget is spent: device time is the scarce thing, not ours.
"""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from labctl.background import in_background
from labctl.bench import Bench
from labctl.campaign import Campaign, Step
from labctl.campaigns.characterise import CharacterisationDesign, drives_of
from labctl.campaigns.choose_excitations import candidate_drives, choose_excitations, playable
from labctl.campaigns.choose_twin import ChosenTwin, choose_twin
from labctl.campaigns.finish_twin import FittedTwin, TwinOrigin, finish_twin
from labctl.campaigns.fit_settings import FitSettings
from labctl.campaigns.record import record
from labctl.campaigns.stream_design import (
    CANDIDATES,
    N_MEMBERS,
    Drives,
    StreamBudget,
    StreamDesign,
    StreamedTwin,
    StreamRound,
)
from labctl.campaigns.train_twin import TrainedTwin, TrainingBudget, train_chosen, train_members
from labctl.designs import combine, random_steps
from labctl.errors import CampaignError
from labctl.events import Figures, Progress, Reported
from labctl.excitation import Excitation, repeats, shuffled
from labctl.interleave import interleave
from labctl.recording import Recording
from labctl.twin_data import TwinData

if TYPE_CHECKING:
    from labctl.judging import Judgement
    from twins import DeviceTwin


def stream_twin(
    bench: Bench,
    device: str,
    *,
    folder: Path,
    rng: np.random.Generator,
    seed: int,
    budget: StreamBudget,
    design: StreamDesign | None = None,
    settings: FitSettings | None = None,
    drives: Drives = "random",
) -> Campaign[StreamedTwin]:
    """Record `device` and fit its twin meanwhile, until the gates are passed or the budget is spent.

    Recordings go into `folder`/recordings, the twin with its report into `folder`. settings: as for fit_twin; the
    structure is chosen once, from the first round, and one twin is fitted unless `settings` ask for an ensemble.
    drives: of the training trials after the first round, "random" steps over the whole range, or "chosen" where an
    ensemble (of three, unless settings say otherwise) disagrees most.

    Raises CampaignError for a budget that does not even hold the first round; what the bench raises; and twins.TwinError.
    What was measured until then is on disk.
    """
    stream = _Stream(
        bench, device, folder, rng, seed, budget, design or StreamDesign(), settings or FitSettings(), drives
    )
    step = Step(f"stream/{device}", f"Record and fit {device}")
    yield step.started()
    stream.check_budget()
    yield from stream.first_round()
    ended = yield from stream.go_on()
    fitted, told = yield from stream.finish()
    result = StreamedTwin(
        fitted=fitted,
        device_seconds=stream.used_s,
        rounds=tuple(stream.rounds),
        passed=stream.passed,
        ended=ended,
        training=tuple(stream.training),
        heldout=tuple(stream.heldout),
    )
    yield Reported(f"stream/{device}", {"device_seconds": result.device_seconds, "ended": ended}, (str(fitted.path),))
    yield step.finished(f"{ended}; {result.device_seconds:.2f} s of device time; {told}")
    return result


class _Stream:
    """A stream under way."""

    def __init__(
        self,
        bench: Bench,
        device: str,
        folder: Path,
        rng: np.random.Generator,
        seed: int,
        budget: StreamBudget,
        design: StreamDesign,
        settings: FitSettings,
        drives: Drives,
    ) -> None:
        self._bench, self._device, self._folder = bench, device, folder
        self._rng, self._seed, self._budget = rng, seed, budget
        self._design, self._settings, self._way = design, settings, drives
        self._key = f"stream/{device}"
        self._began_s, self._before_s = time.perf_counter(), bench.device_seconds
        self._dt_s = bench.station.device(device).dt_s
        self._inputs = self._steps(design.n_inputs, design.n_heldout_samples)
        self._n_repeats = 0
        self._n_prepare = 0
        self._trained: list[TrainedTwin] = []
        self._chosen: ChosenTwin | None = None
        self._fitted_to = self._judged = TwinData(())
        self.training: list[Recording] = []
        self.heldout: list[Recording] = []
        self.rounds: list[StreamRound] = []

    @property
    def used_s(self) -> float:
        """Device time since the stream began."""
        return self._bench.device_seconds - self._before_s

    @property
    def passed(self) -> bool:
        """Whether the last judgements were all passed, the last one on enough repeats to be sure."""
        last = self.rounds[-self._design.in_succession :]
        passed = len(last) == self._design.in_succession and all(one.passed for one in last)
        return passed and last[-1].n_heldout_trials >= self._design.sure_trials

    @property
    def _n_members(self) -> int:
        """More than one twin costs time and is of use only where drives are chosen, or where it was asked for."""
        return self._settings.ensemble or (N_MEMBERS if self._way == "chosen" else 1)

    def check_budget(self) -> None:
        """Raise CampaignError if the first round alone is more than may be spent."""
        design = self._design
        least_s = self._dt_s * (
            design.n_first * design.n_samples + design.n_inputs * design.n_repeats * design.n_heldout_samples
        )
        if least_s > self._budget.device_seconds:
            raise CampaignError(
                f"a budget of {self._budget.device_seconds:g} s does not hold the first round, which plays {least_s:.2f} s "
                "without preparations; give more, or fewer inputs, repeats or samples"
            )

    def first_round(self) -> Campaign[None]:
        """The held-out inputs and the first training trials; nothing is there to fit yet but the twin's structure."""
        design = self._design
        first = shuffled(self._steps(design.n_first, design.n_samples), self._rng)
        held = self._repeated(design.n_repeats)
        yield from self._acquire(0, first, held)
        data = TwinData.of(self.training)
        self._chosen = yield from choose_twin(self._device, data, settings=self._settings, seed=self._seed)

    def go_on(self) -> Campaign[str]:
        """Rounds until the gates are passed or the budget is spent; returns why it ended."""
        number = 0
        while True:
            number += 1
            drives, held = yield from self._next_drives()
            within = self._within_budget(drives, held)
            fit = self._fit_and_judge(number, self.used_s, TwinData.of(self.training), TwinData.of(self.heldout))
            if not within:
                yield from fit
                return self._ending() or "the budget was spent"
            record_next = self._acquire(number, drives, held)
            yield from interleave(record_next, fit, make_safe=self._bench.make_safe)
            if ended := self._ending():
                return ended

    def finish(self) -> Campaign[tuple[FittedTwin, str]]:
        """Save the twin as it was judged last, with its report."""
        assert self._chosen is not None
        origin = TwinOrigin(
            device=self._device,
            data=self._fitted_to,
            judged=self._judged,
            how="inputs recorded beside the training trials, and never trained on",
            chosen=self._chosen,
            settings=self._settings,
            seed=self._seed,
            withheld="" if self.passed else self._design.unsure,
        )
        finished = yield from finish_twin(f"twin/{self._device}", self._trained, origin, folder=self._folder)
        return finished

    def _ending(self) -> str:
        wall_s = time.perf_counter() - self._began_s
        if self.passed:
            return "the gates were passed"
        if self._budget.wall_seconds is not None and wall_s > self._budget.wall_seconds:
            return "the wall time was spent"
        return ""

    def _within_budget(self, *excitations: Excitation | None) -> bool:
        samples = sum(one.n_trials * (one.n_samples + self._n_prepare) for one in excitations if one is not None)
        return self.used_s + samples * self._dt_s <= self._budget.device_seconds

    # ---- recording ----------------------------------------------------------------------------------------------------

    def _next_drives(self) -> Campaign[tuple[Excitation, Excitation | None]]:
        """The next round: training trials, at random or chosen, and more repeats of the held-out inputs."""
        design = self._design
        missing = design.sure_repeats - self._n_repeats
        nearly = bool(self.rounds) and self.rounds[-1].passed
        more = missing if nearly else min(design.n_more_repeats, missing)
        held = self._repeated(more) if more > 0 else None
        if self._way == "random" or not self._trained:
            return self._steps(design.n_trials, design.n_samples), held
        candidates = candidate_drives(
            self._drives(),
            n_trials=CANDIDATES * design.n_trials,
            n_samples=design.n_samples,
            holds=design.holds,
            dt_s=self._dt_s,
            generator=self._rng,
        )
        chosen = yield from choose_excitations(
            [one.twin for one in self._trained],
            playable(self._bench, candidates),
            n=design.n_trials,
            seed=int(self._rng.integers(2**31)),
            conditions=self.training[-1].conditions,
            key=self._key,
        )
        return chosen.excitation, held

    def _acquire(self, number: int, drives: Excitation, held: Excitation | None) -> Campaign[None]:
        """Play one round and keep its recordings; runs on the I/O thread but in the first round."""
        for what, excitation, kept in (("heldout", held, self.heldout), ("training", drives, self.training)):
            if excitation is None:
                continue
            recording = yield from record(
                self._bench,
                excitation,
                path=self._folder / "recordings" / f"{self._device}-{what}-{number:02d}.h5",
                key=f"{self._key}/round{number}/{what}",
                title=f"Round {number} of {self._device}, {what}",
                seed=self._seed,
            )
            kept.append(recording)
            self._n_prepare = recording.n_prepare
        self._n_repeats += 0 if held is None else held.n_trials // self._inputs.n_trials

    def _repeated(self, times: int) -> Excitation:
        return repeats(self._inputs, times)

    def _steps(self, n_trials: int, n_samples: int) -> Excitation:
        design, dt_s = self._design, self._dt_s
        return combine(
            *(
                random_steps(
                    channel,
                    low=low,
                    high=high,
                    hold_s=[hold * dt_s for hold in design.holds],
                    duration_s=n_samples * dt_s,
                    n_trials=n_trials,
                    dt_s=dt_s,
                    generator=self._rng,
                )
                for channel, low, high in self._drives()
            )
        )

    def _drives(self) -> list[tuple[str, float, float]]:
        limits = CharacterisationDesign(low=self._design.low, high=self._design.high)
        return drives_of(self._bench, self._device, limits)

    # ---- fitting ------------------------------------------------------------------------------------------------------

    def _fit_and_judge(self, number: int, used_s: float, data: TwinData, judged: TwinData) -> Campaign[None]:
        """Train on all that is there, warm after the first time, and judge on the held-out inputs."""
        assert self._chosen is not None
        budget = TrainingBudget(seconds=self._design.fit_seconds * self._n_members, epochs=self._design.fit_epochs)
        if self._trained:
            trained = yield from train_members(
                self._key, self._chosen, data, seed=self._seed, budget=budget, earlier=self._trained
            )
        else:
            first = replace(self._chosen, ensemble=self._n_members)
            self._chosen, trained = yield from train_chosen(
                self._key, first, data, self._settings, seed=self._seed, budget=budget, contest=False
            )
        self._trained, self._fitted_to, self._judged = trained, data, judged
        judgement = yield from in_background(lambda: self._judgement(trained[0].twin, judged), key=self._key)
        yield from self._tell(number, used_s, data, judged, judgement, trained[0].result.free_run_score)

    def _judgement(self, twin: DeviceTwin, judged: TwinData) -> Judgement:
        from labctl.judging import judge

        n_draws = self._settings.n_calibration_draws
        return judge(twin, judged.traces, n_draws=n_draws, seed=self._seed)

    def _tell(
        self, number: int, used_s: float, data: TwinData, judged: TwinData, judgement: Judgement, score: float
    ) -> Campaign[None]:
        one = StreamRound.of(number, used_s, data, judged, judgement, score)
        self.rounds.append(one)
        values = {"coverage_90": one.coverage_90, "free_run_score": score, "device_seconds": used_s}
        yield Figures(
            f"{self._key}/gates", number, values | ({} if one.std_ratio is None else {"std_ratio": one.std_ratio})
        )
        yield Reported(f"{self._key}/round{number}", {**asdict(one), "failed": list(one.failed)})
        note = "gates passed" if one.passed else f"not passed: {', '.join(one.failed)}"
        yield Progress(self._key, used_s, self._budget.device_seconds, note)
