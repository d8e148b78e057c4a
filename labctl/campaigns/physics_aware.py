"""Physics-aware training: the bench answers, the twins tell in which direction to go.

Each iteration plays fresh examples through ALL layers on the bench (hardware forward), solves the read-out on what was
measured, and sends the gradient of the measured loss back through the twins, along the path that was measured. The twins
need not be right for the loss to be: an error of theirs bends the direction of a step, not the loss that it goes down
(Wright et al., Nature 601:549, 2022; here with devices that remember). It costs device time at every step.

Every play is kept, one folder an iteration: some twelve files of a hundred kilobytes each for the plans' own networks,
which twins can be refitted on later.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from labctl.bench import Bench
from labctl.campaign import Campaign, Step
from labctl.campaigns.finish_twin import plain
from labctl.campaigns.fresh_examples import fresh_examples
from labctl.campaigns.physics_aware_design import PhysicsAwareSettings, TrainedOnBench, ValidatedOnBench
from labctl.campaigns.play_cost import network_seconds
from labctl.campaigns.streams import streams_of
from labctl.clearance import Clearance
from labctl.deployment import Measurement, deploy
from labctl.errors import CampaignError, GatesNotPassed
from labctl.events import Figures, Progress, Reported, Warned
from labctl.json_file import write_json
from labctl.network_bench import apply_conditions, check_wiring, play_layers

if TYPE_CHECKING:
    from labctl.campaigns.plans import TaskPlan
    from twins.network.descent import Descent
    from twins.network.network import PhysicalNetwork
    from twins.network.tasks import TaskData
    from twins.network.wiring import Wiring

Array = NDArray[np.float64]


def train_physics_aware(
    bench: Bench,
    wiring: Wiring,
    twins: Mapping[str, Path],
    plan: TaskPlan,
    *,
    clearance: Clearance,
    budget_s: float,
    seed: int,
    folder: Path,
    settings: PhysicsAwareSettings | None = None,
    conditions: Mapping[str, float] | None = None,
) -> Campaign[TrainedOnBench]:
    """Train `wiring` from where it is, with the bench forward and the twins (files by device) backward.

    clearance: leave to apply what is optimised on these twins. budget_s: device time (s), preparations and validations
    included, checked before each play. conditions: set-points that are held, besides those that the wiring names; also those
    that the plan trains are held, with a warning. Writes `iteration-NNN` folders, each with the wiring
    after its step as `trained`, and `validation-N` folders, `training.json` after each of them, and the best wiring as `best`.

    Raises CampaignError, before anything is played, for a budget that does not hold one iteration and the validations;
    GatesNotPassed; and what the bench raises. What was measured until then is on disk.
    """
    lacking = clearance.lacks(port.name for port in wiring.ports)
    if lacking:
        raise GatesNotPassed(f"the wiring plays on {', '.join(lacking)}, whose twins were not cleared")
    held = replace(wiring, conditions={**(conditions or {}), **wiring.conditions})
    run = _Training(bench, held, twins, plan, clearance, budget_s, seed, folder, settings)
    step = Step(run.key, f"Train {plan.task.name} on the bench")
    yield step.started()
    if clearance.override is not None:
        yield Warned(run.key, f"applied although the twins' gates were not passed, because: {clearance.override}")
    for name in plan.trained_conditions:
        value = held.conditions.get(name)
        where = "where it is" if value is None else f"at {value:g}"
        yield Warned(
            run.key, f"the plan trains {name}; on the bench it is held {where}, and the weights alone are trained"
        )
    result = yield from run.run()
    yield Reported(run.key, result.as_dict(), (str(folder / "training.json"), str(folder / "best.json")))
    best = result.measurement
    yield step.finished(
        f"{result.ended} after {len(result.losses)} iterations and {result.device_seconds:.1f} s of device time; measured "
        f"{plan.task.metric} {best.mean:.4f} ± {best.std:.4f}"
    )
    return result


class _Training:
    """The training under way."""

    def __init__(
        self,
        bench: Bench,
        wiring: Wiring,
        twins: Mapping[str, Path],
        plan: TaskPlan,
        clearance: Clearance,
        budget_s: float,
        seed: int,
        folder: Path,
        settings: PhysicsAwareSettings | None,
    ) -> None:
        self._bench, self._template, self._plan, self._clearance = bench, wiring, plan, clearance
        self._twins, self._budget_s, self._seed, self._folder = twins, budget_s, seed, folder
        self._use = settings or PhysicsAwareSettings()
        self._n_steps = self._use.n_steps or plan.n_steps
        own_rate = 0.3 * plan.settings.learning_rate
        self._rate = own_rate if self._use.learning_rate is None else self._use.learning_rate
        judged, training, self._noise = streams_of(seed, "train-on-bench", 3)
        self._rng = np.random.default_rng(training)
        self._judged: TaskData = plan.task.sample(
            self._use.n_judged_trials, plan.n_steps, np.random.default_rng(judged)
        )
        self._before_s = bench.device_seconds
        self._losses: list[float] = []
        self._validations: list[ValidatedOnBench] = []
        self._best: tuple[Measurement, Wiring] | None = None
        self.key = f"train-on-bench/{plan.task.name}"

    @property
    def _used_s(self) -> float:
        return self._bench.device_seconds - self._before_s

    def run(self) -> Campaign[TrainedOnBench]:
        """Iterations until the budget is spent, validations in between, each with device time set aside for it."""
        self._check()
        network, descent = self._network()
        apply_conditions(self._bench, self._template.conditions)
        ended = "all iterations done"
        while len(self._losses) < self._use.n_iterations:
            if self._due():
                yield from self._validate(network)
            if not self._affordable():
                ended = "budget spent"
                break
            yield from self._iterate(network, descent)
        yield from self._validate(network)
        assert self._best is not None  # it was validated
        measurement, wiring = self._best
        return TrainedOnBench(wiring, measurement, tuple(self._validations), tuple(self._losses), self._used_s, ended)

    def _due(self) -> bool:
        """Whether it is time for a validation that is not the last one."""
        done, intervals = len(self._validations), self._use.n_validations - 1
        return done < intervals and self._progress() >= done / intervals

    def _network(self) -> tuple[PhysicalNetwork, Descent]:
        from twins import load_any_twin
        from twins.network.descent import Descent
        from twins.network.judging import torch_generator
        from twins.network.network import PhysicalNetwork

        names = [port.name for port in self._template.ports]
        loaded = {device: load_any_twin(self._twins[device]) for device in names}
        network = PhysicalNetwork(self._template, loaded)
        noise = torch_generator(self._noise)  # of nothing but the starts: the noise of the path is the bench's own
        return network, Descent(network, self._plan.task.metric, self._plan.settings, noise)

    def _iterate(self, network: PhysicalNetwork, descent: Descent) -> Campaign[None]:
        """Fresh examples through all layers of the bench, and one step."""
        from twins.network.network import Measured

        number = len(self._losses) + 1
        data = fresh_examples(self._plan.task, self._use.n_trials, self._n_steps, self._rng, avoid=self._judged)
        wiring = network.wiring()
        folder = self._folder / f"iteration-{number:03d}"
        played = yield from play_layers(
            self._bench,
            wiring,
            data.inputs,
            folder=folder,
            key=f"{self.key}/iteration{number}",
            title=f"Iteration {number}",
            seed=self._seed,
            provenance={"clearance": self._clearance.as_dict()},
        )
        answers = zip(played.features, played.responses, strict=True)
        measured = {layer: Measured(features, response) for layer, (features, response) in enumerate(answers)}
        rate = self._rate * 0.5 * (1.0 + math.cos(math.pi * min(1.0, self._progress())))
        loss = descent.step(data, rate, measured=measured)
        self._losses.append(loss)
        self._keep(network, folder)
        yield Figures(self.key, number, {"loss": loss, "device_seconds": self._used_s})
        yield Progress(self.key, self._progress(), 1.0, f"measured loss {loss:.4f}")

    def _validate(self, network: PhysicalNetwork) -> Campaign[None]:
        """Measure the network as it is, with a read-out of its own; keep it if it is the best."""
        number, plan = len(self._validations) + 1, self._plan
        readout_examples = fresh_examples(
            plan.task, self._use.n_readout_trials, plan.n_steps, self._rng, avoid=self._judged
        )
        measured = yield from deploy(
            self._bench,
            network.wiring(),
            clearance=self._clearance,
            metric=plan.task.metric,
            heldout=self._judged,
            training=readout_examples,
            n_repeats=self._use.n_repeats,
            folder=self._folder / f"validation-{number}",
            key=f"{self.key}/validation{number}",
            title=f"Validation {number}",
            seed=self._seed,
        )
        assert measured.refitted_wiring is not None  # training examples were played
        self._validations.append(ValidatedOnBench(len(self._losses), self._used_s, measured.mean, measured.std))
        if self._best is None or measured.mean < self._best[0].mean:
            self._best = (measured, measured.refitted_wiring)
        self._write_best()
        self._write_progress()

    # ---- budget and files -------------------------------------------------------------------------------------------

    def _check(self) -> None:
        missing = [port.name for port in self._template.ports if port.name not in self._twins]
        if missing:
            raise CampaignError(
                f"the wiring plays on {', '.join(missing)}; twins are given of {', '.join(self._twins)}"
            )
        check_wiring(self._bench, self._template)
        if not self._affordable():
            raise CampaignError(
                f"a budget of {self._budget_s:g} s of device time does not hold one iteration, which may take "
                f"{self._iteration_s():.1f} s, and {self._use.n_validations} validations of {self._validation_s():.1f} s; "
                "give more, or fewer examples; nothing was played"
            )

    def _iteration_s(self) -> float:
        return network_seconds(self._bench, self._template, n_trials=self._use.n_trials, n_steps=self._n_steps)

    def _validation_s(self) -> float:
        n_trials = self._use.n_readout_trials + self._use.n_repeats * self._use.n_judged_trials
        return network_seconds(self._bench, self._template, n_trials=n_trials, n_steps=self._plan.n_steps)

    def _set_aside_s(self) -> float:
        return (self._use.n_validations - len(self._validations)) * self._validation_s()

    def _affordable(self) -> bool:
        """Whether one more iteration leaves enough for the validations that are to come."""
        return self._used_s + self._iteration_s() + self._set_aside_s() <= self._budget_s

    def _progress(self) -> float:
        """0 at the start, 1 at the end: by iterations, or by the device time that is left for them."""
        validated = len(self._validations) * self._validation_s()
        training_s = self._budget_s - self._use.n_validations * self._validation_s()
        return max(len(self._losses) / self._use.n_iterations, (self._used_s - validated) / training_s)

    def _keep(self, network: PhysicalNetwork, folder: Path) -> None:
        """What this iteration trained: device time went into it, so that an interruption must not lose it."""
        from twins.network.wiring_file import save_wiring

        save_wiring(network.wiring(), folder / "trained", provenance=self._provenance())
        self._write_progress()

    def _provenance(self) -> dict[str, Any]:
        return self._bench.provenance(seed=self._seed, extra={"clearance": self._clearance.as_dict()})

    def _write_best(self) -> None:
        from twins.network.wiring_file import save_wiring

        assert self._best is not None  # it was validated
        save_wiring(self._best[1], self._folder / "best", provenance=self._provenance())

    def _write_progress(self) -> None:
        document = {
            "simulated": self._bench.simulated,
            "device_seconds": self._used_s,
            "losses": self._losses,
            "validations": [asdict(one) for one in self._validations],
        }
        write_json(self._folder / "training.json", plain(document))
