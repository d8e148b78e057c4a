"""Close the gap between promise and measurement: deploy, compare, refit the twins on what the bench just did, fine-tune.

Every round plays fresh training examples, which the twins are refitted on, and one fixed set of judged examples several
times, which no fit ever sees. The judged set is fixed because rounds are compared by it: a fresh one would cost the same
device time, but the score of two sets of examples differs by several times the device's own spread (NARMA-10 is heavy-
tailed), and the better of two wirings could only be told with many times the examples. The price is that the best of a
few wirings is chosen on the set that it is scored on: measure it once more, on other examples, where that matters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from labctl.bench import Bench
from labctl.campaign import Campaign, Step
from labctl.campaigns.fine_tune import TunedWiring, fine_tune, promise_of
from labctl.campaigns.finish_twin import plain
from labctl.campaigns.fresh_examples import fresh_examples
from labctl.campaigns.gap import Gap, GapRound, device_spread_of
from labctl.campaigns.gap_design import ClosedGap, Ended, GapBudget, GapSettings, Recorded
from labctl.campaigns.play_cost import network_seconds
from labctl.campaigns.refit_twin import PlayedRound, RefitSettings, RefitTwin, refit_twin
from labctl.campaigns.streams import streams_of
from labctl.clearance import Clearance, Gates, clear
from labctl.deployment import Measurement, deploy, mean_of
from labctl.errors import CampaignError, GatesNotPassed
from labctl.events import Reported, Warned
from labctl.json_file import write_json
from labctl.network_bench import apply_conditions, check_wiring
from labctl.workers import Job, side_by_side

if TYPE_CHECKING:
    from labctl.campaigns.plans import TaskPlan
    from twins.network.judging import Promise
    from twins.network.tasks import TaskData
    from twins.network.wiring import Wiring


def close_the_gap(
    bench: Bench,
    wiring: Wiring,
    twins: Mapping[str, Path],
    plan: TaskPlan,
    *,
    clearance: Clearance,
    budget: GapBudget,
    seed: int,
    folder: Path,
    settings: GapSettings | None = None,
    conditions: Mapping[str, float] | None = None,
    recorded: Recorded | None = None,
) -> Campaign[ClosedGap]:
    """Deploy `wiring`, refit the twins (files by device) on what the bench did, fine-tune, until promise and measurement
    agree within the device's own spread, or the budget is spent.

    clearance: leave to apply what was optimised on the twins as given. Refitted twins are judged anew, and what is tuned on
    them is played only if they pass, or under the same override; otherwise the next round gathers more plays with the
    wiring as it is. conditions: set-points that are held, besides those that the wiring names. Writes one folder a round,
    `rounds.json` after each, and the best wiring as `best`.

    Raises CampaignError, before anything is played, for a budget that does not hold the first round; GatesNotPassed for a
    clearance that is not for all devices; and what the bench raises. What was measured until then is on disk.
    """
    missing = [port.name for port in wiring.ports if port.name not in twins]
    if missing:
        raise CampaignError(
            f"the wiring plays on {', '.join(missing)}; twins are given of {', '.join(twins) or 'none'}"
        )
    loop = _Loop(bench, plan, clearance, budget, seed, folder, settings or GapSettings(), recorded or Recorded())
    step = Step(loop.key, f"Close the gap of {plan.task.name}")
    yield step.started()
    held = {**(conditions or {}), **wiring.conditions}
    files = {port.name: twins[port.name] for port in wiring.ports}
    result = yield from loop.run(replace(wiring, conditions=held), files)
    yield Reported(loop.key, result.as_dict(), (str(folder / "rounds.json"), str(folder / "best.json")))
    yield step.finished(
        f"{result.ended} after {len(result.rounds)} rounds and {result.device_seconds:.1f} s of device time; best measured "
        f"{plan.task.metric} {result.measurement.mean:.4f} ± {result.measurement.std:.4f}; the gap of the last round: "
        f"{result.rounds[-1].gap}"
    )
    return result


class _Loop:
    """The loop under way."""

    def __init__(
        self,
        bench: Bench,
        plan: TaskPlan,
        clearance: Clearance,
        budget: GapBudget,
        seed: int,
        folder: Path,
        settings: GapSettings,
        recorded: Recorded,
    ) -> None:
        self._bench, self._plan, self._clearance, self._budget = bench, plan, clearance, budget
        self._folder, self._settings, self._recorded = folder, settings, recorded
        self._gates: Mapping[str, Gates] = clearance.gates  # of the twins as they were last used
        self._seed = seed
        self._before_s = bench.device_seconds
        self._n_training, n_judged = settings.of(plan)
        judged_rng, self._rng = (np.random.default_rng(one) for one in streams_of(seed, "close-gap", 2))
        self._judged: TaskData = plan.task.sample(n_judged, plan.n_steps, judged_rng)
        self._rounds: list[GapRound] = []
        self._played: list[PlayedRound] = []
        self._stale: set[str] = set()  # devices whose earlier recordings contradict the plays
        self._best: tuple[Measurement, Wiring, int] | None = None
        self.key = f"close-gap/{plan.task.name}"

    @property
    def _used_s(self) -> float:
        return self._bench.device_seconds - self._before_s

    def run(self, wiring: Wiring, twins: dict[str, Path]) -> Campaign[ClosedGap]:
        """Round after round."""
        check_wiring(self._bench, wiring)
        if not self._affordable(wiring):
            raise CampaignError(
                f"a budget of {self._budget.device_seconds:g} s of device time does not hold the first round, which may "
                f"take {self._round_seconds(wiring):.1f} s; give more, or fewer examples or repeats; nothing was played"
            )
        while True:
            measured = yield from self._measure(wiring)
            promised = yield from self._promise(wiring, twins, "promise")
            self._remember(promised, measured, wiring)
            ended = self._ending(wiring)
            cleared = False
            if ended is None:
                twins, cleared = yield from self._refit(wiring, twins)
            yield from self._tell()
            if ended is None and cleared:
                wiring = yield from self._tune(twins)
            if ended is not None:
                return self._result(ended, twins)

    # ---- one round --------------------------------------------------------------------------------------------------

    def _measure(self, wiring: Wiring) -> Campaign[Measurement]:
        """Play fresh training examples once and the judged ones several times."""
        number = len(self._rounds) + 1
        folder = self._folder / f"round-{number}"
        plan = self._plan
        training = fresh_examples(plan.task, self._n_training, plan.n_steps, self._rng, avoid=self._judged)
        self._played.append(PlayedRound(folder / "plays", self._n_training))
        measured = yield from deploy(
            self._bench,
            wiring,
            clearance=self._clearance,
            metric=plan.task.metric,
            heldout=self._judged,
            training=training,
            n_repeats=self._settings.n_repeats,
            folder=folder / "plays",
            key=f"{self.key}/round{number}/measure",
            title=f"Measure {plan.task.name}, round {number}",
            seed=self._seed,
        )
        return measured

    def _promise(self, wiring: Wiring, twins: Mapping[str, Path], what: str) -> Campaign[Promise]:
        """What the twins promise on the judged examples."""
        promised = yield from promise_of(
            wiring,
            twins,
            self._plan,
            self._judged,
            n_draws=self._settings.n_promise_draws,
            seed=self._seed,
            key=f"{self.key}/round{len(self._played)}/{what}",
        )
        return promised

    def _remember(self, promised: Promise, measured: Measurement, wiring: Wiring) -> None:
        n_repeats = len(measured.scores)
        device_spread, n_pooled = device_spread_of(measured.std, n_repeats, [one.gap for one in self._rounds])
        gap = Gap(
            promised=promised.mean,
            promise_spread=promised.std,
            n_draws=len(promised.scores),
            measured=measured.mean,
            repeat_spread=measured.std,
            n_repeats=n_repeats,
            device_spread=device_spread,
            n_pooled=n_pooled,
            spreads=self._settings.spreads,
        )
        readout = mean_of(measured.refitted_scores)
        number = len(self._rounds) + 1
        self._rounds.append(GapRound(number, gap, self._used_s, readout_refitted=readout))
        if self._best is None or measured.mean < self._best[0].mean:
            self._best = (measured, wiring, number)
            from twins.network.wiring_file import save_wiring

            save_wiring(wiring, self._folder / "best", provenance=self._bench.provenance(seed=self._seed))
        self._write()

    def _ending(self, wiring: Wiring) -> Ended | None:
        """Why it ends after this comparison, if it does."""
        assert self._best is not None  # a round was measured
        if self._rounds[-1].gap.closed:
            return "closed"
        if len(self._rounds) >= self._budget.rounds or not self._affordable(wiring):
            uncleared = len(self._rounds) > 1 and not self._rounds[-2].cleared
            return "gates not passed" if uncleared else "budget spent"
        since = sum(bool(one.cleared) for one in self._rounds[self._best[2] - 1 :])
        return "no better" if since >= self._settings.patience else None

    def _refit(self, wiring: Wiring, twins: Mapping[str, Path]) -> Campaign[tuple[dict[str, Path], bool]]:
        """(the refitted twins, whether what is tuned on them may be played), in worker processes."""
        number = len(self._rounds)
        jobs = {
            device: Job(
                refit_twin,
                {
                    "device": self._bench.station.device(device),
                    "twin": path,
                    "rounds": tuple(self._played),
                    "settings": self._refit_settings(device),
                    "seed": self._seed,
                    "folder": self._folder / f"round-{number}" / "twins",
                    "key": f"{self.key}/round{number}/refit/{device}",
                },
            )
            for device, path in twins.items()
        }
        refit: dict[str, RefitTwin] = yield from side_by_side(jobs)
        files = {device: one.fitted.ensemble or one.fitted.path for device, one in refit.items()}
        self._stale |= {device for device, one in refit.items() if not one.old_kept}
        explained = yield from self._promise(wiring, files, "explain")
        last = self._rounds[-1]
        self._gates = {device: one.fitted.gates for device, one in refit.items()}
        cleared = yield from self._clear(self._gates)
        self._rounds[-1] = replace(
            last,
            explained=last.gap.measured - explained.mean,
            cleared=cleared,
            twins={device: one.as_dict() for device, one in refit.items()},
        )
        return files, cleared

    def _refit_settings(self, device: str) -> RefitSettings:
        old = () if device in self._stale else tuple(self._recorded.training.get(device, ()))
        heldout = tuple(self._recorded.heldout.get(device, ()))
        return RefitSettings(
            old=old, heldout=heldout, max_seconds=self._settings.refit_seconds, max_epochs=self._settings.refit_epochs
        )

    def _clear(self, gates: Mapping[str, Gates]) -> Campaign[bool]:
        try:
            self._clearance = clear(gates, gates, override=self._clearance.override)
        except GatesNotPassed as error:
            yield Warned(self.key, f"the wiring stays as it is, and the next round gathers more plays: {error}")
            return False
        return True

    def _tune(self, twins: Mapping[str, Path]) -> Campaign[Wiring]:
        """Go on from the best wiring that was measured, on the refitted twins."""
        assert self._best is not None  # a round was measured
        number = len(self._rounds)
        arguments = {
            "wiring": self._best[1],
            "twins": dict(twins),
            "plan": self._settings.tuning.of(self._plan),
            "seed": self._seed + number,
            "key": f"{self.key}/round{number}/fine-tune",
        }
        tuned: dict[str, TunedWiring] = yield from side_by_side({"fine-tune": Job(fine_tune, arguments)})
        return tuned["fine-tune"].wiring

    # ---- budget and outcome -----------------------------------------------------------------------------------------

    def _round_seconds(self, wiring: Wiring) -> float:
        n_trials = self._n_training + self._settings.n_repeats * len(self._judged.inputs)
        return network_seconds(self._bench, wiring, n_trials=n_trials, n_steps=self._plan.n_steps)

    def _affordable(self, wiring: Wiring) -> bool:
        """Whether one more round fits into the budget. It takes as long with any numbers in the wiring."""
        return self._used_s + self._round_seconds(wiring) <= self._budget.device_seconds

    def _tell(self) -> Campaign[None]:
        last = self._rounds[-1]
        self._write()
        yield Reported(f"{self.key}/round{last.number}", last.as_dict(), (str(self._folder / "rounds.json"),))

    def _write(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        document = {"simulated": self._bench.simulated, "rounds": [one.as_dict() for one in self._rounds]}
        write_json(self._folder / "rounds.json", plain(document))

    def _result(self, ended: Ended, twins: Mapping[str, Path]) -> ClosedGap:
        assert self._best is not None  # a round was measured
        measurement, wiring, number = self._best
        apply_conditions(self._bench, wiring.conditions)
        return ClosedGap(
            ended=ended,
            rounds=tuple(self._rounds),
            wiring=wiring,
            measurement=measurement,
            best_round=number,
            twins=dict(twins),
            gates=self._gates,
            clearance=self._clearance,
            device_seconds=self._used_s,
        )
